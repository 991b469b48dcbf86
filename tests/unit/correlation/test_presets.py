"""The queries of each preset are PromQL, select only the route, and are safe from injection."""

from __future__ import annotations

import re

import promql_parser
import pytest

from leakwarden.core.correlation.presets import PRESETS, ProxyPreset
from tests.docs.blocks import ROOT


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_its_queries_parse_whatever_the_route_is_called(preset: ProxyPreset) -> None:
    for route in ("checkout", 'x"} or up{a="', "a\\", "Größe"):
        for query in (preset.errors(route, 15.0), preset.p99(route, 15.0)):
            promql_parser.parse(query)
            assert "or up" not in query.replace('\\"', "").partition("{")[0]


def test_a_route_stays_within_its_quotes() -> None:
    found = PRESETS["ingress-nginx"].errors('x"} or up{a="', 15.0)
    assert 'ingress="x\\"} or up{a=\\""' in found


def test_rates_are_over_four_steps() -> None:
    assert "[60s]" in PRESETS["istio"].errors("checkout", 15.0)
    assert "* 0.001" in PRESETS["istio"].p99("checkout", 15.0)


# Metrics as the proxies write them


def samples(name: str) -> list[dict[str, str]]:
    """The series of a proxy's sample output, each as its labels with the metric's name as `__name__`."""
    found = []
    for line in (ROOT / "tests" / "fixtures" / "proxies" / f"{name}.txt").read_text().splitlines():
        if not line.startswith("#"):
            metric, labels = line.split("{", 1)
            found.append({"__name__": metric, **dict(re.findall(r'(\w+)="([^"]*)"', labels.rpartition("}")[0]))})
    return found


def selected(query: str, name: str) -> list[dict[str, str]]:
    """The series of the sample that the query's selectors match; of alternatives joined by `or`, all."""
    found = []
    for metric, matchers in re.findall(r"(\w+)\{((?:[^\"{}]|\"(?:[^\"\\]|\\.)*\")*)\}\[", query):
        conditions = re.findall(r'(\w+)(=~|=)"((?:[^"\\]|\\.)*)"', matchers)
        assert conditions, matchers
        for series in samples(name):
            held = (
                re.fullmatch(value.replace("\\\\", "\\"), series.get(label, ""))
                if how == "=~"
                else series.get(label, "") == value
                for label, how, value in conditions
            )
            if series["__name__"] == metric and all(held):
                found.append(series)
    return found


@pytest.mark.parametrize(("name", "preset"), PRESETS.items(), ids=list(PRESETS))
def test_it_selects_of_a_proxys_metrics_those_of_the_route_and_namespace_by_code(
    name: str, preset: ProxyPreset
) -> None:
    counted = selected(preset.by_code("checkout", 15.0, "shop"), name)
    codes = [series[preset.code] for series in counted]
    assert sorted(code[0] for code in codes) == ["2", "5"], counted
    others = [
        value for series in counted for label, value in series.items() if "namespace" in label or "cluster" in label
    ]
    assert not any("other" in value.split("/") for value in others), counted


@pytest.mark.parametrize(("name", "preset"), PRESETS.items(), ids=list(PRESETS))
def test_it_finds_the_histogram_of_a_proxys_times(name: str, preset: ProxyPreset) -> None:
    found = selected(preset.quantile(0.99, "checkout", 15.0, "shop"), name)
    assert {series["le"] for series in found} >= {"+Inf"}
    assert len(found) == 2, found
