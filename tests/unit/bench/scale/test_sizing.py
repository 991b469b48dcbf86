"""The chart's requests and limits follow from what was measured."""

from __future__ import annotations

import yaml

from leakwarden.api.scalars import parse_amount
from tests.bench.scale import record, sizing
from tests.bench.scale.sizing import CPU_MARGIN, INTERVAL, MEMORY_MARGIN, MIB
from tests.docs.blocks import ROOT, blocks

CHART = ROOT / "charts" / "leakwarden"
PAGES = (ROOT / "docs" / "explanation" / "scale.md", CHART / "README.md")


def default() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))["resources"]
    return found


def amount(text: str) -> float:
    """Bytes of `320Mi`, cores of `50m`."""
    value = float(text[:-1]) / 1000 if text.endswith("m") else parse_amount(text).value
    assert value is not None
    return value


def test_every_size_holds_what_was_measured_with_its_margin() -> None:
    measured = {each["pods"]: each for each in record.load()["sizes"]}
    assert measured
    for size in sizing.sizes():
        one = measured[size.pods]
        assert size.limit * MIB >= one["peak"] * MEMORY_MARGIN
        assert size.memory * MIB >= one["rss"] * MEMORY_MARGIN
        assert size.cpu / 1000 >= one["tick_cpu"] / INTERVAL * CPU_MARGIN


def test_a_size_is_rounded_up_by_less_than_a_step() -> None:
    one = {"pods": 1, "tick_cpu": 1.5, "rss": 100.0 * MIB, "peak": 200.0 * MIB}
    assert sizing.size_of(one) == sizing.Size(1, 100, 128, 256)


def test_the_default_of_the_chart_is_enough_for_the_smallest_size() -> None:
    smallest, given = sizing.sizes()[0], default()
    assert amount(given["limits"]["memory"]) >= smallest.limit * MIB
    assert amount(given["requests"]["memory"]) >= smallest.memory * MIB
    assert amount(given["requests"]["cpu"]) * 1000 >= smallest.cpu
    assert "cpu" not in given["limits"], "throttling would only delay verdicts"


def test_what_the_table_offers_is_valid_values() -> None:
    for size in sizing.sizes():
        values = yaml.safe_load(size.as_values)
        assert amount(values["limits"]["memory"]) == size.limit * MIB
        assert amount(values["requests"]["memory"]) <= amount(values["limits"]["memory"])


def test_the_table_is_on_the_page_of_costs_and_in_the_charts_readme() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert "scale-sizes" in blocks(text)
        assert sizing.table() in text
