"""Thirty-six manifests of one deployment each: twelve sound ones, and twenty-four with one mistake each.

`answers.tsv` has the answer for each, and the thread or page that the mistake comes from. The checks were written with
these manifests known, so they show that nothing was lost, and not how well unknown manifests are judged.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from leakwarden.__main__ import main

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "audit" / "exam2"
with (FOLDER / "answers.tsv").open(encoding="utf-8", newline="") as _opened:
    ANSWERS = {row["file"]: row["answer"] for row in csv.DictReader(_opened, delimiter="\t", quoting=csv.QUOTE_NONE)}
# The check that reports the mistake; LW901 is a refusal of the API server.
REPORTED_BY = {
    "e01": "LW512", "e02": "LW416", "e04": "LW310", "e05": "LW409", "e07": "LW414", "e09": "LW210", "e10": "LW206",
    "e12": "LW604", "e13": "LW603", "e15": "LW311", "e16": "LW106", "e18": "LW702", "e19": "LW703", "e21": "LW510",
    "e23": "LW501", "e24": "LW104", "e26": "LW404", "e27": "LW511", "e29": "LW119", "e30": "LW211", "e32": "LW415",
    "e33": "LW301", "e34": "LW901", "e36": "LW901",
}  # fmt: skip


def test_every_manifest_has_an_answer() -> None:
    assert set(ANSWERS) == {each.name for each in FOLDER.glob("*.yaml")}
    assert {f"{name}.yaml" for name in REPORTED_BY} == {name for name, answer in ANSWERS.items() if answer == "bad"}


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if answer == "sound"])
def test_a_sound_deployment_has_no_warning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["audit", str(FOLDER / name), "--fail-on", "warning"])
    assert code == 0, capsys.readouterr().out


@pytest.mark.parametrize(("name", "check"), REPORTED_BY.items())
def test_a_mistake_is_reported_at_warning_or_above(name: str, check: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["audit", str(FOLDER / f"{name}.yaml"), "--fail-on", "warning"])
    shown = capsys.readouterr().out
    found = {line.split()[1] for line in shown.splitlines() if line.startswith(("  error", "  warning"))}
    assert code == 1
    assert check in found, shown
