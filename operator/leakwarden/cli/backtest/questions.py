"""The queries to Prometheus for a backtest: the operator's own, over windows of the past.

The operator reads the present limits. Here a pod may have ended hours before its window does, so limits are the last of
the whole window; everything else is queried as the operator does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from leakwarden.api.v1alpha1.signal import SYMPTOMS, SignalType
from leakwarden.cli.backtest import owners as backtest_owners
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.readings import Query
from leakwarden.core.promql import literal_regex, matcher
from leakwarden.core.signals.catalogue import CATALOGUE, CONTEXT, Labels, render
from leakwarden.core.signals.queries import LATENCY, answer_key, needed_queries

CONTEXT_KEY = "context/"
START, CONTAINER_START, MEMORY = CONTEXT_KEY + "start", CONTEXT_KEY + "container", CONTEXT_KEY + "memory"
# The start of the container separates processes where a process does not export its own start; the engine has it from
# the API.
_CONTAINER_START = 'last_over_time(container_start_time_seconds{<<container>>!="",<<matchers>>}[<<bucket>>])'
# kube-state-metrics has the limit of the pod template; the kubelet has the limit that the kernel got.
_MEMORY = (
    'last_over_time(kube_pod_container_resource_limits{resource="memory",<<matchers>>}[<<maxage>>])'
    " or on (<<owner>>, <<container>>) "
    'last_over_time(container_spec_memory_limit_bytes{<<container>>!="",<<container>>!="POD",<<matchers>>}[<<maxage>>])'
)
# The name of a pod begins with its workload's, unless that is so long that it was cut.
_PREFIX = 40


@dataclass(frozen=True, slots=True)
class Questions:
    """The queries for one backtest."""

    policy: Policy | None  # None: all signals of the catalogue
    namespace: str | None  # None: all namespaces with readings
    workloads: tuple[str, ...]  # empty: all
    step: float  # s

    @property
    def names(self) -> Mapping[str, str]:
        """The name of each signal in a recording, by the key of its query. Built-in signals have their type as name, by
        which the detector recognises them. Symptoms are left out: no action ever follows from them alone. The P99 is
        read beside the signals (`readings`), since it explains growth."""
        if self.policy is None or self.policy.spec is None:
            return {str(kind): str(kind) for kind, row in CATALOGUE.items() if row.grows}
        names: dict[str, str] = {}
        for signal in self.policy.spec.signals:
            if signal.type in SYMPTOMS:
                continue
            names.setdefault(
                answer_key(signal, self.namespace or ""), str(signal.type) if signal.type in CATALOGUE else signal.name
            )
        return names

    def readings(self, namespaces: frozenset[str], window: float) -> list[Query]:
        """The signals and the series that explain their growth, to be read as ranges. `window` in seconds."""
        if self.policy is None:
            found = [Query(str(kind), row.value, row.limit, namespaces) for kind, row in CATALOGUE.items() if row.grows]
            found.append(Query(LATENCY, CATALOGUE[SignalType.LATENCY_P99].value, None, namespaces))
        else:
            wanted = needed_queries([replace(self.policy, namespace=self.namespace or "")])
            # A P99 by a query of the user's own has another key: the operator does not read it as the latency either.
            found = [query for query in wanted if query.key in self.names or query.key == LATENCY]
        beside = {CONTEXT_KEY + name: template for name, template in CONTEXT.items()}
        beside[CONTAINER_START] = _CONTAINER_START
        found += [Query(key, template, None, namespaces) for key, template in beside.items()]
        return [self._past(query, window) for query in found]

    def memory(self, namespaces: frozenset[str], window: float) -> Query:
        """The memory limits of containers, to be read as one point at the end of a window."""
        return self._past(Query(MEMORY, _MEMORY, None, namespaces), window)

    def present(self, window: float) -> str:
        """PromQL whose label sets are the namespaces with readings in a window."""
        terms = (
            f"group by (namespace) (last_over_time({alias.value}{{<<matchers>>}}[<<maxage>>]))"
            for row in CATALOGUE.values()
            for alias in row.aliases
        )
        return self._rendered(" or ".join(terms), window)

    def owners(self, window: float) -> tuple[str, str]:
        """PromQL whose label sets name the ReplicaSet (or another owner) of each pod, and the Deployment of each
        ReplicaSet."""
        return self._rendered(backtest_owners.PODS, window), self._rendered(backtest_owners.REPLICA_SETS, window)

    def _past(self, query: Query, window: float) -> Query:
        span = f"{_whole(window, self.step)}s"
        limit = query.limit
        if query.confined:
            # A user's limit may be any expression; only a subquery looks back over it.
            limit = None if limit is None else f"last_over_time(({limit})[{span}:{self.step:.0f}s])"
            return replace(query, limit=limit)
        return replace(query, value=self._narrow(query.value, span), limit=self._narrow(limit, span) if limit else None)

    def _narrow(self, template: str, span: str) -> str:
        """`template` with our window, restricted to the pods of our workloads."""
        if self.workloads:
            names = "|".join(f"{literal_regex(name[:_PREFIX])}.*" for name in self.workloads)
            template = template.replace("<<matchers>>", f"<<matchers>>,{matcher('pod', '=~', names)}")
        return template.replace("<<maxage>>", span)

    def _rendered(self, template: str, window: float) -> str:
        where = matcher("namespace", "=", self.namespace) if self.namespace else matcher("namespace", "!=", "")
        return render(template, matchers=where, bucket=self.step, max_age=_whole(window, self.step), labels=Labels())


def _whole(window: float, step: float) -> int:
    """A window's length and the step before it: the first moment of a range looks back, too."""
    return round(window + step)
