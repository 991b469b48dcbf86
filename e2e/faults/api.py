"""The administrator's own access to the API server, past every proxy: cheap enough to poll several times a second."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from typing import Any

from e2e.faults.background import Background
from e2e.harness.kube import KubectlError, Object, kubectl
from leakwarden.adapters.cluster import Session
from leakwarden.adapters.cluster.session import Reply
from leakwarden.engine.ports import ClusterUnavailable

POLICIES = "apis/leakwarden.dev/v1alpha1"


class Refused(KubectlError):
    """The API server refused the request, or was away; a wait tries again."""


class Api:
    """As the kubeconfig's user. Methods may be called from any thread but the background's own."""

    def __init__(self, background: Background) -> None:
        self._background = background
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        cluster = config["clusters"][0]["cluster"]
        self.server: str = cluster["server"]
        # The authority alone: a proxy with the administrator's certificate would make everyone administrator.
        self.authority = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        self.session = background.run(self._open(config))

    async def _open(self, config: Mapping[str, Any]) -> Session:
        import os
        import tempfile

        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig", delete=False) as file:
            json.dump(config, file)
        try:
            return await Session.open(file.name)
        finally:
            os.unlink(file.name)

    def close(self) -> None:
        self._background.run(self.session.close())

    def get(self, path: str, **query: str) -> Object | None:
        """One object, or a list; None where there is none. Raises Refused."""
        reply = self._ask("GET", path, query=query)
        if reply.status == 404:
            return None
        return self._loaded(reply.status, reply.body, f"GET {path}")

    def items(self, path: str, **query: str) -> list[Object]:
        found = self.get(path, **query)
        items: list[Object] = (found or {}).get("items") or []
        return items

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Object:
        """A change. Raises Refused."""
        text = None if body is None else json.dumps(body).encode()
        reply = self._ask(method, path, body=text, content_type=content_type)
        return self._loaded(reply.status, reply.body, f"{method} {path}")

    def merge(self, path: str, change: Mapping[str, Any]) -> Object:
        return self.send("PATCH", path, change, "application/merge-patch+json")

    def _ask(self, method: str, path: str, **given: Any) -> Reply:
        try:
            return self._background.run(self.session.ask(method, f"/{path}", **given))
        except ClusterUnavailable as error:
            raise Refused(f"{method} {path}: {error}") from None

    def _loaded(self, status: int, body: bytes, what: str) -> Object:
        if not 200 <= status < 300:
            raise Refused(f"{what}: {status} {body[:300]!r}")
        loaded: Object = json.loads(body)
        return loaded
