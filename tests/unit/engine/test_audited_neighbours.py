"""The use that the operator's audit makes of the other objects of its targets, and its messages where they were not
read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from leakwarden.api.names import IGNORE_ANNOTATION
from leakwarden.core.audit.findings import Finding, Severity
from leakwarden.core.audit.neighbours import Neighbours
from leakwarden.core.audit.policy_report import ReportedObject
from leakwarden.core.audit.related import Budget, Identity, Measure, Scaler, Service, ServicePort
from leakwarden.core.model.labels import LabelSelector
from leakwarden.core.model.workload import Container
from leakwarden.engine.auditor import Auditor
from tests.unit.engine.engine_world import World

LABELS = {"app": "api"}


@dataclass
class Read:
    """The last reading."""

    held: Neighbours | None

    def latest(self) -> Neighbours | None:
        return self.held


@dataclass
class Kept:
    """The last content of the reports."""

    trouble: str = ""
    wanted: list[ReportedObject] = field(default_factory=list)

    def want(self, objects: Iterable[ReportedObject]) -> None:
        self.wanted = list(objects)


async def audited(held: Neighbours | None, reports: Kept | None = None, **changes: object) -> World:
    """A tick after which the one Deployment is audited together with the read objects."""
    world = World()
    (only,) = world.cluster.world.workloads.values()
    pods = replace(only.pods, labels=LABELS)
    changed = replace(only, pods=pods, containers=(Container("app", ports=(("http", 8080),)),), **changes)  # type: ignore[arg-type]
    world.cluster.world = replace(world.cluster.world, workloads={only.uid: changed})
    world.engine.auditor = Auditor(None, Read(held), reports)
    await world.engine.tick()
    return world


def ids(world: World) -> set[str]:
    return {finding.id for finding in world.status.workloads[0].findings}


def target(world: World) -> tuple[str, str]:
    (only,) = world.cluster.world.workloads.values()
    return only.namespace, only.name


SPACE, NAME = target(World())
SERVICE = Service(Identity("Service", SPACE, "api"), LABELS, (ServicePort("web", 80, "https"),))
BLOCKING = Budget(Identity("PodDisruptionBudget", SPACE, "api"), LabelSelector((("app", "api"),)), max_unavailable=0)
SCALER = Scaler(
    Identity("HorizontalPodAutoscaler", SPACE, "api"), "Deployment", NAME, minimum=1, measures=(Measure("cpu"),)
)


async def test_what_stands_beside_a_target_is_held_against_it() -> None:
    world = await audited(Neighbours(budgets=(BLOCKING,), scalers=(SCALER,), services=(SERVICE,)))
    assert ids(world) >= {"LW402", "LW413", "LW501"}


async def test_of_another_namespace_nothing_is() -> None:
    apart = replace(SERVICE, identity=replace(SERVICE.identity, namespace="elsewhere"))
    assert "LW501" not in ids(await audited(Neighbours(services=(apart,))))


async def test_a_missing_budget_is_a_finding_only_where_budgets_were_read() -> None:
    assert "LW401" in ids(await audited(Neighbours()))
    denied = {"PodDisruptionBudget": "may not be read (the right to list them is missing)"}
    assert "LW401" not in ids(await audited(Neighbours(unread=denied)))


async def test_what_could_not_be_read_stands_in_the_status_by_reason() -> None:
    why = "may not be read (the right to list them is missing)"
    world = await audited(Neighbours(unread={"Service": why, "Ingress": why}))
    assert f"audit: Services, Ingresses {why}" in world.status.notes


async def test_before_the_first_reading_the_status_says_that_nothing_was_read() -> None:
    world = await audited(None)
    assert any(note.startswith("audit: what stands beside workloads") for note in world.status.notes)


async def test_where_all_was_read_nothing_is_said_of_it() -> None:
    assert not [note for note in (await audited(Neighbours())).status.notes if note.startswith("audit:")]


async def test_reports_get_every_target_and_their_trouble_stands_in_the_status() -> None:
    kept = Kept(trouble="no reports are written: the cluster serves neither")
    world = await audited(Neighbours(services=(SERVICE,)), kept)
    assert [each.identity for each in kept.wanted] == [Identity("Deployment", SPACE, NAME)]
    assert "LW501" in {finding.id for finding in kept.wanted[0].findings}
    assert any("no reports are written" in note for note in world.status.notes)


async def test_a_reading_that_a_defect_cannot_relate_costs_only_what_needs_it() -> None:
    broken = Neighbours(services=(replace(SERVICE, identity=None),))  # type: ignore[arg-type]
    world = await audited(broken)
    assert "LW101" in ids(world)
    assert any("by a defect" in note for note in world.status.notes)


async def test_what_was_found_in_the_manifest_as_it_is_written_is_in_the_status_and_can_be_excepted() -> None:
    written = (Finding("PostStartBlocks", Severity.WARNING, "app", "postStart asks", "none", id="LW212"),)
    assert "LW212" in ids(await audited(Neighbours(), written=written))
    excepted = {IGNORE_ANNOTATION: "LW212: the program listens before it forks"}
    assert "LW212" not in ids(await audited(Neighbours(), written=written, annotations=excepted))
