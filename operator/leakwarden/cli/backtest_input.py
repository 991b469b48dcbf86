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

from leakwarden.core.readings import Floats
from leakwarden.core.recording import Series
from leakwarden.core.signals import real_limit

_CHUNK = 2**20
_BOM = b"\xef\xbb\xbf"
# Seconds of the years 1 to 9999: whoever writes milliseconds is told so.
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0
# Readings and their shares of the limit are kept in single precision, which ends at 3e38.
_HIGHEST = 1e18
_SMALLEST = 1e-18


class Unreadable(Exception):
    """The input as a whole cannot be read; the message is fit for people."""


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


@dataclass(frozen=True, slots=True)
class Recording:
    """`problems`: a sentence for each skipped line, with its number. `lines`: how many there were. `until`: the present
    (epoch s) where the recording goes as far: that no reading follows says nothing then."""

    series: list[Series]
    problems: list[str]
    lines: int
    until: float = math.inf


def read(name: str, progress: Callable[[str], None]) -> Recording:
    """All series of a file (`-`: standard input). Raises Unreadable where there is nothing to read from."""
    series: list[Series] = []
    problems: list[str] = []
    decoder = msgspec.json.Decoder(_Line)
    number = 0
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == "-" else open(name, "rb") as stream:
            for number, line in enumerate(_lines(stream), 1):
                progress(f"reading {name}: line {number}")
                if number == 1:
                    line = line.removeprefix(_BOM)
                if not line.strip():
                    continue
                try:
                    one = _series(decoder.decode(line))
                except (msgspec.DecodeError, ValueError, RecursionError) as error:
                    problems.append(f"{name}, line {number}: {_short(error)}")
                    continue
                if len(one.t):
                    series.append(one)
    except _Damaged:
        number += 1
        problems.append(f"{name}, line {number}: the compressed data end in the middle or are damaged")
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror or error}") from None
    return Recording(series, problems, number)


class _Damaged(Exception):
    """Compressed data that end in the middle; all whole lines before have been given."""


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines of plain or compressed data, told by the first bytes: a name says little and standard input has none."""
    rest: list[bytes] = []
    for part in _inflated(stream):
        head, found, tail = part.rpartition(b"\n")
        if found:
            yield from (b"".join(rest) + head).split(b"\n")
            rest = []
        rest.append(tail)
    if last := b"".join(rest):
        yield last


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    part = stream.read(_CHUNK)
    if part[:2] != b"\x1f\x8b":
        while part:
            yield part
            part = stream.read(_CHUNK)
        return
    inflate = zlib.decompressobj(wbits=31)
    while part:
        try:
            yield inflate.decompress(part)
        except zlib.error:
            raise _Damaged from None
        part = inflate.unused_data if inflate.eof else b""
        if part:  # another member: what `cat a.gz b.gz` makes
            inflate = zlib.decompressobj(wbits=31)
        else:
            part = stream.read(_CHUNK)
            if part and inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
    if not inflate.eof:
        raise _Damaged


def _short(error: Exception) -> str:
    text = str(error).replace("\n", " ")
    return text if len(text) <= 200 else text[:200] + "..."


def _series(line: _Line) -> Series:
    """Raises ValueError with what is wrong."""
    n = len(line.t)
    for name, values in (("v", line.v), ("rate", line.rate), ("gc", line.gc)):
        if values is not None and len(values) != n:
            raise ValueError(f"{name} has {len(values)} values and t has {n}")
    for name in ("signal", "namespace", "workload", "pod"):
        if not getattr(line, name):
            raise ValueError(f"{name} is empty")
    t = np.asarray(line.t, dtype=np.float64)
    v, rate, gc = (_values(values) for values in (line.v, line.rate, line.gc))
    assert v is not None
    for name, array, least, most in (
        ("t", t, _FIRST, _LAST),
        ("v", v, -_HIGHEST, _HIGHEST),
        ("rate", rate, 0.0, _HIGHEST),
        ("gc", gc, 0.0, _HIGHEST),
    ):
        if array is not None:
            _within(name, array, least, most)
    if n and np.any(np.diff(t) <= 0):
        # Sorted, and of readings of one moment the first that is there.
        order = np.lexsort((np.isnan(v), t))
        order = order[np.append(True, np.diff(t[order]) > 0)]
        t, v = t[order], v[order]
        rate, gc = (None if values is None else values[order] for values in (rate, gc))
    limit = line.limit
    if limit is not None:
        limit = real_limit(limit)  # not "unlimited", nor the constant zero of an exporter that cannot say
    if limit is not None and limit < _SMALLEST:
        raise ValueError(f"limit is {limit:g}, next to which every reading is without measure")
    start = line.start if line.start is not None else float(t[0]) if n else 0.0
    return Series(line.signal, line.namespace, line.workload, line.pod, line.uid, start, limit, t, v, rate, gc)


def _values(values: list[float | None] | None) -> Floats | None:
    return None if values is None else np.array(values, dtype=np.float64)


def _within(name: str, values: Floats, least: float, most: float) -> None:
    """Raises ValueError with the first that is out of bounds. NaN is a missing one."""
    wrong = np.flatnonzero((values < least) | (values > most))
    if len(wrong):
        allowed = "epoch seconds are allowed" if name == "t" else f"{least:g} to {most:g} is allowed"
        raise ValueError(f"{name}[{wrong[0]}] is {values[wrong[0]]:.15g}; {allowed}")
