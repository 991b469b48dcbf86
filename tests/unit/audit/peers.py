"""The documented cases of the other audit tools, rebuilt, and the audit's result for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from leakwarden.cli.audit.configuration import Configuration
from leakwarden.cli.audit.documents import parse
from leakwarden.cli.audit.gather import Gathering, audited
from leakwarden.cli.audit.manifests import Inventory
from leakwarden.cli.audit.schema import unknown_fields
from leakwarden.core.audit import Finding

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "audit" / "peers"
PEERS = ("kube-score", "kube-linter", "polaris")


@dataclass(frozen=True)
class PeerCase:
    """`says` are the checks of the audit that must report it, `silent` those that must not."""

    peer: str
    check: str
    case: str
    flags: bool  # the other tool reports it as a fault
    says: tuple[str, ...]
    silent: tuple[str, ...]
    why: str
    manifest: str

    @property
    def differs(self) -> bool:
        return self.flags != bool(self.says)

    def findings(self) -> list[Finding]:
        read = parse("case.yaml", self.manifest)
        inventory = Inventory(check_fields=unknown_fields)
        inventory.take(read.documents)
        assert not read.problems + inventory.problems
        result = audited(inventory.described(), Gathering(policies=(), config=Configuration()))
        return [finding for one in result.audited for finding in one.findings]


def peer(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def cases(name: str) -> list[PeerCase]:
    return [
        PeerCase(
            name,
            each["check"],
            each["case"],
            {"flags": True, "passes": False}[each["theirs"]],
            tuple(each.get("says", ())),
            tuple(each.get("silent", ())),
            each.get("why", ""),
            each["manifest"],
        )
        for each in peer(name)["cases"]
    ]
