"""From a request to the evidence of a LeakReport: a real capture from a pod of an API server."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from leakwarden.adapters.evidence.pools import Pools
from leakwarden.adapters.evidence.pprof import PprofClient
from leakwarden.adapters.evidence.profiler import EvidenceProfiler
from leakwarden.adapters.evidence.store import NotStored, Nowhere, Store
from leakwarden.adapters.evidence.volume import Volume
from leakwarden.adapters.evidence.ways import Straight
from leakwarden.api.v1alpha1.evidence import Evidence
from leakwarden.api.v1alpha1.evidence_reasons import EvidenceReason
from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.core.model.readings import Answer, NoData, Points, Query, Sampled, SeriesKey
from leakwarden.engine.ports import CaptureRequest, Profiler
from tests.builders import NOW, pod, workload
from tests.integration.cluster.fake_api_objects import session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.integration.evidence.test_capture import Handler, service, serving
from tests.profiles.building import VERSIONS, archived

POD = pod()


class Refusing:
    async def keep(self, report: str, profiles: Mapping[str, bytes]) -> Mapping[str, str]:
        raise NotStored("the bucket answered with 403")


class Prometheus:
    """A source with the given series."""

    name, kind, pod_labels = "main", "Prometheus", ("namespace", "pod")

    def __init__(self, **series: Sequence[float]) -> None:
        self.series = {f"pool/{key.replace('_', '-')}": values for key, values in series.items()}
        self.limit: float | None = 50.0

    async def read(self, queries: Sequence[Query], since: float, now: float, step: float) -> Mapping[str, Answer]:
        return {query.key: self._answer(query, now, step) for query in queries}

    def _answer(self, query: Query, now: float, step: float) -> Answer:
        values = self.series.get(query.key)
        if values is None:
            return NoData("NoSeries", "nothing")
        times = now - step * np.arange(len(values), dtype=np.float64)[::-1]
        key = SeriesKey("shop", POD.name)
        limits = {key: self.limit} if query.limit is not None and self.limit is not None else {}
        return Sampled({key: Points(times, np.asarray(values, dtype=np.float64))}, limits)


@dataclass
class Scene:
    api: FakeApiServer
    profiler: EvidenceProfiler
    port: int
    asked: list[str]
    now: float = NOW
    requests: dict[str, Any] = field(default_factory=dict)

    async def capture(self, evidence: Mapping[str, Any] | None = None, **changes: Any) -> EvidenceStatus:
        spec = Evidence.model_validate({"port": self.port, **(evidence or {})})
        values = {"goroutines": 900.0, **changes}
        return await self.profiler.capture(
            CaptureRequest("shop/api-1-abc", workload(), POD, "app", spec, "Goroutines", **values)
        )


@asynccontextmanager
async def scene(
    tmp_path: Path,
    answer: Handler | None = None,
    *,
    store: Store | None = None,
    pool: Mapping[str, Sequence[float]] | None = None,
) -> AsyncIterator[Scene]:
    asked: list[str] = []
    answer = answer or service("send_first", asked=asked)
    source = Prometheus(**(pool or {}))
    async with (
        FakeApiServer() as api,
        session_to(api, tmp_path) as session,
        serving(answer) as port,
        # The pods of these tests have loopback addresses.
        Straight(refuse=lambda _: "") as way,
    ):
        put(api)
        client = PprofClient(way, timeout=5.0, pause=0.01)
        made = Scene(api, None, port, asked)  # type: ignore[arg-type]
        made.profiler = EvidenceProfiler(
            session, client, store or Nowhere(), Pools({"main": source}, source, 60.0), lambda: made.now
        )
        port_of: Profiler = made.profiler  # it is one
        assert port_of
        yield made


def put(api: FakeApiServer, annotations: Mapping[str, str] | None = None, ports: Any = (), uid: str = POD.uid) -> None:
    api.put(
        "pods",
        {
            "metadata": {"name": POD.name, "namespace": "shop", "uid": uid, "annotations": dict(annotations or {})},
            "spec": {"containers": [{"name": "app", "ports": list(ports)}]},
            "status": {"phase": "Running", "podIP": "127.0.0.1", "hostIP": "192.0.2.1"},
        },
    )


async def test_the_leaking_line_is_named_with_its_rate_the_explanation_and_the_profiles(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        status = await here.capture()
    assert (status.state, status.reason, status.message) == (EvidenceState.CAPTURED, "", "")
    suspect = status.suspects[0]
    assert (suspect.shape, suspect.function, suspect.confidence) == ("ChannelSend", "main.first.func1", "High")
    assert suspect.line > 0
    assert suspect.per_second is not None
    assert suspect.per_second > 0
    assert "channel send that nobody receives" in suspect.explanation
    assert "Usual fix: " in suspect.explanation
    assert status.summary.startswith(f"{suspect.count} goroutines at main.first.func1 (main.go:{suspect.line}), +")
    assert [each.kind for each in status.profiles] == ["goroutine", "heap", "goroutine", "heap", "goroutineleak"]
    assert all(each.location == "" and len(each.sha256) == 64 for each in status.profiles)


async def test_a_healthy_service_has_profiles_and_no_suspects(tmp_path: Path) -> None:
    async with scene(tmp_path, service("healthy_cache")) as here:
        status = await here.capture()
    assert (status.state, status.suspects) == (EvidenceState.CAPTURED, [])
    assert status.summary.startswith("nothing grew: goroutines ")


async def test_a_go_without_the_leak_profile_has_given_all_there_is(tmp_path: Path) -> None:
    async with scene(tmp_path, service("send_first", VERSIONS[0])) as here:
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.CAPTURED, "")
    assert len(status.profiles) == 4


async def test_where_the_profiles_are_kept_stands_beside_each(tmp_path: Path) -> None:
    async with scene(tmp_path, store=Volume(tmp_path / "kept", 1 << 24, 3600)) as here:
        status = await here.capture()
    for each in status.profiles:
        data = (tmp_path / "kept" / each.location).read_bytes()
        assert hashlib.sha256(data).hexdigest() == each.sha256
        assert len(data) == each.bytes
        assert each.location.startswith("shop/api-1-abc/")


async def test_profiles_that_could_not_be_kept_are_told_with_their_suspects(tmp_path: Path) -> None:
    async with scene(tmp_path, store=Refusing()) as here:
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.CAPTURED, EvidenceReason.NOT_STORED)
    assert "403" in status.message
    assert status.suspects


async def test_the_port_is_the_pods_annotation_or_a_named_one(tmp_path: Path) -> None:
    body = archived(VERSIONS[-1])["send_first/goroutine-1.pb"]
    async with scene(tmp_path, answering(200, body)) as here:
        for annotations, ports in [
            ({"leakwarden.dev/pprof-port": str(here.port)}, []),
            ({}, [{"name": "http", "containerPort": 1}, {"name": "pprof", "containerPort": here.port}]),
            ({}, [{"name": "debug", "containerPort": here.port}]),
        ]:
            put(here.api, annotations, ports)
            here.now += 3600
            # This pod answers every request with goroutines.
            assert (await here.capture({"port": None})).profiles


@pytest.mark.parametrize("ports", [[], [{"name": "http", "containerPort": 6060}], [{"containerPort": 6060}]])
async def test_a_port_is_never_guessed(tmp_path: Path, ports: list[Any]) -> None:
    async with scene(tmp_path) as here:
        put(here.api, ports=ports)
        status = await here.capture({"port": None})
    assert (status.state, status.reason) == (EvidenceState.SKIPPED, EvidenceReason.NO_PORT)
    assert "leakwarden.dev/pprof-port" in status.message
    assert here.asked == []


async def test_an_annotation_that_is_no_port_is_told_and_no_other_port_taken(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        ports = [{"name": "pprof", "containerPort": here.port}]
        for text in ("", "http", "0", "65536", "99999999999", "-1", "6060 ", "٦٠٦٠"):
            put(here.api, {"leakwarden.dev/pprof-port": text}, ports)
            status = await here.capture({"port": None})
            assert (status.reason, here.asked) == (EvidenceReason.NO_PORT, [])


async def test_a_deployment_is_asked_once_a_cooldown(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.capture()).state is EvidenceState.CAPTURED
        asked = len(here.asked)
        here.now += 599
        status = await here.capture()
        assert (status.state, status.reason) == (EvidenceState.SKIPPED, EvidenceReason.COOLDOWN)
        assert len(here.asked) == asked
        here.now += 1
        assert (await here.capture()).reason != EvidenceReason.COOLDOWN


async def test_evidence_that_a_policy_declines_is_not_taken(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        status = await here.capture({"enabled": False})
    assert (status.state, status.reason) == (EvidenceState.SKIPPED, EvidenceReason.DISABLED)
    assert (here.asked, here.api.asked("GET")) == ([], [])


async def test_a_pod_that_was_replaced_meanwhile_is_not_asked(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        put(here.api, uid="another")
        replaced = await here.capture()
        here.api.delete("pods", "shop", POD.name)
        gone = await here.capture()
    assert [s.reason for s in (replaced, gone)] == [EvidenceReason.POD_GONE] * 2
    assert [s.state for s in (replaced, gone)] == [EvidenceState.FAILED] * 2
    assert here.asked == []


async def test_an_api_server_that_refuses_is_a_reason(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.api.fail("GET", "/pods/", Fault(status=403, message="a-secret of the server"))
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.FAILED, EvidenceReason.POD_UNREAD)
    assert "secret" not in status.message


def answering(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (answering(403, b"token=hunter2"), EvidenceReason.FORBIDDEN),
        (answering(302, headers={"Location": "http://169.254.169.254/hunter2"}), EvidenceReason.REDIRECT),
        (answering(500, b"hunter2"), EvidenceReason.STATUS),
        (answering(404, b"hunter2"), EvidenceReason.ABSENT),
        (answering(200, b"hunter2" * 100), EvidenceReason.UNREADABLE),
    ],
)
async def test_what_a_pod_refuses_with_is_a_reason_and_its_words_stay_out(
    tmp_path: Path, answer: Handler, reason: EvidenceReason
) -> None:
    async with scene(tmp_path, answer) as here:
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.FAILED, reason)
    assert "hunter2" not in status.model_dump_json()
    assert status.message


async def test_a_profile_of_another_kind_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    inner = service("send_first")

    async def heaps(request: web.Request) -> web.StreamResponse:
        return await inner(request.clone(rel_url=request.rel_url.with_path("/debug/pprof/heap")))

    async with scene(tmp_path, heaps) as here:
        status = await here.capture()
    assert status.reason == EvidenceReason.UNREADABLE
    assert {each.kind for each in status.profiles} <= {"heap"}


async def test_a_heap_that_fails_leaves_a_part(tmp_path: Path) -> None:
    inner = service("send_first")

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=404) if request.path.endswith("/heap") else await inner(request)

    async with scene(tmp_path, answer) as here:
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.PARTIAL, EvidenceReason.ABSENT)
    assert status.message.startswith("heap-1: ")
    assert status.suspects[0].function == "main.first.func1"


async def test_a_defect_is_a_state_and_not_an_exception(tmp_path: Path) -> None:
    class Broken:
        async def keep(self, report: str, profiles: Mapping[str, bytes]) -> Mapping[str, str]:
            raise RuntimeError("a-secret")

    async with scene(tmp_path, store=Broken()) as here:
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.FAILED, EvidenceReason.DEFECT)
    assert "a-secret" not in status.message


GROWING = [float(n) for n in range(60)]
FLAT = [100.0] * 60


@pytest.mark.parametrize(
    ("queries", "says"),
    [(FLAT, "rows or transactions are not closed"), ([10.0 + n for n in range(60)], "growing with")],
)
async def test_the_pool_is_told_in_one_line_and_accused_only_at_a_flat_rate(
    tmp_path: Path, queries: Sequence[float], says: str
) -> None:
    numbers = {
        "in_use": [n * 0.6 for n in GROWING],
        "open": FLAT,
        "idle": [3.0] * 60,
        "waits": GROWING,
        "expired": [0.0] * 59 + [7.0],
        "queries": queries,
    }
    async with scene(tmp_path, pool=numbers) as here:
        status = await here.capture()
    assert says in status.pool
    assert "in use of at most 50, 100 open, 3 idle, 59 waits and 7 closed for their lifetime within 59m" in status.pool
    assert len(status.pool.splitlines()) == 1


async def test_where_queries_are_not_counted_the_requests_stand_for_them(tmp_path: Path) -> None:
    async with scene(tmp_path, pool={"in_use": [n * 0.6 for n in GROWING], "requests": FLAT}) as here:
        status = await here.capture()
    assert "while the rate of requests went" in status.pool


async def test_a_service_without_a_pool_has_no_line_of_one(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.capture()).pool == ""


async def test_a_source_that_breaks_does_not_stand_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(tmp_path) as here:
        broken: Callable[..., Any] = lambda *_: (_ for _ in ()).throw(RuntimeError())  # noqa: E731
        monkeypatch.setattr(Prometheus, "read", broken)
        status = await here.capture()
    assert (status.state, status.pool) == (EvidenceState.CAPTURED, "")


async def test_a_policys_own_source_is_the_one_that_is_asked(tmp_path: Path) -> None:
    async with scene(tmp_path, pool={"in_use": GROWING}) as here:
        assert (await here.capture(source="main")).pool
        here.now += 3600
        assert (await here.capture(source="unknown")).pool == ""


async def test_in_the_hosts_network_nothing_is_asked(tmp_path: Path) -> None:
    async with scene(tmp_path) as here, Straight() as way:
        here.profiler = replace(here.profiler, client=PprofClient(way))
        status = await here.capture()
    assert (status.state, status.reason) == (EvidenceState.FAILED, EvidenceReason.ADDRESS)
    assert here.asked == []
