"""Gathers the facts that guards need in addition to readings: veto queries, silences, autoscalers, since when we lead.

Veto queries are sent only for policies with an action that all other guards allow: a thousand calm policies cost no
query, nor do those that only observe. Facts that could not be read are handed on as unknown, and the guards then
refuse.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.maintenance import Veto
from leakwarden.core.evaluation.results import PolicyEvaluation
from leakwarden.core.guards import Surroundings
from leakwarden.core.guards.limits import Limits
from leakwarden.core.guards.silences import Silences
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.promql import PromQLError, Question
from leakwarden.engine.ports import Instant, Metrics, QuestionFailed, SilenceSource

log = logging.getLogger("leakwarden.guard_context")

# s for all vetoes of one tick together. A query without an answer by then counts as a veto.
VETO_WITHIN = 20.0
SLOW = 5.0  # s; a query that takes longer ends the turn of its namespace in this tick


@dataclass(slots=True)
class Vetoes:
    """The answers of one tick's vetoes, by policy UID and the veto's name: the objection in words, empty where there is none.

    Each namespace has one query under way at a time, so that no namespace makes the others wait; a query that was too
    slow ends the turn of its namespace. The same query of one source is sent once.
    """

    source_of: Callable[[Policy], Metrics | str]
    now: float
    within: float  # s for all of the queries together
    slow: set[str] = field(default_factory=set)  # namespaces whose last query was too slow, in this tick or before
    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    _same: dict[tuple[str, str], str] = field(default_factory=dict)  # by source and query
    _until: float = 0.0  # monotonic s
    _late: set[str] = field(default_factory=set)  # namespaces, in this tick

    async def ask(self, policies: Iterable[Policy]) -> None:
        """Send all veto queries of these policies: first of the namespaces that were quick to answer so far, then of
        the others. A query without an answer in time counts as an objection."""
        self._until = time.monotonic() + self.within
        by_namespace: dict[str, list[Policy]] = {}
        for policy in policies:
            by_namespace.setdefault(policy.namespace, []).append(policy)
        for turn in (by_namespace.keys() - self.slow, by_namespace.keys() & self.slow):
            await asyncio.gather(*(self._ask_all(by_namespace[namespace]) for namespace in sorted(turn)))

    async def _ask_all(self, policies: Sequence[Policy]) -> None:
        for policy in policies:
            for veto in policy.spec.vetoes if policy.spec is not None else ():
                if (policy.uid, veto.name) not in self.answers:
                    self.answers[policy.uid, veto.name] = await self._within(policy, veto)

    async def _within(self, policy: Policy, veto: Veto) -> str:
        left = self._until - time.monotonic()
        if policy.namespace in self._late or left <= 0:
            return "it could not be asked: another query of the namespace took too long, or all of this tick did"
        try:
            return await asyncio.wait_for(self._ask(policy, veto), left)
        except TimeoutError:
            self._too_slow(policy.namespace)
            return "it could not be asked: it was not answered in time"
        except Exception:  # a defect; one policy must not stop the others
            log.exception("asking a veto failed", extra={"policy": policy.key})
            return "it could not be asked"

    def _too_slow(self, namespace: str) -> None:
        self._late.add(namespace)
        self.slow.add(namespace)

    async def _ask(self, policy: Policy, veto: Veto) -> str:
        """The objection in words; empty where there is none."""
        source = self.source_of(policy)
        if isinstance(source, str):
            return f"it could not be asked: {source}"
        if not isinstance(source, Instant):
            return f"it could not be asked: {source.name} does not know PromQL"
        try:
            query = policy.ask(Question(veto.query, policy.namespace, *source.pod_labels, of_pods=False)).query
        except PromQLError as error:
            return f"it could not be asked: {error}"
        if (source.name, query) not in self._same:
            began = time.monotonic()
            self._same[source.name, query] = await self._answer(source, query)
            if time.monotonic() - began > SLOW:
                self._too_slow(policy.namespace)
            else:
                self.slow.discard(policy.namespace)
        return self._same[source.name, query]

    async def _answer(self, source: Instant, query: str) -> str:
        try:
            values = await source.values(query, self.now)
        except QuestionFailed as error:
            return f"it could not be asked: {error}"
        objecting = [value for value in values if value != 0]  # NaN is not 0, and no consent
        return f"its answer is {objecting[0]:g}" if objecting else ""


@dataclass(slots=True)
class GuardContext:
    """Gathers the facts that guards need in addition to readings."""

    source_of: Callable[[Policy], Metrics | str]  # a policy's source, or why it has none
    silences: SilenceSource | None = None
    limits: Limits = field(default_factory=Limits)
    started: float = 0.0  # epoch s; since when this process leads
    veto_within: float = VETO_WITHIN  # s for all vetoes of a tick
    _slow: set[str] = field(default_factory=set)  # namespaces whose last veto queries were too slow

    @property
    def reads_silences(self) -> bool:
        """Whether an Alertmanager is configured at all; whether it answers is another question."""
        return self.silences is not None

    async def gather(
        self,
        evaluations: Sequence[PolicyEvaluation],
        snapshot: Snapshot,
        now: float,
        taking_back: Set[str] = frozenset(),
    ) -> Surroundings:
        """The whole context but the answers of vetoes. `taking_back`: UIDs of the policies with a replica due to be
        taken back."""
        # A clock that was set back must not make a quiet time of hours out of one of minutes.
        self.started = min(self.started, now)
        acting = any(
            each.policy.uid in taking_back or any(p.acting is not None for w in each.workloads for p in w.pods)
            for each in evaluations
        )
        return Surroundings(
            limits=self.limits,
            started=self.started,
            autoscalers=snapshot.autoscalers,
            silences=await self._silences() if acting else None,
        )

    def asking(self, now: float) -> Vetoes:
        """The vetoes of one tick, before any query was sent."""
        return Vetoes(self.source_of, now, self.veto_within, self._slow)

    async def _silences(self) -> Silences | None:
        if self.silences is None:
            return None
        try:
            return await self.silences.active()
        except Exception:
            log.exception("reading silences failed")
            return Silences(trouble="reading them failed")
