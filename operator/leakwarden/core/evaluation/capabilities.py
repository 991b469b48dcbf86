"""The signals that each workload has, those it lacks, and one line with the fix for each missing one.

Only a signal that can be added is missing. A failed query, an old reading or a pod that has just started does not show
whether a workload exports a signal, and the signal is in neither list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.signal import Signal, SignalType
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.readings import Answer, NoData
from leakwarden.core.model.workload import Workload
from leakwarden.core.profile.port import NAMES
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.signals.criteria import JudgementReason

NOTES = (
    "CLOSE_WAIT is not exported by the kubelet, nor is any other TCP state; sockets that are never closed show as Sockets,"
    " Descriptors and Goroutines",
)
PPROF = "pprof"
PPROF_FIX = (
    "pprof port closed, as far as is declared: serve net/http/pprof on a port of its own and name that container port"
    " pprof, or set spec.evidence.port, or annotate the pods with leakwarden.dev/pprof-port"
)
_PROMETHEUS = "configure a Prometheus endpoint of the operator"
_OF_GO = (SignalType.GOROUTINES, SignalType.HEAP)  # no other language exports these


class Presence(StrEnum):
    """Whether the signal exists at all, as far as a judgement shows it."""

    READ = "Read"
    NO_LIMIT = "NoLimit"
    IDLE = "Idle"  # too little traffic to be judged, whether it is exported or not
    LACKING = "Lacking"
    UNTOLD = "Untold"


class Lack(StrEnum):
    """Why a signal is missing, in addition to the sources' own reasons."""

    NOT_IN_WORKLOAD = "NotInWorkload"
    NOT_IN_SOURCE = "NotInSource"
    NO_LIMIT = "NoLimit"
    NO_PORT = "NoPort"


# The sources' reasons for a signal that can never be read.
_ABSENT = frozenset(
    {JudgementReason.NO_SERIES, JudgementReason.NO_REQUEST_RATE, "NotExported", "ConstantZero", "NoPodLabel", "NoNumbers"}
)  # fmt: skip
# Those that hold for all targets alike, so that it is not this workload's lack.
_OF_THE_SOURCE = frozenset({"NotExported", "ConstantZero", "NoPodLabel"})


@dataclass(frozen=True, slots=True)
class Missing:
    signal: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Capability:
    """The signals of one workload, by name, and those it lacks."""

    available: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """The coverage of one signal over all pods of the targets."""

    pods: Counter[Presence]
    lacking_everywhere: str = ""  # why no target has it; empty where one has it, or where that is unknown


@dataclass(frozen=True, slots=True)
class Capabilities:
    of_workload: Mapping[str, Capability]  # by UID
    of_signal: Mapping[str, Coverage]  # by name


@dataclass(slots=True)
class _Seen:
    """One signal over the pods of one workload."""

    pods: Counter[Presence] = field(default_factory=Counter)
    # Of the pods that are old enough to have it:
    settled: set[Presence] = field(default_factory=set)
    reason: str = ""


_NOT_SEEN = _Seen()


def reading(judgement: Judgement) -> Presence:
    if judgement.reason == JudgementReason.TOO_LITTLE_TRAFFIC:
        return Presence.IDLE
    # The kubelets' first buckets have no value yet either: they are warming up too.
    if judgement.verdict is not Verdict.UNKNOWN or (
        judgement.reason in (JudgementReason.WARMING_UP, JudgementReason.TOO_FEW_READINGS)
        and judgement.value is not None
    ):
        return Presence.READ
    if judgement.reason == JudgementReason.NO_LIMIT:
        return Presence.NO_LIMIT
    return Presence.LACKING if judgement.reason in _ABSENT else Presence.UNTOLD


def fix_of(signal: Signal, reason: str) -> str:
    """One line: the missing thing, and the fix."""
    row = CATALOGUE.get(signal.type) if signal.query is None else None
    if reason == Lack.NO_LIMIT:
        return row.limit_fix if row is not None else "no limit: limitQuery gives none for its pods"
    if reason == "NotExported":
        return f"the kubelets do not export it: {_PROMETHEUS}"
    if reason == "NoPodLabel":
        return "its series have no pod label: set it in the scrape configuration, or name it in the endpoint's podLabel"
    return row.fix if row is not None else "its query gives no series for its pods: check its metric and its pod label"


def capabilities(evaluation: PolicyEvaluation, now: float) -> Capabilities:
    """The capabilities of the targets from the readings of one tick. `now` in epoch seconds, to find the pods that have
    just started."""
    if evaluation.policy.spec is None:
        return Capabilities({}, {})
    signals = evaluation.policy.spec.signals
    max_age = parse_duration(evaluation.policy.spec.source.max_age)
    names = [signal.name for signal in signals]
    seen = {target.workload.uid: _survey(target, names, now, max_age) for target in evaluation.workloads}
    coverage: dict[str, Coverage] = {}
    for signal in signals:
        pods: Counter[Presence] = Counter()
        lacks = []
        for of_signals in seen.values():
            one = of_signals.get(signal.name, _NOT_SEEN)
            for presence, number in one.pods.items():
                pods[presence] += number
            lacks.append(_lack(one, evaluation.answers.get(signal.name)))
        there = pods[Presence.READ] + pods[Presence.NO_LIMIT]
        coverage[signal.name] = Coverage(pods, "" if there else next((lack for lack in lacks if lack), ""))
    of_workload = {
        target.workload.uid: _of_workload(evaluation, target.workload, signals, seen[target.workload.uid], coverage)
        for target in evaluation.workloads
    }
    return Capabilities(of_workload, coverage)


def _survey(target: WorkloadEvaluation, signals: Sequence[str], now: float, max_age: float) -> dict[str, _Seen]:
    # Most pods are calm and have all signals: these are counted once, and not for each signal.
    whole: list[PodEvaluation] = []
    others: list[PodEvaluation] = []
    every: Sequence[bool] = ()  # the last answer that was all yes; most pods share it
    for pod in target.pods:
        calm = pod.calm
        if calm is not None and (calm is every or all(calm)):
            every = calm
            whole.append(pod)
        else:
            others.append(pod)
    settled_whole = any(_is_settled(pod, now, max_age) for pod in whole)
    found: dict[str, _Seen] = {}
    if whole and not others:
        found = dict.fromkeys(signals, _whole(len(whole), settled_whole))
    elif whole:
        found = {name: _whole(len(whole), settled_whole) for name in signals}
    for pod in others:
        settled = _is_settled(pod, now, max_age)
        for judgement in pod.judgements:
            seen = found.setdefault(judgement.signal, _Seen())
            told = reading(judgement)
            seen.pods[told] += 1
            if settled:
                seen.settled.add(told)
                if told is Presence.LACKING:
                    seen.reason = str(judgement.reason)
    return found


def _whole(pods: int, settled: bool) -> _Seen:
    return _Seen(Counter({Presence.READ: pods}), {Presence.READ} if settled else set())


def _is_settled(pod: PodEvaluation, now: float, max_age: float) -> bool:
    """Before its first scrape a pod has no readings, and one that is not ready may not even listen yet."""
    return pod.pod.ready and now - pod.pod.created > max_age


def _lack(seen: _Seen, answer: Answer | None) -> str:
    """Why a workload lacks a signal: NoLimit, NoSeries or a source's reason; empty where it has it, or where that
    is unknown."""
    if seen.pods[Presence.READ]:
        return ""
    if seen.pods[Presence.NO_LIMIT]:
        return Lack.NO_LIMIT
    # Where the source has no such series at all, too little traffic is not the reason.
    none_at_all = isinstance(answer, NoData) and answer.reason == JudgementReason.NO_SERIES
    conclusive = {Presence.LACKING, Presence.IDLE} if none_at_all else {Presence.LACKING}
    if not seen.settled or not seen.settled <= conclusive:
        return ""
    return seen.reason if seen.reason in _OF_THE_SOURCE else JudgementReason.NO_SERIES


def _of_workload(
    evaluation: PolicyEvaluation,
    workload: Workload,
    signals: Sequence[Signal],
    seen: Mapping[str, _Seen],
    coverage: Mapping[str, Coverage],
) -> Capability:
    available, missing = [], []
    for signal in signals:
        one = seen.get(signal.name, _NOT_SEEN)
        if one.pods[Presence.READ]:
            available.append(signal.name)
            continue
        reason = _lack(one, evaluation.answers.get(signal.name))
        if reason == JudgementReason.NO_SERIES:
            everywhere = coverage[signal.name].lacking_everywhere
            reason = Lack.NOT_IN_SOURCE if everywhere else Lack.NOT_IN_WORKLOAD
        if reason:
            missing.append(Missing(signal.name, str(reason), fix_of(signal, reason)))
    spec = evaluation.policy.spec
    known = declares_pprof(workload) or (spec is not None and spec.evidence.port is not None)
    if _is_go(signals, seen) and not known:
        missing.append(Missing(PPROF, str(Lack.NO_PORT), PPROF_FIX))
    return Capability(tuple(available), tuple(missing))


def _is_go(signals: Sequence[Signal], seen: Mapping[str, _Seen]) -> bool:
    """Whether it is a Go service; also true where the policy has no signal that only Go exports."""
    asked = [seen[signal.name].pods for signal in signals if signal.type in _OF_GO and signal.name in seen]
    return not asked or any(pods[Presence.READ] or pods[Presence.NO_LIMIT] for pods in asked)


def declares_pprof(workload: Workload) -> bool:
    """Whether a container port has a name by which profiles are captured. A port that is not declared may still be
    open; no request is made to find out, and no port is guessed."""
    return any(name in NAMES for container in workload.containers for name, _ in container.ports)
