"""The catalogue of built-in signals: one row per signal, with its metrics, its unit, its limit and its role.

Queries are templates that a source fills in, once for all pods (`render`):

    <<matchers>>   the namespaces asked for          <<bucket>>   the resolution, such as 60s
    <<maxage>>     how old a limit may be            <<owner>>    the labels that name a pod: namespace, pod
    <<container>>  the label that names a container

A gauge is read as its floor, the minimum per bucket: garbage, bursts and work in flight lie above the floor, a leak
lifts it. Exporters have different names for one quantity; all names are in one query, and the first that a container
exports counts (`or on` leaves out what the left side already has for the container): a sidecar with its own collector
must not hide the application's readings under another name.

Symptoms are rates over requests and not floors; they have neither a leak's growth nor, for a latency, a limit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from leakwarden.api.v1alpha1.signal import DEFAULT_ROLES, SYMPTOMS, Role, SignalType
from leakwarden.core.promql import matcher

# cgroups and ulimits write "unlimited" as a number near 2^63; no pod has a limit of a petabyte.
UNLIMITED = 2.0**50


class LimitKind(StrEnum):
    METRIC = "Metric"  # another series has it
    CONTAINER_MEMORY = "ContainerMemory"  # resources.limits.memory in the pod template
    SHARE = "Share"  # the value is a share of a whole, which is 1
    NONE = "None"  # there is none; an absolute threshold is used instead


@dataclass(frozen=True, slots=True)
class Alias:
    """One exporter's names for a value and its limit."""

    value: str
    limit: str | None = None
    where: str = ""  # further matchers of the value's selector
    limit_where: str = ""  # and of the limit's
    # The kubelet reads it from outside, for every container by name: left out where an earlier alias has readings of
    # the pod without a container label.
    of_kubelet: bool = False
    # The series with the number of processes of the container that the value is summed over, while the limit is that of
    # one. With more than one the limit is not known.
    processes: str | None = None


@dataclass(frozen=True, slots=True)
class Families:
    """The metric's name in the kubelet's /metrics/cadvisor."""

    value: str
    limit: str | None = None
    limit_label: tuple[str, str] | None = None  # picks the limit among its series
    processes: str | None = None  # as of an Alias


@dataclass(frozen=True, slots=True)
class Row:
    type: SignalType
    unit: str
    limit_kind: LimitKind
    aliases: tuple[Alias, ...]
    kubelet: Families | None
    fix: str  # one line for a workload without such readings: what is missing and how to add it
    limit_fix: str = ""  # one line: the same where it has readings but no limit
    # Zero does not count as a reading: a running process has descriptors, goroutines and memory, and some kubelets
    # export a constant 0 for what they do not measure.
    never_zero: bool = True
    query: str = ""  # the template of a value that is computed, instead of aliases
    # Labels that distinguish several of it in one container, such as its pools. Series that differ in other labels are
    # one thing, of which the highest value counts.
    apart: tuple[str, ...] = ()
    # Memory fills up to soft limits and is emptied by collections: its growth is judged with that in mind.
    memory: bool = False
    # The value also holds page cache, which the kernel takes back before the limit is reached: growth is judged by the
    # part that it cannot take back (CONTEXT["rss"]).
    page_cache: bool = False
    # The quantity that is known to grow where this signal grows, for reading profiles (core/profile); empty: none.
    grown: frozenset[str] = frozenset()
    # Its names in recordings, in addition to its type and the names of its exporters.
    also_called: tuple[str, ...] = ()

    @property
    def role(self) -> Role:
        return DEFAULT_ROLES[self.type]

    @property
    def grows(self) -> bool:
        """Whether a leak shows in its growth, so that growth is judged."""
        return self.type not in SYMPTOMS

    @property
    def value(self) -> str:
        """The query for the values, as a template."""
        if self.query:
            return self.query
        return self._of_each("max", _first_of("min_over_time", "<<bucket>>", [_value(each) for each in self.aliases]))

    @property
    def limit(self) -> str | None:
        """The query for the limits, as a template; None where no series has it."""
        terms = [_limit(each) for each in self.aliases if each.limit is not None]
        if not terms:
            return None
        found = _first_of("last_over_time", "<<maxage>>", terms)
        # Where the series of one thing do not agree none of them is its limit: it is not known which limit belongs to
        # which value.
        return f"{self._of_each('max', found)} == {self._of_each('min', found)}"

    def _of_each(self, aggregation: str, query: str) -> str:
        """Exactly one series for each container, or for each of its pools: a pod with thousands of series under one
        name must not make the answer for all pods too large."""
        kept = "".join(f", {label}" for label in self.apart)
        return f"{aggregation} by (<<owner>>, <<container>>{kept}) ({query})"

    def believed(self, limit: float | None, highest: float) -> float | None:
        """The limit, or None where a reading above it shows that it is the limit of something else: for example, the
        descriptors of all processes of a container come with the limit of its first one."""
        summed = any(alias.processes is not None for alias in self.aliases)
        return None if summed and limit is not None and highest > limit else limit


@dataclass(frozen=True, slots=True)
class _Term:
    """One alias' series in a query."""

    name: str
    where: str
    of_kubelet: bool
    processes: str | None = None


def _value(alias: Alias) -> _Term:
    return _Term(alias.value, alias.where, alias.of_kubelet)


def _limit(alias: Alias) -> _Term:
    assert alias.limit is not None
    return _Term(alias.limit, alias.limit_where, alias.of_kubelet, alias.processes)


def _first_of(function: str, window: str, terms: Sequence[_Term]) -> str:
    def read(name: str, where: str) -> str:
        return f"{function}({name}{{{where}{',' if where else ''}<<matchers>>}}[{window}])"

    query = ""
    for index, term in enumerate(terms):
        one = read(term.name, term.where)
        if term.processes is not None:
            one = f"{one} and on (<<owner>>, <<container>>) ({read(term.processes, _OF_A_CONTAINER)} <= 1)"
        if term.of_kubelet and index:
            nameless = " or ".join(read(before.name, '<<container>>=""') for before in terms[:index])
            one = f"{one} unless on (<<owner>>) ({nameless})"
        plain = one == read(term.name, term.where)
        query += (_OR_OF_CONTAINER if query else "") + (one if plain else f"({one})")
    return query


_OR = " or on (<<owner>>) "
_OR_OF_CONTAINER = " or on (<<owner>>, <<container>>) "
# A rate over less than four scrapes is noise, hence four buckets.
_RATE = "sum by (<<owner>>) (rate({series}[<<buckets>>]))"

# The servers' names of their count of requests by status code, and the label with the code. Some write `5xx` for all of
# them.
BY_STATUS = (
    ("http_requests_total", "code"),  # client_golang's promhttp
    ("http_requests_total", "status"),
    ("http_requests_total", "status_code"),
    ("http_request_duration_seconds_count", "code"),
    ("http_request_duration_seconds_count", "status"),
    ("http_request_duration_seconds_count", "status_code"),
    ("http_server_request_duration_seconds_count", "http_response_status_code"),  # OpenTelemetry
    ("http_server_requests_seconds_count", "status"),  # Micrometer
)
HISTOGRAMS = (
    "http_request_duration_seconds_bucket",
    "http_server_request_duration_seconds_bucket",  # OpenTelemetry
    "http_server_requests_seconds_bucket",  # Micrometer, where percentiles-histogram is on
)


def _share_of_errors(counter: str, label: str) -> str:
    """Only of requests that carry the label: a service that does not export its failures does not count as having an
    error ratio of 0.

    Where no request has failed since the start there is no series of failures: that is a 0, shown by its traffic.
    """
    failed = _RATE.format(series=f"{counter}{{{matcher(label, '=~', '5..')},<<matchers>>}}")
    everything = _RATE.format(series=f"{counter}{{{matcher(label, '!=', '')},<<matchers>>}}")
    return f"({failed}{_OR}0 * {everything}) / on (<<owner>>) {everything}"


def _p99(histogram: str) -> str:
    return f"histogram_quantile(0.99, sum by (<<owner>>, le) (rate({histogram}{{<<matchers>>}}[<<buckets>>])))"


# The kubelet also reports the pod's own cgroup (no container) and its pause container, which would count twice.
_OF_A_CONTAINER = '<<container>>!="",<<container>>!="POD"'
_ULIMIT = ("ulimit", "max_open_files")
_MEMORY_LIMIT = "no limit: set resources.limits.memory of the container"
OF_REQUESTS = "of requests"  # the unit of a share, which reads as percent

CATALOGUE: Mapping[SignalType, Row] = {
    row.type: row
    for row in (
        Row(
            type=SignalType.DESCRIPTORS,
            grown=frozenset({"descriptors"}),
            also_called=(
                "fds",
                "open_fds",
                "filedescriptors",
            ),
            unit="descriptors",
            limit_kind=LimitKind.METRIC,
            aliases=(
                # The process itself comes first: Go raises its own soft limit at start, so process_max_fds is
                # the truth and container_ulimits_soft may be another number.
                Alias("process_open_fds", "process_max_fds"),
                Alias("process_files_open_files", "process_files_max_files"),  # JVM neighbours, through Micrometer
                Alias(
                    "container_file_descriptors",
                    "container_ulimits_soft",
                    where=_OF_A_CONTAINER,
                    limit_where=f"{matcher(_ULIMIT[0], '=', _ULIMIT[1])},{_OF_A_CONTAINER}",
                    of_kubelet=True,
                    processes="container_processes",
                ),
            ),
            kubelet=Families("container_file_descriptors", "container_ulimits_soft", _ULIMIT, "container_processes"),
            fix="no process collector: expose client_golang's (process_open_fds) on /metrics and have Prometheus scrape it",
            limit_fix="no limit, an infinite one, or several processes that share one: export process_max_fds and set a finite"
            " ulimit, or give the signal an absolute threshold such as above: 2k",
        ),
        Row(
            type=SignalType.SOCKETS,
            grown=frozenset({"descriptors"}),
            also_called=("socket",),
            unit="sockets",
            limit_kind=LimitKind.NONE,
            aliases=(Alias("container_sockets", where=_OF_A_CONTAINER),),
            kubelet=Families("container_sockets"),
            fix="no container_sockets: have Prometheus scrape /metrics/cadvisor of the kubelets and keep it",
            limit_fix="sockets have no limit: give the signal an absolute threshold such as above: 500",
        ),
        Row(
            type=SignalType.GOROUTINES,
            grown=frozenset({"goroutines"}),
            also_called=("goroutine",),
            unit="goroutines",
            limit_kind=LimitKind.NONE,
            aliases=(
                Alias("go_goroutines"),
                Alias("go_sched_goroutines_goroutines"),  # client_golang with runtime/metrics
                Alias("go_goroutine_count"),  # OpenTelemetry
                Alias("process_runtime_go_goroutines"),  # OpenTelemetry before its names were settled
            ),
            kubelet=None,
            fix="no Go collector: expose client_golang's (go_goroutines) on /metrics and have Prometheus scrape it",
            limit_fix="goroutines have no limit: give the signal an absolute threshold such as above: 10k",
        ),
        Row(
            type=SignalType.HEAP,
            grown=frozenset({"memory"}),
            also_called=(
                "go_memstats_heap_alloc_bytes",
                "heap_inuse",
                "heap_alloc",
            ),
            memory=True,
            unit="bytes",
            limit_kind=LimitKind.CONTAINER_MEMORY,
            aliases=(
                Alias("go_memstats_heap_inuse_bytes"),
                Alias("go_memory_classes_heap_objects_bytes"),  # client_golang with runtime/metrics
                Alias("process_runtime_go_mem_heap_inuse_bytes"),  # OpenTelemetry
            ),
            kubelet=None,
            fix="no Go collector: expose client_golang's (go_memstats_heap_inuse_bytes) on /metrics and have Prometheus"
            " scrape it",
            limit_fix=_MEMORY_LIMIT,
        ),
        Row(
            type=SignalType.DB_POOL,
            grown=frozenset({"connections"}),
            also_called=(
                "pool",
                "db",
                "go_sql_open_connections",
            ),
            # client_golang, sqlstats and otelsql; pgx; HikariCP; OpenTelemetry
            apart=("db_name", "db", "pool", "pool_name", "db_client_connection_pool_name"),
            unit="connections",
            limit_kind=LimitKind.METRIC,
            aliases=(
                Alias("go_sql_in_use_connections", "go_sql_max_open_connections"),  # client_golang
                Alias("go_sql_stats_connections_in_use", "go_sql_stats_connections_max_open"),  # sqlstats
                Alias("db_sql_connection_open", "db_sql_connection_max_open", where='status="inuse"'),  # otelsql
                Alias("pgxpool_acquired_conns", "pgxpool_max_conns"),  # pgx
                # JVM neighbours: HikariCP through Micrometer, by its own collector, and through OpenTelemetry's agent.
                Alias("hikaricp_connections_active", "hikaricp_connections_max"),
                Alias("hikaricp_active_connections", "hikaricp_max_connections"),
                Alias("db_client_connections_usage", "db_client_connections_max", where='state="used"'),
            ),
            kubelet=None,
            never_zero=False,
            fix="no sql collector: where it has a database, register collectors.NewDBStatsCollector(db, name)",
            limit_fix="no limit: set db.SetMaxOpenConns; a pool without a maximum has nothing to leak towards",
        ),
        Row(
            type=SignalType.WORKING_SET,
            grown=frozenset({"memory", "rss"}),
            also_called=(
                "memory",
                "rss",
            ),
            memory=True,
            page_cache=True,
            unit="bytes",
            limit_kind=LimitKind.CONTAINER_MEMORY,
            aliases=(Alias("container_memory_working_set_bytes", where=_OF_A_CONTAINER),),
            kubelet=Families("container_memory_working_set_bytes"),
            fix="no container memory: have Prometheus scrape /metrics/cadvisor of the kubelets and keep"
            " container_memory_working_set_bytes",
            limit_fix=_MEMORY_LIMIT,
        ),
        Row(
            type=SignalType.PROCESSES,
            grown=frozenset({"processes"}),
            unit="threads",  # the kernel's pids controller counts threads; a process has one at least
            limit_kind=LimitKind.METRIC,
            aliases=(
                Alias(
                    "container_threads",
                    "container_threads_max",
                    where=_OF_A_CONTAINER,
                    limit_where=_OF_A_CONTAINER,
                    of_kubelet=True,
                ),
            ),
            kubelet=Families("container_threads", "container_threads_max"),
            fix="no container_threads: have Prometheus scrape /metrics/cadvisor of the kubelets and keep it",
            limit_fix="no PIDs limit: set podPidsLimit in the kubelet's configuration, or give the signal an absolute"
            " threshold such as above: 500",
        ),
        Row(
            type=SignalType.HTTP_ERRORS,
            also_called=(
                "errors",
                "5xx",
                "502",
                "error_ratio",
            ),
            unit=OF_REQUESTS,
            limit_kind=LimitKind.SHARE,
            aliases=(),
            query=_OR.join(_share_of_errors(*each) for each in BY_STATUS),
            kubelet=None,
            never_zero=False,
            fix="no status codes: count requests in http_requests_total with the label code"
            " (promhttp.InstrumentHandlerCounter)",
        ),
        Row(
            type=SignalType.LATENCY_P99,
            also_called=(
                "latency",
                "p99",
            ),
            unit="seconds",
            limit_kind=LimitKind.NONE,
            aliases=(),
            query=_OR.join(_p99(each) for each in HISTOGRAMS),
            kubelet=None,
            fix="no latency histogram: observe http_request_duration_seconds (promhttp.InstrumentHandlerDuration) with"
            " buckets beyond the threshold",
        ),
    )
}


_MEMORY = frozenset(str(kind).lower() for kind, row in CATALOGUE.items() if row.memory)


def is_memory(signal: str) -> bool:
    """Whether a signal is memory, by its type: case, hyphens and underscores of its name do not count. A policy's own
    PromQL does not show what it measures, and its key contains other names."""
    return signal.lower().replace("-", "").replace("_", "") in _MEMORY


# Lower case: the types, and the metrics by whose names a recording may call them.
_PAGE_CACHE = frozenset(
    name.replace("_", "")
    for kind, row in CATALOGUE.items()
    if row.page_cache
    for name in (str(kind).lower(), *(alias.value for alias in row.aliases))
)


def holds_page_cache(signal: str) -> bool:
    """Whether a signal's value holds page cache too, by its type or metric; as `is_memory`. A recording that is only
    called `memory` may be anything."""
    return signal.lower().replace("-", "").replace("_", "") in _PAGE_CACHE


def row_of(key: str) -> Row | None:
    """The row of a query's key; None for the queries that policies bring themselves."""
    return next((row for kind, row in CATALOGUE.items() if kind == key), None)


# The names under which servers count their requests.
REQUEST_COUNTERS = (
    "http_requests_total",
    "http_request_duration_seconds_count",
    "http_server_request_duration_seconds_count",  # OpenTelemetry
    "http_server_requests_seconds_count",  # Micrometer
    "grpc_server_handled_total",
)

# Series that help to judge the signals, as templates. The start of the process (epoch s) separates incarnations. The
# number of completed GC cycles separates a leak from a heap that has not been collected yet. Requests per second
# explain growth that follows the load. The resident set (`rss`) is the part of a container's memory that the kernel
# cannot take back: anonymous memory in the kubelet's `container_memory_rss`, which leaves out page cache; else the
# process's own, which also counts the files that it has mapped.
CONTEXT: Mapping[str, str] = {
    "start": "max by (<<owner>>, <<container>>) (last_over_time(process_start_time_seconds{<<matchers>>}[<<bucket>>]))",
    "gc": "max by (<<owner>>, <<container>>) (last_over_time(go_gc_duration_seconds_count{<<matchers>>}[<<bucket>>]))",
    "rate": _OR.join(_RATE.format(series=f"{name}{{<<matchers>>}}") for name in REQUEST_COUNTERS),
    "rss": "max by (<<owner>>, <<container>>) ("
    + _first_of(
        "min_over_time",
        "<<bucket>>",
        [
            _Term("container_memory_rss", _OF_A_CONTAINER, of_kubelet=False),
            _Term("process_resident_memory_bytes", "", of_kubelet=False),
        ],
    )
    + ")",
}
# ... and the names of those that the kubelets have too.
KUBELET_CONTEXT: Mapping[str, Families] = {"rss": Families("container_memory_rss")}


@dataclass(frozen=True, slots=True)
class Labels:
    """An endpoint's names of the labels that identify the pod of a reading."""

    namespace: str = "namespace"
    pod: str = "pod"
    container: str = "container"


def render(template: str, *, matchers: str, bucket: float, max_age: float, labels: Labels) -> str:
    """A template of this catalogue as PromQL. `bucket` and `max_age` in seconds."""
    values = {
        "owner": f"{labels.namespace}, {labels.pod}",
        "container": labels.container,
        "buckets": _duration(4 * bucket),
        "bucket": _duration(bucket),
        "maxage": _duration(max_age),
        "matchers": matchers,
    }
    for placeholder, text in values.items():
        template = template.replace(f"<<{placeholder}>>", text)
    return template


def _duration(seconds: float) -> str:
    return f"{math.ceil(seconds)}s" if seconds >= 1 else f"{max(1, math.ceil(seconds * 1000))}ms"


def real_limit(value: float) -> float | None:
    """The limit, or None where the number means that there is none: not positive, not finite, absurdly high."""
    return value if 0 < value < UNLIMITED else None
