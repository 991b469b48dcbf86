"""The result of a soak as a CI server reads it."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from leakwarden.api.v1alpha1.evidence_status import SuspectStatus
from leakwarden.cli.soak.results import github_annotations, junit
from leakwarden.core.watch.gate import Pressed
from leakwarden.core.watch.outcome import Outcome
from tests.unit.watch.watch_scrapes import judged, noise, scrapes, served

PRESSED = Pressed(answered=4_000, failed=0, due=4_000, per_million=5_000, in_words="200: 4,000")
SUSPECT = SuspectStatus(
    file="shop/shop.go", line=36, confidence="High", explanation="706 goroutines, 100%\nof them: not closed"
)


def outcome(line: object) -> Outcome:
    found = scrapes(line, requests=served(60))  # type: ignore[arg-type]
    return Outcome(found, [judged(found)], 60.0, 60)


LEAK, FLAT, SHORT = outcome(8 + 5.0 * np.arange(60)), outcome(20 + noise(60)), outcome((20 + noise(60))[:20])


def test_a_leak_is_a_failed_case_with_its_line() -> None:
    root = ElementTree.fromstring(junit(LEAK, PRESSED, [SUSPECT], "shop"))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert (failure.text or "").startswith("shop/shop.go:36: ")
    assert "climbs steadily" in (failure.get("message") or "")


def test_what_could_not_be_judged_is_skipped_and_too_little_load_is_an_error() -> None:
    few = Pressed(answered=10, failed=0, due=10, per_million=5_000, in_words="200: 10")
    root = ElementTree.fromstring(junit(SHORT, few, [], "shop"))
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "1", "1")
    passed = ElementTree.fromstring(junit(FLAT, PRESSED, [], "shop"))
    assert (passed.get("failures"), passed.get("errors")) == ("0", "0")


def test_an_annotation_stands_at_the_line_and_cannot_be_broken_out_of() -> None:
    (line,) = github_annotations(LEAK, [SUSPECT], False, [])
    assert line == (
        "::error title=Leak%3A Goroutines,file=shop/shop.go,line=36::706 goroutines, 100%25 of them: not closed"
    )


def test_without_a_line_the_signal_is_annotated_and_an_unsure_line_is_not_blamed() -> None:
    (line,) = github_annotations(LEAK, [SUSPECT.model_copy(update={"confidence": "Low"})], False, [])
    assert line.startswith("::error title=Leak%3A Goroutines::303 goroutines, it climbs steadily")


def test_a_soak_without_a_result_warns_and_one_that_passes_says_nothing() -> None:
    (line,) = github_annotations(SHORT, [], False, ["not judged"])
    assert line == "::warning title=Soak without a result::not judged"
    assert github_annotations(FLAT, [], True, []) == []
