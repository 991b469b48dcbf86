"""The host that a probe's command asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.audit.probe_clients import hosts

WORDS = st.sampled_from(
    ("sh", "-c", "-h", "nc", "curl", "timeout", "5", "db:1", "--host=", "'", "$(", "a && b", "http://[::1", "", "://")
)


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (("pg_isready", "-h", "db", "-p", "5432"), [("pg_isready", "db")]),
        (("mongosh", "mongodb://u:p@one:27017,two:27017/x"), [("mongosh", "one")]),
        (("sh", "-c", "curl -f http://a/x && nc -z b 80"), [("curl", "a"), ("nc", "b")]),
        (("etcdctl", "--endpoints=https://e-0.e:2379,https://e-1.e:2379", "endpoint", "health"), [("etcdctl", "e-0.e")]),
        (("timeout", "-k", "1", "3", "redis-cli", "-h", "cache"), []),
        (("timeout", "3", "redis-cli", "-h", "cache"), [("redis-cli", "cache")]),
        (("nc", "-l", "8080"), []),
        (("sh", "/probe.sh"), []),
        ((), []),
    ],
)  # fmt: skip
def test_it_is_named_where_the_command_shows_it(command: tuple[str, ...], asked: list[tuple[str, str]]) -> None:
    assert hosts(command) == asked


@given(st.lists(WORDS | st.text(max_size=20), max_size=8))
def test_no_command_is_too_strange(command: list[str]) -> None:
    assert all(client and host for client, host in hosts(command))
