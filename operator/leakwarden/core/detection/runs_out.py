"""The resource that will run out first where a signal has no limit of its own, and when, as far as that is known."""

from __future__ import annotations

from leakwarden.api.scalars import format_duration

# net.ipv4.ip_local_port_range is 32768 to 60999 by default: so many connections to one address.
LOCAL_PORTS = 28_232
# The least stack of a goroutine, bytes (Go's runtime, stackMin): the memory that it holds is additional, so memory does
# not last longer than this shows.
LEAST_STACK = 2048.0


def runs_out(
    signal: str, value: float, per_hour: float, memory_left: float | None, memory_per_hour: float | None
) -> str:
    """In words; empty where nothing is known. `per_hour`: growth in the signal's unit. `memory_left`: bytes until the
    container's limit, None where it has none; `memory_per_hour`: its growth in bytes, None where it is not known."""
    if not per_hour > 0:
        return ""
    if signal in ("Descriptors", "Sockets"):
        if value >= LOCAL_PORTS:
            return ""
        left = _in((LOCAL_PORTS - value) / per_hour)
        return f"connections to one address would use up its {LOCAL_PORTS:,} local ports in {left}"
    if signal == "Goroutines" and memory_left is not None and memory_left > 0:
        if memory_per_hour is not None and memory_per_hour > per_hour * LEAST_STACK:
            each = memory_per_hour / per_hour / 1000
            return f"container memory runs out in {_in(memory_left / memory_per_hour)}, at {each:,.0f} kB a goroutine"
        left = _in(memory_left / (per_hour * LEAST_STACK))
        return f"container memory runs out in {left} at the latest, at 2 KiB of stack a goroutine"
    return ""


def _in(hours: float) -> str:
    return format_duration(max(round(hours * 60), 1) * 60.0 if hours < 48 else round(hours) * 3600.0)
