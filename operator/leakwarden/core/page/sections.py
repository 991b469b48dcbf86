"""The page's sections, each from the report alone; one without content gives the reason or is left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus
from leakwarden.api.v1alpha1.leakreport import GuardStatus
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.page import cause, chart, figures, flame_svg, outcome, pictures
from leakwarden.core.page.flame import Flame
from leakwarden.core.page.markup import Child, Markup, tag
from leakwarden.core.page.story import Answer, Step, Story, Tone, exhaustion, level


class Section(NamedTuple):
    title: str
    body: Sequence[Child]

    def drawn(self) -> Markup:
        return tag("section", tag("h2", self.title), self.body)


def head(report: LeakReport, story: Story) -> Markup:
    return tag(
        "header",
        tag("p", f"{story.tone.mark} {story.outcome}", class_="outcome"),
        tag(
            "h1",
            tag("span", f"{report.namespace}/", class_="muted") if report.namespace else None,
            report.spec.workload.name,
            class_="clip",
        ),
        tag("p", story.headline, class_="headline"),
        tag("p", story.lead, class_="lead") if story.lead else None,
        tag("div", [_answer(answer) for answer in story.answers], class_="answers"),
        class_=story.tone,
    )


def _answer(answer: Answer) -> Markup:
    text: Child = tag("code", answer.text) if answer.code else answer.text
    mark = None if answer.code else tag("span", f"{answer.tone.mark} ", class_="mark", aria_hidden="true")
    return tag(
        "div",
        tag("h2", answer.question),
        tag("p", mark, text, class_="text clip"),
        tag("p", tag("code", answer.place), class_="place clip") if answer.place else None,
        tag("p", answer.detail, class_="detail clip", title=answer.detail) if answer.detail else None,
        class_=f"answer {answer.tone}",
    )


def series(report: LeakReport, story: Story) -> Section:
    what = chart.course(report.status, story.steps)
    signal = report.spec.signal or report.spec.signal_type
    unit = f", in {what.unit}" if what.unit and what.unit != signal else ""
    title = f"The course of {signal}{unit}"
    body: list[Child] = [_facts(report)]
    if not what.points:
        return Section(title, [*body, tag("p", "The report holds no readings to draw.", class_="muted")])
    label = _label(report, what, story)
    body += [
        chart.picture(what, 1060, 300, label, "wide"),
        chart.picture(what, 340, 210, label, "narrow"),
        tag("p", _reading_help(what), class_="muted small"),
        tag("details", tag("summary", "The readings as a table"), _readings(what)),
    ]
    return Section(title, body)


def _facts(report: LeakReport) -> Markup | None:
    verdict, facts = report.status.verdict, []
    if verdict is not None:
        facts.append(("Now", level(verdict) or figures.UNKNOWN))
        facts.append(("Growth", figures.growth(verdict.growth_per_hour, verdict.unit)))
        left = figures.wait(verdict.seconds_to_exhaustion)
        facts.append(("Time to exhaustion", f"{left}{_between(report)}" if left else figures.UNKNOWN))
        facts.append(("Why", verdict.reason or verdict.message or figures.UNKNOWN))
    bought = report.status.restart_buys_seconds
    if bought is not None:
        facts.append(("A restart buys", f"about {figures.duration(bought)}"))
    if not facts:
        return None
    return tag("dl", [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts], class_="facts")


def _between(report: LeakReport) -> str:
    """The interval by the clock: `, 02:23 to 02:32 UTC`."""
    verdict = report.status.verdict
    judged = figures.moment(verdict.judged_at) if verdict else None
    left = verdict.seconds_to_exhaustion if verdict else None
    if judged is None or left is None or left.high is None or not 0 <= left.low <= left.high < 10 * 86400:
        return ""
    first, last = judged + left.low, judged + left.high
    if figures.day(first) != figures.day(judged) or figures.day(last) != figures.day(judged):
        return (
            f" ({figures.day(first)} {figures.clock(first)[:5]} to {figures.day(last)} {figures.clock(last)[:5]} UTC)"
        )
    return f" ({figures.clock(first)[:5]} to {figures.clock(last)[:5]} UTC)"


def _label(report: LeakReport, what: chart.Course, story: Story) -> str:
    first, last = what.points[0], what.points[-1]
    text = (
        f"Line chart of {report.spec.signal}: {figures.amount(first[1], what.unit)} at {figures.clock(first[0])} UTC,"
        f" {figures.amount(last[1], what.unit)} at {figures.clock(last[0])} UTC."
    )
    if what.limit is not None:
        text += f" The limit is {figures.amount(what.limit, what.unit)}."
    if left := exhaustion(report.status.verdict):
        text += f" Without an action it was expected to be {left}."
    marks = ", ".join(f"{step.mark} at {figures.clock(step.at)}" for step in story.steps if step.mark)
    return f"{text} Marked: {marks}." if marks else text


def _reading_help(what: chart.Course) -> str:
    parts = [f"Times are UTC, from {figures.date(what.points[0][0])}."]
    if what.cone is not None:
        parts.append("The dashed cone shows when the limit would be reached if nothing is done, earliest to latest.")
    if len(figures.segments(what.points)) > 1:
        parts.append("Where the line is broken there were no readings.")
    return " ".join(parts)


def _readings(what: chart.Course) -> Markup:
    rows = [
        tag("tr", tag("td", f"{figures.day(t)} {figures.clock(t)}"), tag("td", figures.amount(v, what.unit), class_="number"))
        for t, v in what.points
    ]  # fmt: skip
    heads = tag("tr", tag("th", "time, UTC", scope="col"), tag("th", "value", scope="col", class_="number"))
    return tag("table", tag("thead", heads), tag("tbody", rows))


def evidence(found: EvidenceStatus | None, flames: Sequence[Flame], notes: Sequence[str]) -> Section:
    title = "Suspects: the lines that leak"
    body: list[Child] = []
    if found is None:
        body.append(tag("p", "No profiles were taken, so no line can be named.", class_="muted"))
    else:
        because = ": ".join(part for part in (found.reason, found.message) if part)
        if found.state is not EvidenceState.CAPTURED:
            body.append(tag("p", tag("strong", f"Capture: {found.state}."), f" {because}"))
        if found.suspects:
            body.append(pictures.suspect_list(found.suspects))
        elif found.state is not EvidenceState.SKIPPED:
            body.append(tag("p", found.summary or "No line of the team's own stands out.", class_="muted"))
        if found.pool:
            body.append(tag("p", tag("strong", "Database pool: "), found.pool))
        if found.descriptors:
            body += [tag("h3", "Open descriptors"), tag("ul", [tag("li", tag("code", d)) for d in found.descriptors])]
        elif found.descriptor_reader is not None and found.descriptor_reader.reason:
            reader = found.descriptor_reader
            body.append(tag("p", f"Open descriptors were not read: {reader.reason}: {reader.message}", class_="muted"))
    body += [tag("p", note, class_="muted") for note in notes]
    body += [flame_svg.graph(flame, f"flame-{number}") for number, flame in enumerate(flames)]
    if found is not None and found.profiles:
        body.append(_profiles(found))
    return Section(title, body)


def _profiles(found: EvidenceStatus) -> Markup:
    rows = []
    for one in found.profiles:
        at = figures.moment(one.taken_at)
        when = f"{figures.day(at)} {figures.clock(at)} UTC" if at else figures.UNKNOWN
        kept = one.location or "not kept"
        rows.append(
            tag("li", f"{one.kind}, {when}, {figures.amount(one.bytes, 'bytes')}: ", tag("code", kept),
                tag("span", f" sha256 {one.sha256}", class_="muted small") if one.sha256 else None)
        )  # fmt: skip
    return tag("details", tag("summary", f"Profiles taken ({len(rows)})"), tag("ul", rows, class_="plain"))


def before_after(report: LeakReport, flames: Sequence[Flame]) -> Section | None:
    found = report.status.verification
    if found is None and not flames:
        return None
    unit = report.status.verdict.unit if report.status.verdict else ""
    body: list[Child] = []
    if found is not None:
        body += [tag("p", found.message) if found.message else None, pictures.comparison(found, unit)]
        if found.outcome is not None:
            body.append(outcome.drawn(found.outcome))
    body += [flame_svg.graph(flame, f"after-{number}") for number, flame in enumerate(flames)]
    return Section("Before and after", body)


def why_errors(report: LeakReport) -> Section | None:
    found = report.status.cause
    return Section(cause.TITLE, cause.drawn(found)) if found is not None else None


def guards(report: LeakReport) -> Section | None:
    answers, plan = report.status.guards, report.status.plan
    if not answers and plan is None:
        return None
    body: list[Child] = []
    if plan is not None:
        queue = f" It is number {plan.order} in the Deployment's queue." if plan.order else ""
        body.append(
            tag("p", tag("strong", plan.action), f", step {plan.step + 1} of the policy: {plan.message}.", queue)
        )
    refused = [guard for guard in answers if not guard.passed]
    passed = [guard for guard in answers if guard.passed]
    if refused:
        rows = [_refusal(guard) for guard in refused]
        body += [
            tag("p", f"{len(refused)} of {len(answers)} guards held the action back:"),
            tag("ul", rows, class_="rows"),
        ]
    if passed:
        names = [tag("li", f"{Tone.GOOD.mark} {g.guard}{f': {g.message}' if g.message else ''}") for g in passed]
        body += [tag("p", f"{len(passed)} let it pass:"), tag("ul", names, class_="chips")]
    return Section("Guards: what had to be true before anything was done", body)


def _refusal(guard: GuardStatus) -> Markup:
    told = ": ".join(part for part in (guard.reason if guard.reason != guard.guard else "", guard.message) if part)
    state = tag("span", f"{Tone.WARN.mark} holds back", class_="state")
    return tag("li", state, tag("span", tag("strong", guard.guard), " ", told), class_=Tone.WARN)


def timeline(story: Story) -> Section | None:
    if not story.steps:
        return None
    start = next((step.at for step in story.steps if step.mark), story.steps[0].at)
    rows, day = [], ""
    for step in story.steps:
        rows.append(_step(step, start, "" if figures.date(step.at) == day else figures.date(step.at)))
        day = figures.date(step.at)
    return Section("What was done, and when", [tag("ol", rows, class_="rows")])


def _step(step: Step, start: float, day: str) -> Markup:
    """`day` is shown where it differs from the row before."""
    when = tag("time", figures.clock(step.at), datetime=figures.machine_time(step.at))
    since = tag("span", figures.offset(step.at - start), class_="muted small") if step.at != start else None
    date = tag("span", f"{day}, UTC", class_="muted small day") if day else None
    title = tag("span", f"{step.tone.mark} {step.title}", class_="state")
    detail = tag("p", step.detail) if step.detail else None
    return tag("li", tag("div", date, when, " ", since), tag("div", title, detail), class_=step.tone)
