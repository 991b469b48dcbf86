"""The installation's limits for all policies together: the operator's own configuration, never a policy's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. The defaults are those of the chart.

    Twenty actions an hour in a cluster and ten in a namespace are more than a person follows; more leaks than that have
    one cause, not many. Ten Deployments that begin to run out within ten minutes share a dependency, a node or a
    release: restarting them would be a wave, not a remedy.
    """

    max_concurrent: int = 1  # Deployments with an action under way, in the whole cluster
    # How long one action may count among them: a policy's verification may take a day, and must not hold up everybody.
    slot_time: float = 1800.0
    namespace_actions: int = 10
    cluster_actions: int = 20
    window: float = 3600.0
    storm_actions: int = 10
    storm_workloads: int = 10
    storm_window: float = 600.0
    storm_cooldown: float = 1800.0
    storm_enabled: bool = True
    quiet_after_start: float = 300.0
