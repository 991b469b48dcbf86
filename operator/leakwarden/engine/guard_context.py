"""Gathers what guards need to know besides readings: veto queries, silences, autoscalers, since when we lead.

Only policies with a pod that would be acted on have their vetoes asked: a thousand calm policies cost no query. Whatever
could not be learnt is handed on as such, and the guards then refuse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

from leakwarden.api.v1alpha1.maintenance import Veto
from leakwarden.core.evaluation.evaluation import PolicyEvaluation
from leakwarden.core.guards import Surroundings
from leakwarden.core.guards.limits import Limits
from leakwarden.core.guards.silences import Silences
from leakwarden.core.model.policy import Policy
from leakwarden.core.model.workload import Snapshot
from leakwarden.core.promql import PromQLError, Question
from leakwarden.engine.ports import Instant, Metrics, QuestionFailed, SilenceSource

log = logging.getLogger("leakwarden.lookout")


@dataclass(slots=True)
class GuardContext:
    """`source_of` gives a policy's source, or why it has none; `started` is since when this process leads, epoch s."""

    source_of: Callable[[Policy], Metrics | str]
    silences: SilenceSource | None = None
    limits: Limits = field(default_factory=Limits)
    started: float = 0.0

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
        """`taking_back`: UIDs of the policies with a replica that is due to be taken back."""
        # A clock that was set back must not make a quiet time of hours out of one of minutes.
        self.started = min(self.started, now)
        acting = [
            each
            for each in evaluations
            if each.policy.uid in taking_back or any(p.acting is not None for w in each.workloads for p in w.pods)
        ]
        questions = [
            (each.policy, veto)
            for each in acting
            for veto in (each.policy.spec.vetoes if each.policy.spec is not None else ())
        ]
        answers = await asyncio.gather(*(self._ask(policy, veto, now) for policy, veto in questions))
        return Surroundings(
            limits=self.limits,
            started=self.started,
            autoscalers=snapshot.autoscalers,
            vetoes={(policy.uid, veto.name): said for (policy, veto), said in zip(questions, answers, strict=True)},
            silences=await self._silences() if acting else None,
        )

    async def _ask(self, policy: Policy, veto: Veto, now: float) -> str:
        """The objection in words; empty where there is none."""
        source = self.source_of(policy)
        if isinstance(source, str):
            return f"it could not be asked: {source}"
        if not isinstance(source, Instant):
            return f"it could not be asked: {source.name} does not know PromQL"
        namespace_label, pod_label = source.pod_labels
        try:
            question = Question(veto.query, policy.namespace, namespace_label, pod_label, of_pods=False)
            values = await source.values(policy.ask(question).query, now)
        except (PromQLError, QuestionFailed) as error:
            return f"it could not be asked: {error}"
        except Exception:  # it promised not to; one policy must not stop the others
            log.exception("asking a veto failed", extra={"policy": policy.key})
            return "it could not be asked"
        objecting = [value for value in values if value != 0]  # NaN is not 0, and no consent
        return f"its answer is {objecting[0]:g}" if objecting else ""

    async def _silences(self) -> Silences | None:
        if self.silences is None:
            return None
        try:
            return await self.silences.active()
        except Exception:
            log.exception("reading silences failed")
            return Silences(trouble="reading them failed")
