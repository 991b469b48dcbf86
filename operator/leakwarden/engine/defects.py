"""Contains failures that a defect of ours causes: each costs its own policy only, is reported, and never stops the
tick.

    with defects.contained("judged", policy):
        ...

An exception that leaves such a block is counted, logged with its traceback, and remembered for the policy. The policy's
conditions then state since when its status is not current.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from leakwarden.core.model.policy import Policy

log = logging.getLogger("leakwarden.tick")


@dataclass(frozen=True, slots=True)
class Defect:
    """A failure of ours that concerns one policy."""

    step: str  # the step that failed, such as `judged`
    error: str  # class of the exception
    since: float  # epoch s of the first tick in an unbroken row of ticks with a defect

    def __str__(self) -> str:
        return f"a defect of Leakwarden ({self.error}): it could not be {self.step}"


@dataclass(slots=True)
class Defects:
    """`clock` gives epoch s. `count` is the number of all defects since the start."""

    clock: Callable[[], float] = lambda: 0.0
    count: int = 0
    tick: int = 0  # how many ticks were begun
    _now: dict[str, Defect] = field(default_factory=dict)  # policy UID -> the first defect of this tick
    _before: dict[str, Defect] = field(default_factory=dict)  # the same of the last tick

    def begin(self) -> None:
        """Must be called at the start of each tick."""
        self.tick += 1
        self._before, self._now = self._now, {}

    def of(self, uid: str) -> Defect | None:
        """The first failure in this tick for the policy of that UID; None without one."""
        return self._now.get(uid)

    @contextmanager
    def contained(self, step: str, *policies: Policy, about: str = "") -> Iterator[None]:
        """`about` names the object for the log where it is not a policy."""
        try:
            yield
        except Exception as error:
            self.note(error, step, policies, about)

    def note(self, error: BaseException, step: str, policies: Iterable[Policy] = (), about: str = "") -> None:
        self.count += 1
        concerned = tuple(policies)
        what = {"policy": ", ".join(policy.key for policy in concerned[:10]), "about": about}
        log.error("a defect: it could not be %s", step, extra=what, exc_info=error)
        for policy in concerned:
            before = self._before.get(policy.uid)
            since = min(before.since, self.clock()) if before is not None else self.clock()
            self._now.setdefault(policy.uid, Defect(step, type(error).__name__, since))
