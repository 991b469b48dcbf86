"""`leakwarden audit --cluster`: the API server's objects, by the same code as files, against a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from leakwarden.__main__ import main
from leakwarden.cli.audit.yaml_nodes import load
from tests.unit.cli.audit.audit_manifests import BAD, GOOD

Captured = pytest.CaptureFixture[str]
OWNED = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "bad", "uid": "u", "controller": True}]


def _object(text: str, **metadata: Any) -> dict[str, Any]:
    (loaded,) = load(text)
    body: dict[str, Any] = loaded.value
    # As the API server lists them: the items have no kind.
    del body["apiVersion"], body["kind"]
    body["metadata"] |= {"uid": "u", "resourceVersion": "1", "managedFields": [], **metadata}
    return body


class _Api(ThreadingHTTPServer):
    """Answers lists, two items per page, and discovery; `denied` with 403, and all else with 404."""

    held: dict[str, list[dict[str, Any]]]
    served: dict[str, str]  # the one kind of an API group's version
    denied: set[str]
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Api

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.asked.append(self.path)
        plural = url.path.rpartition("/")[2]
        if plural in self.server.denied:
            return self._answer(403, {"kind": "Status", "code": 403})
        if url.path.removeprefix("/apis/") in self.server.denied:
            return self._answer(403, {"kind": "Status", "code": 403})
        if kind := self.server.served.get(url.path.removeprefix("/apis/")):
            return self._answer(200, {"kind": "APIResourceList", "resources": [{"kind": kind}]})
        items = self.server.held.get(plural)
        if items is None:
            return self._answer(404, {"kind": "Status", "code": 404})
        start = int(parse_qs(url.query).get("continue", ["0"])[0])
        rest = start + 2 < len(items)
        version = "/".join(part for part in url.path.split("/")[2:4] if part not in ("namespaces", plural))
        page = {
            "apiVersion": version if url.path.startswith("/apis") else "v1",
            "metadata": {"continue": str(start + 2)} if rest else {},
            "items": items[start : start + 2],
        }
        return self._answer(200, page)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Api]:
    server = _Api(("127.0.0.1", 0), _Handler)
    budget = {
        "metadata": {"name": "bad", "namespace": "shop"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "bad"}}},
    }
    server.held = {
        "deployments": [
            _object(BAD),
            _object(GOOD, annotations={"leakwarden.dev/skip": "a test"}),
            _object(GOOD.replace("good", "third")),
        ],
        "replicasets": [{"metadata": {"name": "bad-1", "namespace": "shop", "ownerReferences": OWNED}, "spec": {}}],
        "poddisruptionbudgets": [budget],
        "services": [],
        "pods": [],
    }
    server.denied, server.asked, server.served = set(), [], {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
        "users": [{"name": "c", "user": {}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(tmp_path)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_cluster_is_audited_with_all_pages_and_what_stands_beside(api: _Api, capsys: Captured) -> None:
    assert main(["audit", "--cluster", "-A", "-o", "json"]) == 1
    out, err = capsys.readouterr()
    found = {each["name"]: [f["id"] for f in each["findings"]] for each in json.loads(out)["objects"]}
    assert set(found) == {"bad", "third"}  # nothing of the ReplicaSet that the Deployment makes
    assert {"LW201", "LW402"} <= set(found["bad"])
    assert "LW401" in found["third"]  # all budgets are known, and none is its own
    assert "Deployment good is not audited: leakwarden.dev/skip: a test" in err


def test_one_namespace_is_asked_for_by_its_name(api: _Api) -> None:
    main(["audit", "--cluster", "-n", "shop"])
    assert any(path.startswith("/apis/apps/v1/namespaces/shop/deployments?") for path in api.asked)


def test_what_may_not_be_read_is_said_and_ends_with_three(api: _Api, capsys: Captured) -> None:
    api.denied = {"poddisruptionbudgets"}
    assert main(["audit", "--cluster"]) == 3
    out, err = capsys.readouterr()
    assert "PodDisruptionBudgets may not be read" in err
    assert "LW401" not in out  # there may be one


OPEN, POLICY = "openreports.io/v1alpha1", "wgpolicyk8s.io/v1alpha2"


@pytest.mark.parametrize(
    ("served", "version", "kind"),
    [
        ({OPEN: "Report"}, OPEN, "Report"),
        ({POLICY: "PolicyReport"}, POLICY, "PolicyReport"),
        ({OPEN: "Report", POLICY: "PolicyReport"}, OPEN, "Report"),
        # The group exists without this kind: for example with the kind of a cluster's reports alone.
        ({OPEN: "ClusterReport", POLICY: "PolicyReport"}, POLICY, "PolicyReport"),
    ],
)
def test_reports_are_of_the_api_that_the_cluster_serves(
    api: _Api, capsys: Captured, served: dict[str, str], version: str, kind: str
) -> None:
    api.served = served
    assert main(["audit", "--cluster", "-o", "policyreport"]) == 1
    made = [each.value for each in load(capsys.readouterr().out)]
    assert {(each["apiVersion"], each["kind"]) for each in made} == {(version, kind)}


def test_a_cluster_without_a_report_api_is_said_before_anything_is_audited(api: _Api, capsys: Captured) -> None:
    assert main(["audit", "--cluster", "-o", "policyreport"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"serves neither Report of {OPEN} nor PolicyReport of {POLICY}" in err
    assert not any("deployments" in path for path in api.asked)


def test_where_discovery_may_not_be_read_no_api_is_guessed(api: _Api, capsys: Captured) -> None:
    api.served, api.denied = {POLICY: "PolicyReport"}, {OPEN}
    assert main(["audit", "--cluster", "-o", "policyreport"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"whether the cluster serves {OPEN} is not known (the API server answered 403)" in err


def test_a_format_that_is_named_is_not_asked_for(api: _Api, capsys: Captured) -> None:
    assert main(["audit", "--cluster", "-o", "openreport"]) == 1
    assert OPEN in capsys.readouterr().out
    assert not any("reports.io" in path for path in api.asked)


def test_a_cluster_that_does_not_answer_is_one_line(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert main(["audit", "--cluster"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["--cluster", "x.yaml"], ["--cluster", "-n", "a", "-A"], ["x.yaml", "-n", "a"], ["--cluster", "--fix"]]
)
def test_words_that_exclude_each_other_are_refused(words: list[str], capsys: Captured) -> None:
    assert main(["audit", *words]) == 2
    assert capsys.readouterr().err.startswith("leakwarden audit: ")
