"""The findings of the reader in a pod, and the short document that carries them.

The document was written inside the team's pod, where other programs could have written it too, so it is read as
carefully as any input from there.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

VERSION = 1
ENDS = FILES = 8  # the most remote ends and names of files that are listed
DENIED, NONE = "denied", "none"  # no process may be looked into; there is none

KINDS = frozenset(
    {"file", "memfd", "pipe", "eventfd", "epoll", "timerfd", "inotify", "signalfd", "io_uring", "other", "udp", "unix",
     "socket"}
)  # fmt: skip
_TCP = re.compile(r"tcp ([A-Z][A-Z_]{1,10}[A-Z0-9])", re.ASCII)
_STATE = re.compile(r"[A-Z][A-Z_]{1,10}[A-Z0-9]", re.ASCII)
_END = re.compile(r"(?:[0-9.]{7,15}|\[[0-9a-f:.]{2,45}\])?:[0-9]{1,5}", re.ASCII)
_NAME = re.compile(r"[ -~]{1,160}", re.ASCII)
MOST = 10**8


class Census(NamedTuple):
    """The descriptors of the process that holds most of them.

    `kinds`: how many of each kind, such as "file", "pipe" or "tcp CLOSE_WAIT". `ends`: state, far end, count; a far end
    is ADDRESS:PORT, or :PORT where the connection was accepted on it. `files`: name and count. `whole` False: there are
    more than were read.
    """

    pid: int
    processes: int
    total: int
    whole: bool
    kinds: dict[str, int]
    ends: tuple[tuple[str, str, int], ...] = ()
    files: tuple[tuple[str, int], ...] = ()

    @property
    def sockets(self) -> int:
        return sum(count for kind, count in self.kinds.items() if kind in ("udp", "unix", "socket") or _TCP.match(kind))


class CensusUnreadable(Exception):
    """The text from the pod is not a document of the reader; the message is one line, without that text."""


def written(census: Census, limit: int) -> bytes:
    """The document, in at most `limit` bytes: the entries with the lowest counts are left out first. At least 256 are
    needed."""
    ends, files, kinds = list(census.ends), list(census.files), dict(census.kinds)
    while True:
        document = {"v": VERSION, "pid": census.pid, "of": census.processes, "total": census.total, "whole": census.whole,
                "kinds": kinds, "ends": ends, "files": files}  # fmt: skip
        text = json.dumps(document, separators=(",", ":")).encode()
        if len(text) <= limit:
            return text
        if ends and (not files or ends[-1][2] <= files[-1][1]):
            ends.pop()
        elif files:
            files.pop()
        elif kinds:
            kinds.pop(min(kinds, key=lambda kind: kinds[kind]))
        else:
            return text


def refused(why: str) -> bytes:
    """The document where nothing could be read: DENIED or NONE."""
    return json.dumps({"v": VERSION, "error": why}, separators=(",", ":")).encode()


def read(document: str) -> Census | str:
    """The census, or DENIED or NONE. Raises Unreadable."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        raise CensusUnreadable("what the reader left is not its document") from None
    if not isinstance(found, dict) or found.get("v") != VERSION:
        raise CensusUnreadable("what the reader left is not its document, or of another version")
    error = found.get("error")
    if error in (DENIED, NONE):
        return str(error)
    try:
        return Census(
            pid=_number(found["pid"]),
            processes=_number(found["of"]),
            total=_number(found["total"]),
            whole=found["whole"] is True,
            kinds={_matching(kind): _number(count) for kind, count in _pairs(found["kinds"].items(), 40)},
            ends=tuple((_text(s, _STATE), _text(e, _END), _number(n)) for s, e, n in _pairs(found["ends"], ENDS)),
            files=tuple((_text(name, _NAME), _number(n)) for name, n in _pairs(found["files"], FILES)),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CensusUnreadable("a field of the reader's document is not what it should be") from None


def _pairs(found: Any, most: int) -> list[Any]:
    pairs = list(found)
    if len(pairs) > most:
        raise ValueError(most)
    return pairs


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(MOST)
    return value


def _matching(kind: Any) -> str:
    if kind in KINDS:
        return str(kind)
    return _text(kind, _TCP)


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(pattern.pattern)
    return value
