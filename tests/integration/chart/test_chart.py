"""The chart: the objects it installs, the values it refuses, and the objects it must never install."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from annotated_types import Ge, Le

import leakwarden
from leakwarden.__main__ import parser
from leakwarden.api.scalars import parse_duration
from leakwarden.core.election import Timing
from leakwarden.settings import Settings, from_environment
from tests.integration.chart.helm_chart import (
    CHART,
    NAMESPACE,
    RELEASE,
    REPOSITORY,
    Refused,
    container,
    environment,
    helm,
    of_kind,
    render,
    the,
)

pytestmark = pytest.mark.slow

MAIN = {"name": "main", "url": "http://prometheus.monitoring:9090"}
EVERY_CREDENTIAL = {
    "prometheus": [
        {
            "name": "main",
            "url": "https://prometheus.monitoring:9090",
            "default": True,
            "timeout": "5s",
            "namespaceLabel": "kubernetes_namespace",
            "headers": {"X-Scope-OrgID": "team-a"},
            "bearerToken": {"secretName": "token"},
            "tls": {"ca": {"configMapName": "ca"}, "client": {"secretName": "client", "certKey": "cert"}},
        },
        {
            "name": "other",
            "url": "https://mimir.example.com/prometheus",
            "basic": {"secretName": "login", "passwordKey": "pass"},
            "tls": {"ca": {"secretName": "ca", "key": "bundle"}, "insecureSkipVerify": True},
        },
    ]
}


def pod(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(the(manifests, "Deployment")["spec"]["template"]["spec"])


def sources(manifests: list[dict[str, Any]]) -> Any:
    return yaml.safe_load(the(manifests, "ConfigMap")["data"]["sources.yaml"])


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refused:
        render(values)
    return refused.value.message


def test_lint_has_nothing_to_say() -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_chart_and_the_operator_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == leakwarden.__version__


def test_the_chart_holds_the_crds_of_the_repository_byte_for_byte() -> None:
    originals = {each.name: each.read_bytes() for each in (REPOSITORY / "crds").glob("*.yaml")}
    assert originals
    assert {each.name: each.read_bytes() for each in (CHART / "files" / "crds").glob("*.yaml")} == originals


def test_a_packaged_chart_carries_the_crds_itself(tmp_path: Path) -> None:
    helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        for original in (REPOSITORY / "crds").glob("*.yaml"):
            packed = archive.extractfile(f"leakwarden/files/crds/{original.name}")
            assert packed is not None
            assert packed.read() == original.read_bytes()


def test_rendering_changes_nothing_of_a_crd_but_labels_and_annotations() -> None:
    rendered = {each["metadata"]["name"]: each for each in of_kind(render(), "CustomResourceDefinition")}
    originals = [yaml.safe_load(each.read_text()) for each in (REPOSITORY / "crds").glob("*.yaml")]
    assert len(rendered) == len(originals)
    for original in originals:
        assert rendered[original["metadata"]["name"]]["spec"] == original["spec"]


def test_uninstalling_keeps_the_crds_unless_told_otherwise() -> None:
    def policies(values: dict[str, Any]) -> set[str | None]:
        definitions = [each["metadata"] for each in of_kind(render(values), "CustomResourceDefinition")]
        return {metadata.get("annotations", {}).get("helm.sh/resource-policy") for metadata in definitions}

    assert policies({}) == {"keep"}
    assert policies({"crds": {"keep": False}}) == {None}


def test_crds_can_be_left_to_somebody_else() -> None:
    assert not of_kind(render({"crds": {"install": False}}), "CustomResourceDefinition")


def test_the_selector_holds_the_two_labels_that_never_change() -> None:
    changed = {"podLabels": {"app.kubernetes.io/name": "else", "team": "sre"}, "image": {"tag": "9.9.9"}}
    for values in ({}, changed, {"replicas": 0}):
        deployment = the(render(values), "Deployment")
        assert deployment["spec"]["selector"]["matchLabels"] == {
            "app.kubernetes.io/name": "leakwarden",
            "app.kubernetes.io/instance": RELEASE,
        }
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_two_releases_share_no_cluster_scoped_name() -> None:
    def names(release: str) -> set[tuple[str, str]]:
        values = {"actions": {"rolloutRestart": {"enabled": True}}, "crds": {"install": False}}
        return {
            (each["kind"], each["metadata"]["name"])
            for each in render(values, release=release)
            if "namespace" not in each["metadata"]
        }

    assert names("one")
    assert not names("one") & names("two")


def test_the_pod_meets_the_restricted_standard_and_can_write_to_tmp_only() -> None:
    manifests = render()
    spec, operator = pod(manifests), container(manifests)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert operator["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [each["mountPath"] for each in operator["volumeMounts"] if not each.get("readOnly")]
    assert writable == ["/tmp"]
    (tmp,) = [each for each in spec["volumes"] if each["name"] == "tmp"]
    assert tmp["emptyDir"]["sizeLimit"]
    assert not [each for each in spec["volumes"] if "hostPath" in each]
    assert environment(manifests)["PYTHONDONTWRITEBYTECODE"] == "1"


def test_only_the_operators_pod_gets_the_accounts_token() -> None:
    manifests = render()
    assert the(manifests, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod(manifests)["automountServiceAccountToken"] is True


def test_two_replicas_run_and_an_upgrade_never_has_fewer_that_are_ready() -> None:
    deployment = the(render(), "Deployment")
    assert deployment["spec"]["replicas"] == 2
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert deployment["spec"]["strategy"] == strategy


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_a_leader_is_elected_whatever_the_number_of_replicas(replicas: int) -> None:
    manifests = render({"replicas": replicas})
    assert environment(manifests)["LEAKWARDEN_LEADER_ELECTION"] == "true"
    from_pod = {each["name"]: each["valueFrom"] for each in container(manifests)["env"] if "valueFrom" in each}
    assert from_pod["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}, "two contenders are never namesakes"
    assert from_pod["POD_NAMESPACE"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_the_operator_takes_the_leases_times_as_the_chart_gives_them() -> None:
    given = {"leaseDuration": "1m", "renewDeadline": "40s", "retryPeriod": "5s"}
    for values, timing in (({}, Timing(15, 10, 2)), ({"leaderElection": given}, Timing(60, 40, 5))):
        assert from_environment(environment(render(values))).lease_timing == timing


def test_two_releases_in_one_namespace_have_a_lease_each() -> None:
    names = {environment(render(release=release))["LEAKWARDEN_LEASE_NAME"] for release in ("one", "two")}
    assert len(names) == 2


def test_two_replicas_are_drained_one_after_the_other_and_a_single_one_holds_up_no_drain() -> None:
    manifests = render()
    budget, deployment = the(manifests, "PodDisruptionBudget"), the(manifests, "Deployment")
    assert budget["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": deployment["spec"]["selector"],
    }
    assert budget["metadata"]["namespace"] == NAMESPACE
    half = the(render({"podDisruptionBudget": {"maxUnavailable": "50%"}}), "PodDisruptionBudget")
    assert half["spec"]["maxUnavailable"] == "50%"
    for values in ({"replicas": 1}, {"replicas": 0}, {"podDisruptionBudget": {"enabled": False}}):
        assert not of_kind(render(values), "PodDisruptionBudget")


def test_replicas_are_spread_where_possible_unless_told_otherwise() -> None:
    manifests = render()
    wishes = pod(manifests)["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in wishes] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in wishes:
        assert each["whenUnsatisfiable"] == "ScheduleAnyway", "a single node takes both"
        assert each["labelSelector"] == the(manifests, "Deployment")["spec"]["selector"]
        assert each["matchLabelKeys"] == ["pod-template-hash"]
    own = [{"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]
    assert pod(render({"topologySpreadConstraints": own}))["topologySpreadConstraints"] == own


def test_the_probes_ask_what_they_are_for() -> None:
    operator = container(render())
    assert operator["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert operator["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert operator["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert operator["resources"]["limits"] == {"memory": "1Gi"}


def test_the_operators_settings_come_from_the_values() -> None:
    values = {
        "interval": "10s",
        "bucket": "30s",
        "logLevel": "debug",
        "logFormat": "text",
        "watchNamespaces": ["shop", "bank"],
        "guards": {"quietAfterStart": "7m"},
        "kubelet": {"insecureSkipVerify": False, "port": 10251},
        "audit": {"policyReports": True},
    }
    settings = environment(render(values))
    assert settings == {
        "LEAKWARDEN_ACTIONS": "",
        "LEAKWARDEN_AUDIT_NEIGHBOURS": "true",
        "LEAKWARDEN_AUDIT_POLICY_REPORTS": "true",
        "LEAKWARDEN_CLUSTER_POLICIES": "false",
        "LEAKWARDEN_WORKLOADS": "",
        "LEAKWARDEN_WATCH_NAMESPACES": "shop,bank",
        "LEAKWARDEN_INTERVAL": "10s",
        "LEAKWARDEN_BUCKET": "30s",
        "LEAKWARDEN_SOURCES_FILE": "/etc/leakwarden/sources.yaml",
        "LEAKWARDEN_LEADER_ELECTION": "true",
        "LEAKWARDEN_LEASE_NAME": "leakwarden",
        "LEAKWARDEN_LEASE_DURATION": "15s",
        "LEAKWARDEN_LEASE_RENEW_DEADLINE": "10s",
        "LEAKWARDEN_LEASE_RETRY": "2s",
        "LEAKWARDEN_KUBELET_ENABLED": "true",
        "LEAKWARDEN_KUBELET_INSECURE_SKIP_VERIFY": "false",
        "LEAKWARDEN_KUBELET_PORT": "10251",
        "LEAKWARDEN_LISTEN": "0.0.0.0:8080",
        "LEAKWARDEN_EVIDENCE_ENABLED": "true",
        "LEAKWARDEN_EVIDENCE_VIA": "Pod",
        "LEAKWARDEN_EVIDENCE_PAUSE": "10s",
        "LEAKWARDEN_EVIDENCE_TIMEOUT": "15s",
        "LEAKWARDEN_EVIDENCE_MAX_GOROUTINES": "50000",
        "LEAKWARDEN_MAX_CONCURRENT": "1",
        "LEAKWARDEN_SLOT_TIME": "30m",
        "LEAKWARDEN_NAMESPACE_POLICIES": "100",
        "LEAKWARDEN_NAMESPACE_REPORTS": "2000",
        "LEAKWARDEN_NAMESPACE_ACTIONS": "10",
        "LEAKWARDEN_CLUSTER_ACTIONS": "20",
        "LEAKWARDEN_BUDGET_WINDOW": "1h",
        "LEAKWARDEN_QUIET_AFTER_START": "7m",
        "LEAKWARDEN_STORM_ENABLED": "true",
        "LEAKWARDEN_STORM_ACTIONS": "10",
        "LEAKWARDEN_STORM_WORKLOADS": "10",
        "LEAKWARDEN_STORM_WINDOW": "10m",
        "LEAKWARDEN_STORM_COOLDOWN": "30m",
        "LEAKWARDEN_LOG_LEVEL": "debug",
        "LEAKWARDEN_LOG_FORMAT": "text",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def test_alertmanagers_stand_in_the_sources_beside_prometheus() -> None:
    alertmanagers = [{"name": "main", "url": "http://alertmanager.monitoring:9093", "timeout": "5s"}]
    assert sources(render({"alertmanager": alertmanagers}))["alertmanager"] == alertmanagers
    assert "alertmanager" not in sources(render())


def test_a_loki_has_credentials_of_its_own_and_a_way_through_the_network_policy() -> None:
    login = {"bearerToken": {"secretName": "token"}, "tls": {"ca": {"configMapName": "ca"}}}
    given = {"name": "main", "url": "https://loki.monitoring:3100", "podLabel": "k8s_pod_name", **login}
    manifests = render({"loki": [given], "prometheus": [{**MAIN, **login}], "networkPolicy": {"enabled": True}})
    directory = "/var/run/secrets/leakwarden"
    assert sources(manifests)["loki"] == [
        {
            "name": "main",
            "url": "https://loki.monitoring:3100",
            "podLabel": "k8s_pod_name",
            "bearerTokenFile": f"{directory}/loki.main/token",
            "tls": {"caFile": f"{directory}/loki.main/ca.crt", "insecureSkipVerify": False},
        }
    ]
    (volume,) = [each for each in pod(manifests)["volumes"] if each["name"] == "credentials"]
    paths = [item["path"] for each in volume["projected"]["sources"] for item in next(iter(each.values()))["items"]]
    assert sorted(paths) == ["loki.main/ca.crt", "loki.main/token", "main/ca.crt", "main/token"]
    ports = [
        port["port"] for rule in the(manifests, "NetworkPolicy")["spec"]["egress"] for port in rule.get("ports", [])
    ]
    assert 3100 in ports
    assert "loki" not in sources(render())


def test_without_prometheus_the_sources_are_empty_and_no_credentials_are_mounted() -> None:
    manifests = render()
    assert sources(manifests) == {"prometheus": []}
    assert [each["name"] for each in pod(manifests)["volumes"]] == ["sources", "tmp"]


def test_credentials_become_files_and_never_text() -> None:
    directory = "/var/run/secrets/leakwarden"
    assert sources(render(EVERY_CREDENTIAL)) == {
        "prometheus": [
            {
                "name": "main",
                "url": "https://prometheus.monitoring:9090",
                "default": True,
                "timeout": "5s",
                "namespaceLabel": "kubernetes_namespace",
                "headers": {"X-Scope-OrgID": "team-a"},
                "bearerTokenFile": f"{directory}/main/token",
                "tls": {
                    "caFile": f"{directory}/main/ca.crt",
                    "certFile": f"{directory}/main/tls.crt",
                    "keyFile": f"{directory}/main/tls.key",
                    "insecureSkipVerify": False,
                },
            },
            {
                "name": "other",
                "url": "https://mimir.example.com/prometheus",
                "basic": {
                    "usernameFile": f"{directory}/other/username",
                    "passwordFile": f"{directory}/other/password",
                },
                "tls": {"caFile": f"{directory}/other/ca.crt", "insecureSkipVerify": True},
            },
        ]
    }


def test_every_credential_file_named_in_the_sources_is_mounted() -> None:
    manifests = render(EVERY_CREDENTIAL)
    (mount,) = [each for each in container(manifests)["volumeMounts"] if each["name"] == "credentials"]
    (volume,) = [each for each in pod(manifests)["volumes"] if each["name"] == "credentials"]
    mounted = {}
    for source in volume["projected"]["sources"]:
        ((kind, content),) = source.items()
        for item in content["items"]:
            mounted[f"{mount['mountPath']}/{item['path']}"] = (kind, content["name"], item["key"])
    directory = "/var/run/secrets/leakwarden"
    assert mounted == {
        f"{directory}/main/token": ("secret", "token", "token"),
        f"{directory}/main/ca.crt": ("configMap", "ca", "ca.crt"),
        f"{directory}/main/tls.crt": ("secret", "client", "cert"),
        f"{directory}/main/tls.key": ("secret", "client", "tls.key"),
        f"{directory}/other/username": ("secret", "login", "username"),
        f"{directory}/other/password": ("secret", "login", "pass"),
        f"{directory}/other/ca.crt": ("secret", "ca", "bundle"),
    }
    assert mount["readOnly"] is True
    # Readable for the operator's group, and for nobody else in the pod.
    assert volume["projected"]["defaultMode"] == 0o440
    assert pod(manifests)["securityContext"]["fsGroup"] == 65532


def test_credentials_rotate_because_no_mount_uses_a_subpath() -> None:
    for mount in container(render(EVERY_CREDENTIAL))["volumeMounts"]:
        assert "subPath" not in mount
        assert "subPathExpr" not in mount


def test_a_changed_endpoint_restarts_the_pod() -> None:
    def checksum(values: dict[str, Any]) -> str:
        return str(the(render(values), "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/sources"])

    assert checksum({"prometheus": [MAIN]}) == checksum({"prometheus": [MAIN]})
    assert checksum({"prometheus": [MAIN]}) != checksum({"prometheus": [{**MAIN, "url": "http://elsewhere:9090"}]})


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replica": 1}, "additional properties 'replica' not allowed"),
        ({"actions": {"evictpod": {"enabled": True}}}, "additional properties 'evictpod' not allowed"),
        ({"actions": {"evictPod": {"enabled": "yes"}}}, "/actions/evictPod/enabled"),
        ({"interval": "30"}, "/interval"),
        ({"watchNamespaces": ["Shop"]}, "/watchNamespaces/0"),
        ({"image": {"tag": "latest"}}, "image.tag: latest is not a version"),
        ({"image": {"digest": "sha256:123"}}, "/image/digest"),
        ({"prometheus": [{"name": "main"}]}, "missing property 'url'"),
        ({"prometheus": [{**MAIN, "url": "http://me:secret@prometheus"}]}, "/prometheus/0/url"),
        ({"prometheus": [{**MAIN, "url": "file:///etc/passwd"}]}, "/prometheus/0/url"),
        ({"prometheus": [{**MAIN, "headers": {"authorization": "Bearer x"}}]}, "readable in a ConfigMap"),
        ({"prometheus": [{**MAIN, "headers": {"X Y": "z"}}]}, "/prometheus/0/headers"),
        ({"prometheus": [MAIN, MAIN]}, 'two entries are called "main"'),
        (
            {"prometheus": [{**MAIN, "default": True}, {**MAIN, "name": "b", "default": True}]},
            "main, b are all marked default",
        ),
        (
            {"prometheus": [{**MAIN, "bearerToken": {"secretName": "a"}, "basic": {"secretName": "b"}}]},
            "not both",
        ),
        ({"prometheus": [{**MAIN, "tls": {"ca": {"key": "ca.crt"}}}]}, "one of secretName and configMapName"),
        (
            {"metrics": {"service": {"enabled": False}, "serviceMonitor": {"enabled": True}}},
            "set metrics.service.enabled too",
        ),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name"),
        ({"nameOverride": "Upper"}, "/nameOverride"),
        ({"fullnameOverride": "-x"}, "/fullnameOverride"),
        ({"alertmanager": [{"name": "a", "url": "http://me:secret@alertmanager"}]}, "/alertmanager/0/url"),
        ({"alertmanager": [{"name": "A b", "url": "http://alertmanager"}]}, "/alertmanager/0/name"),
        ({"loki": [MAIN, {**MAIN, "name": "other"}]}, "/loki"),
        ({"loki": [{**MAIN, "timeout": "1h"}]}, 'loki "main": timeout is 1h; it may be at most 5m'),
        ({"interval": "-30s"}, "/interval"),
        ({"interval": "0s"}, "interval is 0s; it must be at least 1s"),
        ({"bucket": "2h"}, "bucket is 2h; it may be at most 1h"),
        ({"guards": {"storm": {"window": "0m0s"}}}, "guards.storm.window is 0m0s; it must be at least 10s"),
        ({"guards": {"window": "1ms"}}, "guards.window is 1ms; it must be at least 1m"),
        ({"prometheus": [{**MAIN, "timeout": "0s"}]}, 'prometheus "main": timeout is 0s; it must be at least 1ms'),
        (
            {"alertmanager": [{"name": "a", "url": "http://a", "timeout": "1h"}]},
            'alertmanager "a": timeout is 1h; it may be at most 5m',
        ),
        (
            {"evidence": {"store": {"type": "volume", "volume": {"maxAge": "1m"}}}},
            "evidence.store.volume.maxAge is 1m; it must be at least 1h",
        ),
        (
            {"metrics": {"serviceMonitor": {"enabled": True, "interval": "0s"}}},
            "metrics.serviceMonitor.interval is 0s; it must be at least 1ms",
        ),
        (
            {"leaderElection": {"renewDeadline": "15s"}},
            "leaderElection: retryPeriod (2s) < renewDeadline (15s) < leaseDuration (15s) must hold",
        ),
        ({"leaderElection": {"retryPeriod": "10000ms"}}, "retryPeriod (10000ms) < renewDeadline (10s)"),
        ({"leaderElection": {"retryPeriod": "0s"}}, "leaderElection.retryPeriod is 0s"),
        ({"leaderElection": {"leaseDuration": "15500ms"}}, "a Lease counts in whole seconds"),
        ({"leaderElection": {"leaseDuration": "1h"}}, "leaderElection.leaseDuration is 1h; it may be at most 10m"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_refused_and_named(values: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(values)


DURATIONS = {
    "interval": "interval",
    "bucket": "bucket",
    "guards.slotTime": "slot_time",
    "guards.window": "budget_window",
    "guards.quietAfterStart": "quiet_after_start",
    "guards.storm.window": "storm_window",
    "guards.storm.cooldown": "storm_cooldown",
    "evidence.pause": "evidence_pause",
    "evidence.timeout": "evidence_timeout",
    "evidence.descriptors.timeout": "evidence_descriptors_timeout",
    "evidence.store.volume.maxAge": "evidence_directory_age",
}


def test_the_chart_and_the_operator_allow_the_same_durations() -> None:
    template = (CHART / "templates" / "_durations.tpl").read_text()
    chart = {
        path: (parse_duration(least), parse_duration(most) if most else None)
        for path, least, most in re.findall(r'\(list "([\w.]+)" \S+ "(\w+)" "(\w*)"\)', template)
        if not path.startswith("metrics.")  # the Prometheus Operator's
    }
    operator = {}
    for path, name in DURATIONS.items():
        bounds = {type(each): each for each in Settings.model_fields[name].metadata}
        operator[path] = (bounds[Ge].ge, bounds[Le].le if Le in bounds else None)
    assert chart == operator


def test_what_is_as_long_as_may_be_is_taken() -> None:
    values = {
        "interval": "1h",
        "bucket": "1s",
        "guards": {"quietAfterStart": "0s", "window": "168h", "storm": {"window": "10s", "cooldown": "23h59m60s"}},
        "leaderElection": {"leaseDuration": "10m", "renewDeadline": "9m59.5s", "retryPeriod": "1ms"},
        "prometheus": [{**MAIN, "timeout": "4m60s"}],
    }
    from_environment(environment(render(values)))


def test_a_chart_that_carries_this_one_may_set_its_own_values() -> None:
    assert render({"global": {"team": "sre"}, "enabled": True}) == render()


def test_the_schema_knows_every_value_and_no_other() -> None:
    def keys(value: Any, prefix: str = "") -> set[str]:
        if not isinstance(value, dict) or not value:
            return {prefix}
        return set().union(*(keys(inner, f"{prefix}.{name}".lstrip(".")) for name, inner in value.items()))

    schema = json.loads((CHART / "values.schema.json").read_text())

    def known(node: dict[str, Any], prefix: str = "") -> set[str]:
        while "$ref" in node:
            node = schema["definitions"][node["$ref"].rpartition("/")[2]]
        if "properties" not in node:
            return {prefix}
        return set().union(
            *(known(inner, f"{prefix}.{name}".lstrip(".")) for name, inner in node["properties"].items())
        )

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    opaque = ("resources", "podSecurityContext", "securityContext")
    written = {next((o for o in opaque if key.startswith(f"{o}.")), key) for key in keys(values)}
    assert known(schema) - {"global", "enabled"} == written


def test_the_readme_explains_every_value() -> None:
    text = (CHART / "README.md").read_text()
    for name in yaml.safe_load((CHART / "values.yaml").read_text()):
        assert f"`{name}" in text, name


def test_a_digest_pins_the_image_whatever_the_tag() -> None:
    digest = "sha256:" + "a" * 64
    image = {"repository": "registry.example.com/leakwarden", "tag": "1.2.3"}
    assert container(render({"image": image}))["image"] == "registry.example.com/leakwarden:1.2.3"
    pinned = container(render({"image": {**image, "digest": digest}}))["image"]
    assert pinned == f"registry.example.com/leakwarden@{digest}"
    assert container(render())["image"] == f"localhost/leakwarden:{leakwarden.__version__}"


def test_metrics_are_found_by_the_prometheus_operator_only_when_asked_for() -> None:
    assert not of_kind(render(), "ServiceMonitor")
    manifests = render({"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "kps"}}}})
    monitor, service = the(manifests, "ServiceMonitor"), the(manifests, "Service")
    assert monitor["metadata"]["labels"]["release"] == "kps"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (
        service["spec"]["selector"].items()
        <= the(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"].items()
    )


def test_the_network_policy_lets_out_what_is_configured_and_never_to_the_metadata_service() -> None:
    assert not of_kind(render(), "NetworkPolicy")
    values = {
        "networkPolicy": {"enabled": True, "prometheusPorts": [9095], "podEndpoints": False},
        "evidence": {"enabled": False},
        "prometheus": [MAIN, {"name": "b", "url": "https://thanos.example.com/x"}],
    }
    egress = the(render(values), "NetworkPolicy")["spec"]["egress"]
    ports = [{each["port"] for each in rule["ports"]} for rule in egress]
    assert ports == [{53}, {443, 6443}, {9095, 9090, 443}]
    for rule in egress[1:]:
        (v4, v6) = (each["ipBlock"] for each in rule["to"])
        assert v4 == {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}
        assert v6 == {"cidr": "::/0", "except": ["fe80::/10"]}


def test_the_network_policy_lets_out_to_the_kubelets_where_they_are_read() -> None:
    egress = the(render({"networkPolicy": {"enabled": True}}), "NetworkPolicy")["spec"]["egress"]
    assert {10250} in [{each["port"] for each in rule.get("ports", [])} for rule in egress]


def test_the_container_starts_with_arguments_that_the_command_takes() -> None:
    assert parser().parse_args(container(render())["args"]).command == "run"


def test_what_is_added_arrives_where_it_belongs() -> None:
    manifests = render(
        {
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "extraVolumes": [{"name": "more", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
            "imagePullSecrets": [{"name": "registry"}],
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"operator": "Exists"}],
            "podAnnotations": {"note": "mine"},
        }
    )
    spec, operator = pod(manifests), container(manifests)
    assert environment(manifests)["HTTPS_PROXY"] == "http://proxy:3128"
    assert {"name": "more", "mountPath": "/more"} in operator["volumeMounts"]
    assert {"name": "more", "emptyDir": {}} in spec["volumes"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert the(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]["note"] == "mine"


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({}, ["LeakReports, the status"], ["ReadWriteMany"]),
        ({"evidence": {"store": {"type": "volume"}}}, ["replicas is 2, and the claim for profiles"], []),
        ({"evidence": {"store": {"type": "volume"}}, "replicas": 1}, [], ["ReadWriteMany"]),
        (
            {"evidence": {"store": {"type": "volume", "volume": {"accessModes": ["ReadWriteMany"]}}}},
            [],
            ["ReadWriteMany"],
        ),
        (
            {"evidence": {"descriptors": {"enabled": True, "admissionPolicy": False}}},
            ["a container with any image to every watched pod"],
            [],
        ),
        ({"evidence": {"descriptors": {"enabled": True}}}, [], ["any image"]),
        ({}, ["It only observes", "no Prometheus is configured", "actions.evictPod.enabled=true"], ["It may act"]),
        ({"actions": {"evictPod": {"enabled": True}}}, ["It may act: EvictPod"], ["It only observes"]),
        ({"prometheus": [MAIN]}, [], ["no Prometheus is configured", "not verified"]),
        ({"kubelet": {"enabled": False}}, ["there is nothing to read"], ["not verified"]),
        (
            {"actions": {"rolloutRestart": {"enabled": True, "admissionPolicy": False}}},
            ["may patch every field of Deployments"],
            [],
        ),
        ({}, ["get lease leakwarden"], ["replicas is"]),
        ({"replicas": 1}, ["replicas is 1"], ["WARNING: replicas"]),
        ({"replicas": 0}, ["nothing is watched"], ["replicas is 1"]),
    ],
)
def test_the_notes_say_which_mode_it_is_in(
    values: dict[str, Any], said: list[str], unsaid: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    dry = ("--dry-run=client", "--namespace", NAMESPACE, "--values", str(file))
    notes = helm("install", RELEASE, str(CHART), *dry).partition("NOTES:")[2]
    for text in said:
        assert text in notes
    for text in unsaid:
        assert text not in notes
