"""The probe to write for a container, by the protocol that its port is known for.

An httpGet for a database would restart it for ever, so the hint has to fit the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from leakwarden.core.model.workload import Container, Probe

# Port -> a handler that the server's own image can answer.
# Sources: the ports are those of IANA's registry of service names, or of the server's documentation.
_HANDLERS = {
    2181: "tcpSocket: {port: 2181}",  # ZooKeeper
    2379: "httpGet: {path: /health, port: 2379}",  # etcd
    3306: "exec: {command: [mysqladmin, ping, -h, 127.0.0.1]}",
    4222: "httpGet: {path: /healthz, port: 8222}",  # NATS answers on its monitoring port
    5432: "exec: {command: [pg_isready, -h, 127.0.0.1]}",
    5672: "exec: {command: [rabbitmq-diagnostics, -q, ping]}",
    6379: "exec: {command: [redis-cli, ping]}",
    9042: "tcpSocket: {port: 9042}",  # Cassandra
    9092: "tcpSocket: {port: 9092}",  # Kafka
    11211: "tcpSocket: {port: 11211}",  # memcached
    26379: 'exec: {command: [redis-cli, -p, "26379", ping]}',
    27017: "exec: {command: [mongosh, --quiet, --eval, db.adminCommand('ping')]}",
}
# Commands that ask the server in its own protocol, so that an answer is the server's.
_CLIENTS = re.compile(
    r"redis-cli|valkey-cli|pg_isready|psql|mysqladmin|mysql|mariadb(?:-admin)?|mongo(?:sh)?|rabbitmq-diagnostics|rabbitmqctl"
    r"|nodetool|cqlsh|etcdctl|grpc[-_]health[-_]probe|kafka-[a-z-]+(?:\.sh)?|nats|ldapsearch|dig|nslookup|healthcheck\.sh"
)
_HTTP_CLIENTS = frozenset({"curl", "wget"})


def suggested(container: Container, path: str) -> str:
    """The handler for a new probe, as YAML in braces."""
    name, number = container.ports[0] if container.ports else ("", 0)
    if not number:
        asked = next(
            (p.port for p in (container.readiness, container.liveness, container.startup) if p and p.port), 8080
        )
        return f"{{httpGet: {{path: {path}, port: {asked}}}}}"
    if number in _HANDLERS and not name.startswith("http"):
        return f"{{{_HANDLERS[number]}}}"
    if re.match(r"grpc(?:-|$)", name):
        return f"{{grpc: {{port: {number}}}}}"
    return f"{{httpGet: {{path: {path}, port: {name or number}}}}}"


def asks_the_server(probe: Probe) -> bool:
    """Whether the command is a client of the server's own protocol, so that its success is an answer of the server."""
    return any(_CLIENTS.fullmatch(program) for program in _programs(probe.command))


def asks_by_http(probe: Probe) -> bool:
    """Whether the command is a client of HTTP."""
    return any(program in _HTTP_CLIENTS for program in _programs(probe.command))


def _programs(command: Sequence[str]) -> list[str]:
    return [word.rpartition("/")[2] for text in command[:16] for word in re.split(r"[\s;&|()]+", text[:1000]) if word]
