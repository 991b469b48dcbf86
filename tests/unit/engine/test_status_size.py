"""A policy's status is bounded in bytes, for all names of Deployments, pods and findings."""

from __future__ import annotations

import pytest

from leakwarden.core.audit.findings import Finding, Severity
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.rendering.conditions import Records
from leakwarden.core.rendering.status import build_status
from leakwarden.engine.publisher import MAX_STATUS_BYTES, fitting
from tests.builders import NOW, pod, policy, workload


def crowded(letter: str, deployments: int) -> PolicyEvaluation:
    """Every text that a tenant can make long has its greatest length."""
    long = letter * 5000
    judgement = Judgement("d", Verdict.SUSPECT, "WithinLimits", long)
    pods = tuple(
        PodEvaluation(pod(f"{'p' * 240}-{n}"), Verdict.SUSPECT, judgement, None, (judgement,)) for n in range(50)
    )
    findings = tuple(Finding(f"check-{n}", Severity.ERROR, "app", long, long) for n in range(50))
    return PolicyEvaluation(
        policy(), "Prometheus/main", "", True,
        workloads=tuple(
            WorkloadEvaluation(workload(f"{'w' * 240}-{n}"), Verdict.SUSPECT, pods, findings) for n in range(deployments)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("letter", ["x", "é", "\N{FIRE}"], ids=["one byte", "two bytes", "four bytes"])
def test_a_status_stays_within_its_bytes_and_says_what_it_leaves_out(letter: str) -> None:
    whole = build_status(crowded(letter, 60), [], Records(), NOW)
    fits = fitting(whole)

    assert len(whole.model_dump_json(by_alias=True, exclude_none=True).encode()) > MAX_STATUS_BYTES, "a case at all"
    assert len(fits.model_dump_json(by_alias=True, exclude_none=True).encode()) <= MAX_STATUS_BYTES
    assert fits.targets == whole.targets
    assert fits.conditions == whole.conditions
    assert [each.name for each in fits.workloads] == [each.name for each in whole.workloads]
    assert any("the status is too large" in note for note in fits.notes)


def test_a_status_that_fits_is_left_as_it_is() -> None:
    status = build_status(crowded("x", 1), [], Records(), NOW)
    assert fitting(status) == status
