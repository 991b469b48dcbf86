"""The parts of the local node that can be tried without one: processes, relay, probes, builds, teardown."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import binaries, probe
from e2e.cluster.certificates import write_private
from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.processes import Identity, Process, boot_id, marked, stop
from e2e.cluster.progress import wait_until
from e2e.cluster.teardown import mounts_below
from e2e.cluster.toolchain import MINIMUM, go_version

FORWARD = Path(probe.__file__).with_name("forward.py")
SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process("sleeper", tmp_path / "processes", tmp_path / "logs", f"LEAKWARDEN_NODE={tmp_path}")
    yield made
    identity = made.identity()
    if identity:
        stop([identity], patience=0.1)


class TestABackgroundProcess:
    def test_it_is_found_again_by_its_record(self, process: Process) -> None:
        started = process.start(SLEEP)
        assert replace(process).identity() == started

    def test_starting_it_twice_starts_it_once(self, process: Process) -> None:
        assert process.start(SLEEP) == process.start(SLEEP)

    def test_a_record_of_another_boot_is_not_believed(self, process: Process) -> None:
        started = process.start(SLEEP)
        record = json.loads(process.record.read_text())
        process.record.write_text(json.dumps({**record, "boot": "another"}))
        assert process.identity() is None
        assert stop([replace(started, boot="another")]) == []
        assert started.is_running()
        stop([started], patience=0.1)

    def test_a_pid_that_belongs_to_someone_else_now_is_not_believed(self, process: Process) -> None:
        mine = Identity.of(os.getpid())
        assert mine is not None
        process.records.mkdir(parents=True)
        stale = {"pid": mine.pid, "started": mine.started - 1, "boot": boot_id()}
        process.record.write_text(json.dumps(stale))
        assert process.identity() is None

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
    def test_a_broken_record_means_not_running(self, process: Process, text: str) -> None:
        process.records.mkdir(parents=True)
        process.record.write_text(text)
        assert process.identity() is None

    def test_stopping_waits_until_it_is_gone(self, process: Process) -> None:
        started = process.start(SLEEP)
        assert stop([started]) == []
        assert not started.is_running()

    def test_one_that_ignores_sigterm_is_killed(self, process: Process) -> None:
        started = process.start(STUBBORN)
        wait_until("its first words", lambda: "deaf" in process.last_words(), timeout=30, interval=0.02)
        assert stop([started], patience=0.2) == []
        assert not started.is_running()

    def test_its_children_are_found_by_the_mark_when_there_is_no_record(self, process: Process) -> None:
        child = f"import subprocess, sys; subprocess.Popen({list(SLEEP)!r}); print('ready', flush=True)"
        process.start((sys.executable, "-c", child))
        wait_until("its first words", lambda: "ready" in process.last_words(), timeout=30, interval=0.02)
        wait_until("its end", lambda: process.identity() is None, timeout=30, interval=0.02)
        orphans = marked(process.mark)
        assert len(orphans) == 1
        assert stop(orphans, patience=0.2) == []

    def test_a_program_that_ends_at_once_leaves_its_last_words(self, process: Process) -> None:
        process.start((sys.executable, "-c", "raise SystemExit('no such flag')"))
        wait_until("its end", lambda: process.identity() is None, timeout=30, interval=0.02)
        assert process.last_words() == "no such flag"


class TestWaiting:
    def test_it_gives_up_when_waiting_is_pointless(self) -> None:
        with pytest.raises(ClusterError, match="etcd has ended"):
            wait_until("etcd", lambda: False, timeout=60, abandoned=lambda: "etcd has ended")

    def test_it_gives_up_in_the_end(self) -> None:
        with pytest.raises(ClusterError, match="a miracle"):
            wait_until("a miracle", lambda: False, timeout=0.05, interval=0.01)


@pytest.fixture
def relay(process: Process) -> Iterator[tuple[int, socket.socket]]:
    """A running forwarder: the port it accepts on, and the listener it connects to."""
    with socket.create_server(("127.0.0.1", 0)) as front, socket.create_server(("127.0.0.1", 0)) as back:
        back.settimeout(30)
        port = back.getsockname()[1]
        command = (sys.executable, str(FORWARD), str(front.fileno()), "127.0.0.1", str(port))
        process.start(command, descriptors=(front.fileno(),))
        yield front.getsockname()[1], back


class TestTheForwarder:
    def test_bytes_arrive_whole_in_both_directions_and_each_end_of_stream_on_its_own(
        self, relay: tuple[int, socket.socket]
    ) -> None:
        port, back = relay
        sent = os.urandom(3_000_000)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:

            def send() -> None:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            server, _ = back.accept()
            with server, server.makefile("rb") as incoming:
                server.settimeout(30)
                assert incoming.read() == sent
                # The client has sent all its data; it must still get the answer.
                server.sendall(sent[::-1])
                server.shutdown(socket.SHUT_WR)
                with client.makefile("rb") as answer:
                    assert answer.read() == sent[::-1]
            sender.join()

    def test_when_nobody_listens_behind_it_the_connection_closes(self, relay: tuple[int, socket.socket]) -> None:
        port, back = relay
        back.close()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            assert client.recv(1) == b""

    def test_it_ends_on_sigterm_while_a_connection_is_open(
        self, relay: tuple[int, socket.socket], process: Process
    ) -> None:
        port, back = relay
        with socket.create_connection(("127.0.0.1", port), timeout=30):
            server, _ = back.accept()
            identity = process.identity()
            assert identity is not None
            os.kill(identity.pid, signal.SIGTERM)
            wait_until("its end", lambda: not identity.is_running(), timeout=30, interval=0.02)
            server.close()
        assert "Traceback" not in process.last_words(50)


class TestAProbe:
    def test_a_dns_question_is_what_the_standard_says(self) -> None:
        query = probe.question(0xBEEF, "kubernetes.default")
        assert query[:4] == b"\xbe\xef\x01\x00"
        assert query[12:] == b"\x0akubernetes\x07default\x00\x00\x01\x00\x01"

    @pytest.mark.parametrize(("code", "records", "well"), [(0, 1, True), (3, 0, False), (0, 0, False), (2, 1, False)])
    def test_only_an_answer_with_a_record_counts(self, code: int, records: int, well: bool) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(30)

            def answer() -> None:
                query, client = server.recvfrom(512)
                server.sendto(query[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]), client)

            thread = threading.Thread(target=answer)
            thread.start()
            problem = probe.probe(f"dns://127.0.0.1:{server.getsockname()[1]}/kubernetes.default")
            thread.join()
        assert (problem == "") is well

    def test_nothing_listening_is_a_reason_not_an_error(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert "refused" in probe.probe(f"http://127.0.0.1:{port}/healthz")
        assert "no socket" in probe.probe(f"unix://{tmp_path}/none.sock")


@pytest.fixture
def tool_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> binaries.ToolGroup:
    """A real, tiny Go module instead of a tool group's."""
    monkeypatch.setenv("LEAKWARDEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(binaries, "MODULES", tmp_path / "go")
    module = tmp_path / "go" / "tiny"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module example.test/tiny\n\ngo 1.26\n")
    (module / "go.sum").write_text("")
    (module / "main.go").write_text('package main\n\nfunc main() { println("tiny") }\n')
    group = binaries.ToolGroup("tiny", {"tiny": "example.test/tiny"})
    monkeypatch.setattr(binaries, "GROUPS", (group,))
    return group


def _needs_go() -> None:
    if (go_version(Programs(), shutil.which("go") or "/usr/local/go/bin/go") or (0, 0, 0)) < MINIMUM:
        pytest.skip("needs a recent Go on this machine")


class TestBuilding:
    def test_every_group_has_its_pinned_module_and_a_fingerprint_of_its_own(self) -> None:
        fingerprints = [group.fingerprint() for group in binaries.GROUPS]
        assert len(set(fingerprints)) == len(binaries.GROUPS)

    def test_kubernetes_is_stamped_with_the_version_its_module_requires(self) -> None:
        kubernetes = binaries.group("kubernetes")
        version = binaries.required_version(kubernetes.module / "go.mod", "k8s.io/kubernetes")
        assert f"-X k8s.io/component-base/version.gitVersion={version}" in " ".join(kubernetes.flags())

    def test_a_change_of_what_is_pinned_or_of_a_flag_changes_the_fingerprint(
        self, tool_group: binaries.ToolGroup
    ) -> None:
        before = tool_group.fingerprint()
        assert replace(tool_group, tags="other").fingerprint() != before
        (tool_group.module / "go.sum").write_text("example.test/other v1.0.0 h1:x\n")
        assert tool_group.fingerprint() != before

    def test_a_built_group_is_complete_and_not_built_again(self, tool_group: binaries.ToolGroup) -> None:
        _needs_go()
        binaries.build(("tiny",))
        program = tool_group.program("tiny")
        assert subprocess.run([program], capture_output=True, check=True).stderr == b"tiny\n"
        built = program.stat().st_mtime_ns
        binaries.build(("tiny",))
        assert program.stat().st_mtime_ns == built

    def test_a_failed_build_shows_the_compilers_words_and_leaves_nothing(
        self, tool_group: binaries.ToolGroup, tmp_path: Path
    ) -> None:
        _needs_go()
        (tool_group.module / "main.go").write_text("package main\n\nfunc main() { undefinedName() }\n")
        with pytest.raises(ClusterError, match="undefined: undefinedName"):
            binaries.build(("tiny",))
        assert [each.name for each in (tmp_path / "cache" / "bin").iterdir()] == [".lock"]

    def test_what_is_not_built_is_not_there(self, tool_group: binaries.ToolGroup) -> None:
        with pytest.raises(ClusterError, match="not built"):
            tool_group.program("tiny")


class TestTakingDown:
    def test_the_innermost_mounts_come_first_and_others_are_left_alone(self) -> None:
        table = (
            "overlay /var/lib/node/a overlay rw 0 0\n"
            "tmpfs /var/lib/node/a/b\\040c tmpfs rw 0 0\n"
            "tmpfs /var/lib/node-of-someone-else tmpfs rw 0 0\n"
            "ext4 / ext4 rw 0 0\n"
        )
        assert mounts_below(table, (Path("/var/lib/node"),)) == ["/var/lib/node/a/b c", "/var/lib/node/a"]


class TestAPrivateFile:
    def test_only_its_owner_can_read_it(self, tmp_path: Path) -> None:
        write_private(tmp_path / "new" / "kubeconfig", "secret")
        assert (tmp_path / "new" / "kubeconfig").stat().st_mode & 0o777 == 0o600

    def test_the_same_text_again_does_not_touch_it(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        write_private(path, "one")
        before = path.stat()
        time.sleep(0.01)
        write_private(path, "one")
        assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
        write_private(path, "two")
        assert path.read_text() == "two"
