"""The containers that the audit reads, the order of its findings, and the endpoints that it requests."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from leakwarden.api.v1alpha1.policy import Audit
from leakwarden.api.v1alpha1.status import FindingStatus
from leakwarden.core.audit import (
    CHECKS,
    EndpointObservation,
    Severity,
    audit,
    endpoint_targets,
    main_containers,
    skipped_containers,
)
from leakwarden.core.audit.resources import parse_gomemlimit
from leakwarden.core.model.workload import Container, Probe, Workload
from tests.unit.audit.audit_examples import (
    CONTAINER,
    LIVENESS,
    READINESS,
    STARTUP,
    WORKLOAD,
    answered,
    container,
    found,
    pod,
    workload,
)

PROXY = Container(name="istio-proxy", ports=(("", 15090),), readiness=Probe("http", "/healthz/ready", 15021))
BYSTANDER = Container(name="log-shipper")


def slow_start(seconds: int) -> Workload:
    return container(startup=None, readiness=replace(READINESS, initial_delay=seconds))


def test_a_good_workload_has_no_findings() -> None:
    assert found(WORKLOAD, [answered(200), answered(200, probe="liveness")]) == ()


def test_a_bare_container_has_findings_though_it_declares_nothing() -> None:
    names = {finding.check for finding in found(workload(containers=(Container("app"),)))}
    assert {"ReadinessProbeMissing", "LivenessProbeMissing", "MemoryLimitMissing"} <= names


def test_a_disabled_audit_finds_nothing() -> None:
    assert found(workload(termination_grace=0), enabled=False) == ()


def test_the_worst_comes_first_then_the_order_of_the_checks_then_that_of_the_containers() -> None:
    two = (replace(CONTAINER, readiness=None, liveness=None), replace(CONTAINER, name="b", readiness=None))
    findings = found(workload(containers=two, termination_grace=0, min_ready_seconds=0))
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, key=list(Severity).index)
    assert [(f.check, f.container) for f in findings][:3] == [
        ("ReadinessProbeMissing", "app"),
        ("ReadinessProbeMissing", "b"),
        ("GraceZero", ""),
    ]


def test_findings_do_not_name_the_pod_so_that_they_outlive_it() -> None:
    first, second = (found(WORKLOAD, [answered(404, pod=name)]) for name in ("web-1", "web-2"))
    assert first == second != ()


def test_every_finding_fits_into_the_status_whatever_the_manifest_says() -> None:
    long = Probe("http", "/" + "x" * 5000, "y" * 5000, timeout=60)
    bad = replace(CONTAINER, liveness=long, readiness=long, startup=long, env={"GOMEMLIMIT": "z" * 5000})
    findings = found(workload(containers=(bad,)), [answered(500, path="/" + "x" * 5000)])
    assert findings
    for f in findings:
        FindingStatus(
            id=f.id, check=f.check, severity=f.severity, container=f.container, message=f.message, hint=f.hint
        )


def test_the_policys_paths_and_drain_time_are_the_standard() -> None:
    kinder = found(container(liveness=replace(LIVENESS, path="/live")), liveness_path="/live")
    assert [f.check for f in kinder] == ["ProbePathUnexpected"]  # the startup probe still calls /healthz
    (stricter,) = found(WORKLOAD, drain_time="1m")
    assert stricter.check == "GraceBelowDrain"
    assert "preStop 5 s + drain 60 s = 65 s" in stricter.message


def test_hints_name_the_containers_own_port_and_the_policys_path() -> None:
    (finding,) = (f for f in found(container(readiness=None), readiness_path="/up") if f.severity is Severity.ERROR)
    assert "{httpGet: {path: /up, port: http}}" in finding.hint


@pytest.mark.parametrize(
    ("check", "subject", "hint"),
    [
        ("LivenessKillsStart", slow_start(60), "periodSeconds: 2 and failureThreshold: 45"),
        ("StartupBudgetShort", container(startup=replace(STARTUP, failure_threshold=3)), "failureThreshold: 15"),
        ("GraceBelowDrain", workload(termination_grace=12), "terminationGracePeriodSeconds: 20"),
        ("GraceZero", workload(termination_grace=0), "terminationGracePeriodSeconds: 30"),
        ("ProgressDeadlineShort", workload(progress_deadline=70), "progressDeadlineSeconds: 600"),
        ("GarbageCollectionOff", container(env={"GOGC": "off"}), "value: 460MiB"),
        ("ProbeNotHTTP", container(readiness=Probe("tcp", port=8080)), "readinessProbe: {httpGet: {path: /readyz"),
        ("ProbeNotHTTP", container(liveness=Probe("tcp", port=8080)), "livenessProbe: {httpGet: {path: /healthz"),
        ("GoMemLimitMalformed", container(env={"GOMEMLIMIT": "2g"}), "value: 2GiB"),
    ],
)
def test_hints_hold_numbers_that_would_pass(check: str, subject: Workload, hint: str) -> None:
    (finding,) = (f for f in found(subject) if f.check == check)
    assert hint in finding.hint


def test_a_grpc_service_is_not_told_to_write_http_handlers() -> None:
    grpc = Probe("grpc", port=8080, timeout=2)
    other = replace(grpc, service="ready")
    findings = found(container(liveness=grpc, readiness=other, startup=None, pre_stop=None))
    assert {f.check for f in findings} == {"StartupProbeMissing", "EndpointRemovalRace"}
    assert any("grpc: {port: 8080}" in f.hint for f in findings)
    assert any("GracefulStop" in f.hint for f in findings)
    assert not any("http" in f.hint.lower() for f in findings)


def test_sidecars_and_bystanders_are_skipped_with_the_reason() -> None:
    subject = workload(containers=(PROXY, CONTAINER, BYSTANDER))
    assert [c.name for c in main_containers(subject)] == ["app"]
    assert [(s.container, s.reason.split(",")[0]) for s in skipped_containers(subject)] == [
        ("istio-proxy", "a known sidecar"),
        ("log-shipper", "neither ports nor probes"),
    ]
    assert found(subject) == ()


@pytest.mark.parametrize("own", [{"ports": (("", 80),)}, {"liveness": LIVENESS}])
def test_ports_or_probes_are_enough_to_be_audited(own: dict[str, Any]) -> None:
    subject = workload(containers=(BYSTANDER, Container("app", **own)))
    assert [c.name for c in main_containers(subject)] == ["app"]


def test_check_names_are_unique_camel_case_and_fit_the_status() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(name.isalpha() and name[0].isupper() and len(name) <= 64 for name in names)


def test_an_audit_without_answers_or_budgets_says_nothing_about_them() -> None:
    assert audit(WORKLOAD, Audit(), ()) == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", math.inf),
        ("off", math.inf),
        ("0", 0),
        ("12", 12),
        ("12B", 12),
        ("3KiB", 3072),
        ("2MiB", 2**21),
        ("1TiB", 2**40),
    ],
)
def test_gomemlimit_is_read_as_the_go_runtime_reads_it(text: str, count: float) -> None:
    assert parse_gomemlimit(text) == count


def test_the_liveness_and_readiness_endpoints_of_one_serving_pod_are_to_be_called() -> None:
    targets = endpoint_targets(WORKLOAD, [pod()])
    assert [(t.pod.name, t.container, t.probe, t.port, t.path, t.scheme) for t in targets] == [
        ("web-1", "app", "liveness", 8080, "/healthz", "HTTP"),
        ("web-1", "app", "readiness", 8080, "/readyz", "HTTP"),
    ]


def test_the_newest_pod_that_serves_is_called() -> None:
    pods = [
        pod("old"),
        pod("newest-not-ready", created=9.0, ready=False),
        pod("going", created=8.0, terminating=True),
        pod("without-address", created=7.0, pod_ip=""),
        pod("in-the-hosts-network", created=6.0, pod_ip="10.0.0.1"),
        pod("chosen", created=5.0),
    ]
    assert {target.pod.name for target in endpoint_targets(WORKLOAD, pods)} == {"chosen"}
    assert endpoint_targets(WORKLOAD, pods[1:5]) == []


def test_nothing_is_called_while_pods_of_two_templates_run() -> None:
    assert endpoint_targets(workload(updated_replicas=1), [pod()]) == []
    assert endpoint_targets(workload(generation=4), [pod()]) == []


def test_only_http_probes_on_ports_that_can_be_told_are_called() -> None:
    subject = container(liveness=Probe("tcp", port=8080), readiness=replace(READINESS, port="nowhere"))
    assert endpoint_targets(subject, [pod()]) == []


def test_a_target_becomes_the_observation_that_the_audit_takes() -> None:
    target = endpoint_targets(WORKLOAD, [pod()])[1]
    assert target.observed(None, "connection refused") == EndpointObservation(
        "web-1", "app", "readiness", 8080, "/readyz", None, "connection refused", True
    )
