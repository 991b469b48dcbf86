"""LeakReports to look at: a complete one, and variants with missing, odd or hostile parts."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import yaml

from leakwarden.core.model.leakreport import LeakReport, parse_report

FIXTURE = Path(__file__).parents[2] / "fixtures" / "reports" / "effective.yaml"
SCRIPT = "<script>window.hacked=1</script>"
HOSTILE = (
    SCRIPT,
    "\"'><img src=x onerror=window.hacked=1>",
    "</title></style></script><svg onload=window.hacked=1>",
    "<a href=javascript:window.hacked=1>&lt;script&gt;&#0;",
    "\u202egnp.exe\u2066\x00\x1b]0;owned\x07",
    "`${window.hacked=1}`{{window.hacked=1}}",
)
START = 1_795_490_000


def full() -> dict[str, Any]:
    """A pod that was evicted, and it helped. A copy of its own each time."""
    body: dict[str, Any] = yaml.safe_load(FIXTURE.read_text(encoding="utf-8"))
    return body


def parsed(body: dict[str, Any]) -> LeakReport:
    report = parse_report(body)
    assert report is not None
    return report


def minimal() -> dict[str, Any]:
    """Only the pod and the signal: the report at the moment an episode begins."""
    return {**full(), "status": {}}


def observed() -> dict[str, Any]:
    """A policy in mode Observe: a leak, profiles, and a guard that refuses."""
    body = full()
    status = body["status"]
    for gone in ("actions", "verification", "endedAt", "restartBuysSeconds"):
        del status[gone]
    status["phase"] = "Detected"
    status["message"] = "EvictPod would be taken: spec.mode is Observe"
    status["guards"][1] = {
        "guard": "Observing",
        "passed": False,
        "reason": "Observing",
        "message": "spec.mode is Observe",
    }
    status["evidence"] = {
        "state": "Skipped", "reason": "NoPort", "message": "no container port is named pprof or debug", "suspects": [],
    }  # fmt: skip
    return body


def long_names() -> dict[str, Any]:
    """Everything as long as the schema allows, or longer than any screen."""
    body = full()
    name, function = "x" * 253, f"example.org/{'deep/' * 60}package.(*{'T' * 150}).Method"
    body["spec"]["pod"] |= {"name": name, "node": name}
    body["spec"]["workload"]["name"] = body["spec"]["policy"]["name"] = name
    body["spec"]["signal"] = "s" * 63
    status = body["status"]
    status["message"] = status["verification"]["message"] = "m" * 500 + " and " + "words " * 80
    status["evidence"]["suspects"][0] |= {"function": function[:512], "file": "f" * 400 + ".go", "line": 123_456_789}
    status["actions"][0] |= {"type": "A" * 32, "message": "q" * 1024}
    for number, guard in enumerate(status["guards"]):
        guard |= {"guard": f"{'G' * 60}{number:03}", "passed": number % 2 == 0, "message": "g" * 1000}
    return body


def hostile() -> dict[str, Any]:
    """Every text of the report is an attack; fields with a pattern or an enumeration stay as they are."""
    body = full()
    kept = {"phase", "state", "result", "time", "detectedAt", "verdict"}
    random_order = random.Random(3)

    def poison(node: Any, key: str = "") -> Any:
        if isinstance(node, dict):
            return {k: v if k in kept and isinstance(v, str) else poison(v, k) for k, v in node.items()}
        if isinstance(node, list):
            return [poison(each, key) for each in node]
        if isinstance(node, str) and not key.endswith("At") and key not in ("since", "apiVersion", "kind"):
            return HOSTILE[random_order.randrange(len(HOSTILE))] if key in ("name", "guard") else SCRIPT
        return node

    poisoned: dict[str, Any] = poison(body)
    poisoned["spec"]["pod"]["uid"] = "u"
    for suspect in poisoned["status"]["evidence"]["suspects"]:
        suspect["confidence"] = "<b onclick=x()>"
    poisoned["status"]["evidence"]["pool"] = poisoned["status"]["message"] = " ".join(HOSTILE)
    poisoned["status"]["evidence"]["descriptors"] = list(HOSTILE)
    return poisoned


def inconclusive() -> dict[str, Any]:
    body = full()
    status = body["status"]
    status["phase"], status["message"] = "Inconclusive", "the new pod had too few readings within 10m"
    status["actions"][0]["result"] = "Inconclusive"
    status["verification"]["after"] = None
    status["verification"]["message"] = status["message"]
    return body


def ineffective() -> dict[str, Any]:
    body = full()
    status = body["status"]
    status["phase"], status["message"] = "Ineffective", "the new pod grows like the old one: +560/h to +700/h"
    status["verification"]["after"] = {
        "growthPerHour": {"low": 560.0, "high": 700.0}, "value": 240.0, "pods": 1, "symptoms": ["errors 6.1 % of requests"],
    }  # fmt: skip
    status["verification"]["message"] = status["message"]
    return body


def without_series() -> dict[str, Any]:
    body = full()
    del body["status"]["series"]
    return body


def with_gaps() -> dict[str, Any]:
    """Sixty points with a failed scrape, a gap of half an hour, and a single reading in between."""
    body = full()
    series = body["status"]["series"]
    times = [START + 60 * n + (1800 if n > 25 else 0) + (900 if n > 26 else 0) for n in range(60)]
    series["times"] = times
    body["status"]["verdict"]["judgedAt"] = None
    return body


def pool() -> dict[str, Any]:
    """A database pool of eight connections."""
    body = full()
    body["spec"] |= {"signal": "db-pool", "signalType": "DBPool"}
    status = body["status"]
    status["series"]["values"] = [float(min(7, n // 8)) for n in range(60)]
    status["verdict"] |= {
        "value": 7.0, "limit": 8.0, "unit": "connections", "growthPerHour": {"low": 4.0, "high": 9.0},
        "secondsToExhaustion": {"low": 300.0, "high": None}, "message": "7 of 8 connections",
    }  # fmt: skip
    status["evidence"]["pool"] = "rows or transactions are not closed: 7 of 8 connections (0 idle) in use, +7.5 an hour"
    return body


def memory() -> dict[str, Any]:
    """Bytes below a limit that is far away."""
    body = full()
    status = body["status"]
    status["series"]["values"] = [float(150 * 2**20 + n * 2**20) for n in range(60)]
    status["verdict"] |= {
        "value": 209.0 * 2**20, "limit": 64.0 * 2**30, "unit": "bytes", "growthPerHour": {"low": 5e7, "high": 7e7},
        "secondsToExhaustion": {"low": 3.4e6, "high": 4.8e6},
    }  # fmt: skip
    return body


def measured() -> dict[str, Any]:
    """With what users had before, during and after; the pool has no counter of waits."""
    body = full()
    body["status"]["verification"]["outcome"] = {
        "measuredAt": "2026-11-24T05:40:00Z", "counted": "at the proxy, route checkout",
        "before": {"since": "2026-11-24T05:10:00Z", "until": "2026-11-24T05:20:00Z"},
        "during": {"since": "2026-11-24T05:20:00Z", "until": "2026-11-24T05:22:00Z"},
        "after": {"since": "2026-11-24T05:22:00Z", "until": "2026-11-24T05:30:00Z"},
        "rows": [
            {"name": "ErrorRate", "unit": "of requests", "before": 0.126, "during": 0.031, "after": 0.0},
            {"name": "HTTP 502", "unit": "per second", "before": 12.6, "during": 3.1, "after": 0.0},
            {"name": "P99", "unit": "seconds", "before": 1.82, "during": 0.71, "after": 0.043},
            {"name": "Descriptors", "unit": "descriptors", "before": 981.0, "after": 41.0, "missing": "no readings during"},
            {"name": "PoolWaits", "unit": "per second", "missing": "NoSeries: no pod of these namespaces has it"},
        ],
    }  # fmt: skip
    return body


def unmeasured() -> dict[str, Any]:
    body = full()
    body["status"]["verification"]["outcome"] = {
        "measuredAt": "2026-11-24T05:40:00Z", "message": "the source kubelet does not remember what was", "rows": [],
    }  # fmt: skip
    return body


def explained() -> dict[str, Any]:
    """Users got errors, and the cause is known."""
    body = full()
    body["status"]["cause"] = {
        "kind": "Exhaustion", "confidence": "Clear", "message": "clearly Exhaustion: a pod's descriptors were used up",
        "measuredAt": "2026-11-24T05:10:00Z", "counted": "at the proxy, route checkout",
        "facts": ["a pod's descriptors or connection pool were used up in 96% of the bad moments", SCRIPT],
        "unknown": ["when the pods' processes began"], "pods": ["checkout-1: its descriptors were at 100% of the limit"],
        "logs": {"counts": [{"kind": "TooManyOpenFiles", "count": 41}], "message": "looked at checkout-1: 812 lines",
                 "lines": ["accept4: too many open files; retrying in 1s token=[cut]", "\x1b[31m" + SCRIPT]},
    }  # fmt: skip
    return body


def crowded() -> dict[str, Any]:
    """As many actions as an episode may have, the newest first."""
    body = full()
    action = body["status"]["actions"][0]
    body["status"]["actions"] = [
        {**action, "id": f"act-{n}", "type": "ScaleOut" if n % 2 else "RolloutRestart",
         "phase": ("Done", "Blocked", "Failed", "Interrupted", "Pending")[n % 5],
         "intendedAt": f"2026-11-24T05:{20 - n:02}:00Z", "finishedAt": f"2026-11-24T05:{20 - n:02}:20Z"}
        for n in range(8)
    ]  # fmt: skip
    return body


EXAMPLES = {
    "full": full,
    "minimal": minimal,
    "observed": observed,
    "long_names": long_names,
    "hostile": hostile,
    "inconclusive": inconclusive,
    "ineffective": ineffective,
    "without_series": without_series,
    "with_gaps": with_gaps,
    "pool": pool,
    "memory": memory,
    "crowded": crowded,
    "explained": explained,
    "measured": measured,
    "unmeasured": unmeasured,
}


def example(name: str) -> LeakReport:
    return parsed(copy.deepcopy(EXAMPLES[name]()))
