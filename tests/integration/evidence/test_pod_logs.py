"""The end of a pod's log, cut by the API server and again here, and the result of a refusal or of no answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from leakwarden.adapters.evidence import logs
from leakwarden.adapters.evidence.logs import BYTES, LINES, LONGEST_LINE, PodLogs
from leakwarden.engine.ports import LogTail
from tests.builders import pod
from tests.integration.cluster.fake_api_objects import session_to
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault

POD = pod()


@asynccontextmanager
async def answering(tmp_path: Path, fault: Fault) -> AsyncIterator[tuple[FakeApiServer, PodLogs]]:
    async with FakeApiServer() as api, session_to(api, tmp_path) as session:
        api.fail("GET", "/log", fault)
        yield api, PodLogs(session)


async def tail(tmp_path: Path, fault: Fault) -> LogTail:
    async with answering(tmp_path, fault) as (_, reader):
        return await reader.tail(POD, 1800.0)


async def test_it_asks_for_the_end_alone_of_the_main_container(tmp_path: Path) -> None:
    async with answering(tmp_path, Fault(200, body="one\n\ntwo\n")) as (api, reader):
        assert await reader.tail(POD, 1800.0) == LogTail(["one", "two"])
        (asked,) = [each for each in api.requests if each.path.endswith("/log")]
    assert asked.path == f"/api/v1/namespaces/shop/pods/{POD.name}/log"
    assert dict(asked.query) == {
        "container": "app", "tailLines": str(LINES), "limitBytes": str(BYTES), "sinceSeconds": "1800", "timestamps": "true",
    }  # fmt: skip


async def test_what_is_sent_beyond_the_bounds_is_cut(tmp_path: Path) -> None:
    found = await tail(tmp_path, Fault(200, body="x" * (BYTES + 10)))
    assert [len(line) for line in found.lines] == [LONGEST_LINE]
    found = await tail(tmp_path, Fault(200, body="a\n" * (LINES + 50)))
    assert len(found.lines) == LINES


@pytest.mark.parametrize(
    ("status", "said"), [(403, "the right get pods/log is missing"), (404, "answered 404"), (400, "answered 400")]
)
async def test_a_refusal_is_told_without_the_servers_text(tmp_path: Path, status: int, said: str) -> None:
    found = await tail(tmp_path, Fault(status, "a tenant's secret"))
    assert said in found.trouble
    assert "tenant" not in found.trouble
    assert not found.lines


async def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "WITHIN", 0.2)
    found = await tail(tmp_path, Fault(hang=True))
    assert found.trouble
