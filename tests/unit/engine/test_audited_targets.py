"""What the operator's own audit writes into a policy's status."""

from __future__ import annotations

from dataclasses import replace

from leakwarden.core.model.workload import Workload
from tests.unit.engine.engine_world import World


async def audited(**changes: object) -> World:
    """A tick after which the Deployment, changed so, is audited."""
    world = World(spec={})
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
    (said,) = [condition.message for condition in world.status.conditions if condition.type == "Compliant"]
    assert "api: LW" in said
