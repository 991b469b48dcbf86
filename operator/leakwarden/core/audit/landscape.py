"""Finds which of the objects that were read belong together: an index, so that the cost is linear in their number.

A selector is looked up by the rarest of its labels among the workloads of its namespace. Of several copies of one
object (for example a base and its overlays) each workload gets the nearest one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from leakwarden.core.audit.references import References
from leakwarden.core.audit.related import (
    Budget,
    Claim,
    Governing,
    Handling,
    Identity,
    KeySource,
    Monitor,
    Quota,
    Referring,
    Related,
    Route,
    Scaler,
    Service,
    Shared,
    VerticalScaler,
)
from leakwarden.core.audit.set_later import EVERY, Makers, may_name, without_roles, without_set_labels
from leakwarden.core.audit.sharing import Sharing
from leakwarden.core.model.labels import LabelRequirement, LabelSelector
from leakwarden.core.model.workload import Workload


class _Identified(Protocol):
    @property
    def identity(self) -> Identity: ...


T = TypeVar("T", bound=_Identified)
F = TypeVar("F")
SAME_FILE = 1_000_000  # the nearness of objects of one file
NOT_SCALED = frozenset({"CronJob", "DaemonSet", "Job", "Pod"})  # kinds without the scale subresource
Nearness = Callable[[object, int], int]  # of a related object to the workload at a position; a larger number is nearer


@dataclass(slots=True)
class Landscape:
    """All objects that were read."""

    workloads: Sequence[Workload] = ()
    budgets: Sequence[Budget] = ()
    scalers: Sequence[Scaler] = ()
    services: Sequence[Service] = ()
    monitors: Sequence[Monitor] = ()
    routes: Sequence[Route] = ()
    claims: Sequence[Claim] = ()
    sources: Sequence[KeySource] = ()
    handlings: Sequence[Handling] = ()
    vertical: Sequence[VerticalScaler] = ()
    quotas: Sequence[Quota] = ()
    referring: Sequence[Referring] = ()
    complete: bool = False  # an object that is not here does not exist; else it may be defined elsewhere
    nearness: Nearness | None = None  # ranks copies of one object; None: the first one counts
    makers: Makers = field(default_factory=Makers)  # objects of kinds that are not audited and may make pods
    others: frozenset[Identity] = frozenset()  # workloads that exist and take their pods from another one
    _by_namespace: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _by_label: dict[tuple[str, str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    _by_name: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _selected: dict[tuple[str, LabelSelector], list[int]] = field(default_factory=dict)
    _serving: dict[str, dict[str, list[Service]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for position, workload in enumerate(self.workloads):
            self._by_namespace[workload.namespace].append(position)
            self._by_namespace[EVERY].append(position)
            self._by_name[workload.name].append(position)
            for key, value in workload.pods.labels.items():
                self._by_label[workload.namespace, key, value].append(position)
                self._by_label[EVERY, key, value].append(position)
        for service in self.services:
            for space in (service.identity.namespace, EVERY):
                self._serving.setdefault(space, {}).setdefault(service.identity.name, []).append(service)

    def selected(self, namespace: str, selector: LabelSelector | None) -> list[int]:
        """The positions of the workloads whose pods the selector selects, in order."""
        if selector is None:
            return []
        if (known := self._selected.get((namespace, selector))) is not None:
            return known
        shown = without_set_labels(selector)
        asked = selector if shown is None else shown
        found: list[int] = []
        for each in self._namespaces(namespace):
            candidates = self._candidates(each, asked)
            found += [p for p in candidates if asked.selects(self.workloads[p].pods.labels)]
        if shown is not None:
            found = [p for p in found if may_name(selector, self.workloads[p])]
        return self._selected.setdefault((namespace, selector), sorted(found))

    def made_later(self, namespace: str, selector: LabelSelector) -> str:
        """Why a selector that selects nothing here may select pods all the same, in words; empty where nothing shows it."""
        roles = without_roles(selector)
        if roles is not None and (positions := self.selected(namespace, roles)):
            workload = self.workloads[positions[0]]
            missing = ", ".join(key for key, _ in selector.labels if key not in workload.pods.labels)
            return (
                f"unless {workload.kind} {workload.name} sets {missing} on its pods while they run" if missing else ""
            )
        maker = self.makers.of(namespace, selector)
        return f"unless {maker.identity} makes pods with these labels" if maker else ""

    def elsewhere(self, namespace: str, selector: LabelSelector) -> Workload | None:
        """A workload of another namespace that the selector would select."""
        if not selector.labels and not selector.expressions:
            return None
        for position in self._candidates(EVERY, selector):
            workload = self.workloads[position]
            if not same_namespace(workload.namespace, namespace) and selector.selects(workload.pods.labels):
                return workload
        return None

    def inhabited(self, namespace: str) -> bool:
        """Whether any workload was read that an object of this namespace could refer to."""
        return any(self._by_namespace.get(each) for each in self._namespaces(namespace))

    def together(self, each: _Identified, position: int) -> bool:
        """Whether an object and a workload are certainly applied to one namespace: the same one is written in both, or
        they are in one file."""
        if each.identity.namespace and each.identity.namespace == self.workloads[position].namespace:
            return True
        return self.nearness is None or self.nearness(each, position) >= SAME_FILE

    def targeted(self, scaler: Scaler | VerticalScaler | Referring) -> list[int]:
        """The positions of the workloads that it scales: none of a kind without a number of replicas."""
        if scaler.target_kind in NOT_SCALED:
            return []
        return [
            position
            for position in self._by_name.get(scaler.target, ())
            if self.workloads[position].kind == scaler.target_kind
            and same_namespace(self.workloads[position].namespace, scaler.identity.namespace)
        ]

    def has_services(self, namespace: str) -> bool:
        """Whether any Service was read that an object of this namespace could refer to."""
        return any(self._serving.get(space) for space in self._namespaces(namespace))

    def services_named(self, namespace: str, name: str) -> list[Service]:
        return [
            service for space in self._namespaces(namespace) for service in self._serving.get(space, {}).get(name, ())
        ]

    def _governing(self, workload: Workload) -> Governing | None:
        name = workload.service_name
        if workload.kind != "StatefulSet" or not name or not self.has_services(workload.namespace):
            return None
        services = self.services_named(workload.namespace, name)
        return Governing(name, bool(services), any(service.headless for service in services))

    def _is_other(self, scaler: Scaler) -> bool:
        target = (scaler.target_kind, scaler.target)
        return any(
            (each.kind, each.name) == target and same_namespace(each.namespace, scaler.identity.namespace)
            for each in self.others
        )

    def relate(self) -> tuple[list[Related], Unattached]:
        """The objects that belong to each workload, in the order of the workloads, and those that belong to none."""
        size = len(self.workloads)
        budgets: list[list[Budget]] = [[] for _ in range(size)]
        scalers: list[list[Scaler]] = [[] for _ in range(size)]
        services: list[list[Service]] = [[] for _ in range(size)]
        monitors: list[list[Monitor]] = [[] for _ in range(size)]
        routes: list[list[Route]] = [[] for _ in range(size)]
        handlings: list[list[Handling]] = [[] for _ in range(size)]
        loose = Unattached()
        for scaler in self.scalers:
            if not _attach(scaler, self.targeted(scaler), scalers) and not self._is_other(scaler):
                loose.scalers.append(scaler)
        vertical: list[list[VerticalScaler]] = [[] for _ in range(size)]
        referring: list[list[Referring]] = [[] for _ in range(size)]
        for each in self.vertical:
            _attach(each, self.targeted(each), vertical)
        for one in self.referring:
            _attach(one, self.targeted(one), referring)
        least = [
            max(1, min(each.minimum for each in scalers[position])) if scalers[position] else workload.replicas
            for position, workload in enumerate(self.workloads)
        ]
        sharing = Sharing(self.workloads, least)
        shared: dict[int, Shared] = {}
        servers: dict[int, Workload] = {}
        for budget in self.budgets:
            positions = self.selected(budget.identity.namespace, budget.selector)
            if not _attach(budget, positions, budgets):
                loose.budgets.append(budget)
            elif (several := sharing.budget(budget, positions, self.together)) is not None:
                shared[id(budget)] = several
        positions_of: dict[int, list[int]] = {}
        for number, service in enumerate(self.services):
            selector = LabelSelector(tuple(service.selector.items())) if service.selector else None
            positions_of[number] = self.selected(service.identity.namespace, selector)
            if not _attach(service, positions_of[number], services) and service.selector:
                loose.services.append(service)
            elif (server := sharing.server(service, positions_of[number], self.together)) is not None:
                servers[id(service)] = server
        full = sharing.full(self.quotas)
        by_name: dict[str, list[int]] = defaultdict(list)
        for number, service in enumerate(self.services):
            by_name[service.identity.name].append(number)

        def reached(each: Route | Handling) -> list[int]:
            found = {
                position
                for name in each.services
                for number in by_name.get(name, ())
                if same_namespace(self.services[number].identity.namespace, each.identity.namespace)
                for position in positions_of[number]
            }
            return sorted(found)

        for route in self.routes:
            _attach(route, reached(route), routes)
        for handling in self.handlings:
            _attach(handling, reached(handling), handlings)
        watch = _Watch(self, positions_of)
        for monitor in self.monitors:
            positions, anything = watch.scraped(monitor)
            _attach(monitor, positions, monitors)
            if not anything:
                loose.monitors.append(monitor)
        references = References(self.claims, self.sources, self.complete)
        for workload in self.workloads:
            references.use(workload)
        missing = [references.missing(workload) for workload in self.workloads]
        claims = [references.claims(workload) for workload in self.workloads]
        near_budgets = [self._nearest(each, position) for position, each in enumerate(budgets)]
        near_services = [self._nearest(each, position) for position, each in enumerate(services)]
        return [
            Related(
                budgets=near_budgets[position],
                scalers=self._nearest(scalers[position], position),
                services=near_services[position],
                vertical=self._nearest(vertical[position], position),
                referring=self._nearest(referring[position], position),
                shared=_by_name(near_budgets[position], shared),
                servers=_by_name(near_services[position], servers),
                full=full.get(self.workloads[position].namespace, ()),
                monitors=self._nearest(monitors[position], position),
                routes=self._nearest(routes[position], position),
                handlings=self._nearest(handlings[position], position),
                claims=self._nearest(claims[position], position),
                missing=missing[position],
                sources_read=references.read(self.workloads[position].namespace),
                governing=self._governing(self.workloads[position]),
                complete=self.complete,
                monitored_elsewhere=not self.monitors,
            )
            for position in range(size)
        ], loose

    def _nearest(self, found: list[T], position: int) -> tuple[T, ...]:
        if len(found) < 2:
            return tuple(found)
        chosen: dict[Identity, T] = {}
        for each in found:
            held = chosen.get(each.identity)
            nearer = held is None or (
                self.nearness is not None and self.nearness(each, position) > self.nearness(held, position)
            )
            if nearer:
                chosen[each.identity] = each
        return tuple(chosen.values())

    def _namespaces(self, namespace: str) -> Iterable[str]:
        """The namespaces that an object of this namespace may refer to: an object without one goes wherever it is
        applied."""
        return (namespace, "") if namespace else (EVERY,)

    def _candidates(self, namespace: str, selector: LabelSelector) -> Sequence[int]:
        lists = [self._by_label.get((namespace, key, value), []) for key, value in selector.labels]
        lists += [_any_of(self._by_label, namespace, each) for each in selector.expressions if each.operator == "In"]
        return min(lists, key=len) if lists else self._by_namespace.get(namespace, [])


@dataclass(slots=True)
class Unattached:
    """The objects that belong to no workload that was read."""

    budgets: list[Budget] = field(default_factory=list)
    scalers: list[Scaler] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    monitors: list[Monitor] = field(default_factory=list)


class _Watch:
    """The workloads that a monitor scrapes: selected by their own labels, or behind the Services that it selects."""

    def __init__(self, landscape: Landscape, positions_of: Mapping[int, list[int]]) -> None:
        self._landscape = landscape
        self._positions_of = positions_of
        self._services: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        self._all: dict[str, list[int]] = defaultdict(list)
        for number, service in enumerate(landscape.services):
            for space in (service.identity.namespace, EVERY):
                self._all[space].append(number)
                for key, value in service.labels.items():
                    self._services[space, key, value].append(number)

    def scraped(self, monitor: Monitor) -> tuple[list[int], bool]:
        """The workloads' positions, and whether the monitor selected anything at all."""
        land = self._landscape
        if monitor.identity.kind == "PodMonitor":
            spaces = self._spaces(monitor)
            found = sorted(
                {p for space in spaces for p in land.selected("" if space == EVERY else space, monitor.selector)}
            )
            return found, bool(found)
        positions, anything = set(), False
        for space in self._spaces(monitor):
            for number in self._candidates(space, monitor.selector):
                service = land.services[number]
                if monitor.selector.selects(service.labels):
                    anything = True
                    if any(_serves(service, port) for port in monitor.ports):
                        positions.update(self._positions_of[number])
        return sorted(positions), anything

    @staticmethod
    def _spaces(monitor: Monitor) -> Iterator[str]:
        if monitor.namespaces is None or not monitor.identity.namespace:
            return iter((EVERY,))
        return iter(dict.fromkeys((*(monitor.namespaces or (monitor.identity.namespace,)), "")))

    def _candidates(self, namespace: str, selector: LabelSelector) -> Sequence[int]:
        lists = [self._services.get((namespace, key, value), []) for key, value in selector.labels]
        return min(lists, key=len) if lists else self._all.get(namespace, [])


def same_namespace(one: str, other: str) -> bool:
    """Whether both may be in one namespace: a manifest without a namespace goes wherever it is applied, so it matches
    any."""
    return one == other or not one or not other


def _serves(service: Service, port: int | str) -> bool:
    return any(port in (each.name, each.target, each.port) for each in service.ports)


def _any_of(index: Mapping[tuple[str, str, str], list[int]], namespace: str, among: LabelRequirement) -> list[int]:
    return sorted({p for value in among.values for p in index.get((namespace, among.key, value), ())})


def _by_name(found: Iterable[_Identified], facts: Mapping[int, F]) -> dict[str, F]:
    return {each.identity.name: facts[id(each)] for each in found if id(each) in facts}


def _attach(each: T, positions: Sequence[int], lists: list[list[T]]) -> bool:
    for position in positions:
        lists[position].append(each)
    return bool(positions)
