"""The audit beside other tools, from the rebuilt cases of their own fixtures."""

from __future__ import annotations

from collections.abc import Callable

from tests.docs.tables import cell, code, table
from tests.unit.audit.peers import PEERS, PeerCase, cases, peer


def cases_of(name: str) -> Callable[[], str]:
    """The generator of one tool's table."""

    def made() -> str:
        rows = [(code(each.check), cell(each.case), _theirs(each), _ours(each), cell(each.why)) for each in cases(name)]
        return table(("check", "case", name, "audit", "where they differ, why"), rows)

    return made


def left_out() -> str:
    return table(
        (
            "tool",
            "where its checks and cases are from",
            "checks of security, access, images and style, which the audit leaves out",
        ),
        [
            (name, cell(peer(name)["source"]), ", ".join(map(code, peer(name)["of_security_and_style"])))
            for name in PEERS
        ],
    )


def counts() -> str:
    rows = []
    for name in PEERS:
        of_it = cases(name)
        rows.append(
            (
                name,
                str(len(of_it)),
                str(sum(each.flags and bool(each.says) for each in of_it)),
                str(sum(not each.flags and not each.says for each in of_it)),
                str(sum(each.flags and not each.says for each in of_it)),
                str(sum(not each.flags and bool(each.says) for each in of_it)),
            )
        )
    heads = ("tool", "cases", "both say it", "neither does", "only the tool", "only the audit")
    return table(heads, rows)


def _theirs(case: PeerCase) -> str:
    return "flags" if case.flags else "passes"


def _ours(case: PeerCase) -> str:
    if not case.says:
        return "silent"
    worst = {finding.id: finding.severity for finding in case.findings() if finding.id in case.says}
    return ", ".join(f"{check} ({worst[check]})" for check in case.says)
