"""The page as one self-contained file: its content security policy allows its own style and script, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from leakwarden import __version__
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.page import sections
from leakwarden.core.page.flame import Flame
from leakwarden.core.page.markup import Markup, join, raw, tag
from leakwarden.core.page.script import SCRIPT
from leakwarden.core.page.story import tell
from leakwarden.core.page.style import STYLE


@dataclass(frozen=True, slots=True)
class Drawn:
    """The additions from raw profiles: flame graphs from before the action and from after it, and remarks on them."""

    before: tuple[Flame, ...] = ()
    after: tuple[Flame, ...] = ()
    notes: tuple[str, ...] = ()


def page(report: LeakReport, drawn: Drawn | None = None, notes: Sequence[str] = ()) -> str:
    """The whole page; the same values give the same text. `notes` are about the report as a whole."""
    drawn = drawn or Drawn()
    story = tell(report)
    status = report.status
    parts = [
        sections.series(report, story),
        sections.evidence(status.evidence, drawn.before, drawn.notes),
        sections.before_after(report, drawn.after),
        sections.why_errors(report),
        sections.guards(report),
        sections.timeline(story),
    ]
    body = tag(
        "main",
        [tag("p", note, role="note") for note in notes],
        sections.head(report, story),
        [part.drawn() for part in parts if part is not None],
        _foot(report),
    )
    title = f"{report.spec.pod.name}: {story.outcome} - Leakwarden"
    return f"<!doctype html>\n{tag('html', _head(title), tag('body', body, raw('script', SCRIPT)), lang='en')}\n"


def _head(title: str) -> Markup:
    policy = f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        # Written by hand: the quotes of a policy must not be escaped as text, and it contains nothing of a report.
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("meta", name_="robots", content="noindex"),
        tag("title", title),
        raw("style", STYLE),
    )


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _foot(report: LeakReport) -> Markup:
    spec = report.spec
    names = [
        f"LeakReport {report.namespace}/{report.name}" if report.namespace else f"LeakReport {report.name}",
        f"pod {spec.pod.name}, UID {spec.pod.uid}",
        f"{spec.workload.kind} {spec.workload.name}, UID {spec.workload.uid}",
        f"policy {spec.policy.title}",
        f"signal {spec.signal} ({spec.signal_type})",
    ]
    if not report.from_cluster:
        names = [f"process {spec.workload.name}", f"scraped at {spec.pod.name}", names[-1]]
    return tag("footer", tag("p", join("; ".join(names), ".")), tag("p", f"Drawn by leakwarden {__version__}."))
