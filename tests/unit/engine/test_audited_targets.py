"""The findings of the operator's own audit in a policy's status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leakwarden.api.names import IGNORE_ANNOTATION
from leakwarden.core.model.workload import Workload
from tests.builders import NOW
from tests.unit.engine.engine_world import World

TODAY = datetime.fromtimestamp(NOW, UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
ACCEPTED = {"check": "LW202", "reason": "it holds no requests"}


async def audited(ignore: list[Mapping[str, Any]] | None = None, **changes: object) -> World:
    """A tick after which the changed Deployment is audited."""
    world = World(spec={"audit": {"ignore": ignore or []}})
    (only,) = world.cluster.world.workloads.values()
    changed: Workload = replace(only, **changes)  # type: ignore[arg-type]
    world.cluster.world = replace(world.cluster.world, workloads={only.uid: changed})
    await world.engine.tick()
    return world


async def test_findings_in_the_status_and_its_condition_have_the_ids_of_their_checks() -> None:
    world = await audited(termination_grace=0)
    findings = {finding.id: finding.check for finding in world.status.workloads[0].findings}
    assert findings["LW202"] == "GraceZero"
    assert "" not in findings
    assert "api: LW" in said_of_compliance(world)


def ids(world: World) -> set[str]:
    return {finding.id for finding in world.status.workloads[0].findings}


def said_of_compliance(world: World) -> str:
    (said,) = [condition.message for condition in world.status.conditions if condition.type == "Compliant"]
    return said


async def test_a_check_that_the_policy_ignores_is_counted_as_excepted_and_no_finding() -> None:
    plain, excepting = await audited(termination_grace=0), await audited([ACCEPTED], termination_grace=0)
    assert "LW202" in ids(plain)
    assert ids(excepting) == ids(plain) - {"LW202"}
    before, after = plain.status.workloads[0], excepting.status.workloads[0]
    assert (before.findings_excepted, after.findings_excepted) == (0, 1)
    assert after.findings_total == before.findings_total - 1
    assert "excepted" not in said_of_compliance(plain)
    assert ", 1 excepted" in said_of_compliance(excepting)


@pytest.mark.parametrize("of_policy", [True, False], ids=["policy", "annotation"])
async def test_an_exception_holds_on_its_last_day_and_is_a_finding_on_the_next(of_policy: bool) -> None:
    async def until(day: object) -> set[str]:
        if of_policy:
            return ids(await audited([{**ACCEPTED, "until": str(day)}], termination_grace=0))
        annotations = {IGNORE_ANNOTATION: f"LW202: it holds no requests; until {day}"}
        return ids(await audited(termination_grace=0, annotations=annotations))

    assert not {"LW202", "LW905"} & await until(TODAY)
    assert {"LW202", "LW905"} <= await until(YESTERDAY)


async def test_an_exception_of_one_container_covers_no_other() -> None:
    limit = {"check": "GoMemLimitMissing", "reason": "it holds no heap"}
    assert "LW602" in ids(await audited([{**limit, "container": "other"}]))
    assert "LW602" not in ids(await audited([{**limit, "container": "app"}]))


async def test_an_exception_that_names_no_check_is_a_finding() -> None:
    world = await audited([{"check": "LW999", "reason": "a slip of the pen"}])
    (said,) = [finding.message for finding in world.status.workloads[0].findings if finding.id == "LW905"]
    assert said == "spec.audit.ignore: LW999 is not a check; leakwarden checks lists them"


async def test_an_exception_waives_no_guard() -> None:
    """Evicting a pod that is killed at once drops requests, whether or not people accepted the finding."""
    world = World()
    world.spec["audit"] = {"ignore": [ACCEPTED]}
    (only,) = world.cluster.world.workloads.values()
    changed = replace(only, termination_grace=0)
    world.cluster.world = replace(world.cluster.world, workloads={only.uid: changed})
    await world.engine.tick()
    assert world.changes() == []
    skipped = world.status.workloads[0].skipped
    assert skipped is not None
    assert skipped.reasons == ["DropsRequests"]
