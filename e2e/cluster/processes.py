"""Background processes that outlast the command, identified by more than their pid.

A pid alone proves nothing: the machine may have been restarted, or the number reused. Each record
therefore carries the boot and the process's start time, which together name one process for ever.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.cluster.progress import say


@dataclass(frozen=True)
class Identity:
    """One process, on one boot of one machine."""

    pid: int
    started: int  # clock ticks after boot, field 22 of /proc/PID/stat
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a running process; None if there is none, or only a zombie of it."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command's name, in parentheses, may hold any characters: count the fields after it.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), boot_id())

    def is_running(self) -> bool:
        return Identity.of(self.pid) == self


def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Process:
    """A named background process, its record on disk and its log."""

    name: str
    records: Path
    logs: Path
    mark: str  # NAME=value, set in its environment so that its descendants can be found

    @property
    def record(self) -> Path:
        return self.records / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.logs / f"{self.name}.log"

    def identity(self) -> Identity | None:
        """The running process, or None when it is not running, even if there is a record."""
        try:
            known = Identity(**json.loads(self.record.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return known if known.is_running() else None

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        descriptors: tuple[int, ...] = (),
    ) -> Identity:
        """Start it in a session of its own, so that it survives this command; does nothing if it runs."""
        running = self.identity()
        if running:
            return running
        self.records.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                close_fds=True,
                pass_fds=descriptors,
                cwd="/",
                env={**os.environ, **(environment or {}), **dict([self.mark.split("=", 1)])},
            )
        identity = Identity.of(child.pid) or Identity(child.pid, -1, boot_id())
        temporary = self.record.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(identity)))
        temporary.rename(self.record)
        # The command ends before the child does, so nothing waits for the child here.
        child.returncode = 0
        return identity

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text[-lines:])

    def forget(self) -> None:
        self.record.unlink(missing_ok=True)


def stop(identities: Iterable[Identity], *, patience: float = 20.0) -> list[Identity]:
    """SIGTERM, then SIGKILL after ``patience`` seconds; waits until each is gone.

    Waiting matters: a successor that finds the old one's port still taken fails in confusing ways.
    Returns those that survived even SIGKILL for five seconds (stuck in the kernel).
    """
    alive = [each for each in identities if each.is_running()]
    for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for each in alive:
            _send(each, number)
        deadline = time.monotonic() + limit
        while alive and time.monotonic() < deadline:
            _reap(alive)
            alive = [each for each in alive if each.is_running()]
            if alive:
                time.sleep(0.05)
        if not alive:
            break
        if number is signal.SIGTERM:
            say(f"{len(alive)} processes did not stop within {limit:.0f} s; killing them")
    return alive


def _send(identity: Identity, number: signal.Signals) -> None:
    # Checked again right before the signal: never signal a pid that another process has now.
    if identity.is_running():
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def _reap(identities: Iterable[Identity]) -> None:
    for each in identities:
        try:
            os.waitpid(each.pid, os.WNOHANG)
        except ChildProcessError:
            continue


def marked(mark: str) -> list[Identity]:
    """Every process with ``mark`` (NAME=value) in its environment, which children inherit.

    That finds what was started by a program we started (containerd's shims), or by a run that was killed before it
    could write a record, and nothing else: no guess from a name or a path is made.
    """
    wanted = mark.encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        identity = Identity.of(int(entry.name)) if wanted in variables else None
        if identity:
            found.append(identity)
    return found
