"""The Prometheus source against a server that checks exact queries: its requests, and the readings from the answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from leakwarden.adapters.prometheus.client import ALL_OR_NOTHING, PrometheusSource
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.v1alpha1.policy import SignalType
from leakwarden.core.model.readings import Answer, NoData, Query, QueryFailed, Sampled, SeriesKey
from leakwarden.core.promql import confine
from leakwarden.core.signals.catalogue import CATALOGUE, Labels, render
from leakwarden.engine.ports import Metrics
from tests.integration.prometheus.fake_prometheus import FakePrometheus, prometheus, status
from tests.integration.prometheus.queries import limits_of, values_of

STEP = 60.0
START = 1_700_000_040.0  # a multiple of the step
WEB = SeriesKey("shop", "web-1", "app")
USER = "sum by (pod) (jobs)"


@pytest.fixture
async def fake() -> AsyncIterator[FakePrometheus]:
    async with prometheus() as server:
        yield server


@pytest.fixture
async def source(fake: FakePrometheus) -> AsyncIterator[PrometheusSource]:
    opened = PrometheusSource(endpoint(fake), bucket=STEP)
    yield opened
    await opened.close()


def endpoint(fake: FakePrometheus, **changes: Any) -> Endpoint:
    return Endpoint.model_validate({"name": "main", "url": fake.url, "timeout": "5s", **changes})


def builtin(kind: SignalType, *namespaces: str) -> Query:
    row = CATALOGUE[kind]
    return Query(str(kind), row.value, row.limit, frozenset(namespaces or ("shop",)))


def fake_limits(kind: SignalType) -> str:
    """The query for the limits of a signal, as the source sends it."""
    row = CATALOGUE[kind]
    assert row.limit is not None
    return render(row.limit, matchers='namespace="shop"', bucket=STEP, max_age=300, labels=Labels())


def users(value: str = USER, limit: str | None = None) -> Query:
    return Query("PromQL/shop/1", value, limit, frozenset({"shop"}), confined=True)


def labels(pod: str = "web-1", **more: str) -> dict[str, str]:
    return {"namespace": "shop", "pod": pod, "container": "app", "job": "pods", **more}


def points(*values: str | float, first: float = START + STEP) -> list[tuple[float, str]]:
    return [(first + i * STEP, str(value)) for i, value in enumerate(values)]


async def ask(source: Metrics, query: Query, since: float = START, now: float = START + 3 * STEP) -> Answer:
    return (await source.read([query], since, now, STEP))[query.key]


def values(answer: Answer, key: SeriesKey = WEB) -> list[float]:
    assert isinstance(answer, Sampled), answer
    return [float(v) for v in answer.series[key].v]


DESCRIPTORS = values_of(SignalType.DESCRIPTORS, "shop")
DESCRIPTOR_LIMITS = limits_of(SignalType.DESCRIPTORS, "shop")


async def test_a_signal_is_one_range_for_its_values_and_one_instant_for_its_limits(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    fake.series[DESCRIPTORS] = [(labels(), points(10, 20, 30)), (labels("web-2"), points(5, 5, 6))]
    fake.series[DESCRIPTOR_LIMITS] = [
        (labels(__name__="process_max_fds"), points(1024)),
        (labels("web-2", __name__="process_max_fds"), points(200)),
    ]
    answer = await ask(source, builtin(SignalType.DESCRIPTORS))
    assert values(answer) == [10, 20, 30]
    assert values(answer, SeriesKey("shop", "web-2", "app")) == [5, 5, 6]
    assert isinstance(answer, Sampled)
    assert answer.limits == {SeriesKey("shop", "web-1", "app"): 1024, SeriesKey("shop", "web-2", "app"): 200}
    assert [(r.method, r.path, dict(r.params)) for r in fake.asked] == [
        (
            "GET",
            "/api/v1/query_range",
            {
                "query": DESCRIPTORS,
                "start": f"{START + STEP:.0f}",
                "end": f"{START + 3 * STEP:.0f}",
                "step": "60",
                "timeout": "5s",
                **ALL_OR_NOTHING,
            },
        ),
        (
            "GET",
            "/api/v1/query",
            {"query": DESCRIPTOR_LIMITS, "time": f"{START + 3 * STEP:.0f}", "timeout": "5s", **ALL_OR_NOTHING},
        ),
    ]


async def test_many_namespaces_are_one_query(fake: FakePrometheus, source: PrometheusSource) -> None:
    await ask(source, builtin(SignalType.SOCKETS, "shop", "a-b"))
    assert fake.queries() == [
        "max by (namespace, pod, container)"
        ' (min_over_time(container_sockets{container!="",container!="POD",namespace=~"a-b|shop"}[60s]))'
    ]


async def test_very_many_namespaces_are_all_read_and_ours_are_picked(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    namespaces = [f"team-{i}" for i in range(101)]
    fake.all_pods_have(
        [{"namespace": "team-7", "pod": "p"}, {"namespace": "someone-else", "pod": "q"}], points(1, 2, 3)
    )
    answer = await ask(source, builtin(SignalType.SOCKETS, *namespaces))
    assert fake.queries() == [
        "max by (namespace, pod, container)"
        ' (min_over_time(container_sockets{container!="",container!="POD",namespace!=""}[60s]))'
    ]
    assert isinstance(answer, Sampled)
    assert set(answer.series) == {SeriesKey("team-7", "p", "")}


async def test_a_query_too_long_for_an_address_travels_in_the_body(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    namespaces = [f"{'n' * 55}-{i:03}" for i in range(90)]
    fake.all_pods_have([{"namespace": namespaces[0], "pod": "p"}], points(1, 2, 3))
    answer = await ask(source, builtin(SignalType.SOCKETS, *namespaces))
    assert isinstance(answer, Sampled)
    assert [request.method for request in fake.asked] == ["POST"]


async def test_the_labels_are_called_as_the_endpoint_calls_them(fake: FakePrometheus) -> None:
    source = PrometheusSource(
        endpoint(fake, namespaceLabel="kubernetes_namespace", podLabel="kubernetes_pod_name", containerLabel="c"),
        bucket=STEP,
    )
    fake.all_pods_have([{"kubernetes_namespace": "shop", "kubernetes_pod_name": "web-1", "c": "app"}], points(1, 2, 3))
    assert values(await ask(source, builtin(SignalType.SOCKETS))) == [1, 2, 3]
    assert fake.queries() == [
        "max by (kubernetes_namespace, kubernetes_pod_name, c)"
        ' (min_over_time(container_sockets{c!="",c!="POD",kubernetes_namespace="shop"}[60s]))'
    ]
    await ask(source, builtin(SignalType.GOROUTINES))
    assert "or on (kubernetes_namespace, kubernetes_pod_name, " in fake.queries()[-1]
    await source.close()


async def test_a_users_query_is_sent_as_it_is_and_its_namespace_is_the_policys(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    fake.series[USER] = [({"pod": "web-1", "namespace": "elsewhere"}, points(1, 2, 3))]
    answer = await ask(source, users())
    assert values(answer, SeriesKey("shop", "web-1", "")) == [1, 2, 3]
    assert fake.queries() == [USER]


async def test_a_users_query_is_no_template(fake: FakePrometheus, source: PrometheusSource) -> None:
    query = 'x{a="<<matchers>>",namespace="shop"}'
    await ask(source, users(query))
    assert fake.queries() == [query]


async def test_series_without_a_pod_are_no_readings(fake: FakePrometheus, source: PrometheusSource) -> None:
    fake.series[USER] = [({"node": "a"}, points(1, 2, 3)), ({"pod": ""}, points(1, 2, 3))]
    answer = await ask(source, users())
    assert answer == NoData("NoPodLabel", "none of its 2 series has the label pod")
    fake.series[USER].append(({"pod": "web-1"}, points(4, 5, 6)))
    assert values(await ask(source, users()), SeriesKey("shop", "web-1")) == [4, 5, 6]


@pytest.mark.parametrize("since", [START, START + 1, START + 59])
@pytest.mark.parametrize("now", [START + 3 * STEP, START + 3 * STEP + 1, START + 4 * STEP - 1])
async def test_every_moment_is_asked_for_once_however_ticks_fall(
    fake: FakePrometheus, source: PrometheusSource, since: float, now: float
) -> None:
    await ask(source, users(), since, now)
    assert (fake.asked[0].params["start"], fake.asked[0].params["end"]) == (
        f"{START + STEP:.0f}",
        f"{START + 3 * STEP:.0f}",
    )


async def test_where_no_new_moment_is_due_the_newest_is_read_to_see_that_the_source_is_well(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    fake.series[USER] = [({"pod": "web-1"}, points(7, first=START))]
    assert await ask(source, users(), START + 10, START + 40) == Sampled(series={}, limits={})
    assert (fake.asked[0].params["start"], fake.asked[0].params["end"]) == (f"{START:.0f}", f"{START:.0f}")
    fake.series.clear()
    assert isinstance(await ask(source, users(), START + 10, START + 40), NoData)


async def test_points_outside_of_what_was_asked_are_left_out(fake: FakePrometheus, source: PrometheusSource) -> None:
    fake.series[USER] = [({"pod": "web-1"}, points(1, 2, 3, 4, 5, first=START))]
    assert values(await ask(source, users()), SeriesKey("shop", "web-1")) == [2, 3, 4]


async def test_what_is_no_number_is_no_reading(fake: FakePrometheus, source: PrometheusSource) -> None:
    fake.series[USER] = [
        ({"pod": "web-1"}, points("NaN", "+Inf", 3)),
        ({"pod": "web-2"}, points("NaN", "-Inf", "NaN")),
    ]
    answer = await ask(source, users())
    assert isinstance(answer, Sampled)
    assert set(answer.series) == {SeriesKey("shop", "web-1")}
    assert answer.series[SeriesKey("shop", "web-1")].t.tolist() == [START + 3 * STEP]
    fake.series[USER] = fake.series[USER][1:]
    assert await ask(source, users()) == NoData("NoNumbers", "its series hold no number")


async def test_points_out_of_order_are_put_in_order(fake: FakePrometheus, source: PrometheusSource) -> None:
    fake.series[USER] = [({"pod": "web-1"}, points(1, 2, 3)[::-1])]
    assert values(await ask(source, users()), SeriesKey("shop", "web-1")) == [1, 2, 3]


async def test_nothing_is_no_zero(fake: FakePrometheus, source: PrometheusSource) -> None:
    assert await ask(source, builtin(SignalType.DESCRIPTORS)) == NoData("NoSeries", "no pod of these namespaces has it")


@pytest.mark.parametrize("kind", [kind for kind, row in CATALOGUE.items() if row.never_zero])
async def test_a_constant_zero_is_not_measured(
    fake: FakePrometheus, source: PrometheusSource, kind: SignalType
) -> None:
    fake.all_pods_have([labels()], points(0, 0, 0))
    answer = await ask(source, builtin(kind))
    assert isinstance(answer, NoData)
    assert answer.reason == "ConstantZero"


async def test_an_idle_pool_is_measured(fake: FakePrometheus, source: PrometheusSource) -> None:
    fake.all_pods_have([labels(db_name="orders")], points(0, 0, 0))
    assert values(await ask(source, builtin(SignalType.DB_POOL))) == [0, 0, 0]


@pytest.mark.parametrize(
    "limit", ["0", "-1", "+Inf", "NaN", "9223372036854775807"], ids=lambda text: f"a maximum of {text}"
)
async def test_a_pool_whose_maximum_says_there_is_none_has_no_limit(
    fake: FakePrometheus, source: PrometheusSource, limit: str
) -> None:
    pool = labels(db_name="orders")
    fake.all_pods_have([pool], points(0, 0, 0))
    fake.series[fake_limits(SignalType.DB_POOL)] = [(pool, points(limit))]
    answer = await ask(source, builtin(SignalType.DB_POOL))
    assert isinstance(answer, Sampled)
    assert answer.limits == {}


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("go_sql_in_use_connections", "go_sql_max_open_connections"),
        ("go_sql_stats_connections_in_use", "go_sql_stats_connections_max_open"),
        ("pgxpool_acquired_conns", "pgxpool_max_conns"),
        ("hikaricp_connections_active", "hikaricp_connections_max"),
        ("hikaricp_active_connections", "hikaricp_max_connections"),
    ],
)
async def test_a_pool_is_found_by_whatever_name_its_exporter_gives_it(
    fake: FakePrometheus, source: PrometheusSource, value: str, limit: str
) -> None:
    fake.all_pods_have([labels(__name__=value, pool="main")], points(1, 2, 3))
    fake.series[fake_limits(SignalType.DB_POOL)] = [(labels(__name__=limit, pool="main"), points(10))]
    answer = await ask(source, builtin(SignalType.DB_POOL))
    assert values(answer) == [1, 2, 3]
    assert isinstance(answer, Sampled)
    assert answer.limits == {WEB: 10}
    assert f'min_over_time({value}{{namespace="shop"}}[60s])' in fake.queries()[0]
    assert f'last_over_time({limit}{{namespace="shop"}}[300s])' in fake.queries("/api/v1/query")[0]


async def test_of_the_connections_that_an_exporter_counts_by_state_only_those_in_use_are_a_leak(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    """OpenTelemetry's agent, of a JVM with two pools: each has its own maximum, which carries no state."""
    fake.all_pods_have([labels(pool_name="orders", state="used")], points(7, 8, 9))
    fake.series[fake_limits(SignalType.DB_POOL)] = [
        (labels(pool_name="orders"), points(10)),
        (labels(pool_name="users"), points(50)),
    ]
    answer = await ask(source, builtin(SignalType.DB_POOL))
    assert isinstance(answer, Sampled)
    assert answer.limits == {WEB: 10}
    assert 'min_over_time(db_client_connections_usage{state="used",namespace="shop"}[60s])' in fake.queries()[0]


async def test_of_an_error_ratio_only_requests_with_a_status_code_count_and_no_failure_yet_is_a_zero(
    fake: FakePrometheus, source: PrometheusSource
) -> None:
    await ask(source, builtin(SignalType.HTTP_ERRORS))
    (query,) = fake.queries()
    terms = query.split(" or on (namespace, pod) (sum")
    assert terms[0] == (
        '(sum by (namespace, pod) (rate(http_requests_total{code=~"5..",namespace="shop"}[240s]))'
        ' or on (namespace, pod) 0 * sum by (namespace, pod) (rate(http_requests_total{code!="",namespace="shop"}[240s])))'
        ' / on (namespace, pod) sum by (namespace, pod) (rate(http_requests_total{code!="",namespace="shop"}[240s]))'
    )
    counted = ("http_requests_total", "http_request_duration_seconds_count")
    assert [term.split('=~"5.."')[0].rsplit("(", 1)[1] for term in terms] == [
        *(f"{name}{{{label}" for name in counted for label in ("code", "status", "status_code")),
        "http_server_request_duration_seconds_count{http_response_status_code",
        "http_server_requests_seconds_count{status",
    ]
    assert fake.queries("/api/v1/query") == []  # the limit of a share needs no asking


async def test_a_p99_is_of_all_requests_of_a_pod(fake: FakePrometheus, source: PrometheusSource) -> None:
    await ask(source, builtin(SignalType.LATENCY_P99))
    names = (
        "http_request_duration_seconds_bucket",
        "http_server_request_duration_seconds_bucket",
        "http_server_requests_seconds_bucket",
    )
    assert fake.queries() == [
        " or on (namespace, pod) ".join(
            f'histogram_quantile(0.99, sum by (namespace, pod, le) (rate({name}{{namespace="shop"}}[240s])))'
            for name in names
        )
    ]


@pytest.mark.parametrize("kind", [SignalType.HTTP_ERRORS, SignalType.LATENCY_P99, SignalType.HEAP])
async def test_what_is_no_number_is_not_taken_for_a_zero(
    fake: FakePrometheus, source: PrometheusSource, kind: SignalType
) -> None:
    fake.all_pods_have([{"namespace": "shop", "pod": "web-1"}], points("NaN", "NaN", "NaN"))
    answer = await ask(source, builtin(kind))
    assert isinstance(answer, NoData)
    assert answer.reason == "NoNumbers"


async def test_an_error_ratio_of_zero_is_a_reading(fake: FakePrometheus, source: PrometheusSource) -> None:
    fake.all_pods_have([{"namespace": "shop", "pod": "web-1"}], points("NaN", 0, 0))
    assert values(await ask(source, builtin(SignalType.HTTP_ERRORS)), SeriesKey("shop", "web-1")) == [0, 0]


class TestLimits:
    LIMIT = "max by (pod) (size)"

    async def of(
        self,
        fake: FakePrometheus,
        source: PrometheusSource,
        values: Sequence[tuple[dict[str, str], list[tuple[float, str]]]],
        limits: Sequence[tuple[dict[str, str], str]],
    ) -> Sampled:
        fake.series[USER] = list(values)
        fake.series[self.LIMIT] = [(each, points(limit)) for each, limit in limits]
        answer = await ask(source, users(limit=self.LIMIT))
        assert isinstance(answer, Sampled), answer
        return answer

    @pytest.mark.parametrize("limit", ["0", "-1", "+Inf", "NaN", "9223372036854775807", "1125899906842624"])
    async def test_a_limit_that_says_there_is_none_is_none(
        self, fake: FakePrometheus, source: PrometheusSource, limit: str
    ) -> None:
        answer = await self.of(fake, source, [({"pod": "web-1"}, points(1, 2, 3))], [({"pod": "web-1"}, limit)])
        assert answer.limits == {}
        assert set(answer.series) == {SeriesKey("shop", "web-1")}

    async def test_a_limit_with_fewer_labels_counts_where_it_is_the_only_one(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        answer = await self.of(
            fake, source, [({"pod": "web-1", "queue": "a"}, points(1, 2, 3))], [({"pod": "web-1"}, "50")]
        )
        assert answer.limits == {SeriesKey("shop", "web-1"): 50}

    async def test_a_limit_of_another_series_is_never_borrowed(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        answer = await self.of(
            fake,
            source,
            [({"pod": "web-1", "queue": "a"}, points(1, 2, 3))],
            [({"pod": "web-1", "queue": "b"}, "50"), ({"pod": "web-1", "queue": "c"}, "60")],
        )
        assert answer.limits == {}

    async def test_of_two_pools_the_one_nearer_to_its_own_limit_is_shown(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        big, small = {"pod": "web-1", "db": "big"}, {"pod": "web-1", "db": "small"}
        answer = await self.of(
            fake, source, [(big, points(40, 50, 50)), (small, points(5, 7, 9))], [(big, "100"), (small, "10")]
        )
        assert values(answer, SeriesKey("shop", "web-1")) == [5, 7, 9]
        assert answer.limits == {SeriesKey("shop", "web-1"): 10}

    async def test_the_pool_that_is_shown_changes_only_when_another_is_clearly_worse(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        big, small = {"pod": "web-1", "db": "big"}, {"pod": "web-1", "db": "small"}
        limits = [(big, "100"), (small, "10")]
        shown = []
        for of_big, of_small in ((50, 9), (50, 4), (50, 2), (50, 4)):
            answer = await self.of(fake, source, [(big, points(1, 1, of_big)), (small, points(1, 1, of_small))], limits)
            shown.append(answer.limits[SeriesKey("shop", "web-1")])
        assert shown == [10, 10, 100, 100]

    async def test_a_pool_without_a_limit_does_not_hide_one_that_has_one(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        free, bound = {"pod": "web-1", "db": "free"}, {"pod": "web-1", "db": "bound"}
        answer = await self.of(
            fake, source, [(free, points(900, 900, 900)), (bound, points(1, 2, 3))], [(free, "0"), (bound, "10")]
        )
        assert values(answer, SeriesKey("shop", "web-1")) == [1, 2, 3]
        assert answer.limits == {SeriesKey("shop", "web-1"): 10}

    async def test_one_process_that_two_jobs_scrape_is_one_series(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        one, other = {"pod": "web-1", "job": "a"}, {"pod": "web-1", "job": "b"}
        answer = await self.of(
            fake, source, [(one, points(1, 5, 3)), (other, points(2, 4, 6))], [(one, "10"), (other, "10")]
        )
        assert values(answer, SeriesKey("shop", "web-1")) == [2, 5, 6]
        assert answer.limits == {SeriesKey("shop", "web-1"): 10}

    async def test_a_limit_that_cannot_be_read_is_a_failure_and_not_no_limit(
        self, fake: FakePrometheus, source: PrometheusSource
    ) -> None:
        fake.series[USER] = [({"pod": "web-1"}, points(1, 2, 3))]
        fake.faults[self.LIMIT] = status(500)
        answer = await ask(source, users(limit=self.LIMIT))
        assert answer == QueryFailed("ServerError", "Prometheus main: it answered HTTP 500")


async def test_a_prometheus_of_many_clusters_is_asked_for_one_of_them_by_every_selector(fake: FakePrometheus) -> None:
    source = PrometheusSource(endpoint(fake, matchers={"cluster": 'a"b', "region": "eu"}), bucket=STEP)
    try:
        await ask(source, builtin(SignalType.DESCRIPTORS))
        own = Query(
            "PromQL/shop/1", confine("a * on (pod) group_left () b > 1", "shop"), None, frozenset({"shop"}), True
        )
        await ask(source, own)
        await source.values(confine("sale_running", "shop", of_pods=False), START)
    finally:
        await source.close()
    queries = [dict(each.params)["query"] for each in fake.asked]
    assert len(queries) == 3
    for query in queries:
        selectors = [each.group() for each in re.finditer(r"\{(?:[^{}\"]|\"(?:\\.|[^\"\\])*\")*\}", query)]
        assert selectors
        assert all('cluster="a\\"b"' in each and 'region="eu"' in each for each in selectors), query
