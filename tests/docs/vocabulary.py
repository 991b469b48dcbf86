"""The words that status, Events and reports use, each with its meaning: reasons, checks, shapes of leaks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from leakwarden.api.v1alpha1.conditions import REASON_MEANINGS
from leakwarden.api.v1alpha1.evidence_reasons import DESCRIPTOR_MEANINGS, MEANINGS
from leakwarden.core.audit.pages import every_check, reference
from leakwarden.core.detection.reasons import VerdictReason
from leakwarden.core.guards import GUARDS, SKIP_MEANINGS
from leakwarden.core.profile.catalogue import CATALOGUE as SHAPES
from leakwarden.core.signals.criteria import JudgementReason
from tests.docs.tables import cell, code, table


def _meanings(meanings: Mapping[str, str], second: str) -> str:
    return table(("reason", second), ((code(reason), cell(text)) for reason, text in meanings.items()))


def condition_reasons() -> str:
    return _meanings({str(key): text for key, text in REASON_MEANINGS.items()}, "what it means")


def skip_reasons() -> str:
    """Each with its object, and whether it passes by itself; the next action is considered where it does not."""
    guards = {guard.reason: guard for guard in GUARDS}
    rows = []
    for reason, meaning in SKIP_MEANINGS.items():
        guard = guards.get(reason)
        about = guard.about.name.lower() if guard is not None else "pod"
        waits = guard is None or guard.waiting_helps
        rows.append((code(reason), about, "yes" if waits else "no", cell(meaning)))
    return table(("reason", "about", "waiting helps", "what it means"), rows)


def evidence_reasons() -> str:
    return _meanings({str(key): text for key, text in MEANINGS.items()}, "why there is no evidence, or not all of it")


def descriptor_reasons() -> str:
    return _meanings({str(key): text for key, text in DESCRIPTOR_MEANINGS.items()}, "why descriptors were not read")


def verdict_reasons() -> str:
    """The table in the docstring of the detector's reasons."""
    return _documented(VerdictReason)


def judgement_reasons() -> str:
    """The table in the docstring of all other reasons of a judgement."""
    return _documented(JudgementReason)


def _documented(reasons: type) -> str:
    rows = re.findall(r"^ *\| (\w+) \| (\w+) \| (.+) \|$", reasons.__doc__ or "", re.MULTILINE)
    shown = [(verdict, code(reason), text) for verdict, reason, text in rows if verdict != "verdict"]
    return table(("verdict", "reason", "what it means"), shown)


def audit_checks() -> str:
    rows = (
        (f"[{check.id}](checks.md#{check.id.lower()}-{check.name.lower()})", code(check.name), cell(check.summary))
        for check in every_check()
    )
    return table(("id", "check", "what it finds"), rows)


def check_pages() -> str:
    """The page of every check, from its docstring."""
    return reference() + "\n"


def leak_shapes() -> str:
    return table(
        ("shape", "what it is", "why it leaks", "the usual repair", "its documentation"),
        (
            (
                code(shape.name),
                cell(shape.title),
                cell(shape.why),
                cell(shape.fix),
                f"[docs]({shape.docs})" if shape.docs else "-",
            )
            for shape in SHAPES
        ),
    )
