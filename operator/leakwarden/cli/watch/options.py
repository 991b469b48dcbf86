"""The options of a watch, checked: an address, a length, an interval."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from leakwarden.cli.arguments import seconds
from leakwarden.cli.errors import Misused

SHORTEST, LONGEST = 10.0, 24 * 3600.0  # s of a watch
FASTEST, SLOWEST = 0.2, 60.0  # s between two scrapes
# The number of the detector's buckets in a watch. Each is at least a second and at most a minute long; the operator's
# own is a minute. So a longer watch is judged more slowly and is harder to mislead.
_BUCKETS = 60
_PPROF = "/debug/pprof"


@dataclass(frozen=True, slots=True)
class Place:
    """An HTTP address. `path` begins with /."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def short(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """The checked options of a watch."""

    metrics: Place
    pprof: Place | None  # None: no profiles are taken
    length: float  # s
    every: float  # s between two scrapes
    bucket: float  # s; the detector's bucket
    whole: bool


def add_watch_options(parser: argparse.ArgumentParser, length: str) -> None:
    parser.add_argument(
        "--for", dest="length", metavar="TIME", default=length, help=f"how long, e.g. 10m (default: {length})"
    )
    parser.add_argument("--every", metavar="TIME", help="time between two scrapes (default: 1s to 5s, by --for)")
    parser.add_argument(
        "--exec",
        dest="command",
        metavar="COMMAND",
        help="start this process first, without a shell, and end it at the end",
    )
    parser.add_argument(
        "--pprof",
        metavar="URL",
        help=f"where its profiles are (default: {_PPROF} beside the metrics); none: do not ask",
    )
    parser.add_argument("--page", metavar="FILE", help="write the report of a leak as an HTML page")
    parser.add_argument(
        "--whole", action="store_true", help="watch for the whole time, even when a leak is proven before"
    )


def options_of(arguments: argparse.Namespace) -> WatchOptions:
    """The checked options. Raises Misused."""
    metrics = place(arguments.url, "URL", "/metrics")
    length = seconds(arguments.length, "--for", SHORTEST, LONGEST)
    bucket = min(max(length / _BUCKETS, 1.0), 60.0)
    every = min(max(bucket / 4, 1.0), 5.0)
    if arguments.every is not None:
        every = seconds(arguments.every, "--every", FASTEST, SLOWEST)
        if length / every < _BUCKETS / 2:
            raise Misused(
                f"--every {arguments.every} gives {length / every:.0f} readings in {arguments.length}; at least 30 are needed"
            )
        bucket = max(bucket, every)
    pprof: Place | None = Place(metrics.scheme, metrics.host, metrics.port, _PPROF)
    if arguments.pprof is not None:
        pprof = None if arguments.pprof == "none" else place(arguments.pprof, "--pprof", _PPROF)
    return WatchOptions(metrics, pprof, length, every=every, bucket=bucket, whole=arguments.whole)


def place(text: str, option: str, path: str) -> Place:
    """The address in `text`, with `path` where it has none. `host:port` is taken as http. Raises Misused."""
    from yarl import URL

    wrong = Misused(f"{option} is {text[:80]!r}; an address such as http://127.0.0.1:8080{path} is wanted")
    try:
        url = URL(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError:
        raise wrong from None
    if (
        url.scheme not in ("http", "https")
        or not url.host
        or port is None
        or url.user
        or url.password
        or url.query_string
    ):
        raise wrong
    return Place(url.scheme, url.host, port, url.path if url.path not in ("", "/") else path)
