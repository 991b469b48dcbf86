"""The reader against the real /proc: a process of our own that leaks files, pipes and unclosed connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from leakwarden.adapters import procfs
from leakwarden.core.descriptors.census import DENIED, NONE, Census, read
from leakwarden.core.descriptors.telling import lines, summary

if sys.platform != "linux":
    pytest.skip("only Linux has /proc", allow_module_level=True)

FILES, PIPES, WAITING = 40, 7, 30
LEAKING = f"""
import os, select, socket, sys, tempfile
files = []
for n in range({FILES}):
    fd, name = tempfile.mkstemp(prefix="spool-", dir=sys.argv[1])
    files.append(fd)
    os.unlink(name)
pipes = [os.pipe() for _ in range({PIPES})]
server = socket.create_server(("127.0.0.1", 0), backlog=128)
kept = []
for _ in range({WAITING}):
    kept.append(socket.create_connection(server.getsockname()))
    server.accept()[0].close()  # the other side is done: what is left is CLOSE_WAIT
for one in kept:
    one.recv(1)
pair = socket.socketpair()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
epoll = select.epoll()
event = getattr(os, "eventfd", lambda _: None)(0)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def leaking() -> Iterator[tuple[int, int, str]]:
    """Its PID, the port it serves and the directory its files were in."""
    with tempfile.TemporaryDirectory(prefix="leaking-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-c", LEAKING, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline()), directory
        finally:
            process.stdin.close()
            process.wait(timeout=30)
            process.stdout.close()


def run(*options: str) -> subprocess.CompletedProcess[str]:
    operator = Path(procfs.__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "leakwarden.adapters.procfs", *options],
        env={**os.environ, "PYTHONPATH": str(operator)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_real_processs_descriptors_are_told_as_lsof_would(leaking: tuple[int, int, str]) -> None:
    pid, port, _ = leaking
    done = run("--pid", str(pid))
    assert done.returncode == 0, done.stderr
    found = read(done.stdout)
    assert isinstance(found, Census)
    assert found.kinds["tcp CLOSE_WAIT"] == WAITING
    assert found.kinds["tcp LISTEN"] == 1
    assert found.kinds["pipe"] == 2 * PIPES + 2  # and its standard input and output
    assert found.kinds["unix"] == 2
    assert (found.kinds["udp"], found.kinds["epoll"]) == (1, 1)
    assert found.kinds.get("eventfd") == 1
    assert found.total == len(os.listdir(f"/proc/{pid}/fd"))
    assert ("CLOSE_WAIT", f"127.0.0.1:{port}", WAITING) in found.ends
    name, count = found.files[0]
    assert count == FILES
    assert name.endswith(("/spool-* (deleted)", "/* (deleted)"))


def test_its_summary_is_what_a_person_needs(leaking: tuple[int, int, str]) -> None:
    pid, port, _ = leaking
    found = read(procfs.look(4096, pid).decode())
    assert isinstance(found, Census)
    # A file more or less is the interpreter's; there are more of them than sockets.
    assert summary(found).startswith(f"{found.total} descriptors, {FILES} files ")
    assert f"{WAITING} sockets in CLOSE_WAIT: {WAITING} to 127.0.0.1:{port}" in lines(found)


def test_the_answer_is_left_in_a_file_that_is_there_and_fits_into_it(
    leaking: tuple[int, int, str], tmp_path: Path
) -> None:
    message = tmp_path / "termination-log"
    done = run("--pid", str(leaking[0]), "--to", str(message), "--bytes", "300", "--report", "shop/api-1")
    assert done.returncode != 0, "where the kubelet does not look nothing is left"
    message.touch()
    done = run("--pid", str(leaking[0]), "--to", str(message), "--bytes", "300", "--report", "shop/api-1")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert message.stat().st_size <= 300
    found = read(message.read_text())
    assert isinstance(found, Census)
    assert found.kinds["file"] >= FILES


def test_without_a_pid_it_is_the_process_that_holds_most(tmp_path: Path) -> None:
    for pid, held in (("11", 2), ("12", 5), ("13", 1)):
        directory = tmp_path / pid / "fd"
        directory.mkdir(parents=True)
        for number in range(held):
            (directory / str(number)).symlink_to(f"/data/{pid}")
    (tmp_path / "self").mkdir()
    (tmp_path / str(os.getpid()) / "fd").mkdir(parents=True)
    found = read(procfs.look(4096, root=tmp_path).decode())
    assert isinstance(found, Census)
    assert (found.pid, found.processes, found.total) == (12, 3, 5)


def test_where_there_is_no_other_process_that_is_said(tmp_path: Path) -> None:
    assert json.loads(procfs.look(4096, root=tmp_path))["error"] == NONE


def test_a_process_that_ended_meanwhile_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=30)
    assert read(procfs.look(4096, process.pid).decode()) == NONE


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_users_process_is_denied_by_the_kernel_and_its_own_is_not(leaking: tuple[int, int, str]) -> None:
    """As in a pod: the reader runs as the user of the container that it looks into."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from leakwarden.adapters import procfs;"
        "os.setgid(65532); os.setuid(65532); print(procfs.look(4096, int(sys.argv[2])).decode())"
    )
    operator = str(Path(procfs.__file__).parents[2])

    def as_nobody(pid: int) -> Census | str:
        done = subprocess.run(
            [sys.executable, "-c", code, operator, str(pid)], capture_output=True, text=True, timeout=60, check=True
        )
        return read(done.stdout)

    assert as_nobody(leaking[0]) == DENIED
    # exec'd as that user, as a container runtime does, so that it is dumpable.
    sleeping = subprocess.Popen(["sleep", "60"], user=65532, group=65532, extra_groups=[])
    try:
        found = as_nobody(sleeping.pid)
        assert isinstance(found, Census)
        assert found.total >= 3
    finally:
        sleeping.terminate()
        sleeping.wait(timeout=30)


@pytest.mark.parametrize("options", [("--what", "x"), ("--pid",)])
def test_what_it_does_not_know_it_refuses(options: tuple[str, ...]) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert options[0] in done.stderr
