"""Open descriptors in a LeakReport: a line for each kind, one for all, and the detail they add to suspects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leakwarden.api.v1alpha1.evidence_status import MAX_DESCRIPTOR_LINE, MAX_DESCRIPTORS, SuspectStatus
from leakwarden.core.descriptors.census import Census

PLACES = 3  # remote ends or names listed after each count
# Share of all descriptors from which on one kind, or one place, counts as the leak.
MOST_OF_ALL = 0.3

_FILES = "FileNotClosed"
_CONNECTIONS = frozenset({"ResponseBodyNotClosed", "TransportPerRequest", "CallWithoutDeadline"})
_NAMES = {
    "file": ("file", "files"),
    "pipe": ("end of a pipe", "ends of pipes"),
    "memfd": ("file in memory", "files in memory"),
    "socket": ("socket without a connection", "sockets without a connection"),
    "udp": ("UDP socket", "UDP sockets"),
    "unix": ("Unix socket", "Unix sockets"),
    "other": ("of another kind", "of other kinds"),
    "epoll": ("epoll instance", "epoll instances"),
    "eventfd": ("eventfd", "eventfds"),
    "timerfd": ("timerfd", "timerfds"),
    "inotify": ("inotify instance", "inotify instances"),
    "signalfd": ("signalfd", "signalfds"),
    "io_uring": ("io_uring", "io_urings"),
}


def lines(census: Census) -> list[str]:
    """One line per kind, the most numerous first: `148 sockets in CLOSE_WAIT: 148 to 10.0.0.9:80`."""
    told = [_line(kind, count, census) for kind, count in sorted(census.kinds.items(), key=lambda each: -each[1])]
    if not census.whole:
        told.insert(0, f"only the first {census.total} descriptors were looked at; there are more")
    return [line[:MAX_DESCRIPTOR_LINE] for line in told[:MAX_DESCRIPTORS]]


def _line(kind: str, count: int, census: Census) -> str:
    state = kind.removeprefix("tcp ")
    if state != kind:
        head = f"{count} {'socket' if count == 1 else 'sockets'} in {state}"
        ends = [(_where(end), number) for at, end, number in census.ends if at == state]
        return f"{head}{_places(ends)}" if state != "LISTEN" else f"{head}{_ports(ends)}"
    one, many = _NAMES.get(kind, (kind, kind))
    head = f"{count} {one if count == 1 else many}"
    return head + _places(census.files) if kind == "file" else head


def _where(end: str) -> str:
    return f"accepted on {end}" if end.startswith(":") else f"to {end}"


def _ports(ends: Sequence[tuple[str, int]]) -> str:
    ports = [where.rpartition(":")[2] for where, _ in ends]
    return f": {', '.join(f':{port}' for port in ports[:PLACES])}" if ports else ""


def _places(places: Iterable[tuple[str, int]]) -> str:
    most = sorted(places, key=lambda each: -each[1])[:PLACES]
    return f": {', '.join(f'{number} {where}' for where, number in most)}" if most else ""


def summary(census: Census) -> str:
    """All in one line: `161 sockets, 148 in CLOSE_WAIT to 10.0.0.9:80`, or `171 descriptors, 160 files /tmp/spool-*`."""
    sockets, files = census.sockets, census.kinds.get("file", 0)
    if sockets >= files and sockets > 0:
        states = {kind.removeprefix("tcp "): n for kind, n in census.kinds.items() if kind.startswith("tcp ")}
        if not states:
            return f"{sockets} sockets"
        state = max(states, key=lambda each: states[each])
        ends = [(end, n) for at, end, n in census.ends if at == state]
        end = max(ends, key=lambda each: each[1], default=("", 0))
        # Written for all of them only where it is true of most.
        place = f" {_where(end[0])}" if end[1] * 2 > states[state] else ""
        number = end[1] if place else states[state]
        return f"{sockets} sockets, {number} in {state}{place}"
    if files > 0:
        name, count = max(census.files, key=lambda each: each[1], default=("", 0))
        place = f", {count} files {name}" if count * 2 > files else f", {files} files"
        return f"{census.total} descriptors{place}"
    return f"{census.total} descriptors"


def strengthened(suspects: Sequence[SuspectStatus], census: Census) -> list[SuspectStatus]:
    """The suspects, with the detail of descriptors of the same kind: which file, or which remote end."""
    return [_strengthened(suspect, census) for suspect in suspects]


def _strengthened(suspect: SuspectStatus, census: Census) -> SuspectStatus:
    least = MOST_OF_ALL * max(census.total, 1)
    if suspect.shape == _FILES:
        name, count = max(census.files, key=lambda each: each[1], default=("", 0))
        if count < least:
            return suspect
        said = f" Open files: {count} {name}."
        # The open files are now observed and no longer concluded; the line that opens them is as certain as before.
        surer = "Medium" if suspect.confidence == "Low" else suspect.confidence
        return _with(suspect, said, surer)
    if suspect.shape in _CONNECTIONS:
        state, end, count = max(census.ends, key=lambda each: each[2], default=("", "", 0))
        if count < least or end.startswith(":"):
            return suspect
        return _with(suspect, f" Open sockets: {count} in {state} to {end}.", suspect.confidence)
    return suspect


def _with(suspect: SuspectStatus, said: str, confidence: str) -> SuspectStatus:
    if said in suspect.explanation:
        return suspect
    # The earlier text is shortened: the usual fix is at its end, and readers of the report need it least.
    text = suspect.explanation[: 1024 - len(said)] + said
    return suspect.model_copy(update={"explanation": text, "confidence": confidence})
