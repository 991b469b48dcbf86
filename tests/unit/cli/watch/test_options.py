"""The valid options of a watch, and the errors for all others."""

from __future__ import annotations

import argparse

import pytest

from leakwarden.cli.errors import Misused
from leakwarden.cli.watch.options import WatchOptions, add_watch_options, options_of, place


def options(*arguments: str) -> WatchOptions:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    add_watch_options(parser, "1m")
    return options_of(parser.parse_args(list(arguments)))


def test_an_address_alone_is_enough() -> None:
    found = options("127.0.0.1:8080")
    assert found.metrics.url == "http://127.0.0.1:8080/metrics"
    assert found.pprof is not None
    assert found.pprof.url == "http://127.0.0.1:8080/debug/pprof"
    assert (found.length, found.every, found.bucket) == (60.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("length", "every", "bucket"), [("10s", 1.0, 1.0), ("10m", 2.5, 10.0), ("1h", 5.0, 60.0), ("24h", 5.0, 60.0)]
)
def test_a_longer_watch_is_judged_on_a_slower_clock_up_to_the_operators_own(
    length: str, every: float, bucket: float
) -> None:
    found = options("127.0.0.1:8080", "--for", length)
    assert (found.every, found.bucket) == (every, bucket)


def test_profiles_may_be_elsewhere_or_not_asked_for() -> None:
    elsewhere = options("http://[::1]:8080/m", "--pprof", "http://127.0.0.1:6060")
    assert elsewhere.metrics.url == "http://[::1]:8080/m"
    assert elsewhere.pprof == place("http://127.0.0.1:6060/debug/pprof", "--pprof", "/")
    assert options("127.0.0.1:8080", "--pprof", "none").pprof is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["ftp://example.com"],
            "URL is 'ftp://example.com'; an address such as http://127.0.0.1:8080/metrics is wanted",
        ),
        (["http://user:word@127.0.0.1"], "URL is"),
        (["http://127.0.0.1:99999"], "URL is"),
        (["127.0.0.1", "--for", "1s"], "--for is 1s; 10s to 24h is allowed"),
        (["127.0.0.1", "--for", "25h"], "--for is 25h; 10s to 24h is allowed"),
        (["127.0.0.1", "--for", "soon"], "--for: 'soon' is not a duration"),
        (["127.0.0.1", "--every", "10s"], "--every 10s gives 6 readings in 1m; at least 30 are needed"),
        (["127.0.0.1", "--pprof", "gopher://x"], "--pprof is 'gopher://x'"),
    ],
)
def test_what_cannot_be_watched_is_said_with_what_is_allowed(arguments: list[str], said: str) -> None:
    with pytest.raises(Misused) as refusal:
        options(*arguments)
    assert str(refusal.value).startswith(said)
