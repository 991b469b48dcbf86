"""Two runs of the operator are compared by the names of their steps."""

import json

from e2e.faults.exchange import Exchange
from e2e.faults.steps import step_of, steps

HERE = "/namespaces/shop"
POLICY = f"/apis/leakwarden.dev/v1alpha1{HERE}/reliabilitypolicies/guarded/status"


def _exchange(method: str, path: str, body: object = None) -> Exchange:
    return Exchange(1, 0.0, method, path=path, query={}, body=b"" if body is None else json.dumps(body).encode())


def test_a_step_says_what_is_written_and_not_to_whom() -> None:
    body = {"status": {"actions": [{"phase": "Pending", "podUID": "a"}, {"phase": "Done"}]}}
    assert step_of(_exchange("PATCH", POLICY, body)) == "PATCH reliabilitypolicies/status Pending"
    report = {"status": {"phase": "Verifying", "actions": [{"phase": "Done", "result": "Verifying"}]}}
    path = f"/apis/leakwarden.dev/v1alpha1{HERE}/leakreports/checkout-1/status"
    assert step_of(_exchange("PATCH", path, report)) == "PATCH leakreports/status Verifying Done Verifying"
    assert step_of(_exchange("POST", f"/api/v1{HERE}/pods/a-b/eviction", {})) == "POST pods/eviction"


def test_reads_events_and_leases_are_no_steps() -> None:
    assert step_of(_exchange("GET", f"/api/v1{HERE}/pods")) is None
    assert step_of(_exchange("POST", f"/apis/events.k8s.io/v1{HERE}/events", {})) is None
    assert step_of(_exchange("PUT", f"/apis/coordination.k8s.io/v1{HERE}/leases/leakwarden", {})) is None


def test_a_body_that_is_no_object_is_a_step_all_the_same() -> None:
    assert step_of(_exchange("PATCH", POLICY, [1])) == "PATCH reliabilitypolicies/status"
    assert step_of(_exchange("PATCH", POLICY)) == "PATCH reliabilitypolicies/status"


def test_each_step_counts_once_in_the_order_of_its_first_time() -> None:
    pending = _exchange("PATCH", POLICY, {"status": {"actions": [{"phase": "Pending"}]}})
    evict = _exchange("POST", f"/api/v1{HERE}/pods/a-b/eviction", {})
    assert steps([pending, evict, pending]) == ["PATCH reliabilitypolicies/status Pending", "POST pods/eviction"]
