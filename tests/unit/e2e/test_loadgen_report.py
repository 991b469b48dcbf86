"""Reading the load generator's and nginx's logs, and the manifests that make them write."""

from __future__ import annotations

import json

import pytest

from e2e.stack.logs import load_report, status_codes
from e2e.stack.manifests import loadgen, nginx_config, service


def test_the_report_is_found_among_progress_lines() -> None:
    log = '   1s  5 requests: 200=5, 5 in all\n{"report":"loadgen","codes":{"200":5}}\n   2s  0 requests: , 5 in all\n'
    assert load_report(log)["codes"] == {"200": 5}


def test_a_log_without_a_report_says_so() -> None:
    with pytest.raises(ValueError, match="no report"):
        load_report("   1s  5 requests: 200=5, 5 in all\n{cut off")


def test_status_codes_are_counted_for_one_location_only() -> None:
    lines = [("/shop/work", "200"), ("/shop/work", "502"), ("/shop-fixed/work", "200"), ("/shop/work?x=1", "502")]
    log = "\n".join(json.dumps({"uri": uri, "status": status}) for uri, status in lines)
    assert status_codes(log + "\nnot json", "shop") == {200: 1, 502: 2}


def test_a_leaking_service_is_configured_through_its_environment() -> None:
    deployment, _ = service("shop", "bodyleak", "ns", nofile=200, leak_every=2, env={"DRAIN": "1s"})
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment == {"NOFILE": "200", "LEAK_EVERY": "2", "UPSTREAM": "http://backend:8080", "DRAIN": "1s"}
    assert container["command"] == ["/bodyleak"]


def test_every_route_gets_a_location_of_its_own() -> None:
    config = nginx_config({"shop": "shop.ns.svc.cluster.local:8080", "healthy": "127.0.0.1:1"})
    assert "location /shop/ { proxy_pass http://shop.ns.svc.cluster.local:8080/; }" in config
    assert "location /healthy/ { proxy_pass http://127.0.0.1:1/; }" in config


def test_the_load_ends_by_itself_and_is_not_sent_twice() -> None:
    job = loadgen("ns", "load", ["http://a/work", "http://b/work"], rate=5, duration=60)
    spec = job["spec"]
    command = spec["template"]["spec"]["containers"][0]["command"]
    assert [command[i + 1] for i, word in enumerate(command) if word == "-url"] == ["http://a/work", "http://b/work"]
    assert command[command.index("-duration") + 1] == "60s"
    assert spec["backoffLimit"] == 0
    assert spec["activeDeadlineSeconds"] > 60
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
