"""`leakwarden backtest`: what would this policy have done? Recorded series or a Prometheus, replayed without a cluster."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from leakwarden.cli.errors import BadPolicy, InputUnreadable, Unreplayable, fail, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwarden.cli.backtest.input import Recording
    from leakwarden.cli.backtest.policy import Rules
    from leakwarden.core.detection.recording import Series
    from leakwarden.core.detection.replay import Change
    from leakwarden.core.model.policy import Policy

COMMAND = "backtest"
DONE, SKIPPED = 0, 3  # exit codes; 2 where nothing can be replayed

_ABOUT = """\
Replays what a Prometheus remembers, or recorded series, through the detector at the policy's interval, each moment from
the past only, and shows every change of verdict: what the policy would have said and done. It needs no cluster.

  leakwarden backtest --prometheus http://localhost:9090 --since 14d --namespace shop
  leakwarden backtest --prometheus URL --policy relpol.yaml --save week.jsonl.gz    and keep what was read

  leakwarden backtest --series week.jsonl.gz                      table and timeline
  leakwarden backtest --series week.jsonl --policy relpol.yaml    as that policy judges
  leakwarden backtest --series - -o jsonl                         one object a change, for programs
  leakwarden backtest --series week.jsonl --picture week.svg      the timeline as a picture

From Prometheus the pods of all workloads are judged, or of each --workload: a policy's selector needs the cluster and is
not applied. Which workload a pod is of comes from kube-state-metrics where Prometheus has it, else from the pod's name;
the pod's containers are pod/container where several have readings. Only reading is done, in windows of at most 6 hours.

Of a recording all is judged as the policy judges what it selects; neither selector nor namespace is applied.

A line of the series is one life of one process:
  {"signal": "descriptors", "namespace": "shop", "workload": "cart", "pod": "cart-1", "uid": "...",
   "start": 1700000000, "limit": 1024, "t": [1700000030, ...], "v": [12, null, ...], "rate": [...], "gc": [...]}
start and t in epoch seconds; limit null where none is known, and 0 or "unlimited" (2^50 and more) is none; then growth is
judged against the policy's threshold.above if that is a number, and against several times the workload's own past
without one (Leaking, never Exhausting); v null where a scrape is missing, as is a zero of what a living process has
(descriptors, sockets, goroutines, memory); rate (requests/s) and gc (completed GC cycles) may be left out, as may latency
(s, the P99 of the requests: rate times latency is what is in flight) and rss: the part of a working set that is not page
cache, by which its growth is judged. A restarted process is another line. Lines come in any order.

It says what the operator would have said, by the same rules, but for one: each pod is judged alone, so SharedCause (many
pods at the level at once, in a step: Suspect, never acted on) is not known here, and they are Exhausting. Readings older than the policy's maxAge (2m by default)
are Stale; where a recording has less than one a minute, three must be missing.

-o jsonl writes time (epoch seconds, like t), namespace, workload, pod, uid, signal, verdict, reason and tte: low and high
in seconds until the limit is reached, or null.
"""
_EXIT = """\
exit code: 0 everything was replayed, 2 wrong usage, an input that cannot be read or has no lines, 3 malformed lines were
skipped (all of them, perhaps) or parts could not be read: each is named on standard error, the rest was replayed"""
# Options that choose what to read from Prometheus, and their defaults; with --series they would have no effect.
_OF_PROMETHEUS = {"since": "1d", "namespace": None, "workload": (), "step": "1m", "timeout": "30s", "token_file": None,
                  "ca_file": None, "save": None}  # fmt: skip


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand. Imports nothing: --help must be quick."""
    parser = subparsers.add_parser(
        COMMAND,
        help="replay the past: what would a policy have done?",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--series", metavar="FILE", help="JSON lines, plain or gzip; - is standard input")
    source.add_argument("--prometheus", metavar="URL", help="a Prometheus, or what speaks its query API")
    parser.add_argument(
        "--policy",
        metavar="FILE",
        help="a ReliabilityPolicy or ClusterReliabilityPolicy; without one the defaults judge",
    )
    parser.add_argument("-o", "--output", choices=("table", "jsonl"), default="table")
    parser.add_argument("--picture", metavar="FILE.svg", help="also write the timeline as a picture")
    parser.add_argument("--interval", default="30s", help="time between two evaluations (default: 30s, the operator's)")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="processes to use (default: one a processor)")
    reading = parser.add_argument_group("with --prometheus")
    reading.add_argument("--since", metavar="TIME", help="how far back to read, such as 14d or 6h (default: 1d)")
    reading.add_argument("--namespace", metavar="NS", help="default: the policy's; without a policy, all")
    reading.add_argument("--workload", metavar="NAME", action="append", help="only this workload; may be repeated")
    reading.add_argument("--step", metavar="TIME", help="resolution, from 15s to 1m (default: 1m, the operator's)")
    reading.add_argument("--token-file", metavar="FILE", help="bearer token to authenticate with")
    reading.add_argument("--ca-file", metavar="FILE", help="PEM authorities to verify the server with")
    reading.add_argument("--timeout", metavar="TIME", help="for one query (default: 30s)")
    reading.add_argument("--save", metavar="FILE", help="write what was read, as --series reads it; .gz is compressed")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and print; returns the exit code. Every mistake that a user can make gives one line on standard error."""
    from leakwarden.cli.backtest.options import seconds
    from leakwarden.cli.backtest.policy import load, rules_of
    from leakwarden.core.signals.blind_spots import blind_spots

    progress = BacktestProgress()
    try:
        interval = seconds("--interval", args.interval, 1, 3600, "from 1s to 1h")
        if args.jobs < 0:
            raise ValueError(f"--jobs is {args.jobs}; 0 or more is allowed")
        if args.picture and not args.picture.endswith(".svg"):
            raise ValueError(f"--picture is {args.picture}; the picture is an SVG, so a name ending in .svg is needed")
        policy = load(args.policy) if args.policy is not None else None
        rules = rules_of(policy)
        recording = _read(args, policy, progress)
    except (ValueError, BadPolicy, InputUnreadable) as error:
        progress.close()
        return fail(COMMAND, str(error))
    for problem in recording.problems:
        say(COMMAND, problem)
    if recording.skipped > len(recording.problems) > 0:
        say(COMMAND, f"and {recording.skipped - len(recording.problems)} more")
    if not recording.series and not recording.skipped and not recording.empty:
        return fail(COMMAND, f"{args.series}: holds no series that can be replayed")
    series = recording.series
    if policy is not None and policy.spec is not None:
        for unseen in blind_spots(policy.spec):
            say(COMMAND, f"{policy.name or 'the policy'} does not see {unseen}")
    if args.prometheus is None and policy is not None:
        _tell_strangers(series, policy)
    try:
        changes = _replay(series, rules, interval, args.jobs, progress)
    except Unreplayable as error:
        progress.close()
        return fail(COMMAND, str(error))
    changes = [each for each in changes if each[1].time < recording.until + interval]
    progress.close()
    try:
        _show(args, series, changes, rules)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return fail(COMMAND, f"{error.filename or 'standard output'}: {error.strerror or error}")
    if recording.skipped:
        lines = f"{recording.skipped} of {recording.lines} lines were skipped"
        say(COMMAND, lines if args.prometheus is None else f"{recording.skipped} parts could not be read")
        return SKIPPED
    return DONE


def _read(args: argparse.Namespace, policy: Policy | None, progress: BacktestProgress) -> Recording:
    """The recorded series. Raises ValueError and Unreadable, both with messages for people."""
    if args.prometheus is None:
        from leakwarden.cli.backtest.input import read

        for name in _OF_PROMETHEUS:
            if getattr(args, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} says what to read from --prometheus; leave it out")
        return read(args.series, progress)
    from leakwarden.cli.backtest import options as backtest_options
    from leakwarden.cli.backtest import prometheus as backtest_prometheus
    from leakwarden.cli.backtest.save import save

    for name, default in _OF_PROMETHEUS.items():
        if getattr(args, name) is None:
            setattr(args, name, default)
    asked = backtest_options.parse(args, policy)
    if policy is not None:
        say(
            COMMAND,
            f"the selector of {policy.name or 'the policy'} needs the cluster and is not applied; --workload narrows",
        )
    found = backtest_prometheus.read(asked.endpoint, asked.questions, asked.since, progress)
    progress.close()
    for note in found.notes:
        say(COMMAND, note)
    if args.save is not None:
        save(args.save, found.recording.series, progress)
    return found.recording


def _tell_strangers(series: Sequence[Series], policy: Policy) -> None:
    """A recording is assumed to be of the policy's pods; where it clearly is not, a line says so."""
    others = sorted({one.namespace for one in series} - {policy.namespace})
    if others and policy.namespace:
        more = " and others" if len(others) > 3 else ""
        say(
            COMMAND,
            f"{policy.name or 'the policy'} is of namespace {policy.namespace}; what is recorded of"
            f" {', '.join(others[:3])}{more} is judged as if it were in it",
        )


def _replay(
    series: Sequence[Series], rules: Rules, interval: float, jobs: int, progress: BacktestProgress
) -> list[tuple[int, Change]]:
    from leakwarden.cli.backtest.run import replay_all

    left_out = rules.left_out(series)
    if left_out:
        say(COMMAND, left_out)
    return replay_all(series, rules, interval, jobs, progress)


def _show(args: argparse.Namespace, series: Sequence[Series], changes: list[tuple[int, Change]], rules: Rules) -> None:
    from leakwarden.cli.backtest import output

    if args.picture and series:
        output.write_picture(args.picture, series, changes)
    if args.output == "jsonl":
        output.write_jsonl(sys.stdout, series, changes)
    else:
        import shutil

        sys.stdout.write(output.table(series, changes, rules, shutil.get_terminal_size().columns))


class BacktestProgress:
    """One line on standard error, from the third second on, so that long work is never silent."""

    def __init__(self) -> None:
        import time

        self._clock = time.monotonic
        self._next = self._clock() + 2
        self._open = False

    def __call__(self, text: str) -> None:
        now = self._clock()
        terminal = sys.stderr.isatty()
        if now < self._next:
            return
        self._next = now + (0.5 if terminal else 10)
        if terminal:
            sys.stderr.write(f"\r\033[K{text}")
            self._open = True
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self._open:
            sys.stderr.write("\r\033[K")
            self._open = False
