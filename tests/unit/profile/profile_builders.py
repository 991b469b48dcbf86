"""Profiles made by hand: goroutines at stacks, heap allocations, and the bytes of profile.proto."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leakwarden.core.profile.pprof import Frame, Profile, StackSample

MAIN = Frame("main.main", "/src/cmd/shop/main.go", 9)
PARKED = Frame("runtime.gopark", "/usr/local/go/src/runtime/proc.go", 474)
WAITING: Sequence[tuple[int, Sequence[Frame | str]]] = ((1, [MAIN]),)


def call(text: str) -> Frame:
    """`main.fetch@12` is line 12 of /src/cmd/shop/main.go, `net/http.X@3` is in Go's own library; a Frame is returned
    unchanged."""
    function, _, line = text.partition("@")
    package = function.rpartition("/")[0] + "/" + function.rpartition("/")[2].partition(".")[0]
    package = package.lstrip("/")
    if package == "main":
        directory = "/src/cmd/shop"
    elif package.startswith("example.org/shop/"):
        directory = "/src/" + package.removeprefix("example.org/shop/")
    elif "." in package.partition("/")[0]:
        parts = package.split("/")
        size = 3 if parts[0] in ("github.com", "golang.org") else 2
        directory = "/".join([f"/go/pkg/mod/{'/'.join(parts[:size])}@v1.2.3", *parts[size:]])
    else:
        directory = f"/usr/local/go/src/{package}"
    return Frame(function, f"{directory}/main.go" if package == "main" else f"{directory}/code.go", int(line or 1))


def stack(calls: Iterable[Frame | str]) -> tuple[Frame, ...]:
    return tuple(one if isinstance(one, Frame) else call(one) for one in calls)


def goroutines(*standing: tuple[int, Sequence[Frame | str]], kind: str = "goroutine") -> Profile:
    """Goroutines by count and stack, innermost call first; main is there too."""
    samples = [StackSample((PARKED, *stack(calls)), (count,)) for count, calls in standing]
    return Profile(((kind, "count"),), (*samples, StackSample((PARKED, MAIN), (1,))))


def heap(*allocations: tuple[int, int, Sequence[Frame | str]], size: int = 512) -> Profile:
    """(allocated, in use, stack) in objects of `size` bytes, as the profile's scaled estimates."""
    types = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))
    samples = [StackSample(stack(calls), (a, a * size, u, u * size)) for a, u, calls in allocations]
    return Profile(types, tuple(samples), period=512 * 1024)


def number(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def scalar(field: int, value: int) -> bytes:
    return number(field << 3) + number(value)


def message(field: int, body: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(body)) + body


def encode(profile: Profile) -> bytes:
    """The bytes of a profile, in pprof's own layout."""
    strings: dict[str, int] = {"": 0}

    def text(value: str) -> int:
        return strings.setdefault(value, len(strings))

    frames = sorted({frame for sample in profile.samples for frame in sample.stack}, key=str)
    identity = {frame: n for n, frame in enumerate(frames, 1)}
    out = b"".join(message(1, scalar(1, text(kind)) + scalar(2, text(unit))) for kind, unit in profile.types)
    for sample in profile.samples:
        body = message(1, b"".join(number(identity[f]) for f in sample.stack))
        body += message(2, b"".join(number(v) for v in sample.values))
        body += b"".join(message(3, scalar(1, text(k)) + scalar(2, text(v))) for k, v in sample.labels)
        out += message(2, body)
    for frame, n in identity.items():
        out += message(4, scalar(1, n) + message(4, scalar(1, n) + scalar(2, frame.line)))
        out += message(5, scalar(1, n) + scalar(2, text(frame.function)) + scalar(4, text(frame.file)))
    out += b"".join(message(6, value.encode()) for value in strings)
    return out + scalar(9, int(profile.taken * 1e9)) + scalar(12, profile.period)
