"""Which cluster the end-to-end tests use, and the commands for kind and existing clusters."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from e2e.cluster import existing, kind, kubectl
from e2e.cluster.__main__ import main
from e2e.cluster.choice import choose
from e2e.cluster.commands import Result
from e2e.cluster.engine import kind_kubeconfig
from e2e.cluster.errors import ClusterError
from e2e.cluster.existing import ExistingCluster
from e2e.cluster.kind import KindCluster
from e2e.cluster.provider import ShellEnvironment


class Recorder:
    """A Runner that runs nothing: it records each command line and answers as set, else with success."""

    def __init__(self, answers: Mapping[str, Result] | None = None) -> None:
        self.answers = dict(answers or {})
        self.commands: list[list[str]] = []
        self.environments: list[Mapping[str, str] | None] = []

    def run(
        self,
        command: Sequence[str],
        *,
        stdin: str | None = None,
        timeout: float = 120,
        environment: Mapping[str, str] | None = None,
    ) -> Result:
        line = [Path(command[0]).name, *command[1:]]
        self.commands.append(line)
        self.environments.append(environment)
        text = " ".join(line)
        for beginning, answer in self.answers.items():
            if text.startswith(beginning):
                return answer
        return Result(0, "", "")

    def ran(self, *beginning: str) -> list[list[str]]:
        return [each for each in self.commands if each[: len(beginning)] == list(beginning)]


FAILED = Result(1, "", "Cannot connect to the Docker daemon")
NO_ENGINE = {"docker info": FAILED, "podman info": FAILED}
READY_NODE = {
    "metadata": {"name": "leakwarden-e2e-control-plane"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
HEALTHY = {
    "kind get clusters": Result(0, "other\nleakwarden-e2e\n", ""),
    "kubectl get nodes": Result(0, json.dumps({"items": [READY_NODE]}), ""),
    "kubectl -n kube-system get deployment coredns": Result(0, "2", ""),
}


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKWARDEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LEAKWARDEN_STATE", str(tmp_path / "state"))
    for name in ("KUBECONFIG", "LEAKWARDEN_PROVIDER", "LEAKWARDEN_IMAGE_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kubectl, "missing_tools", list)


@pytest.fixture
def path_with_kind(tmp_path: Path) -> str:
    program = tmp_path / "programs" / "kind"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program.parent)


class TestTheChoiceOfAProvider:
    def test_what_is_asked_for_by_name_is_taken_whatever_else_is_there(self, path_with_kind: str) -> None:
        environment = {"LEAKWARDEN_PROVIDER": "local", "KUBECONFIG": "/mine", "PATH": path_with_kind}
        assert choose(environment, Recorder()) == "local"

    def test_an_unknown_name_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ClusterError, match=r"minikube.*local, kind, existing"):
            choose({"LEAKWARDEN_PROVIDER": "minikube"}, Recorder())

    def test_a_kubeconfig_someone_set_means_that_cluster(self) -> None:
        assert choose({"KUBECONFIG": "/home/someone/config"}, Recorder()) == "existing"

    def test_the_kubeconfig_of_our_own_node_is_nobodys_choice(self, tmp_path: Path) -> None:
        environment = {"KUBECONFIG": str(tmp_path / "state" / "kubeconfig"), "PATH": ""}
        assert choose(environment, Recorder()) == "local"

    def test_kind_needs_an_engine_that_answers(self, path_with_kind: str) -> None:
        assert choose({"PATH": path_with_kind}, Recorder()) == "kind"
        assert choose({"PATH": path_with_kind}, Recorder(NO_ENGINE)) == "local"

    def test_podman_counts_as_an_engine(self, path_with_kind: str) -> None:
        assert choose({"PATH": path_with_kind}, Recorder({"docker info": FAILED})) == "kind"

    def test_an_engine_without_kind_is_no_kind(self) -> None:
        assert choose({"PATH": ""}, Recorder()) == "local"


class TestAKindCluster:
    def test_up_creates_it_from_the_committed_configuration(self) -> None:
        runner = Recorder({**HEALTHY, "kind get clusters": Result(0, "other\n", "")})
        cluster = KindCluster(runner)
        # The fake never becomes usable, and `up` must notice that.
        with pytest.raises(ClusterError, match="not usable"):
            cluster.up()
        [create] = runner.ran("kind", "create", "cluster")
        configuration = Path(create[create.index("--config") + 1])
        assert configuration == Path(kind.__file__).with_name("kind.yaml")
        assert configuration.is_file()
        assert create[create.index("--name") + 1] == "leakwarden-e2e"
        assert create[create.index("--kubeconfig") + 1] == str(kind_kubeconfig())

    def test_up_again_creates_nothing(self) -> None:
        runner = Recorder(HEALTHY)
        kind_kubeconfig().parent.mkdir(parents=True)
        kind_kubeconfig().write_text("{}")
        KindCluster(runner).up()
        assert runner.ran("kind", "create") == []
        assert len(runner.ran("kind", "export", "kubeconfig")) == 1

    def test_podman_is_named_to_kind_when_it_is_the_engine(self) -> None:
        runner = Recorder({"docker info": FAILED, "kind get clusters": Result(0, "leakwarden-e2e", "")})
        KindCluster(runner).down()
        delete = runner.commands.index(runner.ran("kind", "delete", "cluster")[0])
        assert runner.environments[delete] == {"KIND_EXPERIMENTAL_PROVIDER": "podman"}

    def test_down_deletes_only_what_exists(self) -> None:
        runner = Recorder({"kind get clusters": Result(0, "leakwarden-e2e-other\n", "")})
        KindCluster(runner).down()
        assert runner.ran("kind", "delete") == []

    def test_without_an_engine_it_says_so(self) -> None:
        with pytest.raises(ClusterError, match="neither answers"):
            KindCluster(Recorder(NO_ENGINE)).up()

    def test_images_are_loaded_as_archives(self) -> None:
        runner = Recorder()
        KindCluster(runner).load_images([Path("/images/a.tar"), Path("/images/b.tar")])
        loads = runner.ran("kind", "load", "image-archive")
        assert [each[3] for each in loads] == ["/images/a.tar", "/images/b.tar"]
        assert all(each[4:] == ["--name", "leakwarden-e2e"] for each in loads)

    def test_a_failed_load_carries_kinds_words(self) -> None:
        runner = Recorder({"kind load": Result(1, "", "ERROR: no nodes found")})
        with pytest.raises(ClusterError, match="no nodes found"):
            KindCluster(runner).load_images([Path("/images/a.tar")])

    def test_a_stopped_api_server_is_a_manifest_moved_away_and_back(self) -> None:
        runner = Recorder()
        cluster = KindCluster(runner)
        cluster.fault("stop", "kube-apiserver")
        cluster.fault("start", "kube-apiserver")
        stop, start = runner.ran("docker", "exec", "leakwarden-e2e-control-plane")
        assert stop[-2:] == start[-2:][::-1]
        assert stop[-2] == "/etc/kubernetes/manifests/kube-apiserver.yaml"

    def test_an_unknown_component_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ClusterError, match="kube-apiserver"):
            KindCluster(Recorder()).fault("stop", "apiserver")

    def test_status_names_what_keeps_it_from_being_usable(self) -> None:
        kind_kubeconfig().parent.mkdir(parents=True)
        kind_kubeconfig().write_text("{}")
        broken = {
            **READY_NODE,
            "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no CNI"}]},
        }
        nodes = Result(0, json.dumps({"items": [broken]}), "")
        status = KindCluster(Recorder({**HEALTHY, "kubectl get nodes": nodes})).status()
        assert not status.usable
        assert [each.problem for each in status.components if each.problem] == ["no CNI"]


class TestAnExistingCluster:
    def test_it_is_usable_when_its_server_and_every_node_are_ready(self) -> None:
        assert ExistingCluster(Recorder(HEALTHY)).status().usable

    def test_a_cluster_without_nodes_is_not_usable(self) -> None:
        empty = Recorder({"kubectl get nodes": Result(0, '{"items": []}', "")})
        assert not ExistingCluster(empty).status().usable

    def test_one_that_cannot_be_reached_fails_with_kubectls_words(self) -> None:
        runner = Recorder({"kubectl get --raw": Result(1, "", "connection refused")})
        with pytest.raises(ClusterError, match="connection refused"):
            ExistingCluster(runner).up()

    def test_down_touches_nothing(self) -> None:
        runner = Recorder()
        ExistingCluster(runner).down()
        assert runner.commands == []

    def test_it_refuses_to_break_what_it_did_not_make(self) -> None:
        with pytest.raises(ClusterError, match="refusing"):
            ExistingCluster(Recorder()).fault("stop", "kube-apiserver")

    def test_images_need_a_registry_and_that_is_explained(self, monkeypatch: pytest.MonkeyPatch) -> None:
        cluster = ExistingCluster(Recorder())
        with pytest.raises(ClusterError, match="LEAKWARDEN_IMAGE_REGISTRY"):
            cluster.load_images([Path("a.tar")])
        monkeypatch.setenv("LEAKWARDEN_IMAGE_REGISTRY", "registry.example/leakwarden")
        cluster.load_images([Path("a.tar")])

    def test_the_callers_kubeconfig_is_the_one_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", "/one:/two")
        runner = Recorder(HEALTHY)
        cluster = existing.ExistingCluster(runner)
        cluster.up()
        assert {tuple((each or {}).items()) for each in runner.environments} == {(("KUBECONFIG", "/one:/two"),)}
        assert "export KUBECONFIG='/one:/two'" in cluster.environment().exports()


class TestTheShellEnvironment:
    def test_a_path_with_a_quote_survives_the_shell(self) -> None:
        lines = ShellEnvironment("/it's here/config", Path("/some bin")).exports()
        script = f'{lines}; printf "%s|%s" "$KUBECONFIG" "${{PATH%%:*}}"'
        shown = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        assert shown.stdout == "/it's here/config|/some bin"


class TestTheCommandLine:
    def test_an_unknown_provider_is_one_line_and_exit_code_1(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("LEAKWARDEN_PROVIDER", "nothing")
        assert main(["status"]) == 1
        assert "no such provider" in capsys.readouterr().err

    def test_a_cluster_that_is_down_is_not_usable(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("LEAKWARDEN_PROVIDER", "local")
        assert main(["status", "-o", "json"]) == 1
        assert json.loads(capsys.readouterr().out)["usable"] is False

    def test_a_missing_archive_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("LEAKWARDEN_PROVIDER", "local")
        assert main(["load-image", "/nowhere/image.tar"]) == 1
        assert "/nowhere/image.tar is not a file" in capsys.readouterr().err
