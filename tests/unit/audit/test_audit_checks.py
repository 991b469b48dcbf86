"""Every check, on a workload that passes it and on one that fails it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from leakwarden.core.audit import CHECKS, EndpointObservation, Finding, Severity
from leakwarden.core.model.workload import Disruption, PreStop, Probe, Workload
from tests.unit.audit import related_cases, sharing_cases, traffic_cases, volume_cases
from tests.unit.audit.audit_examples import (
    BUDGET,
    CONTAINER,
    LIVENESS,
    MIB,
    READINESS,
    STARTUP,
    WORKLOAD,
    answered,
    container,
    found,
    workload,
)

ERROR, WARNING, INFO = Severity


@dataclass(frozen=True)
class Case:
    what: str
    workload: Workload = WORKLOAD
    answers: tuple[EndpointObservation, ...] = ()
    disruptions: tuple[Disruption, ...] | None = (BUDGET,)
    severity: Severity | None = None  # expected; None: the check must pass
    says: str = ""  # a part of the message that must be in it

    def findings(self, check: str) -> list[Finding]:
        return [f for f in found(self.workload, self.answers, self.disruptions) if f.check == check]


TCP = Probe("tcp", port=8080, timeout=2)

PASSES: dict[str, list[Case]] = {
    "ReadinessProbeMissing": [Case("a readiness probe")],
    "LivenessProbeMissing": [Case("a liveness probe")],
    "StartupProbeMissing": [
        Case("a startup probe"),
        Case("no liveness probe that could kill the start", container(startup=None, liveness=None)),
    ],
    "ProbePortUndeclared": [
        Case("a declared name"),
        Case("a declared number", container(liveness=replace(LIVENESS, port=8080))),
        Case("a declared number written as text", container(liveness=replace(LIVENESS, port="8080"))),
        Case("an exec probe, which has no port", container(liveness=Probe("exec", timeout=2))),
    ],
    "ProbePathUnexpected": [
        Case("the policy's paths"),
        Case("the policy's path with a query", container(liveness=replace(LIVENESS, path="/healthz?verbose"))),
        Case("either path for the startup probe", container(startup=replace(STARTUP, path="/readyz"))),
        Case("a probe that has no path", container(liveness=TCP)),
    ],
    "LivenessEqualsReadiness": [
        Case("other paths"),
        Case("other ports", container(readiness=replace(LIVENESS, port="metrics"))),
        Case("other kinds", container(readiness=TCP)),
        Case("two commands that are not known", container(liveness=Probe("exec"), readiness=Probe("exec"))),
        Case("two services of a gRPC server", container(liveness=Probe("grpc"), readiness=Probe("grpc", service="x"))),
        Case(
            "two commands", container(liveness=Probe("exec", command=("a",)), readiness=Probe("exec", command=("b",)))
        ),
        Case(
            "the same, where liveness waits twice as long",
            container(
                liveness=replace(LIVENESS, failure_threshold=6), readiness=replace(LIVENESS, failure_threshold=3)
            ),
        ),
    ],
    "ProbeNotHTTP": [
        Case("HTTP probes"),
        Case("a gRPC probe", container(liveness=Probe("grpc", port=8080, timeout=2))),
    ],
    "LivenessKillsStart": [
        Case("a startup probe goes first"),
        Case("readiness is asked early enough", container(startup=None)),
    ],
    "LivenessImpatient": [
        Case("three failures, ten seconds apart"),
        Case("just patient enough", container(liveness=replace(LIVENESS, failure_threshold=2, period=8))),
    ],
    "ProbeTimeoutTooLong": [
        Case("a timeout below the period"),
        Case("a timeout as long as the period", container(readiness=replace(READINESS, timeout=5))),
        Case("a startup probe, which may wait", container(startup=replace(STARTUP, timeout=5))),
    ],
    "StartupBudgetShort": [
        Case("a minute"),
        Case("just enough", container(startup=replace(STARTUP, failure_threshold=5))),
        Case("no startup probe", container(startup=None)),
    ],
    "ReadinessSlowToFail": [Case("12 seconds"), Case("no readiness probe", container(readiness=None))],
    "GraceBelowDrain": [
        Case("30 s cover 5 s and 10 s"),
        Case("exactly enough", workload(termination_grace=15)),
        Case("a grace period of zero has its own finding", workload(termination_grace=0)),
        Case("a hook of unknown length that may fit", container(pre_stop=PreStop("exec"))),
    ],
    "GraceZero": [Case("30 s"), Case("1 s", workload(termination_grace=1))],
    "PreStopLengthUnknown": [
        Case("a sleep"),
        Case("a command that is known to sleep", container(pre_stop=PreStop("exec", 5))),
        Case("no hook", container(pre_stop=None)),
    ],
    "EndpointRemovalRace": [
        Case("a sleep before SIGTERM"),
        Case("a hook of unknown length", container(pre_stop=PreStop("exec"))),
        Case("nothing to send traffic to", container(pre_stop=None, ports=())),
    ],
    "StrategyRecreate": [Case("a rolling update"), Case("nothing runs", workload(strategy="Recreate", replicas=0))],
    "RolloutTakesAllDown": [
        Case("a quarter of three, rounded down"),
        Case("a quarter of one, rounded down to none", workload(replicas=1)),
        Case("one of three", workload(max_unavailable=1)),
        Case("nothing runs", workload(max_unavailable="100%", replicas=0)),
        Case("the strategy does not roll", workload(strategy="Recreate", max_unavailable=None, max_surge=None)),
    ],
    "RolloutWithoutSurge": [
        Case("a quarter of three, rounded up"),
        Case("everything stops, which has its own finding", workload(max_unavailable="100%", max_surge=0)),
    ],
    "SingleReplica": [Case("three"), Case("none", workload(replicas=0))],
    "MinReadySecondsZero": [Case("10 s"), Case("one replica", workload(min_ready_seconds=0, replicas=1))],
    "ProgressDeadlineShort": [
        Case("10 minutes for a start of one"),
        Case("no probe that tells", container(startup=None, readiness=None)),
    ],
    "RolloutPaused": [Case("not paused")],
    "DisruptionBudgetMissing": [
        Case("a budget"),
        Case("budgets are not known", disruptions=None),
        Case("a single pod, which no budget could spare", workload(replicas=1), disruptions=()),
    ],
    "DisruptionBudgetBlocks": [
        Case("one eviction allowed"),
        Case("budgets are not known", disruptions=None),
        Case(
            "none allowed while a pod is missing",
            workload(unavailable_replicas=1),
            disruptions=(Disruption("", "b", 0),),
        ),
        Case("none allowed while pods roll", workload(updated_replicas=1), disruptions=(Disruption("", "b", 0),)),
    ],
    "DisruptionBudgetsOverlap": [Case("one budget"), Case("budgets are not known", disruptions=None)],
    "MemoryLimitMissing": [Case("a limit")],
    "GoMemLimitMissing": [
        Case("GOMEMLIMIT in the manifest"),
        Case("GOMEMLIMIT from a reference that cannot be read here", container(env={"GOMEMLIMIT": ""})),
        Case("no memory limit it could be set to", container(env={}, memory_limit=None)),
    ],
    "GoMemLimitMalformed": [
        *(Case(text, container(env={"GOMEMLIMIT": text})) for text in ("460MiB", "off", "1GiB", "482344960", "1B")),
        Case("made of another variable", container(env={"GOMEMLIMIT": "$(LIMIT)MiB"})),
        Case("absent", container(env={})),
    ],
    "GoMemLimitAboveLimit": [
        Case("90 %"),
        Case("off, which is a decision", container(env={"GOMEMLIMIT": "off"})),
        Case("malformed, which has its own finding", container(env={"GOMEMLIMIT": "9Gi"})),
        Case("no limit", container(memory_limit=None)),
    ],
    "GarbageCollectionOff": [
        Case("GOGC as it is by default"),
        Case("GOGC off under a GOMEMLIMIT", container(env={"GOGC": "off", "GOMEMLIMIT": "460MiB"})),
        Case("GOGC off under one from a reference", container(env={"GOGC": "off", "GOMEMLIMIT": ""})),
    ],
    "EndpointSilent": [Case("200", answers=(answered(200),)), Case("not called")],
    "EndpointNotFound": [Case("200", answers=(answered(200),)), Case("503", answers=(answered(503),))],
    "EndpointFailing": [
        Case("204", answers=(answered(204),)),
        Case("503 of a pod that is not ready", answers=(answered(503, pod_ready=False),)),
        Case("404, which has its own finding", answers=(answered(404),)),
    ],
    "EndpointRedirects": [Case("200", answers=(answered(200),))],
}

FAILS: dict[str, list[Case]] = {
    "ReadinessProbeMissing": [
        Case("it gets traffic", container(readiness=None), severity=ERROR),
        Case("it gets none", container(readiness=None, ports=()), severity=INFO),
    ],
    "LivenessProbeMissing": [Case("none", container(liveness=None), severity=WARNING)],
    "StartupProbeMissing": [Case("liveness alone", container(startup=None), severity=INFO, says="longer than 22 s")],
    "ProbePortUndeclared": [
        Case("no such name", container(liveness=replace(LIVENESS, port="web")), severity=ERROR, says="'web'"),
        Case("no such number", container(liveness=replace(LIVENESS, port=80)), severity=WARNING, says="port 80,"),
        Case(
            "nothing declared",
            container(ports=(), readiness=None, startup=None, liveness=replace(LIVENESS, port=80)),
            severity=INFO,
            says="declared: none",
        ),
    ],
    "ProbePathUnexpected": [
        Case("another path", container(readiness=replace(READINESS, path="/ready")), severity=WARNING, says="/ready,"),
        Case("another beginning", container(liveness=replace(LIVENESS, path="/healthzz")), severity=WARNING),
    ],
    "LivenessEqualsReadiness": [
        Case("same path and port", container(readiness=LIVENESS), severity=WARNING, says="/healthz"),
        Case("one names the port, one numbers it", container(readiness=replace(LIVENESS, port=8080)), severity=WARNING),
        Case("both only connect", container(liveness=TCP, readiness=TCP), severity=WARNING, says="port 8080"),
        Case(
            "one gRPC service",
            container(liveness=Probe("grpc", port=8080), readiness=Probe("grpc", port=8080)),
            severity=WARNING,
        ),
        Case(
            "one command",
            container(liveness=Probe("exec", command=("a",)), readiness=Probe("exec", command=("a",))),
            severity=WARNING,
            says="one command",
        ),
        Case(
            "liveness waits not quite twice as long",
            container(
                liveness=replace(LIVENESS, failure_threshold=4, period=10),
                readiness=replace(LIVENESS, failure_threshold=3, period=10),
            ),
            severity=WARNING,
        ),
    ],
    "ProbeNotHTTP": [
        Case("TCP", container(liveness=TCP), severity=INFO, says="out of descriptors"),
        Case("exec", container(readiness=Probe("exec", timeout=2)), severity=INFO, says="command"),
    ],
    "LivenessKillsStart": [
        Case(
            "readiness waits longer",
            container(startup=None, readiness=replace(READINESS, initial_delay=60)),
            severity=ERROR,
            says="0 + (3 - 1) x 10 + 2 = 22 s",
        )
    ],
    "LivenessImpatient": [
        Case("one failure", container(liveness=replace(LIVENESS, failure_threshold=1)), severity=WARNING, says="= 2 s"),
    ],
    "ProbeTimeoutTooLong": [
        Case("longer than the period", container(readiness=replace(READINESS, timeout=6)), severity=WARNING),
    ],
    "StartupBudgetShort": [
        Case("six seconds", container(startup=replace(STARTUP, failure_threshold=3)), severity=WARNING, says="= 6 s"),
        Case(
            "less than readiness waits",
            container(readiness=replace(READINESS, initial_delay=90)),
            severity=WARNING,
            says="after 90 s",
        ),
    ],
    "ReadinessSlowToFail": [
        Case(
            "ten failures", container(readiness=replace(READINESS, failure_threshold=20)), severity=WARNING, says="97 s"
        )
    ],
    "GraceBelowDrain": [
        Case(
            "the preStop of a load balancer and the default grace period",
            container(pre_stop=PreStop("exec", 35)),
            severity=ERROR,
            says="preStop 35 s + drain 10 s (the default) = 45 s: preStop alone uses it up",
        ),
        Case("SIGKILL cuts the drain", workload(termination_grace=12), severity=WARNING, says="3 s before"),
        Case(
            "no room for a hook of unknown length",
            workload(termination_grace=5, containers=(replace(CONTAINER, pre_stop=PreStop("http")),)),
            severity=WARNING,
            says="unknown length",
        ),
        Case(
            "no hook, too little for the drain alone",
            workload(termination_grace=5, containers=(replace(CONTAINER, pre_stop=None),)),
            severity=WARNING,
            says="below drain 10 s",
        ),
    ],
    "GraceZero": [Case("zero", workload(termination_grace=0), severity=ERROR)],
    "PreStopLengthUnknown": [
        Case("a script", container(pre_stop=PreStop("exec")), severity=INFO, says="30 - drain 10 = 20 s"),
        Case("a request", container(pre_stop=PreStop("http")), severity=INFO),
    ],
    "EndpointRemovalRace": [
        Case("no hook", container(pre_stop=None), severity=INFO, says="listener"),
        Case("a sleep of nothing", container(pre_stop=PreStop("sleep", 0)), severity=INFO),
    ],
    "StrategyRecreate": [Case("Recreate", workload(strategy="Recreate"), severity=WARNING)],
    "RolloutTakesAllDown": [
        Case("everything", workload(max_unavailable="100%"), severity=ERROR),
        Case("one of one", workload(max_unavailable=1, replicas=1), severity=ERROR),
        Case("no surge and a quarter of one, which counts as one", workload(replicas=1, max_surge=0), severity=ERROR),
    ],
    "RolloutWithoutSurge": [
        Case("one at a time", workload(max_unavailable=1, max_surge=0), severity=INFO, says="2 of 3"),
        Case("neither, which counts as one", workload(max_unavailable=0, max_surge=0), severity=INFO, says="2 of 3"),
    ],
    "SingleReplica": [Case("one", workload(replicas=1), severity=WARNING)],
    "MinReadySecondsZero": [Case("zero", workload(min_ready_seconds=0), severity=INFO)],
    "ProgressDeadlineShort": [
        Case("the startup probe allows more", workload(progress_deadline=70), severity=WARNING, says="= 70 s"),
        Case(
            "readiness waits longer",
            workload(
                progress_deadline=60,
                containers=(replace(CONTAINER, startup=None, readiness=replace(READINESS, initial_delay=90)),),
            ),
            severity=WARNING,
        ),
    ],
    "RolloutPaused": [Case("paused", workload(paused=True), severity=WARNING)],
    "DisruptionBudgetMissing": [Case("known to be none", disruptions=(), severity=INFO)],
    "DisruptionBudgetBlocks": [
        Case("none allowed", disruptions=(Disruption("", "b", 0),), severity=WARNING, says=" b ")
    ],
    "DisruptionBudgetsOverlap": [Case("two", disruptions=(BUDGET, BUDGET), severity=ERROR, says="(web, web)")],
    "MemoryLimitMissing": [Case("none", container(memory_limit=None), severity=WARNING)],
    "GoMemLimitMissing": [Case("absent", container(env={}), severity=INFO, says="512MiB")],
    "GoMemLimitMalformed": [
        Case(text, container(env={"GOMEMLIMIT": text}), severity=ERROR, says=repr(text))
        for text in ("512Mi", "1.5GiB", "512 MiB", "500MB", "90%", "-1", "9223372036854775808", "9999999TiB")
    ],
    "GoMemLimitAboveLimit": [
        Case("above", container(env={"GOMEMLIMIT": "1GiB"}), severity=WARNING, says="1024MiB"),
        Case("no room", container(env={"GOMEMLIMIT": str(int(512 * MIB))}), severity=INFO, says="5%"),
    ],
    "GarbageCollectionOff": [
        Case("GOGC alone", container(env={"GOGC": "off"}), severity=WARNING),
        Case("both off", container(env={"GOGC": "off", "GOMEMLIMIT": "off"}), severity=ERROR),
    ],
    "EndpointSilent": [
        Case(
            "refused",
            answers=(answered(None, error="connection refused"),),
            severity=WARNING,
            says="connection refused",
        )
    ],
    "EndpointNotFound": [
        Case("readiness 404", answers=(answered(404),), severity=WARNING, says="/readyz on port 8080"),
        Case("liveness 404", answers=(answered(404, probe="liveness"),), severity=ERROR, says="liveness"),
    ],
    "EndpointFailing": [
        Case("liveness 500", answers=(answered(500, probe="liveness"),), severity=ERROR, says="500"),
        Case("liveness 401", answers=(answered(401, probe="liveness"),), severity=WARNING, says="401"),
        Case("503 of a pod that is ready", answers=(answered(503),), severity=WARNING),
    ],
    "EndpointRedirects": [Case("301", answers=(answered(301),), severity=WARNING, says="301")],
}


def cases(table: dict[str, list[Case]]) -> list[object]:
    return [pytest.param(check, case, id=f"{check}: {case.what}") for check, each in table.items() for case in each]


@pytest.mark.parametrize(("check", "case"), cases(PASSES))
def test_the_check_passes(check: str, case: Case) -> None:
    assert case.findings(check) == []


@pytest.mark.parametrize(("check", "case"), cases(FAILS))
def test_the_check_fails(check: str, case: Case) -> None:
    findings = case.findings(check)
    assert [finding.severity for finding in findings] == [case.severity] * len(findings) != []
    assert case.says in findings[0].message
    assert findings[0].hint


def test_every_check_has_a_case_that_passes_and_one_that_fails() -> None:
    names = {check.name for check in CHECKS}
    for table, *more in (
        (PASSES, related_cases.PASSES, traffic_cases.PASSES, volume_cases.PASSES, sharing_cases.PASSES),
        (FAILS, related_cases.FAILS, traffic_cases.FAILS, volume_cases.FAILS, sharing_cases.FAILS),
    ):
        cases = (*table.items(), *(item for each in more for item in each.items()))
        assert {name for name, each in cases if each} == names
    assert all(case.severity is not None for each in FAILS.values() for case in each)
