"""Runs inside a pod, in an ephemeral container: counts the open descriptors of the process next to it, leaves the
result where the kubelet finds it, and ends. Needs no network, no credentials and no further rights than that process.

    python3 -m leakwarden.adapters.procfs [--to FILE] [--bytes N] [--pid PID] [--report NAMESPACE/NAME]

Without --pid it is the process with the most descriptors. --report names the LeakReport, for people who read the pod.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from leakwarden.core.descriptors.census import DENIED, NONE, Census, refused, written
from leakwarden.core.descriptors.proc import Counting

MOST = 50_000  # descriptors that are looked at; the reader's memory is the pod's
MOST_LINES = 500_000  # of one table of sockets
LONGEST = 20  # s, after which the process is killed
BYTES = 4096  # the size that a kubelet keeps of a termination message


def main(arguments: Sequence[str]) -> int:
    """0 where the document was written, whatever its content."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    unknown = set(options) - {"--to", "--bytes", "--pid", "--report"}
    if unknown or len(arguments) % 2:
        print(f"procfs: {' '.join(sorted(unknown)) or arguments[-1]}: see the module's text", file=sys.stderr)
        return 2
    signal.alarm(LONGEST)
    target = options.get("--to", "")
    if target:
        _go_first()
    document = look(int(options.get("--bytes", BYTES)), int(options["--pid"]) if "--pid" in options else None)
    if target:
        # Not created where it is missing: the kubelet would not look there.
        with open(target, "r+b", buffering=0) as message:
            message.write(document)
    else:
        print(document.decode())
    return 0


def look(limit: int, pid: int | None = None, root: Path = Path("/proc")) -> bytes:
    """The document about one process, or about the one with the most descriptors. `root` is the /proc to read."""
    found, denied = ({pid: 0}, False) if pid is not None else _processes(root)
    if not found:
        return refused(DENIED if denied else NONE)
    most = max(found, key=lambda each: found[each])
    try:
        return written(census(root, most, len(found)), limit)
    except PermissionError:
        return refused(DENIED)
    except OSError:  # it ended meanwhile
        return refused(NONE)


def census(root: Path, pid: int, processes: int) -> Census:
    """Raises OSError where the process's descriptors cannot be read."""
    directory = f"{root}/{pid}"
    counting = Counting(sys.byteorder)
    with os.scandir(f"{directory}/fd") as entries:
        for entry in islice(entries, MOST):
            try:
                counting.link(os.readlink(entry.path))
            except FileNotFoundError:
                continue  # closed meanwhile
        whole = next(entries, None) is None
    for table in ("tcp", "tcp6"):
        counting.tcp(_lines(f"{directory}/net/{table}"))
    for table in ("udp", "udp6", "unix"):
        counting.others(table.removesuffix("6"), _lines(f"{directory}/net/{table}"))
    return counting.census(pid, processes, whole)


def _processes(root: Path) -> tuple[dict[int, int], bool]:
    """The number of descriptors of each process except this one, and whether some processes may not be read."""
    found: dict[int, int] = {}
    denied = False
    for name in os.listdir(root):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with os.scandir(f"{root}/{name}/fd") as entries:
                found[int(name)] = sum(1 for _ in islice(entries, MOST))
        except PermissionError:
            denied = True
        except OSError:
            continue  # it ended meanwhile
    return found, denied


def _lines(path: str) -> Iterator[str]:
    """A table's lines, none where it is not there (a kernel without IPv6)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as table:
            yield from islice(table, MOST_LINES)
    except OSError:
        return


def _go_first() -> None:
    """If the pod runs out of memory meanwhile, this process should be killed first; a process may always raise its own
    score."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="utf-8") as adjustment:
            adjustment.write("1000")
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
