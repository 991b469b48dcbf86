"""Growth towards the limit is seen before the limit is reached, and a steady service beside it is not accused."""

from __future__ import annotations

from typing import Any

from e2e.harness.kube import apply
from e2e.harness.leaks import deploy
from e2e.harness.policies import policy, read_policy, signal, status, workload_of
from e2e.harness.stack import start_load, stop_load, wait_for_rollouts
from e2e.harness.waiting import NotYet, wait_until
from e2e.stack import manifests

# 4 leaking requests a second exhaust this in five minutes, which are an hour to a detector that reads every 5 s.
LIMIT = 1200


def test_a_leak_is_found_by_its_growth_alone_before_it_is_exhausted(namespace: str) -> None:
    shop = {"team": "shop"}
    deploy(namespace, "slow", labels=shop, nofile=LIMIT)
    apply(manifests.service("steady", "healthy", namespace, nofile=LIMIT, labels=shop))
    wait_for_rollouts(namespace)
    growing = signal("Descriptors", growth={"exhaustsWithin": "1h"})
    apply(policy("growth", namespace, shop, [growing], mode="Observe"))
    urls = [f"http://{manifests.service_target(name, namespace)}/work" for name in ("slow", "steady")]
    start_load(namespace, "users", urls, rate=8, duration=420)

    def verdicts() -> dict[str, Any] | NotYet:
        found = read_policy(namespace, "growth")
        steady = workload_of(found, "steady") or {}
        assert steady.get("verdict") not in ("Leaking", "Exhausting"), steady
        slow = workload_of(found, "slow") or {}
        return slow if slow.get("verdict") in ("Leaking", "Exhausting") else NotYet(str(slow))

    slow = wait_until("the growth to be seen", verdicts, 420, interval=2)
    stop_load(namespace, "users")
    judged = slow["unhealthy"][0]
    assert judged["signal"] == "descriptors"
    value = float(judged["message"].split(" of ")[0])
    assert value < 0.99 * LIMIT, f"seen only when it was exhausted: {judged['message']}"
    assert status(read_policy(namespace, "growth"))["targets"]["pods"] == 2
