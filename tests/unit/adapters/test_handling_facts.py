"""How proxies treat requests, read from ingress-nginx's annotations and from Istio's objects."""

from __future__ import annotations

from typing import Any

import pytest

from leakwarden.adapters.cluster.handling_facts import destination_rule, ingress, virtual_service
from leakwarden.core.audit.related import Identity

NGINX = "nginx.ingress.kubernetes.io/"
OF = Identity("x", "shop", "web")


@pytest.mark.parametrize(
    ("annotations", "never", "repeats", "fresh"),
    [
        ({"proxy-next-upstream": "off"}, True, False, False),
        ({"proxy-next-upstream": "error timeout"}, False, False, False),
        ({"proxy-next-upstream": "error http_502 non_idempotent"}, False, True, False),
        ({"connection-proxy-header": "close"}, False, False, True),
        ({"connection-proxy-header": "keep-alive"}, False, False, False),
    ],
)
def test_an_ingress_is_read_by_its_annotations(
    annotations: dict[str, str], never: bool, repeats: bool, fresh: bool
) -> None:
    found = ingress(OF, [("web", 80)], {NGINX + k: v for k, v in annotations.items()}, None)
    assert found is not None
    assert (bool(found.never_retries), bool(found.repeats_writes), bool(found.new_connections)) == (
        never,
        repeats,
        fresh,
    )
    assert found.ejects is None


def test_an_ingress_that_says_nothing_has_no_facts() -> None:
    assert ingress(OF, [("web", 80)], {}, None) is None
    assert ingress(OF, [], {NGINX + "proxy-next-upstream": "off"}, None) is None


@pytest.mark.parametrize(
    ("retries", "never", "repeats"),
    [
        (None, False, False),
        ({"attempts": 0}, True, False),
        ({"attempts": 2, "retryOn": "connect-failure,refused-stream"}, False, False),
        ({"attempts": 2, "retryOn": "connect-failure, 5xx"}, False, True),
        ({"attempts": False}, False, False),
    ],
)
def test_a_virtual_service_is_read_by_its_retries(retries: Any, never: bool, repeats: bool) -> None:
    spec = {"http": [{"route": [{"destination": {"host": "web.shop.svc.cluster.local"}}], "retries": retries}]}
    found = virtual_service(OF, spec, None)
    assert found is not None
    assert found.services == ("web",)
    assert (bool(found.never_retries), bool(found.repeats_writes)) == (never, repeats)


@pytest.mark.parametrize(
    ("policy", "ejects", "fresh"),
    [
        (None, False, False),
        ({"outlierDetection": {}}, True, False),
        ({"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}, False, True),
        ({"connectionPool": {"http": {"maxRequestsPerConnection": True}}}, False, False),
    ],
)
def test_a_destination_rule_is_read_by_its_traffic_policy(policy: Any, ejects: bool, fresh: bool) -> None:
    found = destination_rule(OF, {"host": "web", "trafficPolicy": policy}, None)
    assert found is not None
    assert (found.ejects, bool(found.new_connections)) == (ejects, fresh)


@pytest.mark.parametrize("host", ["*.shop", "web.bank.svc", "example.com", "", None, 7, "web.bank"])
def test_a_host_that_is_no_service_of_the_namespace_belongs_to_none(host: Any) -> None:
    assert destination_rule(OF, {"host": host}, None) is None
    assert virtual_service(OF, {"http": [{"route": [{"destination": {"host": host}}]}]}, None) is None


@pytest.mark.parametrize("spec", [None, [], "x", {"http": 1}, {"http": [{"route": {"destination": 1}}]}, {"host": {}}])
def test_a_body_of_another_shape_has_no_facts(spec: Any) -> None:
    assert destination_rule(OF, spec, None) is None
    assert virtual_service(OF, spec, None) is None
