"""Observes again and again, and shows the result, until the story's condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from e2e.demo import shop
from e2e.demo.access import AccessLog, Answers, Codes, error_rate
from e2e.demo.observation import Observation, ServiceState, look, read_access_log
from e2e.demo.screen import Screen
from e2e.demo.view import Happened, Row, Scene
from e2e.harness.kube import KubectlError
from e2e.harness.waiting import TimedOut

_PAUSE = 2.0  # s between two observations, each of which takes about one
_PATIENCE = 30.0  # s without any answer from the cluster; it may be busy
WINDOW = 10.0  # s that the status codes of the summary cover


@dataclass(frozen=True)
class Moment:
    """One observation. `at` on this process's clock, `elapsed` since the load began; both in seconds."""

    at: float
    elapsed: float
    seen: Observation
    answers: Answers

    def state(self, service: str) -> ServiceState:
        return self.seen.state(service)

    def recent(self, service: str, seconds: float = WINDOW) -> Codes:
        """nginx's answers in the last `seconds`."""
        return self.answers.codes(service, seconds)

    def failing(self, service: str) -> float:
        """Share of failures in the last few seconds; 0 without requests."""
        return error_rate(self.recent(service, 5)) or 0.0


class Watch:
    """Follows the shop from now on."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._begin = time.monotonic()
        self._log = AccessLog()
        self._shares: dict[str, list[float | None]] = {name: [] for name in shop.SERVICES}
        self._happened: dict[str, Happened] = {}

    def until(
        self, what: str, done: Callable[[Moment], bool], timeout: float, *, now: Callable[[Moment], str]
    ) -> Moment:
        """The first moment of which `done` holds; `now` puts each into a sentence.

        Raises TimedOut after `timeout` seconds, and KubectlError when the cluster gives no answer for half a minute.
        """
        begin = answered = time.monotonic()
        while True:
            try:
                moment = self._look()
                answered = moment.at
            except KubectlError:
                if time.monotonic() - answered > _PATIENCE:
                    raise
            else:
                self._show(moment, now(moment))
                if done(moment):
                    return moment
                if moment.at - begin > timeout:
                    raise TimedOut(f"{what}: not within {timeout:.0f} s; seen last: {seen_in_short(moment)}")
            time.sleep(_PAUSE)

    def for_a_while(self, seconds: float, *, now: Callable[[Moment], str]) -> Moment:
        """Go on showing."""
        end = time.monotonic() + seconds
        return self.until("the time to pass", lambda moment: moment.at >= end, seconds + _PATIENCE, now=now)

    def _look(self) -> Moment:
        text = read_access_log(shop.NAMESPACE, self._log.since)
        seen = look(shop.NAMESPACE, shop.POLICY, shop.SERVICES)
        at = time.monotonic()
        for name, shares in self._shares.items():
            shares.append(seen.state(name).levels.share)
        for told in seen.told:
            self._happened.setdefault(told.key, Happened(at - self._begin, told))
        return Moment(at, at - self._begin, seen, self._log.add(text))

    def _show(self, moment: Moment, now: str) -> None:
        interval = self._screen.interval
        rows = [
            Row(name, moment.recent(name, interval), moment.state(name), tuple(self._shares[name]))
            for name in shop.SERVICES
        ]
        events = tuple(self._happened.values())
        self._screen.show(Scene(moment.elapsed, moment.seen.mode, now, interval, rows, events))


def seen_in_short(moment: Moment) -> str:
    """The important facts of the leaking service, for the message of a failed wait."""
    state = moment.state(shop.LEAKING)
    codes = " ".join(f"{count}x{code}" for code, count in sorted(moment.recent(shop.LEAKING).items())) or "no requests"
    newest = (moment.seen.actions_on(shop.LEAKING) or [{}])[0]
    record = f"{newest.get('type')} {newest.get('phase')} {newest.get('result', '')}".strip() if newest else "no action"
    return (
        f"{shop.LEAKING} has {state.levels.descriptors} of {state.levels.limit} descriptors, verdict"
        f" {state.verdict or 'none'}, {codes}, {record}"
    )
