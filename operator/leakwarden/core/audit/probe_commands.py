"""Whether the commands of exec probes fit the time that they have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject, probes

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|)", re.ASCII)
# The flags by which these commands set their own time limit; a value follows after = or as the next word.
_FLAGS = {
    "grpc_health_probe": re.compile(r"--?(?:rpc|connect)-timeout"),
    "grpc-health-probe": re.compile(r"--?(?:rpc|connect)-timeout"),
    "curl": re.compile(r"--max-time|-[a-zA-Z]*m"),
    "wget": re.compile(r"--timeout|-[a-zA-Z]*T"),
}


def command_outlasts_timeout(subject: Subject) -> Iterator[Defect]:
    """A probe's command may take longer than the probe waits.

    The kubelet ends the command after timeoutSeconds (1 s where it is not written) and counts a failure. A longer limit
    in the command itself (grpc_health_probe -rpc-timeout, curl --max-time, wget -T, timeout) has no effect: under load
    the probe fails earlier than it was meant to.

    Mend:
        livenessProbe: {exec: {command: [/bin/grpc_health_probe, -rpc-timeout=5s]}, timeoutSeconds: 6}

    Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#configure-probes
    """
    for container in subject.containers:
        for name, probe in probes(container):
            limit = own_limit(probe.command) if probe.kind == "exec" else None
            if limit is not None and limit > probe.timeout:
                yield Defect(
                    Severity.WARNING,
                    f"the command of the {name} probe gives itself {limit:g} s, and the probe's timeoutSeconds is"
                    f" {probe.timeout}: the kubelet ends it earlier, and counts a failure",
                    f"{name}Probe: {{timeoutSeconds: {int(limit) + 1}}}, or a shorter limit in the command",
                    container.name,
                    f"{name}Probe.timeoutSeconds",
                )


def own_limit(command: Sequence[str]) -> float | None:
    """The seconds that a command gives itself by its own flags; None where it has no such flag."""
    words = _words(command)
    limits: list[float] = []
    flag: re.Pattern[str] | None = None
    for number, word in enumerate(words):
        program = word.rpartition("/")[2]
        following = words[number + 1] if number + 1 < len(words) else ""
        if program == "timeout" and flag is None:
            bound = next((each for each in words[number + 1 :] if _seconds(each) is not None), "")
            return _seconds(bound)  # it ends all that it starts
        if program in _FLAGS:
            flag = _FLAGS[program]
            continue
        if flag is None:
            continue
        given, equals, value = word.partition("=")
        if flag.fullmatch(given):
            seconds = _seconds(value if equals else following)
            if seconds is not None:
                limits.append(seconds)
    return max(limits, default=None)


def _words(command: Sequence[str]) -> list[str]:
    """The words of the command; of a shell's script (sh -c) those of the script."""
    if len(command) >= 3 and re.fullmatch(r"-[a-z]*c", command[1]):
        try:
            return shlex.split(command[2])
        except ValueError:
            return []
    return list(command)


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None
