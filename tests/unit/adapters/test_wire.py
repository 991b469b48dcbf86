"""The API server's objects become core facts, even with null, missing or new fields."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import msgspec
import pytest

from leakwarden.adapters.cluster import facts, template_facts, wire
from leakwarden.adapters.cluster.session import retry_after
from leakwarden.adapters.cluster.stream import Lines, uid_of, version_of
from leakwarden.api.names import IGNORE_ANNOTATION
from leakwarden.core.audit.exceptions import parse_annotation
from leakwarden.core.model.workload import Container, Pod, Workload


def workload(template: Any = None, **fields: Any) -> Workload:
    obj: dict[str, Any] = {"metadata": {"uid": "u1", "name": "web", "namespace": "team"}, **fields}
    obj.setdefault("spec", {})
    if template is not None:
        obj["spec"]["template"] = {"spec": template}
    return facts.workload(msgspec.json.decode(json.dumps(obj), type=wire.ApiDeployment))


def container(**fields: Any) -> Container:
    return workload({"containers": [{"name": "app", **fields}]}).containers[0]


def pod(**fields: Any) -> Pod:
    obj = {"metadata": {"uid": "p1", "name": "web-1-a", "namespace": "team"}, **fields}
    return facts.pod(msgspec.json.decode(json.dumps(obj), type=wire.ApiPod), None)


def test_a_deployment_that_says_nothing_has_the_defaults_of_kubernetes() -> None:
    found = workload()
    assert (found.replicas, found.strategy, found.progress_deadline, found.termination_grace) == (
        1,
        "RollingUpdate",
        600,
        30,
    )
    assert found.containers == ()


def test_null_everywhere_is_the_same_as_absent() -> None:
    nulls = {
        "metadata": {
            "uid": "u1",
            "name": "web",
            "namespace": "team",
            "labels": None,
            "annotations": None,
            "ownerReferences": None,
            "creationTimestamp": None,
        },
        "spec": {"replicas": None, "strategy": None, "template": None, "paused": None},
        "status": None,
    }
    assert workload(**nulls) == workload()


def test_null_inside_a_container_is_the_same_as_absent() -> None:
    assert (
        container(image=None, ports=None, env=None, resources=None, livenessProbe=None, lifecycle=None) == container()
    )


def test_zero_replicas_stay_zero() -> None:
    assert workload(spec={"replicas": 0}).replicas == 0


def test_what_later_versions_add_is_passed_over() -> None:
    assert workload(spec={"newField": {"deep": [1, 2]}}, newTop=True).name == "web"


def test_a_type_that_does_not_fit_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(msgspec.ValidationError):
        workload(spec={"replicas": "three"})
    with pytest.raises(msgspec.ValidationError):
        workload({"containers": [{"name": 7}]})


def test_status_and_strategy_are_read() -> None:
    found = workload(
        metadata={
            "uid": "u1",
            "name": "web",
            "namespace": "team",
            "resourceVersion": "7",
            "generation": 3,
            "creationTimestamp": "1970-01-01T00:01:00Z",
        },
        spec={
            "strategy": {"type": "Recreate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 1}},
            "paused": True,
        },
        status={"observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 4, "unavailableReplicas": 5},
    )
    assert (found.resource_version, found.generation, found.observed_generation) == ("7", 3, 2)
    assert (found.strategy, found.max_unavailable, found.max_surge, found.paused) == ("Recreate", "25%", 1, True)
    assert (found.updated_replicas, found.ready_replicas, found.unavailable_replicas) == (1, 4, 5)
    assert found.created == 60.0


def test_an_annotation_that_is_a_payload_is_not_kept() -> None:
    meta = {"uid": "u1", "name": "web", "namespace": "team"}
    found = workload(
        metadata={**meta, "annotations": {"leakwarden.dev/skip": "why", "blob": "x" * 5000, facts.LAST_APPLIED: "{}"}}
    )
    assert found.annotations == {"leakwarden.dev/skip": "why"}


@pytest.mark.parametrize("key", sorted(facts.DECISIVE))
def test_an_annotation_that_decides_something_holds_at_any_length(key: str) -> None:
    meta = {"uid": "u1", "name": "web", "namespace": "team"}
    found = workload(metadata={**meta, "annotations": {key: "because " * 25_000}})
    assert found.annotations[key].startswith("because because")
    assert len(found.annotations[key]) <= facts.MAX_ANNOTATION


def test_exceptions_of_the_audit_are_kept_whole_or_not_at_all() -> None:
    """Half a line would lose its end date, and an expired exception would hold for ever."""
    meta = {"uid": "u1", "name": "web", "namespace": "team"}

    def kept(text: str) -> str:
        found = workload(metadata={**meta, "annotations": {IGNORE_ANNOTATION: text}})
        return found.annotations[IGNORE_ANNOTATION]

    line = "LW304: runs once by design; until 2020-01-01\n"
    assert kept(line * 100) == line * 100
    read, wrong = parse_annotation(kept(line * 1000))
    assert (read, len(wrong)) == ([], 1)
    assert "45000 characters, above 32768" in wrong[0]


@pytest.mark.parametrize(
    ("annotations", "protected"),
    [
        ({"karpenter.sh/do-not-disrupt": "true"}, "karpenter.sh/do-not-disrupt: true"),
        ({"karpenter.sh/do-not-disrupt": "30m"}, "karpenter.sh/do-not-disrupt: 30m"),
        ({"karpenter.sh/do-not-disrupt": "false"}, ""),
        ({"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
         "cluster-autoscaler.kubernetes.io/safe-to-evict: false"),
        ({"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}, ""),
        ({"other": "x" * 9000}, ""),
        (None, ""),
    ],
)  # fmt: skip
def test_what_the_autoscalers_of_nodes_leave_alone_is_protected(annotations: Any, protected: str) -> None:
    meta = {"uid": "p1", "name": "web-1-a", "namespace": "team", "annotations": annotations}
    assert pod(metadata=meta).protected == protected


EVERYTHING_SAID: dict[str, Any] = {
    "metadata": {
        "uid": "u2", "name": "api", "namespace": "shop", "resourceVersion": "7", "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"}, "annotations": {"c": "d"},
        "ownerReferences": [{"kind": "Shop", "name": "eu", "uid": "s1", "controller": True}],
    },
    "spec": {
        "serviceName": "api", "replicas": 4, "paused": True, "minReadySeconds": 5, "progressDeadlineSeconds": 90,
        "strategy": {"type": "Recreate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": "10%"}},
        "template": {"metadata": {
            "labels": {"app": "api"}, "annotations": {"config.linkerd.io/proxy-wait-before-exit-seconds": "20"},
        }, "spec": {
            "terminationGracePeriodSeconds": 7, "hostNetwork": True, "shareProcessNamespace": True,
            "resources": {"limits": {"memory": "2Gi", "cpu": "2"}}, "restartPolicy": "OnFailure",
            "nodeName": "node-1", "readinessGates": [{"conditionType": "example.com/ready"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "init", "envFrom": [{"secretRef": {"name": "first"}}]}],
            "topologySpreadConstraints": [
                {"topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
                {"topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule",
                 "labelSelector": {"matchLabels": {"app": "api"}}},
            ],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "api"}}}]}},
            "containers": [{
                "name": "app", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080, "hostPort": 80}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}],
                "command": ["sh", "-c", "ulimit -n 9; ./web --port 7000"], "envFrom": [{"configMapRef": {"name": "settings"}}],
                "env": [{"name": "GOGC", "value": "50"},
                        {"name": "GOMEMLIMIT", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "memory"}}}],
                "resources": {"limits": {"memory": "1Gi", "cpu": "500m", "ephemeral-storage": "1Gi"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "a"}],
                "livenessProbe": {"exec": {"command": ["true"]}}, "startupProbe": {"grpc": {"port": 1}},
                "readinessProbe": {
                    "httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTPS", "host": "web"}, "initialDelaySeconds": 2,
                    "periodSeconds": 3, "timeoutSeconds": 4, "failureThreshold": 5, "successThreshold": 6,
                    "terminationGracePeriodSeconds": 8,
                },
                "lifecycle": {"preStop": {"sleep": {"seconds": 9}}, "postStart": {"httpGet": {"port": "http"}}},
            }],
        }},
    },
    "status": {
        "observedGeneration": 2, "updatedReplicas": 1, "readyReplicas": 2, "unavailableReplicas": 3,
        "conditions": [{"type": "Progressing", "reason": "NewReplicaSetAvailable",
                        "lastUpdateTime": "2026-01-02T00:00:00Z"}],
    },
}  # fmt: skip
A_WHOLE_POD: dict[str, Any] = {
    "metadata": {
        "uid": "p2", "name": "api-1", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-03T00:00:00Z", "annotations": {"karpenter.sh/do-not-disrupt": "true"},
    },
    "spec": {"nodeName": "node-1"},
    "status": {
        "phase": "Running", "podIP": "192.0.2.7", "hostIP": "192.0.2.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "app", "ready": True, "restartCount": 2,
                               "state": {"running": {"startedAt": "2026-01-02T00:00:00Z"}}}],
    },
}  # fmt: skip


def _said_and_unsaid() -> list[tuple[Any, Any]]:
    """Each kind of fact twice: from an object with every field, and from one with only its name."""
    full = workload(**EVERYTHING_SAID)
    grpc = container(readinessProbe={"grpc": {"port": 1, "service": "ready"}}).readiness
    at_least = container(lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "sleep 3; drain"]}}}).pre_stop
    item = msgspec.json.decode(json.dumps(A_WHOLE_POD), type=wire.ApiPod)
    whole, bare = facts.pod(item, "u2"), pod(status={"containerStatuses": [{"name": ""}]})
    readiness, pre_stop = full.containers[0].readiness, full.containers[0].pre_stop
    poor = container(name="", readinessProbe={"exec": {}}, lifecycle={"preStop": {"httpGet": {}}})
    return [
        ((full,), workload()), ((full.containers[0],), container(name="")),
        ((readiness, full.containers[0].liveness, grpc), poor.readiness), ((pre_stop, at_least), poor.pre_stop),
        ((whole,), bare), ((whole.containers[0],), bare.containers[0]),
        ((full.pods,), workload().pods), (full.pods.spreads[1:], full.pods.spreads[0]),
        ((full.containers[0].entrypoint,), container().entrypoint),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "unsaid"), _said_and_unsaid(), ids=lambda fact: type(fact[0] if isinstance(fact, tuple) else fact).__name__
)
def test_every_field_of_the_cores_facts_is_filled_from_the_wire(said: Any, unsaid: Any) -> None:
    """A guard or a check of a field that the adapter never fills is dead, with all other tests green.

    A probe has one handler, so several are needed to fill every field.
    """
    unfilled = [
        each.name
        for each in fields(unsaid)
        if all(getattr(one, each.name) == getattr(unsaid, each.name) for one in said)
    ]
    # Those that only other kinds have: tests/unit/adapters/test_kind_facts.py.
    of_other_kinds = ["kind", "ordered", "to_update", "template_of", "promoted"]
    assert unfilled == (of_other_kinds if isinstance(unsaid, Workload) else [])


def test_the_hash_changes_with_the_template_and_with_nothing_else() -> None:
    template = {"containers": [{"name": "app", "image": "web:1"}]}
    first = workload(template)
    assert workload(template, spec={"replicas": 9}).template_hash == first.template_hash
    assert workload({"containers": [{"name": "app", "image": "web:2"}]}).template_hash != first.template_hash


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("512Mi", 512 * 2**20),
        ("1Gi", 2**30),
        ("128974848", 128974848),
        ("1e9", 1e9),
        ("1E", 1e18),
        ("500m", 0.5),
        ("0.5Gi", 2**29),
        (7, 7),
        (None, None),
        ("", None),
        ("lots", None),
        ("1Zi", None),
        ("9" * 400, None),
    ],
)
def test_quantities(text: int | str | None, number: float | None) -> None:
    assert template_facts.parse_quantity(text) == pytest.approx(number)


def test_a_memory_limit_is_bytes_and_none_where_it_cannot_be_told() -> None:
    assert container(resources={"limits": {"memory": "64Mi"}}).memory_limit == 64 * 2**20
    assert container(resources={"limits": {"cpu": "1"}}).memory_limit is None
    assert container(resources={"limits": {"memory": "much"}}).memory_limit is None
    assert container(resources={"limits": {"memory": "0"}}).memory_limit is None


def test_only_the_go_runtimes_settings_are_kept_of_an_environment() -> None:
    found = container(env=[{"name": "GOGC", "value": "50"}, {"name": "PASSWORD", "value": "secret"}])
    assert found.env == {"GOGC": "50"}


def test_a_setting_from_elsewhere_is_known_to_be_set() -> None:
    found = container(env=[{"name": "GOMEMLIMIT", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}])
    assert found.env == {"GOMEMLIMIT": ""}


def test_the_containers_own_memory_limit_as_a_setting_is_worked_out() -> None:
    setting = {"name": "GOMEMLIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}
    assert container(env=[setting], resources={"limits": {"memory": "64Mi"}}).env == {"GOMEMLIMIT": "64"}
    assert container(env=[setting]).env == {"GOMEMLIMIT": ""}


def test_probes_of_every_kind() -> None:
    found = container(
        livenessProbe={"httpGet": {"path": "/live", "port": "http", "scheme": "HTTPS"}, "periodSeconds": 5},
        readinessProbe={"tcpSocket": {"port": 8080}, "failureThreshold": 1},
        startupProbe={"grpc": {"port": 9090, "service": ""}},
    )
    assert found.liveness is not None
    assert (found.liveness.kind, found.liveness.path, found.liveness.port) == ("http", "/live", "http")
    assert (found.liveness.scheme, found.liveness.period, found.liveness.timeout) == ("HTTPS", 5, 1)
    assert found.readiness is not None
    assert (found.readiness.kind, found.readiness.port, found.readiness.failure_threshold) == ("tcp", 8080, 1)
    assert found.startup is not None
    assert (found.startup.kind, found.startup.port) == ("grpc", 9090)
    exec_probe = container(livenessProbe={"exec": {"command": ["true"]}}).liveness
    assert exec_probe is not None
    assert exec_probe.kind == "exec"


@pytest.mark.parametrize(
    ("hook", "kind", "seconds"),
    [
        ({"sleep": {"seconds": 7}}, "sleep", 7),
        ({"exec": {"command": ["/bin/sleep", "5"]}}, "exec", 5),
        ({"exec": {"command": ["sh", "-c", "sleep 12"]}}, "exec", 12),
        ({"exec": {"command": ["sh", "-c", "sleep 5; /drain"]}}, "exec", None),
        ({"exec": {"command": None}}, "exec", None),
        ({"httpGet": {"port": 80}}, "http", None),
    ],
)
def test_how_long_a_pre_stop_hook_takes(hook: Any, kind: str, seconds: int | None) -> None:
    found = container(lifecycle={"preStop": hook}).pre_stop
    assert found is not None
    assert (found.kind, found.seconds) == (kind, seconds)


def test_a_pod_is_ready_only_when_its_condition_says_so() -> None:
    assert pod(status={"conditions": [{"type": "Ready", "status": "True"}]}).ready
    assert not pod(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}).ready
    assert not pod(status={"conditions": None}).ready
    assert not pod().ready


def test_a_pod_with_a_deletion_time_is_terminating_and_not_available() -> None:
    meta = {"uid": "p1", "name": "a", "namespace": "team", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    found = pod(metadata=meta, status={"conditions": [{"type": "Ready", "status": "True"}]})
    assert found.terminating
    assert not found.available


def test_a_container_that_does_not_run_has_no_start() -> None:
    waiting = {"name": "app", "ready": False, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    found = pod(status={"containerStatuses": [waiting]}).containers[0]
    assert (found.started, found.restarts) == (None, 3)


def test_only_a_controller_owns() -> None:
    owners = [{"kind": "ReplicaSet", "uid": "r1"}, {"kind": "ReplicaSet", "uid": "r2", "controller": True}]
    item = msgspec.json.decode(
        json.dumps({"metadata": {"uid": "p", "name": "p", "ownerReferences": owners}}), type=wire.ApiPod
    )
    assert facts.pod_controller(item, {"ReplicaSet"}) == "r2"


LABELS = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchLabels": {"app": "web", "absent": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "In", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "absent", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "absent", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Newer"}]}, True),
    ],
)
def test_a_budgets_selector(selector: Any, matches: bool) -> None:
    decoded = msgspec.json.decode(json.dumps(selector), type=wire.ApiLabelSelector)
    assert wire.selects(decoded, LABELS) is matches


def test_an_absent_selector_selects_nothing() -> None:
    assert not wire.selects(None, LABELS)


def test_lines_come_out_whole_however_they_are_cut() -> None:
    text = b'{"a":1}\n\n{"b":"' + b"x" * 100_000 + b'"}\n{"half":'
    whole = [line for line in text.split(b"\n")[:-1] if line]
    for size in (1, 7, 65536, len(text)):
        lines = Lines()
        got = [line for start in range(0, len(text), size) for line in lines.feed(text[start : start + size])]
        assert got == whole


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"code":"x"}', b"\xff\xfe"])
def test_an_error_reply_that_is_no_status_is_an_empty_one(body: bytes) -> None:
    assert wire.decode_status(body).message is None


def test_identity_can_be_read_where_the_rest_cannot() -> None:
    raw = msgspec.Raw(b'{"metadata":{"uid":"u1","resourceVersion":"9","name":5},"spec":"odd"}')
    assert (uid_of(raw), version_of(raw)) == ("u1", "9")
    assert (uid_of(msgspec.Raw(b"[]")), version_of(msgspec.Raw(b"[]"))) == (None, None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("3", 3.0), ("-1", 0.0), ("1e9", 300.0), ("soon", None), ("nan", None),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_in_either_form(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds
