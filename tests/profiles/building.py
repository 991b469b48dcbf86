"""Run every program with every Go version under load on loopback, and keep its profiles."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.profiles.truth import SOURCES, Program

FIXTURES = Path(__file__).parents[1] / "fixtures" / "profiles"
VERSIONS = ("go1.25.14", "go1.26.8", "go1.27.4")
RATE = 500  # requests per second
WARM = 9.0  # s of load before the first capture
PAUSE = 4.0  # s between the captures
AT_ONCE = 2  # programs that run at the same time


class BuildFailed(Exception):
    """One line for people."""


@dataclass(frozen=True, slots=True)
class Run:
    """One program's profiles with one Go version. `seconds` lie between the two captures of each kind, and `signals`
    are the values of its metrics at these times: descriptors, goroutines, and memory in live bytes."""

    name: str
    version: str
    seconds: float
    signals: dict[str, list[int]]
    profiles: dict[str, bytes]


def build(chosen: Sequence[Program], versions: Sequence[str] = VERSIONS) -> None:
    """Write one archive per Go version; runs of programs that were not chosen are kept. Raises BuildFailed."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="profiles-") as scratch:
        for version in versions:
            binaries = Path(scratch) / version
            _say(f"{version}: building {len(chosen)} programs")
            _compile(version, binaries)
            taken = {run.name: run for run in _take(chosen, version, binaries)}
            _write(version, list((_read(version) | taken).values()))


def _compile(version: str, into: Path) -> None:
    try:
        done = subprocess.run(
            # No path of this machine belongs in a fixture.
            ["go", "build", "-trimpath", "-o", f"{into}/", "./cmd/..."],
            cwd=SOURCES,
            env={**os.environ, "GOTOOLCHAIN": version, "CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise BuildFailed("there is no go command on PATH") from None
    if done.returncode:
        raise BuildFailed(f"{version} does not build the corpus: {done.stderr.strip().splitlines()[-1]}")


def _take(chosen: Sequence[Program], version: str, binaries: Path) -> Iterator[Run]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(_run, program, version, binaries): program.name for program in chosen}
        for number, done in enumerate(as_completed(running), 1):
            run = done.result()
            _say(f"{version}: {number}/{len(running)} {run.name}, {len(run.profiles)} profiles")
            yield run


def _run(program: Program, version: str, binaries: Path) -> Run:
    world = str(binaries / "world")
    with (
        _started([world]) as (upstream, _),
        _started([str(binaries / program.name), "-upstream", f"http://{upstream}"]) as (address, service),
        _running([world, "load", "-url", f"http://{address}/work", "-rate", str(RATE), "-for", "2m",
                  "-idle", str(program.idle)]),
    ):  # fmt: skip
        time.sleep(WARM)
        profiles = {"goroutine-1.pb": get(address, "goroutine"), "heap-1.pb": get(address, "heap?gc=1")}
        first, before = time.monotonic(), signals_of(service.pid, address)
        time.sleep(PAUSE)
        seconds = time.monotonic() - first
        profiles |= {"goroutine-2.pb": get(address, "goroutine"), "heap-2.pb": get(address, "heap?gc=1")}
        signals = {name: [before[name], value] for name, value in signals_of(service.pid, address).items()}
        leaked = get(address, "goroutineleak", absent=b"")
        if leaked:
            profiles["goroutineleak.pb"] = leaked
        if service.poll() is not None:
            raise BuildFailed(f"{program.name} ended by itself")
    return Run(program.name, version, seconds, signals, profiles)


def signals_of(pid: int, address: str) -> dict[str, int]:
    """The present values of a service's metrics: descriptors, goroutines, and memory in live bytes."""
    # The text form of a heap profile ends with the runtime's statistics, right after a collection here.
    text = _fetch(address, "heap?gc=1&debug=1").decode()
    goroutines = _fetch(address, "goroutine?debug=1").split(b"\n", 1)[0]
    return {
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "goroutines": int(goroutines.rsplit(b" ", 1)[1]),
        "memory": int(re.search(r"^# HeapAlloc = (\d+)$", text, re.MULTILINE)[1]),  # type: ignore[index]
    }


def get(address: str, what: str, absent: bytes | None = None) -> bytes:
    """A profile, decompressed: an archive of plain ones is a tenth of the size. Raises BuildFailed."""
    try:
        return gzip.decompress(_fetch(address, what))
    except urllib.error.HTTPError as error:
        if error.code == 404 and absent is not None:
            return absent
        raise BuildFailed(f"{what}: {error}") from None
    except OSError as error:
        raise BuildFailed(f"{what}: {error}") from None


def _fetch(address: str, what: str) -> bytes:
    with urllib.request.urlopen(f"http://{address}/debug/pprof/{what}", timeout=60) as answer:
        return bytes(answer.read())


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@contextmanager
def _started(command: list[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A program that prints its address."""
    with _running(command) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("listening "):
            raise BuildFailed(f"{Path(command[0]).name} did not start")
        yield line.split()[1], process


def archived(version: str) -> dict[str, bytes]:
    """The members of a version's archive by name, and `manifest.json`."""
    with tarfile.open(FIXTURES / f"{version}.tar.xz") as archive:
        return {m.name: body.read() for m in archive.getmembers() if (body := archive.extractfile(m)) is not None}


def _read(version: str) -> dict[str, Run]:
    if not (FIXTURES / f"{version}.tar.xz").exists():
        return {}
    members = archived(version)
    manifest = json.loads(members.pop("manifest.json"))
    return {
        name: Run(
            name,
            version,
            facts["seconds"],
            facts["signals"],
            {kind: body for path, body in members.items() for owner, kind in [path.split("/")] if owner == name},
        )
        for name, facts in manifest.items()
        if (SOURCES / "cmd" / name).is_dir()
    }


def _write(version: str, runs: Sequence[Run]) -> None:
    manifest = {
        run.name: {"seconds": round(run.seconds, 3), "signals": run.signals}
        for run in sorted(runs, key=lambda r: r.name)
    }
    # Similar neighbours compress well: all profiles of one kind are put together.
    entries = sorted((kind, run.name, body) for run in runs for kind, body in run.profiles.items())
    entries.append(("", "manifest.json", json.dumps(manifest, indent=1).encode()))
    with tarfile.open(FIXTURES / f"{version}.tar.xz", "w:xz", preset=9) as archive:
        for kind, name, body in entries:
            info = tarfile.TarInfo(f"{name}/{kind}" if kind else name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
