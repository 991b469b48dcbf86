"""Five causes of errors at a proxy, each as a list of clues that speak for it or against it.

A clue is a small named function of the facts. It gives points and a sentence, or nothing where the fact is not known:
readings that are missing count neither for nor against. The cause with the most points is named if it is ahead of the
second by enough; else the answer is that the cause is not known, with the readings that would show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from leakwarden.core.correlation.episode import Episode, LogKind
from leakwarden.core.correlation.facts import AS_EVER, GATEWAY_TIMEOUT, Facts, facts
from leakwarden.core.correlation.trouble import Trouble, trouble

# Fewer points than this prove nothing, and a smaller lead does not count.
LEAST_POINTS = 3
LEAST_LEAD = 1
# A status code's cause is named from this share of the errors on. That of a burst is named, however small it is.
LEAST_PART = 0.1
MAIN_PART = 0.4  # share of the errors from which on a part's cause stands for all where these have none
# Points from which on a cause holds although another one has as many: two things happened at once.
STRONG = 5
# What counts as a rise of load: mornings rise by less within an episode's half hour.
RISES = 1.35
STAYS = 1.2
# s for which as many requests must have been served well, so that their number is no cause.
CARRIED = 180.0
# Share of the workload's time from which on it mostly waits for what it calls.
MOSTLY = 0.8
# What counts as a rise of latency: twice the usual.
SLOWER = 2.0
# Share of the errors near starts from which on they belong to them.
BELONGS = 0.6
# Memory counts as used up from here on: a container is killed between two scrapes, and the last one shows less.
MEMORY_FULL = 0.85


class Cause(StrEnum):
    EXHAUSTION = "Exhaustion"
    SLOW_DEPENDENCY = "SlowDependency"
    ROLLOUT = "RolloutWithoutDraining"
    PROXY_TIMEOUT = "ProxyTimeoutTooShort"
    OVERLOAD = "Overload"


@dataclass(frozen=True, slots=True)
class Clue:
    """Points for a cause (below 0: against it) and why, in one line."""

    points: int
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer for an episode."""

    happened: bool
    cause: Cause | None  # None: it is not known, or nothing happened
    clues: Sequence[Clue] = ()  # of the named cause, or of the likeliest
    points: Mapping[Cause, int] | None = None
    unknown: Sequence[str] = ()  # missing readings that would help
    also: Sequence[Cause] = ()  # causes of other bursts, those with most errors first
    slowness: bool = False  # whether users waited, with hardly an error


_Ask = Callable[[Facts, Mapping[LogKind, int]], "Clue | None"]


def explain(episode: Episode) -> Explanation:
    """The cause of all bad moments together, and others that hold besides it: those of single bursts, of the proxy's own
    timeouts and of other errors each by itself, and those with as strong a case."""
    found = trouble(episode)
    if found is None:
        return Explanation(False, None)
    whole, total = _explained(episode, found), float(found.weight.sum())
    shares: dict[Cause, float] = {}
    parts: dict[Cause, Explanation] = {}
    bursts = [(episode, part, 0.0) for part in found.parts(episode.t)]
    codes = [(alone, part, LEAST_PART) for alone, part in _by_code(episode, found)]
    for part_of, part, least in (*bursts, *codes):
        share, of_part = float(part.weight[part.bad].sum()) / total, _explained(part_of, part)
        if of_part.cause is not None and share > max(least, shares.get(of_part.cause, 0.0)):
            shares[of_part.cause], parts[of_part.cause] = share, of_part
    ranked = sorted(shares, key=lambda each: -shares[each])
    if whole.cause is None and ranked and shares[ranked[0]] >= MAIN_PART:
        whole = parts[ranked[0]]
    strong = [cause for cause, points in (whole.points or {}).items() if points >= STRONG]
    if whole.cause is None and strong:
        whole = replace(whole, cause=max(strong, key=lambda cause: (whole.points or {})[cause]))
    also = dict.fromkeys([*ranked, *strong]) if whole.cause is not None else {}
    return replace(whole, also=[cause for cause in also if cause is not whole.cause])


def _by_code(episode: Episode, of: Trouble) -> Iterator[tuple[Episode, Trouble]]:
    """The proxy's own timeouts and all other errors, each by itself; nothing where there is only one of them."""
    if of.slowness or GATEWAY_TIMEOUT not in episode.errors or len(episode.errors) < 2:
        return
    for late in (True, False):
        errors = {code: rates for code, rates in episode.errors.items() if (code == GATEWAY_TIMEOUT) is late}
        alone = replace(episode, errors=errors)
        found = trouble(alone)
        if found is not None and not found.slowness:
            yield alone, found


def _explained(episode: Episode, of: Trouble) -> Explanation:
    measured, logs = facts(episode, of), episode.logs or {}
    clues = {
        cause: [clue for ask in asked if (clue := ask(measured, logs)) is not None] for cause, asked in CLUES.items()
    }
    points = {cause: sum(clue.points for clue in found) for cause, found in clues.items()}
    first, second, *_ = sorted(points.values(), reverse=True)
    likeliest = max(points, key=lambda cause: points[cause])
    sure = first >= LEAST_POINTS and first - second >= LEAST_LEAD
    return Explanation(
        True, likeliest if sure else None, clues[likeliest], points, _unknown(measured, episode), slowness=of.slowness
    )


def _unknown(measured: Facts, episode: Episode) -> list[str]:
    found = []
    for value, what in (
        (measured.full, "descriptors and pool use of the pods against their limits"),
        (measured.latency, "the latency of the workload"),
        (measured.dependency, "the latency of what the workload calls"),
        (measured.cpu, "the pods' CPU against its limit"),
        (measured.near_starts, "when the pods' processes began"),
        (episode.timeout, "the proxy's timeout for its upstream"),
        (episode.codes_known or None, "status codes, of which only classes are counted"),
        (episode.logs, "log lines of the time"),
    ):
        if value is None:
            found.append(what)
    return found


# Exhaustion ------------------------------------------------------------------------------------------------------------


def _used_up(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.full is None:
        return None
    if of.full < 0.1 and not of.all_read:
        return Clue(0, "of descriptors and connection pools, what was read was not used up")
    if of.full < 0.1:
        return Clue(-4, "no pod's descriptors or connection pool were used up")
    return Clue(3, f"a pod's descriptors or connection pool were used up in {of.full:.0%} of the bad moments")


def _climbed(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.climbed is None or not of.full:
        return None
    if of.climbed >= 0.8:
        return Clue(2, "it had climbed steadily before, as a leak does")
    return Clue(-2, "it was used up all at once, as by a jam, and not by a steady climb")


def _killed_for_memory(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.near_restarts is None or of.near_restarts < BELONGS or of.memory is None or of.memory < MEMORY_FULL:
        return None
    return Clue(7, f"processes began again after their memory had reached {of.memory:.0%} of its limit")


def _says_exhausted(_: Facts, logs: Mapping[LogKind, int]) -> Clue | None:
    count = logs.get(LogKind.OPEN_FILES, 0) + logs.get(LogKind.POOL_WAIT, 0)
    return Clue(3, f"{count} log lines speak of too many open files or of waiting for a connection") if count else None


# A slow dependency -----------------------------------------------------------------------------------------------------


def _dependency_slower(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.dependency is None:
        return None
    if of.dependency >= SLOWER:
        return Clue(4, f"what the workload calls took {of.dependency:.1f} times as long as before")
    return Clue(-4, "what the workload calls was not slower than before")


def _slower_without_load(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.latency is None or of.load is None:
        return None
    if of.latency >= SLOWER and of.load < RISES:
        return Clue(2, f"the workload took {of.latency:.1f} times as long, with no more requests than before")
    if of.latency < AS_EVER:
        return Clue(-3, "the workload was not slower than before")
    return None


def _waits_idly(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.cpu is None:
        return None
    return Clue(1, "the pods' CPU was not busy: they waited") if of.cpu < 0.7 else Clue(-2, "the pods' CPU was busy")


def _says_deadline(_: Facts, logs: Mapping[LogKind, int]) -> Clue | None:
    return Clue(1, "log lines speak of deadlines that were exceeded") if logs.get(LogKind.DEADLINE) else None


def _leaked_before(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.full and of.climbed is not None and of.climbed >= 0.8:
        return Clue(-3, "a resource had climbed until it was used up")
    return None


# A rollout without draining --------------------------------------------------------------------------------------------


def _at_starts(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.near_starts is None or of.start_time is None:
        return None
    if of.near_starts < BELONGS:
        return Clue(-4, f"only {of.near_starts:.0%} of the errors fell near the start of a new pod")
    # Where starts fill half of the time, errors near them prove little.
    strong = of.near_starts >= 1.5 * of.start_time
    most = 4 if of.replaced else 3  # without an end pods may have been added only
    return Clue(most if strong else 1, f"{of.near_starts:.0%} of the errors fell near the start of a new pod")


def _short_bursts(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.error_share <= 0 or of.longest_burst > 90:
        return None
    return Clue(1, f"the errors came in bursts of {of.longest_burst:.0f}s at most")


def _not_slower(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.latency is None:
        return None
    return (
        Clue(1, "those that were served were as quick as before")
        if of.latency < AS_EVER
        else Clue(-1, "it was slower, too")
    )


def _refused(_: Facts, logs: Mapping[LogKind, int]) -> Clue | None:
    return Clue(1, "log lines speak of refused connections") if logs.get(LogKind.REFUSED) else None


def _own_answers(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.own_errors is None or of.error_share <= 0 or of.own_errors < 0.5 * of.error_share:
        return None
    return Clue(-3, "the errors were answers of the workload itself, and not of connections that were refused")


# A proxy that gives up too early ---------------------------------------------------------------------------------------


def _gives_up(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.gateway_timeouts is None:
        return Clue(-4, "the proxy did not give up") if of.error_share <= 0 else None
    if of.gateway_timeouts >= 0.8:
        return Clue(1, f"{of.gateway_timeouts:.0%} of the errors were 504, the proxy's own")
    return Clue(-4, f"only {of.gateway_timeouts:.0%} of the errors were 504, the proxy's own")


def _usually_longer(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.worst_over_timeout is None:
        return None
    if of.worst_over_timeout < 0.8:
        return Clue(-4, "the workload answers well within the proxy's timeout")
    if of.usual_over_timeout is not None and of.usual_over_timeout >= 0.7:
        return Clue(4, "the workload takes about as long as the proxy waits, or longer, and does so in good times, too")
    return Clue(-1, "the workload took longer than the proxy waits, but only then")


def _as_ever(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.latency is not None and of.latency < 1.5 and (of.gateway_timeouts or 0.0) >= 0.8:
        return Clue(2, "the proxy gave up although the workload was as quick as ever")
    return None


def _nothing_else_wrong(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    known = (of.gateway_timeouts, of.worst_over_timeout, of.dependency, of.load, of.own_errors)
    if any(value is None for value in known) or of.full:
        return None
    late, worst, dependency, load, failed = (value or 0.0 for value in known)
    if late < 0.8 or worst < 1.0 or dependency >= AS_EVER or load >= RISES or failed >= 0.2 * of.error_share:
        return None
    return Clue(3, "requests that the proxy gave up succeeded later, with no more load and nothing slow that is called")


def _succeeds_itself(of: Facts, logs: Mapping[LogKind, int]) -> Clue | None:
    if logs.get(LogKind.CANCELLED):
        return Clue(1, "log lines say that the caller hung up")
    if of.own_errors is not None and of.own_errors < 0.2 * of.error_share:
        return Clue(1, "the workload itself counted hardly an error")
    return None


# Overload --------------------------------------------------------------------------------------------------------------


def _more_load(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.load is None:
        return None
    if of.load >= RISES:
        return Clue(3, f"{of.load:.1f} times as many requests came as before")
    return Clue(-4, "no more requests came than before") if of.load < STAYS else None


def _carried_before(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.carried is None or of.load is None or of.load < RISES or of.carried < CARRIED:
        return None
    return Clue(-4, f"as many requests were served for {of.carried:.0f}s as quickly as ever and without errors")


def _busy(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.cpu is None:
        return None
    if of.cpu >= 0.9:
        return Clue(2, f"the busiest pod's CPU was at {of.cpu:.0%} of its limit")
    return Clue(-2, "the pods' CPU was not busy") if of.cpu < 0.7 else None


def _slower_with_load(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.latency is None or of.load is None:
        return None
    return Clue(1, "the workload was slower while more came") if of.latency >= SLOWER and of.load >= RISES else None


def _waits_for_what_it_calls(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.dependency is None or of.waited is None or of.dependency < SLOWER or of.waited < MOSTLY:
        return None
    return Clue(
        -2, f"{min(of.waited, 1.0):.0%} of the workload's time passed in what it calls, not in a queue of its own"
    )


def _not_what_it_calls(of: Facts, _: Mapping[LogKind, int]) -> Clue | None:
    if of.load is None or of.latency is None or of.dependency is None:
        return None
    if of.load < RISES or of.latency < SLOWER or of.dependency >= AS_EVER:
        return None
    return Clue(2, "it was slower while more came, and what it calls was not")


CLUES: Mapping[Cause, Sequence[_Ask]] = {
    Cause.EXHAUSTION: (_used_up, _climbed, _killed_for_memory, _says_exhausted),
    Cause.SLOW_DEPENDENCY: (_dependency_slower, _slower_without_load, _waits_idly, _says_deadline, _leaked_before),
    Cause.ROLLOUT: (_at_starts, _short_bursts, _not_slower, _refused, _own_answers),
    Cause.PROXY_TIMEOUT: (_gives_up, _usually_longer, _as_ever, _nothing_else_wrong, _succeeds_itself),
    Cause.OVERLOAD: (
        _more_load,
        _carried_before,
        _busy,
        _slower_with_load,
        _waits_for_what_it_calls,
        _not_what_it_calls,
        _leaked_before,
    ),
}
