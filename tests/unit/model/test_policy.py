"""Valid policies, and the errors of invalid ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.policy import Selector
from leakwarden.core.model.policy import format_time, parse_policy, selects
from leakwarden.engine.policy_store import PolicyStore
from tests.builders import body, policy


def test_a_selector_is_all_that_a_policy_needs() -> None:
    spec = policy().spec
    assert spec is not None
    assert spec.mode == "Observe"
    assert [signal.name for signal in spec.signals] == ["descriptors", "goroutines", "heap", "db-pool", "working-set"]
    assert [action.type for action in spec.remediation.actions] == ["EvictPod"]


@pytest.mark.parametrize(
    ("spec", "field", "allowed"),
    [
        ({"selector": {}}, "spec.selector", "at least one entry"),
        ({"mode": "Kill"}, "spec.mode is 'Kill'", "'Observe' or 'Enforce'"),
        ({"signals": [{"name": "a", "type": "Descriptors", "threshold": {"above": "80 percent"}}]},
         "spec.signals[0].threshold.above is '80 percent'", "80%"),
        ({"signals": [{"name": "a", "type": "Descriptors", "threshold": {"above": "80%", "for": "5 minutes"}}]},
         "spec.signals[0].threshold.for is '5 minutes'", "write it like 90s"),
        ({"signals": [{"name": "a", "type": "PromQL"}]}, "spec.signals[0]", "query is needed"),
        ({"signals": [{"name": "a", "type": "Heap", "query": "x"}]}, "spec.signals[0]", "query is needed"),
        ({"signals": [{"name": "a", "type": "DBPool", "query": "x"}]}, "spec.signals[0]", "needs a threshold"),
        ({"signals": [{"name": "a", "type": "DBPool", "limitQuery": "x"}]}, "spec.signals[0]", "with a query"),
        ({"signals": [{"name": "a", "type": "DBPool", "kind": "ConnectionPool"}]}, "spec.signals[0]", "kind is only"),
        ({"signals": [{"name": "a", "type": "PromQL", "query": "sum(", "threshold": {"above": "1"}}]},
         "spec.signals[0].query is 'sum('", ""),
        ({"signals": [{"name": "a", "type": "Heap"}, {"name": "a", "type": "Heap"}]}, "spec", "more than once"),
        ({"mode": "Enforce", "signals": [{"name": "m", "type": "WorkingSet"}]}, "spec", "role Leak"),
        ({"remediation": {"actions": [{"type": "ScaleOut"}]}}, "spec.remediation.actions[0]", "maxReplicas"),
        ({"remediation": {"budget": {"maxUnavailable": "100%"}}}, "spec.remediation.budget", "1% to 99%"),
        ({"remediation": {"budget": {"maxUnavailable": 0}}}, "spec.remediation.budget", "1 to 1000"),
        ({"remediation": {"cooldown": "1s"}}, "spec.remediation.cooldown is '1s'", "from 10s to 30d"),
        ({"selctor": {}}, "spec.selctor", "no such field"),
        ({"signals": []}, "spec.signals", "at least 1"),
        ({"signals": 7}, "spec.signals is '7'", "it must be a list"),
        ({"signals": ["a"]}, "spec.signals[0] is 'a'", "it must be a mapping"),
        ({"selector": []}, "spec.selector", "it must be a mapping"),
        ({"evidence": {"port": 99999}}, "spec.evidence.port is '99999'", "it must be less than or equal to 65535"),
        ({"signals": [{"name": "a", "type": "HTTPErrors"}]}, "spec.signals[0]", "need a threshold"),
        ({"signals": [{"name": "a", "type": "HTTPErrors", "threshold": {"above": "5"}}]},
         "spec.signals[0]", "such as 5% or 0.05"),
        ({"signals": [{"name": "a", "type": "HTTPErrors", "threshold": {"above": "5%"}, "role": "Leak"}]},
         "spec.signals[0]", "Symptom or Supporting"),
        ({"signals": [{"name": "a", "type": "LatencyP99", "threshold": {"above": "95%"}}]},
         "spec.signals[0]", "a number of seconds"),
        ({"signals": [{"name": "a", "type": "LatencyP99", "threshold": {"above": "1.5"}, "minRequestRate": 0}]},
         "spec.signals[0].minRequestRate is '0'", "0.01"),
        ({"signals": [{"name": "a", "type": "LatencyP99", "threshold": {"above": "1.5"}, "minRequestRate": 2e6}]},
         "spec.signals[0].minRequestRate is '2000000.0'", "1000000"),
        ({"signals": [{"name": "a", "type": "LatencyP99", "threshold": {"above": "1.5"}, "minRequestRate": "1"}]},
         "spec.signals[0].minRequestRate is '1'", "number"),
        ({"signals": [{"name": "a", "type": "Heap", "minRequestRate": 1}]}, "spec.signals[0]", "only for types HTTPErrors"),
        ({"mode": "Enforce", "signals": [{"name": "a", "type": "HTTPErrors", "threshold": {"above": "5%"}}]},
         "spec", "role Leak"),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
         "spec.selector.matchExpressions[0]", "at least one value"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_field_and_what_is_allowed(
    spec: dict[str, Any], field: str, allowed: str
) -> None:
    parsed = parse_policy(body(spec=spec))
    assert parsed.spec is None
    assert field in parsed.error
    assert allowed in parsed.error
    assert "\n" not in parsed.error


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"source": {"maxAge": "24h"}}, "spec.source.maxAge is '24h': must be from 0s to 15m"),
        ({"source": {"refill": "7h"}}, "from 0s to 6h"),
        ({"remediation": {"circuitBreaker": {"sleepWindow": "99999999h"}}}, "from 0s to 30d"),
        ({"remediation": {"cooldown": "5w"}}, "from 10s to 30d"),
        ({"remediation": {"podCooldown": "31d"}}, "from 0s to 30d"),
        ({"remediation": {"verification": {"timeout": "25h"}}}, "from 0s to 1d"),
        ({"remediation": {"actions": [{"type": "EvictPod", "timeout": "30d"}]}}, "from 1m to 1d"),
        ({"signals": [{"name": "d", "type": "Descriptors", "threshold": {"above": 1, "for": "168h"}}]}, "from 0s to 1d"),
        ({"signals": [{"name": "d", "type": "Descriptors", "growth": {"exhaustsWithin": "31d"}}]}, "from 0s to 30d"),
        ({"history": {"timeToLive": "53w"}}, "from 0s to 365d"),
        ({"signals": [{"name": "d", "type": "Descriptors", "threshold": {"above": 0.5}}]}, 'as text: "0.5"'),
        ({"signals": [{"name": "a", "type": "Alert", "alert": {"name": "Slow", "labels": {"app.kubernetes.io/name": "x"}}}]},
         "spec.signals[0].alert.labels"),
    ],
)  # fmt: skip
def test_what_one_policy_could_hold_up_others_with_is_bounded(spec: dict[str, Any], says: str) -> None:
    parsed = parse_policy(body(spec=spec))
    assert parsed.spec is None
    assert says in parsed.error


def test_numbers_days_and_weeks_are_understood() -> None:
    signal = {"name": "g", "type": "Goroutines", "threshold": {"above": 200, "for": "1d"}}
    spec = policy(spec={"signals": [signal], "remediation": {"cooldown": "2w", "budget": {"window": "1d12h"}}}).spec
    assert spec is not None
    assert spec.signals[0].threshold is not None
    assert spec.signals[0].threshold.above == "200"
    assert parse_duration(spec.remediation.cooldown) == 14 * 86_400
    assert parse_duration(spec.remediation.budget.window) == 36 * 3600


@pytest.mark.parametrize(("epoch", "shown"), [(1e18, "9999-12-31T23:59:59Z"), (-1e18, "0001-01-01T00:00:00Z"),
                                              (float("inf"), "9999-12-31T23:59:59Z"), (0, "1970-01-01T00:00:00Z")])  # fmt: skip
def test_a_time_beyond_the_calendar_is_its_end(epoch: float, shown: str) -> None:
    assert format_time(epoch) == shown


def test_a_policy_that_cannot_be_read_is_never_the_one_it_was_before() -> None:
    store = PolicyStore()
    store.put(body())
    broken = body(metadata={"generation": 2}, spec={"signals": [
        {"name": "a", "type": "PromQL", "query": "max by (pod) (max_over_time(x[5m:1m] offset 200000000y))",
         "threshold": {"above": 1}}]})  # fmt: skip
    assert store.put(broken), "the engine looks at once"
    (held,) = store.all()
    assert held.spec is None
    assert "spec.signals[0].query" in held.error


def test_a_policy_that_was_made_again_under_its_name_is_the_only_one_of_it() -> None:
    store = PolicyStore()
    store.put(body(metadata={"uid": "first"}))
    store.put(body("other", metadata={"uid": "another"}))
    store.put(body(metadata={"uid": "second"}))
    assert sorted(each.uid for each in store.all()) == ["another", "second"]
    store.remove("first")  # its deletion is shown late
    store.put(body(metadata={"uid": "third"}))
    assert sorted(each.uid for each in store.all()) == ["another", "third"]


def test_a_status_that_the_watch_shows_again_is_held_once_and_another_one_is_taken() -> None:
    store = PolicyStore()
    store.put(body())
    (held,) = store.all()
    written = held.status.model_copy(update={"observed_generation": 7})
    store.wrote(held.uid, "101", written)
    shown = written.model_dump(mode="json", by_alias=True, exclude_none=True)
    store.put({**body(), "status": shown})
    assert store.all()[0].status is written
    store.put({**body(), "status": {**shown, "observedGeneration": 8}})
    assert store.all()[0].status.observed_generation == 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["selector", "matchLabels", "mode", "signals", "name", "type", "threshold", "above", "query",
                         "remediation", "budget", "maxUnavailable", "actions", "x"]) | st.text(max_size=5),
        inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(spec=JSON, status=JSON)
def test_parsing_never_raises_whatever_the_object_holds(spec: Any, status: Any) -> None:
    parsed = parse_policy({**body(), "spec": spec, "status": status})
    assert (parsed.spec is None) == bool(parsed.error)


@pytest.mark.parametrize("above", ["5%", "0.05", "0", "100%"])
def test_an_error_ratio_is_a_share_in_percent_or_below_one_and_needs_one_request_a_second(above: str) -> None:
    spec = policy(spec={"signals": [{"name": "a", "type": "HTTPErrors", "threshold": {"above": above}}]}).spec
    assert spec is not None
    assert spec.signals[0].effective_role == "Symptom"
    assert spec.signals[0].least_request_rate == 1


def test_a_policy_may_ask_for_more_traffic() -> None:
    signal = {"name": "a", "type": "LatencyP99", "threshold": {"above": "1.5"}, "minRequestRate": 20}
    spec = policy(spec={"signals": [signal]}).spec
    assert spec is not None
    assert spec.signals[0].least_request_rate == 20


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, {"a": "1"}, False),
    ],
)
def test_selectors_mean_what_they_mean_in_kubernetes(
    selector: dict[str, Any], labels: dict[str, str], expected: bool
) -> None:
    assert selects(Selector.model_validate(selector), labels) is expected
