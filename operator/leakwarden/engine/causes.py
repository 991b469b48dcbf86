"""Finds out why users get errors while a pod leaks: from the source, and from logs where that is allowed, concurrently
with the ticks.

Eleven queries and at most three logs (or two queries to a Loki) per report, one report at a time. They are read when
the Deployment shows a symptom, again every ten minutes while it goes on, and once more when the episode has ended. A
source or a log that fails, or that is hostile, costs that report's answer and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from leakwarden.api.scalars import parse_duration
from leakwarden.api.v1alpha1.cause import CauseStatus
from leakwarden.api.v1alpha1.leakreport import LeakReportStatus
from leakwarden.api.v1alpha1.policy import PolicySpec
from leakwarden.core.correlation import remembered
from leakwarden.core.correlation.causes import explain
from leakwarden.core.correlation.traffic import Traffic
from leakwarden.core.episodes.cause import EVERY, LOOKBACK, Told, cause_status, symptoms_seen, untold
from leakwarden.core.model.leakreport import LeakReport
from leakwarden.core.model.policy import Policy, parse_time
from leakwarden.core.model.workload import Pod
from leakwarden.engine.cause_logs import EpisodeLogs
from leakwarden.engine.defects import Defects
from leakwarden.engine.fair_shares import in_turn
from leakwarden.engine.ports import LogReader, LogStore, Metrics
from leakwarden.engine.reader import Reader
from leakwarden.engine.report_drafts import ReportDrafts
from leakwarden.engine.report_facts import TickFacts

SOON = 0.5  # s that a tick waits for a reading that it began
LONGEST = 60.0  # s for all queries and logs of a report; each has a timeout of its own
PODS_READ = 3  # pods whose logs are read
GIVEN_UP_WITHIN = 2.0  # s


@dataclass(frozen=True, slots=True)
class _Due:
    report: LeakReport
    policy: Policy
    pods: Sequence[Pod]  # pods whose logs are read, the leaking one first


@dataclass(slots=True)
class Causes:
    """Finds the causes of users' errors, for one report at a time."""

    reader: Reader
    logs: LogReader | None  # None: the installation does not allow logs to be read
    clock: Callable[[], float]  # epoch s
    defects: Defects = field(default_factory=Defects)
    soon: float = SOON  # s, see SOON
    store: LogStore | None = None  # None: no Loki is configured
    _seen: dict[str, float] = field(default_factory=dict)  # report's UID -> when a symptom was last seen, epoch s
    _tried: dict[str, float] = field(default_factory=dict)  # report's UID -> when it was last tried, epoch s
    _under_way: tuple[str, asyncio.Task[CauseStatus]] | None = None

    async def one(self, drafts: ReportDrafts, facts: TickFacts, begins: bool = True) -> None:
        """Put a finished finding into its report, and, if it `begins`, begin with the next one."""
        if drafts.trouble:
            return
        self._look(drafts, facts)
        self._record(drafts)
        if not begins or self._under_way is not None:
            return
        due = next(iter(in_turn(self._due(drafts, facts), lambda each: each.report.namespace)), None)
        if due is None:
            return
        self._tried[due.report.uid] = facts.now
        task = asyncio.create_task(self._told(due))
        self._under_way = (due.report.uid, task)
        await asyncio.wait([task], timeout=self.soon)
        self._record(drafts)

    async def end(self) -> None:
        """Give up the reading under way."""
        if self._under_way is not None:
            self._under_way[1].cancel()
            await asyncio.wait([self._under_way[1]], timeout=GIVEN_UP_WITHIN)
            self._under_way = None

    def _look(self, drafts: ReportDrafts, facts: TickFacts) -> None:
        """The reports whose Deployments show a symptom now. A symptom that was not read does not count."""
        known = {report.uid for report in drafts.reports}
        self._seen = {uid: at for uid, at in self._seen.items() if uid in known}
        self._tried = {uid: at for uid, at in self._tried.items() if uid in known}
        felt: dict[tuple[str, str], bool] = {}  # by policy and Deployment
        for report in drafts.reports:
            policy = facts.policies.get(report.spec.policy.uid)
            if report.ended or policy is None:
                continue
            key = (policy.uid, report.spec.workload.uid)
            if key not in felt:
                felt[key] = False
                with self.defects.contained("looked at for symptoms", policy, about=report.key):
                    felt[key] = symptoms_seen(facts.target(report), policy.spec)
            if felt[key]:
                self._seen[report.uid] = facts.now

    def _due(self, drafts: ReportDrafts, facts: TickFacts) -> Iterator[_Due]:
        for report in sorted(
            drafts.reports, key=lambda each: (self._tried.get(each.uid, 0.0), each.created, each.name)
        ):
            policy = facts.policies.get(report.spec.policy.uid)
            if policy is None or policy.spec is None or not self._is_due(report, facts.now):
                continue
            pods = facts.snapshot.pods_by_workload.get(report.spec.workload.uid, ())
            ranked = sorted(pods, key=lambda pod: (pod.uid != report.spec.pod.uid, -pod.created))
            yield _Due(report, policy, ranked[:PODS_READ])

    def _is_due(self, report: LeakReport, now: float) -> bool:
        seen, held = self._seen.get(report.uid), report.status.cause
        if seen is None:
            return False
        asked = max(parse_time(held.measured_at) if held is not None else 0.0, self._tried.get(report.uid, 0.0))
        if not asked:
            return True
        ended = parse_time(report.status.ended_at)
        return asked < ended if ended else seen > asked and now - asked >= EVERY

    def _record(self, drafts: ReportDrafts) -> None:
        if self._under_way is None or not self._under_way[1].done():
            return
        uid, task = self._under_way
        self._under_way = None
        report = drafts.by_uid(uid)
        if not task.cancelled() and report is not None:
            drafts.revise(report, lambda status: _with(status, task.result()))

    async def _told(self, due: _Due) -> CauseStatus:
        try:
            return await asyncio.wait_for(self._found(due), LONGEST)
        except TimeoutError:
            return untold(f"it took more than {LONGEST:.0f}s", self.clock())
        except Exception as error:  # additional information must not stop anything
            self.defects.note(error, "explained", [due.policy], due.report.key)
            return untold(f"a defect of Leakwarden ({type(error).__name__})", self.clock())

    async def _found(self, due: _Due) -> CauseStatus:
        source, spec = self.reader.source_of(due.policy), due.policy.spec
        assert spec is not None
        if isinstance(source, str):
            return untold(source, self.clock())
        if source.kind != "Prometheus":
            return untold(f"the source {source.name} does not remember what was", self.clock())
        until = self.clock()
        traffic, asked = _asked(due.report, spec, source, until=until, step=self._step)
        answers = await source.read(remembered.queries(asked), asked.since, until, self._step)
        # Arrays of as many pods as the Deployment has: computed in a thread, off the event loop.
        episode = await asyncio.to_thread(remembered.episode, asked, answers)
        failed = remembered.failures(answers)
        if episode is None:
            why = failed[0] if failed else f"no requests by status code are counted {traffic.about}"
            return untold(why, self.clock())
        logs, note = None, ""
        if spec.evidence.logs.enabled:
            logs, note = await EpisodeLogs(asked, due.pods, self.logs, self.store).read()
        episode = replace(episode, logs=logs.counts if logs is not None else None)
        found = await asyncio.to_thread(explain, episode)
        return cause_status(Told(found, episode, traffic.about, logs=logs, logs_note=note, failed=failed), self.clock())

    @property
    def _step(self) -> float:
        return remembered.step_of(LOOKBACK, max(remembered.LEAST_STEP, self.reader.step))


def _asked(
    report: LeakReport, spec: PolicySpec, source: Metrics, *, until: float, step: float
) -> tuple[Traffic, remembered.Asked]:
    proxy = spec.source.proxy
    namespace_label, pod_label = source.pod_labels
    traffic = Traffic.of(
        report.namespace, report.spec.workload.name, proxy, (namespace_label, pod_label), kind=report.spec.workload.kind
    )
    asked = remembered.Asked(
        traffic.by_code(step),
        traffic.quantile(0.99, step),
        report.namespace,
        traffic.pods,
        until - LOOKBACK,
        until=until,
        timeout=parse_duration(proxy.timeout) if proxy is not None and proxy.timeout is not None else None,
        pod_label=pod_label,
    )
    return traffic, asked


def _with(status: LeakReportStatus, cause: CauseStatus) -> LeakReportStatus:
    return status.model_copy(update={"cause": cause})
