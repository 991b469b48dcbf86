"""The generated parts of the documentation agree with the code, and every listed thing is in them."""

from __future__ import annotations

import argparse

import pytest

from leakwarden.__main__ import parser
from leakwarden.api.v1alpha1.conditions import REASON_MEANINGS, ConditionReason, SkipReason
from leakwarden.api.v1alpha1.evidence_reasons import DESCRIPTOR_MEANINGS, DescriptorReason
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.guards import SKIP_MEANINGS
from leakwarden.core.signals.criteria import JudgementReason
from leakwarden.settings import Settings
from tests.docs import operating, schema, signals, vocabulary
from tests.docs.__main__ import GENERATORS
from tests.docs.blocks import UnknownBlock, blocks, filled
from tests.unit.docs.pages import PAGES, text_of


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(text_of(page))])
def test_a_page_shows_what_the_code_says(page: str) -> None:
    assert text_of(page) == filled(text_of(page), GENERATORS), f"{page} is stale: run `make docs`"


def test_everything_that_is_generated_is_shown_somewhere() -> None:
    shown = {name for page in PAGES for name in blocks(text_of(page))}
    assert shown == set(GENERATORS)


def test_a_block_that_nothing_generates_is_named() -> None:
    with pytest.raises(UnknownBlock, match="'no-such'"):
        filled("<!-- generated: no-such -->\n<!-- /generated -->", GENERATORS)


def test_a_filled_page_stays_as_it_is() -> None:
    made = {"one": lambda: "| a |\n"}
    once = filled("before\n<!-- generated: one -->\nold\n<!-- /generated -->\nafter\n", made)
    assert once == "before\n<!-- generated: one -->\n| a |\n<!-- /generated -->\nafter\n"
    assert filled(once, made) == once


def test_every_reason_has_a_meaning() -> None:
    assert set(REASON_MEANINGS) == set(ConditionReason)
    assert set(SKIP_MEANINGS) == set(SkipReason)
    assert set(DESCRIPTOR_MEANINGS) == set(DescriptorReason)


def test_every_reason_of_the_detector_is_listed() -> None:
    listed = vocabulary.verdict_reasons()
    assert [reason.name for reason in VerdictReason if f"`{reason.name}`" not in listed] == []


def test_every_other_reason_of_a_judgement_is_listed() -> None:
    listed = vocabulary.judgement_reasons()
    assert [str(reason) for reason in JudgementReason if f"`{reason}`" not in listed] == []


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_argument_of_every_command_is_listed_with_a_meaning() -> None:
    listed = operating.commands()
    (choices,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    for name, sub in choices.choices.items():
        assert f"### leakwarden {name}\n" in listed
        for action in sub._actions:
            if action.dest != "help":
                assert operating._spelling(action) in listed, f"{name} {action.dest}"


def test_a_section_lists_every_field_with_its_default_and_the_rules_with_what_they_are_about() -> None:
    spec = schema.policy_spec()
    assert "### spec.remediation\n" in spec
    assert "| `spec.remediation.budget.minReady` | integer, 0 to 1,000 | `1` |" in spec
    assert "| `spec.selector` | object | required |" in spec
    assert "\n- `spec.remediation.verification`: timeout must be longer than settle\n" in spec


def test_the_metrics_of_a_signal_are_those_of_its_query() -> None:
    listed = signals.metrics()
    assert "| `Goroutines` | `go_goroutines`, " in listed
    assert "`process_max_fds`" in listed


def test_a_counter_and_a_gauge_are_listed_as_a_scrape_has_them() -> None:
    listed = operating.metrics()
    assert "| `leakwarden_actions_total` | counter | `action`, `phase` |" in listed
    assert "| `leakwarden_pods` | gauge | `namespace`, `policy`, `verdict` |" in listed


def test_a_setting_is_listed_with_the_chart_value_that_sets_it() -> None:
    listed = operating.settings()
    assert "| `LEAKWARDEN_STORM_WINDOW` | `guards.storm.window` | duration, 10s to " in listed
    assert "| `LEAKWARDEN_EVIDENCE_BUCKET` | `evidence.store.bucket.name` | text |" in listed
