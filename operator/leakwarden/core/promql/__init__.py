"""Users' PromQL, confined to one namespace, and the label matchers we write ourselves."""

from __future__ import annotations

from leakwarden.core.promql.confinement import MAX_DEPTH, Confined, Question, ask, confine, narrowed
from leakwarden.core.promql.matchers import literal_regex, matcher
from leakwarden.core.promql.objections import why_it_never_objects
from leakwarden.core.promql.text import MAX_BRACKETS, MAX_LENGTH, MAX_MATCHERS, MAX_NESTING, MAX_REGEXES, PromQLError

__all__ = [
    "MAX_BRACKETS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_MATCHERS",
    "MAX_NESTING",
    "MAX_REGEXES",
    "Confined",
    "PromQLError",
    "Question",
    "ask",
    "confine",
    "literal_regex",
    "matcher",
    "narrowed",
    "why_it_never_objects",
]
