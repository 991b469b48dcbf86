"""Whether memory has a limit, and whether the Go runtime gets one that fits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject
from leakwarden.core.model.workload import Container

# runtime.parseByteCount: a decimal integer with an optional suffix; no fractions, no SI units, no spaces.
_BYTE_COUNT = re.compile(r"([0-9]+)(B|KiB|MiB|GiB|TiB)?", re.ASCII)
_UNIT = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
# The Go GC guide (go.dev/doc/gc-guide) advises 5 to 10 % of headroom for memory that the runtime does not see.
MOST_SHARE = 0.95
ADVISED_SHARE = 0.9
# runc itself needs some megabytes to start a container; a smaller limit has most likely a wrong unit.
LEAST_MEMORY = 2.0**20
# The largest machines of the large clouds have less memory.
MOST_CORES = 500


def parse_gomemlimit(text: str) -> float:
    """Bytes of a GOMEMLIMIT as the Go runtime reads it; infinite for `off` and for an empty one.

    Raises ValueError where the runtime would refuse to start.
    """
    if text in ("", "off"):
        return math.inf
    match = _BYTE_COUNT.fullmatch(text)
    if match is None or len(match[1]) > 19:
        raise ValueError(f"{text[:40]!r} is not a Go byte count")
    number = int(match[1]) * _UNIT[match[2] or "B"]
    if number >= 2**63:
        raise ValueError(f"{text[:40]!r} is more than the runtime can count")
    return float(number)


def memory_limit_missing(subject: Subject) -> Iterator[Defect]:
    """A container has no memory limit.

    A leak takes the node's memory from its neighbours, and the Heap and WorkingSet signals have nothing to be measured
    against. A limit of the pod as a whole (Kubernetes 1.34+) counts.

    Mend:
        resources: {limits: {memory: 512Mi}}

    Source: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
    """
    for container in subject.containers:
        if container.memory_limit is None and subject.workload.pods.memory_limit is None:
            yield Defect(
                Severity.WARNING,
                "no memory limit: a leak takes the node's memory from its neighbours, and the Heap and WorkingSet"
                " signals have nothing to be measured against",
                "resources: {limits: {memory: 512Mi}}",
                container.name,
            )


def unit_unlikely(subject: Subject) -> Iterator[Defect]:
    """An amount of memory or CPU has another unit than was meant.

    `m` is a thousandth: memory of 512m is half a byte, and a container with such a limit never starts. CPU without a
    unit counts whole cores: 500 is five hundred of them, and no node has room.

    Mend:
        resources: {requests: {cpu: 500m, memory: 512Mi}, limits: {memory: 512Mi}}

    Source: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-memory
    """
    for container in (*subject.workload.containers, *subject.workload.pods.sidecars):
        for what, amount in (("limit", container.memory_limit), ("request", container.memory_request)):
            if amount is not None and amount < LEAST_MEMORY:
                yield Defect(
                    Severity.ERROR if what == "limit" else Severity.WARNING,
                    f"the memory {what} is {amount:g} bytes, in which nothing can start (m is a thousandth, Mi are"
                    " mebibytes)",
                    "memory: 512Mi",
                    container.name,
                )
                break
        for what, amount in (("request", container.cpu_request), ("limit", container.cpu_limit)):
            if amount is not None and amount >= MOST_CORES:
                yield Defect(
                    Severity.WARNING,
                    f"the CPU {what} is {amount:g} cores, more than a node has (m is a thousandth of a core)",
                    f"cpu: {amount:g}m",
                    container.name,
                )
                break


def gomemlimit_missing(subject: Subject) -> Iterator[Defect]:
    """The Go runtime does not know the memory limit.

    Without GOMEMLIMIT the heap may double between two collections, and meets the limit as an OOM kill.

    Mend:
        env: [{name: GOMEMLIMIT, value: 460MiB}]   # 90 % of the limit, in Go's units

    Source: https://go.dev/doc/gc-guide#Memory_limit
    """
    for container in subject.containers:
        # With envFrom it may be one of the variables that cannot be read here.
        if container.memory_limit and "GOMEMLIMIT" not in container.env and not container.env_from:
            # Info: the program may set it itself (debug.SetMemoryLimit), or envFrom may.
            yield Defect(
                Severity.INFO,
                f"memory limit {_mib(container.memory_limit)} but no GOMEMLIMIT: unless the program sets it,"
                " the runtime lets the heap double between collections and meets the limit as an OOM kill",
                f"env: [{{name: GOMEMLIMIT, value: {_mib(container.memory_limit * ADVISED_SHARE)}}}]",
                container.name,
            )


def gomemlimit_malformed(subject: Subject) -> Iterator[Defect]:
    """The Go runtime refuses GOMEMLIMIT.

    Go counts in B, KiB, MiB, GiB and TiB, whole numbers only. With anything else, such as Kubernetes' 512Mi, the program
    ends at its start.

    Mend:
        env: [{name: GOMEMLIMIT, value: 512MiB}]

    Source: https://pkg.go.dev/runtime#hdr-Environment_Variables
    """
    for container in subject.containers:
        text = _readable(container)
        try:
            parse_gomemlimit(text)
        except ValueError as error:
            corrected = re.fullmatch(r"([0-9]+)\s*([KMGT])i?B?", text, re.ASCII | re.IGNORECASE)
            good = f"{corrected[1]}{corrected[2].upper()}iB" if corrected else "450MiB"
            yield Defect(
                Severity.ERROR,
                f"GOMEMLIMIT: {error}, and a Go program refuses to start with it (Kubernetes writes 512Mi, Go 512MiB)",
                f"env: [{{name: GOMEMLIMIT, value: {good}}}]",
                container.name,
                mend=(("env[name=GOMEMLIMIT].value", good),) if corrected else (),
            )


def gomemlimit_above_limit(subject: Subject) -> Iterator[Defect]:
    """GOMEMLIMIT leaves no room below the limit.

    The runtime does not count the stacks of C code, mappings and the page cache; Go's guide advises 5 to 10 % of headroom.

    Mend:
        env: [{name: GOMEMLIMIT, value: 460MiB}]   # 90 % of 512Mi

    Source: https://go.dev/doc/gc-guide#Memory_limit
    """
    for container in subject.containers:
        limit = container.memory_limit
        try:
            soft = parse_gomemlimit(_readable(container))
        except ValueError:
            continue  # reported in more detail by its own check
        # A person decided on `off`, and it says nothing about how the two numbers fit.
        if not limit or math.isinf(soft) or soft <= MOST_SHARE * limit:
            continue
        above = soft > limit
        yield Defect(
            Severity.WARNING if above else Severity.INFO,
            f"GOMEMLIMIT is {_mib(soft)} and the memory limit {_mib(limit)}: "
            + (
                "the kernel kills the process before the runtime begins to save memory"
                if above
                else f"less than {1 - MOST_SHARE:.0%} is left for what the runtime does not count (stacks of C code,"
                " mappings, page cache)"
            ),
            f"env: [{{name: GOMEMLIMIT, value: {_mib(limit * ADVISED_SHARE)}}}]",
            container.name,
            mend=(("env[name=GOMEMLIMIT].value", _mib(limit * ADVISED_SHARE)),),
        )


def gc_off(subject: Subject) -> Iterator[Defect]:
    """Garbage is never collected.

    GOGC=off is a good pattern under a GOMEMLIMIT, and without one lets memory grow until the process is killed.

    Mend:
        env: [{name: GOMEMLIMIT, value: 460MiB}]

    Source: https://go.dev/doc/gc-guide#Memory_limit
    """
    for container in subject.containers:
        text = _readable(container)
        absent = "GOMEMLIMIT" not in container.env
        # With a GOMEMLIMIT, whatever its source, GOGC=off is a good pattern.
        if container.env.get("GOGC") != "off" or not (absent or text == "off"):
            continue
        advised = container.memory_limit * ADVISED_SHARE if container.memory_limit else 450 * 2**20
        yield Defect(
            Severity.WARNING if absent else Severity.ERROR,
            "GOGC is off and there is no GOMEMLIMIT: unless the program sets one, garbage is never collected and memory"
            " grows until the process is killed"
            if absent
            else "GOGC and GOMEMLIMIT are both off: garbage is never collected, so memory grows until the process is"
            " killed",
            f"env: [{{name: GOMEMLIMIT, value: {_mib(advised)}}}], or no GOGC",
            container.name,
        )


def _readable(container: Container) -> str:
    """GOMEMLIMIT where it can be read from the manifest; empty where it is absent, a reference or made of other
    variables."""
    text = container.env.get("GOMEMLIMIT", "")
    return "" if "$(" in text else text


def _mib(count: float) -> str:
    """Formatted as Go parses it, so that it can be copied: whole MiB, or KiB and bytes below that."""
    for unit in ("MiB", "KiB"):
        if count >= _UNIT[unit]:
            return f"{int(count // _UNIT[unit])}{unit}"
    return f"{int(count)}B"


def processors_above_limit(subject: Subject) -> Iterator[Defect]:
    """The Go runtime uses more processors than it may.

    Before Go 1.25 GOMAXPROCS is the number of the node's processors, whatever the CPU limit. A collection then runs on
    all of them at once, uses the quota of the period up, and everything else waits for the next one.

    Mend:
        env: [{name: GOMAXPROCS, value: "2"}]   # the CPU limit, rounded up; or Go 1.25, or go.uber.org/automaxprocs

    Source: https://go.dev/blog/container-aware-gomaxprocs
    """
    for container in subject.containers:
        limit, text = container.cpu_limit, container.env.get("GOMAXPROCS")
        if limit is None:
            continue
        allowed = max(1, math.ceil(limit))
        if text is None and not container.env_from:
            yield Defect(
                Severity.INFO,
                f"CPU limit {limit:g} but no GOMAXPROCS: a program built before Go 1.25 without automaxprocs runs on"
                " all processors of the node and is throttled",
                f'env: [{{name: GOMAXPROCS, value: "{allowed}"}}], or build it with Go 1.25',
                container.name,
            )
        elif text and text.isascii() and text.isdigit() and len(text) < 6 and int(text) > allowed:
            yield Defect(
                Severity.WARNING,
                f"GOMAXPROCS is {text} and the CPU limit {limit:g}: the runtime uses the quota up and then waits",
                f'env: [{{name: GOMAXPROCS, value: "{allowed}"}}]',
                container.name,
            )


def descriptor_limit_raised(subject: Subject) -> Iterator[Defect]:
    """The entrypoint raises the limit of descriptors.

    A descriptor leak then takes longer to be noticed and ends on the node. The Descriptors signal is measured against
    the limit in force, so its threshold means another number of descriptors than people expect.

    Mend: leave the limit alone, or give the signal an absolute threshold.

    Source: https://pkg.go.dev/os#hdr-Concurrency
    """
    for container in subject.containers:
        if container.entrypoint.raises_descriptors:
            yield Defect(
                Severity.INFO,
                "the entrypoint calls ulimit -n: a descriptor leak is noticed later, since the Descriptors signal is"
                " measured against the limit in force",
                "no ulimit in the entrypoint, or an absolute threshold for the signal",
                container.name,
            )
