"""A leak is compared with a healthy time: growth of days counts, also of a leak that does not grow at present."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from leakwarden.adapters.evidence.baselines import Baselines
from leakwarden.adapters.evidence.store import NotStored
from leakwarden.adapters.evidence.volume import COUNTS, Volume
from leakwarden.api.v1alpha1.evidence import Evidence
from leakwarden.core.profile.baseline import SiteCounts
from leakwarden.core.profile.pprof import Profile
from leakwarden.engine.ports import CaptureRequest
from tests.builders import NOW, workload
from tests.integration.evidence.test_capture import Handler
from tests.integration.evidence.test_profiler import POD, Scene, scene
from tests.unit.profile.profile_builders import encode, goroutines

SEND = ["runtime.chansend1@1", "main.first.func1@22"]


class Service:
    """A service with goroutines at given places."""

    def __init__(self, standing: int) -> None:
        self.standing = standing
        self.asked = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "goroutine" not in request.path or "leak" in request.path:
            return web.Response(status=404)
        self.asked += 1
        profile: Profile = goroutines((self.standing, SEND), (40, ["runtime.chanrecv1@1", "main.worker@9"]))
        return web.Response(body=encode(profile))


def request(here: Scene, **changes: Any) -> CaptureRequest:
    values = {"goroutines": 900.0, **changes}
    return CaptureRequest(
        "",
        workload(template_hash="abc"),
        POD,
        "app",
        Evidence.model_validate({"port": here.port}),
        "Goroutines",
        **values,
    )


@asynccontextmanager
async def healthy(tmp_path: Path, service: Service) -> AsyncIterator[Scene]:
    answer: Handler = service.answer
    async with scene(tmp_path, answer) as here:
        yield here


async def at_leak(here: Scene) -> Any:
    return await here.profiler.capture(
        CaptureRequest(
            "shop/api-1-abc", workload(template_hash="abc"), POD, "app",
            Evidence.model_validate({"port": here.port}), "Goroutines", goroutines=900.0,
        )
    )  # fmt: skip


async def test_a_leak_that_stands_still_is_high_over_its_baseline_and_low_without(tmp_path: Path) -> None:
    service = Service(3)
    async with healthy(tmp_path, service) as here:
        service.standing = 900
        without = await at_leak(here)
        here.profiler._asked.clear()
        service.standing = 3
        assert await here.profiler.baseline(request(here))
        here.now += 6 * 3600
        service.standing = 900
        status = await at_leak(here)
    assert (without.suspects[0].confidence, without.baseline) == ("Low", None)
    suspect = status.suspects[0]
    assert (suspect.function, suspect.confidence, suspect.explains) == ("main.first.func1", "High", 1.0)
    assert "3 became 900 since a healthy time within 6.0h" in suspect.explanation
    assert (status.baseline.goroutines, status.baseline.sites) == (44, 3)


async def test_one_template_is_counted_once_and_another_one_anew(tmp_path: Path) -> None:
    service = Service(3)
    async with healthy(tmp_path, service) as here:
        assert await here.profiler.baseline(request(here))
        assert await here.profiler.baseline(request(here))
        assert service.asked == 1
        other = CaptureRequest(
            "",
            workload(template_hash="def"),
            POD,
            "app",
            Evidence.model_validate({"port": here.port}),
            "",
            goroutines=9.0,
        )
        assert await here.profiler.baseline(other)
        assert service.asked == 2


async def test_a_pod_that_gives_no_profile_has_no_baseline(tmp_path: Path) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    async with scene(tmp_path, refuse) as here:
        assert not await here.profiler.baseline(request(here))
        no_port = CaptureRequest("", workload(), POD, "app", Evidence(), "", goroutines=9.0)
        assert not await here.profiler.baseline(no_port)


async def test_a_baseline_outlasts_a_restart_where_profiles_are_kept(tmp_path: Path) -> None:
    counts = SiteCounts(NOW, {"aa": 3}, {"bb": 4096}, 1, 2)
    await Baselines(Volume(tmp_path, 1 << 20, 3600.0)).put("uid-abc", counts)
    assert await Baselines(Volume(tmp_path, 1 << 20, 3600.0)).get("uid-abc") == counts
    assert await Baselines(Volume(tmp_path, 1 << 20, 3600.0)).get("uid-def") is None
    assert await Baselines().get("uid-abc") is None, "without a store it is in memory alone"


async def test_a_baseline_that_is_damaged_is_none(tmp_path: Path) -> None:
    volume = Volume(tmp_path, 1 << 20, 3600.0)
    for damage in (b"", b"{}", b'{"takenAt":-1}', b"[" * 50_000, b"\xff"):
        await volume.save("uid-abc", damage)
        assert await Baselines(volume).get("uid-abc") is None


class Broken:
    async def save(self, key: str, data: bytes) -> None:
        raise NotStored("it is full")

    async def load(self, key: str) -> bytes | None:
        raise NotStored("it is gone")


async def test_a_store_that_fails_costs_no_baseline(caplog: pytest.LogCaptureFixture) -> None:
    baselines = Baselines(Broken())
    assert await baselines.get("uid-abc") is None
    counts = SiteCounts(NOW)
    await baselines.put("uid-abc", counts)
    assert await baselines.get("uid-abc") == counts
    assert [record.message for record in caplog.records] == [
        "a baseline was not read", "a baseline is kept in memory only",
    ]  # fmt: skip


async def test_the_volume_keeps_no_more_small_documents_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakwarden.adapters.evidence.volume.COUNTS", 3)
    assert COUNTS > 3
    volume = Volume(tmp_path, 1 << 20, 3600.0)
    for n in range(5):
        await volume.save(f"uid-{n}", b"{}")
    assert len(list((tmp_path / ".baselines").iterdir())) == 3
    assert await volume.load("uid-4") == b"{}"
