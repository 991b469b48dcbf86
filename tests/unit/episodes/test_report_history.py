"""How long reports are kept, the uptime computed from them, and their largest size."""

from __future__ import annotations

import json
from typing import Any

from leakwarden.api.v1alpha1.evidence_status import (
    MAX_PROFILES,
    MAX_SUSPECTS,
    EvidenceState,
    EvidenceStatus,
    ProfileStatus,
    SuspectStatus,
)
from leakwarden.api.v1alpha1.leakreport import (
    MAX_EPISODE_ACTIONS,
    MAX_GUARDS,
    MAX_POINTS,
    GuardStatus,
    LeakReportSpec,
    LeakReportStatus,
    Measurement,
    Phase,
    PlanStatus,
    PodReference,
    PolicyReference,
    Range,
    SeriesStatus,
    VerdictStatus,
    VerificationStatus,
    WorkloadReference,
)
from leakwarden.api.v1alpha1.status import ActionPhase, ActionResult, ActionStatus
from leakwarden.core.episodes.parts import GUARD_MESSAGE, series_in_short
from leakwarden.core.episodes.retention import DELETES_PER_TICK, expendable
from leakwarden.core.episodes.uptime import lifespan
from leakwarden.core.model.leakreport import LeakReport, parse_report
from leakwarden.core.model.policy import format_time
from leakwarden.core.records.action_records import by_workload, legacy_records, view_of
from tests.builders import NOW, enforcing, points, policy

HOUR = 3600.0
DAY = 24 * HOUR


def action(ago: float, result: ActionResult | None = ActionResult.EFFECTIVE, **more: Any) -> ActionStatus:
    at = format_time(NOW - ago)
    values = {"id": f"a{ago:g}", "type": "EvictPod", "workload": "api", "workload_uid": "uid-api", "pod": "api-1",
              "pod_uid": "uid-api-1", "phase": ActionPhase.DONE, "intended_at": at, "finished_at": at,
              "verified_at": at, "result": result}  # fmt: skip
    return ActionStatus(**{**values, **more})


def report(
    name: str, ended: float | None = None, *actions: ActionStatus, lived: float = 0, owner: str = "shop", **status: Any
) -> LeakReport:
    """`ended`: so many seconds ago; None: it has not."""
    detected = NOW - (ended or 0) - HOUR
    taken_at = min((NOW - HOUR for _ in actions), default=detected)
    spec = LeakReportSpec(
        policy=PolicyReference(name=owner, uid=f"uid-policy-{owner}"),
        workload=WorkloadReference(name="api", uid="uid-api"),
        pod=PodReference(name=f"pod-{name}", uid=f"uid-{name}", started_at=format_time(taken_at - lived)),
        signal="descriptors",
        signal_type="Descriptors",
        detected_at=format_time(detected),
    )
    phase = Phase.DETECTED if ended is None else Phase.RECOVERED_ANYWAY
    end = None if ended is None else format_time(NOW - ended)
    told = LeakReportStatus(phase=phase, ended_at=end, actions=list(actions), **status)
    return LeakReport(
        "shop", name, f"uid-report-{name}", resource_version="1", created=detected, spec=spec, status=told
    )


def shop(**history: Any) -> Any:
    held = policy(spec={**enforcing(), "history": history})
    return {held.uid: held}


def names(found: list[LeakReport]) -> list[str]:
    return [each.name for each in found]


def test_the_newest_ended_reports_are_kept_up_to_the_limit() -> None:
    reports = [report(f"r{n}", ended=n * DAY) for n in range(1, 6)]
    assert names(expendable(reports, shop(limit=3), NOW)) == ["r5", "r4"]
    assert expendable(reports, shop(), NOW) == []


def test_what_has_outlived_its_time_goes_whatever_the_limit() -> None:
    reports = [report("young", ended=DAY), report("old", ended=31 * DAY)]
    assert names(expendable(reports, shop(), NOW)) == ["old"]
    assert names(expendable(reports, shop(timeToLive="1h"), NOW)) == ["old", "young"]


def test_what_has_not_ended_is_never_deleted() -> None:
    assert expendable([report("open"), report("other")], shop(limit=0, timeToLive="1s"), NOW) == []


def test_a_report_whose_action_a_guard_still_looks_at_is_never_deleted() -> None:
    strict = shop(limit=0, timeToLive="1s")
    assert expendable([report("r", HOUR, action(HOUR))], strict, NOW) == []
    assert expendable([report("r", DAY, action(3 * DAY, result=ActionResult.VERIFYING))], strict, NOW) == []
    assert expendable([report("r", DAY, action(3 * DAY, None, phase=ActionPhase.PENDING))], strict, NOW) == []
    assert names(expendable([report("r", 2 * DAY, action(3 * DAY))], strict, NOW)) == ["r"]
    patient = policy(spec=enforcing(cooldown="100h"))
    old = policy(spec={**enforcing(cooldown="100h"), "history": {"limit": 0, "timeToLive": "1s"}})
    assert patient.uid == old.uid
    assert expendable([report("r", 2 * DAY, action(3 * DAY))], {old.uid: old}, NOW) == []


def test_the_limit_never_takes_the_failures_that_a_circuit_counts() -> None:
    failed = [report(f"f{n}", (n + 2) * DAY, action((n + 2) * DAY, ActionResult.INEFFECTIVE)) for n in range(5)]
    assert names(expendable(failed, shop(limit=0), NOW)) == ["f4", "f3"]
    assert len(expendable(failed, shop(limit=0, timeToLive="1s"), NOW)) == 5, "but their time to live does"


def test_deleting_is_bounded_a_tick_and_the_reports_of_a_gone_policy_go_by_the_defaults() -> None:
    many = [report(f"r{n:03}", ended=DAY + n, owner="gone") for n in range(120)]
    first = expendable(many, {}, NOW)
    assert len(first) == DELETES_PER_TICK
    assert first[0].name == "r119"
    assert expendable(many[:50], {}, NOW) == []


def test_what_a_restart_buys_is_the_median_of_what_pods_lived() -> None:
    assert lifespan([report("none")]) is None
    reports = [report(f"r{n}", HOUR, action(HOUR), lived=hours * HOUR) for n, hours in enumerate((2, 6.2, 30))]
    found = lifespan(reports)
    assert found is not None
    assert found.episodes == 3
    assert str(found) == "a restart buys 6.2 h (median of 3)"
    exhausted = report("observed", HOUR, lived=HOUR, exhausting_at=format_time(NOW - 1.5 * HOUR))
    only = lifespan([exhausted])
    assert only is not None
    assert str(only) == "a restart buys 1.5 h"


def test_records_of_before_there_were_reports_count_until_a_report_holds_them() -> None:
    legacy = action(60, id="legacy", pod_uid="uid-of-a-pod-without-report")
    viewed = action(60, id="viewed", pod_uid="uid-deleted", report="a-deleted-report")
    held = report("r", None, action(30, id="held"))
    status = {"actions": [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in (legacy, viewed)]}
    owner = policy(status=status)
    old = legacy_records(owner, [held])
    assert [each.id for each in old] == ["legacy"]
    assert [each.id for each in by_workload([held], [old])["uid-api"]] == ["held", "legacy"]
    assert [(each.id, each.report) for each in view_of(owner, [held], old)] == [("held", "r"), ("legacy", "")]


def test_a_series_in_short_keeps_its_ends_and_at_most_sixty_points() -> None:
    short = series_in_short(points([float(n) for n in range(1000)]))
    assert len(short.times) == len(short.values) <= MAX_POINTS
    assert (short.values[0], short.values[-1]) == (0, 999)
    assert short.values == sorted(short.values)
    assert series_in_short(points([1, 2, 3])).values == [1, 2, 3]
    assert series_in_short(points([])).values == []


def fattest() -> LeakReportStatus:
    at = format_time(NOW)
    message, unsure = "x" * 1024, Range(low=-1.23456e-10, high=1.23456e10)
    measurement = Measurement(growth_per_hour=unsure, value=1.23456e10, pods=500, symptoms=["s" * 256] * 8)
    acted = ActionStatus(
        id="i" * 64, type="RolloutRestart", workload="w" * 253, workload_uid="u" * 64, pod="p" * 253, pod_uid="u" * 64,
        signal="s" * 63, reason=message, value=1.23456e10, phase=ActionPhase.INTERRUPTED, intended_at=at,
        finished_at=at, message=message, result=ActionResult.RECOVERED_ANYWAY, verified_at=at,
    )  # fmt: skip
    suspect = SuspectStatus(
        shape="s" * 64, function="f" * 512, file="f" * 512, line=10**6, count=10**6, per_second=1.23456,
        confidence="Medium", explanation=message,
    )  # fmt: skip
    profile = ProfileStatus(kind="k" * 32, taken_at=at, bytes=10**9, sha256="a" * 64, location="l" * 512)
    return LeakReportStatus(
        phase=Phase.RECOVERED_ANYWAY,
        message=message,
        verdict=VerdictStatus(
            verdict="Exhausting", reason="r" * 64, message=message, value=1.23456e10, limit=1.23456e10, unit="u" * 32,
            growth_per_hour=unsure, seconds_to_exhaustion=unsure, judged_at=at,
        ),
        series=SeriesStatus(times=[2_000_000_000] * MAX_POINTS, values=[-1.23456e-10] * MAX_POINTS),
        plan=PlanStatus(action="a" * 32, step=2, order=500, not_before=at, message=message),
        guards=[
            GuardStatus(guard=f"{n:064}", passed=False, reason="r" * 64, message="m" * GUARD_MESSAGE)
            for n in range(MAX_GUARDS)
        ],
        actions=[acted.model_copy(update={"id": f"{n:064}"}) for n in range(MAX_EPISODE_ACTIONS)],
        evidence=EvidenceStatus(
            state=EvidenceState.CAPTURED, reason="r" * 64, message=message, attempted_at=at, summary="s" * 512,
            suspects=[suspect] * MAX_SUSPECTS, pool="p" * 1024, descriptors=["d" * 256] * 20,
            profiles=[profile] * MAX_PROFILES,
        ),
        verification=VerificationStatus(
            since=at, newest_before=at, untouched=["u" * 64] * 8, new_pods=["u" * 64] * 8, before=measurement,
            after=measurement, siblings=measurement, message=message,
        ),
        exhausting_at=at, calm_since=at, restart_buys_seconds=1e9, ended_at=at,
    )  # fmt: skip


def test_the_fattest_report_there_can_be_is_below_a_hundred_kilobytes_and_read_back_whole() -> None:
    status = fattest()
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert len(json.dumps(body)) < 100_000
    spec = report("r").spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    read = parse_report({"metadata": {"uid": "u", "name": "n", "namespace": "shop"}, "spec": spec, "status": body})
    assert read is not None
    assert read.status == status
