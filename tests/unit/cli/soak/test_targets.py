"""A Deployment's pod or an image becomes an address on loopback, and every process started for it is ended."""

from __future__ import annotations

import argparse
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from leakwarden.cli.errors import Misused, NotStarted
from leakwarden.cli.soak import targets
from leakwarden.cli.soak.targets import add_target_options, reach

KUBECTL = """\
echo "$@" > {folder}/asked
echo $$ > {folder}/pid
echo "Forwarding from 127.0.0.1:40001 -> 6060"
echo "Forwarding from 127.0.0.1:40002 -> 8080"
exec sleep 60
"""
ENGINE = """\
echo "$@" >> {folder}/asked
case "$1" in
  run) echo "Unable to find image locally" >&2; echo 0123456789abcdef ;;
  port) case "$3" in 8080/tcp) echo 127.0.0.1:41001 ;; *) echo 127.0.0.1:41002 ;; esac ;;
esac
"""


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text("#!/bin/sh\n" + script.replace("{folder}", str(folder)))
    file.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH except the system's, without the machine's own kubectl or container engine."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "sleep"):
        found = next(Path(each) / name for each in ("/bin", "/usr/bin") if (Path(each) / name).exists())
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    return tools


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--load", action="append", default=[])
    parser.add_argument("--exec", dest="command")
    parser.add_argument("--pprof")
    add_target_options(parser)
    return parser.parse_args(arguments)


def reached(*arguments: str) -> argparse.Namespace:
    found = parsed(*arguments)
    with ExitStack() as stack:
        reach(found, stack)
    return found


def gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_deployment_is_reached_by_kubectl_which_is_ended_afterwards(folder: Path) -> None:
    program(folder, "kubectl", KUBECTL)
    found = reached("deployment/checkout", "-n", "shop", "--context", "lab", "--load", "/buy", "--pprof-port", "6060")
    assert found.url == "http://127.0.0.1:40002/metrics"
    assert found.load == ["http://127.0.0.1:40002/buy"]
    assert found.pprof == "http://127.0.0.1:40001"
    asked = (folder / "asked").read_text().split()
    assert asked == [
        "port-forward", "deployment/checkout", "--address=127.0.0.1", "--namespace=shop", "--context=lab", ":6060", ":8080",
    ]  # fmt: skip
    assert gone(int((folder / "pid").read_text()))


def test_what_kubectl_says_is_the_reason(folder: Path) -> None:
    program(
        folder, "kubectl", "echo 'Error from server (NotFound): deployments.apps \"checkout\" not found' >&2; exit 1\n"
    )
    with pytest.raises(NotStarted, match=r'kubectl port-forward deployment/checkout: .*"checkout" not found'):
        reached("deployment/checkout", "--load", "/")


def test_a_way_that_does_not_come_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "COMING_UP", 0.2)
    program(folder, "kubectl", "exec sleep 60\n")
    with pytest.raises(NotStarted, match="it says nothing"):
        reached("deployment/checkout", "--load", "/")


def test_without_kubectl_that_is_said(folder: Path) -> None:
    with pytest.raises(NotStarted, match="no kubectl is on PATH"):
        reached("deployment/checkout", "--load", "/")


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_an_image_is_started_on_loopback_only_and_stopped_afterwards(folder: Path, engine: str) -> None:
    program(folder, engine, ENGINE)
    found = reached("image:registry.example/shop:1", "--load", "/buy", "--pprof-port", "6060")
    assert (found.url, found.pprof) == ("http://127.0.0.1:41001/metrics", "http://127.0.0.1:41002")
    asked = (folder / "asked").read_text().splitlines()
    assert asked[0] == ("run --detach --rm --publish=127.0.0.1::6060 --publish=127.0.0.1::8080 registry.example/shop:1")
    assert asked[-1] == "stop --time=5 0123456789abcdef"


def test_an_image_that_does_not_start_gives_the_engines_reason(folder: Path) -> None:
    program(folder, "docker", "echo 'pull access denied for shop' >&2; exit 125\n")
    with pytest.raises(NotStarted, match="pull access denied for shop"):
        reached("image:shop", "--load", "/")


def test_without_an_engine_that_is_said(folder: Path) -> None:
    with pytest.raises(NotStarted, match="neither docker nor podman is on PATH"):
        reached("image:shop", "--load", "/")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deployment/Checkout", "--load", "/"], "deployment is 'Checkout', which is no name"),
        (["deployment/checkout", "--namespace=--help", "--load", "/"], "--namespace is '--help', which is no name"),
        (["image:--privileged", "--load", "/"], "is no reference of an image"),
        (["deployment/checkout", "--port", "0", "--load", "/"], "--port is 0; 1 to 65535 is allowed"),
        (["deployment/checkout", "--exec", "x", "--load", "/"], "--exec starts a process of its own"),
        (["http://127.0.0.1:1", "--load", "/buy"], "an address is wanted here"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_anything_is_started(
    folder: Path, arguments: list[str], said: str
) -> None:
    with pytest.raises(Misused, match=said):
        reached(*arguments)
    assert not (folder / "asked").exists()


def test_an_address_stays_what_it_is() -> None:
    found = reached("http://127.0.0.1:8080", "--load", "http://127.0.0.1:8080/buy")
    assert (found.url, found.load) == ("http://127.0.0.1:8080", ["http://127.0.0.1:8080/buy"])
