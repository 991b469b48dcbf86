"""Profiles in a directory, usually a mounted volume: bounded in size and age, each file there whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from leakwarden.adapters.evidence.store import LOCATION, NotStored, location

log = logging.getLogger("leakwarden.evidence")

_PARTIAL = ".partial-"
_ABANDONED = 3600.0  # s; a file that is being written is finished long before


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    size: int
    at: float  # epoch s


class Volume:
    """`Store` in `directory`, of at most `most` bytes altogether and files of at most `age` seconds; the oldest go."""

    def __init__(self, directory: Path, most: int, age: float, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._most = most
        self._age = age
        self._clock = clock
        self._one = asyncio.Lock()

    async def keep(self, report: str, profiles: Mapping[str, bytes]) -> Mapping[str, str]:
        places = {name: location(report, name, data) for name, data in profiles.items()}
        needed = sum(map(len, profiles.values()))
        if needed > self._most:
            raise NotStored(f"the profiles have {needed} bytes, more than the volume may hold")
        async with self._one:
            try:
                await asyncio.to_thread(self._write, {places[name]: data for name, data in profiles.items()})
            except OSError as error:
                raise NotStored(f"the volume cannot be written: {error.strerror}") from None
        return places

    async def read(self, place: str) -> bytes | None:
        """What is kept at a location; None where that is none, or nothing is there."""
        if LOCATION.fullmatch(place) is None:
            return None
        with contextlib.suppress(OSError):
            return await asyncio.to_thread((self._directory / place).read_bytes)
        return None

    def _write(self, files: Mapping[str, bytes]) -> None:
        self._prune(sum(map(len, files.values())))
        for place, data in files.items():
            path = self._directory / place
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(partial, path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise

    def _prune(self, room: int) -> None:
        """Make room: what is too old goes, then the oldest until the rest and `room` fit."""
        now = self._clock()
        kept = sorted(self._files(), key=lambda file: file.at)
        total = sum(file.size for file in kept)
        for file in kept:
            if now - file.at <= self._age and total + room <= self._most:
                break
            file.path.unlink(missing_ok=True)
            total -= file.size
            # A report's directory goes with its last file.
            with contextlib.suppress(OSError):
                file.path.parent.rmdir()
                file.path.parent.parent.rmdir()

    def _files(self) -> Iterator[_Kept]:
        """What is ours; anything else in the directory is left alone."""
        for path in self._directory.glob("*/*/*.pb.gz"):
            if LOCATION.fullmatch(path.relative_to(self._directory).as_posix()):
                with contextlib.suppress(FileNotFoundError):
                    state = path.lstat()
                    yield _Kept(path, state.st_size, state.st_mtime)
        for path in self._directory.glob(f"*/*/{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):
                if self._clock() - path.lstat().st_mtime > _ABANDONED:
                    path.unlink()
