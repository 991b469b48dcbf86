"""Services that use real libraries (`e2e/profiles/libraries`): one binary, each service in a leaking and a repaired form,
and healthy ones that grow. The lines that leak carry a comment, so that the sources cannot disagree with the truth.

    //truth:SHAPE/SERVICE    the right line, with the kind of leak
    //way:SERVICE            a line that leads there, which counts as right as well
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from leakwarden.core.profile.pprof import Profile, decode
from leakwarden.core.profile.suspects import Capture
from tests.profiles.building import FIXTURES, BuildFailed, get, signals_of
from tests.profiles.truth import SOURCES
from tests.profiles.unseen import Judged, Known, grows, judge, markdown

CODE = SOURCES / "libraries"
VERSIONS = ("go1.26.8", "go1.27.4")
WARM, MOMENTS = 6.0, 3  # s of load before the first capture, and the number of captures


@dataclass(frozen=True, slots=True)
class Timing:
    """The time over which captures are taken, and the load meanwhile."""

    name: str  # of the archive; empty for the first one
    pause: float  # s between captures
    rate: int = 20  # requests per second, as a small service has them
    presses: int = 1  # so many seconds of a service with a smaller load go into one second
    at_once: int = 2  # services that run together

    @property
    def title(self) -> str:
        """For people: `captures within 120s`."""
        span = self.pause * (MOMENTS - 1)
        return f"captures within {span * self.presses:.0f}s" + (
            f", pressed into {span:.0f}s" if self.presses > 1 else ""
        )


TIMINGS = {
    timing.name: timing
    for timing in (
        Timing("", 5.0),
        Timing("2min", 60.0, at_once=8),
        # An hour of a service with two requests per second within one minute.
        Timing("1h", 30.0, rate=120, presses=60, at_once=3),
    )
}
HEALTHY = (
    "healthy_users",
    "healthy_polls",
    "healthy_backpressure",
    "healthy_cache_fills",
    "healthy_shards",
    "healthy_warmup",
)

FORMS = ("leak", "repaired", "healthy")

_TRUTH = re.compile(r"//truth:(\w+)/(\w+)\s*$")
_WAY = re.compile(r"//way:(\w+)\s*$")


@dataclass(slots=True)
class Truth:
    """The truth about a leaking service."""

    shape: str
    lines: list[str] = field(default_factory=list)
    way: list[str] = field(default_factory=list)


def truths() -> dict[str, Truth]:
    """By service. Raises ValueError where a way leads to no truth."""
    found: dict[str, Truth] = {}
    ways: dict[str, list[str]] = {}
    for path in sorted(CODE.rglob("*.go")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            place = f"{path.relative_to(CODE).as_posix()}:{number}"
            if match := _TRUTH.search(line):
                found.setdefault(match[2], Truth(match[1])).lines.append(place)
            if match := _WAY.search(line):
                ways.setdefault(match[1], []).append(place)
    if unknown := sorted(set(ways) - set(found)):
        raise ValueError(f"these have a way and no truth: {', '.join(unknown)}")
    for name, places in ways.items():
        found[name].way += places
    return found


def forms() -> list[tuple[str, str]]:
    """Every service with each of its forms."""
    return [(name, form) for name in sorted(truths()) for form in ("leak", "repaired")] + [
        (name, "healthy") for name in HEALTHY
    ]


def build(
    chosen: Sequence[str], versions: Sequence[str] = VERSIONS, timing: str = "", kinds: Sequence[str] = FORMS
) -> None:
    """Run the services and keep their profiles; those that were not chosen stay. Raises BuildFailed."""
    over = TIMINGS[timing]
    for version in versions:
        with tempfile.TemporaryDirectory(prefix="libraries-") as scratch:
            binary = Path(scratch) / "corpus"
            _compile(version, binary)
            kept = archived(version, timing) if archive_of(version, timing).exists() else {}
            manifest = json.loads(kept.pop("manifest.json", b"{}"))
            wanted = [each for each in forms() if (not chosen or each[0] in chosen) and each[1] in kinds]
            with _started([str(binary), "-upstream"]) as (line, _), ThreadPoolExecutor(over.at_once) as pool:
                running = {
                    pool.submit(_run, binary, name, form, up=line, over=over): (name, form) for name, form in wanted
                }
                for number, done in enumerate(as_completed(running), 1):
                    name, form = running[done]
                    try:
                        facts, profiles = done.result()
                    except (BuildFailed, OSError) as error:
                        print(f"{version}: {name}/{form}: {error}", file=sys.stderr, flush=True)
                        continue
                    kept = {path: body for path, body in kept.items() if not path.startswith(f"{name}/{form}/")}
                    kept |= {f"{name}/{form}/{kind}": body for kind, body in profiles.items()}
                    manifest[f"{name}/{form}"] = facts
                    print(
                        f"{version}: {number}/{len(running)} {name}/{form} {facts['signals']}",
                        file=sys.stderr,
                        flush=True,
                    )
            _write(archive_of(version, timing), kept, manifest)


def _compile(version: str, binary: Path) -> None:
    done = subprocess.run(
        # No path of this machine belongs in a fixture.
        ["go", "build", "-trimpath", "-o", str(binary), "./cmd/corpus"],
        cwd=CODE,
        env={**os.environ, "GOTOOLCHAIN": version, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildFailed(f"{version} does not build the services: {done.stderr.strip().splitlines()[-1]}")


def _run(binary: Path, name: str, form: str, *, up: str, over: Timing) -> tuple[dict[str, object], dict[str, bytes]]:
    command = [str(binary), "-case", name, "-up", up, *(["-repaired"] if form == "repaired" else [])]
    users = ["-users"] if name == "healthy_users" else []
    with _started(command) as (line, service):
        address = line.split()[1]
        asking = [str(binary), "-load", f"http://{address}/work", "-rate", str(over.rate), *users]
        with _running(asking):
            time.sleep(WARM)
            profiles: dict[str, bytes] = {}
            signals: dict[str, list[int]] = {}
            first = time.monotonic()
            for moment in range(1, MOMENTS + 1):
                time.sleep(over.pause if moment > 1 else 0.0)
                profiles[f"goroutine-{moment}.pb"] = get(address, "goroutine")
                seconds = time.monotonic() - first
                profiles[f"heap-{moment}.pb"] = get(address, "heap?gc=1")
                for signal, value in signals_of(service.pid, address).items():
                    signals.setdefault(signal, []).append(value)
            if leaked := get(address, "goroutineleak", absent=b""):
                profiles["goroutineleak.pb"] = leaked
            if service.poll() is not None:
                raise BuildFailed("it ended by itself")
    return {"seconds": round(seconds * over.presses, 3), "signals": signals}, profiles


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    # A group of its own: a service of this corpus starts commands and does not wait for them.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        if process.stdout:
            process.stdout.close()


@contextmanager
def _started(command: list[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A program that prints its address."""
    with _running(command) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line.strip():
            raise BuildFailed("it did not start")
        yield line.strip(), process


def archive_of(version: str, timing: str = "") -> Path:
    return FIXTURES / f"libraries-{'-'.join(part for part in (version, timing) if part)}.tar.xz"


def taken() -> list[tuple[str, str]]:
    """The Go versions and timings of which there are captures."""
    return [(version, timing) for version in VERSIONS for timing in TIMINGS if archive_of(version, timing).exists()]


def archived(version: str, timing: str = "") -> dict[str, bytes]:
    with tarfile.open(archive_of(version, timing)) as archive:
        return {m.name: body.read() for m in archive.getmembers() if (body := archive.extractfile(m)) is not None}


def _write(path: Path, members: Mapping[str, bytes], manifest: Mapping[str, object]) -> None:
    # Similar neighbours compress well: all profiles of one kind are put together.
    entries = sorted(members.items(), key=lambda pair: (pair[0].rpartition("/")[2], pair[0]))
    entries.append(("manifest.json", json.dumps(dict(sorted(manifest.items())), indent=1).encode()))
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name, body in entries:
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))


def known(version: str, moments: Sequence[int] = (1, MOMENTS), timing: str = "") -> list[Known]:
    """Every service with its truth, by the captures of these moments."""
    true = truths()
    members = archived(version, timing)
    found = []
    for key, facts in json.loads(members["manifest.json"]).items():
        name, form = key.split("/")
        if form != "healthy" and name not in true:
            continue

        def of(kind: str, key: str = key) -> list[Profile]:
            return [decode(members[f"{key}/{kind}-{n}.pb"]) for n in moments if f"{key}/{kind}-{n}.pb" in members]

        leaked = members.get(f"{key}/goroutineleak.pb")
        truth = true.get(name, Truth(""))
        found.append(
            Known(
                f"{name}/{form}",
                form == "leak",
                (*truth.lines, *truth.way),
                _kinds(truth.shape),
                Capture(of("goroutine"), of("heap"), decode(leaked) if leaked else None, facts["seconds"]),
                frozenset(s for s, ends in facts["signals"].items() if grows(s, float(ends[0]), float(ends[-1]))),
            )
        )
    return found


def _kinds(shape: str) -> tuple[str, ...]:
    """The kinds that are right: entries of a map are entries, said with more."""
    return ("EntriesNeverRemoved", "MapGrows") if shape == "EntriesNeverRemoved" else (shape,)


def judged(version: str, timing: str = "") -> list[Judged]:
    # Within seconds a capture in the middle shows nothing; over minutes it shows growth that slows down.
    moments = range(1, MOMENTS + 1) if timing else (1, MOMENTS)
    return [judge(each) for each in known(version, tuple(moments), timing)]


def table(version: str, timing: str = "") -> str:
    return markdown(judged(version, timing))


__all__ = ["FORMS", "HEALTHY", "TIMINGS", "VERSIONS", "build", "forms", "judged", "known", "table", "taken", "truths"]
