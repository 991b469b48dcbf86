"""A policy that watches too little gets lines about the leaks it would not see; one that watches all gets none."""

from __future__ import annotations

from typing import Any

import pytest

from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.core.signals.blind_spots import QUESTIONS, blind_spots

EVERYTHING: list[dict[str, Any]] = [
    {"name": "descriptors", "type": "Descriptors", "threshold": {"above": "80%"}},
    {"name": "goroutines", "type": "Goroutines"},
    {"name": "heap", "type": "Heap"},
    {"name": "pool", "type": "DBPool"},
    {"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%"}},
]


def of(signals: list[dict[str, Any]], **more: Any) -> str:
    spec = PolicySpec.model_validate({"selector": {"matchLabels": {"team": "a"}}, "signals": signals, **more})
    return "\n".join(blind_spots(spec))


def test_what_watches_all_misses_nothing_that_is_known() -> None:
    assert of(EVERYTHING) == ""


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("descriptors", "signals has no Descriptors"),
        ("goroutines", "signals has no Goroutines"),
        ("heap", "signals has neither Heap nor WorkingSet"),
        ("pool", "signals has no DBPool"),
        ("errors", "signals has neither HTTPErrors nor LatencyP99"),
    ],
)
def test_each_signal_that_is_left_out_leaves_a_kind_of_leak_unseen(left_out: str, said: str) -> None:
    assert said in of([signal for signal in EVERYTHING if signal["name"] != left_out])


def test_without_a_threshold_fast_leaks_are_seen_late() -> None:
    assert "less than 45 minutes" in of([EVERYTHING[0] | {"threshold": None}, *EVERYTHING[1:]])


def test_growth_that_is_off_is_named_with_its_signals() -> None:
    off = {"growth": {"enabled": False}}
    assert "growth of descriptors below the threshold" in of([EVERYTHING[0] | off, *EVERYTHING[1:]])


def test_without_profiles_the_line_is_not_seen() -> None:
    assert "evidence.enabled is false" in of(EVERYTHING, evidence={"enabled": False})


def test_a_query_of_ones_own_may_measure_anything_but_a_pool_that_it_does_not_name() -> None:
    own = {"name": "own", "type": "PromQL", "query": "max by (namespace, pod) (held)", "threshold": {"above": "90"}}
    said = of([own])
    assert "Descriptors" not in said
    assert "Goroutines" not in said
    assert "DBPool" in said
    assert "DBPool" not in of([own | {"kind": "ConnectionPool"}])


def test_each_question_has_something_to_say_of_some_policy() -> None:
    spec = PolicySpec.model_validate(
        {
            "selector": {"matchLabels": {"team": "a"}},
            "signals": [{"name": "sockets", "type": "Sockets"}],
            "evidence": {"enabled": False},
        }
    )
    silent = [question.__name__ for question in QUESTIONS if not question(spec)]
    assert silent == ["_without_growth"]
