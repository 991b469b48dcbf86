"""The operator as a process, between a fake API server and a fake Prometheus: exact verbs, exact queries."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from leakwarden.api.v1alpha1.signal import SignalType
from tests.integration.cluster.fake_api_objects import kubeconfig, service
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault, Request
from tests.integration.prometheus.fake_prometheus import FakePrometheus, prometheus, status
from tests.integration.prometheus.queries import limits_of, values_of

pytestmark = pytest.mark.slow

LIMIT_QUERY = limits_of(SignalType.DESCRIPTORS, "team")
VALUE_QUERY = values_of(SignalType.DESCRIPTORS, "team", bucket=5)
SIGNALS = [{"name": "descriptors", "type": "Descriptors", "threshold": {"above": "80%", "for": "10s"}}]


def policy(mode: str = "Enforce", name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": "leakwarden.dev/v1alpha1",
        "kind": "ReliabilityPolicy",
        "metadata": {"name": name, "namespace": "team", "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "mode": mode,
            "signals": SIGNALS,
            "audit": {"callEndpoints": False},
            # Evidence has tests of its own; here it would only add requests.
            "evidence": {"enabled": False},
            # A new pod does not count as warming up here, and neither does the operator's own start.
            "remediation": {"warmUp": "0s"},
        },
    }


def readings(server: FakePrometheus, by_pod: dict[str, float]) -> None:
    """The last two minutes of every pod, flat, against a limit of 200."""
    now = int(time.time() / 5) * 5
    for query, values in ((VALUE_QUERY, by_pod), (LIMIT_QUERY, dict.fromkeys(by_pod, 200.0))):
        server.series[query] = [
            (
                {"namespace": "team", "pod": pod, "container": "app"},
                [(float(now - 5 * k), str(value)) for k in range(24, -5, -1)],
            )
            for pod, value in values.items()
        ]


@asynccontextmanager
async def operator(
    directory: Path, api: FakeApiServer, source: FakePrometheus, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    sources = directory / "sources.yaml"
    sources.write_text(json.dumps({"prometheus": [{"name": "main", "url": source.url, "timeout": "2s"}]}))
    # A container's environment: our settings, without the variables of the user who runs the tests.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LEAKWARDEN_", "KUBE"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "leakwarden", "run",
        env={
            **clean,
            "HOME": str(directory),
            "LEAKWARDEN_KUBECONFIG": str(kubeconfig(directory, api.url)),
            "LEAKWARDEN_SOURCES_FILE": str(sources),
            "LEAKWARDEN_INTERVAL": "1s",
            "LEAKWARDEN_BUCKET": "5s",
            "LEAKWARDEN_LISTEN": "127.0.0.1:0",
            "LEAKWARDEN_ACTIONS": "EvictPod",
            "LEAKWARDEN_QUIET_AFTER_START": "0s",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition: Callable[[], object], what: str, patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {patience:g} s"
        await asyncio.sleep(0.05)


def world(api: FakeApiServer, mode: str = "Enforce") -> None:
    owner, _, _ = service(api, pods=2)
    owner["metadata"]["labels"] = {"app": "web"}
    api.put("deployments", owner)
    api.put("reliabilitypolicies", policy(mode))


def status_of(api: FakeApiServer, name: str = "web") -> dict[str, Any]:
    stored = api.get("reliabilitypolicies", "team", name) or {}
    found: dict[str, Any] = stored.get("status") or {}
    return found


def condition(api: FakeApiServer, kind: str) -> tuple[str, str]:
    for one in status_of(api).get("conditions", []):
        if one["type"] == kind:
            return one["status"], one["reason"]
    return "", ""


def message(api: FakeApiServer, kind: str) -> str:
    found: list[str] = [one["message"] for one in status_of(api).get("conditions", []) if one["type"] == kind]
    return found[0] if found else ""


async def test_a_leak_is_evicted_with_exact_requests_in_the_right_order(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        leaking = (api.get("pods", "team", "web-1-0") or {})["metadata"]["uid"]
        async with operator(tmp_path, api, source):
            await until(lambda: api.get("pods", "team", "web-1-0") is None, "the eviction")
            await until(lambda: status_of(api).get("actions", [{}])[0].get("phase") == "Done", "the outcome")
            told = {("PodEvicted", "Deployment"), ("PodEvicted", "ReliabilityPolicy")}
            await until(lambda: told <= {_event(r) for r in api.asked("POST", "/events")}, "Events")

        changes = [
            r for r in api.requests if r.method in ("POST", "PUT", "PATCH", "DELETE") and "/events" not in r.path
        ]
        (eviction,) = [r for r in changes if r.path.endswith("/eviction")]
        (creation,) = [r for r in changes if r.path.endswith("/leakreports")]
        intent, outcome = _around(changes, eviction)
        name = creation.body["metadata"]["name"]
        assert creation.body["spec"]["pod"]["uid"] == leaking
        assert "status" not in creation.body
        assert changes.index(creation) < changes.index(intent)
        assert eviction.path == "/api/v1/namespaces/team/pods/web-1-0/eviction"
        assert eviction.body["deleteOptions"]["preconditions"] == {"uid": leaking}
        for write in (intent, outcome):
            assert write.path == f"/apis/leakwarden.dev/v1alpha1/namespaces/team/leakreports/{name}/status"
            assert write.method == "PATCH"
            assert "apply-patch" in write.content_type
            assert write.query["fieldManager"] == "leakwarden"
            assert write.body["metadata"]["resourceVersion"]
        assert intent.body["status"]["actions"][0]["phase"] == "Pending"
        assert outcome.body["status"]["actions"][0]["phase"] == "Done"
        assert {r.method + " " + r.path.rsplit("/", 1)[1] for r in changes} == {
            "POST leakreports",
            "PATCH status",
            "POST eviction",
        }

        # One query per signal for all pods, one for its limits, and two that explain growth, for any number of
        # policies.
        asked = set(source.queries("/api/v1/query_range"))
        assert {query for query in asked if "http_requests_total" not in query and "gc_duration" not in query} == {
            VALUE_QUERY
        }
        assert len(asked) == 3
        assert set(source.queries("/api/v1/query")) == {LIMIT_QUERY}
        assert all(r.path.startswith("/apis/events.k8s.io/v1/") for r in api.asked("POST", "/events"))


def _event(request: Request) -> tuple[str, str]:
    return request.body["reason"], request.body["regarding"]["kind"]


def _around(changes: list[Request], middle: Request) -> tuple[Request, Request]:
    index = changes.index(middle)
    return changes[index - 1], changes[index + 1]


async def test_in_observe_mode_nothing_but_status_and_events_is_ever_written(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api, mode="Observe")
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        async with operator(tmp_path, api, source):
            await until(lambda: condition(api, "Healthy") == ("False", "LeakDetected"), "the verdict")
            await until(lambda: any(r.body["reason"] == "WouldAct" for r in api.asked("POST", "/events")), "WouldAct")
        written = {r.path.rsplit("/", 1)[1] for r in api.requests if r.method != "GET"}
        assert written == {"status", "events", "leakreports"}


@pytest.mark.parametrize("silent", [True, False], ids=["prometheus fails", "prometheus returns nothing"])
async def test_without_data_nothing_is_touched_and_the_condition_says_so(tmp_path: Path, silent: bool) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        source.fault = status(503) if silent else None
        async with operator(tmp_path, api, source):
            reason = "QueryFailed" if silent else "NoData"
            await until(lambda: condition(api, "MetricsAvailable") == ("False", reason), "the condition")
            asked = len(source.asked)
            await until(lambda: len(source.asked) > asked + 2, "further ticks")
        assert api.asked("POST", "/eviction") == []
        assert condition(api, "Healthy") == ("Unknown", "NotJudged")


async def test_killed_after_the_intent_and_started_again_it_does_not_act_twice(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        api.fail("POST", "/eviction", Fault(hang=True))
        async with operator(tmp_path, api, source) as first:
            await until(lambda: api.asked("POST", "/eviction"), "the attempt")
            first.kill()
            await first.wait()
        (report,) = api.all("leakreports")
        assert report["status"]["actions"][0]["phase"] == "Pending"
        assert report["status"]["phase"] == "Remediating"
        api.recover()
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        async with operator(tmp_path, api, source):
            await until(
                lambda: status_of(api).get("actions", [{}])[0].get("phase") == "Interrupted", "the record closed"
            )
            asked = len(source.asked)
            await until(lambda: len(source.asked) > asked + 4, "further ticks")
        assert len(api.asked("POST", "/eviction")) == 1


async def test_an_invalid_policy_is_a_condition_and_the_others_go_on(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        broken = policy(name="broken")
        broken["spec"]["signals"] = [{"name": "x", "type": "PromQL", "query": "sum(", "threshold": {"above": "1"}}]
        broken["spec"]["selector"] = {"matchLabels": {"app": "other"}}  # it keeps its last readable selection
        broken["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
        api.put("reliabilitypolicies", broken)
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        async with operator(tmp_path, api, source):
            await until(lambda: api.asked("POST", "/eviction"), "the other policy's eviction")
            await until(lambda: status_of(api, "broken").get("conditions"), "the condition")
        ready = status_of(api, "broken")["conditions"][0]
        assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "InvalidSpec")
        assert "spec.signals[0].query is 'sum('" in ready["message"]


async def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api, mode="Observe")
        readings(source, {"web-1-0": 20, "web-1-1": 20})
        async with operator(tmp_path, api, source) as process:
            await until(lambda: condition(api, "Healthy") == ("True", "NoLeak"), "the verdict")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LEAKWARDEN_INTERVAL", "often", "LEAKWARDEN_INTERVAL is 'often'"),
        ("LEAKWARDEN_ACTIONS", "Reboot", "LEAKWARDEN_ACTIONS is 'Reboot'"),
        ("LEAKWARDEN_SOURCES_FILE", "/nonexistent", "/nonexistent"),
        ("LEAKWARDEN_KUBECONFIG", "/nonexistent", "/nonexistent"),
    ],
)
async def test_a_wrong_setting_ends_in_one_clear_line_and_exit_code_2(
    tmp_path: Path, variable: str, value: str, said: str
) -> None:
    async with (
        FakeApiServer() as api,
        prometheus() as source,
        operator(tmp_path, api, source, **{variable: value}) as process,
    ):
        output, _ = await process.communicate()
    lines = [line for line in output.decode().splitlines() if not line.startswith("{")]
    assert process.returncode == 2
    assert len(lines) == 1
    assert said in lines[0]


async def test_without_the_right_to_reports_nothing_is_done_and_the_condition_names_it(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        api.fail("GET", "/leakreports", Fault(status=403), times=1_000_000)
        async with operator(tmp_path, api, source) as process:
            await until(lambda: condition(api, "Ready") == ("False", "RecordsUnavailable"), "the condition")
            assert "may not list leakreports.leakwarden.dev" in message(api, "Ready")
            asked = len(source.asked)
            await until(lambda: len(source.asked) > asked + 2, "further ticks")
            assert process.returncode is None
            assert api.asked("POST", "/eviction") == []
            # With the right given back it goes on by itself.
            api.recover()
            readings(source, {"web-1-0": 190, "web-1-1": 20})
            await until(lambda: api.asked("POST", "/eviction"), "the eviction", 60)


@pytest.mark.parametrize(
    ("method", "part", "right"),
    [
        ("POST", "/leakreports", "create leakreports"),
        ("PATCH", "/leakreports/", "patch leakreports.leakwarden.dev/status"),
    ],
    ids=["create", "write"],
)
async def test_without_the_right_to_write_reports_nothing_is_done_and_the_condition_names_it(
    tmp_path: Path, method: str, part: str, right: str
) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        api.fail(method, part, Fault(status=403), times=1_000_000)
        async with operator(tmp_path, api, source):
            await until(lambda: condition(api, "Ready") == ("False", "RecordsUnavailable"), "the condition")
            assert f"may not {right}" in message(api, "Ready")
        assert api.asked("POST", "/eviction") == []


async def test_where_the_reports_are_not_installed_it_says_so_and_goes_on_watching(tmp_path: Path) -> None:
    async with FakeApiServer() as api, prometheus() as source:
        world(api)
        readings(source, {"web-1-0": 190, "web-1-1": 20})
        api.fail("GET", "/leakreports", Fault(status=404), times=1_000_000)
        async with operator(tmp_path, api, source):
            await until(lambda: condition(api, "Ready") == ("False", "RecordsUnavailable"), "the condition")
            assert "apply the files in crds/" in message(api, "Ready")
            assert condition(api, "Healthy") == ("False", "LeakDetected")
        assert api.asked("POST", "/eviction") == []
