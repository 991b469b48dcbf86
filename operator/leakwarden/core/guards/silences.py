"""Alertmanager's silences: whether a person has silenced a pod, its Deployment or its namespace."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import re2

# The labels that name the object of a silence, as Prometheus and kube-state-metrics write them.
ABOUT = ("namespace", "deployment", "statefulset", "daemonset", "rollout", "pod")


# For policies with spec.respectSilences, where no Alertmanager is configured.
NOBODY_TO_ASK = "no Alertmanager is configured for the operator (chart value alertmanager)"


_QUIET = re2.Options()
_QUIET.log_errors = False


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re2._Regexp | None:
    """None for one that RE2 does not take, or that would take it more than its 8 MiB."""
    try:
        return re2.compile(pattern, _QUIET)
    except (re2.error, ValueError):  # ValueError: not text that can be written as UTF-8
        return None


@dataclass(frozen=True, slots=True)
class Matcher:
    """As Alertmanager has it: regular expressions are RE2's, and match the whole value (`^(?:...)$`, labels.NewMatcher).

    RE2 takes time linear in the value. With Python's own expressions `([a-z0-9]+-?)+-worker` stopped every tick.
    """

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def holds(self, value: str) -> bool:
        if not self.is_regex:
            return (value == self.value) is self.is_equal
        pattern = _compiled(self.value)
        # An unreadable matcher counts as matching: one silence too many only delays, one too few acts against a
        # person's wish.
        return pattern is None or (pattern.fullmatch(value) is not None) is self.is_equal


@dataclass(frozen=True, slots=True)
class Silence:
    """An active one."""

    id: str
    matchers: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True)
class Silences:
    """The answer of the configured Alertmanagers. `trouble`: why the silences are not known, in words; empty where they
    are."""

    active: tuple[Silence, ...] = ()
    trouble: str = ""


def covers(silence: Silence, about: Mapping[str, str], alert: str) -> bool:
    """Whether the silence asks for quiet about what the labels `about` name. `alert` is the name of the alert that the
    action follows from; empty where it follows from readings.

    Only a silence that names a namespace, a workload or a pod applies to workloads. One for a certain alert holds for
    actions that follow from that alert. Labels with values unknown here (severity, cluster) count as matching.
    """
    names_somebody = False
    for matcher in silence.matchers:
        if matcher.name in ABOUT:
            if not matcher.holds(about.get(matcher.name, "")):
                return False
            names_somebody = names_somebody or matcher.is_equal
        elif matcher.name == "alertname" and not (alert and matcher.holds(alert)):
            return False
    return names_somebody
