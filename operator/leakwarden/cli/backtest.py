"""`leakwarden backtest`: what would this policy have done? Recorded series, replayed without a cluster."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leakwarden.cli.backtest_policy import Rules
    from leakwarden.core.detector_replay import Change
    from leakwarden.core.recording import Series

DONE, UNUSABLE, SKIPPED = 0, 2, 3  # exit codes

_ABOUT = """\
Replays recorded series through the detector at the policy's interval, each moment from the past only, and shows every
change of verdict: what the policy would have said and done.

  leakwarden backtest --series week.jsonl.gz                      table and timeline
  leakwarden backtest --series week.jsonl --policy relpol.yaml    as that policy judges
  leakwarden backtest --series - -o jsonl                         one object a change, for programs
  leakwarden backtest --series week.jsonl --picture week.svg      the timeline as a picture

A line of the series is one life of one process:
  {"signal": "descriptors", "namespace": "shop", "workload": "cart", "pod": "cart-1", "uid": "...",
   "start": 1700000000, "limit": 1024, "t": [1700000030, ...], "v": [12, null, ...], "rate": [...], "gc": [...]}
start and t in epoch seconds; limit null where none is known; v null where a scrape is missing; rate (requests/s) and gc
(completed GC cycles) may be left out. A restarted process is another line. Lines come in any order.

-o jsonl writes time (epoch seconds, like t), namespace, workload, pod, uid, signal, verdict, reason and tte: low and high
in seconds until the limit is reached, or null.
"""
_EXIT = """\
exit code: 0 all lines were replayed, 2 wrong usage or input that cannot be read, 3 replayed, but malformed lines were
skipped: each is named by its number on standard error"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand. Imports nothing: --help must be quick."""
    parser = subparsers.add_parser(
        "backtest",
        help="replay recorded series: what would a policy have done?",
        description=_ABOUT,
        epilog=_EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--series", metavar="FILE", required=True, help="JSON lines, plain or gzip; - is standard input"
    )
    parser.add_argument("--policy", metavar="FILE", help="a ReliabilityPolicy; without one the defaults judge")
    parser.add_argument("-o", "--output", choices=("table", "jsonl"), default="table")
    parser.add_argument("--picture", metavar="FILE.svg", help="also write the timeline as a picture")
    parser.add_argument("--interval", default="30s", help="time between two evaluations (default: 30s, the operator's)")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="processes to use (default: one a processor)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay and print; returns the exit code. Whatever a user can get wrong is one line on standard error."""
    from leakwarden.api.scalars import parse_duration
    from leakwarden.cli.backtest_input import Unreadable, read
    from leakwarden.cli.backtest_policy import BadPolicy, load

    try:
        interval = parse_duration(args.interval)
        if not 1 <= interval <= 3600:
            raise ValueError(f"--interval is {args.interval}; from 1s to 1h is allowed")
        if args.jobs < 0:
            raise ValueError(f"--jobs is {args.jobs}; 0 or more is allowed")
        if args.picture and not args.picture.endswith(".svg"):
            raise ValueError(f"--picture is {args.picture}; the picture is an SVG, so a name ending in .svg is needed")
        rules = load(args.policy)
        progress = Progress()
        recording = read(args.series, progress)
    except (ValueError, BadPolicy, Unreadable) as error:
        return _refuse(str(error))
    for problem in recording.problems:
        _say(problem)
    if not recording.series:
        return _refuse(f"{args.series}: holds no series that can be replayed")
    changes = _replay(recording.series, rules, interval, args.jobs, progress)
    progress.close()
    try:
        _show(args, recording.series, changes, rules)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _refuse(f"{error.filename}: {error.strerror}")
    if recording.problems:
        _say(f"{len(recording.problems)} of {recording.lines} lines were skipped")
        return SKIPPED
    return DONE


def _replay(
    series: Sequence[Series], rules: Rules, interval: float, jobs: int, progress: Progress
) -> list[tuple[int, Change]]:
    from leakwarden.cli.backtest_run import replay_all

    left_out = rules.left_out(series)
    if left_out:
        _say(f"the policy does not judge {', '.join(left_out)}: left out")
    return replay_all(series, rules, interval, jobs, progress)


def _show(args: argparse.Namespace, series: Sequence[Series], changes: list[tuple[int, Change]], rules: Rules) -> None:
    from leakwarden.cli import backtest_output as output

    if args.picture:
        output.write_picture(args.picture, series, changes)
    if args.output == "jsonl":
        output.write_jsonl(sys.stdout, series, changes)
    else:
        sys.stdout.write(output.table(series, changes, rules))


class Progress:
    """One line on standard error, from the third second on, so that nothing long runs in silence."""

    def __init__(self) -> None:
        import time

        self._clock = time.monotonic
        self._began = self._told = self._clock()
        self._open = False

    def __call__(self, text: str) -> None:
        now = self._clock()
        terminal = sys.stderr.isatty()
        if now - self._began < 2 or now - self._told < (0.5 if terminal else 10):
            return
        self._told = now
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


def _refuse(text: str) -> int:
    _say(text)
    return UNUSABLE


def _say(text: str) -> None:
    print(f"leakwarden backtest: {text}", file=sys.stderr)
