"""The picture: the detector's verdicts and each rule's settings, in the order of their false alarms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.bench import picture, record
from tests.bench.record import Figures, Group
from tests.bench.replaying import ACTED, SUSPECTED, TOLD


def figures(detector: str, caught: int, false_alarms: int) -> Figures:
    return Figures(
        detector, leaks=100, caught=caught, fast=0, fast_caught=0, half=0, healthy_days=100.0, false_alarms=false_alarms,
        lead_hours=1.0,
    )  # fmt: skip


GROUP = Group(
    "known families", "seed 1", 41, 600, 400,
    (
        figures(TOLD, 96, 2), figures(ACTED, 91, 0), figures(SUSPECTED, 99, 40), figures("above: 80 %", 99, 900),
        figures("above: 95 %", 90, 300),
    ),
)  # fmt: skip


def test_the_verdicts_are_one_line_and_the_settings_of_a_rule_another() -> None:
    drawn = picture.lines(GROUP)

    assert [each.detector for each in drawn["Leakwarden"]] == [ACTED, TOLD, SUSPECTED]
    assert [each.false_alarms for each in drawn["above"]] == [300, 900]


def test_a_picture_is_drawn_of_what_is_recorded(tmp_path: Path) -> None:
    picture.draw([GROUP, replace(GROUP, title="composed worlds")], tmp_path / "bench.png")

    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "known families" in {each.title for each in record.load(record.CURVES)}


def test_a_run_without_the_rules_keeps_those_that_were_recorded_of_the_same_series(tmp_path: Path) -> None:
    file = tmp_path / "curves.json"
    alone = replace(GROUP, detectors=(figures(TOLD, 97, 1),))
    record.add(GROUP, file)
    record.add(alone, file)
    (kept,) = record.load(file)
    record.add(replace(alone, seeds="seed 2"), file)
    (other,) = record.load(file)

    assert [each.detector for each in kept.detectors] == [TOLD, "above: 80 %", "above: 95 %"]
    assert kept.detectors[0].caught == 97
    assert [each.detector for each in other.detectors] == [TOLD]
