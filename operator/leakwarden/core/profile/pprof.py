"""Decodes pprof's profile.proto, gzipped or not, into stacks with values.

A small decoder of our own: a profile comes from a pod that may be broken or hostile, so every count is bounded
before memory is spent on it, and nothing but ProfileError comes out. Source of the format: google/pprof,
proto/profile.proto; field numbers below are its.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from leakwarden.core.profile.wire import BYTES, VARINT, ProfileError, fields, numbers, signed

__all__ = ["DecodeLimits", "Frame", "Profile", "ProfileError", "StackSample", "decode"]

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """The bounds of a profile. The defaults are enough for a service with a million goroutines (a stack counts once,
    however many are in it); a profile that fills them with nonsense costs 7 s of one core."""

    compressed: int = 8 << 20  # bytes
    inflated: int = 16 << 20  # bytes
    samples: int = 100_000
    locations: int = 200_000
    strings: int = 200_000
    text: int = 2048  # characters kept of one string
    depth: int = 1024  # calls of one stack; Go itself stops at 128, inlined calls come on top
    calls: int = 4_000_000  # of all stacks together


@dataclass(frozen=True, slots=True)
class Frame:
    """One call. `file` is as the compiler wrote it: absolute, or with -trimpath module@version/dir/file.go."""

    function: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class StackSample:
    stack: tuple[Frame, ...]  # the innermost call first, inlined calls expanded
    values: tuple[int, ...]  # one per sample type
    labels: tuple[tuple[str, str], ...] = ()  # pprof.Do's, which goroutines inherit; sorted
    size: int = 0  # of a heap profile: bytes of one allocation; samples of one stack and other sizes are others


@dataclass(frozen=True, slots=True)
class Profile:
    types: tuple[tuple[str, str], ...]  # (name, unit) of the values, e.g. ("inuse_objects", "count")
    samples: tuple[StackSample, ...]
    period: int = 0  # of a heap profile: bytes between two samples, on average
    taken: float = 0.0  # epoch s; 0 where it is not given

    def column(self, name: str) -> int | None:
        """The place of the value with this name."""
        return next((n for n, (kind, _) in enumerate(self.types) if kind == name), None)


def decode(data: bytes, limits: DecodeLimits | None = None) -> Profile:
    """The profile in `data`. Raises ProfileError, and nothing else, whatever the bytes are."""
    limits = limits or DecodeLimits()
    if len(data) > limits.compressed and data[:2] == _GZIP:
        raise ProfileError(f"it is larger than {limits.compressed} bytes")
    raw = _inflate(data, limits.inflated) if data[:2] == _GZIP else data
    if len(raw) > limits.inflated:
        raise ProfileError(f"it is larger than {limits.inflated} bytes")
    if not raw:
        raise ProfileError("it is empty")
    return _Decoder(raw, limits).profile()


def _generic(name: str) -> str:
    """`api.Decode[go.shape.int].func1` -> `api.Decode[...].func1`, as tracebacks write it: the text between
    the brackets is the compiler's own, differs between profiles of one program, and is not a type in the source."""
    start, end = name.find("["), name.rfind("]")
    return f"{name[: start + 1]}...{name[end:]}" if 0 <= start < end else name


def _inflate(data: bytes, limit: int) -> bytes:
    """Decompress up to `limit` bytes; more is a bomb. Raises ProfileError."""
    unzip = zlib.decompressobj(31)
    out = bytearray()
    try:
        while not unzip.eof:
            chunk = unzip.decompress(data, min(_CHUNK, limit + 1 - len(out)))
            out += chunk
            if len(out) > limit:
                raise ProfileError(f"it inflates to more than {limit} bytes")
            data = unzip.unconsumed_tail
            if not data and not unzip.eof and not chunk:
                raise ProfileError("its compressed data is cut off")
    except zlib.error:
        raise ProfileError("its compressed data is damaged") from None
    if unzip.unused_data:
        raise ProfileError("there is something after its end")
    return bytes(out)


class _Decoder:
    """One pass sorts the top-level fields; then references are resolved, each once."""

    def __init__(self, data: bytes, limits: DecodeLimits) -> None:
        self._data = data
        self._limits = limits
        self._strings: list[str] = []
        self._functions: dict[int, tuple[str, str]] = {}
        self._locations: dict[int, tuple[Frame, ...]] = {}
        self._calls = 0

    def profile(self) -> Profile:
        parts = self._sorted()
        self._strings = [self._text(a, b) for a, b in parts[6]]
        if not self._strings or self._strings[0]:
            raise ProfileError("its first string is not the empty one")
        self._functions = dict(self._function(a, b) for a, b in parts[5])
        self._locations = dict(self._location(a, b) for a, b in parts[4])
        types = tuple(self._value_type(a, b) for a, b in parts[1])
        if not types:
            raise ProfileError("it does not say what its values are")
        samples = tuple(self._sample(a, b, len(types)) for a, b in parts[2])
        return Profile(types, samples, self._period, self._taken)

    def _sorted(self) -> dict[int, list[tuple[int, int]]]:
        caps = {
            1: 64,
            2: self._limits.samples,
            4: self._limits.locations,
            5: self._limits.locations,
            6: self._limits.strings,
        }
        parts: dict[int, list[tuple[int, int]]] = {number: [] for number in caps}
        self._period, self._taken = 0, 0.0
        for number, kind, a, b in fields(self._data, 0, len(self._data)):
            if (part := parts.get(number)) is not None:
                if kind != BYTES:
                    raise ProfileError("a message is not written as one")
                part.append((a, b))
                if len(part) > caps[number]:
                    raise ProfileError(f"it has more than {caps[number]} entries of one kind")
            elif number == 9 and kind == VARINT:
                self._taken = max(0, signed(a)) / 1e9
            elif number == 12 and kind == VARINT:
                self._period = max(0, signed(a))
        return parts

    def _text(self, a: int, b: int) -> str:
        # At most four bytes per character: the rest is never decoded.
        text = self._data[a : min(b, a + 4 * self._limits.text)].decode("utf-8", "replace")
        text = text[: self._limits.text]
        # Names end up on terminals, in logs and in status; the pod chose them, and control characters are not names.
        return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)

    def _string(self, index: int) -> str:
        try:
            return self._strings[index]
        except IndexError:
            raise ProfileError("it refers to a string that it does not have") from None

    def _scalars(self, a: int, b: int) -> Iterator[tuple[int, int]]:
        return ((number, value) for number, kind, value, _ in fields(self._data, a, b) if kind == VARINT)

    def _value_type(self, a: int, b: int) -> tuple[str, str]:
        values = dict(self._scalars(a, b))
        return self._string(values.get(1, 0)), self._string(values.get(2, 0))

    def _function(self, a: int, b: int) -> tuple[int, tuple[str, str]]:
        values = dict(self._scalars(a, b))
        return values.get(1, 0), (_generic(self._string(values.get(2, 0))), self._string(values.get(4, 0)))

    def _location(self, a: int, b: int) -> tuple[int, tuple[Frame, ...]]:
        identity, address, frames = 0, 0, []
        for number, kind, c, d in fields(self._data, a, b):
            if number == 1 and kind == VARINT:
                identity = c
            elif number == 3 and kind == VARINT:
                address = c
            elif number == 4 and kind == BYTES:
                frames.append(self._line(c, d))
                if len(frames) > self._limits.depth:
                    raise ProfileError("a location has too many lines")
        # Without symbols there is only the address, which still separates one place from another.
        return identity, tuple(frames) or (Frame(f"0x{address:x}", "", 0),)

    def _line(self, a: int, b: int) -> Frame:
        values = dict(self._scalars(a, b))
        function = self._functions.get(values.get(1, 0))
        if function is None:
            raise ProfileError("it refers to a function that it does not have")
        return Frame(*function, max(0, signed(values.get(2, 0))))

    def _sample(self, a: int, b: int, expected: int) -> StackSample:
        stack: list[Frame] = []
        values: list[int] = []
        labels: list[tuple[str, str]] = []
        depth, size = 0, 0
        for number, kind, c, d in fields(self._data, a, b):
            if number == 1:
                for identity in numbers(self._data, kind, c, d):
                    frames = self._locations.get(identity)
                    if frames is None:
                        raise ProfileError("it refers to a location that it does not have")
                    stack += frames
                    depth += len(frames)
                    if depth > self._limits.depth:
                        raise ProfileError("a stack is too deep")
            elif number == 2:
                for value in numbers(self._data, kind, c, d):
                    values.append(signed(value))
                    if len(values) > expected:
                        break
            elif number == 3 and kind == BYTES and len(labels) < 64:
                label = dict(self._scalars(c, d))
                if label.get(2):
                    labels.append((self._string(label.get(1, 0)), self._string(label[2])))
                elif label.get(3) and self._string(label.get(1, 0)) == "bytes":
                    size = max(0, signed(label[3]))
        self._calls += depth
        if self._calls > self._limits.calls:
            raise ProfileError(f"its stacks have more than {self._limits.calls} calls")
        if len(values) != expected:
            raise ProfileError("a sample has not as many values as there are types")
        return StackSample(tuple(stack), tuple(values), tuple(sorted(labels)), size)
