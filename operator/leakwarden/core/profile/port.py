"""The port of a pod that serves its profiles: set by the policy or the pod, and never guessed.

A wrong port may be another team's admin interface, and a GET of it may be less harmless than one of pprof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Container ports of these names serve profiles.
NAMES = ("pprof", "debug")
Ports = Sequence[tuple[str, int]]  # (name or "", containerPort)


class NoPort(Exception):
    """No port is known; the message names the remedy, in one line."""


def profile_port(configured: int | None, annotation: str | None, containers: Mapping[str, Ports], wanted: str) -> int:
    """The policy's own port, else the pod's annotation, else a container port named pprof or debug.

    `containers` are the pod's, in order; the named one (`wanted`, empty where the signal names none) comes first.
    Raises NoPort, also for an annotation that is not a port number: its author meant another one.
    """
    if configured is not None:
        return configured
    if annotation is not None:
        if annotation.isascii() and annotation.isdigit() and 1 <= int(annotation[:6]) <= 65535:
            return int(annotation)
        raise NoPort("the pod's annotation leakwarden.dev/pprof-port is not a port between 1 and 65535")
    for container in sorted(containers, key=lambda name: name != wanted):
        for name in NAMES:
            for each, port in containers[container]:
                if each == name:
                    return port
    raise NoPort(
        "no port is known to serve profiles: set spec.evidence.port, annotate the pod with leakwarden.dev/pprof-port, or"
        " name the container port pprof or debug"
    )
