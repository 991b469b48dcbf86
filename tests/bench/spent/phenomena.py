"""Phenomena after public reports: 13 healthy, 13 leaking. Each function draws one workload with all its pods.

They were held out until 2026-11-30, and are spent: what they showed has changed the detector. They stay as examples, and
say nothing any more about workloads that nobody has seen: `python -m tests.bench --held-out tests/bench/spent/phenomena.py`.
Every docstring names its source. Descriptors, goroutines and connections are counts; heap and working set are bytes;
rates are requests/s. Time is epoch seconds.
"""

from __future__ import annotations

from tests.bench.spent.healthy import HEALTHY
from tests.bench.spent.leaking import LEAKING

PHENOMENA = [*HEALTHY, *LEAKING]
