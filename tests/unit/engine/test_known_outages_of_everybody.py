"""Ways in which one tenant, or one defect, could stop or steer the operator for all others, each shown to be impossible here.
The numbers before these are in tests/unit/engine/test_known_outages.py and test_known_outages_of_tenants.py.

44  test_a_label_that_prometheus_does_not_have_stops_no_tick
45  test_a_time_beyond_the_calendar_stops_no_tick
46  test_readings_that_are_hours_apart_are_not_one_long_one
47  test_a_pod_with_thousands_of_series_hides_no_other_pod
48  test_a_namespace_that_refuses_records_holds_up_itself_only
49  test_an_action_that_is_never_verified_gives_its_slot_back
50  test_vetoes_that_are_never_answered_cost_one_deadline
51  test_a_query_of_five_hundred_characters_takes_neither_memory_nor_time
52  test_the_pattern_of_a_silence_freezes_nothing
53  test_what_only_observes_makes_no_storm_for_others
54  test_ticks_that_fail_do_not_leave_policies_ready
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

import pytest

from leakwarden.adapters.prometheus.parts import together
from leakwarden.api.v1alpha1.conditions import SkipReason
from leakwarden.core.guards.silences import Matcher
from leakwarden.core.model.policy import format_time, parse_policy
from leakwarden.core.model.readings import QueryFailed, Sampled
from leakwarden.core.promql import PromQLError, confine
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.engine.tick import Engine
from tests.builders import NOW, body, enforcing, points, sampled
from tests.unit.engine.engine_world import World
from tests.unit.hostile.world import GOOD, HOSTILE, HostileWorld, Hostility

SELECTING = {"selector": {"matchLabels": {"team": "shop"}}}
FULL = {"name": "d", "type": "Descriptors", "threshold": {"above": "1", "for": "1m"}}
ACTING = {**SELECTING, "mode": "Enforce", "signals": [FULL]}


def served(world: HostileWorld) -> list[str]:
    """The actions in the well-behaved tenant's namespace."""
    return [kind for namespace, kind, _ in world.touched if namespace == GOOD]


def test_a_label_that_prometheus_does_not_have_stops_no_tick() -> None:
    """44. `alert.labels: {"app.kubernetes.io/name": checkout}` in one policy failed every tick of all tenants (seen on a
    cluster)."""
    alert = {"name": "a", "type": "Alert", "alert": {"name": "Slow", "labels": {"app.kubernetes.io/name": "checkout"}}}
    read = parse_policy(body(spec={"signals": [alert]}))
    assert read.spec is None
    assert "spec.signals[0].alert.labels" in read.error
    with pytest.raises(PromQLError):
        confine('x{"app.kubernetes.io/name"="checkout"}', "shop")


def test_a_time_beyond_the_calendar_stops_no_tick() -> None:
    """45. `sleepWindow: 99999999h` failed every tick once that circuit had opened (seen in a replay)."""
    breaker = {"circuitBreaker": {"sleepWindow": "99999999h"}}
    assert "must be from 0s to 30d" in parse_policy(body(spec=enforcing(**breaker))).error
    assert format_time(NOW + 99_999_999 * 3600) == "9999-12-31T23:59:59Z"


async def test_readings_that_are_hours_apart_are_not_one_long_one() -> None:
    """46. With `maxAge: 24h` two readings 13 hours apart were "above 800 for 13h" (seen in a replay)."""
    assert "must be from 0s to 15m" in parse_policy(body(spec={"source": {"maxAge": "24h"}})).error
    world = World(spec={**enforcing(), "source": {"maxAge": "15m"}})
    world.metrics.answer = sampled({"api-1": points([950.0, 950.0], every=13 * 3600.0)})
    await world.engine.tick()
    assert world.changes() == []


def test_a_pod_with_thousands_of_series_hides_no_other_pod() -> None:
    """47. 15,000 series of process_open_fds from one pod hid Descriptors for every namespace (seen with Prometheus 2.42)."""
    query = CATALOGUE[FULL["type"]].value  # type: ignore[index]
    assert query.startswith("max by (<<owner>>, <<container>>) (")
    lost = QueryFailed("TooLarge", "its answer is larger than 64 MiB")
    mine = sampled({"api-1": points([5.0])})
    answer = together({frozenset({"shop"}): mine, frozenset({HOSTILE}): lost})
    assert isinstance(answer, Sampled)
    assert answer.series == mine.series
    assert answer.failed == {HOSTILE: lost}


@pytest.mark.parametrize("refusal", ["forbidden", "fails"])
async def test_a_namespace_that_refuses_records_holds_up_itself_only(refusal: str) -> None:
    """48. A namespace that was being deleted refused LeakReports, and nothing was remediated anywhere (seen on a cluster)."""
    world = HostileWorld(Hostility(policies=(ACTING,), deployments=12, refusal=refusal))
    await world.days()
    assert served(world) == ["EvictPod"]
    assert not [kind for namespace, kind, _ in world.touched if namespace == HOSTILE], (
        "what cannot be recorded is not done"
    )
    assert world.condition("Ready", HOSTILE) == ("False", "RecordsUnavailable")


async def test_an_action_that_is_never_verified_gives_its_slot_back() -> None:
    """49. `verification.timeout: 24h` held the cluster's only slot for a day (by reading maxConcurrent)."""
    slow = {
        **ACTING,
        "signals": [{**FULL, "threshold": {"above": "80%", "for": "1m"}}],
        "remediation": {"warmUp": "0s", "verification": {"settle": "23h", "timeout": "24h"}},
    }
    world = HostileWorld(Hostility(policies=(slow,), deployments=3))
    world.good.members[0].mood = "calm"  # its leak begins when the slot is taken
    await world.days(2)
    world.good.members[0].mood = "exhausting"
    await world.days(3)
    assert served(world) == [], "it waits its turn"
    await world.days(8)
    assert served(world) == ["EvictPod"]


async def test_vetoes_that_are_never_answered_cost_one_deadline() -> None:
    """50. 800 vetoes that took ten seconds each made a tick of 2,000 s (seen with a slow Prometheus)."""
    vetoes = [{"name": f"v{n}", "query": f"slow_{n}"} for n in range(8)]
    policies = tuple({**ACTING, "vetoes": vetoes} for _ in range(40))
    world = HostileWorld(Hostility(policies=policies, deployments=3, vetoes_answer=False))
    await world.days(3)
    assert served(world) == ["EvictPod"]
    assert not [kind for namespace, kind, _ in world.touched if namespace == HOSTILE], "no answer is no consent"
    skipped = {skip.reason for decision in world.engine.last.decisions for skip in decision.skips}
    assert SkipReason.VETOED in skipped


def test_a_query_of_five_hundred_characters_takes_neither_memory_nor_time() -> None:
    """51. `a+a+...` of 256 terms had both replicas killed for memory, and in CrashLoopBackOff (seen on a cluster)."""
    for query in ("+".join(["a"] * 256), "^".join(["a"] * 500), "x{" + ",".join(['a=~"\\\\w{99}"'] * 60) + "}"):
        signal = {"name": "s", "type": "PromQL", "query": query, "threshold": {"above": 1}}
        read = parse_policy(body(spec={"signals": [signal], "mode": "Observe"}))
        assert read.spec is None
        assert "spec.signals[0].query" in read.error


def test_the_pattern_of_a_silence_freezes_nothing() -> None:
    """52. `([a-z0-9]+-?)+-worker` in a silence stopped the loop that renews the Lease (seen with Python's re)."""
    assert not Matcher("pod", "([a-z0-9]+-?)+-worker", is_regex=True).holds("a" * 10_000)


async def test_what_only_observes_makes_no_storm_for_others() -> None:
    """53. Ten Deployments under one tenant's Observe policy stopped all remediation of a cluster (seen in a replay)."""
    world = HostileWorld(Hostility(policies=({**ACTING, "mode": "Observe"},), deployments=12))
    await world.days(3)
    assert served(world) == ["EvictPod"]


async def test_ticks_that_fail_do_not_leave_policies_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """54. Ticks failed for good, the pods were 1/1, and every policy stayed Ready (seen on a cluster)."""
    world = World()
    await world.engine.tick()
    assert world.condition("Ready") == ("True", "Reconciled")

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Engine, "_situation", broken)
    for _ in range(2):
        world.now += 60
        with pytest.raises(RuntimeError) as raised:
            await world.engine.tick()
        await world.engine.fail(raised.value)
    assert world.condition("Ready") == ("False", "Defect")
    assert world.condition("Stalled") == ("True", "Defect")
    (told,) = [each.message for each in world.status.conditions if each.type == "Ready"]
    assert f"since {format_time(NOW + 60)}" in told
    monkeypatch.undo()
    await world.later()
    assert world.condition("Ready") == ("True", "Reconciled")


def test_all_of_these_are_shown() -> None:
    module = sys.modules[__name__]
    listed = re.findall(r"^(\d+) +(test_\w+)$", module.__doc__ or "", re.MULTILINE)
    assert [int(number) for number, _ in listed] == list(range(44, 55))
    for number, name in listed:
        told = inspect.getdoc(getattr(module, name)) or ""
        assert told.startswith(f"{number}. "), name
        assert "(seen" in told or "(by reading" in told, f"{name} names no source"
