"""The node's own certificate authority, its certificates, and kubeconfigs made from them.

openssl makes them: Python's standard library reads certificates but cannot sign any.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import network
from e2e.cluster.commands import Runner, demand

NODE_NAME = "leakwarden-e2e"
VALID_DAYS = 365
_CLIENT = "clientAuth"
_SERVER = "serverAuth"


@dataclass(frozen=True)
class Subject:
    """The subject of a certificate: Kubernetes reads O as groups and CN as the user."""

    name: str
    common_name: str
    organization: str = ""
    usage: str = _CLIENT
    alternative_names: tuple[str, ...] = ()
    authority: str = "ca"

    def distinguished_name(self) -> str:
        return (f"/O={self.organization}" if self.organization else "") + f"/CN={self.common_name}"


AUTHORITIES = {"ca": "leakwarden-e2e", "front-proxy-ca": "leakwarden-e2e-front-proxy"}

SUBJECTS = (
    Subject(
        "kube-apiserver",
        "kube-apiserver",
        usage=_SERVER,
        alternative_names=(
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "DNS:localhost",
            "IP:127.0.0.1",
            f"IP:{network.NODE_ADDRESS}",
            f"IP:{network.API_ADDRESS}",
        ),
    ),
    Subject(
        "kubelet-server",
        f"system:node:{NODE_NAME}",
        "system:nodes",
        usage=_SERVER,
        alternative_names=(f"DNS:{NODE_NAME}", f"IP:{network.NODE_ADDRESS}"),
    ),
    Subject("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Subject("front-proxy-client", "front-proxy-client", authority="front-proxy-ca"),
    Subject("kubelet", f"system:node:{NODE_NAME}", "system:nodes"),
    Subject("kube-controller-manager", "system:kube-controller-manager"),
    Subject("kube-scheduler", "system:kube-scheduler"),
    Subject("kube-proxy", "system:kube-proxy"),
    Subject("admin", "leakwarden-e2e-admin", "system:masters"),
)

_CONFIGURATION = """\
[req]
distinguished_name = nobody
prompt = no
[nobody]
CN = given on the command line
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
"""


def create(runner: Runner, directory: Path) -> None:
    """Make every key and certificate that is missing in ``directory``; raises ClusterError if openssl fails."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    configuration = directory / "openssl.cnf"
    configuration.write_text(_CONFIGURATION)
    for name, common_name in AUTHORITIES.items():
        if not (directory / f"{name}.crt").exists():
            _request(
                runner,
                directory,
                name,
                distinguished_name=f"/CN={common_name}",
                configuration=configuration,
                section="authority",
                authority=(),
            )
    for subject in SUBJECTS:
        if not (directory / f"{subject.name}.crt").exists():
            extensions = directory / f"{subject.name}.cnf"
            extensions.write_text(_CONFIGURATION + _leaf_section(subject))
            signer = directory / subject.authority
            authority = ("-CA", f"{signer}.crt", "-CAkey", f"{signer}.key")
            name = subject.distinguished_name()
            _request(
                runner,
                directory,
                subject.name,
                distinguished_name=name,
                configuration=extensions,
                section="leaf",
                authority=authority,
            )
            extensions.unlink()
    private, public = directory / "service-account.key", directory / "service-account.pub"
    if not public.exists():
        curve = "ec_paramgen_curve:P-256"
        demand(runner, ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", str(private)])
        demand(runner, ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)])


def _leaf_section(subject: Subject) -> str:
    lines = [
        "[leaf]",
        "basicConstraints = critical, CA:FALSE",
        "keyUsage = critical, digitalSignature",
        f"extendedKeyUsage = {subject.usage}",
    ]
    if subject.alternative_names:
        lines.append(f"subjectAltName = {', '.join(subject.alternative_names)}")
    return "\n".join(lines) + "\n"


def _request(
    runner: Runner,
    directory: Path,
    name: str,
    *,
    distinguished_name: str,
    configuration: Path,
    section: str,
    authority: tuple[str, ...],
) -> None:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    unfinished = certificate.with_suffix(".new")
    demand(
        runner,
        [
            *("openssl", "req", "-x509", "-new", "-nodes", "-config", str(configuration), "-extensions", section),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", str(VALID_DAYS)),
            *("-subj", distinguished_name, "-keyout", str(key), "-out", str(unfinished), *authority),
        ],
    )
    key.chmod(0o600)
    # The certificate shows that the pair is complete, so it appears last and complete.
    unfinished.rename(certificate)


def kubeconfig(directory: Path, user: str, server: str) -> str:
    """A kubeconfig with everything embedded, as JSON (which is YAML)."""

    def data(name: str) -> str:
        return base64.b64encode((directory / name).read_bytes()).decode()

    name = "leakwarden-e2e"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": data(f"{user}.crt"),
                        "client-key-data": data(f"{user}.key"),
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        },
        indent=1,
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically.

    A file with the same content stays untouched: kube-proxy ends when its configuration is written again.
    """
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.rename(path)
