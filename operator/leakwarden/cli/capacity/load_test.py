"""The load test of `leakwarden capacity`: over HTTP by its own client, or over gRPC by ghz."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack

from leakwarden.adapters.ghz import GhzFailed, GhzLoad, installed
from leakwarden.adapters.load import Load
from leakwarden.adapters.metrics_page import MetricsPage
from leakwarden.cli.capacity.steps import Sender, StepTest, stepped
from leakwarden.cli.errors import CommandFailed, Misused, NotStarted, say

COMMAND = "capacity"
LARGEST_MESSAGE = 64 << 10  # characters of --data
_GRPC = re.compile(
    r"(grpcs?)://(\[[0-9a-fA-F:.]{2,64}\]:\d{1,5}|[A-Za-z0-9.-]{1,253}:\d{1,5})/([A-Za-z_][\w.]{0,253}/[A-Za-z_]\w{0,253})",
    re.ASCII,
)
_INSTALL = "go install github.com/bojand/ghz/cmd/ghz@latest"


async def load_test(
    arguments: argparse.Namespace, metrics: str | None, rates: Sequence[float], *, seconds: float, objective: float
) -> StepTest:
    """Raises CommandFailed."""

    def tell(line: str) -> None:
        say(COMMAND, line)

    async with AsyncExitStack() as stack:
        sender = await _sender(arguments, rates, stack)
        page = await stack.enter_async_context(MetricsPage(metrics)) if metrics is not None else None
        try:
            return await stepped(sender, page, rates, seconds=seconds, objective=objective, say=tell)
        except GhzFailed as error:
            raise CommandFailed(str(error)) from None


async def _sender(arguments: argparse.Namespace, rates: Sequence[float], stack: AsyncExitStack) -> Sender:
    """Raises Misused, NotStarted."""
    from leakwarden.cli.watch.options import place

    if any(text.startswith(("grpc://", "grpcs://")) for text in arguments.load):
        return grpc_load(arguments, rates)
    for option in ("data", "proto", "ghz"):
        if getattr(arguments, option) is not None:
            raise Misused(f"--{option} goes with --load grpc://...; leave it out")
    return await stack.enter_async_context(Load([place(text, "--load", "/").url for text in arguments.load]))


def grpc_load(arguments: argparse.Namespace, rates: Sequence[float]) -> GhzLoad:
    """Raises Misused, NotStarted."""
    if len(arguments.load) > 1:
        raise Misused("--load grpc://... is given once, and no other --load beside it")
    match = _GRPC.fullmatch(arguments.load[0])
    if match is None:
        raise Misused(
            f"--load is {arguments.load[0][:80]!r}; grpc://HOST:PORT/package.Service/Method is wanted, such as"
            " grpc://127.0.0.1:9090/grpc.health.v1.Health/Check"
        )
    if uneven := [rate for rate in rates if rate != round(rate)]:
        raise Misused(f"--rates has {uneven[0]:g}; ghz sends whole numbers of requests per second")
    data = arguments.data if arguments.data is not None else "{}"
    try:
        usable = len(data) <= LARGEST_MESSAGE and isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        usable = False
    if not usable:
        raise Misused(f"--data is {data[:60]!r}; one JSON object of at most {LARGEST_MESSAGE:,} characters is wanted")
    if arguments.proto is not None and not os.path.isfile(arguments.proto):
        raise Misused(f"--proto {arguments.proto}: there is no such file")
    program = installed(arguments.ghz)
    if program is None:
        where = f"{arguments.ghz} is no program" if arguments.ghz is not None else "ghz is not on PATH"
        raise NotStarted(f"gRPC load is sent by ghz, and {where}; {_INSTALL} builds it")
    return GhzLoad(program, match[2], match[3], data, arguments.proto, plaintext=match[1] == "grpc")
