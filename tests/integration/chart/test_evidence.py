"""The chart's objects for evidence.*: no more than requested, and settings that the operator accepts."""

from __future__ import annotations

from typing import Any

import pytest

from leakwarden.settings import Settings, from_environment
from tests.integration.chart.helm_chart import (
    RELEASE,
    Manifest,
    Refused,
    Right,
    environment,
    of_kind,
    render,
    rights,
    the,
)

pytestmark = pytest.mark.slow


def stored(kind: str, **options: Any) -> dict[str, Any]:
    return {"evidence": {"store": {"type": kind, **({kind: options} if options else {})}}}


BUCKET = {"name": "profiles", "endpoint": "http://minio.storage:9000", "credentialsSecret": "bucket-login"}


def settings(manifests: list[Manifest]) -> Settings:
    return from_environment({name: str(value) for name, value in environment(manifests).items()})


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = the(manifests, "Deployment")["spec"]["template"]["spec"]
    return spec


def mounts(manifests: list[Manifest]) -> dict[str, bool]:
    """Path -> whether it can be written."""
    return {each["mountPath"]: not each.get("readOnly") for each in pod(manifests)["containers"][0]["volumeMounts"]}


def test_without_values_profiles_are_taken_straight_from_pods_and_kept_nowhere() -> None:
    manifests = render()
    found = settings(manifests)
    assert (found.evidence_enabled, found.evidence_via) == (True, "Pod")
    assert (found.evidence_directory, found.evidence_bucket) == (None, "")
    assert not of_kind(manifests, "PersistentVolumeClaim")
    assert not {each for each in rights(manifests) if "proxy" in each.resource}


def test_switched_off_nothing_of_it_is_there() -> None:
    values = {"evidence": {"enabled": False, "via": "Proxy", "store": {"type": "volume"}}}
    manifests = render(values)
    assert settings(manifests).evidence_enabled is False
    assert not of_kind(manifests, "PersistentVolumeClaim")
    assert "/var/lib/leakwarden/evidence" not in mounts(manifests)
    assert not {each for each in rights(manifests) if "proxy" in each.resource}


@pytest.mark.parametrize("via", ["Proxy", "Auto"])
def test_the_right_to_the_pod_proxy_is_granted_only_where_it_is_used(via: str) -> None:
    granted = rights(render({"evidence": {"via": via}})) - rights(render())
    assert granted == {Right("get", "/pods/proxy")}
    assert settings(render({"evidence": {"via": via}})).evidence_via == via


def test_without_values_no_pod_is_looked_into() -> None:
    assert settings(render()).evidence_descriptors_image == ""


def test_pods_are_looked_into_with_the_operators_own_image_or_another_one() -> None:
    chosen: dict[str, Any] = {"enabled": True, "timeout": "45s"}
    manifests = render({"evidence": {"descriptors": chosen}})
    own = the(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
    found = settings(manifests)
    assert (found.evidence_descriptors_image, found.evidence_descriptors_timeout) == (own, 45.0)
    other = {"evidence": {"descriptors": {**chosen, "image": "registry.example/reader@sha256:0"}}}
    assert settings(render(other)).evidence_descriptors_image == "registry.example/reader@sha256:0"


def test_a_volume_is_claimed_mounted_bounded_and_served() -> None:
    manifests = render(stored("volume", size="5Gi", maxSize="3Gi", maxAge="48h", storageClassName="fast"))
    claim = the(manifests, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    }
    (volume,) = [each for each in pod(manifests)["volumes"] if each["name"] == "evidence"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    found = settings(manifests)
    assert mounts(manifests)[str(found.evidence_directory)] is True
    assert (found.evidence_directory_size, found.evidence_directory_age) == (3 * 2**30, 48 * 3600)
    (service,) = [each for each in of_kind(manifests, "Service") if each["metadata"]["name"].endswith("-evidence")]
    assert service["metadata"]["name"] == f"{RELEASE}-evidence"
    (role,) = [each for each in of_kind(manifests, "Role") if each["metadata"]["name"].endswith("-evidence-reader")]
    assert role["rules"][0]["resources"] == ["services/proxy"]
    assert f"{RELEASE}-evidence:http" in role["rules"][0]["resourceNames"]


def test_a_claim_of_ones_own_is_used_and_none_made() -> None:
    manifests = render(stored("volume", existingClaim="mine"))
    assert not of_kind(manifests, "PersistentVolumeClaim")
    (volume,) = [each for each in pod(manifests)["volumes"] if each["name"] == "evidence"]
    assert volume["persistentVolumeClaim"] == {"claimName": "mine"}


def test_a_bucket_takes_its_credentials_from_a_mounted_secret() -> None:
    manifests = render(stored("bucket", **BUCKET, region="eu-1", prefix="team/a"))
    found = settings(manifests)
    assert (found.evidence_bucket, found.evidence_bucket_endpoint) == ("profiles", "http://minio.storage:9000")
    assert (found.evidence_bucket_region, found.evidence_bucket_prefix) == ("eu-1", "team/a")
    assert mounts(manifests)[str(found.evidence_bucket_credentials)] is False
    (volume,) = [each for each in pod(manifests)["volumes"] if each["name"] == "bucket"]
    assert volume["secret"]["secretName"] == "bucket-login"
    assert not {each for each in rights(manifests) if "secret" in each.resource}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (stored("bucket"), "evidence.store.bucket.name"),
        (stored("bucket", name="profiles"), "evidence.store.bucket.credentialsSecret"),
        (stored("bucket", **{**BUCKET, "endpoint": "http://key:secret@minio"}), "endpoint"),
        (stored("disk"), "type"),
        ({"evidence": {"via": "Guess"}}, "via"),
        ({"evidence": {"maxGoroutines": 0}}, "maxGoroutines"),
        ({"evidence": {"descriptors": {"image": "a b'c"}}}, "image"),
        ({"evidence": {"descriptors": {"ephemeral": True}}}, "ephemeral"),
    ],
)
def test_a_mistake_is_refused_and_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        render(values)


def egress(values: dict[str, Any]) -> list[dict[str, Any]]:
    base = {"networkPolicy": {"enabled": True, "podEndpoints": False}}
    rules: list[dict[str, Any]] = the(render({**base, **values}), "NetworkPolicy")["spec"]["egress"]
    return rules


def test_the_network_policy_opens_the_way_to_pods_only_where_they_are_asked_straight() -> None:
    def to_pods(values: dict[str, Any]) -> bool:
        return any("namespaceSelector" in peer for rule in egress(values) for peer in rule.get("to", []))

    assert to_pods({})
    assert to_pods({"evidence": {"via": "Auto"}})
    assert not to_pods({"evidence": {"via": "Proxy"}})
    assert not to_pods({"evidence": {"enabled": False}})


@pytest.mark.parametrize(
    ("endpoint", "port"), [("http://minio.storage:9000", 9000), ("https://s3.example.com", 443), ("http://s3", 80)]
)
def test_the_network_policy_opens_the_buckets_port(endpoint: str, port: int) -> None:
    bucket = stored("bucket", **{**BUCKET, "endpoint": endpoint})
    added = [rule for rule in egress(bucket) if rule not in egress({})]
    assert [each["port"] for rule in added for each in rule["ports"]] == [port]
