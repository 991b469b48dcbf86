"""No plan, and no row of plans tick after tick, breaks a limit: over random clusters, histories and clocks.

A story is drawn: a cluster, people's limits, and the events while the operator acts in it. The real engine runs through
it, and the oracle (`plan_oracle`) counts the requested changes. The second half breaks the operator on purpose, one
guard or one rule at a time, and demands that a story is found in which the oracle notices.

The operator's clock may be up to four hours off, either way, and jump between any two ticks: less than the day for
which records are kept under every policy (`core.retention.LEAST_MEMORY`). It may be off by months, too, which the view
of the cluster reports: then no action is taken, and no record is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from leakwarden.core import guards
from leakwarden.core.episodes import report_cap as crowding
from leakwarden.core.evaluation import evaluation
from leakwarden.core.guards import GUARDS, Situation
from leakwarden.core.model.policy import parse_time
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.planning import planning
from leakwarden.core.planning.planning import Decision
from leakwarden.engine import doubts, executor
from leakwarden.engine import report_keeper as episodes
from leakwarden.engine import tick as engine
from leakwarden.engine.report_drafts import ReportDrafts
from tests.unit.planning.plan_story import Rules, Step, Story
from tests.unit.planning.plan_world import SKEW, PlanWorld

pytestmark = pytest.mark.slow

MONTHS = 100 * 86_400  # s; longer than any record is kept

MOODS = ("exhausting", "calm", "leaking", "suspect", "blind", "holed")
EVENTS = (
    *MOODS, "exhausting", "exhausting", "fails", "serves", "restart", "opts out", "rolls out", "is scaled", "is applied",
    "silence", "veto", "view lost", "reports lost", "suspends", "observes", "pauses", "edits unseen",
)  # fmt: skip
FATES = ("done", "done", "done", "done", "blocked", "fails", "lost", "dies")

LADDERS = (
    ("EvictPod",), ("EvictPod",), ("ScaleOut", "EvictPod"), ("RolloutRestart",), ("EvictPod", "RolloutRestart"),
    ("EvictPod", "Escalate"), ("RolloutRestart", "ScaleOut", "EvictPod"),
)  # fmt: skip

# The values of each limit where it binds. Where it does not, it is so wide (`Rules`) that another one binds.
BINDING: dict[str, st.SearchStrategy[Any]] = {
    "cooldown": st.sampled_from([60, 600]),
    "pod_cooldown": st.sampled_from([600, 1800]),
    "warm_up": st.sampled_from([120, 600]),
    "refill": st.just(600),
    "max_unavailable": st.sampled_from([1, 1, 2, "25%", "50%"]),
    "min_ready": st.sampled_from([1, 2, 3]),
    "workload_actions": st.integers(1, 3),
    "failures": st.integers(1, 2),
    "verified_within": st.just(1200),
    "denied_hours": st.sampled_from([(12, 16), (0, 15), (14, 23)]),
    "evidence_required": st.just(True),
    "vetoed": st.just(True),
    "abrupt": st.just(True),
    "namespace_actions": st.integers(1, 3),
    "cluster_actions": st.integers(1, 4),
    "max_concurrent": st.just(1),
    "storm_actions": st.integers(2, 3),
    "quiet": st.sampled_from([60, 300]),
    "permitted": st.sampled_from([frozenset(), frozenset({"EvictPod"}), frozenset({"ScaleOut", "Escalate"})]),
    "max_replicas": st.integers(2, 4),
    "signal": st.just("DBPool"),
}

steps = st.builds(
    Step,
    seconds=st.sampled_from([15, 30, 30, 60, 120, 300, 900, 1800]),
    clock=st.just(0) | st.sampled_from([-SKEW, -900, -120, 120, 900, SKEW, -MONTHS, MONTHS]),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 11)), max_size=2).map(tuple),
    fate=st.sampled_from(FATES),
)
plain_steps = st.builds(Step, seconds=st.sampled_from([15, 30, 60, 120, 300]), fate=st.just("done"))


@st.composite
def rules(draw: st.DrawFn, binding: Sequence[str] | None = None) -> Rules:
    if binding is None:
        binding = draw(st.lists(st.sampled_from(sorted(BINDING)), max_size=6, unique=True))
    found = {name: draw(BINDING[name]) for name in binding}
    return replace(Rules(actions=draw(st.sampled_from(LADDERS))), **found)


OLDER_OBSERVES = (("main", "shop", 3600, False), ("older", "shop", 7200, True))
POLICIES = st.sampled_from([
    (("main", "shop", 3600, False), ("main", "bank", 3600, False)),
    (("main", "shop", 3600, False),),
    (("main", "shop", 3600, False), ("older", "shop", 7200, True), ("main", "bank", 3600, True)),
    (("main", "shop", 3600, False), ("younger", "shop", 60, False), ("main", "bank", 3600, False)),
])  # fmt: skip


@st.composite
def stories(draw: st.DrawFn, /, binding: Sequence[str] | None = None, simple: bool = False, **fixed: Any) -> Story:
    """`simple`: only time passes, so that the effect of a single limit shows in few steps."""
    found = draw(rules(binding))
    deployment = st.tuples(
        st.sampled_from(("shop", "shop", "bank")), st.sampled_from(("shop", "shop", "shop", "other")), st.integers(1, 5)
    )
    made: dict[str, Any] = {
        "rules": replace(found, **fixed.pop("rules", {})),
        "deployments": tuple(draw(st.lists(deployment, min_size=1, max_size=4))),
        "moods": tuple(draw(st.lists(st.sampled_from((*MOODS, *["exhausting"] * 6)), min_size=1, max_size=6))),
        "steps": tuple(draw(st.lists(plain_steps if simple else steps, min_size=4, max_size=14))),
        "successors": draw(st.sampled_from(("calm", "calm", "exhausting"))),
        "start_up": draw(st.sampled_from((5, 20, 90))),
        "policies": draw(POLICIES),
    }
    return Story(**{**made, **fixed})


def lived(story: Story) -> list[str]:
    return asyncio.run(PlanWorld(story).live())


@settings(max_examples=100, derandomize=True)
@given(stories())
def test_whatever_happens_no_limit_is_broken_and_nothing_is_touched_that_may_not_be(story: Story) -> None:
    assert lived(story) == []


@settings(max_examples=40, derandomize=True)
@given(stories(binding=("cooldown", "workload_actions", "namespace_actions", "cluster_actions", "max_concurrent",
                        "max_unavailable")))  # fmt: skip
def test_all_budgets_together_hold_whatever_the_clock_does(story: Story) -> None:
    assert lived(story) == []


@settings(max_examples=40, derandomize=True)
@given(stories(binding=("cooldown", "workload_actions", "cluster_actions", "max_concurrent")))
def test_no_budget_is_forgotten_with_the_reports_that_are_given_up_for_others(story: Story) -> None:
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(crowding, "OPEN_PER_WORKLOAD", 1)
        fewer.setattr(episodes, "OPEN_PER_WORKLOAD", 1)
        assert lived(story) == []


def acted(story: Story) -> set[str]:
    world = PlanWorld(story)
    assert asyncio.run(world.live()) == []
    return {request.kind for request in world.asked_for if request.changed}


@pytest.mark.parametrize("kind", ["EvictPod", "ScaleOut", "RolloutRestart"])
def test_the_stories_are_not_empty_each_action_is_taken_in_some(kind: str) -> None:
    found = find(stories(), lambda story: kind in acted(story), settings=SEARCH)
    assert found.steps


# The other direction: guards removed on purpose are found.

SEARCH = settings(
    max_examples=250, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck), deadline=None,
)  # fmt: skip

ALL_LEAK: dict[str, Any] = {"moods": ("exhausting",)}
ONE = {**ALL_LEAK, "deployments": (("shop", "shop", 4),)}
MANY = {**ALL_LEAK, "deployments": (("shop", "shop", 3), ("bank", "shop", 3), ("shop", "shop", 2))}


def searched(rule: str, story: st.SearchStrategy[Story]) -> Story | None:
    """A story in which the oracle says that the rule was broken."""
    try:
        return find(
            story, lambda each: any(said.startswith(f"{rule}:") for said in lived(each)), settings=SEARCH
        )  # fmt: skip
    except NoSuchExample:
        return None


def eventful(*events: str, **fixed: Any) -> st.SearchStrategy[Story]:
    """Stories in which hardly anything happens but the events named."""
    happening = st.builds(
        Step,
        seconds=st.sampled_from([15, 30, 60, 300]),
        events=st.lists(st.tuples(st.sampled_from(events), st.integers(0, 3)), max_size=1).map(tuple),
    )
    return stories((), steps=None, **fixed).flatmap(
        lambda story: st.lists(happening, min_size=3, max_size=6).map(lambda some: replace(story, steps=tuple(some)))
    )


def in_vain(story: Story) -> Story:
    """Every request fails, so that there is always an action due."""
    return replace(story, steps=tuple(replace(step, fate="fails") for step in story.steps))


def blocked(story: Story) -> Story:
    return replace(story, steps=tuple(replace(step, fate="blocked") for step in story.steps))


LADDER = {"actions": ("ScaleOut", "EvictPod")}
SCALES = {"actions": ("ScaleOut",)}
RESTARTS = {"actions": ("RolloutRestart",)}
EVICTS = {"actions": ("EvictPod",)}

# Guard -> the oracle's rule that notices its absence, and where to look.
WITHOUT: dict[str, tuple[str, st.SearchStrategy[Story]]] = {
    "suspended": ("suspended", eventful("suspends", **ONE)),
    "observing": ("observing", eventful("observes", **ONE)),
    "paused": ("paused", eventful("pauses", **ONE)),
    "conflicted": ("observing", stories((), simple=True, policies=OLDER_OBSERVES, **ONE)),
    "opted_out": ("opted out", eventful("opts out", **ONE)),
    "not_permitted": ("permitted", stories(("permitted",), simple=True, **ONE)),
    "outside_maintenance": ("maintenance", stories(("denied_hours",), simple=True, **ONE)),
    "vetoed": ("veto", eventful("veto", rules={"vetoed": True}, **ONE)),
    "silenced": ("silence", eventful("silence", **ONE)),
    "cluster_not_synced": ("view", eventful("view lost", **ONE).map(in_vain)),
    "quiet_after_start": ("quiet", eventful("restart", rules={"quiet": 300}, **ONE)),
    "refilling": ("hole", stories(("refill",), simple=True, moods=("holed",))),
    "warming_up": ("warm-up", stories(("warm_up",), simple=True, successors="exhausting", **ONE)),
    "rollout_in_progress": ("rollout", eventful("rolls out", **ONE)),
    "canary_pending": ("canary", stories(("verified_within",), simple=True, rules=EVICTS, start_up=90, **ONE)),
    "others_in_flight": ("concurrent", stories(("max_concurrent",), simple=True, **MANY)),
    "cooldown_active": ("cooldown", stories(("cooldown",), simple=True, rules=EVICTS, **ONE)),
    "pod_cooldown_active": ("pod cooldown", stories(("pod_cooldown",), simple=True, rules=LADDER, **ONE)),
    "circuit_open": ("circuit", stories(("failures",), simple=True, successors="exhausting", **ONE)),
    "evidence_missing": ("evidence", stories(("evidence_required",), simple=True, **ONE)),
    "records_unavailable": ("records", eventful("reports lost", **ONE).map(in_vain)),
    "budget_exhausted": ("max unavailable", stories(("max_unavailable",), simple=True, start_up=90, **ONE)),
    "below_min_ready": ("min ready", eventful("fails", rules={"min_ready": 3, **EVICTS}, **ONE)),
    "too_few_replicas": ("min ready", stories(("min_ready",), simple=True, deployments=(("shop", "shop", 1),), **ALL_LEAK)),
    "workload_budget": ("workload budget", stories(("workload_actions",), simple=True, rules=EVICTS, **ONE)),
    "namespace_budget": ("namespace budget", stories(("namespace_actions",), simple=True, **MANY)),
    "cluster_budget": ("cluster budget", stories(("cluster_actions",), simple=True, **MANY)),
    "storm_active": ("storm", stories(("storm_actions",), simple=True, **MANY)),
    "disruption_budget": ("disruption budget", stories((), simple=True, rules=EVICTS, **ONE).map(blocked)),
    "at_max_replicas": ("max replicas", stories(("max_replicas",), simple=True, rules=SCALES, **ONE)),
    "drops_requests": ("requests", stories(("abrupt",), simple=True, **ONE)),
    "worsens_leak": ("pool", stories(("signal",), simple=True, rules=SCALES, **ONE)),
    "replicas_owned": ("replicas owned", eventful("is scaled", "is applied", rules=SCALES, **ONE)),
    "template_owned": ("template owned", eventful("is applied", rules=RESTARTS, **ONE)),
}  # fmt: skip

# Guards whose absence breaks no limit, and why.
HARMLESS = {
    "pod_protected": "the pods of these stories carry no annotations; its own fixtures show it",
    "action_pending": "what a tick finds Pending it settles before it plans; it keeps two actions of one tick apart,"
    " which the cooldown does as well",
    "staggered": "it spreads a wave further than the cooldown asks for, and forbids nothing that a limit allows",
    "escalated": "calling a person changes nothing in the cluster",
    "unsupported_by_kind": "these stories have Deployments alone; tests/unit/guards/test_kinds.py shows it",
    "one_at_a_time": "these stories have Deployments alone; tests/unit/guards/test_kinds.py shows it",
}


def test_every_guard_is_either_missed_or_known_to_be_harmless() -> None:
    assert {guard.name for guard in GUARDS} == {*WITHOUT, *HARMLESS}


@pytest.mark.parametrize("name", WITHOUT)
def test_without_a_guard_a_story_is_found_that_breaks_its_limit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, where = WITHOUT[name]
    left = [guard for guard in GUARDS if guard.name != name]
    assert len(left) == len(GUARDS) - 1
    monkeypatch.setattr(guards, "GUARDS", left)
    story = searched(rule, where)
    assert story is not None, f"nobody noticed that {name} is gone"
    monkeypatch.undo()
    assert lived(story) == [], "with the guard the same story breaks nothing"


def _acts_on_any_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    truly = evaluation.evaluate_pod
    monkeypatch.setattr(
        evaluation, "evaluate_pod",
        lambda *each: (lambda found: replace(found, acting=found.deciding))(truly(*each)),
    )  # fmt: skip


def _looks_at_every_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def targets(policy: Any, snapshot: Snapshot) -> list[Any]:
        return [each for each in snapshot.workloads.values() if each.labels["team"] == "shop"]

    monkeypatch.setattr(evaluation, "targets", targets)


def _selects_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "selects", lambda *_: True)


def _plans_each_workload_as_if_it_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_planned(decision: Decision, snapshot: Snapshot, situation: Situation) -> Decision:
        return decision

    monkeypatch.setattr(planning, "_as_if_begun", lambda decision, situation: situation)
    monkeypatch.setattr(executor, "ask_again", as_planned)


def _believes_what_the_watch_last_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_doubt(*_: Any) -> str:
        return ""

    monkeypatch.setattr(doubts.Doubts, "of_policy", no_doubt)


def _forgets_at_every_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cooldowns in memory: records of before this process began count for nothing."""
    truly = engine.Engine._situation

    def recalled(self: engine.Engine, drafts: ReportDrafts, snapshot: Snapshot) -> Situation:
        found = truly(self, drafts, snapshot)
        began = found.surroundings.started
        kept = {
            uid: [record for record in records if parse_time(record.intended_at) >= began]
            for uid, records in found.records.items()
        }
        return replace(found, records=kept, reports=())

    monkeypatch.setattr(engine.Engine, "_situation", recalled)


BROKEN: list[tuple[Callable[[pytest.MonkeyPatch], None], str, st.SearchStrategy[Story]]] = [
    (_acts_on_any_verdict, "exhausting", stories((), simple=True)),
    (_looks_at_every_namespace, "namespace", stories((), simple=True, policies=(("main", "shop", 3600, False),), **MANY)),
    (_selects_everything, "selected", stories((), simple=True, moods=("exhausting",))),
    (_plans_each_workload_as_if_it_were_alone, "concurrent", stories(("max_concurrent",), simple=True, **MANY)),
    (_believes_what_the_watch_last_showed, "suspended", eventful("edits unseen", **ONE)),
    (_forgets_at_every_start, "cooldown", eventful("restart", rules={"cooldown": 600, **EVICTS}, **ONE)),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "rule", "where"), BROKEN, ids=[each[0].__name__.strip("_") for each in BROKEN])
def test_a_broken_rule_is_found(
    break_it: Callable[[pytest.MonkeyPatch], None], rule: str, where: st.SearchStrategy[Story],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    break_it(monkeypatch)
    story = searched(rule, where)
    assert story is not None
    monkeypatch.undo()
    assert lived(story) == []
