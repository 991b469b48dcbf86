"""The processes of a pod, where its node shares this machine's kernel: for signals that no API sends."""

from __future__ import annotations

import os
from pathlib import Path

from e2e.harness.kube import Object


def processes_of(pod: Object, command: str) -> list[int]:
    """The ids, here, of the pod's processes whose command line holds `command`; none where its node is elsewhere."""
    uid = pod["metadata"]["uid"]
    found = []
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            text = group.read_text()
            line = (group.parent / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if (uid in text or uid.replace("-", "_") in text) and command.encode() in line:
            found.append(int(group.parent.name))
    return found


def send(pod: Object, number: int, command: str = "leakwarden") -> None:
    """A signal to the pod's processes, from outside its container. Raises AssertionError where there are none."""
    ids = processes_of(pod, command)
    assert ids, f"no process of pod {pod['metadata']['name']} is to be seen on this machine"
    for each in ids:
        os.kill(each, number)
