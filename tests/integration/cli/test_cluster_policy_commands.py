"""The commands that read policies, with one of the cluster: from a file, and from a fake API server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leakwarden.__main__ import main
from leakwarden.cli.audit.command import _policies
from leakwarden.cli.backtest.policy import load, rules_of
from tests.integration.cluster.fake_api_objects import kubeconfig
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.unit.engine.cluster_policy_world import ALLOWED, ClusterWorld, cluster_body

KIND = "clusterreliabilitypolicies"
WRITTEN: dict[str, Any] = {
    "apiVersion": "leakwarden.dev/v1alpha1",
    "kind": "ClusterReliabilityPolicy",
    **cluster_body(),
}


def saved(folder: Path, *documents: dict[str, Any]) -> str:
    file = folder / "policy.yaml"
    file.write_text("\n---\n".join(map(json.dumps, documents)))
    return str(file)


def test_check_reads_it_and_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", saved(tmp_path, WRITTEN)]) == 0
    assert "ClusterReliabilityPolicy/golden: valid" in capsys.readouterr().out
    broken = {**WRITTEN, "spec": {**WRITTEN["spec"], "namespaces": {}}}
    homed = {**WRITTEN, "metadata": {"name": "homed", "namespace": "shop"}}
    assert main(["check", saved(tmp_path, broken, homed)]) == 1
    said = capsys.readouterr().err
    assert "ClusterReliabilityPolicy/golden: spec.namespaces" in said
    assert "metadata.namespace is 'shop'; a ClusterReliabilityPolicy has none" in said


def test_backtest_and_audit_take_it_from_a_file(tmp_path: Path) -> None:
    file = saved(tmp_path, WRITTEN)
    policy = load(file)
    assert (policy.namespace, policy.name) == ("", "golden")
    assert rules_of(policy).acts
    (found,), problems = _policies(file)
    assert not problems
    assert getattr(found, "spec", None) is not None


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    """With the status that the operator writes: one namespace allows it to act, the other does not."""
    world = ClusterWorld({"bank": ALLOWED, "mill": {}})
    for _ in range(3):
        await world.later()
    status = world.shown().status.model_dump(mode="json", by_alias=True, exclude_none=True)
    async with FakeApiServer(token="secret") as server:
        server.put(KIND, {**cluster_body(), "status": status})
        yield server


@pytest.fixture
def run(api: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    path = kubeconfig(tmp_path, api.url, "secret")

    async def ask(command: str, *arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, [command, "--kubeconfig", str(path), *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return ask


async def test_explain_says_what_it_may_do_in_the_namespace(run: Any) -> None:
    code, out, _ = await run("explain", "mill/api")
    assert code == 1
    assert "policy ClusterReliabilityPolicy/golden (Observe: the namespace does not have the label" in out
    code, out, _ = await run("explain", "bank/api")
    assert "policy ClusterReliabilityPolicy/golden (Enforce): Exhausting" in out
    code, out, _ = await run("explain", "mill/api", "-o", "json")
    (view,) = json.loads(out)["policies"]
    assert (view["policy"], view["mode"]) == ("ClusterReliabilityPolicy/golden", "Observe")
    assert "leakwarden.dev/enforce" in view["bound"]


async def test_capabilities_shows_it_by_namespace(run: Any) -> None:
    _, out, _ = await run("capabilities")
    assert "bank/ClusterReliabilityPolicy/golden" in out
    assert "mill/ClusterReliabilityPolicy/golden" in out
    _, out, _ = await run("capabilities", "-n", "mill", "-o", "json")
    (only,) = json.loads(out)["policies"]
    assert (only["namespace"], [each["name"] for each in only["workloads"]]) == ("mill", ["api"])


async def test_one_that_no_operator_has_read_is_said(run: Any, api: FakeApiServer) -> None:
    api.put(KIND, cluster_body("unread"))
    code, _, err = await run("capabilities", "unread")
    assert code == 2
    assert "the operator has not judged it yet" in err


@pytest.mark.parametrize("command", [("explain", "bank/api"), ("capabilities", "-n", "bank")])
async def test_without_the_right_to_read_them_that_is_said(
    run: Any, api: FakeApiServer, command: tuple[str, ...]
) -> None:
    api.fail("GET", f"/{KIND}", Fault(status=403), times=10)
    code, _, err = await run(*command)
    assert code == 2
    assert f"you are not allowed to list {KIND} (HTTP 403)" in err
    assert "in the LeakReports of the namespace" in err
