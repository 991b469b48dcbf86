"""`leakwarden explain` against a fake API server: every reason in one command, and an exit code for the state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leakwarden.__main__ import main
from leakwarden.cli import explain
from tests.integration.cluster.fake_api_objects import kubeconfig
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

POLICY: dict[str, Any] = {
    "metadata": {"name": "checkout", "namespace": "shop", "generation": 1},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "mode": "Enforce"},
    "status": {
        "workloads": [
            {"name": "web", "verdict": "Exhausting", "pods": 2, "unreported": 480,
             "skipped": {"action": "EvictPod", "pod": "web-1", "reasons": ["CooldownActive"], "message": "in 5m"}},
            {"name": "calm", "verdict": "Healthy", "pods": 1},
        ]
    },
}  # fmt: skip
REPORT: dict[str, Any] = {
    "metadata": {"name": "web-0123abcd", "namespace": "shop", "uid": "r1", "resourceVersion": "5"},
    "spec": {
        "policy": {"name": "checkout", "uid": "p"}, "workload": {"name": "web", "uid": "w"},
        "pod": {"name": "web-1", "uid": "u"}, "signal": "descriptors", "signalType": "Descriptors",
        "detectedAt": "2026-01-02T03:04:05Z",
    },
    "status": {
        "phase": "Detected",
        "guards": [
            {"guard": "suspended", "passed": True},
            {"guard": "cooldown_active", "passed": False, "reason": "CooldownActive", "message": "next action in 5m"},
        ],
    },
}  # fmt: skip


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer(token="secret") as server:
        server.put("reliabilitypolicies", POLICY)
        server.put("leakreports", REPORT)
        yield server


@pytest.fixture
def run(api: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    path = kubeconfig(tmp_path, api.url, "secret")

    async def ask(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["explain", "--kubeconfig", str(path), *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return ask


async def test_every_guard_that_said_no_is_told_with_its_words(run: Any) -> None:
    code, out, _ = await run("shop/web")
    assert code == 1
    assert "no  cooldown_active: CooldownActive: next action in 5m" in out
    assert "yes suspended" in out
    assert "EvictPod of web-1 waits: CooldownActive" in out
    assert "480 more leak and have no report yet" in out


async def test_tools_read_the_same_as_json(run: Any) -> None:
    code, out, _ = await run("shop/web", "-o", "json")
    told = json.loads(out)
    assert code == 1
    assert told["open"][0]["guards"][1]["reason"] == "CooldownActive"


async def test_a_calm_workload_exits_with_zero(run: Any) -> None:
    code, out, _ = await run("shop/calm")
    assert (code, "no leak is open" in out) == (0, True)


@pytest.mark.parametrize("target", ["shop/unknown", "web", "Shop/web"])
async def test_what_no_policy_knows_and_what_is_no_name_is_said(run: Any, target: str) -> None:
    code, out, err = await run(target)
    assert (code, out) == (2, "")
    assert err.startswith("leakwarden explain: ")


async def test_a_leak_without_a_report_is_no_calm(run: Any, api: FakeApiServer) -> None:
    """Such as where LeakReports cannot be written: the status shows the leak, and no action is taken without a
    record."""
    condition = {
        "type": "Stalled", "status": "True", "reason": "RecordsUnavailable", "message": "create leakreports",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }  # fmt: skip
    workload = {"name": "bare", "verdict": "Exhausting", "pods": 1}
    status = {"workloads": [workload], "conditions": [condition]}
    api.put("reliabilitypolicies", {**POLICY, "metadata": {**POLICY["metadata"], "name": "bare"}, "status": status})

    code, out, _ = await run("shop/bare")
    assert code == 1
    assert "stalled: RecordsUnavailable: create leakreports" in out
    assert "no LeakReport of it is open" in out
    assert "nothing is due" not in out


@pytest.mark.parametrize(("verdict", "spec"), [("Unknown", POLICY["spec"]), ("Healthy", {"mode": "Enforce"})])
async def test_what_was_not_judged_by_the_present_spec_is_not_called_calm(
    run: Any, api: FakeApiServer, verdict: str, spec: dict[str, Any]
) -> None:
    status = {"workloads": [{"name": "dim", "verdict": verdict, "pods": 1}]}
    api.put(
        "reliabilitypolicies",
        {"metadata": {**POLICY["metadata"], "name": "dim"}, "spec": spec, "status": status},
    )

    code, out, _ = await run("shop/dim")
    assert code == 2
    assert "whether it leaks is not known" in out


async def test_a_server_that_takes_its_time_is_named(
    run: Any, api: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "PATIENCE", 0.0)
    code, out, err = await run("shop/calm")
    assert (code, err) == (0, f"leakwarden explain: waiting for {api.url}\n")
    assert "no leak is open" in out


async def test_an_answer_that_is_no_list_of_objects_is_one_line(run: Any, api: FakeApiServer) -> None:
    api.fail("GET", "/leakreports", Fault(body='{"items": [1, null]}'))
    code, out, err = await run("shop/web")
    assert (code, out) == (2, "")
    assert "did not answer with a list of leakreports" in err


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "does not accept the credentials"),
        (403, "you are not allowed to list reliabilitypolicies in namespace shop"),
        (404, "install the chart"),
    ],
)
async def test_a_server_that_says_no_is_told_with_the_missing_right(
    run: Any, api: FakeApiServer, status: int, says: str
) -> None:
    api.fail("GET", "/reliabilitypolicies", Fault(status=status), times=2)
    code, out, err = await run("shop/web")
    assert (code, out) == (2, "")
    assert says in err


async def test_a_kind_narrows_the_question_and_one_that_is_none_is_refused(run: Any, api: FakeApiServer) -> None:
    held = {"name": "ledger", "kind": "StatefulSet", "verdict": "Healthy", "pods": 3}
    api.put("reliabilitypolicies", {**POLICY, "status": {**POLICY["status"], "others": [held]}})
    code, out, _ = await run("shop/ledger")
    assert (code, "StatefulSet/ledger by policy checkout (Enforce): Healthy" in out) == (0, True)
    assert (await run("shop/statefulset/ledger"))[0] == 0
    code, _, err = await run("shop/deployment/ledger")
    assert code == 2
    assert "shows a Deployment ledger" in err
    code, _, err = await run("shop/job/ledger")
    assert code == 2
    assert "it must be one of Deployment, StatefulSet, DaemonSet, Rollout" in err
