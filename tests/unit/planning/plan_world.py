"""Clusters in which anything happens while an operator acts: pods fail, people edit, clocks jump, operators die.

`PlanWorld` runs the real engine tick after tick; of its parts only the readings are made up, so that a test says which
pod is judged what. `tests.unit.planning.plan_oracle` checks every requested change first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from leakwarden.api.v1alpha1.policy import ActionType
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.growth_findings import GrowthFindings
from leakwarden.core.guards.silences import Matcher, Silence, Silences
from leakwarden.core.model.judgement import Interval, Verdict
from leakwarden.core.model.policy import Policy, format_time
from leakwarden.core.model.readings import Sampled, SeriesKey
from leakwarden.core.model.workload import Pod, Snapshot, Workload
from leakwarden.engine.auditor import Auditor
from leakwarden.engine.guard_context import GuardContext
from leakwarden.engine.policy_store import PolicyStore
from leakwarden.engine.ports import Attempt, ClusterUnavailable, Outcome, ReportView
from leakwarden.engine.tick import Engine
from tests.builders import NOW, body, pod, points, snapshot, workload
from tests.unit.engine.crash_world import Killed
from tests.unit.engine.engine_world import FakeMetrics, FakeRecorder
from tests.unit.engine.living_cluster import LivingCluster
from tests.unit.planning.plan_oracle import judge_request, judge_tick
from tests.unit.planning.plan_story import Author, Deployment, Member, Request, Story

NAMESPACES = ("shop", "bank")
# How a pod is judged, by its mood. `holed` is Exhausting as well, with a hole in its readings a moment ago.
VERDICTS = {
    "calm": Verdict.HEALTHY, "suspect": Verdict.SUSPECT, "leaking": Verdict.LEAKING, "blind": Verdict.UNKNOWN,
    "exhausting": Verdict.EXHAUSTING, "holed": Verdict.EXHAUSTING,
}  # fmt: skip
REASONS = {Verdict.HEALTHY: "Steady", Verdict.SUSPECT: "Unconfirmed", Verdict.LEAKING: "SteadyGrowth",
           Verdict.EXHAUSTING: "ExhaustsSoon"}  # fmt: skip


SKEW = 4 * 3600  # s


class PlanCluster(LivingCluster):
    """The API server of a PlanWorld."""

    home: PlanWorld

    async def policy_generation(self, namespace: str, name: str, uid: str) -> int | None:
        return next((a.generation for a in self.home.authors if a.uid == uid), None)

    def reports(self) -> ReportView:
        return replace(super().reports(), synced=not self.home.unread, trouble="")

    async def refresh_reports(self) -> None:
        if self.home.unread:
            raise ClusterUnavailable("the API server answered 500")


class PlanWorld:
    def __init__(self, story: Story) -> None:
        self.story, self.rules = story, story.rules
        self.true_time = NOW
        self.clock_is_off = 0
        self.born = 0
        self.lost = self.unread = self.silent = self.objecting = False
        self.fate = "done"
        self.asked_for: list[Request] = []
        self.refused: list[tuple[float, str]] = []  # by a PodDisruptionBudget
        self.violations: list[str] = []
        self.authors = [Author(name, space, age, observes) for name, space, age, observes in story.policies]
        self.deployments = [
            # The same names in both namespaces: a name alone does not identify an object.
            Deployment(
                space,
                f"api-{[s for s, *_ in story.deployments[:n]].count(space)}",
                team,
                replicas=replicas,
                members=[],
                as_set=replicas,
            )
            for n, (space, team, replicas) in enumerate(story.deployments)
        ]
        moods = iter(story.moods * 20)
        for each in self.deployments:
            each.members = [self.newborn(next(moods), NOW - 7200) for _ in range(each.replicas)]
        self.cluster = PlanCluster(self)
        self.recorder = FakeRecorder()
        self.policies = PolicyStore()
        self.restart()

    # The operator's parts.

    step = 30.0  # of its reader, s

    def source_of(self, policy: Policy) -> str:
        """What was before an action is not remembered here."""
        return "no source"

    @property
    def now(self) -> float:
        """The operator's clock."""
        return self.true_time + self.clock_is_off

    def restart(self) -> None:
        """A new process: its only state is the API server's."""
        held = {policy.uid: policy.status for policy in self.policies.all()}
        self.policies = PolicyStore()
        for author in self.authors:
            author.seen = True
            self.show(author, held.get(author.uid))
        self.began = self.now
        self.engine: Engine = Engine(
            self.policies, self.cluster, self, auditor=Auditor(None), recorder=self.recorder,  # type: ignore[arg-type]
            permitted=frozenset(ActionType(kind) for kind in self.rules.permitted), clock=lambda: self.now,
            guard_context=GuardContext(lambda _: Objecting(self), Quiet(self), self.rules.limits, self.now),
        )  # fmt: skip

    def show(self, author: Author, status: Any = None) -> None:
        held = next((p.status for p in self.policies.all() if p.uid == author.uid), status)
        metadata = {"namespace": author.namespace, "uid": author.uid, "generation": author.generation,
                    "creationTimestamp": format_time(NOW - author.age)}  # fmt: skip
        told = held.model_dump(mode="json", by_alias=True, exclude_none=True) if held is not None else {}
        self.policies.put(body(author.name, metadata=metadata, spec=self.rules.spec(author), status=told))

    async def read(self, policies: Sequence[Policy], shown: Snapshot, now: float) -> dict[str, Readings]:
        """In place of a Reader: readings, and what the detector found in them, by each pod's mood."""
        key = self.rules.signal
        history, pods = ReadingHistory(3600.0), {}
        series, found = {}, {}
        for deployment in self.deployments:
            for member in self.pods(deployment):
                mood = self.mood(member.uid)
                if mood == "blind":
                    continue
                pods[member.namespace, member.name] = member
                name = SeriesKey(member.namespace, member.name, "app")
                series[name] = points([900.0, *([900.0] * 4)], until=now)
                if mood == "holed":
                    series[name] = points([900.0, 900.0, 900.0], every=200.0, until=now)
                left = 600.0 + (hash_of(member.uid) % 100) * 60
                verdict = VERDICTS[mood]
                soon = Interval(left, 2 * left) if verdict is Verdict.EXHAUSTING else None
                found[key, member.uid, "app"] = GrowthFinding(verdict, REASONS[verdict], Interval(1.0, 2.0), soon)
        answer = Sampled(series, dict.fromkeys(series, 1000.0))
        history.append(key, answer, pods, now)
        return {
            policy.uid: Readings("Prometheus/main", "", {key: answer}, history, GrowthFindings(everywhere=found))
            for policy in policies
        }

    # The cluster's objects.

    def newborn(self, mood: str, created: float, after: float = 0.0) -> Member:
        self.born += 1
        return Member(f"uid-{self.born}", created, created + after, mood)

    def mood(self, uid: str) -> str:
        return next(m.mood for d in self.deployments for m in d.members if m.uid == uid)

    def deployment(self, uid: str) -> Deployment:
        return next(d for d in self.deployments if d.uid == uid)

    def serves(self, member: Member) -> bool:
        return not member.failed and member.ready_at <= self.true_time

    def rolls(self, deployment: Deployment) -> bool:
        return deployment.rolls_until > self.true_time

    def workload(self, each: Deployment) -> Workload:
        updated = 0 if self.rolls(each) else each.replicas
        return workload(
            each.name, namespace=each.namespace, uid=each.uid, labels={"team": each.team},
            annotations={
                **({"leakwarden.dev/skip": "ours"} if each.opted_out else {}),
                **({"argocd.argoproj.io/tracking-id": "apps:x"} if each.gitops else {}),
            },
            replicas=each.replicas, updated_replicas=updated, ready_replicas=sum(map(self.serves, each.members)),
            resource_version=str(each.version), termination_grace=0 if self.rules.abrupt else 30,
        )  # fmt: skip

    def pods(self, each: Deployment) -> list[Pod]:
        return [
            pod(f"{each.name}-{m.uid}", uid=m.uid, namespace=each.namespace, workload_uid=each.uid, created=m.created,
                ready=self.serves(m))
            for m in each.members
        ]  # fmt: skip

    def shown(self) -> Snapshot:
        scalers = {(d.namespace, d.name): "an autoscaler" for d in self.deployments if d.scaler}
        shown = snapshot(
            [self.workload(d) for d in self.deployments], [p for d in self.deployments for p in self.pods(d)]
        )
        # The real one does not trust a clock that is off by minutes; larger differences here are a harder test of the
        # engine.
        believed = abs(self.clock_is_off) <= SKEW
        return replace(shown, autoscalers=scalers, synced=believed and not self.lost, age=1.0)

    def carry_out(self, kind: str, workload: Workload, *, pod_uid: str = "", replicas: int = 0) -> Attempt:
        deployment = self.deployment(workload.uid)
        if kind == "ScaleOut" and replicas < deployment.replicas:
            return self.taken_back(deployment, replicas)
        return self.asked(kind, deployment, pod_uid)

    def asked(self, kind: str, deployment: Deployment, uid: str) -> Attempt:
        """Every change that the engine asks for passes here: first the oracle, then the request's fate."""
        fate = self.fate
        request = judge_request(self, kind, deployment, uid, fate in ("done", "lost", "dies"))
        self.asked_for.append(request)
        if fate == "blocked" and kind == "EvictPod":
            self.refused.append((self.now, deployment.uid))
            return Attempt(Outcome.BLOCKED, "a PodDisruptionBudget")
        if not request.changed:
            return Attempt(Outcome.FAILED, "500")
        self._carry_out(kind, deployment, uid)
        if fate == "dies":
            raise Killed
        return Attempt(Outcome.DONE if fate == "done" else Outcome.FAILED)

    def _carry_out(self, kind: str, deployment: Deployment, uid: str) -> None:
        def new() -> Member:
            return self.newborn(self.story.successors, self.true_time + 1, self.story.start_up)

        deployment.version += 1
        if kind == "EvictPod":
            deployment.members = [m for m in deployment.members if m.uid != uid] + [new()]
        elif kind == "RolloutRestart":
            deployment.members = [new() for _ in deployment.members]
            deployment.rolls_until = self.true_time + self.story.start_up
        else:
            deployment.replicas += 1
            deployment.members.append(new())

    def taken_back(self, deployment: Deployment, replicas: int) -> Attempt:
        if replicas < deployment.as_set:
            self.violations.append(f"return: {replicas} replicas, people had asked for {deployment.as_set}")
        deployment.version += 1
        deployment.members = deployment.members[: replicas - deployment.replicas]
        deployment.replicas = replicas
        return Attempt(Outcome.DONE)

    # Events.

    def happens(self, what: str, which: int) -> None:
        members = [m for d in self.deployments for m in d.members]
        member = members[which % len(members)]
        deployment = self.deployments[which % len(self.deployments)]
        author = self.authors[which % len(self.authors)]
        match what:
            case "fails":
                member.failed = True
            case "serves":
                member.failed = False
            case "restart":
                self.restart()
            case "opts out":
                deployment.opted_out = not deployment.opted_out
            case "rolls out":
                deployment.rolls_until = self.true_time + 120
            case "is scaled":
                deployment.scaler = not deployment.scaler
            case "is applied":
                deployment.gitops = not deployment.gitops
            case "silence":
                self.silent = not self.silent
            case "veto":
                self.objecting = not self.objecting
            case "view lost":
                self.lost = not self.lost
            case "reports lost":
                self.unread = not self.unread
                self.engine.take_over()
            case "suspends" | "observes" | "pauses" | "edits unseen":
                if what == "pauses":
                    author.pauses = not author.pauses
                elif what == "observes":
                    author.observes = not author.observes
                else:
                    author.suspended = not author.suspended
                author.generation += 1
                author.seen = what != "edits unseen"
                if author.seen:
                    self.show(author)
            case mood:
                member.mood = mood

    async def live(self) -> list[str]:
        """Runs the whole story; returns the broken rules in words."""
        for step in self.story.steps:
            self.true_time += step.seconds
            self.clock_is_off = step.clock
            self.began = min(self.began, self.now)  # nobody began to lead later than now
            self.cluster.now = self.true_time
            for what, which in step.events:
                self.happens(what, which)
            self.fate = step.fate
            before = len(self.asked_for)
            try:
                await self.engine.tick()
            except Killed:
                self.restart()
            else:
                judge_tick(self, self.asked_for[before:])
        assert self.engine.defects.count == 0
        return self.violations


@dataclass
class Objecting:
    """A source with PromQL, for a policy's vetoes."""

    world: PlanWorld
    name: str = "main"
    kind: str = "Prometheus"
    pod_labels: tuple[str, str] = ("namespace", "pod")

    async def values(self, query: str, at: float) -> Sequence[float]:
        return [1.0] if self.world.objecting else []

    read: Any = FakeMetrics.read


@dataclass
class Quiet:
    """An Alertmanager with a silence for one namespace, while people silence it."""

    world: PlanWorld
    about: Mapping[str, str] = field(default_factory=lambda: {"namespace": "shop"})

    async def active(self) -> Silences:
        matchers = tuple(Matcher(name, value) for name, value in self.about.items())
        return Silences((Silence("s1", matchers),)) if self.world.silent else Silences()


def hash_of(uid: str) -> int:
    """The same in every process, unlike hash()."""
    return sum(ord(letter) * place for place, letter in enumerate(uid, 7))
