"""`leakwarden report` as a person runs it: from a cluster or a file, to a page and the terminal."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from leakwarden.__main__ import main
from tests.integration.cluster.fake_api_objects import kubeconfig
from tests.integration.cluster.fake_api_server import FakeApiServer, Fault
from tests.profiles.building import archived
from tests.unit.page.report_examples import FIXTURE, full
from tests.unit.profile.profile_builders import encode, goroutines

NAME = "checkout-6f9c7b5d48-x2lqp-descriptors-9k2f"
ONE = f"/apis/leakwarden.dev/v1alpha1/namespaces/shop/leakreports/{NAME}"


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer(token="secret") as server:
        yield server


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(api: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command in a thread of its own, as it has an event loop of its own: exit code, output, errors."""
    monkeypatch.setattr("leakwarden.cli.report.command.PATIENCE", 60.0)
    path = kubeconfig(tmp_path, api.url, "secret")

    async def ask(*arguments: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["report", "--kubeconfig", str(path), *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return ask


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["report", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


async def test_a_report_of_the_cluster_becomes_a_page_and_a_screen(
    api: FakeApiServer, run: Any, tmp_path: Path
) -> None:
    api.put("leakreports", full())
    code, out, err = await run(NAME, "-n", "shop")
    assert (code, err) == (0, f"leakwarden report: wrote {NAME}.html\n")
    assert out.startswith("✓ It helped\n")
    assert (tmp_path / f"{NAME}.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [(request.method, request.path) for request in api.requests] == [("GET", ONE)]


async def test_without_a_namespace_it_is_looked_for_in_all(api: FakeApiServer, run: Any) -> None:
    api.put("leakreports", full())
    code, _, _ = await run(NAME, "--terminal")
    assert code == 0
    other = full()
    other["metadata"] |= {"namespace": "team", "uid": "other"}
    api.put("leakreports", other)
    code, _, err = await run(NAME, "--terminal")
    assert code == 2
    assert f"there is a LeakReport {NAME} in each of shop, team: say which with -n" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("other", "-n", "shop"), "there is no LeakReport other in namespace shop"),
        (("other",), "there is no LeakReport other in any namespace"),
        (("..",), "NAME '..' is not a name that Kubernetes allows"),
        (("x", "-n", "a/b"), "--namespace 'a/b' is not a name that Kubernetes allows"),
        ((), "give the NAME of a LeakReport, or a file with -f"),
        ((NAME, "--context", "elsewhere"), "cannot use the kubeconfig"),
        (("-f", "nothing.yaml"), "nothing.yaml: No such file"),
        ((NAME, "--profiles", "nowhere"), "--profiles nowhere: is not a directory"),
    ],
)
async def test_what_a_user_can_get_wrong_is_one_line(run: Any, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = await run(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=401), "does not accept the credentials"),
        (Fault(status=403), "not allowed to get leakreports in namespace shop"),
        (Fault(status=500), "answered HTTP 500"),
        (Fault(status=200, body="<html>"), "is it an API server?"),
        (Fault(status=200, body="[]"), "is it an API server?"),
        (Fault(cut=True), "closed the connection"),
    ],
)
async def test_whatever_the_api_server_does_ends_in_one_line(
    api: FakeApiServer, run: Any, fault: Fault, says: str
) -> None:
    api.put("leakreports", full())
    api.fail("GET", "/leakreports", fault, times=5)
    code, out, err = await run(NAME, "-n", "shop")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_file_needs_no_cluster_and_no_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = ask(capsys, "-f", str(FIXTURE), "-o", "page.html")
    assert (code, err) == (0, "leakwarden report: wrote page.html\n")
    assert "\x1b[" not in out, "what is not a terminal gets plain text"
    assert "main.fetchUser" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_page_can_go_to_standard_output(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = ask(capsys, "-f", str(FIXTURE), "-o", "-")
    assert (code, err) == (0, "")
    assert out.startswith("<!doctype html>")
    assert out.endswith("</html>\n")
    assert list(tmp_path.iterdir()) == []


def test_only_the_terminal_writes_no_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert ask(capsys, "-f", str(FIXTURE), "--terminal")[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_one_of_a_list_is_chosen_by_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    other = full()
    other["metadata"]["name"] = "other"
    listed = {"apiVersion": "v1", "kind": "List", "items": [full(), other]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    code, _, err = ask(capsys, "-f", "list.json", "--terminal")
    assert code == 2
    assert f"holds 2 such LeakReports: shop/{NAME}, shop/other" in err
    code, out, _ = ask(capsys, "other", "-f", "list.json", "--terminal")
    assert code == 0
    assert "LeakReport shop/other" in out
    assert ask(capsys, "-f", "list.json", "-n", "elsewhere")[0] == 2


def test_a_name_from_a_file_never_becomes_a_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    body = full()
    body["metadata"]["name"] = "../../escaped"
    (tmp_path / "evil.yaml").write_text(yaml.safe_dump(body))
    code, out, err = ask(capsys, "-f", "evil.yaml")
    assert (code, out) == (2, "")
    assert "is no name for a file; give one with -o" in err
    assert [path.name for path in tmp_path.iterdir()] == ["evil.yaml"]


def test_profiles_become_flame_graphs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "profiles" / "deeper"
    folder.mkdir(parents=True)
    for name, body in archived("go1.27.4").items():
        if name.startswith("body_direct/"):
            (folder / f"{name.partition('/')[2]}.gz").write_bytes(gzip.compress(body))
    code, out, err = ask(capsys, "-f", str(FIXTURE), "--profiles", "profiles", "-o", "-")
    assert (code, err) == (0, "")
    assert out.index("Heap before the action") < out.index("Goroutines before the action"), "the suspect's comes first"
    assert "8,526 became 12,567 within 4s" in out
    assert "suspected line: main.fetchUser" in out


def test_profiles_from_after_the_action_are_compared_with_those_before(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    acted = 1_795_496_691.0
    for n, (count, at) in enumerate(((100, -50.0), (600, -45.0), (12, 300.0))):
        profile = replace(goroutines((count, ["runtime.chansend1@1", "main.first@22"])), taken=acted + at)
        (folder / f"{n}.pb").write_bytes(encode(profile))
    code, out, _ = ask(capsys, "-f", str(FIXTURE), "--profiles", "profiles", "-o", "-")
    assert code == 0
    assert "101 became 601 within 5s" in out
    assert out.index("Before and after") < out.index("Goroutines after the action")
    assert "601 became 13 within 5m45s" in out


def test_profiles_that_cannot_be_read_are_left_out_and_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "text.pb").write_bytes(b"goroutine profile: total 7\n")
    (folder / "cpu.pb").write_bytes(encode(replace(goroutines((1, ["main.a"])), types=(("cpu", "nanoseconds"),))))
    (folder / "bomb.pb.gz").write_bytes(gzip.compress(b"\0" * (17 << 20)))
    code, out, err = ask(capsys, "-f", str(FIXTURE), "--profiles", "profiles", "-o", "-")
    assert code == 3
    assert out.endswith("</html>\n")
    assert len(err.splitlines()) == 3
    assert "bomb.pb.gz: it inflates to more than" in err
    assert "cpu.pb: it is neither a goroutine nor a heap" in err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("kind: Deployment\napiVersion: apps/v1\n", "holds no LeakReport"),
        (
            "kind: LeakReport\napiVersion: leakwarden.dev/v1alpha1\nmetadata: {name: x}\n",
            "does not say whose leak it is",
        ),
        ("a: [", "broken.yaml"),
    ],
)
def test_a_file_without_a_report_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "broken.yaml").write_text(content)
    code, out, err = ask(capsys, "-f", "broken.yaml")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_place_where_nothing_can_be_written_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for target, says in ((".", "is a directory"), ("no/such/page.html", "its directory does not exist")):
        code, out, err = ask(capsys, "-f", str(FIXTURE), "-o", target)
        assert (code, out) == (2, "")
        assert says in err
