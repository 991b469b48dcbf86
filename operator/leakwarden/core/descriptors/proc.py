"""The text of /proc/PID/fd and /proc/PID/net, counted. Lines that cannot be read are passed over, never an error."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from leakwarden.core.descriptors.census import ENDS, FILES, Census
from leakwarden.core.descriptors.paths import Names

# include/net/tcp_states.h of Linux.
STATES = {
    "01": "ESTABLISHED",
    "02": "SYN_SENT",
    "03": "SYN_RECV",
    "04": "FIN_WAIT1",
    "05": "FIN_WAIT2",
    "06": "TIME_WAIT",
    "07": "CLOSE",
    "08": "CLOSE_WAIT",
    "09": "LAST_ACK",
    "0A": "LISTEN",
    "0B": "CLOSING",
    "0C": "SYN_RECV",
}
# The kernel's names of anonymous inodes, with brackets or without, and our name of each.
_ANONYMOUS = {
    "eventfd": "eventfd",
    "eventpoll": "epoll",
    "timerfd": "timerfd",
    "inotify": "inotify",
    "signalfd": "signalfd",
    "io_uring": "io_uring",
}
MOST_ENDS = 4096  # different remote ends that are kept


class Counting:
    """One process's descriptors: every link of /proc/PID/fd first, then the tables of /proc/PID/net.

    `byteorder`: "little" or "big", of the machine that wrote the tables.
    """

    def __init__(self, byteorder: str) -> None:
        self._little = byteorder == "little"
        self._kinds: dict[str, int] = {}
        self._sockets: set[str] = set()  # inodes that no table has named yet
        self._names = Names()
        self._ends: dict[tuple[str, str], int] = {}
        self._listening: set[str] = set()  # ports, hexadecimal
        self._total = 0

    def link(self, text: str) -> None:
        """Count the target of one descriptor: `socket:[4711]`, `pipe:[4712]`, `anon_inode:[eventpoll]` or a path."""
        self._total += 1
        if text.startswith("/"):
            memory = text.startswith("/memfd:")
            self._count("memfd" if memory else "file")
            if not memory:
                self._names.add(text)
            return
        kind, _, detail = text.partition(":")
        detail = detail.strip("[]")
        if kind == "socket" and detail.isdigit():
            self._sockets.add(detail)
        elif kind == "pipe":
            self._count("pipe")
        elif kind == "anon_inode":
            self._count(_ANONYMOUS.get(detail, "other"))
        else:
            self._count("other")

    def tcp(self, lines: Iterable[str]) -> None:
        """/proc/PID/net/tcp or tcp6. It lists connections of the whole pod; those of the process are counted."""
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] not in STATES:
                continue
            local_port, inode = fields[1].rpartition(":")[2], fields[9]
            state = STATES[fields[3]]
            if state == "LISTEN":
                self._listening.add(local_port)  # accepted sockets are recognised by the listening port
            if inode not in self._sockets:
                continue
            self._sockets.remove(inode)
            self._count(f"tcp {state}")
            end = self._end(local_port, fields[2])
            if end and (len(self._ends) < MOST_ENDS or (state, end) in self._ends):
                self._ends[state, end] = self._ends.get((state, end), 0) + 1

    def others(self, kind: str, lines: Iterable[str]) -> None:
        """/proc/PID/net/udp, udp6 or unix: `kind` is "udp" or "unix"."""
        at = 9 if kind == "udp" else 6
        for line in lines:
            fields = line.split()
            if len(fields) > at and fields[at] in self._sockets:
                self._sockets.remove(fields[at])
                self._count(kind)

    def census(self, pid: int, processes: int, whole: bool) -> Census:
        kinds = dict(self._kinds)
        if self._sockets:
            # Closed ones that the program still holds are in no table, nor are those that were never connected.
            kinds["socket"] = len(self._sockets)
        ends = sorted(self._ends.items(), key=lambda each: (-each[1], each[0]))[:ENDS]
        return Census(
            pid=pid,
            processes=processes,
            total=self._total,
            whole=whole,
            kinds=dict(sorted(kinds.items(), key=lambda each: (-each[1], each[0]))),
            ends=tuple((state, end, count) for (state, end), count in ends),
            files=tuple(self._names.most(FILES)),
        )

    def _count(self, kind: str) -> None:
        self._kinds[kind] = self._kinds.get(kind, 0) + 1

    def _end(self, local_port: str, remote: str) -> str:
        """`10.0.0.9:80`, or `:8080` where the connection was accepted there: the caller's address is left out on purpose."""
        try:
            if local_port in self._listening:
                return f":{int(local_port, 16)}"
            address, _, port = remote.rpartition(":")
            if len(address) == 8:
                return f"{IPv4Address(self._bytes(address))}:{int(port, 16)}"
            if len(address) != 32:
                return ""
            six = IPv6Address(self._bytes(address))
            return f"{six.ipv4_mapped}:{int(port, 16)}" if six.ipv4_mapped else f"[{six}]:{int(port, 16)}"
        except ValueError:
            return ""

    def _bytes(self, text: str) -> bytes:
        """An address as the kernel prints it: words of four bytes, each in the machine's own order."""
        words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
        return b"".join(word[::-1] if self._little else word for word in words)
