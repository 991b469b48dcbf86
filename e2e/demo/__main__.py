"""The main job of Leakwarden in front of you, on a real cluster: ``make demo`` or ``python -m e2e.demo``.

Brings up a cluster, Prometheus, nginx, three Go services of which one leaks, and the operator; sends load; shows what
happens, first with the operator only observing, then acting. What is built is kept; a second run takes three minutes.
Exit codes: 0 the leak was found, the pod evicted and users get answers again; 1 it was not, in one line; 2 wrong
usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType

from e2e.cluster.paths import StateDirectory, cache_directory
from e2e.demo import recording, shop, story
from e2e.demo.screen import Screen, command_lines, heading, standard_screen
from e2e.demo.stages import StageFailed, one_line, stage
from e2e.demo.summary import checks, summary_lines
from e2e.demo.text import Look, Style, line
from e2e.harness.diagnosis import namespace_report, operator_report
from e2e.harness.images import ensure_cluster, ensure_images
from e2e.harness.policies import condition, wait_for_condition
from e2e.harness.release import NAMESPACE, RELEASE, install_operator
from e2e.harness.stack import MONITORING, install_stack

_ENV = 'eval "$(python3 -m e2e.cluster env)"'
_IN_A_PICTURE, _PICTURE_WIDTH = Look(colours=True, unicode=True), 79


class Terminated(BaseException):
    """SIGTERM: like Ctrl-C, but its exit code is another one."""


def prepare(screen: Screen) -> None:
    """Everything up to the policy, reusing what is there. Raises StageFailed."""
    screen.tell(heading("1/6  A Kubernetes cluster"))
    with stage(
        "cluster",
        f"python3 -m e2e.cluster status, and, of a local node, the logs in {StateDirectory.from_environment().logs}",
    ):
        ensure_cluster()
        shop.clear()
    screen.tell(heading("2/6  Images of the operator, the services, nginx and Prometheus"))
    with stage("images", f"the logs in {cache_directory() / 'logs'}"):
        ensure_images()
    screen.tell(heading("3/6  Prometheus"))
    with stage("Prometheus", f"kubectl -n {MONITORING} describe pods"):
        install_stack()
    screen.tell(heading(f"4/6  The shop: {shop.LEAKING} leaks, {' and '.join(shop.SOUND)} do not"))
    with stage("shop", f"kubectl -n {shop.NAMESPACE} describe pods"):
        shop.open_shop()
    screen.tell(heading("5/6  The operator, with Helm"))
    with stage("operator", f"kubectl -n {NAMESPACE} logs -l app.kubernetes.io/instance={RELEASE} --prefix"):
        install_operator()
    screen.tell(heading("6/6  A policy"))
    with stage("policy", f"kubectl -n {shop.NAMESPACE} describe relpol {shop.POLICY}"):
        screen.tell([line(f"    {text}", Style.DIM) for text in shop.POLICY_FILE.read_text().splitlines()])
        screen.tell(command_lines(shop.apply_policy_command()))
        shop.apply_policy()
        found = wait_for_condition(shop.NAMESPACE, shop.POLICY, "MetricsAvailable", "True", timeout=120)
        targets = found["status"]["targets"]
        screen.tell(f"  in force: {targets['workloads']} Deployments, {targets['pods']} pods")
        audit = condition(found, "Compliant") or {}
        screen.tell(f"  audit: {audit.get('message', 'not done yet')}")


def perform(screen: Screen, record: Path | None = None) -> list[str]:
    """Load, story and summary; returns the expectations that were not met. The summary is kept in `record` too. Raises
    StageFailed."""
    screen.tell(heading(f"Load: {shop.RATE} requests/s through nginx to each service"))
    screen.tell(f"  one in {shop.LEAK_EVERY} makes {shop.LEAKING} leak a descriptor; it may open {shop.NOFILE}")
    screen.tell([line()])
    with stage("story", f"kubectl -n {NAMESPACE} logs -l app.kubernetes.io/instance={RELEASE} --prefix"):
        account = story.tell(screen)
    screen.tell(heading("Before and after, from nginx's log, Prometheus, Kubernetes and the operator"))
    screen.tell([line(), *summary_lines(account, screen.look, screen.width())])
    if record is not None:
        recording.save(summary_lines(account, _IN_A_PICTURE, _PICTURE_WIDTH), record)
    _further(screen)
    return [check.claim for check in checks(account) if not check.good]


def _further(screen: Screen) -> None:
    screen.tell(heading("To look further (the cluster and the shop stay)"))
    for command in (
        _ENV,
        f"kubectl -n {shop.NAMESPACE} describe relpol {shop.POLICY}",
        f"kubectl -n {shop.NAMESPACE} get events",
        f"kubectl -n {NAMESPACE} logs -l app.kubernetes.io/instance={RELEASE} --prefix",
        f"kubectl -n {MONITORING} port-forward service/prometheus 9090",
        "make cluster-down    # removes it all; what was built is kept",
    ):
        screen.tell(f"  $ {command}")


def _failed(error: StageFailed) -> int:
    print(f"error: demo, step {error.stage}: {error.cause}", file=sys.stderr)
    print(f"look at: {error.look_at}", file=sys.stderr)
    if error.stage in ("operator", "policy", "story"):
        kept = _keep("\n\n".join((operator_report(), namespace_report(shop.NAMESPACE))))
        print(f"what the operator, the pods and the policy said: {kept}", file=sys.stderr)
    return 1


def _keep(text: str) -> str:
    """The file that the text was written to, or why it could not be."""
    path = cache_directory() / "logs" / "demo.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        return f"could not be written: {error}"
    return str(path)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _stop_load() -> bool:
    """A key press must not stop it: it takes a second, and load that nobody watches must end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return shop.stop_load()


def main(arguments: list[str] | None = None) -> int:
    """See the module for the exit codes."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep the last table, for `make pictures`")
    record = parser.parse_args(arguments).record
    signal.signal(signal.SIGTERM, _terminated)
    screen = standard_screen()
    sending = False
    try:
        # The harness writes its progress to stderr, for programs whose stdout is a result; here both are one story.
        with contextlib.redirect_stderr(sys.stdout):
            prepare(screen)
            sending = True
            missed = perform(screen, record)
        if missed:
            print(f"error: demo: this should have happened and did not: {'; '.join(missed)}", file=sys.stderr)
        code = 1 if missed else 0
    except StageFailed as error:
        code = _failed(error)
    except (KeyboardInterrupt, Terminated) as error:
        code = 130 if isinstance(error, KeyboardInterrupt) else 143
        ended = sending and _stop_load()
        left = "the load is stopped" if ended else "load may still run for some minutes" if sending else "no load ran"
        print(f"\rinterrupted; {left}, the cluster stays (make cluster-down removes it)", file=sys.stderr)
        return code
    except BrokenPipeError:
        # The reader of the output has gone; there is nothing left to print to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        kept = _keep(traceback.format_exc())
        print(f"error: demo: {type(error).__name__}: {one_line(str(error))}; details: {kept}", file=sys.stderr)
        code = 1
    if sending and _stop_load():
        screen.tell("\nthe load is stopped")
    elif sending:
        print(f"the load could not be stopped; it ends by itself within {shop.LOAD_SECONDS // 60} min", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
