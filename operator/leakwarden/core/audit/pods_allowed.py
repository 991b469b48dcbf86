"""The number of pods that a rollout may take away and add, as the Deployment controller counts them."""

from __future__ import annotations

from fractions import Fraction

from leakwarden.core.model.workload import Workload


def rolls(workload: Workload) -> bool:
    """Whether a rollout replaces pods little by little, by maxUnavailable and maxSurge."""
    return workload.kind in ("Deployment", "Rollout") and workload.strategy == "RollingUpdate" and workload.replicas > 0


def allowed_pods(workload: Workload) -> tuple[int, int]:
    """(maxUnavailable, maxSurge) in pods.

    The controller rounds unavailable down and surge up, and where both come to 0 it takes one pod down, since otherwise
    no rollout could proceed.
    """
    unavailable = _pods(workload.max_unavailable, workload.replicas, up=False)
    surge = _pods(workload.max_surge, workload.replicas, up=True)
    return (1, 0) if unavailable == surge == 0 else (unavailable, surge)


def _pods(value: int | str | None, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    digits = "25" if value is None else value.removesuffix("%")  # the default of both
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return 0  # the API server refuses the value; 0 is the most cautious assumption
    share = Fraction(of * int(digits), 100)
    return -(-share.numerator // share.denominator) if up else share.numerator // share.denominator
