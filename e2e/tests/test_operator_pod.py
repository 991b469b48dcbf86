"""The operator as a pod: confined, observable, discreet and small."""

from __future__ import annotations

from e2e.harness.kube import Object, apply, kubectl, logs, raw
from e2e.harness.policies import policy, signal, wait_for_condition
from e2e.harness.release import NAMESPACE, RELEASE, standbys, wait_for_operator
from e2e.harness.stack import prometheus_query
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def _inside(code: str, pod: str = f"deployment/{RELEASE}") -> str:
    """The output of a line of Python inside the operator's container, which has no shell."""
    return kubectl("exec", pod, "-n", NAMESPACE, "--", "python3", "-c", code).strip()


def _proxy(pod: Object) -> str:
    return f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy"


def test_it_runs_as_nobody_and_cannot_write_its_root_file_system(operator: str) -> None:
    assert _inside("import os; print(os.getuid(), os.getgid())") == "65532 65532"
    attempted = "try: open('/probe', 'w')\nexcept OSError as error: print(error.strerror)"
    assert _inside(attempted) == "Read-only file system"
    capabilities = _inside("print(*[line for line in open('/proc/self/status') if line.startswith('CapEff')])")
    assert set(capabilities.split()[1]) == {"0"}


def test_it_answers_on_readyz_and_metrics(namespace: str) -> None:
    apply(manifests.service("healthy", "healthy", namespace))
    apply(policy("watched", namespace, {"app": "healthy"}, [signal("Descriptors", "80%")]))
    wait_for_condition(namespace, "watched", "Healthy", "True")
    leader = wait_for_operator()
    base = _proxy(leader)
    assert raw(f"{base}/readyz") is not None
    assert raw(f"{base}/healthz") is not None

    def counted() -> str | NotYet:
        metrics = raw(f"{base}/metrics")
        wanted = f'leakwarden_pods{{namespace="{namespace}",policy="watched",verdict="Healthy"}} 1.0'
        return metrics if wanted in metrics else NotYet(f"no line {wanted}")

    metrics = wait_until("the metrics to count the policy's pod", counted, 30)
    assert "leakwarden_tick_failures_total 0.0" in metrics
    assert "leakwarden_leader 1.0" in metrics

    [standby] = standbys(leader)
    assert raw(f"{_proxy(standby)}/readyz") is not None
    metrics = raw(f"{_proxy(standby)}/metrics")
    assert "leakwarden_leader 0.0" in metrics
    assert "leakwarden_tick_duration_seconds_count 0.0" in metrics, "it does not tick"
    assert 'leakwarden_policies{valid="true"} 0.0' in metrics, "a sum over the replicas counts nothing twice"


def test_its_log_holds_no_credentials(operator: str) -> None:
    pod = wait_for_operator()["metadata"]["name"]
    token = _inside(f"print(open('{TOKEN}').read())", pod)
    assert len(token) > 100
    written = logs(pod, NAMESPACE)
    assert written
    assert token not in written
    assert token.split(".")[2] not in written, "the token's signature"
    assert "Bearer " not in written


def test_its_memory_stays_below_half_of_its_limit(operator: str) -> None:
    limit = 512 * 1024 * 1024

    def used() -> float | NotYet:
        # A container that has just been replaced leaves a last reading behind.
        found = prometheus_query(f'container_memory_working_set_bytes{{namespace="{NAMESPACE}",container="operator"}}')
        return max(value for _, value in found) if found else NotYet("no reading")

    assert wait_until("a reading of the operator's memory", used, 60) < limit / 2
