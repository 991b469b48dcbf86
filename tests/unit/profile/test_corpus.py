"""Real profiles of real programs: how often the right line is named, and that healthy programs have none."""

from __future__ import annotations

from functools import cache

import pytest

from leakwarden.core.profile.catalogue import CATALOGUE
from tests.profiles import libraries
from tests.profiles.building import VERSIONS
from tests.profiles.readme import README, written
from tests.profiles.scoring import Result, markdown, results
from tests.profiles.truth import programs
from tests.profiles.unseen import wrong as wrong_of

pytestmark = pytest.mark.slow

taken = cache(results)


def every(held_out: bool) -> list[Result]:
    return [r for version in VERSIONS for r in taken(version) if r.case.program.held_out is held_out]


def wrong(found: list[Result]) -> list[str]:
    return [f"{r.case.version} {r.case.program.name}" for r in found if not r.right]


def test_every_program_was_run_with_every_version() -> None:
    names = [program.name for program in programs()]
    for version in VERSIONS:
        assert sorted(r.case.program.name for r in taken(version)) == names


@pytest.mark.parametrize("version", VERSIONS)
def test_the_line_that_leaks_is_named_first(version: str) -> None:
    leaking = [r for r in taken(version) if r.case.program.site is not None]
    assert len(leaking) >= 24
    right = sum(r.right for r in leaking) / len(leaking)
    assert right >= 0.95, wrong(leaking)


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_named_for_a_healthy_program(version: str) -> None:
    healthy = [r for r in taken(version) if r.case.program.site is None]
    assert len(healthy) >= 6
    assert wrong(healthy) == []


def test_programs_that_nobody_tuned_on_are_named_nearly_as_well() -> None:
    found = every(held_out=True)
    assert sum(r.right for r in found) / len(found) >= 0.85, wrong(found)


def test_every_program_leaks_in_a_way_that_the_catalogue_has() -> None:
    shown = {program.site.shape for program in programs() if program.site is not None}
    assert shown <= {shape.name for shape in CATALOGUE}


@pytest.mark.parametrize(("confidence", "least", "right"), [("High", 6, 0.95), ("Medium", 60, 0.8)])
def test_a_suspect_is_right_as_often_as_its_confidence_says(confidence: str, least: int, right: float) -> None:
    sure = [r for version in VERSIONS for r in taken(version) if r.found and r.found[0].confidence.value == confidence]
    assert len(sure) >= least
    assert sum(r.right for r in sure) / len(sure) >= right, wrong(sure)


def test_the_readme_shows_this_score() -> None:
    text = README.read_text(encoding="utf-8")
    score = markdown({version: taken(version) for version in VERSIONS})
    assert written(text, {"score": score}) == text


@pytest.mark.parametrize(("version", "timing"), libraries.taken())
def test_services_of_real_libraries_are_named_and_their_healthy_likes_are_not_accused(
    version: str, timing: str
) -> None:
    judged = libraries.judged(version, timing)
    leaking = [each for each in judged if each.known.leaks]
    # At Go's own sampling small things that leak at twenty a second leave no trace in the heap within ten seconds.
    assert sum(each.first_right(each.operator) for each in leaking) / len(leaking) >= 0.65, wrong_of(judged)
    assert sum(not each.command.suspects for each in leaking) <= 3
    accused = [
        each.known.name
        for each in judged
        if not each.known.leaks and any(s.confidence.value != "Low" for s in each.command.suspects)
    ]
    assert accused == []
    text = README.read_text(encoding="utf-8")
    assert libraries.table(version, timing) in text


def test_every_service_of_the_libraries_has_a_truth_that_the_catalogue_knows() -> None:
    true = libraries.truths()
    assert len(true) >= 36
    names = {shape.name for shape in CATALOGUE}
    assert {name: truth.shape for name, truth in true.items() if truth.shape not in names} == {}


def test_a_files_part_of_the_heap_is_not_said_to_explain_the_descriptors() -> None:
    found = [r for r in every(held_out=False) if r.case.program.name == "file_kept" and r.found]
    assert found
    assert {r.found[0].explains for r in found} == {None}
