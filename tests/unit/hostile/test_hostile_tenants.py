"""For everything that a tenant can write within the schema, the leaks of a well-behaved one are acted on, within its
budgets.

What is broken on purpose is found: kinds of bugs that once let one tenant stop or steer the others are put back below, and a
draw is found in which the well-behaved tenant is not served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from leakwarden.core.guards import budgets
from leakwarden.core.guards.silences import Matcher
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.planning import planning
from leakwarden.core.records.action_counts import Ledger, last_burst
from leakwarden.core.records.place import Places
from leakwarden.engine import executor, publisher, reader, tick
from leakwarden.engine import report_keeper as keeper
from leakwarden.engine.defects import Defects
from leakwarden.engine.ports import ClusterUnavailable, Outcome
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_keeper import ReportKeeper
from tests.builders import NOW
from tests.unit.hostile.world import GOOD, HOSTILE, HostileWorld, Hostility

pytestmark = pytest.mark.slow

DURATIONS = st.sampled_from(["0s", "1ms", "1m", "10m", "24h", "1d", "99999999h", "9999999999h", "4w"])
QUERIES = st.sampled_from([
    "x", "+".join(["a"] * 256), "^".join(["a"] * 512), "max by (pod) (max_over_time(x[5m:1m] offset 200000000y))",
    "x offset 3000000y", "sum(x)", "x{" + ",".join(['a=~"\\\\w{99}"'] * 60) + "}", "(" * 900 + "x" + ")" * 900,
    'x{namespace="shop"}', 'process_open_fds{pod="api-0-uid-1"}', "x or y{", "info(x)", "\x00", "1 + x > 0",
    'label_replace(x, "pod", "api-0-uid-2", "", "")', "x * on () group_left (pod) y", "-" * 60 + "x",
])  # fmt: skip
ABOVE = st.sampled_from(["80%", "0.001%", "1", 1, 0, "999999999999999T", 999_999_999_999_999, "0"])
LABELS = st.dictionaries(
    st.sampled_from(["severity", "app.kubernetes.io/name", "a-b", "", "__name__", "namespace", "alertstate", "é"]),
    st.sampled_from(["", "shop", 'x"}', "\\", "\n"]), max_size=3,
)  # fmt: skip
THRESHOLD = st.fixed_dictionaries({"above": ABOVE}, optional={"for": DURATIONS})
SIGNALS = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["Descriptors", "Heap", "Goroutines", "DBPool", "Sockets"])},
                          optional={"threshold": THRESHOLD}),
    st.fixed_dictionaries({"type": st.just("PromQL"), "query": QUERIES, "threshold": THRESHOLD}),
    st.fixed_dictionaries({"type": st.just("PromQL"), "query": QUERIES, "limitQuery": QUERIES}),
    st.fixed_dictionaries({"type": st.just("Alert"), "alert": st.fixed_dictionaries({"name": st.just("Slow"), "labels": LABELS})}),
)  # fmt: skip
REMEDIATION = st.fixed_dictionaries({}, optional={
    "cooldown": DURATIONS, "podCooldown": DURATIONS, "warmUp": DURATIONS,
    "circuitBreaker": st.fixed_dictionaries({"failures": st.just(1), "sleepWindow": DURATIONS}),
    "verification": st.fixed_dictionaries({"settle": st.just("1m"), "timeout": DURATIONS}),
    "actions": st.sampled_from([[{"type": "EvictPod"}], [{"type": "RolloutRestart"}], [{"type": "Escalate"}],
                                [{"type": "ScaleOut", "maxReplicas": 1000, "timeToLive": "7d"}]]),
    "budget": st.just({"maxUnavailable": 1000, "minReady": 0, "actions": 100}),
})  # fmt: skip
VETOES = st.lists(QUERIES, max_size=3).map(
    lambda queries: [{"name": f"v{n}", "query": query} for n, query in enumerate(queries)]
)


@st.composite
def specs(draw: st.DrawFn, /, **fixed: Any) -> dict[str, Any]:
    signals = draw(st.lists(SIGNALS, min_size=1, max_size=3))
    spec = {
        "selector": {"matchLabels": {"team": "shop"}},
        "mode": draw(st.sampled_from(["Observe", "Enforce"])),
        "signals": [{"name": f"s{n}", **signal} for n, signal in enumerate(signals)],
        "remediation": draw(REMEDIATION),
        "vetoes": draw(VETOES),
        "source": draw(st.fixed_dictionaries({}, optional={"maxAge": DURATIONS, "refill": DURATIONS})),
        "suspend": draw(st.booleans()),
        "respectSilences": draw(st.booleans()),
    }
    return {**spec, **fixed}


# The objects of the well-behaved tenant that a forged report may name.
_UIDS = {
    "policy": ["uid-policy-shop-main", f"uid-policy-{HOSTILE}-0", "uid-nobody"],
    "workload": ["uid-shop-api-0", f"uid-{HOSTILE}-api-0", "uid-nobody"],
    "pod": [f"uid-{n}" for n in range(1, 6)],
}
_TIMES = st.sampled_from([NOW + shift for shift in (-7200, -600, -60, 0, 600, 1e6, 1e12)]).map(format_time)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "id": draw(st.sampled_from(["a", "b", "c"])),
        "type": draw(st.sampled_from(["EvictPod", "ScaleOut", "RolloutRestart", "Escalate", "Other"])),
        "workload": "api-0", "workloadUID": draw(st.sampled_from(_UIDS["workload"])),
        "pod": "p", "podUID": draw(st.sampled_from(_UIDS["pod"])),
        "phase": draw(st.sampled_from(["Pending", "Done", "Blocked", "Failed", "Interrupted"])),
        "result": draw(st.sampled_from([None, "Verifying", "Effective", "Ineffective", "Inconclusive"])),
        "intendedAt": draw(_TIMES), "replicasBefore": 0, "replicasAfter": 3, "returnAt": draw(_TIMES),
        "message": "\x1b[2J" * 3,
    }  # fmt: skip


# An action on the well-behaved tenant's Deployment, decided in a future that its cooldown never reaches.
NEVER_COOL = {
    "id": "f", "type": "EvictPod", "workload": "api-0", "workloadUID": "uid-shop-api-0", "phase": "Done",
    "result": "Effective", "intendedAt": format_time(NOW + 1e6),
}  # fmt: skip


def _of_its_own_hour_after_hour() -> tuple[dict[str, Any], ...]:
    """Reports of its own Deployment that hold more actions than the cluster may have in an hour, for hours to come."""
    named = {"policy": "uid-nobody", "workload": f"uid-{HOSTILE}-api-0", "pod": "uid-gone"}
    spec = {kind: {"name": "api-0", "uid": uid} for kind, uid in named.items()}
    done = {"workload": "api-0", "workloadUID": named["workload"], "type": "EvictPod", "phase": "Done",
            "result": "Effective", "intendedAt": format_time(NOW + 7200)}  # fmt: skip
    return tuple(
        {
            "spec": {**spec, "signal": "d", "signalType": "Descriptors", "detectedAt": format_time(NOW)},
            "status": {"phase": "Effective", "actions": [{**done, "id": f"{n}-{m}"} for m in range(8)]},
        }
        for n in range(4)
    )


@st.composite
def reports(draw: st.DrawFn) -> dict[str, Any]:
    named = {kind: {"name": "api-0", "uid": draw(st.sampled_from(uids))} for kind, uids in _UIDS.items()}
    status = {
        "phase": draw(
            st.sampled_from(["Detected", "Acting", "Verifying", "Effective", "Ineffective", "Escalated", ""])
        ),
        "exhaustingAt": draw(_TIMES),
        "actions": draw(st.lists(records(), max_size=8)),
    }
    return {
        "spec": {**named, "signal": "descriptors", "signalType": "Descriptors", "detectedAt": draw(_TIMES)},
        "status": status,
    }


MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["namespace", "deployment", "pod", "alertname", "severity"]),
    st.sampled_from([HOSTILE, "([a-z0-9]+-?)+-worker", "(a*)*b", "[", "(?=x)", "api-0-uid-99", "x{1000}{1000}"]),
    is_regex=st.booleans(),
).filter(lambda each: not (each.is_regex and each.value in ("[", "(?=x)", "x{1000}{1000}")))
MINES = ("", "evaluate", "plan", "advance", "report", "status", "execute", "read")  # see STEPS


@st.composite
def hostilities(draw: st.DrawFn, /, **fixed: Any) -> Hostility:
    made: dict[str, Any] = {
        "policies": tuple(draw(st.lists(specs(), max_size=3))),
        "older": draw(st.booleans()),
        "deployments": draw(st.sampled_from([0, 1, 1, 2, 12])),
        "reports": tuple(draw(st.lists(reports(), max_size=4))),
        "annotations": draw(st.sampled_from([{}, {"leakwarden.dev/skip": "x" * 200_000}, {"leakwarden.dev/skip": "\x1b[2J"}])),
        "said_done": tuple(draw(st.lists(records(), max_size=3))),
        "attempt": draw(st.sampled_from([*(str(each) for each in Outcome), "raises"])),
        "protected": draw(st.sampled_from(["", "karpenter.sh/do-not-disrupt: true"])),
        "refusal": draw(st.sampled_from(["", "forbidden", "fails"])),
        "answer": draw(st.sampled_from(["full", "failed", "none"])),
        "series": draw(st.sampled_from([0, 3])),
        "vetoes_answer": draw(st.sampled_from([True, True, False])),
        "silences": tuple(draw(st.lists(MATCHERS, max_size=2))),
        "mine": draw(st.sampled_from(MINES)),
    }  # fmt: skip
    return Hostility(**{**made, **fixed})


def lived(hostility: Hostility) -> list[str]:
    """The harm to the well-behaved tenant, in words."""
    world = HostileWorld(hostility)
    full = next(member.uid for member in world.good.members if member.mood == "exhausting")
    with mined(hostility.mine):
        try:
            asyncio.run(world.days())
        except TimeoutError:
            return ["late: a tick took longer than all vetoes may"]
        except Exception as error:
            return [f"tick: it raised {type(error).__name__}: {error}"]
    wrong = list(world.violations)
    mine = [(kind, uid) for namespace, kind, uid in world.touched if namespace == GOOD]
    if mine != [("EvictPod", full)]:
        wrong.append(f"served: done to {GOOD} was {mine}, to be done was to evict {full}")
    if world.condition("Ready") != ("True", "Reconciled"):
        wrong.append(f"ready: {world.condition('Ready')}")
    return wrong


def of_policy(policy: Any, *_: Any, **__: Any) -> bool:
    return isinstance(policy, Policy) and policy.namespace == HOSTILE


# Step of the tick -> the function that fails, and for what.
STEPS: dict[str, tuple[ModuleType, str, Callable[..., bool]]] = {
    "evaluate": (tick, "evaluate", of_policy),
    "plan": (planning, "_decide", of_policy),
    "advance": (keeper, "advance", lambda report, _: report.namespace == HOSTILE),
    "report": (keeper, "identity", of_policy),
    "status": (publisher, "build_status", lambda each, *_: of_policy(each.policy)),
    "execute": (executor, "ask_again", lambda each, *_: of_policy(each.candidate.policy)),
    "read": (reader, "wanted", of_policy),
}


@contextmanager
def mined(step: str) -> Iterator[None]:
    """A defect of ours that every policy, report or query of the hostile tenant triggers at one step of the tick."""

    def exploding(function: Callable[..., Any], hits: Callable[..., bool]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if hits(*args, **kwargs):
                raise KeyError(HOSTILE)
            return function(*args, **kwargs)

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        if step:
            module, name, hits = STEPS[step]
            patch.setattr(module, name, exploding(getattr(module, name), hits))
        yield


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(hostilities())
def test_whatever_a_tenant_writes_the_others_are_served_within_their_budgets(hostility: Hostility) -> None:
    assert lived(hostility) == []


@pytest.mark.parametrize("step", [step for step in MINES if step])
def test_a_defect_at_any_step_costs_its_own_policy_which_says_since_when(step: str) -> None:
    enforcing = {"selector": {"matchLabels": {"team": "shop"}}, "mode": "Enforce",
                 "signals": [{"name": "d", "type": "Descriptors", "threshold": {"above": "80%", "for": "1m"}}]}  # fmt: skip
    hostility = Hostility(policies=(enforcing,), mine=step)
    assert lived(hostility) == []
    world = HostileWorld(hostility)
    with mined(step):
        for _ in range(8):  # its turn may come after the other tenant's
            asyncio.run(world.days(1))
            if world.engine.defects.count:
                break
        assert world.condition("Ready", HOSTILE) == ("False", "Defect")
        assert world.condition("Stalled", HOSTILE) == ("True", "Defect")
        told = next(p for p in world.policies.all() if p.namespace == HOSTILE).status.conditions[0].message
        assert "since 20" in told
    asyncio.run(world.days(1))
    assert world.condition("Ready", HOSTILE) == ("True", "Reconciled"), "and it ends with the defect"


# The other direction: defects made on purpose are found.

SEARCH = settings(
    max_examples=40, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    deadline=None,
)  # fmt: skip


def searched(rule: str, where: st.SearchStrategy[Hostility]) -> Hostility | None:
    """A draw in which that harm occurs."""
    try:
        return find(where, lambda each: any(said.startswith(f"{rule}:") for said in lived(each)), settings=SEARCH)
    except NoSuchExample:
        return None


def _nothing_is_contained(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def through(*_: Any, **__: Any) -> Iterator[None]:
        yield

    patch.setattr(Defects, "contained", through)


def _a_report_that_cannot_be_written_is_everybodys_trouble(patch: pytest.MonkeyPatch) -> None:
    def refuse(self: ReportKeeper, drafts: ReportDrafts, namespace: str, error: ClusterUnavailable) -> None:
        drafts.trouble = str(error)

    patch.setattr(ReportKeeper, "_refuse", refuse)


def _a_storm_counts_whoever_makes_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        budgets, "last_burst", lambda times, count, window, of_one: last_burst(times, count, window, of_one=count)
    )
    patch.setattr(Policy, "looks_on", False)


def _records_count_wherever_they_stand(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Places, "foreign", lambda *_: "")
    patch.setattr(Places, "counted", lambda _, report: report)


def _the_status_of_a_policy_counts_for_every_namespace(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Places, "of_policy", lambda _, records, policy: list(records))


def _one_namespace_takes_as_much_of_the_clusters_budget_as_it_likes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "used_anywhere", lambda self, since, of_one: sum(each.at >= since for each in self._entries))


CALM = {"mine": "", "vetoes_answer": True, "silences": (), "refusal": "", "annotations": {}, "reports": (), "said_done": (),
        "attempt": "Done", "protected": ""}  # fmt: skip
ACTING = {"mode": "Enforce", "suspend": False, "vetoes": [], "respectSilences": False, "source": {},
          "signals": [{"name": "d", "type": "Descriptors", "threshold": {"above": "1", "for": "1m"}}]}  # fmt: skip

BROKEN: list[tuple[Callable[[pytest.MonkeyPatch], None], str, st.SearchStrategy[Hostility]]] = [
    (_nothing_is_contained, "tick", hostilities()),
    (
        _a_report_that_cannot_be_written_is_everybodys_trouble, "served",
        hostilities(**{**CALM, "refusal": "fails", "policies": (dict(ACTING, selector={"matchLabels": {"team": "shop"}}),)}),
    ),
    (
        _a_storm_counts_whoever_makes_it, "served",
        hostilities(**{**CALM, "deployments": 12, "policies": (
            {**ACTING, "mode": "Observe", "selector": {"matchLabels": {"team": "shop"}}},)}),
    ),
    (
        _records_count_wherever_they_stand, "served",
        hostilities(**{k: v for k, v in CALM.items() if k != "reports"}, policies=()),
    ),
    (
        _the_status_of_a_policy_counts_for_every_namespace, "served",
        hostilities(**{**CALM, "said_done": (NEVER_COOL,),
                       "policies": ({**ACTING, "selector": {"matchLabels": {"team": "nobody"}}},)}),
    ),
    (
        _one_namespace_takes_as_much_of_the_clusters_budget_as_it_likes, "served",
        hostilities(**{**CALM, "policies": (), "reports": _of_its_own_hour_after_hour()}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "rule", "where"), BROKEN, ids=[each[0].__name__.strip("_") for each in BROKEN])
def test_a_bug_that_is_put_back_is_found(
    break_it: Callable[[pytest.MonkeyPatch], None],
    rule: str,
    where: st.SearchStrategy[Hostility],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_it(monkeypatch)
    found = searched(rule, where)
    assert found is not None
    monkeypatch.undo()
    assert lived(found) == []
