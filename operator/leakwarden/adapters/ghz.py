"""Sends unary gRPC requests at a given rate to the one address a user named, by ghz (github.com/bojand/ghz).

An open loop, as `adapters.load` is for HTTP: ghz sends the next request when it is due, whether or not the last was
answered. Bounded in rate, number and time; the process is ended where it does not end by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leakwarden.adapters.load import HELD_BACK, MOST_RATE, TIMEOUT, TURNED_AWAY, Tally

MOST_REQUESTS = 600_000  # of one step: the highest rate for the longest step
LARGEST = 256 << 20  # bytes of ghz's list of requests
# ghz's own clock begins a little before or after the first request: it sends some more or less than rate times seconds.
SPARE = 0.1  # share of them
ENDING = 15.0  # s that ghz may take beyond its load, for the connection, the last answers and its report
# Statuses with which a service answers a request that is wrong; as HTTP's 4xx they are no failures of the service.
# From gRPC's own list (grpc.io, Status codes).
_ANSWERS = frozenset(
    {
        "OK", "InvalidArgument", "NotFound", "AlreadyExists", "PermissionDenied", "FailedPrecondition", "OutOfRange",
        "Unauthenticated",
    }
)  # fmt: skip
_HEAD = "duration (ms),status,error"
_ROW = re.compile(r"\s{0,8}([0-9]{1,12}(?:\.[0-9]{1,9})?),([A-Za-z]{0,32}),")


class GhzFailed(Exception):
    """ghz could not run or gave no report; one line for people."""


@dataclass(frozen=True, slots=True)
class GhzLoad:
    """`target` is HOST:PORT, `call` package.Service/Method; without `proto` (a file) the server's reflection is asked."""

    program: str
    target: str
    call: str
    data: str = "{}"  # the request message as JSON
    proto: str | None = None
    plaintext: bool = True

    async def send(self, rate: float, seconds: float, tally: Tally) -> None:
        """Send `rate` requests/s (a whole number, as ghz takes it) for so long. Raises GhzFailed."""
        rate = min(rate, MOST_RATE)
        number = max(1, min(int(rate * seconds), MOST_REQUESTS))
        with tempfile.TemporaryDirectory(prefix="leakwarden-ghz-") as directory:
            report = Path(directory) / "requests.csv"
            said = await self._run(self._arguments(rate, seconds, report), seconds + TIMEOUT + ENDING)
            if not report.exists():
                raise GhzFailed(f"ghz gave no report: {said or 'it gave no reason'}")
            if report.stat().st_size > LARGEST:
                raise GhzFailed(f"ghz's report is larger than {LARGEST >> 20} MiB")
            await asyncio.to_thread(_read, report, number, tally)

    def _arguments(self, rate: float, seconds: float, report: Path) -> list[str]:
        # Not by --total: with --async ghz goes on beyond it.
        arguments = [
            f"--call={self.call}", f"--data={self.data}", f"--rps={max(1, round(rate))}", "--async",
            f"--duration={seconds:g}s", "--duration-stop=wait", f"--timeout={TIMEOUT:g}s", "--format=csv",
            f"--output={report}",
        ]  # fmt: skip
        arguments += ["--insecure"] if self.plaintext else []
        arguments += [f"--proto={self.proto}"] if self.proto is not None else []
        return [*arguments, self.target]

    async def _run(self, arguments: Sequence[str], within: float) -> str:
        """ghz's last line. Raises GhzFailed."""
        try:
            process = await asyncio.create_subprocess_exec(
                self.program, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise GhzFailed(f"ghz cannot be run: {error.strerror}") from None
        try:
            async with asyncio.timeout(within):
                _, said = await process.communicate()
        except TimeoutError:
            raise GhzFailed(f"ghz did not end within {within:g}s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


def installed(program: str | None) -> str | None:
    """The path of ghz: of the named program, else as PATH has it; None where it is not there."""
    return shutil.which(program or "ghz")


def _read(report: Path, number: int, tally: Tally) -> None:
    with report.open(encoding="utf-8", errors="replace") as file:
        read_requests(file, number, tally)


def read_requests(lines: Iterable[str], number: int, tally: Tally) -> None:
    """Adds ghz's lines of `duration (ms),status,error` to the tally. Of about `number` requests those without a line were
    not sent. Raises GhzFailed."""
    counted, begun, most = 0, False, number + max(5, int(SPARE * number))
    for line in lines:
        begun = begun or line.startswith(_HEAD)
        # An error's text may go on in lines of its own.
        row = _ROW.match(line) if begun and counted < most else None
        if row is None:
            continue
        counted += 1
        status = row[2]
        if status in _ANSWERS:
            tally.statuses[status] += 1
            tally.seconds.append(float(row[1]) / 1000)
        elif status in TURNED_AWAY:
            tally.statuses[status] += 1
        else:
            tally.failures[status or "unknown"] += 1
    if not begun:
        raise GhzFailed("ghz's report is not the list of requests that its documentation describes")
    if counted < (1 - SPARE) * number - 5:
        tally.failures[HELD_BACK] += number - counted
