"""The requests of one workload are queried in PromQL that reads only of its own namespace."""

from __future__ import annotations

import re

import promql_parser
import pytest

from leakwarden.core.correlation.presets import PRESETS
from leakwarden.core.correlation.traffic import Traffic, of_pods, pod_names
from leakwarden.core.signals.catalogue import CATALOGUE, Labels, render

HOSTILE = ("checkout", 'x"} or up{a="', "a\\", "a|b")


def selectors(query: str) -> list[str]:
    return re.findall(r"\{((?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\}", query)


@pytest.mark.parametrize("preset", [None, *PRESETS.values()], ids=["own", *PRESETS])
@pytest.mark.parametrize("route", HOSTILE)
def test_every_selector_names_the_namespace(preset: object, route: str) -> None:
    traffic = Traffic("shop", pod_names("checkout"), preset=preset, route=route)  # type: ignore[arg-type]
    for query in (traffic.by_code(15.0), traffic.total(15.0), traffic.quantile(0.5, 15.0)):
        promql_parser.parse(query)
        found = selectors(query)
        assert found
        assert all(re.search(r'="shop"|~"httproute/shop/', one) for one in found), query


def test_what_the_source_calls_a_pod_names_the_code() -> None:
    query = Traffic("shop", "x", labels=("kube_namespace", "kube_pod")).by_code(15.0)
    assert 'kube_namespace="shop"' in query
    assert "label_replace(sum by (code)" in query
    assert '"kube_pod", "$1", "code"' in query


@pytest.mark.parametrize(
    ("workload", "pod", "its"),
    [
        ("api", "api-6d4cf56db6-x7k2z", True),
        ("api", "api-gateway-6d4cf56db6-x7k2z", False),
        ("api", "api-x7k2z", False),  # a DaemonSet's
        ("api", "api-0", False),  # a StatefulSet's
        ("api.v1", "apixv1-6d4cf56db6-x7k2z", False),
        ("n" * 50, "n" * 50 + "-6d4cf5x7k2z", True),  # the API server cuts its hash
        ("n" * 63, "n" * 58 + "x7k2z", True),
    ],
)
def test_pods_are_known_by_their_names(workload: str, pod: str, its: bool) -> None:
    assert bool(re.fullmatch(pod_names(workload), pod)) is its


@pytest.mark.parametrize("kind", list(CATALOGUE))
def test_a_query_of_the_catalogue_is_narrowed_to_the_pods(kind: str) -> None:
    narrowed = of_pods(next(row for row in CATALOGUE.values() if row.type == kind).value, "pod", pod_names("api"))
    query = render(narrowed, matchers='namespace="shop"', bucket=15.0, max_age=300.0, labels=Labels())
    promql_parser.parse(query)
    assert all("pod=~" in one for one in selectors(query))
