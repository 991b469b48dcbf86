"""Kinds of Go's own, held against real profiles: `e2e/profiles/kept` keeps things in each of these ways, run with two
versions of Go and every allocation recorded (`GOTOOLCHAIN=... go build -trimpath`, then the binary with a folder)."""

from __future__ import annotations

import tarfile
from functools import cache

import pytest

from leakwarden.core.profile.catalogue import row_of_call, shape_of
from leakwarden.core.profile.kept import Tables, kept_by_call, waiting_finalizers
from leakwarden.core.profile.ownership import Ownership
from leakwarden.core.profile.pprof import Profile, decode
from leakwarden.core.profile.stacks import groups, innermost
from leakwarden.core.profile.suspects import Capture
from tests.profiles.building import FIXTURES

VERSIONS = ("go1.26.8", "go1.27.4")


@cache
def profile(version: str, kind: str) -> Profile:
    with tarfile.open(FIXTURES / "kept.tar.xz") as archive:
        body = archive.extractfile(f"kept/{version}/{kind}.pb")
        assert body is not None
        return decode(body.read())


@cache
def kinds(version: str) -> dict[str, str]:
    """By function of the team: the kind of most of the memory that it keeps through a call of a kind."""
    heap = profile(version, "heap")
    ownership, column = Ownership([heap]), heap.column("inuse_space")
    sums: dict[tuple[str, str], int] = {}
    for sample in heap.samples:
        at = innermost(sample.stack, ownership)
        shape = (kept_by_call(sample.stack[:at], ownership) or row_of_call(sample.stack[:at])) if at else None
        if shape is not None and column is not None:
            key = sample.stack[at or 0].function, shape.name
            sums[key] = sums.get(key, 0) + sample.values[column]
    return {function: kind for (function, kind), _ in sorted(sums.items(), key=lambda item: item[1])}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("main.putInSyncMap", "SyncMapGrows"), ("main.putInList", "ListGrows"), ("main.chainContext", "ContextChain"),
        ("main.chainLogger", "SlogContextGrows"), ("main.joinErrors", "JoinedErrors"), ("main.addHandler", "HandlerAddedPerCall"),
        ("main.addKey", "ExpvarKeysGrow"), ("main.setCookie", "CookieJarGrows"), ("main.compile", "CompiledPerCall"),
        ("main.addTemplate", "TemplatesAdded"), ("main.makeType", "TypesMadeAtRunTime"), ("main.notify", "SignalNotifyNotStopped"),
        ("main.pull", "IterPullNotStopped"), ("main.callLater", "TimerNeverStopped"),
    ],
)  # fmt: skip
def test_what_keeps_memory_is_known_by_the_real_names_of_its_calls(version: str, function: str, kind: str) -> None:
    assert kinds(version)[function] == kind


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_map_is_known_by_the_sizes_of_its_tables(version: str) -> None:
    heap = profile(version, "heap")
    assert Tables.of(heap, Ownership([heap])).maps == {"main.putInMap"}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_real_finalizer_and_cleanup_that_wait_are_found(version: str) -> None:
    standing = profile(version, "goroutine")
    found = waiting_finalizers(Capture([standing, standing]), Ownership([standing]))
    assert {stack[0].function for stack in found} == {"main.release", "main.addCleanup.func1"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("main.pull.func1", "IterPullNotStopped"),
        ("main.runAndHang", "CommandOutputHeld"),
        ("main.runLong", "CommandNeverEnds"),
    ],
)
def test_goroutines_are_known_by_their_real_stacks(version: str, function: str, kind: str) -> None:
    shapes = {
        shape.name
        for group in groups(profile(version, "goroutine")).values()
        if any(frame.function == function for frame in group.stack) and (shape := shape_of(group)) is not None
    }
    assert shapes == {kind}
