"""What is added to an advice by what is known of the named function: that it gives the thing away, or does not return."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from leakwarden.core.profile.causes import short
from leakwarden.core.profile.evidence import Suspect
from leakwarden.core.profile.lines import Line
from leakwarden.core.profile.modules import serves
from leakwarden.core.profile.ownership import enclosing

# Names of functions that make a thing for their caller.
_MAKERS = re.compile(r"(?i)^(must)?(new|open|make|dial|connect|create|build|start|acquire|begin|with)")


def for_caller(suspect: Suspect) -> Suspect:
    """A function that makes a thing and returns it cannot defer its end: its caller has to."""
    name = enclosing(suspect.function).replace("[...]", "").rpartition(".")[2]
    if "defer" not in suspect.fix or not suspect.callers or not _MAKERS.match(name):
        return suspect
    caller = short(suspect.callers[0])
    return replace(
        suspect, fix=f"{suspect.fix}; where {name} gives it to its caller, that has to end it when it is done: {caller}"
    )


def still_running(lines: Sequence[Line], captures: int) -> frozenset[str]:
    """Functions in which a goroutine that serves no request was at every capture."""
    seen: list[set[str]] = [set() for _ in range(captures)]
    for one in (one for line in lines for one in line.standing if not serves(one.group.stack)):
        for functions, number in zip(seen, one.series.values, strict=False):
            if number > 0:
                functions.update(frame.function for frame in one.group.stack)
    return frozenset(set.intersection(*seen)) if len(seen) > 1 else frozenset()


def in_loops(suspect: Suspect, running: frozenset[str]) -> Suspect:
    """A function that does not return does not run what it defers."""
    if (
        "defer" not in suspect.fix
        or suspect.function not in running
        or not (suspect.concluded or suspect.unit == "objects")
    ):
        return suspect
    loop = f"a goroutine was in {enclosing(suspect.function).rpartition('/')[2]} at every capture: in a loop that does not end a defer never runs"
    return replace(
        suspect, fix=f"{suspect.fix}; {loop}, so end it at the end of each turn, or make the turn a function of its own"
    )
