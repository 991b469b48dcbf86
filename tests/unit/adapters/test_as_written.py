"""The operator also runs the checks that read a Deployment as it is written, once, when its template is decoded."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from leakwarden.adapters.cluster import facts, wire

PROXY = {"name": "proxy", "image": "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.14.1"}
WAITS = {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
ZONE = "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
APART = {
    "nodeAffinity": {
        REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a", "b"]}]}]}
    },
    "podAntiAffinity": {REQUIRED: [{"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "web"}}}]},
}


def ids(*containers: dict[str, Any], pod: dict[str, Any] | None = None, **spec: Any) -> list[tuple[str, str]]:
    """(id, container) of the findings about a Deployment of the API server."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **(pod or {})}}
    body = {"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": {**spec, "template": template}}
    item = msgspec.json.decode(json.dumps(body), type=wire.ApiDeployment)
    return [(finding.id, finding.container) for finding in facts.workload(item).written]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        (
            {"image": "gcr.io/distroless/static", "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}},
            "LW210",
        ),
        ({"lifecycle": {"postStart": {"httpGet": {"port": 80}}}}, "LW212"),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "LW906"),
    ],
)
def test_a_container_is_read_as_it_is_written(container: dict[str, Any], expected: str) -> None:
    assert ids({"name": "app", "image": "shop/web:1", **container}) == [(expected, "app")]


def test_a_proxy_that_ends_first_is_found() -> None:
    assert ids({"name": "app", "image": "shop/web:1", **WAITS}, PROXY) == [("LW211", "proxy")]


def test_a_rollout_that_fits_nowhere_is_found() -> None:
    surge: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    app = {"name": "app", "image": "shop/web:1"}
    assert ids(app, pod={"affinity": APART}, replicas=2, strategy=surge) == [("LW311", "")]
    assert ids(app, pod={"affinity": APART}, replicas=1, strategy=surge) == []
    surge["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 1}
    assert ids(app, pod={"affinity": APART}, replicas=2, strategy=surge) == []


def test_a_deployment_without_history_is_found_whatever_its_template() -> None:
    assert ids({"name": "app", "image": "shop/web:1"}, revisionHistoryLimit=0) == [("LW313", "")]
    assert ids({"name": "app", "image": "shop/web:1"}, revisionHistoryLimit=3) == []


def test_a_sound_deployment_has_none() -> None:
    assert ids({"name": "app", "image": "shop/web:1", "env": [{"name": "A", "value": "1"}], **WAITS}) == []


def test_a_defect_in_a_check_costs_only_its_findings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> tuple[()]:
        raise AttributeError("a defect")

    monkeypatch.setattr(facts, "written_findings", broken)
    assert ids({"name": "app", "image": "shop/web:1", **WAITS}) == []
    assert "a defect" in caplog.text
