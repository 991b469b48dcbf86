"""The targets of a soak that are not an address: a pod of a Deployment, or a container image. Both become an address on
loopback.

    deployment/NAME   one of its pods, through `kubectl port-forward`, with the user's own rights
    image:REFERENCE   a container of it, by docker or podman, whose ports are on loopback only

Every process that is started here is ended with the stack, by its own id.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack

from leakwarden.cli.errors import Misused, NotStarted

COMING_UP = 30.0  # s until the target must be reachable; an image may have to be pulled first, which has its own time
PULLING = 600.0  # s
LAST_WORDS = 0.5  # s
STOPPING = 5  # s in which a container may end by itself
_DEPLOYMENT, _IMAGE = "deployment/", "image:"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}", re.ASCII)
_FORWARDING = re.compile(r"127\.0\.0\.1:(\d{1,5}) -> (\d{1,5})")
_PUBLISHED = re.compile(r"127\.0\.0\.1:(\d{1,5})")


def add_target_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for deployment/NAME and image:REFERENCE")
    group.add_argument("-n", "--namespace", metavar="NAMESPACE", help="of the Deployment (default: of the context)")
    group.add_argument("--context", metavar="NAME", help="of the kubeconfig (default: its current one)")
    group.add_argument("--port", type=int, default=8080, help="where it serves metrics and load (default: 8080)")
    group.add_argument("--pprof-port", type=int, help="where its profiles are (default: --port)")


def reach(arguments: argparse.Namespace, stack: ExitStack) -> None:
    """Where the target is not an address, make it reachable and put its address into the arguments. Raises Misused,
    NotStarted."""
    target: str = arguments.url
    if not target.startswith((_DEPLOYMENT, _IMAGE)):
        if any(load.startswith("/") for load in arguments.load):
            raise Misused(
                "--load is a path; that is for deployment/NAME and image:REFERENCE, an address is wanted here"
            )
        return
    if arguments.command is not None:
        raise Misused(
            "--exec starts a process of its own; it does not go together with deployment/NAME or image:REFERENCE"
        )
    ports = sorted({_port(arguments.port, "--port"), _port(arguments.pprof_port or arguments.port, "--pprof-port")})
    if target.startswith(_DEPLOYMENT):
        found = _forwarded(arguments, target.removeprefix(_DEPLOYMENT), ports, stack)
    else:
        found = _contained(target.removeprefix(_IMAGE), ports, stack)
    base = f"http://127.0.0.1:{found[arguments.port]}"
    arguments.url = f"{base}/metrics"
    arguments.load = [f"{base}{load}" if load.startswith("/") else load for load in arguments.load]
    if arguments.pprof is None:
        arguments.pprof = f"http://127.0.0.1:{found[arguments.pprof_port or arguments.port]}"


def _port(number: int, option: str) -> int:
    if not 1 <= number <= 65535:
        raise Misused(f"{option} is {number}; 1 to 65535 is allowed")
    return number


def _forwarded(arguments: argparse.Namespace, name: str, ports: Sequence[int], stack: ExitStack) -> dict[int, int]:
    """The port on loopback of each port of a pod."""
    from leakwarden.cli.watch.process import ChildProcess

    for what, text in (("deployment", name), ("--namespace", arguments.namespace or "default")):
        if _NAME.fullmatch(text) is None:
            raise Misused(f"{what} is {text[:60]!r}, which is no name that Kubernetes allows")
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise NotStarted(f"deployment/{name} is reached by `kubectl port-forward`, and no kubectl is on PATH")
    command = [kubectl, "port-forward", f"deployment/{name}", "--address=127.0.0.1"]
    command += [f"--namespace={arguments.namespace}"] if arguments.namespace else []
    command += [f"--context={arguments.context}"] if arguments.context else []
    way = stack.enter_context(ChildProcess(shlex.join([*command, *(f":{port}" for port in ports)])))
    until = time.monotonic() + COMING_UP
    while True:
        ended = way.ended()
        if ended:
            time.sleep(LAST_WORDS)  # its last output may still be in the pipe
        said = way.last_words()
        found = {int(far): int(near) for near, far in _FORWARDING.findall(said)}
        if set(found) >= set(ports):
            return found
        if ended or time.monotonic() > until:
            why = said.splitlines()[-1][:300] if said else "it says nothing"
            raise NotStarted(f"kubectl port-forward deployment/{name}: {why}")
        time.sleep(0.05)


def _contained(reference: str, ports: Sequence[int], stack: ExitStack) -> dict[int, int]:
    """The port on loopback of each port of a container."""
    if _REFERENCE.fullmatch(reference) is None:
        raise Misused(f"image:{reference[:60]!r} is no reference of an image")
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None:
        raise NotStarted(f"image:{reference} needs a container engine, and neither docker nor podman is on PATH")
    publish = [f"--publish=127.0.0.1::{port}" for port in ports]
    started = _run([engine, "run", "--detach", "--rm", *publish, reference], PULLING)
    container = started.splitlines()[-1].strip() if started else ""
    if re.fullmatch(r"[0-9a-f]{12,64}", container) is None:
        raise NotStarted(f"{engine} run {reference} gave no container's id")
    stack.callback(_stop, engine, container)
    found = {}
    for port in ports:
        published = _PUBLISHED.search(_run([engine, "port", container, f"{port}/tcp"], COMING_UP))
        if published is None:
            raise NotStarted(f"{engine} does not say where port {port} of {reference} is")
        found[port] = int(published[1])
    return found


def _run(command: Sequence[str], timeout: float) -> str:
    """The output of a command. Raises NotStarted with its last words."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, errors="replace")  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStarted(f"{command[0]} {command[1]}: {type(error).__name__}") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1][:300]
        raise NotStarted(f"{command[0]} {command[1]}: {last}")
    return done.stdout


def _stop(engine: str, container: str) -> None:
    command = [engine, "stop", f"--time={STOPPING}", container]
    subprocess.run(command, capture_output=True, timeout=COMING_UP + STOPPING, check=False)  # noqa: S603
