"""The words that status, Events and reports use, each with its meaning: reasons, checks, shapes of leaks."""

from __future__ import annotations

import re
from collections.abc import Mapping

from leakwarden.api.v1alpha1.conditions import REASON_MEANINGS
from leakwarden.api.v1alpha1.evidence_reasons import DESCRIPTOR_MEANINGS, MEANINGS
from leakwarden.core.audit.checks import CHECKS
from leakwarden.core.detection.verdict import VerdictReason
from leakwarden.core.guards import SKIP_MEANINGS
from leakwarden.core.profile.catalogue import CATALOGUE as SHAPES
from tests.docs.tables import cell, code, table


def _meanings(meanings: Mapping[str, str], second: str) -> str:
    return table(("reason", second), ((code(reason), cell(text)) for reason, text in meanings.items()))


def condition_reasons() -> str:
    return _meanings({str(key): text for key, text in REASON_MEANINGS.items()}, "what it means")


def skip_reasons() -> str:
    return _meanings({str(key): text for key, text in SKIP_MEANINGS.items()}, "what it means")


def evidence_reasons() -> str:
    return _meanings({str(key): text for key, text in MEANINGS.items()}, "why there is no evidence, or not all of it")


def descriptor_reasons() -> str:
    return _meanings({str(key): text for key, text in DESCRIPTOR_MEANINGS.items()}, "why descriptors were not read")


def verdict_reasons() -> str:
    """The table that stands in the docstring of the detector's reasons."""
    rows = re.findall(r"^ *\| (\w+) \| (\w+) \| (.+) \|$", VerdictReason.__doc__ or "", re.MULTILINE)
    shown = [(verdict, code(reason), text) for verdict, reason, text in rows if verdict != "verdict"]
    return table(("verdict", "reason", "what it means"), shown)


def audit_checks() -> str:
    return table(("check", "what it finds"), ((code(check.name), cell(check.summary)) for check in CHECKS))


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
