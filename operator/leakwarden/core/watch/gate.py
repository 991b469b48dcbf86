"""Whether a soak lets a build pass: no leak, and enough traffic to have shown one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from leakwarden.core.watch.outcome import Code, Outcome, sentences
from leakwarden.core.watch.reach import rarest_shown, requests_needed

# Where more requests fail than this, the service's behaviour under load was not measured.
MOST_FAILED = 0.05


@dataclass(frozen=True, slots=True)
class Pressed:
    """The load of a soak, in requests."""

    answered: int  # with a status below 400: a wrong path or a rate limit is answered without the service's work
    failed: int
    due: int
    per_million: float  # the rarest leak that the load has to show
    in_words: str  # the answers by code
    refused: int = 0  # with a status from 400 to 499

    @property
    def needed(self) -> int:
        return requests_needed(self.per_million)

    @property
    def enough(self) -> bool:
        return self.answered >= self.needed

    @property
    def failing(self) -> bool:
        return self.failed > MOST_FAILED * self.due


def gate_code(outcome: Outcome, pressed: Pressed) -> Code:
    """The exit code; with NOTHING the build passes."""
    if outcome.code is Code.NOTHING and (not pressed.enough or pressed.failing):
        return Code.INCOMPLETE
    return outcome.code


def gate_sentences(outcome: Outcome, pressed: Pressed) -> Iterator[str]:
    yield from sentences(outcome, reach(pressed))
    if pressed.failing:
        yield (
            f"{pressed.failed:,} of {pressed.due:,} requests failed: with more than {MOST_FAILED:.0%} of them the"
            " service's work was not seen"
        )

    if pressed.refused > MOST_FAILED * pressed.due:
        yield (
            f"{pressed.refused:,} of {pressed.due:,} requests were refused with a 4xx and do not count: a path of --load is"
            " wrong, or a rate limit is lower than --rate"
        )


def reach(pressed: Pressed) -> str:
    """The rarest leak that the load could show, and whether that meets the requirement."""
    rarest = rarest_shown(pressed.answered)
    shown = (
        "too few to show any leak" if rarest is None else f"enough to show a leak of {rarest:,.0f} or more per million"
    )
    verdict = "as many were answered" if pressed.enough else f"only {pressed.answered:,} were answered"
    return (
        f"{pressed.answered:,} requests were answered ({pressed.in_words}), {shown}; a leak of {pressed.per_million:,.0f}"
        f" per million needs {pressed.needed:,}: {verdict}"
    )
