"""Lines of known errors from a Loki: of one Deployment's pods alone, within bounds, and without a word where it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from leakwarden.adapters.prometheus import loki as adapter
from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.adapters.prometheus.loki import LokiLogs
from leakwarden.core.correlation.log_lines import LONGEST, log_evidence
from leakwarden.core.correlation.traffic import pod_names
from leakwarden.engine.ports import LogStore, LogTail
from tests.integration.prometheus.fake_loki import FakeLoki, loki
from tests.integration.prometheus.fake_prometheus import SECRET, body, redirect, status

SINCE, UNTIL = 1_700_000_000.0, 1_700_001_800.0
POD = "checkout-7d9fbdb6c5-x7k2z"
FULL = "accept4: too many open files; retrying in 1s"


@pytest.fixture
async def fake() -> AsyncIterator[FakeLoki]:
    async with loki() as server:
        yield server


def at(seconds: float) -> int:
    return int((SINCE + seconds) * 1e9)


async def ask(fake: FakeLoki, **changes: Any) -> LogTail:
    source: LokiLogs = LokiLogs(Endpoint.model_validate({"name": "main", "url": fake.url, **changes}))
    store: LogStore = source
    try:
        return await store.matching("shop", pod_names("checkout"), SINCE, UNTIL)
    finally:
        await source.close()


async def test_known_errors_of_the_deployments_pods_come_in_order_with_their_times(fake: FakeLoki) -> None:
    fake.streams = [
        ({"namespace": "shop", "pod": POD}, [(at(60), FULL), (at(61), "all is well")]),
        ({"namespace": "shop", "pod": "checkout-7d9fbdb6c5-b9d4c"}, [(at(30), "dial tcp: CONNECTION REFUSED")]),
        ({"namespace": "shop", "pod": "checkout-admin-7d9fbdb6c5-b9d4c"}, [(at(30), FULL)]),
        ({"namespace": "bank", "pod": POD}, [(at(30), FULL)]),
    ]
    found = await ask(fake)
    assert found == LogTail([
        "2023-11-14T22:13:50+00:00 dial tcp: CONNECTION REFUSED", f"2023-11-14T22:14:20+00:00 {FULL}",
    ])  # fmt: skip
    evidence = log_evidence(found.lines, SINCE, UNTIL)
    assert {str(kind): list(times) for kind, times in evidence.times.items()} == {
        "ConnectionRefused": [SINCE + 30], "TooManyOpenFiles": [SINCE + 60],
    }  # fmt: skip
    assert len(fake.asked) == 1


async def test_no_line_of_a_known_error_is_an_answer_and_no_line_at_all_is_none(fake: FakeLoki) -> None:
    fake.streams = [({"namespace": "shop", "pod": POD}, [(at(60), "all is well")])]
    assert await ask(fake) == LogTail([])
    fake.streams = [({"namespace": "shop", "pod": "other"}, [(at(60), FULL)])]
    assert (await ask(fake)).trouble == "it has no line of these pods in this time"


async def test_the_labels_tenant_and_matchers_are_those_of_the_endpoint(fake: FakeLoki) -> None:
    streams = {"k8s_namespace_name": "shop", "k8s_pod_name": POD}
    fake.streams = [({**streams, "cluster": "a"}, [(at(1), FULL)]), ({**streams, "cluster": "b"}, [(at(2), FULL)])]
    found = await ask(
        fake, namespaceLabel="k8s_namespace_name", podLabel="k8s_pod_name", matchers={"cluster": "a"},
        headers={"X-Scope-OrgID": "team-a"},
    )  # fmt: skip
    assert len(found.lines) == 1
    assert fake.headers[0]["X-Scope-OrgID"] == "team-a"


async def test_credentials_are_read_from_files_and_a_refusal_shows_none(fake: FakeLoki, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter2")
    fake.wanted_authorization = "Bearer hunter2"
    fake.streams = [({"namespace": "shop", "pod": POD}, [(at(1), FULL)])]
    assert len((await ask(fake, bearerTokenFile=str(token))).lines) == 1
    assert (await ask(fake)).trouble == "it answered HTTP 401"
    assert str(tmp_path / "none") in (await ask(fake, bearerTokenFile=str(tmp_path / "none"))).trouble


async def test_more_lines_than_are_read_are_said(fake: FakeLoki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "LINES", 3)
    fake.streams = [({"namespace": "shop", "pod": POD}, [(at(n), FULL) for n in range(10)])]
    found = await ask(fake)
    assert (len(found.lines), found.more) == (3, True)


async def test_lines_are_cut_and_an_answer_that_is_too_large_is_given_up(
    fake: FakeLoki, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.streams = [({"namespace": "shop", "pod": POD}, [(at(1), FULL + "x" * 10_000)])]
    assert len((await ask(fake)).lines[0]) == len("2023-11-14T22:13:21+00:00 ") + LONGEST
    monkeypatch.setattr(adapter, "MAX_BYTES", 1 << 10)
    assert "larger than" in (await ask(fake)).trouble


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(500), "HTTP 500"),
        (redirect("http://127.0.0.1:1/"), "HTTP 302"),
        (body("<html>" + SECRET), "not one of Loki's"),
        (body('{"data":{"resultType":"matrix","result":[]}}'), "not one of Loki's"),
        (body('{"data":{"resultType":"streams","result":[{"values":[["soon","x"]]}]}}'), "not one of Loki's"),
        (body('{"data":{"resultType":"streams","result":[{"values":[[1,2]]}]}}'), "not one of Loki's"),
        (body('{"data":{"resultType":"streams","result":[{"values":[["9e99","x"]]}]}}'), "not one of Loki's"),
        (
            body('{"data":{"resultType":"streams","result":[{"values":[["99999999999999999999999","x"]]}]}}'),
            "not one of Loki's",
        ),
    ],
)
async def test_a_failure_is_a_trouble_in_our_own_words(fake: FakeLoki, fault: Any, said: str) -> None:
    fake.fault = fault
    found = await ask(fake)
    assert said in found.trouble
    assert SECRET not in found.trouble
    assert not found.lines


async def test_a_server_that_does_not_listen_is_a_trouble() -> None:
    async with loki() as gone:
        pass
    assert (await ask(gone)).trouble == "it cannot be reached"
