"""No input is skipped in silence, and none makes the audit hang: near misses, odd files and directories, kubectl's
reading."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from leakwarden.__main__ import main
from leakwarden.cli.audit.files import read
from tests.unit.cli.audit.audit_manifests import BAD, GOOD, SINGLE

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Write a file into the working directory, which is empty before; returns its name."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return _write


Write = Callable[[str, str], str]


def test_blank_lines_and_comments_cost_no_more_than_their_number(write: Write, capsys: Captured) -> None:
    blank = "\n" * 200_000 + "  # a comment\n" * 20_000 + " \t\n" * 20_000
    assert main(["audit", write("x.yaml", f"{blank}---\n{blank}---\n{GOOD}---\n{blank}")]) == 0
    assert "(x.yaml:480003)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("apiVersion: apps/v1\n", ""), "without an apiVersion (apps/v1 is needed)"),
        (GOOD.replace("apps/v1", "app/v1"), "apiVersion app/v1 has no Deployment"),
        (GOOD.replace("apps/v1", "v1"), "apiVersion v1 has no Deployment"),
        (GOOD.replace("apps/v1", "apps/v2"), "apiVersion apps/v2 has no Deployment"),
        (GOOD.replace("apiVersion", "apiversion"), "the key 'apiversion' should be apiVersion"),
        (GOOD.replace("kind: Deployment", "kind: deployment"), "did you mean Deployment?"),
        (GOOD.replace("kind: Deployment", "kind: Deploymnet"), "did you mean Deployment?"),
        (GOOD.replace("kind: Deployment", "kind: Statefulset"), "did you mean StatefulSet?"),
        (GOOD.replace("kind: Deployment", "Kind: Deployment"), "the key 'Kind' should be kind"),
        (GOOD.replace("kind: Deployment\n", ""), "has no kind"),
        (GOOD.replace("kind: Deployment", "kind: 3"), "kind is '3', and no text"),
        (GOOD.replace("kind: Deployment", 'kind: "{{ .Values.kind }}"'), "template that was not rendered"),
        (GOOD.replace("name: good,", 'name: "{{ .Release.Name }}",'), "template that was not rendered"),
        (GOOD.replace("replicas: 3", 'replicas: "{{ .Values.n }}"'), "template that was not rendered"),
        (GOOD.replace("shop/good:1", '"{{ .Values.image }}"'), "template that was not rendered"),
        (f"---{GOOD}", "text on the line of a separator"),
        (f"--- {GOOD}", "text on the line of a separator"),
        ("kind: List\napiVersion: v1\nitems:\n- metadata: {name: x}\n", "items[0]: has no kind"),
        ("kind: List\napiVersion: v1\nitems: {a: b}\n", "items of a List is not a list"),
        ("kind: List\napiVersion: v1\nitems: [3]\n", "items[0]: is no object"),
        ("- kind: Deployment\n  apiVersion: apps/v1\n  metadata: {name: x}\n", "a list of objects"),
        ('// why\n{"kind": "Deployment"}\n', "not valid YAML"),
        ('{"kind": "Deployment",\n // why\n"apiVersion": "apps/v1"}\n', "JSON has no comments"),
    ],
)
def test_what_looks_like_a_workload_and_is_none_is_a_problem_with_its_place(
    write: Write, capsys: Captured, text: str, complaint: str
) -> None:
    assert main(["audit", write("x.yaml", f"{BAD}---\n{text}" if not text.startswith("---") else text)]) == 3
    err = capsys.readouterr().err
    assert complaint in err
    assert "x.yaml, document " in err


@pytest.mark.parametrize(
    "text",
    [
        "kind: Deployment\napiVersion: example.com/v1\nspec: {}\n",
        "kind: Job\napiVersion: batch.volcano.sh/v1alpha1\nmetadata: {name: x}\nspec: {}\n",
        "kind: Ingresses\napiVersion: v1\n",
        "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: x}\n",
        "deploy:\n  script: !reference [.setup, script]\n  other: !Sub x\n",
        "- =\n- !Sub x\n",
    ],
)
def test_what_is_somebody_elses_is_no_problem(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert read([str(tmp_path)]).problems == []


def test_two_json_objects_in_one_file_are_two_documents(tmp_path: Path) -> None:
    one = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 3.0}}
    (tmp_path / "x.json").write_text(json.dumps(one) + "\n" + json.dumps(one, indent="\t"))
    found = read([str(tmp_path / "x.json")])
    assert [(d.kind, d.body["spec"]["replicas"], d.place.line) for d in found.documents] == [
        ("Deployment", 3, 1),
        ("Deployment", 3, 2),
    ]


def test_whole_numbers_may_be_written_as_kubectl_reads_them(write: Write, capsys: Captured) -> None:
    for written in ("3.0", "3e0", "0x3", "03"):
        assert main(["audit", write("x.yaml", GOOD.replace("replicas: 3", f"replicas: {written}"))]) == 0, written
        capsys.readouterr()


def test_a_key_that_stands_twice_is_said_with_its_line(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", GOOD.replace("  replicas: 3\n", "  replicas: 3\n  replicas: 2\n"))])
    assert "LW904 KeyTwice: the key replicas stands twice in one mapping (again in line 6)" in capsys.readouterr().out


def test_a_field_that_does_not_exist_is_said_with_the_one_that_was_meant(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", GOOD.replace("livenessProbe", "livenesProbe"))])
    assert "did you mean livenessProbe?" in capsys.readouterr().out


def test_one_bad_object_costs_itself(write: Write, capsys: Captured) -> None:
    budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: odd, namespace: shop}\nspec: {selector: 3}\n"
    assert main(["audit", write("x.yaml", f"{budget}---\n{BAD}---\n{SINGLE}")]) == 3
    out, err = capsys.readouterr()
    assert "shop/bad" in out
    assert "shop/single" in out
    assert "PodDisruptionBudget odd: spec.selector is a whole number; a mapping is needed" in err
    assert err.count("leakwarden audit:") == 1


def test_a_linked_directory_is_read_once(write: Write, capsys: Captured, tmp_path: Path) -> None:
    write("real/a.yaml", BAD)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "deploy" / "again").symlink_to(tmp_path / "real")
    assert main(["audit", "deploy"]) == 1
    out, err = capsys.readouterr()
    assert out.count("shop/bad  (") == 1
    assert "was read already under another name" in err


def test_a_pipe_in_a_directory_is_named_and_not_waited_for(write: Write, capsys: Captured, tmp_path: Path) -> None:
    write("d/a.yaml", GOOD)
    os.mkfifo(tmp_path / "d" / "b.yaml")
    assert main(["audit", "d"]) == 0
    assert "d/b.yaml: is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["table", "json", "sarif", "junit", "github", "markdown"])
def test_a_file_name_that_is_no_text_is_read_and_shown(tmp_path: Path, capsys: Captured, output: str) -> None:
    directory = os.fsencode(tmp_path)
    with open(directory + b"/bad-\xff.yaml", "wb") as target:
        target.write(BAD.encode())
    assert main(["audit", str(tmp_path), "-o", output]) == 1
    capsys.readouterr().out.encode()


@pytest.mark.parametrize("output", ["table", "json", "sarif", "junit", "github", "markdown"])
def test_lone_surrogates_and_binary_values_end_nothing(write: Write, capsys: Captured, output: str) -> None:
    body = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a\ud800"},
        "spec": {"template": {"spec": {"containers": [{"name": "x\udfff", "image": "a"}]}}},
    }  # fmt: skip
    code = main(["audit", write("x.json", json.dumps(body)), write("y.yaml", GOOD.replace("shop/good:1", "!!binary aGk=")),
                 "-o", output])  # fmt: skip
    assert code in (1, 3)
    capsys.readouterr().out.encode()


OVERLAY = "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nresources: [../base]\n"


def test_a_kustomization_is_not_audited_piece_by_piece(
    write: Write, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # neither kustomize nor kubectl
    write("k/base/kustomization.yaml", "resources: [a.yaml]\n")
    write("k/base/a.yaml", BAD)
    write("k/prod/kustomization.yaml", OVERLAY + "patches: [{path: patch.yaml}]\n")
    write("k/prod/patch.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\nspec: {replicas: 5}\n")
    write("k/other.yaml", GOOD)
    assert main(["audit", "k"]) == 0
    out, err = capsys.readouterr()
    assert "shop/bad" not in out
    assert "shop/good" in out
    assert "use kustomize build k/prod | leakwarden audit -" in err
    assert "k/base" not in err
    assert main(["audit", "k", "--no-kustomize"]) == 3  # the patch alone is not a Deployment
    assert "shop/bad" in capsys.readouterr().out


def test_a_kustomization_is_built_where_that_is_possible(
    write: Write, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "kustomize"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\n[ "$1" = build ] && cat "$2/a.yaml"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    write("k/kustomization.yaml", "resources: [a.yaml]\n")
    write("k/a.yaml", BAD)
    assert main(["audit", "k", "-o", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["objects"]
    assert (found["file"], found["name"]) == ("k (kustomize build)", "bad")


def test_what_would_fetch_from_elsewhere_is_never_built(write: Write, capsys: Captured) -> None:
    write("k/kustomization.yaml", "resources: ['https://example.com/x?ref=v1']\n")
    assert main(["audit", "k"]) == 0
    assert "fetches https://example.com/x?ref=v1 is not built here" in capsys.readouterr().err


def test_copies_of_one_object_are_judged_each_with_what_stands_nearest(write: Write, capsys: Captured) -> None:
    budget = (
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: good, namespace: shop}\n"
        "spec: {minAvailable: %d, unhealthyPodEvictionPolicy: AlwaysAllow, selector: {matchLabels: {app: good}}}\n"
    )
    write("staging/web.yaml", GOOD)
    write("staging/pdb.yaml", budget % 2)
    write("prod/web.yaml", GOOD)
    write("prod/pdb.yaml", budget % 3)
    main(["audit", ".", "-o", "json"])
    found = {o["file"]: [f["id"] for f in o["findings"]] for o in json.loads(capsys.readouterr().out)["objects"]}
    assert found["./staging/web.yaml"] == []
    assert found["./prod/web.yaml"] == ["LW402"]


def test_hidden_files_are_named_and_read_where_they_are_asked_for(write: Write, capsys: Captured) -> None:
    write("deploy/web.yaml", GOOD)
    write("deploy/.old/web.yaml", BAD)
    write("deploy/.ci.yml", "a: 1")
    write("deploy/.git/config.yaml", "a: 1")
    write("deploy/.cache/notes.txt", "no manifest")
    assert main(["audit", "deploy"]) == 0
    assert "hidden, and not read unless named: deploy/.ci.yml, deploy/.old\n" in capsys.readouterr().err
    assert main(["audit", "deploy/.old"]) == 1
    assert "hidden" not in capsys.readouterr().err


def test_of_many_hidden_files_the_first_ones_are_named(write: Write, capsys: Captured) -> None:
    write("web.yaml", GOOD)
    for number in range(13):
        write(f".{number:02}.yaml", "a: 1")
    main(["audit", "."])
    assert ".09.yaml and 3 more" in capsys.readouterr().err
