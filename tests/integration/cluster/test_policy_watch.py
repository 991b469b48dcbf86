"""The kopf edge against a fake API server: policies arrive, and a refusal does not end the process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.handlers import PolicyWatch, why
from leakwarden.engine.policy_store import PolicyStore
from tests.integration.cluster.fake_api_objects import eventually, kubeconfig
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault


def _policy(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "leakwarden.dev/v1alpha1",
        "kind": "ReliabilityPolicy",
        "metadata": {"name": name, "namespace": "team", "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"selector": {"matchLabels": {"app": name}}},
    }


def _known(policies: PolicyStore) -> set[str]:
    return {policy.name for policy in policies.all()}


@pytest.mark.slow
async def test_a_right_that_is_taken_away_is_named_and_what_changed_meanwhile_is_heard_of_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeApiServer() as api:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, api.url)))
        api.put("reliabilitypolicies", _policy("first"))
        policies = PolicyStore()
        watch = PolicyWatch(policies, lambda: None, ["team"], backoff=0.05)
        watch.start()
        try:
            await eventually(lambda: _known(policies) == {"first"})
            api.fail("GET", "/reliabilitypolicies", Fault(status=403), times=10_000)
            api.cut_watches("reliabilitypolicies")
            await eventually(lambda: "may not list or watch reliabilitypolicies.leakwarden.dev" in watch.trouble)
            assert _known(policies) == {"first"}
            assert not watch.ended.is_set()
            api.put("reliabilitypolicies", _policy("second"))
            api.recover()
            await eventually(lambda: _known(policies) == {"first", "second"})
            assert watch.trouble == ""
        finally:
            await watch.stop()
        await asyncio.wait_for(watch.ended.wait(), 10)
        assert watch.failure == ""


def test_a_cause_is_a_class_and_a_status_and_nothing_the_server_wrote() -> None:
    error = RuntimeError("secret words")
    assert why(error) == "RuntimeError"
    error.status = 503  # type: ignore[attr-defined]
    assert why(error) == "RuntimeError (503)"
