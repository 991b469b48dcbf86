"""`leakwarden backtest --prometheus` against a server that checks exact queries, from the request to the exit code."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.cli.backtest import command as backtest
from leakwarden.cli.backtest import prometheus as backtest_prometheus
from leakwarden.cli.backtest.policy import load
from leakwarden.cli.backtest.prometheus import Read
from leakwarden.cli.backtest.questions import Questions
from leakwarden.cli.errors import InputUnreadable
from leakwarden.core.detection.recording import Series
from tests.builders import policy
from tests.integration.prometheus.fake_prometheus import SECRET, FakePrometheus, prometheus, status
from tests.integration.prometheus.queries import limits_of, values_of

STEP = 60
SPAN = 7200
# The present time, because the command itself reads the clock; a multiple of the step, so that there is a reading at
# each step.
END = int(time.time()) // STEP * STEP
BEGIN = END - SPAN
POD = {"namespace": "shop", "pod": "cart-7d9f8b6c5d-x2k4z", "container": "app"}

FDS = values_of(SignalType.DESCRIPTORS, "shop")
FDS_LIMIT = limits_of(SignalType.DESCRIPTORS, "shop", max_age=7260)
HEAP = values_of(SignalType.HEAP, "shop")
MEMORY = (
    'last_over_time(kube_pod_container_resource_limits{resource="memory",namespace="shop"}[7260s])'
    " or on (namespace, pod, container) last_over_time("
    'container_spec_memory_limit_bytes{container!="",container!="POD",namespace="shop"}[7260s])'
)
START = 'max by (namespace, pod, container) (last_over_time(process_start_time_seconds{namespace="shop"}[60s]))'
CYCLES = 'max by (namespace, pod, container) (last_over_time(go_gc_duration_seconds_count{namespace="shop"}[60s]))'
RATE = " or on (namespace, pod) ".join(
    f'sum by (namespace, pod) (rate({name}{{namespace="shop"}}[240s]))'
    for name in (
        "http_requests_total", "http_request_duration_seconds_count", "http_server_request_duration_seconds_count",
        "http_server_requests_seconds_count", "grpc_server_handled_total",
    )
)  # fmt: skip
PODS = 'last_over_time(kube_pod_owner{namespace="shop"}[7260s])'
SETS = 'last_over_time(kube_replicaset_owner{owner_kind="Deployment",namespace="shop"}[7260s])'


@pytest.fixture
async def fake() -> AsyncIterator[FakePrometheus]:
    async with prometheus() as server:
        server.series["vector(1)"] = [({}, [(END, "1")])]
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest_prometheus, "_PAUSES", (0.01, 0.01))


def every(value: Any) -> list[tuple[float, str]]:
    """One reading per minute; `value` is a number, or a function of the minute."""
    return [(t, str(value(i) if callable(value) else value)) for i, t in enumerate(range(BEGIN + STEP, END + 1, STEP))]


def leak(minute: int) -> int:
    """A leak of descriptors, up to 1,000 at the end."""
    return 200 + 800 * minute // 120


def a_leaking_cart(fake: FakePrometheus) -> None:
    fake.series[FDS] = [(POD, every(leak))]
    fake.series[FDS_LIMIT] = [(POD, every(1000))]
    fake.series[START] = [(POD, every(BEGIN - 9.5))]


async def ask(fake: FakePrometheus, questions: Questions, since: float = SPAN) -> Read:
    endpoint = Endpoint.model_validate({"name": "backtest", "url": fake.url, "timeout": 5})
    # In a thread: the command has a loop of its own.
    return await asyncio.to_thread(backtest_prometheus.read, endpoint, questions, since, lambda _: None, float(END))


def of_shop(*workloads: str) -> Questions:
    return Questions(None, "shop", workloads, float(STEP))


def of(found: Read, signal: str) -> list[Series]:
    return [one for one in found.recording.series if one.signal == signal]


async def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    backtest.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["backtest", *arguments])
    code: int = await asyncio.to_thread(parsed.run, parsed)
    return code


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def first_object(file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(Path(file).read_bytes()).splitlines()[0])
    return found


async def test_the_operators_own_queries_are_asked_and_limits_are_the_last_of_the_window(fake: FakePrometheus) -> None:
    a_leaking_cart(fake)
    found = await ask(fake, of_shop())

    (one,) = of(found, "Descriptors")
    assert (one.workload, one.limit, one.start) == ("cart", 1000.0, BEGIN - 9.5)
    assert one.t.tolist() == [t for t, _ in every(0)]
    assert one.v.tolist() == [float(v) for _, v in every(leak)]
    assert {FDS, HEAP, START, CYCLES, RATE, MEMORY} <= set(fake.queries())
    assert {FDS_LIMIT, PODS} <= set(fake.queries("/api/v1/query"))


async def test_memory_limits_request_rates_and_collections_stand_beside_the_readings(fake: FakePrometheus) -> None:
    fake.series[HEAP] = [(POD, every(5e6))]
    fake.series[MEMORY] = [({**POD, "resource": "memory", "job": "kube-state-metrics"}, every(64e6))]
    fake.series[RATE] = [({"namespace": "shop", "pod": POD["pod"]}, every(lambda i: i / 2))]
    fake.series[CYCLES] = [(POD, every(lambda i: i))]
    found = await ask(fake, of_shop())

    (one,) = of(found, "Heap")
    assert one.limit == 64e6
    assert one.rate is not None
    assert one.gc is not None
    assert one.rate[10] == 5.0
    assert one.gc[10] == 10.0


@pytest.mark.parametrize(
    ("signals", "read"),
    [
        (None, True),
        ([{"name": "p99", "type": "LatencyP99", "threshold": {"above": "1", "for": "5m"}}], True),
        ([], False),
    ],
    ids=["no policy", "a policy with a P99", "a policy without"],
)
async def test_the_p99_stands_beside_the_readings_where_the_operator_reads_it(
    fake: FakePrometheus, signals: list[dict[str, Any]] | None, read: bool
) -> None:
    judged = None
    if signals is not None:
        judged = policy(spec={"signals": [{"name": "fds", "type": "Descriptors"}, *signals]})
    questions = Questions(judged, "shop", (), float(STEP))
    a_leaking_cart(fake)
    await ask(fake, questions)
    asked = [query for query in fake.queries() if "histogram_quantile" in query]
    assert bool(asked) == read
    for query in asked:
        fake.series[query] = [({"namespace": "shop", "pod": POD["pod"]}, every(lambda i: 0.1 + i / 100))]

    (one,) = of(await ask(fake, questions), "Descriptors")
    assert (one.latency is not None and one.latency[10] == pytest.approx(0.2)) == read


@pytest.mark.parametrize("limit", ["0", "9223372036854771712"])
async def test_a_memory_limit_that_says_unlimited_is_none(fake: FakePrometheus, limit: str) -> None:
    fake.series[HEAP] = [(POD, every(5e6))]
    fake.series[MEMORY] = [(POD, every(limit))]

    assert [one.limit for one in of(await ask(fake, of_shop()), "Heap")] == [None]


async def test_kube_state_metrics_tells_the_workload_and_the_uid(fake: FakePrometheus) -> None:
    a_leaking_cart(fake)
    fake.series[PODS] = [({**POD, "owner_kind": "ReplicaSet", "owner_name": "rs-1", "uid": "u-1"}, every(1))]
    fake.series[SETS] = [({"namespace": "shop", "replicaset": "rs-1", "owner_name": "basket"}, every(1))]

    (one,) = of(await ask(fake, of_shop()), "Descriptors")
    assert (one.workload, one.uid) == ("basket", "u-1")


async def test_a_workload_is_asked_for_by_its_pods_and_others_are_left_out(fake: FakePrometheus) -> None:
    narrow = FDS.replace('namespace="shop"}', 'namespace="shop",pod=~"cart.*"}')
    fake.series[narrow] = [(POD, every(9)), ({**POD, "pod": "cart-proxy-7d9f8b6c5d-x2k4z"}, every(9))]

    assert [one.workload for one in of(await ask(fake, of_shop("cart")), "Descriptors")] == ["cart"]


async def test_without_a_namespace_those_are_read_that_have_readings(fake: FakePrometheus) -> None:
    questions = Questions(None, None, (), float(STEP))
    fake.series[questions.present(SPAN)] = [({"namespace": "shop"}, every(1))]
    a_leaking_cart(fake)

    assert [one.namespace for one in of(await ask(fake, questions), "Descriptors")] == ["shop"]


async def test_a_long_time_is_read_in_windows_that_meet_and_do_not_overlap(fake: FakePrometheus) -> None:
    fake.series[FDS] = [(POD, every(leak))]
    found = await ask(fake, of_shop(), since=15 * 3600)

    windows = [(r.params["start"], r.params["end"]) for r in fake.asked if r.params["query"] == FDS]
    spans = sorted((float(a), float(b)) for a, b in windows)
    assert len(spans) == 3
    assert all(nxt[0] - one[1] == STEP for one, nxt in pairwise(spans))
    assert (spans[0][0], spans[-1][1]) == (END - 15 * 3600 + STEP, END)
    assert of(found, "Descriptors")[0].t.tolist() == [t for t, _ in every(0)]


async def test_a_window_that_is_too_much_is_asked_for_in_halves(fake: FakePrometheus) -> None:
    a_leaking_cart(fake)

    async def limited(request: web.Request) -> web.StreamResponse:
        asked = {**request.query, **(await request.post())}
        if float(str(asked["end"])) - float(str(asked["start"])) > 3600:
            return await status(422, "execution")(request)
        points = every(leak)
        result = [{"metric": POD, "values": points}]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    fake.faults[FDS] = limited
    found = await ask(fake, of_shop())

    assert found.recording.problems == []
    assert sum(one.t.size for one in of(found, "Descriptors")) == SPAN // STEP


async def test_a_query_that_is_never_answered_costs_only_its_signal_and_is_told(fake: FakePrometheus) -> None:
    a_leaking_cart(fake)
    fake.faults[HEAP] = status(400, "bad_data")
    found = await ask(fake, of_shop())

    assert of(found, "Descriptors")
    assert [problem.split(",")[0] for problem in found.recording.problems] == ["Heap"]


async def test_a_server_that_fails_for_a_moment_is_asked_again(fake: FakePrometheus) -> None:
    a_leaking_cart(fake)
    failed: list[str] = []

    async def once(request: web.Request) -> web.StreamResponse:
        failed.append(request.path)
        del fake.faults[FDS]
        return await status(503)(request)

    fake.faults[FDS] = once
    found = await ask(fake, of_shop())

    assert failed
    assert found.recording.problems == []
    assert of(found, "Descriptors")


async def test_a_server_that_refuses_half_way_leaves_what_was_read_and_says_so(fake: FakePrometheus) -> None:
    fake.series[FDS] = [(POD, [(END - 15 * 3600 + STEP, "7")])]

    async def refuse_later(request: web.Request) -> web.StreamResponse:
        fake.fault = status(401)
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": []}})

    fake.faults[MEMORY.replace("7260s", "21660s")] = refuse_later
    found = await ask(fake, of_shop(), since=15 * 3600)

    assert [one.v.tolist() for one in of(found, "Descriptors")] == [[7.0]]
    assert len(found.recording.problems) == 1
    assert "401" in found.recording.problems[0]


async def test_more_than_can_be_held_is_refused_with_what_to_do(
    fake: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_leaking_cart(fake)
    monkeypatch.setattr(backtest_prometheus, "MOST_READINGS", 50)

    with pytest.raises(InputUnreadable, match="--namespace or --workload"):
        await ask(fake, of_shop())


POLICY = """\
apiVersion: leakwarden.dev/v1alpha1
kind: ReliabilityPolicy
metadata: {name: jobs, namespace: elsewhere}
spec:
  selector: {matchLabels: {app: cart}}
  signals:
    - {name: queue, type: PromQL, query: "sum by (pod) (jobs)", limitQuery: "max by (pod) (slots)", threshold: {above: 90%}}
    - {name: errors, type: HTTPErrors, threshold: {above: 5%}}
"""


async def test_a_policys_own_query_is_confined_to_the_namespace_asked_for(fake: FakePrometheus, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    policy = load(str(tmp_path / "policy.yaml"))
    value = 'sum by (pod) (jobs{namespace="shop"})'
    limit = 'last_over_time((max by (pod) (slots{namespace="shop"}))[7260s:60s])'
    fake.series[value] = [({"pod": "cart-1"}, every(3))]
    fake.series[limit] = [({"pod": "cart-1"}, every(8))]
    found = await ask(fake, Questions(policy, "shop", (), float(STEP)))

    assert [(one.signal, one.namespace, one.limit) for one in found.recording.series] == [("queue", "shop", 8.0)]
    assert FDS not in fake.queries()


async def test_what_was_saved_is_judged_the_same_again(
    fake: FakePrometheus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_leaking_cart(fake)
    saved = str(tmp_path / "day.jsonl.gz")
    fake.all_pods_have([POD], every(leak))
    assert (
        await run("--prometheus", fake.url, "--namespace", "shop", "--since", "4h", "--save", saved, "-o", "jsonl") == 0
    )
    live = objects(capsys.readouterr().out)
    assert await run("--series", saved, "-o", "jsonl") == 0
    again = objects(capsys.readouterr().out)

    assert live
    assert live == [one for one in again if one["reason"] != "Stale" or one in live]
    assert set(first_object(saved)) >= {
        "signal",
        "namespace",
        "workload",
        "pod",
        "uid",
        "t",
        "v",
        "latency",
    }


@pytest.mark.parametrize(
    ("fault", "said"), [(status(401), "401"), (status(404), "404"), (status(302), "redirects"), (status(503), "503")]
)
async def test_a_server_that_cannot_be_used_is_one_line_and_exit_code_2(
    fake: FakePrometheus, capsys: pytest.CaptureFixture[str], fault: Any, said: str
) -> None:
    fake.fault = fault

    assert await run("--prometheus", fake.url, "--namespace", "shop") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert said in shown.err
    assert SECRET not in shown.err


async def test_the_token_of_a_file_is_sent(
    fake: FakePrometheus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    fake.wanted_authorization = "Bearer t0ken"
    fake.all_pods_have([POD], every(5))

    assert await run("--prometheus", fake.url, "--namespace", "shop", "--token-file", str(tmp_path / "token")) == 0


async def test_a_server_without_such_readings_is_told_as_such(
    fake: FakePrometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("--prometheus", fake.url, "--namespace", "shop") == 2
    shown = capsys.readouterr().err
    assert "no readings of Descriptors" in shown
    assert "namespace shop" in shown


async def test_parts_that_are_missing_are_told_and_the_exit_code_says_so(
    fake: FakePrometheus, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.all_pods_have([POD], every(5))
    fake.faults[HEAP] = status(400, "bad_data")

    assert await run("--prometheus", fake.url, "--namespace", "shop") == 3
    assert "parts could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--prometheus", "ftp://x"),
        ("--prometheus", "http://user:hidden@127.0.0.1:1"),
        ("--prometheus", "URL", "--since", "yesterday"),
        ("--prometheus", "URL", "--since", "1s"),
        ("--prometheus", "URL", "--step", "5m"),
        ("--prometheus", "URL", "--timeout", "1h"),
        ("--prometheus", "URL", "--namespace", "No Such"),
        ("--prometheus", "URL", "--workload", 'a"b'),
        ("--prometheus", "URL", "--token-file", "/nonexistent"),
        ("--prometheus", "URL", "--save", "/nonexistent/a.jsonl"),
        ("--series", "-", "--since", "1d"),
        ("--series", "-", "--save", "a.jsonl"),
    ],
)
async def test_what_a_user_gets_wrong_is_one_line_and_nothing_is_asked(
    fake: FakePrometheus, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert await run(*(fake.url if each == "URL" else each for each in arguments)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert "hidden" not in shown.err
    assert fake.asked == []
