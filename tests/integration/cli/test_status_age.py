"""A status of an operator that is away: `explain` and `capabilities` show its age, and never treat it as current."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leakwarden.__main__ import main
from leakwarden.core.model.policy import format_time
from tests.integration.cluster.fake_api_objects import kubeconfig
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

HOUR = 3600.0
CALM = {"name": "web", "verdict": "Healthy", "pods": 1, "available": ["descriptors"]}
LEAKS = {**CALM, "verdict": "Exhausting"}
COMMANDS = {"explain": ["explain", "shop/web"], "capabilities": ["capabilities", "-n", "shop"]}
ABSENT = "the operator does not work: its Lease leakwarden/leakwarden was last renewed 3h ago"


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer(token="secret") as server:
        yield server


@pytest.fixture
def run(api: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for command in COMMANDS:
        monkeypatch.setattr(f"leakwarden.cli.{command}.PATIENCE", 60.0)
    path = kubeconfig(tmp_path, api.url, "secret")

    async def ask(command: str, *arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [*COMMANDS[command], "--kubeconfig", str(path), *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return ask


def written(api: FakeApiServer, ago: float, workload: dict[str, Any] = CALM) -> None:
    """A policy whose spec was touched just now, and its status so many seconds ago."""
    at = {"status": time.time() - ago, "": time.time()}
    fields = [{"manager": "m", "subresource": each, "time": format_time(when)} for each, when in at.items()]
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "Reconciled",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    api.put(
        "reliabilitypolicies",
        {
            "metadata": {"name": "checkout", "namespace": "shop", "generation": 1, "managedFields": fields},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"observedGeneration": 1, "conditions": [condition], "workloads": [workload],
                       "targets": {"workloads": 1}},
        },
    )  # fmt: skip


def renewed(api: FakeApiServer, ago: float, ns: str = "leakwarden", name: str = "leakwarden") -> None:
    at = format_time(time.time() - ago).replace("Z", ".123456Z")
    api.put("leases", {"metadata": {"name": name, "namespace": ns}, "spec": {"holderIdentity": "x", "renewTime": at}})


def leases_asked_for(api: FakeApiServer) -> list[str]:
    return [request.path for request in api.requests if "/leases/" in request.path]


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_old_status_of_an_operator_that_is_gone_is_a_warning_and_no_all_clear(
    api: FakeApiServer, run: Any, command: str
) -> None:
    written(api, 5 * HOUR)
    renewed(api, 3 * HOUR)
    code, out, err = await run(command)
    assert code == 2
    assert ABSENT in out + err
    assert "status written 5h ago" in out
    assert "nothing is due" not in out
    _, out, _ = await run(command, "-o", "json")
    assert json.loads(out)["operator"]["state"] == "Stopped"
    assert ABSENT in json.loads(out)["operator"]["message"]


async def test_a_leak_that_was_open_then_is_still_told_as_one(api: FakeApiServer, run: Any) -> None:
    written(api, 5 * HOUR, LEAKS)
    renewed(api, 3 * HOUR)
    code, out, _ = await run("explain")
    assert code == 1
    assert out.startswith(f"warning: {ABSENT}")


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_status_that_nothing_had_to_change_for_hours_is_of_now_while_the_operator_works(
    api: FakeApiServer, run: Any, command: str
) -> None:
    written(api, 5 * HOUR)
    renewed(api, 4)
    code, out, err = await run(command)
    assert (code, err) == (0, "")
    assert "status written 5h ago" in out
    assert "operator" not in out


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_fresh_status_needs_no_lease(api: FakeApiServer, run: Any, command: str) -> None:
    written(api, 20)
    code, out, err = await run(command)
    assert (code, err) == (0, "")
    assert "status written within the last minute" in out
    assert leases_asked_for(api) == []


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (None, "there is no Lease leakwarden/leakwarden; --lease names another"),
        (
            Fault(status=403),
            "you are not allowed to get leases.coordination.k8s.io leakwarden in namespace leakwarden (HTTP 403)",
        ),
        (Fault(status=500), "could not be read (HTTP 500)"),
        (Fault(body="[]"), "does not say when it was renewed"),
        (Fault(body='{"spec": {"renewTime": "then"}}'), "does not say when it was renewed"),
        (Fault(cut=True), "closed the connection"),
    ],
)
async def test_where_the_lease_cannot_be_read_that_is_said_and_the_status_stands(
    api: FakeApiServer, run: Any, command: str, fault: Fault | None, says: str
) -> None:
    written(api, 5 * HOUR)
    if fault is not None:
        api.fail("GET", "/leases/", fault, times=5)
    code, out, err = await run(command)
    assert code == 0
    assert "whether the operator still works is not known: " in out + err
    assert says in out + err


async def test_who_may_not_read_the_lease_is_told_the_right_and_all_the_rest(api: FakeApiServer, run: Any) -> None:
    written(api, 5 * HOUR, {**LEAKS, "unhealthy": [{"name": "web-1", "verdict": "Exhausting", "message": "98 % full"}]})
    api.fail("GET", "/namespaces/ops/leases/warden", Fault(status=403), times=5)
    code, out, err = await run("explain", "--lease", "ops/warden")
    assert (code, err) == (1, ""), "a leak is a leak, whoever asks"
    assert "web-1 is Exhausting: 98 % full" in out
    assert "you are not allowed to get leases.coordination.k8s.io warden in namespace ops (HTTP 403); ask for" in out
    assert "what is shown is of when the status was written" in out
    code, out, _ = await run("explain", "--lease", "ops/warden", "-o", "json")
    told = json.loads(out)
    assert (code, told["operator"]["state"], told["policies"][0]["verdict"]) == (1, "Unknown", "Exhausting")
    assert "leases.coordination.k8s.io warden in namespace ops" in told["operator"]["message"]


@pytest.mark.parametrize("command", COMMANDS)
async def test_another_installations_lease_can_be_named(api: FakeApiServer, run: Any, command: str) -> None:
    written(api, 5 * HOUR)
    renewed(api, 3 * HOUR)
    renewed(api, 4, "ops", "warden")
    assert (await run(command, "--lease", "ops/warden"))[0] == 0
    with pytest.raises(SystemExit):
        await run(command, "--lease", "ops")
