"""The kustomize-controller of Flux as a process on loopback, and the files that it applies.

It takes the files from an ExternalArtifact: a source whose archive anybody may serve, here this process. So Flux's
source-controller is not needed.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import binaries
from e2e.cluster.commands import Programs
from e2e.cluster.toolchain import find_go
from e2e.faults.served import Served, free_port
from e2e.harness.kube import apply, delete, existing, kubectl, provider
from e2e.harness.waiting import NotYet, wait_until

_SOURCES = {
    "Bucket": "buckets",
    "ExternalArtifact": "externalartifacts",
    "GitRepository": "gitrepositories",
    "OCIRepository": "ocirepositories",
}
_GROUP = "source.toolkit.fluxcd.io"
REQUESTED = "reconcile.fluxcd.io/requestedAt"


class KustomizeController(Served):
    """For the Kustomizations of one namespace; it acts with the rights of the user who runs the tests."""

    ready_path = "/readyz"

    def __init__(self, namespace: str, directory: Path) -> None:
        binaries.build(("flux",))
        super().__init__("the kustomize-controller", directory)
        self._namespace = namespace
        self.start()

    def command(self) -> Sequence[str]:
        kubeconfig = provider().environment().kubeconfig
        return [
            "/usr/bin/env",
            f"RUNTIME_NAMESPACE={self._namespace}",
            *([f"KUBECONFIG={kubeconfig}"] if kubeconfig else []),
            str(binaries.program("kustomize-controller")),
            f"--health-addr={self.address}",
            f"--metrics-addr=127.0.0.1:{free_port()}",
            "--watch-all-namespaces=false",
            "--feature-gates=ExternalArtifact=true",
            "--no-remote-bases",
        ]

    def applied(self) -> list[Mapping[str, str]]:
        """What each apply so far did with each object: created, configured or unchanged."""
        lines = (self._directory / "log").read_text().splitlines()
        said = [json.loads(line) for line in lines if "server-side apply completed" in line]
        return [each["output"] for each in said]


def definitions() -> list[dict[str, Any]]:
    """The CRD of Kustomizations from the controller's module, and those of the sources without a schema."""
    go = find_go(Programs())
    command = [go, "list", "-m", "-mod=mod", "-f", "{{.Dir}}", "github.com/fluxcd/kustomize-controller"]
    module = binaries.group("flux").module
    where = subprocess.run(command, cwd=module, capture_output=True, text=True, check=True, timeout=300).stdout.strip()
    (file,) = Path(where).glob("config/crd/bases/*_kustomizations.yaml")
    return [yaml.safe_load(file.read_text()), *(_source(kind, plural) for kind, plural in _SOURCES.items())]


@contextmanager
def installed() -> Iterator[None]:
    """The definitions, as long as they are needed."""
    made = definitions()
    apply(made)
    try:
        for each in made:
            kubectl("wait", "--for=condition=Established", f"crd/{each['metadata']['name']}")
        yield
    finally:
        for each in made:
            delete("crd", each["metadata"]["name"])


@contextmanager
def served(directory: Path) -> Iterator[dict[str, Any]]:
    """The artifact of a directory's files, as the status of a source has it, while they are served."""
    archive = _archive(directory)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(archive)))
            self.end_headers()
            self.wfile.write(archive)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    digest = f"sha256:{hashlib.sha256(archive).hexdigest()}"
    try:
        yield {
            "url": f"http://127.0.0.1:{server.server_port}/platform.tar.gz",
            "path": "platform.tar.gz",
            "revision": f"main@{digest}",
            "digest": digest,
            "size": len(archive),
            "lastUpdateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def publish(name: str, namespace: str, artifact: dict[str, Any]) -> None:
    """The source with its artifact."""
    meta = {"name": name, "namespace": namespace}
    source = {"apiVersion": f"{_GROUP}/v1", "kind": "ExternalArtifact", "metadata": meta, "spec": {}}
    apply(source)
    status = json.dumps({"status": {"artifact": artifact}})
    kubectl("patch", "externalartifact", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", status)


def ready(name: str, namespace: str) -> dict[str, Any]:
    """Waits until the Kustomization is ready: everything is applied, and healthy by its own expressions."""
    return wait_until(f"the Kustomization {name} to be ready", lambda: _ready(name, namespace, ""), 120)


def reconcile(name: str, namespace: str, request: str) -> dict[str, Any]:
    """Asks for one more reconciliation, and waits for its end."""
    kubectl("annotate", "kustomization", name, "-n", namespace, "--overwrite", f"{REQUESTED}={request}")
    return wait_until(f"the reconciliation {request}", lambda: _ready(name, namespace, request), 120)


def _ready(name: str, namespace: str, request: str) -> dict[str, Any] | NotYet:
    status = existing("kustomization", name, namespace).get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    if conditions.get("Ready", {}).get("status") != "True" or "Reconciling" in conditions:
        return NotYet(json.dumps(status.get("conditions"))[:1500])
    if request and status.get("lastHandledReconcileAt") != request:
        return NotYet(f"handled {status.get('lastHandledReconcileAt')}")
    return dict(status)


def _source(kind: str, plural: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": anything},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _archive(directory: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                archive.add(path.resolve(), arcname=str(path.relative_to(directory)))
    return made.getvalue()
