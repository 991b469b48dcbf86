"""Read recorded series: JSON lines, plain or gzip, one line at a time."""

from __future__ import annotations

import contextlib
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import msgspec
import numpy as np

from leakwarden.cli.errors import InputUnreadable
from leakwarden.core.detection.recording import Series
from leakwarden.core.model.readings import Floats
from leakwarden.core.signals.catalogue import real_limit

_CHUNK = 2**20
# Two years of one process every 15 s, with rate and cycles, are 200 MB of text. A longer line was not written by us,
# and compressed data of a few kB may contain such a line.
LONGEST_LINE = 2**28
# Readings held at once, at 16 to 32 bytes each: those of 200 pods with six signals within two months.
MOST_READINGS = 100_000_000
MOST_PROBLEMS = 1000  # printed as sentences; all are counted
_BOM = b"\xef\xbb\xbf"
# Seconds of the years 1 to 9999: times in milliseconds lie outside and get an error that says so.
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
# Readings and their shares of the limit are kept in single precision, which ends at 3e38.
_HIGHEST = 1e18
_SMALLEST = 1e-18


class _Line(msgspec.Struct):
    signal: str
    namespace: str
    workload: str
    pod: str
    uid: str
    start: float | None
    limit: float | None
    t: list[float]
    v: list[float | None]
    rate: list[float | None] | None = None
    gc: list[float | None] | None = None
    rss: list[float | None] | None = None
    latency: list[float | None] | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The series of a recording, and the lines that could not be read."""

    series: list[Series]
    problems: list[str]  # a sentence for each skipped line, with its number; at most MOST_PROBLEMS
    lines: int  # all lines that were read
    # Epoch s: the present, where the recording reaches it. That no reading follows then proves nothing.
    until: float = math.inf
    skipped: int = 0  # the number of skipped lines
    empty: int = 0  # lines without readings


def read(name: str, progress: Callable[[str], None]) -> Recording:
    """All series of a file (`-`: standard input). Raises Unreadable where there is no data to read, or too much."""
    series: list[Series] = []
    problems: list[str] = []
    decoder = msgspec.json.Decoder(_Line)
    number = skipped = empty = readings = 0

    def skip(why: str) -> None:
        nonlocal skipped
        skipped += 1
        if skipped <= MOST_PROBLEMS:
            problems.append(f"{name}, line {number}: {why}")

    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as stream:
            for number, line in enumerate(_lines(stream), 1):
                progress(f"reading {name}: line {number}")
                if line is None:
                    skip(f"longer than {LONGEST_LINE // 2**20} MiB")
                    continue
                if number == 1:
                    line = line.removeprefix(_BOM)
                if not line.strip():
                    continue
                try:
                    one = _series(decoder.decode(line))
                except (msgspec.DecodeError, ValueError, RecursionError) as error:
                    skip(_short(error))
                    continue
                if not len(one.t):
                    empty += 1
                    continue
                series.append(one)
                readings += len(one.t)
                if readings > MOST_READINGS:
                    raise InputUnreadable(
                        f"{name}: more than {MOST_READINGS // 10**6} million readings; replay it in parts, by workload"
                    )
    except _Damaged:
        number += 1
        skip("the compressed data end in the middle or are damaged")
    except OSError as error:
        raise InputUnreadable(f"{name}: {error.strerror or error}") from None
    return Recording(series, problems, number, skipped=skipped, empty=empty)


class _Damaged(Exception):
    """Compressed data that end in the middle; all whole lines before have been given."""


def _lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines of plain or compressed data, recognised by the first bytes: a name proves little and standard input has
    none. None for a line that is too long, which is not kept."""
    rest: list[bytes] = []
    held = 0
    for part in _inflated(stream):
        *whole, tail = part.split(b"\n")
        for line in whole:
            yield None if held + len(line) > LONGEST_LINE else b"".join([*rest, line])
            rest, held = [], 0
        held += len(tail)
        if held <= LONGEST_LINE:
            rest.append(tail)
        else:
            rest = []
    if held:
        yield None if held > LONGEST_LINE else b"".join(rest)


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    """In pieces of at most a few MiB, however well they were compressed."""
    part = stream.read(_CHUNK)
    if part[:2] != b"\x1f\x8b":
        while part:
            yield part
            part = stream.read(_CHUNK)
        return
    inflate = zlib.decompressobj(wbits=31)
    while part:
        if inflate.eof:  # another member, as from `cat a.gz b.gz`
            inflate = zlib.decompressobj(wbits=31)
        try:
            yield inflate.decompress(part, _CHUNK)
        except zlib.error:
            raise _Damaged from None
        # Zeros after the last member are padding, as tapes and some tools leave it.
        rest = inflate.unused_data.lstrip(b"\0") if inflate.eof else inflate.unconsumed_tail
        part = rest or stream.read(_CHUNK)
    while not inflate.eof:
        part = inflate.decompress(b"", _CHUNK)
        if not part:
            raise _Damaged
        yield part


def _short(error: Exception) -> str:
    text = str(error).replace("\n", " ") or "nested too deeply"
    return text if len(text) <= 200 else text[:200] + "..."


def _series(line: _Line) -> Series:
    """One series of a line. Raises ValueError with what is wrong."""
    n = len(line.t)
    beside = (("rate", line.rate), ("gc", line.gc), ("rss", line.rss), ("latency", line.latency))
    for name, values in (("v", line.v), *beside):
        if values is not None and len(values) != n:
            raise ValueError(f"{name} has {len(values)} values and t has {n}")
    for name in ("signal", "namespace", "workload", "pod"):
        if not getattr(line, name):
            raise ValueError(f"{name} is empty")
    t = np.asarray(line.t, dtype=np.float64)
    v = np.array(line.v, dtype=np.float64)
    rate, gc, rss, latency = (_values(values) for _, values in beside)
    for name, array, least, most in (
        ("t", t, _FIRST, _LAST),
        ("v", v, -_HIGHEST, _HIGHEST),
        ("rate", rate, 0.0, _HIGHEST),
        ("gc", gc, 0.0, _HIGHEST),
        ("rss", rss, 0.0, _HIGHEST),
        ("latency", latency, 0.0, _HIGHEST),
    ):
        if array is not None:
            _within(name, array, least, most)
    if n and np.any(np.diff(t) <= 0):
        # Sorted; of several readings of one moment the first is kept.
        order = np.lexsort((np.isnan(v), t))
        order = order[np.append(True, np.diff(t[order]) > 0)]
        t, v = t[order], v[order]
        rate, gc, rss, latency = (None if values is None else values[order] for values in (rate, gc, rss, latency))
    limit = line.limit
    if limit is not None:
        limit = real_limit(limit)  # not "unlimited", nor the constant zero of an exporter without a value
    if limit is not None and limit < _SMALLEST:
        raise ValueError(f"limit is {limit:g}, next to which every reading is without measure")
    start = line.start if line.start is not None else float(t[0]) if n else 0.0
    if not _FIRST <= start <= _LAST:
        raise ValueError(f"start is {start:.15g}; epoch seconds are allowed")
    return Series(
        line.signal,
        line.namespace,
        line.workload,
        pod=line.pod,
        uid=line.uid,
        start=start,
        limit=limit,
        t=t,
        v=v,
        rate=rate,
        gc=gc,
        rss=rss,
        latency=latency,
    )


def _values(values: list[float | None] | None) -> Floats | None:
    return None if values is None else np.array(values, dtype=np.float64)


def _within(name: str, values: Floats, least: float, most: float) -> None:
    """The values, if all are within the bounds. Raises ValueError with the first that is not. NaN is a missing
    value."""
    wrong = np.flatnonzero((values < least) | (values > most))
    if len(wrong):
        allowed = "epoch seconds are allowed" if name == "t" else f"{least:g} to {most:g} is allowed"
        raise ValueError(f"{name}[{wrong[0]}] is {values[wrong[0]]:.15g}; {allowed}")
