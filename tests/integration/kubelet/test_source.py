"""The kubelet source against TLS servers with cAdvisor's format, one loopback address per node."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from leakwarden.adapters.kubelet.source import KubeletSource
from leakwarden.api.v1alpha1.policy import SignalType
from leakwarden.core.model.readings import Answer, NoData, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.signals.queries import RSS, rss_queries

STEP = 60.0
START = 1_700_000_040.0  # a multiple of the step
WEB = SeriesKey("shop", "web-1", "app")
SECRET = "s3cr3t-of-the-kubelet"


def line(
    family: str, value: float, at: float | None, *, pod: str = "web-1", container: str = "app", extra: str = ""
) -> str:
    labels = f'container="{container}",id="/k/{pod}",image="i",name="n",namespace="shop",pod="{pod}"{extra}'
    return f"{family}{{{labels}}} {value:g}" + (f" {at * 1000:.0f}" if at is not None else "")


def descriptors(
    value: float, at: float | None, pod: str = "web-1", limit: float = 200, processes: float | None = 1
) -> str:
    """A container as cAdvisor exports it, with lines around it that have to be ignored."""
    return "\n".join(
        [
            "# HELP container_file_descriptors Number of open file descriptors for the container.",
            "# TYPE container_file_descriptors gauge",
            line("container_file_descriptors", 0, at, pod=pod, container=""),
            line("container_file_descriptors", 3, at, pod=pod, container="POD"),
            line("container_file_descriptors", value, at, pod=pod),
            "# TYPE container_ulimits_soft gauge",
            line("container_ulimits_soft", limit, at, pod=pod, extra=',ulimit="max_open_files"'),
            line("container_ulimits_soft", 7, at, pod=pod, extra=',ulimit="max_processes"'),
            *([] if processes is None else [line("container_processes", processes, at, pod=pod)]),
            "# TYPE container_fs_reads_total counter",
            line("container_fs_reads_total", 12, at, pod=pod),
        ]
    )


@dataclass
class Node:
    """One kubelet's answers, and the requests to it."""

    text: str = ""
    status: int = 200
    fault: Callable[[web.Request], Any] | None = None
    authorizations: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers.get("Authorization"))
        self.paths.append(request.path_qs)
        if self.fault is not None:
            response: web.StreamResponse = await self.fault(request)
            return response
        return web.Response(status=self.status, text=self.text if self.status == 200 else SECRET)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("kubelet")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=node"
        " -addext subjectAltName=IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3 -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    return directory


@dataclass
class Cluster:
    """Kubelets on one port of several loopback addresses, and the source that reads them."""

    nodes: dict[str, Node]
    port: int
    hosts: dict[str, str]
    source: KubeletSource
    certificate: Path

    def opened(self, **changes: Any) -> KubeletSource:
        async def token() -> str:
            return "Bearer t0ken"

        values: dict[str, Any] = {
            "hosts": lambda: self.hosts,
            "authorization": token,
            "tls": None,
            "insecure_skip_verify": True,
            "port": self.port,
            "timeout": 5.0,
        }
        return KubeletSource(**{**values, **changes})

    async def read(self, kind: SignalType = SignalType.DESCRIPTORS, *, since: float = START, now: float) -> Answer:
        return await read(self.source, kind, since=since, now=now)


async def read(
    source: KubeletSource, kind: SignalType = SignalType.DESCRIPTORS, *, since: float = START, now: float
) -> Answer:
    row = CATALOGUE[kind]
    query = Query(str(kind), row.value, row.limit, frozenset({"shop"}))
    return (await source.read([query], since, now, STEP))[query.key]


@pytest.fixture
async def cluster(certificate: Path) -> AsyncIterator[Cluster]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    nodes = {"node-1": Node(), "node-2": Node()}
    async with contextlib.AsyncExitStack() as stack:
        port = 0
        for address, node in zip(("127.0.0.1", "127.0.0.2"), nodes.values(), strict=True):
            app = web.Application()
            app.router.add_get("/{path:.*}", node.answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, address, port, ssl_context=context)
            await site.start()
            port = port or int(runner.addresses[0][1])
        held = Cluster(nodes, port, {"node-1": "127.0.0.1"}, None, certificate)  # type: ignore[arg-type]
        held.source = held.opened()
        stack.push_async_callback(held.source.close)
        yield held


async def test_a_container_is_read_with_its_limit_and_nothing_around_it(cluster: Cluster) -> None:
    node = cluster.nodes["node-1"]
    node.text = descriptors(10, START + 50)
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, Sampled), answer
    assert set(answer.series) == {WEB}
    assert (answer.series[WEB].t.tolist(), answer.series[WEB].v.tolist()) == ([START + STEP], [10])
    assert answer.limits == {WEB: 200}
    assert node.paths == ["/metrics/cadvisor"]
    assert node.authorizations == ["Bearer t0ken"]


async def test_memory_is_read_with_the_part_of_it_that_cannot_be_taken_back(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = "\n".join(
        [
            line("container_memory_rss", 9e8, START + 50, container=""),  # of the whole pod
            line("container_memory_rss", 3e8, START + 50),
            line("container_memory_working_set_bytes", 8e8, START + 50),
        ]
    )
    row = CATALOGUE[SignalType.WORKING_SET]
    asked = [Query("WorkingSet", row.value, row.limit, frozenset({"shop"}))]
    asked += rss_queries(asked)
    answers = await cluster.source.read(asked, START, START + 61, STEP)

    found = {key: answer.series[WEB].v.tolist() for key, answer in answers.items() if isinstance(answer, Sampled)}
    assert found == {"WorkingSet": [8e8], RSS: [3e8]}
    assert answers[RSS].limits == {}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "processes"),
    [
        (150, 2),  # a Go service below tini
        (190, 33),  # nginx with 32 workers
        (150, None),  # their number is not exported
        (250, 1),  # more than the limit allows one process to have
    ],
)
async def test_descriptors_of_several_processes_have_no_limit(
    cluster: Cluster, value: float, processes: float | None
) -> None:
    """The kubelet adds up the descriptors of all processes, and exports the limit of the first one."""
    cluster.nodes["node-1"].text = descriptors(value, START + 50, processes=processes)
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, Sampled), answer
    assert answer.series[WEB].v.tolist() == [value]
    assert answer.limits == {}


async def test_a_bucket_holds_the_floor_of_what_was_seen_in_it(cluster: Cluster) -> None:
    for at, value in ((10, 30), (25, 12), (40, 55), (70, 80), (100, 60)):
        cluster.nodes["node-1"].text = descriptors(value, START + at)
        await cluster.read(now=START + at + 2)
    answer = await cluster.read(now=START + 121)
    assert isinstance(answer, Sampled)
    assert answer.series[WEB].v.tolist() == [12, 60]
    assert answer.series[WEB].t.tolist() == [START + 60, START + 120]


async def test_a_bucket_that_has_not_ended_is_no_reading_yet(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 20)
    answer = await cluster.read(now=START + 30)
    assert answer == NoData("WarmingUp", "the first readings are complete in 60s at the latest")


async def test_a_sample_that_reaches_us_late_is_given_when_it_does(cluster: Cluster) -> None:
    node = cluster.nodes["node-1"]
    node.text = descriptors(10, START + 10)
    await cluster.read(now=START + 61)
    # Two minutes pass without a new sample of cAdvisor; its next sample lies before the last read.
    await cluster.read(since=START + 61, now=START + 181)
    node.text = descriptors(20, START + 170)
    answer = await cluster.read(since=START + 181, now=START + 200)
    assert isinstance(answer, Sampled)
    assert (answer.series[WEB].t.tolist(), answer.series[WEB].v.tolist()) == ([START + 180], [20])


async def test_a_sample_that_is_repeated_is_no_new_reading(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 50)
    await cluster.read(now=START + 61)
    answer = await cluster.read(since=START + 61, now=START + 200)
    assert answer == Sampled(series={}, limits={WEB: 200})


async def test_what_has_no_time_of_its_own_was_now(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, None)
    await cluster.read(now=START + 50)
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, Sampled)
    assert answer.series[WEB].t.tolist() == [START + 60]


async def test_a_node_whose_clock_is_far_ahead_is_not_believed(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 4000)
    assert isinstance(await cluster.read(now=START + 61), NoData)


async def test_a_container_that_is_gone_is_forgotten(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 50)
    await cluster.read(now=START + 61)
    cluster.nodes["node-1"].text = ""
    answer = await cluster.read(now=START + 700)
    assert answer == NoData("NoSeries", "the kubelets export it for no pod of these namespaces")


async def test_pods_of_other_namespaces_are_left_out(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 50).replace("shop", "elsewhere")
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, NoData)
    assert answer.reason == "NoSeries"


@pytest.mark.parametrize("kind", [kind for kind, row in CATALOGUE.items() if row.kubelet is None])
async def test_what_the_kubelet_does_not_know_is_named_with_what_would_help(cluster: Cluster, kind: SignalType) -> None:
    answer = await cluster.read(kind, now=START + 61)
    assert answer == NoData("NotExported", f"the kubelets do not export it: {CATALOGUE[kind].fix}")


async def test_promql_and_alerts_need_a_prometheus(cluster: Cluster) -> None:
    query = Query("Alert/shop/1", 'ALERTS{namespace="shop"}', None, frozenset({"shop"}), confined=True)
    answer = (await cluster.source.read([query], START, START + 61, STEP))[query.key]
    assert isinstance(answer, NoData)
    assert answer.reason == "NotExported"


async def test_a_constant_zero_is_not_measured(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(0, START + 50)
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, NoData)
    assert answer.reason == "ConstantZero"


async def test_one_zero_among_measured_pods_is_no_reading(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = (
        descriptors(10, START + 50) + "\n" + line("container_file_descriptors", 0, START + 50, pod="web-2")
    )
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, Sampled)
    assert set(answer.series) == {WEB}


@pytest.mark.parametrize("limit", [0, 2.0**63, float("inf")])
async def test_a_limit_that_says_there_is_none_is_none(cluster: Cluster, limit: float) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 50, limit=limit)
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, Sampled)
    assert answer.limits == {}


async def test_signals_of_one_tick_share_one_scrape(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 50)
    await cluster.read(SignalType.DESCRIPTORS, now=START + 61)
    await cluster.read(SignalType.WORKING_SET, now=START + 61)
    assert len(cluster.nodes["node-1"].paths) == 1


async def test_a_node_that_fails_does_not_hide_the_others(cluster: Cluster) -> None:
    cluster.hosts = {"node-1": "127.0.0.1", "node-2": "127.0.0.2", "node-3": "127.0.0.3"}  # no server listens there
    cluster.nodes["node-1"].status = 500
    cluster.nodes["node-2"].text = descriptors(10, START + 50, pod="web-2")
    answer = await cluster.read(now=START + 61)
    assert isinstance(answer, Sampled)
    assert set(answer.series) == {SeriesKey("shop", "web-2", "app")}


async def forever(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def elsewhere(_: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": f"https://127.0.0.2/{SECRET}"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 65536)
            await asyncio.sleep(0)
    return response


@pytest.mark.parametrize(
    ("status", "fault", "reason", "says"),
    [
        (401, None, "Unauthorized", "the service account needs get on nodes/metrics"),
        (403, None, "Unauthorized", "the service account needs get on nodes/metrics"),
        (500, None, "ServerError", "HTTP 500"),
        (404, None, "ServerError", "HTTP 404"),
        (302, elsewhere, "ServerError", "HTTP 302"),
        (200, forever, "Timeout", "did not answer within 0.5s"),
        (200, endless, "TooLarge", "larger than 1 MiB"),
    ],
)
async def test_where_every_node_fails_the_failure_says_why_and_nothing_of_the_kubelets(
    cluster: Cluster, status: int, fault: Any, reason: str, says: str
) -> None:
    node = cluster.nodes["node-1"]
    node.status, node.fault = status, fault
    source = cluster.opened(timeout=0.5, max_bytes=1 << 20)
    answer = await read(source, now=START + 61)
    await source.close()
    assert isinstance(answer, QueryFailed), answer
    assert answer.reason == reason
    assert answer.message.startswith("the kubelet of node node-1: ")
    assert says in answer.message
    assert SECRET not in answer.message
    assert len(node.paths) == 1
    assert cluster.nodes["node-2"].paths == []


async def test_what_is_no_metrics_is_a_bad_response(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = 'container_sockets{namespace="shop",pod="p",container="c"} many\n'
    answer = await cluster.read(SignalType.SOCKETS, now=START + 61)
    assert answer == QueryFailed("BadResponse", "the kubelet of node node-1: its answer is no metrics")


async def test_where_no_pod_runs_anywhere_no_kubelet_is_asked(cluster: Cluster) -> None:
    cluster.hosts = {}
    answer = await cluster.read(now=START + 61)
    assert answer == NoData("NoSeries", "no pod of the targets runs on a node")


async def test_a_token_that_cannot_be_had_is_a_failure_and_no_exception(cluster: Cluster) -> None:
    async def missing() -> str:
        raise OSError(SECRET)

    source = cluster.opened(authorization=missing)
    answer = await read(source, now=START + 61)
    assert isinstance(answer, QueryFailed)
    assert SECRET not in answer.message


async def test_a_kubelet_is_believed_by_its_certificate_where_that_is_asked_for(cluster: Cluster) -> None:
    cluster.nodes["node-1"].text = descriptors(10, START + 50)
    known = ssl.create_default_context(cafile=str(cluster.certificate / "cert.pem"))
    answers = []
    for context in (known, ssl.create_default_context()):
        source = cluster.opened(insecure_skip_verify=False, tls=context)
        answers.append(await read(source, now=START + 61))
        await source.close()
    assert isinstance(answers[0], Sampled)
    assert answers[1] == QueryFailed("Unreachable", "the kubelet of node node-1: its certificate is not one we trust")
    assert len(cluster.nodes["node-1"].authorizations) == 1, "the token went to nobody else"
