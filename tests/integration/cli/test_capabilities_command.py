"""`leakwarden capabilities` as a person runs it, against a fake API server: the output and the exit code."""

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

LIST = "/apis/leakwarden.dev/v1alpha1/reliabilitypolicies"
OF_THE_CLUSTER = "/apis/leakwarden.dev/v1alpha1/clusterreliabilitypolicies"
CONDITIONS = [{"type": "Ready", "status": "True", "reason": "Reconciled", "lastTransitionTime": "2026-01-02T03:04:05Z"}]
NO_POOL = {"signal": "pool", "reason": "NotInWorkload", "fix": "no sql collector: register it"}
CLOSE_WAIT = "CLOSE_WAIT is not exported by the kubelet"


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer(token="secret") as server:
        yield server


def written_now() -> dict[str, str]:
    return {"manager": "leakwarden", "subresource": "status", "time": format_time(time.time())}


def policy(name: str, *workloads: dict[str, Any], ns: str = "shop", **status: Any) -> dict[str, Any]:
    found = {
        "observedGeneration": 1,
        "conditions": CONDITIONS,
        "source": "Prometheus/main",
        "targets": {"workloads": len(workloads)},
        "workloads": [{"verdict": "Healthy", "pods": 1, **workload} for workload in workloads],
        "signals": [{"name": each, "state": "Partial", "message": "why"} for each in ("descriptors", "pool", "errors")],
        "notes": [CLOSE_WAIT],
        **status,
    }
    return {
        "metadata": {"name": name, "namespace": ns, "generation": 1, "managedFields": [written_now()]},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": found,
    }


def workload(name: str, *available: str, missing: tuple[dict[str, str], ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "name": name, "available": list(available), "missing": list(missing), "missingTotal": len(missing), **more,
    }  # fmt: skip


@pytest.fixture
def run(api: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command in a thread of its own, as it has an event loop of its own: exit code, output, errors."""
    # A busy machine must not make it report that it waits.
    monkeypatch.setattr("leakwarden.cli.capabilities.PATIENCE", 60.0)
    path = kubeconfig(tmp_path, api.url, "secret")

    async def ask(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["capabilities", "--kubeconfig", str(path), *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return ask


async def test_what_is_missing_is_listed_with_what_to_do_and_exits_with_one(api: FakeApiServer, run: Any) -> None:
    api.put(
        "reliabilitypolicies",
        policy(
            "one", workload("api", "descriptors", "pool", "errors"), workload("web", "descriptors", missing=(NO_POOL,))
        ),
    )
    code, out, err = await run()
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "shop/one  (Prometheus/main, status written within the last minute)",
        "  WORKLOAD  SIGNAL       STATE          WHAT TO DO",
        "  api       descriptors  Available",
        "            pool         Available",
        "            errors       Available",
        "  web       descriptors  Available",
        "            pool         NotInWorkload  no sql collector: register it",
        "            errors       Unknown        why",
        "",
        f"note: {CLOSE_WAIT}",
        "",
        "1 policy, 2 workloads: 1 thing missing",
    ]
    assert [request.path for request in api.requests] == [LIST, OF_THE_CLUSTER]
    assert {request.method for request in api.requests} == {"GET"}


async def test_where_nothing_is_missing_it_exits_with_zero(api: FakeApiServer, run: Any) -> None:
    api.put("reliabilitypolicies", policy("one", workload("api", "descriptors", "pool", "errors")))
    code, out, err = await run()
    assert (code, err) == (0, "")
    assert out.endswith("1 policy, 1 workload: 0 things missing\n")


async def test_json_holds_the_same_for_scripts(api: FakeApiServer, run: Any) -> None:
    api.put("reliabilitypolicies", policy("one", workload("web", "descriptors", missing=(NO_POOL,))))
    code, out, _ = await run("-o", "json")
    assert code == 1
    told = json.loads(out)
    assert told["policies"][0].pop("written")
    assert told == {
        "operator": {"state": "Working", "message": ""},
        "policies": [
            {
                "namespace": "shop",
                "name": "one",
                "source": "Prometheus/main",
                "trouble": "",
                "workloads": [
                    {
                        "name": "web",
                        "available": ["descriptors"],
                        "missing": [NO_POOL],
                        "missingTotal": 1,
                        "unknown": [{"signal": "errors", "cause": "why"}],
                    }
                ],
                "lacks": [],
                "notes": [CLOSE_WAIT],
            }
        ],
        "missing": 1,
    }


async def test_a_namespace_and_a_name_narrow_the_list(api: FakeApiServer, run: Any) -> None:
    for name, ns in (("one", "shop"), ("two", "shop"), ("two", "team")):
        api.put("reliabilitypolicies", policy(name, workload("api", "descriptors"), ns=ns))
    _, out, _ = await run("-n", "shop")
    assert [line for line in out.splitlines() if line.startswith(("shop/", "team/"))] == [
        "shop/one  (Prometheus/main, status written within the last minute)",
        "shop/two  (Prometheus/main, status written within the last minute)",
    ]
    assert api.requests[-2].path == "/apis/leakwarden.dev/v1alpha1/namespaces/shop/reliabilitypolicies"
    _, out, _ = await run("two", "-o", "json")
    assert [(one["namespace"], one["name"]) for one in json.loads(out)["policies"]] == [
        ("shop", "two"),
        ("team", "two"),
    ]


async def test_many_policies_come_in_pages(api: FakeApiServer, run: Any) -> None:
    for n in range(230):
        api.put("reliabilitypolicies", policy(f"p{n}", workload("api", "descriptors")))
    _, out, _ = await run("-o", "json")
    assert len({one["name"] for one in json.loads(out)["policies"]}) == 230
    assert len(api.asked("GET", "/reliabilitypolicies")) == 3


async def test_what_the_status_has_no_room_for_counts_too(api: FakeApiServer, run: Any) -> None:
    api.put("reliabilitypolicies", policy("one", workload("web", missing=(NO_POOL,), missingTotal=5)))
    code, out, _ = await run()
    assert code == 1
    assert "and 4 more that the status has no room for" in out
    assert "5 things missing" in out
    assert "Unknown" not in out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"conditions": []}, "the operator has not judged it yet"),
        ({"observedGeneration": 0}, "has not judged its present spec yet"),
        ({"workloads": [], "targets": {"workloads": 0}}, "it selects no workload"),
        ({"targets": {"workloads": 21}}, "no room for 20 more"),
        ({"workloads": [{"name": "web", "verdict": "Unknown"}]}, "nothing can be told of web for the moment"),
        ({"conditions": [*CONDITIONS, {**CONDITIONS[0], "type": "Stalled", "reason": "UnknownSource", "message": "no main"}]},
         "no main"),
    ],
)  # fmt: skip
async def test_where_it_cannot_be_told_the_exit_code_is_two(
    api: FakeApiServer, run: Any, change: dict[str, Any], says: str
) -> None:
    api.put("reliabilitypolicies", policy("one", workload("api", "descriptors"), **change))
    code, _, err = await run()
    assert code == 2
    assert err.startswith("leakwarden capabilities: shop/one: ")
    assert says in err
    assert err.count("\n") == 1


async def test_silences_that_nobody_reads_are_a_thing_that_is_missing(api: FakeApiServer, run: Any) -> None:
    unread = {
        **CONDITIONS[0],
        "type": "Stalled",
        "reason": "SilencesUnread",
        "message": "no Alertmanager is configured",
    }
    api.put("reliabilitypolicies", policy("one", workload("api", "descriptors"), conditions=[*CONDITIONS, unread]))
    code, out, err = await run()
    assert (code, err) == (1, "")
    assert "lacks: no Alertmanager is configured" in out
    assert "1 thing missing" in out
    code, out, _ = await run("-o", "json")
    told = json.loads(out)
    assert (code, told["missing"], told["policies"][0]["lacks"]) == (1, 1, ["no Alertmanager is configured"])


async def test_a_spec_that_cannot_be_used_is_said(api: FakeApiServer, run: Any) -> None:
    broken = policy("one", workload("api", "descriptors"))
    broken["spec"]["mode"] = "Kill"
    api.put("reliabilitypolicies", broken)
    code, _, err = await run()
    assert code == 2
    assert "spec.mode is 'Kill'" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "there is no ReliabilityPolicy in any namespace"),
        (("one", "-n", "team"), "there is no ReliabilityPolicy named one in namespace team"),
        (("..",), "POLICY '..' is not a name that Kubernetes allows"),
        (("-n", "../../api"), "--namespace '../../api' is not a name that Kubernetes allows"),
        (("--context", "elsewhere"), "cannot use the kubeconfig"),
    ],
)
async def test_what_a_user_can_get_wrong_is_one_line(run: Any, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = await run(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=401), "does not accept the credentials"),
        (Fault(status=403), "not allowed to list reliabilitypolicies in all namespaces"),
        (Fault(status=404), "knows no reliabilitypolicies"),
        (Fault(status=500), "answered HTTP 500"),
        (Fault(status=200, body="<html>"), "is it an API server?"),
        (Fault(status=200, body="[]"), "is it an API server?"),
        (Fault(cut=True), "closed the connection"),
    ],
)
async def test_whatever_the_api_server_does_ends_in_one_line(
    api: FakeApiServer, run: Any, fault: Fault, says: str
) -> None:
    api.fail("GET", "/reliabilitypolicies", fault, times=5)
    code, out, err = await run()
    assert (code, out) == (2, "")
    assert says in err
    assert "made to fail" not in err


async def test_a_slow_answer_is_announced(api: FakeApiServer, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwarden.cli.capabilities.PATIENCE", 0.05)
    api.put("reliabilitypolicies", policy("one", workload("api", "descriptors", "pool", "errors")))
    api.fail("GET", "/reliabilitypolicies", Fault(delay=1.0))
    code, _, err = await run()
    assert (code, err) == (0, f"leakwarden capabilities: waiting for {api.url}\n")


async def test_what_stands_in_a_status_does_not_drive_the_terminal(api: FakeApiServer, run: Any) -> None:
    evil = {"signal": "pool\033[31m", "reason": "x\r", "fix": "y\nz\033]0;owned\a"}
    api.put("reliabilitypolicies", policy("one", workload("web", "descriptors", missing=(evil,)), notes=["n\033[2J"]))
    _, out, err = await run()
    assert all(character.isprintable() for character in (out + err).replace("\n", ""))
    assert len(out.splitlines()) == 10  # as many as with plain text
