"""A tenant with every right in its own namespace tries to stop or to steer the operator for other tenants.

The tenant's account has `cluster-admin` within its namespace, which is more than people usually have there, and nothing
outside of it. Each test lets it try, and then checks that a leak in another namespace is acted on as usual.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e.cluster.commands import Result
from e2e.harness.kube import Object, apply, attempt, kubectl
from e2e.harness.leaks import deploy, leak, wait_until_held
from e2e.harness.policies import (
    API_VERSION,
    KIND,
    REPORTS,
    actions_of,
    condition,
    policy,
    read_policy,
    reports_of,
    signal,
    wait_for_action,
    wait_for_condition,
)
from e2e.harness.release import NAMESPACE, operator_pods
from e2e.harness.stack import pods, prometheus_query, uids, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests
from e2e.tests.conftest import a_namespace

pytestmark = pytest.mark.long

FULL = [signal("Descriptors", "80%", "10s")]
SERIES = 15_000  # of one name, from one pod


@pytest.fixture(scope="module")
def tenant(operator: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The tenant's namespace, with its account `tenant`."""
    with a_namespace(request.config, "tenant") as name:
        about = {"name": "tenant", "namespace": name}
        subject = {"kind": "ServiceAccount", **about}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        apply([
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": about, "roleRef": role,
             "subjects": [subject]},
        ])  # fmt: skip
        yield name


def as_tenant(tenant: str, *objects: Object) -> Result:
    """The answer when the tenant applies these objects in its namespace."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return attempt(
        "kubectl", "apply", "--server-side", "--validate=strict", "-f", "-", "-n", tenant,
        f"--as=system:serviceaccount:{tenant}:tenant", stdin=json.dumps(items),
    )  # fmt: skip


def started() -> list[tuple[str, int]]:
    """The operator's pods, and how often each was started again."""
    return sorted(
        (pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"].get("containerStatuses", [])))
        for pod in operator_pods(namespace=NAMESPACE)
    )


def is_served(namespace: str, name: str = "victim") -> None:
    """A leak in the namespace is found and its pod evicted, once and no other."""
    deploy(namespace, name)
    apply(policy(name, namespace, {"app": name}, FULL))
    before = uids(namespace, name)
    leak(namespace, name)
    wait_for_action(namespace, name, name, "Done")
    assert not uids(namespace, name) & before
    assert len(actions_of(read_policy(namespace, name))) == 1


def test_no_query_label_or_number_of_a_tenant_stops_the_operator(namespace: str, tenant: str) -> None:
    """Each of these once made every tick fail, or the operator run out of memory."""
    before = started()
    alert = signal("Alert", name="a", alert={"name": "Slow", "labels": {"app.kubernetes.io/name": "checkout"}})
    refused = as_tenant(tenant, policy("label", tenant, {"app": "x"}, [alert]))
    assert "the name of a label of Prometheus" in refused.errors
    breaker = {"circuitBreaker": {"failures": 1, "sleepWindow": "99999999h"}}
    long = policy("long", tenant, {"app": "x"}, FULL)
    long["spec"]["remediation"].update(breaker)
    assert "must be from 0s to 30d" in as_tenant(tenant, long).errors
    held = policy("held", tenant, {"app": "x"}, [signal("Descriptors", "80%", "168h")])
    assert "must be from 0s to 1d" in as_tenant(tenant, held).errors

    queries = {
        "terms": "+".join(["a"] * 256),
        "powers": "^".join(["a"] * 500),
        "regexes": "x{" + ",".join(['a=~"\\\\w{99}"'] * 60) + "}",
        "offset": "max by (pod) (max_over_time(x[5m:1m] offset 200000000y))",
        "brackets": "(" * 900 + "x" + ")" * 900,
    }
    for name, query in queries.items():
        asking = signal("PromQL", "1", name="q", query=query)
        accepted = as_tenant(tenant, policy(name, tenant, {"app": "nothing"}, [asking], mode="Observe"))
        assert accepted.succeeded, accepted.errors
        wait_for_condition(tenant, name, "Ready", "False", "InvalidSpec")
    is_served(namespace)
    assert started() == before, "the operator was not started again"


def test_numbers_days_and_unchanged_policies_are_taken_as_people_write_them(tenant: str) -> None:
    written = policy("plain", tenant, {"app": "x"}, [signal("Goroutines", name="g")], mode="Observe", cooldown="1d")
    written["spec"]["signals"][0]["threshold"] = {"above": 200, "for": "10m"}
    accepted = as_tenant(tenant, written)
    assert accepted.succeeded, accepted.errors
    wait_for_condition(tenant, "plain", "Ready", "True")


def test_a_pod_with_thousands_of_series_hides_no_other_pod(namespace: str, tenant: str) -> None:
    lines = "".join(f'process_open_fds{{i="{n}"}} 1\n' for n in range(SERIES))
    config = (
        "pid /tmp/nginx.pid; error_log stderr; events {} http { access_log off; client_body_temp_path /tmp/b;"
        " proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s; server {"
        " listen 8080; location = /healthz { return 200; } location = /metrics { default_type text/plain;"
        " alias /etc/front/metrics; } } }"
    )
    objects = manifests.nginx(tenant, {}, name="loud")
    objects[0]["data"] = {"nginx.conf": config, "metrics": lines}
    objects[1]["spec"]["template"]["metadata"]["annotations"] = {
        "prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics",
    }  # fmt: skip
    accepted = as_tenant(tenant, *objects, policy("loud", tenant, {"app": "loud"}, FULL))
    assert accepted.succeeded, accepted.errors
    wait_for_rollouts(tenant, "loud")

    def exported() -> bool | NotYet:
        found = prometheus_query(f'count(process_open_fds{{namespace="{tenant}"}})')
        count = max((value for _, value in found), default=0)
        return True if count >= SERIES else NotYet(f"{count:.0f} series")

    wait_until("the series to be scraped", exported, 120)
    is_served(namespace)


def test_a_namespace_that_refuses_leak_reports_holds_up_itself_only(namespace: str, tenant: str) -> None:
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-reports", "namespace": tenant},
        "spec": {"hard": {f"count/{REPORTS}": "0"}},
    }  # fmt: skip
    deploy(tenant, "refuses")
    accepted = as_tenant(tenant, quota, policy("refuses", tenant, {"app": "refuses"}, FULL))
    assert accepted.succeeded, accepted.errors
    before = uids(tenant, "refuses")
    leak(tenant, "refuses")
    found = wait_for_condition(tenant, "refuses", "Ready", "False", "RecordsUnavailable", timeout=120)
    assert "leakreports" in (condition(found, "Ready") or {})["message"].lower()
    is_served(namespace)
    assert uids(tenant, "refuses") == before, "what cannot be recorded is not done"
    kubectl("delete", "resourcequota", "no-reports", "-n", tenant)


def test_a_forged_record_is_refused_and_would_count_for_nothing(namespace: str, tenant: str) -> None:
    """A report in the tenant's namespace about the other's Deployment, whose replica it says was added and is due back."""
    deploy(namespace, "victim", replicas=2)
    apply(policy("victim", namespace, {"app": "victim"}, FULL))
    victim = pods(namespace, "victim")[0]["metadata"]
    workload = json.loads(kubectl("get", "deployment", "victim", "-n", namespace, "-o", "json"))["metadata"]
    forged = {
        "apiVersion": API_VERSION, "kind": "LeakReport", "metadata": {"name": "forged", "namespace": tenant},
        "spec": {
            "policy": {"name": "victim", "uid": read_policy(namespace, "victim")["metadata"]["uid"]},
            "workload": {"name": "victim", "uid": workload["uid"]},
            "pod": {"name": victim["name"], "uid": victim["uid"]},
            "signal": "descriptors", "signalType": "Descriptors", "detectedAt": "2026-01-01T00:00:00Z",
        },
    }  # fmt: skip
    answer = as_tenant(tenant, forged)
    assert not answer.succeeded, "the admission policy lets only the operator write LeakReports"
    assert "denied" in answer.errors or "forbidden" in answer.errors.lower()
    assert reports_of(tenant, "victim") == []
    kind = KIND.partition(".")[0]
    status = {"actions": [{"id": "x", "type": "ScaleOut", "workload": "victim", "workloadUID": workload["uid"],
                           "phase": "Done", "intendedAt": "2026-01-01T00:00:00Z", "replicasBefore": 0,
                           "replicasAfter": 2, "returnAt": "2026-01-01T01:00:00Z"}]}  # fmt: skip
    apply(policy("mine", tenant, {"app": "nothing"}, FULL, mode="Observe"))
    patched = attempt(
        "kubectl", "patch", kind, "mine", "-n", tenant, "--subresource=status", "--type=merge",
        f"--as=system:serviceaccount:{tenant}:tenant", "-p", json.dumps({"status": status}),
    )  # fmt: skip
    assert not patched.succeeded, "nor the status of policies"
    found = json.loads(kubectl("get", "deployment", "victim", "-n", namespace, "-o", "json"))
    assert found["spec"]["replicas"] == 2


def test_two_signals_of_one_type_are_each_judged_by_their_own_level(namespace: str) -> None:
    """A pod was once evicted at the first one's level by the second one's role."""
    deploy(namespace, "two")
    watching = signal("Descriptors", "40", "10s", name="first", role="Supporting")
    acting = signal("Descriptors", "90%", "10s", name="second")
    apply(policy("two", namespace, {"app": "two"}, [watching, acting]))
    before = uids(namespace, "two")
    leak(namespace, "two", requests=80)
    wait_until_held(namespace, "two", 60, 20)
    found = wait_for_condition(namespace, "two", "Healthy", "Unknown", "LeakSuspected")
    assert actions_of(found) == []
    assert uids(namespace, "two") == before


def test_a_typo_in_an_older_policy_hands_its_pods_to_no_younger_one(namespace: str) -> None:
    deploy(namespace, "kept")
    own = signal("PromQL", "80%", "10s", name="own", query="process_open_fds", limitQuery="process_max_fds")
    apply(policy("older", namespace, {"app": "kept"}, [own], mode="Observe"))
    wait_for_condition(namespace, "older", "Ready", "True")
    apply(policy("younger", namespace, {"app": "kept"}, FULL))
    wait_for_condition(namespace, "younger", "Ready", "False", "Conflicted")
    apply(policy("older", namespace, {"app": "kept"}, [{**own, "query": "process_open_fds{"}], mode="Observe"))
    wait_for_condition(namespace, "older", "Ready", "False", "InvalidSpec")
    before = uids(namespace, "kept")
    leak(namespace, "kept")
    wait_until_held(namespace, "kept", 160, 30)
    found = wait_for_condition(namespace, "younger", "Ready", "False", "Conflicted")
    assert actions_of(found) == []
    assert uids(namespace, "kept") == before
