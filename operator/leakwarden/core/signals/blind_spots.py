"""The leaks that a policy cannot see, in words: printed by `leakwarden check` and `leakwarden backtest`.

A policy that is valid may still watch too little. Nothing here is wrong with it, so none of it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.api.v1alpha1.signal import SYMPTOMS, Measured, Role, Signal, SignalType
from leakwarden.core.signals.catalogue import CATALOGUE

# Growth needs this many minutes of a leak before it is reported in good time; see the table of fast leaks in
# docs/explanation/leak-or-load.md.
FAST = 45

Question = Callable[[PolicySpec], str]


def blind_spots(spec: PolicySpec) -> tuple[str, ...]:
    """One sentence for each kind of leak that the policy would not report, or would report late; empty where there is
    none."""
    return tuple(said for question in QUESTIONS if (said := question(spec)))


def _has(signals: Iterable[Signal], *types: SignalType) -> bool:
    return any(signal.type in types for signal in signals)


def _own_queries(spec: PolicySpec) -> bool:
    """Whether one of the policy's own queries may measure anything."""
    return _has(spec.signals, SignalType.PROMQL)


def _descriptors(spec: PolicySpec) -> str:
    if _has(spec.signals, SignalType.DESCRIPTORS) or _own_queries(spec):
        return ""
    return "files and connections that are not closed until something else fails: signals has no Descriptors"


def _goroutines(spec: PolicySpec) -> str:
    if _has(spec.signals, SignalType.GOROUTINES) or _own_queries(spec):
        return ""
    return "goroutines that never end and hold no descriptor until memory is short: signals has no Goroutines"


def _memory(spec: PolicySpec) -> str:
    if any(signal.type in CATALOGUE and CATALOGUE[signal.type].memory for signal in spec.signals) or _own_queries(spec):
        return ""
    return "a map, cache or registry that only grows: signals has neither Heap nor WorkingSet"


def _pools(spec: PolicySpec) -> str:
    if _has(spec.signals, SignalType.DB_POOL) or any(s.kind is Measured.CONNECTION_POOL for s in spec.signals):
        return ""
    return "database connections that are not given back until callers wait for the pool: signals has no DBPool"


def _without_growth(spec: PolicySpec) -> str:
    names = [
        s.name
        for s in spec.signals
        if s.type not in SYMPTOMS and s.type is not SignalType.ALERT and not s.growth.enabled
    ]
    if not names:
        return ""
    return f"growth of {', '.join(names)} below the threshold: growth.enabled is false there"


def _fast(spec: PolicySpec) -> str:
    leaks = [s for s in spec.signals if s.effective_role is Role.LEAK and s.type is not SignalType.ALERT]
    if not leaks or any(s.threshold is not None for s in leaks):
        return ""
    return (
        f"most leaks that fill their limit in less than {FAST} minutes: growth needs time to be told from load, and no signal"
        " of role Leak has a threshold"
    )


def _symptoms(spec: PolicySpec) -> str:
    if _has(spec.signals, *SYMPTOMS):
        return ""
    return "whether users see errors or wait: signals has neither HTTPErrors nor LatencyP99"


def _lines(spec: PolicySpec) -> str:
    return "" if spec.evidence.enabled else "the line of code that leaks: evidence.enabled is false"


QUESTIONS: tuple[Question, ...] = (
    _descriptors, _goroutines, _memory, _pools, _without_growth, _fast, _symptoms, _lines,
)  # fmt: skip
