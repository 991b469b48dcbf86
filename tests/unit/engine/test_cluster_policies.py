"""A ClusterReliabilityPolicy acts where the namespace allows it and nowhere else, and it says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from leakwarden.adapters.telemetry import EngineCollector
from leakwarden.api.names import CLUSTER_POLICY_LABEL, ENFORCE_LABEL, POLICY_LABEL
from leakwarden.core.model.cluster_policy import ASKED_NAMESPACES, ClusterPolicy
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.namespace import Namespace
from leakwarden.core.promql import Confined, Question, ask
from leakwarden.engine.ports import ClusterUnavailable
from tests.builders import DESCRIPTORS, NOW, enforcing
from tests.unit.engine.cluster_policy_world import ALLOWED, ClusterWorld, cluster_body, deployment, namespace

THREE: dict[str, dict[str, str]] = {"bank": ALLOWED, "mill": {}, "shop": ALLOWED}


async def run(world: ClusterWorld, ticks: int = 3) -> None:
    for _ in range(ticks):
        await world.later()


async def test_it_acts_where_the_label_allows_it_and_only_observes_elsewhere() -> None:
    world = ClusterWorld({"bank": ALLOWED, "mill": {}})
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]
    places = {each.name: each for each in world.shown().status.namespaces}
    assert (places["bank"].mode, places["bank"].bound) == ("Enforce", "")
    assert places["mill"].mode == "Observe"
    assert "does not have the label leakwarden.dev/enforce: allowed" in places["mill"].bound
    counts = world.shown().status.namespace_counts
    assert (counts.selected, counts.enforcing, counts.observing, counts.leaking) == (2, 1, 1, 2)
    assert "in 1 it only observes" in world.condition("Ready")[2]
    (skipped,) = [each.skipped for each in world.status("mill").workloads]
    assert skipped is not None
    assert skipped.reasons[0] == "Observing"
    assert "leakwarden.dev/enforce" in skipped.message


async def test_the_owners_of_a_workload_are_told_why_nothing_is_done() -> None:
    world = ClusterWorld({"mill": {}})
    await run(world)
    (note,) = world.recorder.notes("WouldAct")
    assert note == "the namespace does not have the label leakwarden.dev/enforce: allowed: would EvictPod api-1"


@pytest.mark.parametrize("value", ["", "true", "Allowed", "denied", "allowed "])
async def test_only_the_very_value_of_the_label_allows_it(value: str) -> None:
    world = ClusterWorld({"bank": {ENFORCE_LABEL: value}})
    await run(world)
    assert not list(world.changed())


async def test_a_policy_of_the_namespace_comes_first_although_it_is_younger() -> None:
    world = ClusterWorld({"bank": ALLOWED, "shop": ALLOWED})
    world.own_policy("shop", spec={"mode": "Observe", "signals": [DESCRIPTORS]})
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]
    place = next(each for each in world.shown().status.namespaces if each.name == "shop")
    assert place.ready == "True", "what a namespace takes for itself is no fault"
    assert "left to policies of the namespace: api (own)" in place.message
    (report,) = [each for each in world.cluster.stored.values() if each.namespace == "shop"]
    assert (report.spec.policy.kind, report.spec.policy.name) == ("ReliabilityPolicy", "own")


async def test_with_two_policies_of_the_cluster_the_older_acts() -> None:
    younger = cluster_body("younger", metadata={"creationTimestamp": "2026-09-21T00:00:00Z"})
    world = ClusterWorld({"bank": ALLOWED}, younger, cluster_body("older"))
    await run(world)
    (report,) = world.cluster.stored.values()
    assert report.spec.policy.title == "ClusterReliabilityPolicy/older"
    place = world.shown("younger").status.namespaces[0]
    assert (place.ready, place.reason) == ("False", "Conflicted")
    assert world.condition("Ready", "younger")[:2] == ("True", "NamespacesNotReady")


async def test_its_reports_name_the_kind_and_carry_a_label_of_their_own() -> None:
    labels: list[dict[str, str]] = []
    world = ClusterWorld({"bank": ALLOWED})
    create = world.cluster.create_report

    async def remembering(home: str, name: str, given: dict[str, str], spec: dict[str, Any]) -> LeakReport:
        labels.append(given)
        return await create(home, name, given, spec)

    world.cluster.create_report = remembering  # type: ignore[assignment, method-assign]
    await run(world)
    (report,) = world.cluster.stored.values()
    assert report.spec.policy.kind == "ClusterReliabilityPolicy"
    assert report.spec.policy.uid == world.policy("bank").uid
    assert len(report.spec.policy.uid) <= 64
    assert labels[0][CLUSTER_POLICY_LABEL] == "golden"
    assert POLICY_LABEL not in labels[0]


async def test_a_label_that_is_lost_between_judging_and_acting_stops_the_action() -> None:
    """The watch has not shown it yet: the namespace is read again right before the change."""
    world = ClusterWorld({"bank": ALLOWED})
    world.label("bank", {}, seen=False)
    await run(world)
    assert not list(world.changed())
    (skipped,) = [each.skipped for each in world.status("bank").workloads]
    assert skipped is not None
    assert "does not have the label" in skipped.message


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (None, "the namespace is gone"),
        (namespace("bank", ALLOWED, uid="uid-another"), "another one has its name"),
        (namespace("bank", ALLOWED, terminating=True), "being deleted"),
    ],
    ids=["gone", "another", "terminating"],
)
async def test_a_namespace_that_is_deleted_meanwhile_is_left_alone(now: Namespace | None, says: str) -> None:
    world = ClusterWorld({"bank": ALLOWED})
    world.cluster.namespaces = {} if now is None else {"bank": now}
    await run(world)
    assert not list(world.changed())
    (skipped,) = [each.skipped for each in world.status("bank").workloads]
    assert skipped is not None
    assert says in skipped.message


async def test_a_namespace_that_is_selected_no_more_is_left_alone() -> None:
    golden = cluster_body(spec={"namespaces": {"matchLabels": {"tier": "gold"}}})
    world = ClusterWorld({"bank": {**ALLOWED, "tier": "gold"}}, golden)
    world.label("bank", ALLOWED, seen=False)
    await run(world)
    assert not list(world.changed())
    (skipped,) = [each.skipped for each in world.status("bank").workloads]
    assert skipped is not None
    assert "does not select the namespace any more" in skipped.message


async def test_nothing_is_done_where_the_namespace_cannot_be_read_again() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    world.cluster.namespaces = ClusterUnavailable("the API server answered 500")
    await run(world)
    assert not list(world.changed())


async def test_nothing_is_done_while_the_labels_of_namespaces_are_not_known() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    world.policies.clusters.unsure = lambda: "the operator's account may not list namespaces (403)"
    await run(world)
    assert not list(world.changed())
    assert world.condition("Ready")[:2] == ("False", "ClusterNotSynced")
    assert "may not list namespaces (403)" in world.condition("Ready")[2]
    world.policies.clusters.unsure = lambda: ""
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]
    assert world.condition("Ready")[:2] == ("True", "Reconciled")


async def test_a_label_that_comes_later_lets_it_act_and_one_that_goes_stops_it() -> None:
    world = ClusterWorld({"bank": {}, "shop": ALLOWED})
    await run(world)
    assert world.evicted() == ["uid-shop-api-1"]
    world.label("shop", {})
    world.label("bank", ALLOWED)
    await run(world, 40)
    assert set(world.evicted()) == {"uid-shop-api-1", "uid-bank-api-1"}
    assert world.evicted().count("uid-shop-api-1") == 1


async def test_a_mistyped_policy_costs_only_itself() -> None:
    broken = cluster_body(
        "broken", spec={"signals": [{"name": "q", "type": "PromQL", "query": "x{", "threshold": {"above": "1"}}]}
    )
    broken["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    broken["spec"]["selector"] = {"matchLabels": {"team": "other"}}
    world = ClusterWorld({"bank": ALLOWED}, broken, cluster_body())
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]
    assert world.condition("Ready", "broken")[:2] == ("False", "InvalidSpec")
    assert "spec.signals[0].query" in world.condition("Ready", "broken")[2]
    assert world.condition("Stalled", "broken")[1] == "InvalidSpec"


async def test_one_whose_selector_cannot_be_read_keeps_nothing_from_others() -> None:
    broken = cluster_body("broken", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
    broken["spec"]["selector"] = {"matchLabels": 1}
    world = ClusterWorld({"bank": ALLOWED}, broken, cluster_body())
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]


async def test_a_typing_error_hands_no_workload_to_a_younger_policy() -> None:
    older = cluster_body("older", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
    older["spec"]["mode"] = "Observe"
    world = ClusterWorld({"bank": ALLOWED}, older, cluster_body())
    await run(world)
    broken = {**older, "metadata": {**older["metadata"], "generation": 2}, "spec": {**older["spec"], "signals": 1}}
    world.policies.clusters.put(broken)
    await run(world)
    assert not list(world.changed())
    assert world.condition("Ready", "older")[:2] == ("False", "InvalidSpec")


async def test_a_tenants_many_policies_do_not_push_it_out() -> None:
    """Policies of one namespace are limited in number; those of the cluster are not counted among them."""
    world = ClusterWorld({"bank": ALLOWED})
    for n in range(20):
        world.own_policy("bank", f"empty-{n}", spec={"selector": {"matchLabels": {"app": "nothing"}}})
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]


async def test_a_tenants_policy_of_the_same_name_confuses_neither_metrics_nor_reports() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    world.own_policy("bank", "golden", spec={"selector": {"matchLabels": {"app": "nothing"}}})
    await run(world)
    registry = CollectorRegistry()
    registry.register(EngineCollector(world.engine, list, lambda: True))
    page = generate_latest(registry).decode().splitlines()
    assert 'leakwarden_cluster_policy_namespaces{mode="Enforce",policy="golden"} 1.0' in page
    assert 'leakwarden_cluster_policies{valid="true"} 1.0' in page
    lines = [line for line in page if line.startswith("leakwarden_pods{")]
    assert lines
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines), "Prometheus refuses a page with duplicates"
    assert all('policy="ClusterReliabilityPolicy/golden"' in line for line in lines)
    assert world.evicted() == ["uid-bank-api-1"]


async def test_a_namespace_with_thousands_of_leaks_hides_no_other() -> None:
    world = ClusterWorld({"bank": {}, "mill": {}, "shop": {}})
    world.deployments += [deployment("bank", f"a{n:03}") for n in range(120)]
    await run(world)
    status = world.shown().status
    assert {each.namespace for each in status.workloads} == {"bank", "mill", "shop"}
    assert [each.namespace for each in status.workloads[:3]] == ["bank", "mill", "shop"]
    assert status.targets.workloads == 123
    assert len(status.workloads) == 20
    assert len(status.others) == 103


async def test_a_fault_in_one_namespace_does_not_make_the_policy_unready() -> None:
    world = ClusterWorld({"bank": ALLOWED, "mill": ALLOWED})
    create = world.cluster.create_report

    async def refusing(home: str, *arguments: Any) -> LeakReport:
        if home == "mill":
            raise ClusterUnavailable("exceeded quota: no-reports")
        return await create(home, *arguments)

    world.cluster.create_report = refusing  # type: ignore[assignment, method-assign]
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"]
    status, reason, message = world.condition("Ready")
    assert (status, reason) in {("True", "Reconciled"), ("True", "NamespacesNotReady")}
    assert not [each for each in world.shown().status.conditions if each.type == "Stalled"], message


async def test_a_restart_repeats_neither_the_action_nor_its_event() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    await run(world)
    told = world.recorder.reasons("Deployment").count("PodEvicted")
    assert told == 1
    assert world.recorder.reasons("ClusterReliabilityPolicy").count("PodEvicted") == 1
    world.now += 700
    world.restart()
    await run(world)
    assert world.evicted() == ["uid-bank-api-1"], "the cooldown is in the LeakReport"
    assert world.recorder.reasons("Deployment").count("PodEvicted") == 1
    assert world.shown().status.actions[0].namespace == "bank"


async def test_a_namespace_that_is_made_again_is_another_one() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    await world.policies.read()
    before = world.policy("bank").uid
    world.policies.clusters.put_namespace(namespace("bank", ALLOWED, uid="uid-second"))
    after = world.policy("bank").uid
    assert before != after
    assert world.policies.get(before) is None


async def test_it_follows_the_policy_as_it_is_changed_and_removed() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    await run(world, 1)
    changed = cluster_body(metadata={"generation": 2}, spec={"namespaces": {"names": ["mill"]}})
    world.policies.clusters.put(changed)
    await world.policies.read()
    assert world.policies.all() == []
    world.policies.clusters.put(cluster_body(metadata={"generation": 3}))
    await world.policies.read()
    assert [each.namespace for each in world.policies.all()] == ["bank"]
    world.policies.clusters.remove("uid-cluster-golden")
    assert world.policies.all() == []


async def test_one_that_is_removed_while_it_is_read_does_not_come_back() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    clusters = world.policies.clusters
    reads = clusters.reads

    def removing(body: Any) -> ClusterPolicy:
        clusters.remove("uid-cluster-golden")
        return reads(body)

    clusters.reads = removing
    await clusters.read()
    assert clusters.known() == []


async def test_only_the_oldest_twenty_are_in_force() -> None:
    many = [
        cluster_body(f"p{n:02}", metadata={"creationTimestamp": f"2026-01-01T00:00:{n:02}Z"}, spec={"mode": "Observe"})
        for n in range(21)
    ]
    world = ClusterWorld({"bank": ALLOWED}, *many)
    await run(world, 1)
    assert world.condition("Ready", "p20")[:2] == ("False", "LimitExceeded")
    assert world.condition("Ready", "p00")[:2] == ("True", "Reconciled")
    assert world.policy("bank", "p20").spec is None


OWN_QUERY = {"name": "q", "type": "PromQL", "query": "process_open_fds", "threshold": {"above": "900"}}


async def test_its_own_queries_are_confined_to_each_namespace_outside_of_the_event_loop() -> None:
    loop = asyncio.get_running_loop()
    asked: list[Question] = []

    def asks(question: Question) -> Confined:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        asked.append(question)
        return ask(question)

    world = ClusterWorld({"bank": ALLOWED, "shop": {}}, cluster_body(spec=enforcing(OWN_QUERY)))
    world.policies.clusters.asks = asks
    assert loop.is_running()
    await run(world, 2)
    assert sorted(each.namespace for each in asked) == ["bank", "shop"], "once, and not in every tick"
    held = {each.namespace: [confined.query for confined in each.confined.values()] for each in world.policies.all()}
    assert held == {
        "bank": ['process_open_fds{namespace="bank"}'],
        "shop": ['process_open_fds{namespace="shop"}'],
    }


async def test_a_query_of_its_own_is_sent_for_a_hundred_namespaces_and_the_rest_is_said() -> None:
    homes: dict[str, dict[str, str]] = {f"n{n:03}": {} for n in range(ASKED_NAMESPACES + 2)}
    world = ClusterWorld(homes, cluster_body(spec=enforcing(OWN_QUERY)))
    world.deployments = world.deployments[:1]
    await run(world, 1)
    late = world.policy("n101")
    assert late.over_limit
    assert "sent once a tick for each namespace" in late.error
    assert not world.policy("n000").over_limit
    counts = world.shown().status.namespace_counts
    assert (counts.selected, counts.not_ready) == (102, 2)
    assert "n100: LimitExceeded" in world.condition("Ready")[2]


async def test_a_tick_that_fails_is_said_by_the_policy_of_the_cluster() -> None:
    world = ClusterWorld({"bank": ALLOWED})
    await run(world, 1)
    await world.engine.fail(KeyError("x"))
    assert world.condition("Ready")[:2] == ("False", "Defect")
    await run(world, 1)
    assert world.condition("Ready")[0] == "True"


async def test_a_status_is_written_only_when_it_changes() -> None:
    world = ClusterWorld({"bank": {}, "shop": {}})
    await run(world, 4)
    written = len(world.cluster.statuses)
    await world.engine.tick()
    assert len(world.cluster.statuses) == written


async def test_a_status_stays_within_its_bounds_whatever_tenants_call_their_workloads() -> None:
    homes: dict[str, dict[str, str]] = {f"n{n:03}-{'x' * 55}": {} for n in range(30)}
    world = ClusterWorld(homes)
    world.deployments = [
        deployment(home, f"{'y' * 200}{n:02}", labels={"team": "shop"}) for home in homes for n in range(8)
    ]
    await run(world, 2)
    body = world.cluster.statuses[-1]
    assert len(str(body).encode()) < 600_000
    assert body["targets"]["workloads"] == 240


async def test_the_first_status_is_of_now() -> None:
    world = ClusterWorld(THREE)
    await run(world, 1)
    assert world.shown().status.observed_generation == 1
    assert [each.name for each in world.shown().status.namespaces] == ["bank", "mill", "shop"]
    assert world.now > NOW
