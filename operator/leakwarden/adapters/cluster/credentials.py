"""The address of the API server and our identity there, as the `kubernetes` package reads them.

Only this module uses the `kubernetes` package, and for the part that it does best: it reads a kubeconfig with its
contexts, certificates, tokens and credential plugins, or the service account of a pod.

Why no more of it is used:

- Its models decode 10,000 Deployments and 20,000 pods in 6.5 s of CPU and 641 MiB; the structs of wire.py, which name
  only the fields we need, take 0.5 s and 88 MiB (both measured). Importing the models alone costs 700 ms of CPU, so
  `kubernetes.config` is imported when it is needed.
- Its client blocks, and has no bound on the size of an answer. session.py sends the requests, with a deadline, a bound
  and the preconditions (UID, resourceVersion) by which an action is done once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from leakwarden.engine.ports import ClusterUnavailable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_KUBECONFIG = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Connection:
    """One way to the API server. The paths are of PEM files; `authorization` is a whole header value, or empty."""

    server: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None
    authorization: str = ""

    def __repr__(self) -> str:
        # The default would print the token wherever a log or a failing test shows the object.
        return f"Connection({self.server})"


class ConnectionSource(Protocol):
    """Reads a Connection. Blocking, since files and credential plugins are: call it in a thread."""

    def load(self) -> Connection:
        """Read everything again. Raises ClusterUnavailable with one line for people."""
        ...

    def renewed(self) -> str:
        """The Authorization header's value, re-read if it is due; cheap enough for every minute."""
        ...


class InCluster:
    """The pod's service account. Its token is rotated on disk by the kubelet, about every hour."""

    def __init__(self, directory: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._environ = os.environ if environ is None else environ

    def load(self) -> Connection:
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException
        from kubernetes.config.incluster_config import InClusterConfigLoader

        configuration = Configuration()
        loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
            token_filename=str(self._directory / "token"),
            cert_filename=str(self._directory / "ca.crt"),
            try_refresh_token=False,
            environ=self._environ,
        )
        try:
            loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise ClusterUnavailable(
                f"cannot use the pod's service account in {self._directory}: {_brief(error)}"
            ) from None
        return _connection(configuration)

    def renewed(self) -> str:
        return self.load().authorization


class Kubeconfig:
    """A kubeconfig file (or several, joined by the path separator, as KUBECONFIG allows)."""

    def __init__(self, path: str, context: str | None = None) -> None:
        self._path = path
        self._context = context
        self._configuration: Any = None

    def load(self) -> Connection:
        import yaml
        from kubernetes.client import Configuration
        from kubernetes.config import ConfigException, load_kube_config

        configuration = Configuration()
        try:
            # persist_config=False: reading must not rewrite a person's file when an OIDC token was refreshed.
            load_kube_config(  # type: ignore[no-untyped-call]
                config_file=self._path,
                context=self._context,
                client_configuration=configuration,
                persist_config=False,
            )
        except (
            ConfigException,
            OSError,
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
            RecursionError,
            yaml.YAMLError,
        ) as error:
            raise ClusterUnavailable(f"cannot use the kubeconfig {self._path}: {_brief(error)}") from None
        self._configuration = configuration
        return _connection(configuration)

    def renewed(self) -> str:
        # The package's own hook: it runs an exec plugin again once its credential has expired.
        return _authorization(self._configuration) if self._configuration else self.load().authorization


def discover(kubeconfig: str | None = None, context: str | None = None) -> ConnectionSource:
    """The usual order: the given file, KUBECONFIG, the pod's service account, ~/.kube/config.

    Raises ClusterUnavailable when there is none of them.
    """
    if kubeconfig or os.environ.get("KUBECONFIG"):
        return Kubeconfig(kubeconfig or os.environ["KUBECONFIG"], context)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and context is None:
        return InCluster()
    if os.path.exists(os.path.expanduser(DEFAULT_KUBECONFIG)):
        return Kubeconfig(DEFAULT_KUBECONFIG, context)
    raise ClusterUnavailable(
        "no cluster is configured: set KUBECONFIG or pass --kubeconfig, or run in a pod"
        f" ({DEFAULT_KUBECONFIG} is absent)"
    )


def _connection(configuration: Any) -> Connection:
    return Connection(
        server=str(configuration.host).rstrip("/"),
        ca_file=configuration.ssl_ca_cert or None,
        cert_file=configuration.cert_file or None,
        key_file=configuration.key_file or None,
        verify=bool(configuration.verify_ssl),
        server_name=getattr(configuration, "tls_server_name", None) or None,
        proxy=configuration.proxy or None,
        authorization=_authorization(configuration),
    )


def _authorization(configuration: Any) -> str:
    value = configuration.get_api_key_with_prefix("BearerToken", alias="authorization") or ""
    # A token file often ends in a newline, which a header must not contain.
    return str(value).strip()


def _brief(error: Exception) -> str:
    """The first line of a configuration error: its text is about the person's own file, but a YAML error is a page."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
