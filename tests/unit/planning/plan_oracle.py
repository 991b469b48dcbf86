"""Counts the actions, and lists the forbidden ones. It is independent of the guards: it counts from the list of
requests, the true state of the cluster, people's specs and the API server's objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.unit.planning.plan_story import Author, Deployment, Request

if TYPE_CHECKING:
    from tests.unit.planning.plan_world import PlanWorld

OPEN = ("Detected", "Remediating", "Verifying")


def epoch(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _allowed(value: int | str, replicas: int) -> int:
    return value if isinstance(value, int) else max(1, replicas * int(value[:-1]) // 100)


def _selected_by(world: PlanWorld, deployment: Deployment) -> list[Author]:
    """The policies that select it, the oldest first."""
    mine = [a for a in world.authors if a.namespace == deployment.namespace and deployment.team == "shop"]
    return sorted(mine, key=lambda author: (-author.age, author.name))


def _in_flight(world: PlanWorld) -> set[tuple[str, str]]:
    """(workload UID, record's id) of all that is intended and not ended, or not verified, as the API server holds it."""
    return {
        (record.workload_uid, record.id)
        for report in world.cluster.stored.values()
        for record in report.status.actions
        if record.phase == "Pending" or record.result == "Verifying"
    }


def judge_request(world: PlanWorld, kind: str, deployment: Deployment, uid: str, changes: bool) -> Request:
    """Whether this may be asked for now. Breaches go to `world.violations`, each as `rule: what is wrong`."""
    # One that a killed operator left behind may still stand as Pending; it is of another moment.
    intents = [
        (report, record)
        for report in world.cluster.stored.values()
        for record in report.status.actions
        if record.phase == "Pending" and record.workload_uid == deployment.uid and record.type == kind
        if epoch(record.intended_at) == int(world.now) and uid in ("", record.pod_uid)
    ]
    said = world.violations.append
    if not intents:
        said(f"intent: none is written for {kind} of {deployment.uid} {uid}")
        return Request(world.now, kind, deployment, uid, "", changes, frozenset())
    report, record = intents[-1]
    others = frozenset(each for each in _in_flight(world) if each[0] != deployment.uid)
    request = Request(world.now, kind, deployment, record.pod_uid, report.spec.policy.uid, changes, others)
    for rule, wrong in (
        *_consent(world, request), *_knowledge(world, request), *_room(world, request), *_pace(world, request),
    ):  # fmt: skip
        if wrong:
            said(f"{rule}: {kind} of {deployment.uid} for {record.pod_uid} at {world.now:.0f}")
    return request


def _consent(world: PlanWorld, request: Request) -> list[tuple[str, bool]]:
    rules, deployment = world.rules, request.deployment
    author = next(a for a in world.authors if a.uid == request.policy)
    selected_by = _selected_by(world, deployment)
    hour = datetime.fromtimestamp(world.now, UTC).hour
    return [
        ("namespace", deployment.namespace != author.namespace),
        ("selected", author not in selected_by),
        ("member", all(m.uid != request.pod for m in deployment.members)),
        ("oldest", bool(selected_by) and author is not selected_by[0]),
        ("observing", author.observes),
        ("suspended", author.suspended),
        ("paused", author.pauses),
        ("opted out", deployment.opted_out),
        ("permitted", request.kind not in rules.permitted),
        ("maintenance", rules.denied_hours is not None and rules.denied_hours[0] <= hour < rules.denied_hours[1]),
        ("veto", rules.vetoed and world.objecting),
        ("silence", world.silent and deployment.namespace == "shop"),
        ("evidence", rules.evidence_required),  # nobody takes any in these worlds
        ("on the ladder", request.kind not in rules.actions),
        ("replicas owned", request.kind == "ScaleOut" and (deployment.scaler or deployment.gitops)),
        ("template owned", request.kind == "RolloutRestart" and deployment.gitops),
        ("requests", request.kind != "ScaleOut" and rules.abrupt),
        ("pool", request.kind == "ScaleOut" and rules.signal == "DBPool"),
        ("max replicas", request.kind == "ScaleOut" and deployment.replicas >= rules.max_replicas),
    ]


def _knowledge(world: PlanWorld, request: Request) -> list[tuple[str, bool]]:
    rules, member = world.rules, [m for m in request.deployment.members if m.uid == request.pod]
    mood = member[0].mood if member else "gone"
    age = world.now - (member[0].created + 1 if member else 0)  # the process starts a second after its pod
    return [
        ("exhausting", mood not in ("exhausting", "holed")),
        ("hole", mood == "holed" and rules.refill > 400),  # the hole in these readings ended 400 s ago at the latest
        ("view", world.lost),
        ("records", world.unread),
        ("quiet", world.now < world.began + rules.quiet),
        ("warm-up", age < rules.warm_up),
        ("rollout", world.rolls(request.deployment)),
    ]


def _room(world: PlanWorld, request: Request) -> list[tuple[str, bool]]:
    if request.kind == "ScaleOut":
        return []
    rules, deployment = world.rules, request.deployment
    serving = [m for m in deployment.members if world.serves(m) and m.mood != "blind"]
    if request.kind == "EvictPod":
        left = sum(m.uid != request.pod for m in serving)
        away = deployment.replicas - left
    else:
        # Deployments of these worlds roll with 25% away, rounded down, and 25% more, rounded up.
        taken = deployment.replicas // 4
        left, away = len(serving) - taken, deployment.replicas - len(serving) + taken
    return [
        ("max unavailable", away > _allowed(rules.max_unavailable, deployment.replicas)),
        ("min ready", left < rules.min_ready),
    ]


def _pace(world: PlanWorld, request: Request) -> list[tuple[str, bool]]:
    rules, now = world.rules, world.now
    done = [each for each in world.asked_for if each.changed]
    here = [each for each in done if each.deployment is request.deployment]
    near = [each for each in done if each.deployment.namespace == request.deployment.namespace]

    def within(those: Sequence[Request], seconds: float) -> int:
        # Actions with a later time, because the clock was put back, were done all the same.
        return sum(each.at > now - seconds for each in those)

    times = sorted(each.at for each in done)
    k = rules.storm_actions
    bursts = [
        times[last] for last in range(k - 1, len(times)) if k and times[last] - times[last - k + 1] < rules.storm_window
    ]
    mine = [each for each in here if each.pod == request.pod]
    # Requests that the API server refused because of a PodDisruptionBudget: not asked again for a minute.
    refused = [at for at, uid in world.refused if uid == request.deployment.uid]
    return [
        ("cooldown", within(here, rules.cooldown - 1) > 0),
        ("pod cooldown", within(mine, rules.pod_cooldown - 1) > 0),
        ("workload budget", within(here, rules.workload_window - 1) >= rules.workload_actions),
        ("namespace budget", within(near, rules.window - 1) >= rules.namespace_actions),
        ("cluster budget", within(done, rules.window - 1) >= rules.cluster_actions),
        ("storm", any(now < burst + rules.storm_cooldown - 1 for burst in bursts)),
        ("disruption budget", request.kind == "EvictPod" and any(now - at < 59 for at in refused)),
    ]  # times are recorded in whole seconds, hence one second less in all comparisons


def judge_tick(world: PlanWorld, requests: Sequence[Request]) -> None:
    """Rules that can be checked only after the tick, when its results about earlier actions are written."""
    still = _in_flight(world)
    for request in requests:
        others = {uid for uid, record in request.in_flight if (uid, record) in still}
        uid = request.deployment.uid
        if len(others) >= world.rules.max_concurrent:
            world.violations.append(f"concurrent: {uid} beside {sorted(others)}")
        if _circuit_was_open(world, request):
            world.violations.append(f"circuit: {uid} at {request.at:.0f}")
        if _canary_was_out(world, request):
            world.violations.append(f"canary: {uid} at {request.at:.0f}")
    pods = [report.spec.pod.uid for report in world.cluster.stored.values() if report.status.phase in OPEN]
    if len(pods) != len(set(pods)):
        world.violations.append("reports: a pod has two open reports")


def _records(world: PlanWorld, uid: str) -> list[tuple[float, float, str, str]]:
    """(decided, verified or finished, type, result) of a workload's earlier actions, the newest first."""
    return sorted(
        (
            (epoch(r.intended_at), epoch(r.verified_at or r.finished_at), r.type, str(r.result or ""))
            for report in world.cluster.stored.values()
            for r in report.status.actions
            if r.workload_uid == uid
        ),
        reverse=True,
    )


def _circuit_was_open(world: PlanWorld, request: Request) -> bool:
    failed = []
    for _, found, _, result in _records(world, request.deployment.uid):
        if result == "Effective":
            break
        if result in ("Ineffective", "Inconclusive"):
            failed.append(found)
    return len(failed) >= world.rules.failures and request.at < max(failed) + world.rules.sleep_window - 1


def _canary_was_out(world: PlanWorld, request: Request) -> bool:
    """The first action here neither helped nor was given up, and another was begun."""
    records = _records(world, request.deployment.uid)
    earlier = [each for each in records if each[0] < int(request.at)]
    if any(result for *_, result in earlier if result != "Verifying"):
        return False
    return any(
        result == "Verifying" and request.at - found < world.rules.timeout - 1 for _, found, _, result in earlier
    )
