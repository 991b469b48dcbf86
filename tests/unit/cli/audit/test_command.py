"""`leakwarden audit` as a person or a CI job runs it: from arguments to text and an exit code."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leakwarden.__main__ import main
from tests.unit.cli.audit.audit_manifests import BAD, GOOD, POLICY, SINGLE


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
Captured = pytest.CaptureFixture[str]


def test_a_good_deployment_passes(write: Write, capsys: Captured) -> None:
    assert main(["audit", write("a.yaml", GOOD)]) == 0
    out, err = capsys.readouterr()
    assert "shop/good  (a.yaml:1)" in out
    assert "nothing found" in out
    assert "1 Deployment: 0 errors, 0 warnings, 0 infos" in out
    assert err == ""


def test_an_error_fails_and_is_shown_with_place_numbers_and_hint(write: Write, capsys: Captured) -> None:
    assert main(["audit", write("a.yaml", f"# two documents\n---\n{GOOD}---\n{BAD}")]) == 1
    out = capsys.readouterr().out
    assert "shop/bad  (a.yaml:29)" in out
    assert (
        "LW201 GraceBelowDrain [app]: terminationGracePeriodSeconds is 30, below preStop 35 s + drain 10 s (the default) = 45 s"
        in out
    )
    assert "-> terminationGracePeriodSeconds: 50" in out


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (BAD, "error", 1),
        (BAD, "warning", 1),
        (BAD, "never", 0),
        (SINGLE, "error", 0),
        (SINGLE, "warning", 1),
        (SINGLE, "never", 0),
    ],
)
def test_fail_on_says_from_which_severity_on_it_fails(write: Write, text: str, fail_on: str, code: int) -> None:
    assert main(["audit", write("a.yaml", text), "--fail-on", fail_on]) == code


def test_standard_input_is_read(write: Write, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert main(["audit", "-"]) == 1
    assert "(stdin:1)" in capsys.readouterr().out


def test_a_directory_is_read_with_all_below_it_in_order(write: Write, capsys: Captured) -> None:
    write("d/b/two.yml", BAD)
    write("d/a/one.yaml", GOOD)
    write("d/a/values.yaml", "replicas: 3\n")
    write("d/.git/hidden.yaml", "a: b: c")
    write("d/notes.txt", "a: b: c")
    assert main(["audit", "d"]) == 1
    out, err = capsys.readouterr()
    assert out.index("d/a/one.yaml") < out.index("d/b/two.yml")
    assert "2 Deployments" in out
    assert err == ""


def test_the_templates_of_a_helm_chart_are_left_out_and_it_says_so(write: Write, capsys: Captured) -> None:
    write("chart/Chart.yaml", "name: x\n")
    write("chart/templates/d.yaml", "a: {{ .Values.x }}\n")
    write("good.yaml", GOOD)
    assert main(["audit", "."]) == 0
    assert "helm template ./chart | leakwarden audit -" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: b: c\n", "x.yaml, document 1 (line 1): not valid YAML: mapping values are not allowed"),
        (f"{GOOD}---\n\nkind: [\n", "x.yaml, document 2 (line 29): not valid YAML"),
        ("kind: {{ .Values.kind }}\n", "render it with helm template"),
        (GOOD.replace("replicas: 3", "replicas: many"), "spec.replicas is text; a whole number is needed"),
        (GOOD.replace("8080", "[80]"), "spec.template.spec.containers[0].ports[0].containerPort is a list"),
        (GOOD.replace("value: 460MiB", "value: 460"), "env[0].value is a whole number; text (in quotes) is needed"),
        (GOOD.replace("512Mi", "512MB"), "the memory limit '512MB' is not a quantity"),
        (GOOD.replace("name: good", "title: good"), "metadata.name is missing"),
        (GOOD.replace("containers:", "pods:"), "spec.template.spec.containers is missing or empty"),
        (GOOD.replace("name: app\n        image", "image"), "spec.template.spec.containers[0].name is missing"),
        (GOOD.replace("replicas: 3", "strategy: {type: Rolling}"), "strategy.type is 'Rolling'"),
        (GOOD.replace("replicas: 3", "replicas: -3"), "spec.replicas is -3"),
        (GOOD.replace("replicas: 3", "replicas: 99999999999999999999999"), "spec.replicas"),
        ("kind: Deployment\napiVersion: apps/v1\nmetadata: text\n", "metadata is missing or not a mapping"),
        ("[" * 5000, "nested too deeply"),
        ("- " * 200_000, "nested too deeply"),
        ("kind: Deployment\napiVersion: apps/v1\nmetadata: &a {name: x, labels: *a}\n", "aliases"),
        ("{\"kind\": \"Deployment\", \"apiVersion\": \"apps/v1\",}\n\tx", "x.yaml, document 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line_with_file_and_document(
    write: Write, capsys: Captured, text: str, complaint: str
) -> None:
    assert main(["audit", write("x.yaml", text)]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert complaint in lines[0]
    assert lines[0].startswith("leakwarden audit: x.yaml, document ")


def test_aliases_that_explode_are_refused_without_being_expanded(write: Write, capsys: Captured) -> None:
    bomb = ["kind: Deployment", "apiVersion: apps/v1", "a0: &a0 [x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert main(["audit", write("x.yaml", "\n".join(bomb))]) == 3
    assert "aliases expand" in capsys.readouterr().err


def test_a_mistake_in_one_document_hides_no_other(write: Write, capsys: Captured) -> None:
    assert main(["audit", write("x.yaml", f"a: b: c\n---\n{BAD}"), write("y.yaml", GOOD), "absent.yaml"]) == 3
    out, err = capsys.readouterr()
    assert "shop/bad" in out
    assert "shop/good" in out
    assert "absent.yaml: No such file or directory" in err


@pytest.mark.parametrize("text", ["", "---\n# nothing\n", "kind: Secret\napiVersion: v1\nmetadata: {name: x}\n"])
def test_an_audit_of_nothing_says_so(write: Write, capsys: Captured, text: str) -> None:
    assert main(["audit", write("x.yaml", text)]) == 0
    assert "no workload in x.yaml: nothing was audited" in capsys.readouterr().err


def test_workloads_of_other_kinds_are_named_as_not_audited(write: Write, capsys: Captured) -> None:
    other = GOOD.replace("apps/v1", "serving.knative.dev/v1").replace("kind: Deployment", "kind: Service")
    assert main(["audit", write("x.yaml", f"{other}---\n{GOOD}")]) == 0
    assert "these kinds are not: 1 Service of serving.knative.dev/v1" in capsys.readouterr().err


def test_a_policy_sets_the_standard_for_what_it_selects_and_leaves_out_the_rest(write: Write, capsys: Captured) -> None:
    manifests = write("x.yaml", f"{GOOD}---\n{BAD}")
    assert main(["audit", manifests, "--policy", write("p.yaml", POLICY)]) == 1
    out, err = capsys.readouterr()
    assert "drain 60 s" in out
    assert "shop/bad" not in out
    assert "Deployment bad is not audited: the policy does not select it" in err


def test_paths_are_held_against_a_policy_and_not_against_a_default(write: Write, capsys: Captured) -> None:
    manifests = write("x.yaml", GOOD.replace("/readyz", "/ready"))
    assert main(["audit", manifests, "--fail-on", "warning"]) == 0
    policy = write("p.yaml", POLICY.replace("60s", "20s"))
    assert main(["audit", manifests, "--fail-on", "warning", "--policy", policy]) == 1
    assert "ProbePathUnexpected" in capsys.readouterr().out


def test_a_policy_of_another_namespace_selects_nothing(write: Write, capsys: Captured) -> None:
    policy = write("p.yaml", POLICY.replace("namespace: shop", "namespace: other"))
    assert main(["audit", write("x.yaml", GOOD), "--policy", policy]) == 0
    assert "no workload in x.yaml: nothing was audited" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "p.yaml: holds no ReliabilityPolicy"),
        (POLICY.replace("60s", "1 minute"), "p.yaml, document 1 (line 1): spec.audit.drainTime"),
        (POLICY.replace("{matchLabels: {app: good}}", "{}"), "spec.selector"),
        (POLICY.replace("v1alpha1", "v9"), "leakwarden.dev/v1alpha1 is needed"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused_before_anything_is_audited(
    write: Write, capsys: Captured, text: str, complaint: str
) -> None:
    assert main(["audit", write("x.yaml", GOOD), "--policy", write("p.yaml", text)]) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert out == ""


def test_there_is_no_colour_where_nobody_watches(write: Write, capsys: Captured) -> None:
    main(["audit", write("x.yaml", BAD)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_unless_it_says_no(
    write: Write, capsys: Captured, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(["audit", write("x.yaml", BAD)])
    assert ("\x1b[31merror" in capsys.readouterr().out) is coloured


def test_a_reader_that_has_seen_enough_is_no_error(write: Write, tmp_path: Path) -> None:
    big = write("x.yaml", "---\n".join(BAD.replace("name: bad", f"name: bad{n}") for n in range(400)))
    shell = f'"{sys.executable}" -m leakwarden audit {big} | head -n 1'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, cwd=tmp_path, env=_environment())
    assert done.stdout.startswith("shop/bad0")
    # On a slow machine progress is shown, and no other text.
    assert [line for line in done.stderr.splitlines() if not line.startswith("reading ")] == []


def test_help_names_the_exit_codes_and_wrong_usage_is_two(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as helped:
        main(["audit", "--help"])
    assert helped.value.code == 0
    assert "1  findings" in capsys.readouterr().out
    assert main(["audit"]) == 2
    with pytest.raises(SystemExit) as refused:
        main(["audit", "--fail-on", "sometimes"])
    assert refused.value.code == 2


def test_registering_the_command_imports_nothing_heavy() -> None:
    script = "import sys, leakwarden.cli.audit.command; print([m for m in ('yaml', 'pydantic', 'msgspec') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=_environment(), check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_audit_of_files_imports_neither_a_client_nor_what_computes(write: Write) -> None:
    heavy = ("numpy", "aiohttp", "asyncio", "kubernetes", "kopf", "pydantic", "ruamel")
    script = (
        "import sys; from leakwarden.__main__ import main; main(['audit', sys.argv[1]]);"
        f" print([m for m in {heavy!r} if m in sys.modules])"
    )
    name = write("x.yaml", BAD)
    done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, env=_environment())
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def _environment() -> dict[str, str]:
    source = Path(__file__).resolve().parents[4] / "operator"
    return {"PYTHONPATH": str(source), "PATH": "/usr/local/bin:/usr/bin:/bin"}
