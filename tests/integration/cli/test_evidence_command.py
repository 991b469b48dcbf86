"""`leakwarden evidence` as a person runs it: the profiles of a report in a directory, or one line with the reason."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from leakwarden.__main__ import main
from leakwarden.adapters.evidence.store import location
from tests.integration.cluster.fake_api_objects import kubeconfig

REPORT = "/apis/leakwarden.dev/v1alpha1/namespaces/shop/leakreports/api-1"
PROXY = "/api/v1/namespaces/leakwarden/services/leakwarden-evidence:http/proxy/evidence/"
FILES = {"goroutine-1.pb.gz": b"first", "goroutine-2.pb.gz": b"second", "heap-1.pb.gz": b"heap"}
PLACES = {name: location("shop/api-1", name, data) for name, data in FILES.items()}
Run = Callable[..., Awaitable[tuple[int, str, str]]]


class Api:
    """An API server with one report, whose Service proxy leads to the operator's files."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {PROXY + PLACES[name]: (200, data) for name, data in FILES.items()}
        self.report: Any = {
            "metadata": {"name": "api-1", "namespace": "shop", "uid": "u", "resourceVersion": "1"},
            "spec": {
                "policy": {"name": "p", "uid": "u"},
                "workload": {"name": "api", "uid": "u"},
                "pod": {"name": "api-1-x", "uid": "u"},
                "signal": "goroutines",
                "signalType": "Goroutines",
                "detectedAt": "2026-01-02T03:04:05Z",
            },
            "status": {
                "evidence": {
                    "state": "Captured",
                    "summary": "148 goroutines at main.f (main.go:3)",
                    "profiles": [
                        {
                            "kind": name.partition("-")[0],
                            "takenAt": "2026-01-02T03:04:05Z",
                            "bytes": len(data),
                            "sha256": hashlib.sha256(data).hexdigest(),
                            "location": PLACES[name],
                        }
                        for name, data in FILES.items()
                    ],
                }
            },
        }
        self.status = 200
        self.asked: list[str] = []

    @property
    def evidence(self) -> Any:
        return self.report["status"]["evidence"]

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path == REPORT:
            return web.json_response(self.report, status=self.status)
        status, body = self.answers.get(request.path, (404, b""))
        return web.Response(status=status, body=body)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def run(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Run]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    path = kubeconfig(tmp_path, f"http://127.0.0.1:{server.port}")

    async def ask(*arguments: str) -> tuple[int, str, str]:
        out = str(tmp_path / "out")
        given = ["evidence", "api-1", "-n", "shop", "-o", out, "--kubeconfig", str(path), *arguments]
        code = await asyncio.to_thread(main, given)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield ask
    await server.close()


def got(tmp_path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in (tmp_path / "out").glob("*")}


async def test_the_profiles_are_put_into_the_directory(run: Run, tmp_path: Path) -> None:
    code, out, err = await run()
    assert (code, err) == (0, "")
    assert got(tmp_path) == FILES
    assert out.startswith("148 goroutines at main.f (main.go:3)\n")


async def test_a_profile_that_is_not_kept_any_more_does_not_lose_the_others(run: Run, api: Api, tmp_path: Path) -> None:
    del api.answers[PROXY + PLACES["heap-1.pb.gz"]]
    code, _, err = await run()
    assert code == 1
    assert "heap-1.pb.gz: it is not kept any more" in err
    assert set(got(tmp_path)) == set(FILES) - {"heap-1.pb.gz"}


async def test_another_file_than_the_report_means_is_not_written(run: Run, api: Api, tmp_path: Path) -> None:
    api.answers[PROXY + PLACES["heap-1.pb.gz"]] = (200, b"another")
    code, _, err = await run()
    assert code == 1
    assert "its checksum differs" in err
    assert "heap-1.pb.gz" not in got(tmp_path)


async def test_a_missing_right_is_named(run: Run, api: Api) -> None:
    for name in FILES:
        api.answers[PROXY + PLACES[name]] = (403, b"secret words of the server")
    code, _, err = await run()
    assert code == 1
    assert "get services/proxy of leakwarden/leakwarden-evidence" in err
    assert "secret words" not in err


@pytest.mark.parametrize(
    "place",
    ["/etc/passwd", "../../x/heap-1.0123456789abcdef0123456789abcdef.pb.gz", "shop/api-1/evil.pb.gz",
     "s3://UPPER/heap-1.0123456789abcdef0123456789abcdef.pb.gz", "http://169.254.169.254/x"],
)  # fmt: skip
async def test_a_place_that_is_none_is_neither_asked_nor_written(
    run: Run, api: Api, tmp_path: Path, place: str
) -> None:
    api.evidence["profiles"] = [{**api.evidence["profiles"][0], "location": place}]
    code, _, err = await run()
    assert code == 1
    assert "no place that Leakwarden keeps profiles at" in err
    assert api.asked == [REPORT]
    assert got(tmp_path) == {}


async def test_where_nothing_is_kept_that_is_said(run: Run, api: Api) -> None:
    for profile in api.evidence["profiles"]:
        profile["location"] = ""
    code, out, err = await run()
    assert code == 1
    assert "148 goroutines" in out
    assert "keeps no profiles" in err


@pytest.mark.parametrize(
    ("status", "words"), [(403, "not allowed to get leakreports"), (404, "there is no LeakReport shop/api-1")]
)
async def test_a_report_that_cannot_be_read_is_told(run: Run, api: Api, status: int, words: str) -> None:
    api.status = status
    code, out, err = await run()
    assert (code, out) == (2, "")
    assert words in err


async def test_a_report_without_evidence_is_told(run: Run, api: Api) -> None:
    del api.report["status"]["evidence"]
    code, _, err = await run()
    assert code == 2
    assert "no evidence was taken" in err


@pytest.mark.parametrize("service", ["x", "a/b/c", "../x", "A/b"])
async def test_a_service_that_is_none_is_refused(run: Run, api: Api, service: str) -> None:
    code, _, err = await run("--service", service)
    assert code == 2
    assert "--service" in err
    assert api.asked == []


async def test_a_bucket_without_credentials_is_told(
    run: Run, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = f"s3://profiles/{PLACES['heap-1.pb.gz']}"
    api.evidence["profiles"] = [{**api.evidence["profiles"][2], "location": place}]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    code, _, err = await run("--endpoint", "http://127.0.0.1:1")
    assert code == 1
    assert "no credentials" in err
