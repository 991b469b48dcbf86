"""A world that all scenarios share, and a scene for each: a namespace, an operator of its own, and its two proxies."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from e2e.cluster.paths import REPOSITORY
from e2e.faults import account
from e2e.faults.alertmanager import Alertmanager
from e2e.faults.api import POLICIES, Api
from e2e.faults.background import Background
from e2e.faults.exchange import Exchange
from e2e.faults.exporter import Exporter, Kind, Value
from e2e.faults.nodes import STEADY, Nodes, condition, deployment
from e2e.faults.pace import LEAKING, MAX_AGE, POLICY, SETTINGS, guarding, install_kinds
from e2e.faults.process import Operator
from e2e.faults.prometheus import Prometheus
from e2e.faults.proxy import Proxy
from e2e.harness.kube import Object, apply, delete, provider
from e2e.harness.waiting import NotYet, wait_until

T = TypeVar("T")


class World:
    """The cluster's API server, simulated nodes, an exporter of their pods' readings and a Prometheus that scrapes it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        install_kinds()
        with contextlib.ExitStack() as stack:
            self.background = Background()
            stack.callback(self.background.close)
            self.api = Api(self.background)
            stack.callback(self.api.close)
            self.nodes = Nodes(self.api, directory)
            stack.callback(self.nodes.close)
            self.exporter = Exporter(self.background, self.api)
            stack.callback(self.exporter.close)
            self.prometheus = self.another_prometheus("shared", stack)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def another_prometheus(self, name: str, stack: contextlib.ExitStack) -> Prometheus:
        """A server that a scenario may stop; `stack` stops it in the end."""
        made = Prometheus(self.directory / f"prometheus-{name}", self.exporter.address)
        stack.callback(made.stop)
        return made

    @contextmanager
    def scene(
        self,
        purpose: str,
        *,
        prometheus: Prometheus | None = None,
        alertmanager: Alertmanager | None = None,
        settings: Mapping[str, str] | None = None,
        restarted: bool = False,
        beside: bool = False,
    ) -> Iterator[Scene]:
        """The operator is not started yet. An error raised inside is reported with the scene's state. `restarted`: an
        operator that ends by itself is started again, as by a kubelet, once; else it must not end. `beside`: it watches
        a second namespace, `scene.beside`."""
        namespace = f"e2e-{purpose}-{secrets.token_hex(3)}"
        spaces = [namespace, *([f"{namespace}{account.BESIDE}"] if beside else [])]
        apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in spaces])
        scene: Scene | None = None
        try:
            scene = Scene(
                self,
                namespace,
                (prometheus or self.prometheus).url,
                {**SETTINGS, "LEAKWARDEN_WATCH_NAMESPACES": ",".join(spaces), **(settings or {})},
                alertmanager.url if alertmanager is not None else None,
                beside=beside,
            )
            scene.restarted = restarted
            yield scene
        except BaseException as error:
            if scene is not None:
                with contextlib.suppress(Exception):  # a report on a failure must never hide the failure
                    error.add_note(scene.report())
            raise
        finally:
            if scene is not None:
                scene.close()
            for each in spaces:
                delete("namespace", each)


class Scene:
    """One operator, confined to one namespace (or two) by its settings and its rights alike."""

    def __init__(
        self,
        world: World,
        namespace: str,
        prometheus: str,
        settings: Mapping[str, str],
        alertmanager: str | None = None,
        *,
        beside: bool = False,
    ) -> None:
        self.world = world
        self.namespace = namespace
        self.restarted = False
        self._api = world.api
        self.rights = account.rights(namespace, beside=beside)
        account.grant(self.rights)
        self.api = Proxy(world.background, world.api.server, world.api.authority)
        self.metrics = Proxy(world.background, prometheus)
        self.alerts = Proxy(world.background, alertmanager) if alertmanager is not None else None
        self.operator = Operator(
            world.directory / namespace,
            namespace,
            server=self.api.url,
            prometheus=self.metrics.url,
            alertmanager=self.alerts.url if self.alerts is not None else None,
            token=account.token(namespace),
            settings=settings,
        )

    @property
    def beside(self) -> Scene:
        """The same operator and its second namespace."""
        other = copy.copy(self)
        other.namespace = f"{self.namespace}{account.BESIDE}"
        return other

    def close(self) -> None:
        self.operator.stop()
        for proxy in (self.api, self.metrics, self.alerts):
            if proxy is not None:
                proxy.close()

    # Users' objects

    def deploy(
        self, name: str = "victim", replicas: int = 1, *, node: str = STEADY, timeout: float = 60
    ) -> list[Object]:
        """A Deployment with simulated pods; returns them once they run."""
        apply(deployment(name, self.namespace, replicas, node=node))
        return self.wait_for_pods(name, replicas, timeout)

    def wait_for_pods(self, name: str, replicas: int, timeout: float = 60) -> list[Object]:
        def look() -> list[Object] | NotYet:
            found = [pod for pod in self.pods(name) if condition(pod, "Ready").get("status") == "True"]
            return found if len(found) == replicas else NotYet(f"{len(found)} of {replicas} pods run")

        return self.wait(f"the pods of {name}", look, timeout)

    def guard(self, name: str = POLICY, selector: Mapping[str, str] | None = None, **options: Any) -> None:
        """A policy in mode Enforce for the Deployments labelled so, by default `app: victim`."""
        given: dict[str, Any] = {"cooldown": "10m", "max_age": f"{MAX_AGE:g}s", "audit": {"enabled": False}, **options}
        apply(guarding(name, self.namespace, selector or {"app": "victim"}, **given))

    def leak(self, *pods: Object, value: Value = LEAKING, kind: Kind = Kind.DESCRIPTORS) -> None:
        for pod in pods:
            self.world.exporter.reads(pod["metadata"]["uid"], value, kind)

    def start(self) -> None:
        self.operator.start()
        self.operator.wait_ready()

    # Users' view

    def pods(self, name: str = "victim") -> list[Object]:
        """The Deployment's pods that are not on their way out."""
        found = self._api.items(f"api/v1/namespaces/{self.namespace}/pods", labelSelector=f"app={name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def uids(self, name: str = "victim") -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.pods(name)}

    def status(self, name: str = POLICY) -> Object:
        found = self._api.get(f"{POLICIES}/namespaces/{self.namespace}/reliabilitypolicies/{name}") or {}
        held: Object = found.get("status") or {}
        return held

    def condition(self, kind: str, name: str = POLICY) -> Object:
        return condition({"status": self.status(name)}, kind)

    def actions(self, workload: str | None = "victim", name: str = POLICY) -> list[Object]:
        """The action records of a workload, newest first; None reads those of all workloads at one moment."""
        records = self.status(name).get("actions", [])
        return [each for each in records if workload is None or each["workload"] == workload]

    def workload(self, workload: str = "victim", name: str = POLICY) -> Object:
        return next((each for each in self.status(name).get("workloads", []) if each["name"] == workload), {})

    def skips(self, workload: str = "victim", name: str = POLICY) -> list[str]:
        reasons: list[str] = self.workload(workload, name).get("skipped", {}).get("reasons", [])
        return reasons

    def explained(self, workload: str = "victim") -> str:
        """The output of `leakwarden explain` about a Deployment that leaks."""
        shell = provider().environment()
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "KUBECONFIG": shell.kubeconfig or ""}
        command = [sys.executable, "-m", "leakwarden", "explain", f"{self.namespace}/{workload}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1, f"explain ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def reports(self) -> list[Object]:
        """The LeakReports; none where the cluster does not have the kind."""
        return self._api.items(f"{POLICIES}/namespaces/{self.namespace}/leakreports")

    def events(self, reason: str = "") -> list[Object]:
        found = self._api.items(f"apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [each for each in found if reason in ("", each.get("reason"))]

    def evictions(self) -> list[Exchange]:
        """Evictions that the real server carried out, whether or not the operator got the answer."""
        return [each for each in self.api.log if each.path.endswith("/eviction") and each.status == 201]

    def evicted(self) -> list[str]:
        """UIDs of the pods, as the operator named them in its preconditions."""
        return [each.told["deleteOptions"]["preconditions"]["uid"] for each in self.evictions()]

    # Waiting

    def wait(self, what: str, look: Callable[[], T | NotYet], timeout: float = 60) -> T:
        return wait_until(f"{self.namespace}: {what}", look, timeout, interval=0.3, meanwhile=self._operator_lives)

    def _operator_lives(self) -> None:
        if not self.operator.lives or self.operator.runs:
            return
        if not self.restarted or self.operator.lives > 1:
            raise AssertionError(f"the operator ended by itself, in its life {self.operator.lives}")
        self.operator.start()

    def wait_for_condition(self, kind: str, value: str, *reasons: str, timeout: float = 60) -> Object:
        """Once the policy's condition has the value and one of the reasons (any, where none is given)."""

        def look() -> Object | NotYet:
            found = self.condition(kind)
            good = found.get("status") == value and (not reasons or found["reason"] in reasons)
            return found if good else NotYet(str(found))

        return self.wait(f"{kind}={value} {reasons}", look, timeout)

    def wait_for_skip(self, *reasons: str, workload: str = "victim", name: str = POLICY, timeout: float = 60) -> str:
        """Waits until one of the reasons is given for not acting, and returns it."""

        def look() -> str | NotYet:
            found = [reason for reason in self.skips(workload, name) if reason in reasons]
            return found[0] if found else NotYet(str(self.workload(workload, name)))

        return self.wait(f"{workload} to be skipped for {reasons}", look, timeout)

    def wait_for_action(self, workload: str = "victim", phase: str = "Done", timeout: float = 60) -> Object:
        """Once the newest action has the phase."""

        def look() -> Object | NotYet:
            found = self.actions(workload)
            if found and found[0]["phase"] == phase:
                return found[0]
            return NotYet(f"{found[:1]} {self.workload(workload)}")

        return self.wait(f"an action that is {phase}", look, timeout)

    def wait_for_ticks(self, number: int = 3, timeout: float = 60) -> None:
        """Waits for so many ticks: time enough for the operator to do all that it would do."""
        name = "leakwarden_tick_duration_seconds_count"
        failures = "leakwarden_tick_failures_total"

        def ticks() -> float:
            return self.operator.metric(name) + self.operator.metric(failures)

        counted = {"life": 0, "before": 0.0}

        def look() -> bool | NotYet:
            try:
                now = ticks()
            except OSError as error:
                return NotYet(str(error))
            if counted["life"] != self.operator.lives:
                counted.update(life=self.operator.lives, before=now)
            done = now - counted["before"]
            return True if done >= number else NotYet(f"{done:g} ticks")

        self.wait(f"{number} ticks", look, timeout)

    def assert_quiet(self, but: Sequence[str] = ()) -> None:
        """Nothing was evicted except these pods, by UID."""
        assert sorted(self.evicted()) == sorted(but), "what was evicted"

    def report(self) -> str:
        """The state that a person would look at."""
        begun = self.api.log[0].at if self.api.log else time.monotonic()
        recent = [
            f"{each.at - begun:7.2f} {each.method} {each.path} {'watch ' if each.is_watch else ''}-> {each.status}"
            for each in self.api.log[-40:]
        ]
        found = [f"== {self.namespace}", json.dumps(self.status(), indent=1)]
        for each in self.reports():
            found.append(json.dumps({"leakreport": each["metadata"]["name"], **each.get("status", {})}, indent=1))
        return "\n".join([*found, "== requests", *recent, "== log", self.operator.last_words(60)])
