"""The queries of each preset are PromQL, select only the route, and are safe from injection."""

from __future__ import annotations

import promql_parser
import pytest

from leakwarden.core.correlation.presets import PRESETS, ProxyPreset


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
