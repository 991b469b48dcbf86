"""More than twenty workloads in one policy: each of them can be read from its status."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leakwarden.api.v1alpha1.status import PolicyStatus
from leakwarden.cli.capabilities_report import describe
from leakwarden.cli.explain import ClusterView, explain
from leakwarden.cli.liveness import Liveness, OperatorState
from leakwarden.cli.status_workloads import all_workloads
from leakwarden.core.evaluation.results import PodEvaluation, PolicyEvaluation, WorkloadEvaluation
from leakwarden.core.model.judgement import Judgement, Verdict
from leakwarden.core.model.policy import Policy
from leakwarden.core.rendering.conditions import Records
from leakwarden.core.rendering.status import build_status
from leakwarden.engine.publisher import MAX_STATUS_BYTES, fitting
from tests.builders import DESCRIPTORS, NOW, pod, policy, workload

TWO = {"signals": [DESCRIPTORS, {"name": "pool", "type": "DBPool", "threshold": {"above": "90%"}}]}


def target(number: int, name: str = "", **changes: Any) -> WorkloadEvaluation:
    """Each third workload has no connection pool."""
    title = name or f"w{number:03d}"
    read = Judgement("descriptors", Verdict.HEALTHY, "WithinLimits", "fine", value=10)
    pool = Judgement("pool", Verdict.HEALTHY, "WithinLimits", "fine", value=1)
    if number % 3 == 0:
        pool = Judgement("pool", Verdict.UNKNOWN, "NoSeries", "none")
    one = PodEvaluation(pod(f"{title}-1", owner=title), Verdict.HEALTHY, read, None, (read, pool))
    return WorkloadEvaluation(workload(title, **changes), Verdict.HEALTHY, (one,), ())


def read_of(*targets: WorkloadEvaluation) -> Policy:
    """The policy with the status that the operator would write, after a way through JSON."""
    found = policy(spec=TWO)
    built = build_status(PolicyEvaluation(found, "Prometheus/main", "", True, targets), [], Records(), NOW)
    text = fitting(built).model_dump_json(by_alias=True, exclude_none=True)
    return replace(found, status=PolicyStatus.model_validate_json(text))


def view(found: Policy) -> ClusterView:
    return ClusterView([found], [], {found.name: NOW}, NOW, Liveness(OperatorState.WORKING))


def test_each_of_five_hundred_workloads_is_told_with_its_fixes_as_the_first_twenty_are() -> None:
    targets = [target(n) for n in range(500)]
    found = read_of(*targets)
    assert (len(found.status.workloads), len(found.status.others)) == (20, 480)
    shown = {each.name: each for each in all_workloads(found)}
    assert set(shown) == {f"w{n:03d}" for n in range(500)}
    whole = [each for n in range(0, 500, 20) for each in read_of(*targets[n : n + 20]).status.workloads]
    for each in whole:
        assert shown[each.name].available == each.available
        assert shown[each.name].missing == each.missing
        assert (shown[each.name].verdict, shown[each.name].pods) == (each.verdict, each.pods)
    assert any(each.missing for each in whole)


def test_explain_and_capabilities_find_the_last_one() -> None:
    found = read_of(*(target(n) for n in range(60)))
    explained = explain(view(found), "shop", "w059")
    assert explained.judged
    assert "no leak is open, so nothing is due" in explained.text()
    described = describe(found, NOW, NOW)
    assert len(described.workloads) == 60
    assert "no room" not in described.trouble


def test_what_has_no_room_is_counted() -> None:
    described = describe(read_of(*(target(n) for n in range(502))), NOW, NOW)
    assert len(described.workloads) == 500
    assert described.trouble == "its status has no room for 2 more of its workloads"


def test_long_names_shorten_the_list_and_never_go_beyond_the_bytes() -> None:
    long = "\N{FIRE}" * 240
    found = read_of(*(target(n, f"{long}-{n}") for n in range(500)))
    assert len(found.status.model_dump_json(by_alias=True, exclude_none=True).encode()) <= MAX_STATUS_BYTES
    assert len(found.status.workloads) == 20
    assert "no room for" in describe(found, NOW, NOW).trouble


def test_two_kinds_of_one_name_are_told_apart_where_the_kind_is_given() -> None:
    found = read_of(target(1, "db"), target(2, "db", kind="StatefulSet", uid="uid-sts"))
    assert len(explain(view(found), "shop", "db").policies) == 2
    [one] = explain(view(found), "shop", "db", "StatefulSet").policies
    assert one.workload.title == "StatefulSet/db"
    assert one.lines()[0].startswith("StatefulSet/db by policy shop")
