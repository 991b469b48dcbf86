"""Whether a liveness probe's command asks another service than the one in the container."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from leakwarden.core.audit.findings import Defect, Severity
from leakwarden.core.audit.subject import Subject

# The flags by which these clients are given the host; a value follows after =, as the next word, or (of one letter) at
# once.
_HOST_FLAGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("pg_isready", "psql"), ("-h", "--host")),
    **dict.fromkeys(("mysql", "mysqladmin", "mariadb", "mariadb-admin"), ("-h", "--host")),
    **dict.fromkeys(("redis-cli", "valkey-cli"), ("-h", "-u")),
    **dict.fromkeys(("mongo", "mongosh"), ("--host",)),
    **dict.fromkeys(("grpc_health_probe", "grpc-health-probe"), ("-addr", "--addr")),
    **dict.fromkeys(("kafka-topics.sh", "kafka-broker-api-versions.sh", "kafka-topics"), ("--bootstrap-server",)),
    "etcdctl": ("--endpoints",),
    "amqp-publish": ("--server", "-s"),
}
_BY_URL = frozenset({"curl", "wget", "mongo", "mongosh", "psql"})
_CONNECTS = frozenset({"nc", "ncat", "netcat"})
# The options of nc that are followed by a value.
_NC_VALUES = re.compile(r"-[a-zA-Z0-9]*[wipqsIOTXx]")
_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
_ENDS = frozenset({";", "&&", "||", "|", "&", "(", ")"})
_URL = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^@/?#]*@)?(\[[^\]]*\]|[^:/?#,]*)", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)
_DEVICE = re.compile(r"/dev/(?:tcp|udp)/([^/]*)/")
_OWN = re.compile(r"localhost(?:\.localdomain)?\.?|127(?:\.[0-9]+){3}|0\.0\.0\.0|ip6-localhost", re.IGNORECASE)


def liveness_asks_others(subject: Subject) -> Iterator[Defect]:
    """Liveness asks another service.

    A command of the liveness probe (pg_isready, redis-cli, curl, nc and the like) asks a host that is not the pod. When
    that service is slow or down, every pod is restarted at once, again and again, which mends nothing and adds its load
    to the outage. Nothing is said of a host in a variable, of the pod's own name, and of a script that ends well whatever
    the answer was.

    Mend: let liveness ask the process itself, and at most readiness a dependency:
        livenessProbe: {httpGet: {path: /healthz, port: http}}

    Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """
    for container in subject.containers:
        liveness = container.liveness
        if liveness is None or liveness.kind != "exec":
            continue
        asked = next((each for each in hosts(liveness.command) if not _of_the_pod(each[1], subject)), None)
        if asked is not None:
            client, host = asked
            yield Defect(
                Severity.WARNING,
                f"liveness asks another service ({client} at {host[:100]}): while that is slow or down, all pods are"
                " restarted at once",
                f"livenessProbe: {{httpGet: {{path: {subject.policy.liveness_path}}}}}, which asks the process alone; a"
                " dependency belongs into the readinessProbe at most",
                container.name,
                "livenessProbe.exec.command",
            )


def hosts(command: Sequence[str]) -> list[tuple[str, str]]:
    """(the client, the host that it asks) of the known clients in a command, in their order. Never raises."""
    found: list[tuple[str, str]] = []
    for words in _commands(command):
        client = words[0].rpartition("/")[2]
        rest = words[1:]
        if client == "timeout":  # it starts another command, after its own options and the time
            after = next((n for n, word in enumerate(rest) if word[:1].isdigit()), len(rest))
            words = rest[after + 1 :]
            client, rest = (words[0].rpartition("/")[2], words[1:]) if words else ("", [])
        named = _flagged(rest, _HOST_FLAGS.get(client, ()))
        if client in _BY_URL:
            named += [match[0] for word in rest if (match := _URL.match(word))]
        if client in _CONNECTS:
            named += _connected(rest)
        found += [(client, host) for value in named if (host := _host(value))]
        found += [("a connection", host) for word in words for host in _DEVICE.findall(word) if _HOST.fullmatch(host)]
    return found


def _commands(command: Sequence[str]) -> list[list[str]]:
    """The simple commands of a probe's command; none of a script that cannot be read, or that always ends well."""
    first = command[0].rpartition("/")[2] if command else ""
    if first not in _SHELLS:
        return [list(command)] if command else []
    at = next((n for n, word in enumerate(command[1:], 1) if re.fullmatch(r"-[a-z]*c", word)), 0)
    if not at or at + 1 >= len(command) or len(command[at + 1]) > 4000:
        return []
    try:
        lexer = shlex.shlex(command[at + 1].replace("\n", ";"), posix=True, punctuation_chars=";&|()")
        lexer.whitespace_split = True
        lexer.commenters = ""
        words = list(lexer)
    except ValueError:
        return []
    made: list[list[str]] = [[]]
    for word in words:
        if word in _ENDS:
            made.append([])
        elif word not in ("if", "then", "else", "!", "exec", "while", "do", "{"):
            made[-1].append(word)
    simple = [each for each in made if each]
    spared = any(each in (["true"], [":"], ["exit", "0"]) for each in simple)
    return [] if spared else simple


def _flagged(words: Sequence[str], flags: Sequence[str]) -> list[str]:
    found = []
    for number, word in enumerate(words):
        for flag in flags:
            if word == flag and number + 1 < len(words):
                found.append(words[number + 1])
            elif word.startswith(f"{flag}="):
                found.append(word.partition("=")[2])
            elif len(flag) == 2 and word.startswith(flag) and len(word) > 2:
                found.append(word[2:])
    return found


def _connected(words: Sequence[str]) -> list[str]:
    """The host of nc: the first of two words that are neither options nor their values."""
    plain: list[str] = []
    skip = False
    for word in words:
        if skip or word.startswith("-"):
            skip = not skip and _NC_VALUES.fullmatch(word) is not None
            continue
        plain.append(word)
    return plain[:1] if len(plain) >= 2 and plain[1].isascii() and plain[1].isdigit() else []


def _host(value: str) -> str:
    """The host in a value: a name, host:port, or a URL; empty where it is a variable, a socket or nothing."""
    match = _URL.match(value)
    host = match[1] if match else value.partition(",")[0].partition("/")[0].partition(":")[0]
    return host if _HOST.fullmatch(host) else ""


def _of_the_pod(host: str, subject: Subject) -> bool:
    """Whether a host is, or may be, the pod itself."""
    first, _, domain = host.partition(".")
    name, governing = subject.workload.name, subject.workload.service_name
    # A pod of a StatefulSet is NAME-0, or NAME-0.SERVICE.
    numbered = re.fullmatch(rf"{re.escape(name)}(?:-[0-9]+)?", first) is not None
    return _OWN.fullmatch(host) is not None or numbered or (governing != "" and domain.partition(".")[0] == governing)
