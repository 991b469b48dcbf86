"""The options of `leakwarden backtest --prometheus`, checked before anything is requested."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass

from pydantic import ValidationError

from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.scalars import parse_duration
from leakwarden.cli.backtest.questions import Questions
from leakwarden.core.model.policy import Policy

_DAY = 86_400.0
_LONGEST_SINCE = 400 * _DAY
# A duration here may have days, unlike in a policy, where the API server must understand it.
_DAYS = re.compile(r"([0-9]{1,3})d(.*)", re.ASCII)
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """`since` in seconds before now."""

    endpoint: Endpoint
    questions: Questions
    since: float


def parse(args: argparse.Namespace, policy: Policy | None) -> Asked:
    """The checked options. Raises ValueError with the option, its value and what is allowed."""
    since = seconds("--since", args.since, 600, _LONGEST_SINCE, "from 10m to 400d")
    # The detector's shortest buckets are a minute; coarser readings would leave some of them empty.
    step = seconds("--step", args.step, 15, 60, "from 15s to 1m")
    timeout = seconds("--timeout", args.timeout, 1, 300, "from 1s to 5m")
    namespace = args.namespace
    if policy is not None and namespace is None:
        namespace = policy.namespace
        if not namespace:
            raise ValueError(f"{args.policy}: has no metadata.namespace; say with --namespace which one it is for")
    for option, value in (("--namespace", namespace), *(("--workload", name) for name in args.workload)):
        if value is not None and _NAME.fullmatch(value) is None:
            raise ValueError(f"{option} is {value[:60]!r}; it must be a name of Kubernetes")
    if args.save is not None:
        folder = os.path.dirname(os.path.abspath(args.save))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise ValueError(f"--save is {args.save}; nothing can be written to {folder}")
    questions = Questions(policy, namespace, tuple(args.workload), float(round(step)))
    if not questions.names:
        raise ValueError(f"{args.policy}: has only symptoms, from which nothing follows; there is nothing to replay")
    return Asked(_endpoint(args, timeout), questions, since)


def _endpoint(args: argparse.Namespace, timeout: float) -> Endpoint:
    if "@" in args.prometheus:  # not repeated: the part before it may be a password
        raise ValueError("--prometheus must not hold a user or password; authenticate with --token-file")
    for option, name in (("--token-file", args.token_file), ("--ca-file", args.ca_file)):
        try:
            if name is not None:
                open(name, "rb").close()
        except OSError as error:
            raise ValueError(f"{option} is {name}: {error.strerror}") from None
    files = {
        "bearer_token_file": os.path.abspath(args.token_file) if args.token_file else None,
        "tls": {"ca_file": os.path.abspath(args.ca_file)} if args.ca_file else {},
    }
    try:
        return Endpoint.model_validate({"name": "backtest", "url": args.prometheus, "timeout": timeout, **files})
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        raise ValueError(
            f"--prometheus is {args.prometheus[:60]!r}; it {first['msg'].removeprefix('Value error, ')}"
        ) from None


def seconds(option: str, text: str, least: float, most: float, allowed: str) -> float:
    """The seconds in a TIME option. Raises ValueError, which names the option, its value and what is allowed."""
    try:
        days = _DAYS.fullmatch(text)
        rest = text if days is None else days[2]
        told = (int(days[1]) * _DAY if days else 0.0) + (parse_duration(rest) if rest or days is None else 0.0)
    except ValueError:
        raise ValueError(f"{option} is {text[:40]!r}; write it like 30s, 6h or 14d") from None
    if not least <= told <= most:
        raise ValueError(f"{option} is {text}; {allowed} is allowed")
    return told
