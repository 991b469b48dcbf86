"""kubectl and helm as functions: they retry transient errors, and fail with the server's own words."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from e2e.cluster.choice import choose, provider_named
from e2e.cluster.commands import Programs, Result
from e2e.cluster.provider import Provider

Object = dict[str, Any]

FIELD_MANAGER = "leakwarden-e2e"

# Messages of a busy or restarting API server; any other message is an answer and is not retried.
_TRANSIENT = (
    "connection refused",
    "connection reset",
    "etcdserver",
    "i/o timeout",
    "net/http: request canceled",
    "no route to host",
    "TLS handshake timeout",
    "the server is currently unable",
    "too many requests",
    "unexpected EOF",
    "was refused - did you specify the right host",
)
_TRIES = 5


class KubectlError(AssertionError):
    """kubectl or helm ended with an error; the message is the end of its output."""


@functools.cache
def provider() -> Provider:
    """The cluster that the environment chooses; see e2e.cluster."""
    runner = Programs()
    return provider_named(choose(os.environ, runner), runner)


@functools.cache
def _environment() -> Mapping[str, str]:
    shell = provider().environment()
    values = {"KUBECONFIG": shell.kubeconfig} if shell.kubeconfig else {}
    if shell.programs:
        values["PATH"] = f"{shell.programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return values


def attempt(*command: str, stdin: str | None = None, timeout: float = 60) -> Result:
    """Run kubectl or helm once; success and failure alike are returned. `command` begins with the program."""
    environment = _environment()
    program = _which(command[0])
    return Programs().run([program, *command[1:]], stdin=stdin, timeout=timeout, environment=environment)


@functools.cache
def _which(program: str) -> str:
    # subprocess looks a program up on our own PATH, not on the given one.
    for directory in _environment().get("PATH", os.environ.get("PATH", "")).split(os.pathsep):
        candidate = os.path.join(directory, program)
        if os.access(candidate, os.X_OK):
            return candidate
    return program


def run(*command: str, stdin: str | None = None, timeout: float = 60) -> str:
    """The output of kubectl or helm, tried up to five times while what it says is transient. Raises KubectlError."""
    for patience in range(1, _TRIES + 1):
        result = attempt(*command, stdin=stdin, timeout=timeout)
        if result.succeeded:
            return result.output
        if patience == _TRIES or not any(words in result.errors for words in _TRANSIENT):
            break
        time.sleep(patience)
    raise KubectlError(f"{' '.join(command)[:200]}: {result.last_words(8)}")


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 60) -> str:
    """kubectl's standard output. Raises KubectlError."""
    return run("kubectl", *arguments, stdin=stdin, timeout=timeout)


@contextmanager
def api_proxy() -> Iterator[str]:
    """The API server on loopback, with our credentials, for programs that only know a URL; ends with the block."""
    command = [_which("kubectl"), "proxy", "--port=0"]
    with subprocess.Popen(command, env={**os.environ, **_environment()}, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            said = proxy.stdout.readline()  # Starting to serve on 127.0.0.1:PORT
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            if found is None:
                raise KubectlError(f"kubectl proxy does not say where it listens: {said[:200]!r}")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            proxy.terminate()


def helm(*arguments: str, stdin: str | None = None, timeout: float = 600) -> str:
    """helm's standard output. Raises KubectlError."""
    return run("helm", *arguments, stdin=stdin, timeout=timeout)


def apply(objects: Iterable[Object] | Object) -> None:
    """Server-side apply, with the API server refusing fields it does not know."""
    items = [objects] if isinstance(objects, dict) else list(objects)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl(
        "apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--validate=strict",
        "-f", "-", stdin=text,
    )  # fmt: skip


def get(kind: str, name: str, namespace: str = "") -> Object | None:
    """One object, or None where it does not exist."""
    text = kubectl("get", kind, name, *_in(namespace), "--ignore-not-found", "-o", "json")
    return _loaded(text) if text.strip() else None


def existing(kind: str, name: str, namespace: str = "") -> Object:
    """One object that must exist. Raises KubectlError."""
    return _loaded(kubectl("get", kind, name, *_in(namespace), "-o", "json"))


def listed(kind: str, namespace: str = "", selector: str = "", *, everywhere: bool = False) -> list[Object]:
    """All objects of a kind in a namespace (or of the cluster, for kinds without one) that carry the labels."""
    chosen = ["-l", selector] if selector else []
    where = ["--all-namespaces"] if everywhere else _in(namespace)
    items: list[Object] = _loaded(kubectl("get", kind, *where, *chosen, "-o", "json"))["items"]
    return items


def delete(kind: str, name: str, namespace: str = "", *, wait: bool = False, timeout: float = 120) -> None:
    """Delete an object if it is there; with `wait` until it is gone, at most `timeout` seconds."""
    kubectl(
        "delete", kind, name, *_in(namespace), "--ignore-not-found", f"--wait={str(wait).lower()}",
        f"--timeout={timeout:.0f}s", timeout=timeout + 10,
    )  # fmt: skip


def raw(path: str, timeout: float = 30) -> str:
    """GET a path of the API server, which also reaches pods and Services through it."""
    return kubectl("get", "--raw", path, timeout=timeout)


def logs(target: str, namespace: str, *arguments: str) -> str:
    """The log of a pod, or of a workload's pod (`deployment/NAME`)."""
    return kubectl("logs", target, *_in(namespace), *arguments)


def may(account: str, verb: str, resource: str, namespace: str = "", subresource: str = "") -> bool:
    """Whether the API server would allow it: `account` is `NAMESPACE:SERVICEACCOUNT`."""
    asked = attempt(
        "kubectl", "auth", "can-i", verb, resource, *([f"--subresource={subresource}"] if subresource else []),
        f"--as=system:serviceaccount:{account}", *(_in(namespace) or ["--all-namespaces"]),
    )  # fmt: skip
    answer = asked.output.strip().splitlines()[-1:] or [""]
    if answer[0] not in ("yes", "no"):
        raise KubectlError(f"auth can-i {verb} {resource}: {asked.last_words(2)}")
    return answer[0] == "yes"


def _in(namespace: str) -> list[str]:
    return ["-n", namespace] if namespace else []


def _loaded(text: str) -> Object:
    try:
        loaded: Object = json.loads(text)
    except ValueError as error:
        raise KubectlError(f"kubectl gave no JSON: {text[:200]!r}") from error
    return loaded


def containers(pod: Object) -> Sequence[Object]:
    """The statuses of a pod's containers; empty while the kubelet has not reported any."""
    statuses: Sequence[Object] = pod.get("status", {}).get("containerStatuses", [])
    return statuses
