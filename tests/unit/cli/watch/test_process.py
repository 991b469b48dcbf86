"""The process that a watch starts: it ends with the watch, together with all that it started."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from leakwarden.cli.errors import NotStarted
from leakwarden.cli.watch.process import SAMPLING, ChildProcess, recording


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(holds: object) -> None:
    assert callable(holds)
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    assert holds()


def test_it_is_ended_with_what_it_started(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    with ChildProcess(f"sh -c 'sleep 60 & echo $! > {noted}; wait'") as child:
        eventually(lambda: noted.exists() and noted.read_text().strip())
        grandchild = int(noted.read_text())
        assert running(child.pid)
        assert running(grandchild)
        assert child.ended() == ""
    eventually(lambda: not running(grandchild))
    assert not running(child.pid)


def test_one_that_ignores_the_request_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakwarden.cli.watch.process.GRACE", 0.2)
    with ChildProcess("sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done'") as child:
        eventually(lambda: "ready" in child.last_words())
        pid = child.pid
    assert not running(pid)


def test_it_says_how_it_ended_and_keeps_its_last_words() -> None:
    with ChildProcess("sh -c 'echo cannot listen: address in use; exit 3'") as child:
        eventually(child.ended)
        assert child.ended() == "the process exited with code 3"
        eventually(lambda: child.last_words() == "cannot listen: address in use")
    with ChildProcess("sh -c 'kill -9 $$'") as killed:
        eventually(killed.ended)
        assert killed.ended() == "the process was ended by signal 9"


def test_a_process_that_writes_without_end_is_not_held_up_and_takes_no_room() -> None:
    with ChildProcess("sh -c 'yes | head -c 3000000; exit 0'") as child:
        eventually(child.ended)
        eventually(lambda: len(child.last_words()) > 1000)
        assert len(child.last_words()) <= 2000


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("", "--exec is empty"),
        ("'", '--exec "\'" cannot be taken apart'),
        ("./no-such-server", "--exec './no-such-server' cannot be run: No such file or directory"),
    ],
)
def test_what_cannot_be_started_is_said(command: str, said: str) -> None:
    with pytest.raises(NotStarted) as refusal, ChildProcess(command):
        pass
    assert str(refusal.value).startswith(said)


def test_no_shell_takes_the_command_apart(tmp_path: Path) -> None:
    with ChildProcess(f"echo hello ; touch {tmp_path}/made") as child:
        eventually(child.ended)
        eventually(lambda: child.last_words().startswith("hello ; touch"))
    assert os.listdir(tmp_path) == []


def test_its_heap_profile_is_dense_unless_the_user_chose_a_rate() -> None:
    assert recording({"A": "1"}) == {"A": "1", "GODEBUG": f"memprofilerate={SAMPLING}"}
    assert recording({"GODEBUG": "gctrace=1"})["GODEBUG"] == f"gctrace=1,memprofilerate={SAMPLING}"
    assert recording({"GODEBUG": "memprofilerate=1"})["GODEBUG"] == "memprofilerate=1"
