"""The catalogue of signals: every row gives a valid query, and only for the requested pods."""

from __future__ import annotations

import promql_parser as parser
import pytest

from leakwarden.api.v1alpha1.signal import DEFAULT_ROLES, SYMPTOMS, Role, SignalType
from leakwarden.api.v1alpha1.status import FIX_LENGTH
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT, Labels, LimitKind, Row, real_limit, render, row_of
from leakwarden.core.signals.queries import fixed_limit, grows, needed_queries
from tests.builders import policy

BUILT_IN = [kind for kind in SignalType if kind not in (SignalType.PROMQL, SignalType.ALERT)]
TEMPLATES = [
    *(pytest.param(row.value, id=f"{kind}-value") for kind, row in CATALOGUE.items()),
    *(pytest.param(row.limit, id=f"{kind}-limit") for kind, row in CATALOGUE.items() if row.limit),
    *(pytest.param(template, id=name) for name, template in CONTEXT.items()),
]


def rendered(template: str) -> str:
    return render(
        template, matchers='ns="shop"', bucket=60, max_age=300, labels=Labels(namespace="ns", pod="po", container="co")
    )


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_built_in_signal_has_a_row(kind: SignalType) -> None:
    assert CATALOGUE[kind].type is kind
    assert row_of(str(kind)) is CATALOGUE[kind]


def test_a_pool_whose_metrics_have_names_of_their_own_is_asked_by_the_policys_query() -> None:
    own = {"name": "mongo", "type": "DBPool", "query": "mongo_pool_used", "limitQuery": "mongo_pool_max"}
    usual = {"name": "sql", "type": "DBPool"}
    mine = policy(spec={"signals": [own, usual]})
    queries = {query.key: query for query in needed_queries([mine])}
    (key,) = set(queries) - {"DBPool"}
    assert row_of(key) is None
    assert (queries[key].value, queries[key].limit) == (
        'mongo_pool_used{namespace="shop"}', 'mongo_pool_max{namespace="shop"}',
    )  # fmt: skip
    assert queries["DBPool"].value == CATALOGUE[SignalType.DB_POOL].value


def test_what_a_policy_brings_itself_has_none() -> None:
    assert SignalType.PROMQL not in CATALOGUE
    assert row_of("PromQL/shop/0123") is None


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_query_is_promql_that_reads_nothing_but_the_namespaces_asked_for(template: str) -> None:
    query = rendered(template)
    assert "<<" not in query
    selectors: list[parser.VectorSelector] = []

    def visit(node: parser.Expr) -> None:
        if isinstance(node, parser.VectorSelector):
            selectors.append(node)

    parser.walk(parser.parse(query), visit)
    assert selectors
    for selector in selectors:
        assert ("ns", "shop") in [(m.name, m.value) for m in selector.matchers.matchers]


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: str(row.type))
def test_a_signal_has_a_limit_query_exactly_where_another_series_says_its_limit(row: Row) -> None:
    assert (row.limit is not None) == (row.limit_kind is LimitKind.METRIC)
    assert all((alias.limit is not None) == (row.limit_kind is LimitKind.METRIC) for alias in row.aliases)
    if row.kubelet is not None:
        assert (row.kubelet.limit is not None) == (row.limit_kind is LimitKind.METRIC)


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: str(row.type))
def test_a_row_says_what_to_do_where_its_limit_is_missing_if_one_can_be(row: Row) -> None:
    assert bool(row.limit_fix) == row.grows
    assert max(len(row.fix), len(row.limit_fix)) <= FIX_LENGTH
    assert row.limit_fix == "" or row.limit_fix.isprintable()


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: str(row.type))
def test_a_row_says_in_one_line_what_to_do_where_it_is_missing(row: Row) -> None:
    assert row.fix
    assert row.fix.isprintable()
    assert row.unit


def test_memory_alone_never_acts() -> None:
    assert {kind: row.role for kind, row in CATALOGUE.items()} == {kind: DEFAULT_ROLES[kind] for kind in CATALOGUE}
    assert CATALOGUE[SignalType.WORKING_SET].role is Role.SUPPORTING


def test_what_users_feel_is_a_symptom_and_its_growth_is_not_judged() -> None:
    assert {kind for kind, row in CATALOGUE.items() if row.role is Role.SYMPTOM} == SYMPTOMS
    assert {kind for kind, row in CATALOGUE.items() if not row.grows} == SYMPTOMS
    assert [grows(str(kind)) for kind in sorted(SYMPTOMS)] == [False, False]
    assert grows("Descriptors")
    assert grows("PromQL/shop/0123")
    assert not grows("context/rate")


def test_of_all_limits_only_that_of_a_share_is_known_without_reading() -> None:
    assert fixed_limit(SignalType.HTTP_ERRORS) == 1
    assert [fixed_limit(kind) for kind in SignalType if kind is not SignalType.HTTP_ERRORS] == [None] * 10


def test_what_the_process_says_comes_before_what_the_kubelet_says() -> None:
    query = rendered(CATALOGUE[SignalType.DESCRIPTORS].value)
    assert query == (
        "max by (ns, po, co) ("
        'min_over_time(process_open_fds{ns="shop"}[60s]) or on (ns, po, co) '
        'min_over_time(process_files_open_files{ns="shop"}[60s]) or on (ns, po, co) '
        '(min_over_time(container_file_descriptors{co!="",co!="POD",ns="shop"}[60s]) unless on (ns, po) '
        '(min_over_time(process_open_fds{co="",ns="shop"}[60s]) or '
        'min_over_time(process_files_open_files{co="",ns="shop"}[60s]))))'
    )


def test_the_limit_of_one_process_is_none_for_a_container_that_runs_several() -> None:
    query = rendered(CATALOGUE[SignalType.DESCRIPTORS].limit or "")
    found = (
        'last_over_time(process_max_fds{ns="shop"}[300s]) or on (ns, po, co) '
        'last_over_time(process_files_max_files{ns="shop"}[300s]) or on (ns, po, co) '
        '(last_over_time(container_ulimits_soft{ulimit="max_open_files",co!="",co!="POD",ns="shop"}[300s]) '
        'and on (ns, po, co) (last_over_time(container_processes{co!="",co!="POD",ns="shop"}[300s]) <= 1) '
        "unless on (ns, po) "
        '(last_over_time(process_max_fds{co="",ns="shop"}[300s]) or '
        'last_over_time(process_files_max_files{co="",ns="shop"}[300s])))'
    )
    assert query == f"max by (ns, po, co) ({found}) == min by (ns, po, co) ({found})"


@pytest.mark.parametrize("row", [row for row in CATALOGUE.values() if row.aliases], ids=lambda row: str(row.type))
def test_a_container_has_one_series_in_the_answer_however_many_it_exports(row: Row) -> None:
    """A pod with 15,000 series under one name once made the answer for all pods too large."""
    kept = {"ns", "po", "co", *row.apart}
    for template in (row.value, row.limit or row.value):
        tree = parser.parse(rendered(template))
        sides = [tree.lhs, tree.rhs] if isinstance(tree, parser.BinaryExpr) else [tree]
        for side in sides:
            assert isinstance(side, parser.AggregateExpr)
            assert side.modifier is not None
            assert set(side.modifier.labels) == kept
    assert bool(row.apart) == (row.type is SignalType.DB_POOL), "only pools are several of one thing"


@pytest.mark.parametrize("kind", [SignalType.GOROUTINES, SignalType.HEAP, SignalType.DB_POOL])
def test_another_name_counts_where_the_container_has_none_before_it(kind: SignalType) -> None:
    """By pod, a sidecar that exports the first name would hide the application, which exports the second."""
    assert " or on (ns, po, co) " in rendered(CATALOGUE[kind].value)
    assert " or on (ns, po) " not in rendered(CATALOGUE[kind].value)


@pytest.mark.parametrize(
    ("kind", "limit", "highest", "believed"),
    [
        (SignalType.DESCRIPTORS, 1024.0, 1024.0, 1024.0),
        (SignalType.DESCRIPTORS, 1024.0, 2000.0, None),  # the sum over all processes, with the limit of the first
        (SignalType.DESCRIPTORS, None, 2000.0, None),
        (SignalType.DB_POOL, 10.0, 12.0, 10.0),  # a pool's maximum can be lowered while the pool is in use
    ],
)
def test_a_reading_above_its_limit_shows_that_the_limit_is_of_something_else(
    kind: SignalType, limit: float | None, highest: float, believed: float | None
) -> None:
    assert CATALOGUE[kind].believed(limit, highest) == believed


@pytest.mark.parametrize(("seconds", "shown"), [(60, "[60s]"), (5, "[5s]"), (2.5, "[3s]"), (0.25, "[250ms]")])
def test_a_bucket_is_never_shorter_than_asked(seconds: float, shown: str) -> None:
    assert render("x[<<bucket>>]", matchers="", bucket=seconds, max_age=1, labels=Labels()) == f"x{shown}"


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan"), 2.0**50, 2.0**63])
def test_a_number_that_means_unlimited_is_no_limit(value: float) -> None:
    assert real_limit(value) is None


@pytest.mark.parametrize("value", [1.0, 1024.0, 1_048_576.0, 64 * 2.0**30])
def test_any_other_is(value: float) -> None:
    assert real_limit(value) == value


# The catalogue's contract: for each signal its unit, the source of its limit, its role and its exported names, each
# with the name of its limit.
PROMISED = {
    "Descriptors": ("descriptors", "Metric", "Leak", {
        "process_open_fds": "process_max_fds",
        "process_files_open_files": "process_files_max_files",
        "container_file_descriptors": "container_ulimits_soft",
    }),
    "Sockets": ("sockets", "None", "Leak", {"container_sockets": None}),
    "Goroutines": ("goroutines", "None", "Leak", {
        "go_goroutines": None,
        "go_sched_goroutines_goroutines": None,
        "go_goroutine_count": None,
        "process_runtime_go_goroutines": None,
    }),
    "Heap": ("bytes", "ContainerMemory", "Leak", {
        "go_memstats_heap_inuse_bytes": None,
        "go_memory_classes_heap_objects_bytes": None,
        "process_runtime_go_mem_heap_inuse_bytes": None,
    }),
    "WorkingSet": ("bytes", "ContainerMemory", "Supporting", {"container_memory_working_set_bytes": None}),
    "Processes": ("threads", "Metric", "Leak", {"container_threads": "container_threads_max"}),
    "DBPool": ("connections", "Metric", "Leak", {
        "go_sql_in_use_connections": "go_sql_max_open_connections",
        "go_sql_stats_connections_in_use": "go_sql_stats_connections_max_open",
        "db_sql_connection_open": "db_sql_connection_max_open",
        "pgxpool_acquired_conns": "pgxpool_max_conns",
        "hikaricp_connections_active": "hikaricp_connections_max",
        "hikaricp_active_connections": "hikaricp_max_connections",
        "db_client_connections_usage": "db_client_connections_max",
    }),
    "HTTPErrors": ("of requests", "Share", "Symptom", {}),
    "LatencyP99": ("seconds", "None", "Symptom", {}),
}  # fmt: skip


def test_the_catalogue_has_every_signal_with_its_unit_limit_role_and_names() -> None:
    found = {
        str(kind): (row.unit, str(row.limit_kind), str(row.role), {a.value: a.limit for a in row.aliases})
        for kind, row in CATALOGUE.items()
    }
    assert found == PROMISED


@pytest.mark.parametrize("kind", ["HTTPErrors", "LatencyP99"])
def test_a_symptom_is_computed_from_requests_of_each_pod(kind: str) -> None:
    query = rendered(CATALOGUE[SignalType(kind)].value)
    asked = {"HTTPErrors": 'http_requests_total{code=~"5..",ns="shop"}[240s]', "LatencyP99": "histogram_quantile(0.99,"}
    assert asked[kind] in query
    assert "by (ns, po" in query
