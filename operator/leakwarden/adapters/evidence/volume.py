"""Profiles in a directory, usually a mounted volume: bounded in size and age, each file complete or absent."""

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
_COUNTS = ".baselines"  # no namespace is called so
COUNTS = 2000  # small documents, a few KiB each
_LARGEST = 64 * 1024  # bytes of one that is read
_ABANDONED = 3600.0  # s; a file that is being written is finished long before


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    size: int
    at: float  # epoch s


class Volume:
    """`Store` in `directory`, of at most `most` bytes in total and files of at most `age` seconds; the oldest are
    deleted."""

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
        """The content at a location; None where the location is not valid, or nothing is there."""
        if LOCATION.fullmatch(place) is None:
            return None
        with contextlib.suppress(OSError):
            return await asyncio.to_thread((self._directory / place).read_bytes)
        return None

    async def save(self, key: str, data: bytes) -> None:
        """Keep a small document by key; of more than COUNTS of them the oldest are deleted. Raises NotStored."""
        async with self._one:
            try:
                await asyncio.to_thread(self._save, key, data)
            except OSError as error:
                raise NotStored(f"the volume cannot be written: {error.strerror}") from None

    async def load(self, key: str) -> bytes | None:
        """A small document; None where there is none. Raises NotStored."""

        def read() -> bytes:
            with (self._directory / _COUNTS / f"{key}.json").open("rb") as file:
                return file.read(_LARGEST)

        try:
            return await asyncio.to_thread(read)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotStored(f"the volume cannot be read: {error.strerror}") from None

    def _save(self, key: str, data: bytes) -> None:
        folder = self._directory / _COUNTS
        self._replace(folder / f"{key}.json", data)
        kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in kept[: max(0, len(kept) - COUNTS)]:
            path.unlink(missing_ok=True)

    def _write(self, files: Mapping[str, bytes]) -> None:
        self._prune(sum(map(len, files.values())))
        for place, data in files.items():
            self._replace(self._directory / place, data)

    @staticmethod
    def _replace(path: Path, data: bytes) -> None:
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
        """Make room: delete files that are too old, then the oldest until the rest and `room` fit."""
        now = self._clock()
        kept = sorted(self._files(), key=lambda file: file.at)
        total = sum(file.size for file in kept)
        for file in kept:
            if now - file.at <= self._age and total + room <= self._most:
                break
            file.path.unlink(missing_ok=True)
            total -= file.size
            # A report's directory is deleted with its last file.
            with contextlib.suppress(OSError):
                file.path.parent.rmdir()
                file.path.parent.parent.rmdir()

    def _files(self) -> Iterator[_Kept]:
        """Our own files; all others in the directory are left alone."""
        for path in self._directory.glob("*/*/*.pb.gz"):
            if LOCATION.fullmatch(path.relative_to(self._directory).as_posix()):
                with contextlib.suppress(FileNotFoundError):
                    state = path.lstat()
                    yield _Kept(path, state.st_size, state.st_mtime)
        for path in self._directory.glob(f"*/*/{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):
                if self._clock() - path.lstat().st_mtime > _ABANDONED:
                    path.unlink()
