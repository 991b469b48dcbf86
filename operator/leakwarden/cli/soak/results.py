"""A soak's result as CI servers read it: JUnit, and GitHub's workflow commands."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from leakwarden.api.v1alpha1.evidence_status import SuspectStatus
from leakwarden.cli.audit.report import printable
from leakwarden.core.watch.gate import Pressed, reach
from leakwarden.core.watch.outcome import Outcome


def junit(outcome: Outcome, pressed: Pressed, suspects: Sequence[SuspectStatus], process: str) -> str:
    """One case per signal, and one for the load. A leak is a failure; a signal that could not be judged is skipped,
    with the reason."""
    root = ElementTree.Element("testsuites", name="leakwarden soak")
    suite = ElementTree.SubElement(root, "testsuite", name=printable(process))
    line = _line(suspects)
    for one in outcome.judged:
        case = ElementTree.SubElement(
            suite, "testcase", name=printable(one.track.key.name), classname=printable(process)
        )
        said = printable(f"{one.judgement.verdict}: {one.judgement.message}")
        if one.leaks:
            failure = ElementTree.SubElement(case, "failure", type=str(one.judgement.verdict), message=said)
            failure.text = printable(line)
        elif one in outcome.steady:
            ElementTree.SubElement(case, "system-out").text = f"no growth like a leak's in {outcome.seconds:.0f}s"
        else:
            ElementTree.SubElement(case, "skipped", message=said)
    case = ElementTree.SubElement(suite, "testcase", name="load", classname=printable(process))
    if outcome.leaks or (pressed.enough and not pressed.failing):
        ElementTree.SubElement(case, "system-out").text = printable(reach(pressed))
    else:
        ElementTree.SubElement(case, "error", type="Load", message=printable(reach(pressed)))
    numbers = {
        "tests": len(suite),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    for name, number in numbers.items():
        suite.set(name, str(number))
        if name != "skipped":
            root.set(name, str(number))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _line(suspects: Sequence[SuspectStatus]) -> str:
    if not suspects:
        return "The line is not known."
    return "\n".join(f"{s.file}:{s.line}: {s.explanation}" for s in suspects)


def github_annotations(
    outcome: Outcome, suspects: Sequence[SuspectStatus], complete: bool, said: Sequence[str]
) -> list[str]:
    """Workflow commands (docs.github.com, Workflow commands for GitHub Actions): an error at the line, or one without a
    line where none is known; a warning where the soak could not decide."""
    if outcome.leaks:
        signals = ", ".join(one.track.key.name for one in outcome.leaks)
        named = [s for s in suspects if s.confidence != "Low" and s.file and s.line > 0]
        title = f"Leak: {signals}"
        if named:
            return [_command("error", s.explanation, title=title, file=s.file, line=str(s.line)) for s in named]
        return [_command("error", outcome.leaks[0].judgement.message, title=title)]
    return [] if complete else [_command("warning", "; ".join(said), title="Soak without a result")]


def _command(level: str, message: str, **properties: str) -> str:
    parts = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{level} {parts}::{_escaped(printable(message), '')}"


def _escaped(text: str, more: str) -> str:
    """As actions/toolkit does it (packages/core/src/command.ts)."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
