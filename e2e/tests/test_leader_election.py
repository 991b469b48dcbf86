"""Leaders killed, stopped and ended by SIGTERM, on a real API server: the next one leads in time, and no two ever
act."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.progress import say
from e2e.harness.contender import LEASE, MARK
from e2e.harness.images import ensure_cluster
from e2e.harness.kube import apply, existing, kubectl, provider
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack.manifests import namespace as namespace_manifest

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "contender"
SHOWN = r"jsonpath={.spec.template.metadata.annotations.kubectl\.kubernetes\.io/restartedAt}{'\n'}"
# Seconds from the end of a leader to the first change of the next one, generous to a busy machine: measured were 14 to
# 16 after a crash and 1 to 2 after a release, which must be less than the 15 that the Lease would have lasted.
AFTER_A_CRASH = 40.0
AFTER_A_GOODBYE = 12.0
SLEEP = 30.0


@dataclass(frozen=True)
class Line:
    at: float  # monotonic s
    word: str
    details: str


class Contender:
    """A process that always tries to act, and its output."""

    def __init__(self, name: str, namespace: str, kubeconfig: Path, directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "e2e.harness.contender", namespace, name],
                cwd=ROOT,
                env={**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": f"{ROOT / 'operator'}"},
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def lines(self, word: str = "") -> list[Line]:
        found = []
        for text in self.log.read_text(errors="replace").splitlines():
            parts = text.split(" ", 2)
            if re.fullmatch(r"[0-9.]+", parts[0]) and len(parts) > 1 and word in ("", parts[1]):
                found.append(Line(float(parts[0]), parts[1], parts[2] if len(parts) > 2 else ""))
        return found

    def send(self, number: int) -> float:
        """Send the process a signal; returns the time, in monotonic seconds."""
        at = time.monotonic()
        self.process.send_signal(number)
        return at

    def first_act_after(self, moment: float, within: float) -> float:
        """Seconds from `moment` until its first change was confirmed. Raises TimedOut."""

        def look() -> float | NotYet:
            acts = [line.at for line in self.lines("done") if line.at > moment]
            return acts[0] - moment if acts else NotYet(self.log.read_text(errors="replace")[-400:])

        return wait_until(f"{self.name} to act", look, within + 40, interval=0.2)

    def end(self) -> int:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(30)


@dataclass
class Scene:
    namespace: str
    kubeconfig: Path
    directory: Path
    contenders: list[Contender]
    watch: Path

    def contender(self, name: str) -> Contender:
        made = Contender(name, self.namespace, self.kubeconfig, self.directory)
        self.contenders.append(made)
        return made

    def leader(self, name: str) -> Contender:
        """A contender that acts, from any state of the Lease."""
        made = self.contender(name)
        made.first_act_after(0.0, 60)
        return made

    def standby(self, name: str) -> Contender:
        """A contender that tries, and is refused by its fence."""
        made = self.contender(name)
        wait_until(f"{name} to try", lambda: True if made.lines("refused") else NotYet("nothing yet"), 60)
        return made

    def transitions(self) -> int:
        return int(existing("lease", LEASE, self.namespace)["spec"]["leaseTransitions"])

    def order_of_writers(self) -> list[str]:
        """Whose changes the API server showed, one after the other, each change of the writer once."""
        writers = [text.split("-")[0] for text in self.watch.read_text().splitlines() if "-" in text]
        return [who for number, who in enumerate(writers) if number == 0 or writers[number - 1] != who]


@pytest.fixture(scope="module")
def cluster() -> None:
    ensure_cluster()


@pytest.fixture
def scene(cluster: None, tmp_path: Path) -> Iterator[Scene]:
    namespace = f"e2e-leader-{os.urandom(3).hex()}"
    apply(namespace_manifest(namespace))
    apply(_deployment(namespace))
    kubeconfig = _account(namespace, tmp_path)
    watch = tmp_path / "watch"
    made = Scene(namespace, kubeconfig, tmp_path, [], watch)
    with watch.open("wb") as sink:
        watching = subprocess.Popen(
            [_kubectl(), "get", "deployment", MARK, "-n", namespace, "-w", "-o", SHOWN],
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdout=sink,
        )
    try:
        yield made
    finally:
        for contender in made.contenders:
            if contender.process.poll() is None:
                contender.end()
        watching.terminate()
        watching.wait(10)
        kubectl("delete", "namespace", namespace, "--wait=false")


def _kubectl() -> str:
    """For a process of our own, since a watch goes on; the cluster may have brought its kubectl along."""
    programs = provider().environment().programs
    found = shutil.which("kubectl", path=f"{programs or ''}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found is not None
    return found


def _deployment(namespace: str) -> dict[str, object]:
    """Paused and without replicas: changes of its template have no effect."""
    container = {"name": "none", "image": "localhost/none:1"}
    template = {"metadata": {"labels": {"app": MARK}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": MARK, "namespace": namespace},
        "spec": {"replicas": 0, "paused": True, "selector": {"matchLabels": {"app": MARK}}, "template": template},
    }


def _account(namespace: str, directory: Path) -> Path:
    """A kubeconfig of an account that may do on Leases what the election needs, and no more."""
    rules = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch", "patch"]},
    ]
    named = {"name": ACCOUNT, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    apply(
        [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": named, "rules": rules},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": named,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
                "subjects": [{"kind": "ServiceAccount", **named}],
            },
        ]
    )
    token = kubectl("create", "token", ACCOUNT, "-n", namespace, "--duration=1h").strip()
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


def test_a_leader_that_is_killed_is_followed_once_its_lease_has_run_out(scene: Scene) -> None:
    leader = scene.leader("first")
    successor = scene.standby("second")
    before = scene.transitions()
    killed = leader.send(signal.SIGKILL)
    seconds = successor.first_act_after(killed, AFTER_A_CRASH)
    say(f"the first change of the next leader came {seconds:.1f} s after kill -9")
    assert seconds < AFTER_A_CRASH
    assert scene.transitions() == before + 1
    assert scene.order_of_writers() == ["first", "second"]


def test_a_leader_that_is_asked_to_end_hands_over_before_its_lease_has_run_out(scene: Scene) -> None:
    leader = scene.leader("first")
    successor = scene.standby("second")
    asked = leader.send(signal.SIGTERM)
    seconds = successor.first_act_after(asked, AFTER_A_GOODBYE)
    say(f"the first change of the next leader came {seconds:.1f} s after SIGTERM")
    assert leader.process.wait(30) == 0
    assert seconds <= AFTER_A_GOODBYE
    assert [line for line in leader.lines("done") if line.at > successor.lines("leading")[0].at] == []
    assert scene.order_of_writers() == ["first", "second"]


def test_a_leader_that_slept_changes_nothing_when_it_wakes_and_ends(scene: Scene) -> None:
    leader = scene.leader("first")
    successor = scene.standby("second")
    stopped = leader.send(signal.SIGSTOP)
    seconds = successor.first_act_after(stopped, AFTER_A_CRASH)
    say(f"the first change of the next leader came {seconds:.1f} s after SIGSTOP")
    time.sleep(max(SLEEP - (time.monotonic() - stopped), 0.0))
    woken = leader.send(signal.SIGCONT)
    assert leader.process.wait(60) == 1
    # It went on trying for some seconds; a change it had begun before it fell asleep may have been made then.
    tried = [line for line in leader.lines() if line.word in ("done", "refused") and _began(line) > woken]
    assert len(tried) > 5, leader.log.read_text()
    assert [line for line in tried if line.word == "done"] == []
    assert leader.lines("lost") != []
    assert successor.first_act_after(time.monotonic(), 5) > 0
    assert scene.order_of_writers() == ["first", "second"], "the sleeper's changes never came after its successor's"


def _began(line: Line) -> float:
    return float(line.details.split()[1])
