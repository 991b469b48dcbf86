"""The stores of profiles: complete or absent, bounded, under names that cannot be guessed and cannot point outside."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.adapters.evidence.served import route
from leakwarden.adapters.evidence.store import LOCATION, NotStored, Nowhere, location
from leakwarden.adapters.evidence.volume import Volume

REPORT = "shop/api-1-abc"
HOUR = 3600.0
NOW = 1_790_000_000.0


def volume(path: Path, most: int = 1 << 20, age: float = HOUR, now: float = NOW) -> Volume:
    return Volume(path, most, age, lambda: now)


def files(path: Path) -> list[str]:
    return sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())


def dated(path: Path, age: float) -> None:
    for each in path.rglob("*"):
        os.utime(each, (NOW - age, NOW - age))


async def test_what_is_kept_is_read_back_by_its_location(tmp_path: Path) -> None:
    kept = volume(tmp_path)
    places = await kept.keep(REPORT, {"goroutine-1.pb.gz": b"one", "goroutineleak.pb.gz": b"two"})
    digest = hashlib.sha256(b"one").hexdigest()[:32]
    assert places["goroutine-1.pb.gz"] == f"shop/api-1-abc/goroutine-1.{digest}.pb.gz"
    assert await kept.read(places["goroutine-1.pb.gz"]) == b"one"
    assert await kept.read(places["goroutineleak.pb.gz"]) == b"two"


async def test_a_second_capture_of_a_report_replaces_nothing(tmp_path: Path) -> None:
    kept = volume(tmp_path)
    first = await kept.keep(REPORT, {"heap-1.pb.gz": b"one"})
    second = await kept.keep(REPORT, {"heap-1.pb.gz": b"two"})
    assert await kept.read(first["heap-1.pb.gz"]) == b"one"
    assert await kept.read(second["heap-1.pb.gz"]) == b"two"


async def test_nowhere_keeps_nothing_and_says_no_place() -> None:
    assert await Nowhere().keep(REPORT, {"heap-1.pb.gz": b"one"}) == {"heap-1.pb.gz": ""}


async def test_the_oldest_go_first_to_make_room(tmp_path: Path) -> None:
    kept = volume(tmp_path, most=250)
    old = await kept.keep("shop/old", {"heap-1.pb.gz": bytes(100)})
    dated(tmp_path, 60)
    young = await kept.keep("shop/young", {"heap-1.pb.gz": bytes(100)})
    newest = await kept.keep("shop/newest", {"heap-1.pb.gz": bytes(90)})
    assert files(tmp_path) == sorted([*young.values(), *newest.values()])
    assert await kept.read(old["heap-1.pb.gz"]) is None
    assert not (tmp_path / "shop" / "old").exists()


async def test_what_is_too_old_goes_even_where_there_is_room(tmp_path: Path) -> None:
    await volume(tmp_path).keep("shop/old", {"heap-1.pb.gz": b"x"})
    dated(tmp_path, HOUR + 1)
    young = await volume(tmp_path).keep("shop/young", {"heap-1.pb.gz": b"y"})
    assert files(tmp_path) == sorted(young.values())


async def test_the_volume_never_holds_more_than_its_bound(tmp_path: Path) -> None:
    kept = volume(tmp_path, most=1000)
    for n in range(30):
        await kept.keep(f"shop/r-{n}", {"heap-1.pb.gz": bytes([n]) * 170, "heap-2.pb.gz": bytes([n]) * 80})
        assert sum((tmp_path / each).stat().st_size for each in files(tmp_path)) <= 1000


async def test_profiles_that_are_larger_than_the_volume_push_nothing_out(tmp_path: Path) -> None:
    kept = volume(tmp_path, most=100)
    first = await kept.keep(REPORT, {"heap-1.pb.gz": b"x"})
    with pytest.raises(NotStored, match="more than the volume may hold"):
        await kept.keep("shop/big", {"heap-1.pb.gz": bytes(101)})
    assert files(tmp_path) == sorted(first.values())


async def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    foreign = tmp_path / "lost+found" / "x" / "precious.pb.gz"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(bytes(500))
    dated(tmp_path, 99 * HOUR)
    await volume(tmp_path, most=100).keep(REPORT, {"heap-1.pb.gz": b"x"})
    assert foreign.exists()


async def test_what_a_killed_operator_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    places = await volume(tmp_path).keep(REPORT, {"heap-1.pb.gz": b"x"})
    partial = tmp_path / REPORT / ".partial-abc"
    partial.write_bytes(b"half")
    await volume(tmp_path).keep("shop/next", {"heap-1.pb.gz": b"y"})
    assert partial.exists(), "it may be being written right now"
    os.utime(partial, (NOW - 2 * HOUR, NOW - 2 * HOUR))
    await volume(tmp_path).keep("shop/last", {"heap-1.pb.gz": b"z"})
    assert not partial.exists()
    assert await volume(tmp_path).read(places["heap-1.pb.gz"]) == b"x"


async def test_a_volume_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("a file where a directory should be")
    with pytest.raises(NotStored, match="cannot be written"):
        await volume(tmp_path).keep(REPORT, {"heap-1.pb.gz": b"x"})


async def test_a_write_that_fails_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotStored, match="No space left on device"):
        await volume(tmp_path).keep(REPORT, {"heap-1.pb.gz": b"x"})
    assert files(tmp_path) == []


@pytest.mark.parametrize("report", ["", "shop", "shop/", "/api", "../x/y", "shop/../../etc", "SHOP/api", "shop/a b"])
def test_a_name_that_is_none_has_no_location(report: str) -> None:
    with pytest.raises(NotStored):
        location(report, "heap-1.pb.gz", b"x")


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii"), max_size=60))
async def test_only_locations_are_read(text: str) -> None:
    assert LOCATION.fullmatch(text) or await Volume(Path("/"), 1, 1).read(text) is None


@pytest.mark.parametrize(
    "path",
    [
        "etc/passwd",
        "shop/api-1-abc",
        "shop/api-1-abc/",
        "shop/api-1-abc/heap-1.00000000000000000000000000000000.pb.gz",
        "..%2f..%2fetc%2fpasswd",
        "shop/api-1-abc/..%2fapi-1-abc%2fheap-1.pb.gz",
    ],
)
async def test_over_http_nothing_is_given_that_is_not_known_to_the_checksum(tmp_path: Path, path: str) -> None:
    kept = volume(tmp_path)
    places = await kept.keep(REPORT, {"heap-1.pb.gz": b"profile"})
    app = web.Application()
    app.router.add_routes([route(kept)])
    async with TestClient(TestServer(app)) as client:
        found = await client.get(f"/evidence/{places['heap-1.pb.gz']}")
        assert (found.status, await found.read()) == (200, b"profile")
        assert found.headers["Content-Type"] == "application/octet-stream"
        assert (await client.get(f"/evidence/{path}")).status == 404
        assert (await client.put(f"/evidence/{places['heap-1.pb.gz']}")).status == 405
        assert (await client.get("/evidence/")).status == 404
