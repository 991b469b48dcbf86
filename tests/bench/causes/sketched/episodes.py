"""Episodes sketched by shapes instead of simulated: what people write in reports of incidents, with few readings each.

They follow the format for the episodes of somebody else (tests/bench/README.md), and are for setting points, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.causes.episodes import BEGAN, last_minute

Rng = np.random.Generator
Line = NDArray[np.float64]
N, STEP = 120, 15.0


def window(rng: Rng, shortest: int = 10, longest: int = 50) -> tuple[int, int]:
    begin = int(rng.integers(35, 60))
    return begin, begin + int(rng.integers(shortest, longest))


def step_up(rng: Rng, usual: float, high: float, when: tuple[int, int], noise: float = 0.08) -> Line:
    values = np.full(N, usual)
    values[slice(*when)] = high
    return last_minute(values * np.exp(rng.normal(0, noise, N)), STEP)


def answers(rng: Rng, rate: Line, share: Line, code: int) -> dict[int, Line]:
    failed = last_minute(rng.poisson(np.clip(share, 0, 1) * rate * STEP) / STEP, STEP)
    return {200: np.maximum(rate - failed, 0.0), code: failed}


def flat(rng: Rng, level: float, noise: float = 0.05) -> Line:
    return level * np.exp(rng.normal(0, noise, N))


def bad(begin: int, end: int, share: float) -> Line:
    found = np.zeros(N)
    found[begin:end] = share
    return found


def descriptors_of_one_pod(rng: Rng) -> dict[str, Any]:
    pods, full = int(rng.integers(2, 6)), int(rng.integers(50, 100))
    used = np.clip(np.linspace(0.1, 0.1 + 0.9 * N / full, N), 0, 1)
    rate = flat(rng, 80.0)
    return {
        "cause": "Exhaustion",
        "requests": answers(rng, rate, np.where(used >= 1, 0.9 / pods, 0.0), 502),
        "own_p99": flat(rng, 0.05),
        "pods": [
            {"name": "cart-0", "descriptors": used, "cpu": flat(rng, 0.3)},
            *({"name": f"cart-{n}", "descriptors": flat(rng, 0.2), "cpu": flat(rng, 0.3)} for n in range(1, pods)),
        ],
    }


def pool_that_makes_callers_wait(rng: Rng) -> dict[str, Any]:
    full = int(rng.integers(40, 90))
    used = np.clip(np.linspace(0.15, 0.15 + 0.85 * N / full, N), 0, 1)
    jam = used >= 1
    return {
        "cause": "Exhaustion",
        "requests": answers(rng, flat(rng, 30.0), np.where(jam, rng.uniform(0.2, 0.9), 0.0), 504),
        "own_p99": last_minute(np.where(jam, rng.uniform(1, 5), 0.06) * np.exp(rng.normal(0, 0.1, N)), STEP),
        "timeout": 1.0,
        "pods": [{"name": "cart-0", "pool": used, "cpu": flat(rng, 0.15)}],
        "logs": {"WaitingForAConnection": int(rng.integers(3, 80))},
    }


def out_of_memory(rng: Rng) -> dict[str, Any]:
    memory, share, restarts = flat(rng, 0.3, 0.02), np.zeros(N), []
    for at in (int(rng.integers(40, 60)), int(rng.integers(85, 110))):
        begin = at - int(rng.integers(15, 25))
        memory[begin:at] = np.linspace(0.3, rng.uniform(0.92, 1.0), at - begin)
        share[at : at + 2] = rng.uniform(0.2, 1.0)
        restarts.append(BEGAN + STEP * at)
    return {
        "cause": "Exhaustion",
        "requests": answers(rng, flat(rng, 40.0), share, 502),
        "pods": [{"name": "cart-0", "memory": memory, "descriptors": flat(rng, 0.1), "restarts": restarts}],
    }


def a_slow_database(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng)
    factor = rng.uniform(4, 40)
    return {
        "cause": "SlowDependency",
        "requests": answers(rng, flat(rng, 50.0), bad(begin, end, rng.uniform(0.05, 0.9)), int(rng.choice([502, 504]))),
        "own_p99": step_up(rng, 0.08, 0.08 * factor, (begin, end)),
        "dependency_p99": step_up(rng, 0.05, 0.05 * factor, (begin, end)),
        "timeout": 60.0,
        "pods": [{"name": "cart-0", "cpu": flat(rng, 0.25), "goroutines": step_up(rng, 40, 400, (begin, end))}],
    }


def a_slow_database_fills_the_pool(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng, 20)
    ramp = np.clip((np.arange(N) - begin) / rng.uniform(4, 14), 0, 1) * (np.arange(N) < end)
    dependency = 0.02 * (1 + rng.uniform(10, 50) * ramp)
    return {
        "cause": "SlowDependency",
        "requests": answers(rng, flat(rng, 50.0), np.where(ramp >= 1, rng.uniform(0.1, 0.8), 0.0), 504),
        "own_p99": last_minute(dependency * 1.3, STEP),
        "dependency_p99": last_minute(dependency, STEP),
        "pods": [{"name": "cart-0", "pool": np.clip(0.2 + ramp, 0, 1), "descriptors": flat(rng, 0.2)}],
        "logs": {"DeadlineExceeded": int(rng.integers(5, 300))},
    }


def slow_and_nothing_failed(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng, 15)
    factor = rng.uniform(5, 20)
    return {
        "cause": "SlowDependency",
        "requests": {200: flat(rng, 50.0)},
        "own_p99": step_up(rng, 0.08, 0.08 * factor, (begin, end)),
        "dependency_p99": step_up(rng, 0.06, 0.06 * factor, (begin, end)),
    }


def rollout(rng: Rng, lost: float, ready: int) -> tuple[Line, list[dict[str, Any]]]:
    """Share of failures, and the pods, of a rolling update whose new pods are ready after so many moments."""
    pods, share, found = int(rng.integers(2, 7)), np.zeros(N), []
    for n in range(pods):
        begin = 40 + n * (ready + int(rng.integers(1, 5)))
        end = begin + ready
        share[end : end + int(rng.integers(1, 3))] = lost / pods
        cpu = flat(rng, 0.4)
        found.append({"name": f"old-{n}", "cpu": np.where(np.arange(N) < end, cpu, np.nan)})
        found.append(
            {"name": f"new-{n}", "cpu": np.where(np.arange(N) < begin, np.nan, cpu), "starts": [BEGAN + STEP * begin]}
        )
    return share, found


def a_deploy_without_draining(rng: Rng) -> dict[str, Any]:
    share, pods = rollout(rng, rng.uniform(0.3, 1.0), int(rng.integers(1, 3)))
    return {
        "cause": "RolloutWithoutDraining",
        "requests": answers(rng, flat(rng, 100.0), share, 502),
        "own_p99": flat(rng, 0.06),
        "pods": pods,
    }


def a_deploy_of_pods_that_start_slowly(rng: Rng) -> dict[str, Any]:
    share, pods = rollout(rng, rng.uniform(0.5, 1.0), int(rng.integers(4, 9)))
    return {"cause": "RolloutWithoutDraining", "requests": answers(rng, flat(rng, 100.0), share, 502), "pods": pods}


def a_timeout_below_the_slowest_requests(rng: Rng) -> dict[str, Any]:
    timeout = float(rng.choice([1.0, 3.0, 10.0, 30.0]))
    return {
        "cause": "ProxyTimeoutTooShort",
        "requests": answers(rng, flat(rng, 40.0), np.full(N, rng.uniform(0.015, 0.2)), 504),
        "own_p99": flat(rng, timeout * rng.uniform(1.0, 3.0), 0.1),
        "own_errors": np.zeros(N),
        "timeout": timeout,
        "pods": [{"name": "report-0", "cpu": flat(rng, 0.3), "descriptors": flat(rng, 0.1)}],
    }


def exports_that_take_longer_than_the_proxy_waits(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng)
    return {
        "cause": "ProxyTimeoutTooShort",
        "requests": answers(rng, flat(rng, 40.0), bad(begin, end, rng.uniform(0.03, 0.2)), 504),
        "own_p99": step_up(rng, 0.4, rng.uniform(3, 9), (begin, end)),
        "dependency_p99": flat(rng, 0.05),
        "own_errors": np.zeros(N),
        "timeout": 2.0,
        "pods": [{"name": "report-0", "cpu": flat(rng, 0.4), "pool": flat(rng, 0.3), "descriptors": flat(rng, 0.1)}],
    }


def a_crowd(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng)
    factor = rng.uniform(1.5, 5)
    rate = step_up(rng, 60.0, 60.0 * factor, (begin, end))
    return {
        "cause": "Overload",
        "requests": answers(rng, rate, bad(begin, end, 1 - 1.2 / factor), int(rng.choice([502, 503, 504]))),
        "own_p99": step_up(rng, 0.1, rng.uniform(0.4, 3.0), (begin, end)),
        "pods": [{"name": f"cart-{n}", "cpu": step_up(rng, 0.5, 0.98, (begin, end), 0.01)} for n in range(3)],
    }


def a_crowd_at_workers_that_wait(rng: Rng) -> dict[str, Any]:
    """As many as come at once, not the CPU, are the limit."""
    begin, end = window(rng)
    factor = rng.uniform(1.6, 4)
    rate = step_up(rng, 60.0, 60.0 * factor, (begin, end))
    return {
        "cause": "Overload",
        "requests": answers(rng, rate, bad(begin, end, 1 - 1.3 / factor), 504),
        "own_p99": step_up(rng, 0.1, rng.uniform(0.5, 3.0), (begin, end)),
        "dependency_p99": flat(rng, 0.04),
        "timeout": 5.0,
        "pods": [{"name": "cart-0", "cpu": step_up(rng, 0.2, 0.4, (begin, end))}],
    }


def a_fault_of_the_code(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng)
    share = rng.uniform(0.03, 0.6)
    return {
        "cause": "Other",
        "requests": answers(rng, flat(rng, 60.0), bad(begin, end, share), 500),
        "own_p99": flat(rng, 0.08),
        "own_errors": last_minute(bad(begin, end, share), STEP),
        "pods": [{"name": "cart-0", "cpu": flat(rng, 0.4), "descriptors": flat(rng, 0.2)}],
    }


def a_deploy_with_a_fault_that_is_taken_back(rng: Rng) -> dict[str, Any]:
    share, pods = rollout(rng, 0.0, 1)
    at = 44
    share[at : at + 8] = rng.uniform(0.1, 0.5)
    return {
        "cause": "Other",
        "requests": answers(rng, flat(rng, 60.0), share, 500),
        "own_errors": last_minute(share, STEP),
        "own_p99": flat(rng, 0.08),
        "pods": pods,
    }


def a_panic_now_and_then(rng: Rng) -> dict[str, Any]:
    share, restarts = np.zeros(N), []
    for at in rng.integers(30, 110, 3):
        share[at : at + 2] = rng.uniform(0.2, 0.6)
        restarts.append(BEGAN + STEP * float(at))
    return {
        "cause": "Other",
        "requests": answers(rng, flat(rng, 60.0), share, 502),
        "own_p99": flat(rng, 0.08),
        "pods": [{"name": "cart-0", "memory": flat(rng, 0.4), "descriptors": flat(rng, 0.2), "restarts": restarts}],
    }


def quiet_with_clients_that_hang_up(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng)
    return {
        "cause": "None",
        "requests": answers(rng, flat(rng, 60.0), bad(begin, end, rng.uniform(0.05, 0.5)), 499),
        "own_p99": flat(rng, 0.08),
        "pods": [{"name": "cart-0", "cpu": flat(rng, 0.4)}],
    }


def a_deploy_that_drains(rng: Rng) -> dict[str, Any]:
    share, pods = rollout(rng, 0.0, 2)
    return {
        "cause": "None",
        "requests": answers(rng, flat(rng, 60.0), share, 502),
        "own_p99": flat(rng, 0.1),
        "pods": pods,
    }


def more_that_is_carried(rng: Rng) -> dict[str, Any]:
    begin, end = window(rng)
    return {
        "cause": "None",
        "requests": {200: step_up(rng, 60, 60 * rng.uniform(1.5, 4), (begin, end))},
        "own_p99": step_up(rng, 0.05, 0.08, (begin, end)),
        "pods": [{"name": "cart-0", "cpu": step_up(rng, 0.2, 0.6, (begin, end))}],
    }


def single_errors(rng: Rng) -> dict[str, Any]:
    rate = flat(rng, 200.0)
    return {"cause": "None", "requests": answers(rng, rate, np.full(N, 0.001), 502), "own_p99": flat(rng, 0.1)}


EPISODES: list[Callable[[Rng], dict[str, Any]]] = [
    descriptors_of_one_pod, pool_that_makes_callers_wait, out_of_memory, a_slow_database, a_slow_database_fills_the_pool,
    slow_and_nothing_failed, a_deploy_without_draining, a_deploy_of_pods_that_start_slowly,
    a_timeout_below_the_slowest_requests, exports_that_take_longer_than_the_proxy_waits, a_crowd,
    a_crowd_at_workers_that_wait, a_fault_of_the_code, a_deploy_with_a_fault_that_is_taken_back, a_panic_now_and_then,
    quiet_with_clients_that_hang_up, a_deploy_that_drains, more_that_is_carried, single_errors,
]  # fmt: skip
