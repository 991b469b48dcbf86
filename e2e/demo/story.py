"""The main job from load to proof: first Leakwarden may change nothing, then it may act."""

from __future__ import annotations

from e2e.demo import shop
from e2e.demo.access import errors
from e2e.demo.screen import Screen, command_lines, heading
from e2e.demo.summary import Account, Chapter
from e2e.demo.text import line
from e2e.demo.watch import WINDOW, Moment, Watch

# Fewer answers than this in a window prove nothing: half of the load's requests.
_ENOUGH = WINDOW * shop.RATE / 2


def tell(screen: Screen) -> Account:
    """Send load, watch, switch to Enforce, watch. Raises TimedOut and KubectlError; the load goes on either way."""
    shop.send_load()
    watch = Watch(screen)
    first = watch.until(
        "answers through nginx and readings in Prometheus", _answering, 90, now=lambda _: "the load begins"
    )
    start = chapter(first)
    watch.until("errors of an exhausted service, and word of it", _exhausted, 180, now=_observing)
    # A few seconds more of the errors that users would get for as long as nobody restarts the pod.
    before = chapter(watch.for_a_while(8, now=_observing))

    screen.tell(heading("Now Leakwarden may act. What it judged stays; one word of the policy changes:"))
    screen.tell(command_lines(shop.enforce_command()))
    screen.tell([line()])
    shop.enforce()
    end = watch.until(
        "the eviction, its verification and answers without errors",
        lambda moment: _recovered(moment, start),
        150,
        now=lambda moment: _enforcing(moment, start),
    )
    # Its first readings are judged a tick or two later; the leak, still in the code, needs another minute to return.
    verified = end.at
    end = watch.until(
        "a verdict on the replacement",
        lambda moment: moment.state(shop.LEAKING).verdict == "Healthy" or moment.at - verified > 15,
        60,
        now=lambda moment: _enforcing(moment, start),
    )
    # A rate reaches back over four readings, so the time after the action begins half a minute after it.
    end = watch.until(
        "the LeakReport's table of before, during and after",
        lambda moment: shop.LEAKING in moment.seen.outcomes,
        60,
        now=lambda moment: _enforcing(moment, start),
    )
    return Account(start=start, before=before, after=chapter(end), enough=int(_ENOUGH))


def chapter(moment: Moment) -> Chapter:
    """The facts of a moment that the summary keeps."""
    return Chapter(
        recent={name: moment.recent(name) for name in shop.SERVICES},
        whole={name: moment.answers.codes(name) for name in shop.SERVICES},
        seen=moment.seen,
    )


def _answering(moment: Moment) -> bool:
    levels_known = all(moment.state(name).levels.share is not None for name in shop.SERVICES)
    enough = all(sum(moment.recent(name).values()) >= _ENOUGH for name in shop.SERVICES)
    return levels_known and enough


def _exhausted(moment: Moment) -> bool:
    return moment.failing(shop.LEAKING) >= 0.5 and moment.seen.has_told("WouldAct", shop.LEAKING)


def _recovered(moment: Moment, start: Chapter) -> bool:
    recent = moment.recent(shop.LEAKING)
    records = moment.seen.actions_on(shop.LEAKING)
    return (
        _replaced(moment, start)
        and bool(records)
        and records[0].get("result") == "Effective"
        and sum(recent.values()) >= _ENOUGH
        and not errors(recent)
        and moment.state(shop.LEAKING).levels.share is not None
    )


def _replaced(moment: Moment, start: Chapter) -> bool:
    pod, old = moment.state(shop.LEAKING).pod, start.seen.state(shop.LEAKING).pod
    return pod is not None and pod.ready and old is not None and pod.uid != old.uid


def _observing(moment: Moment) -> str:
    if moment.failing(shop.LEAKING) > 0:
        return f"{shop.LEAKING} fails its users; nothing is changed"
    if moment.seen.has_told("LeakSuspected", shop.LEAKING):
        return f"{shop.LEAKING} is suspected; nothing is changed"
    return f"{shop.LEAKING} leaks, users do not notice yet"


def _enforcing(moment: Moment, start: Chapter) -> str:
    records = moment.seen.actions_on(shop.LEAKING)
    if not records:
        return "waiting for the operator's next tick"
    if not _replaced(moment, start):
        return f"{records[0].get('type')} is {records[0].get('phase')}; the replacement starts"
    if records[0].get("result") != "Effective":
        return "the replacement serves; the operator verifies"
    return "verified; users get answers again"
