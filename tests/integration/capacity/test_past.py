"""Capacity from a Prometheus's stored series, by the operator's own queries."""

from __future__ import annotations

import time

import pytest

from leakwarden.adapters.prometheus.endpoints_file import Endpoint
from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.cli.capacity.past import NothingRead, past
from leakwarden.core.capacity.curve import memory_per_million, points, sustained
from leakwarden.core.signals.catalogue import CONTEXT, Labels, render
from tests.integration.prometheus.fake_prometheus import FakePrometheus, prometheus
from tests.integration.prometheus.queries import values_of

MIB = 2**20
STEP, MINUTES = 60, 120
RATE = render(CONTEXT["rate"], matchers='namespace="shop"', bucket=60.0, max_age=300.0, labels=Labels())


def endpoint(fake: FakePrometheus) -> Endpoint:
    return Endpoint.model_validate({"name": "capacity", "url": fake.url, "timeout": "10s"})


def a_pod(fake: FakePrometheus, name: str, highest: float) -> None:
    """Two hours in which the load rises to `highest`; the P99 as of a queue that takes 100/s."""
    end = int(time.time()) // STEP * STEP
    times = [end - STEP * (MINUTES - 1 - n) for n in range(MINUTES)]
    loads = [highest * (n + 1) / MINUTES for n in range(MINUTES)]
    of = {"namespace": "shop", "pod": name}

    def add(query: str, values: list[float], **labels: str) -> None:
        fake.series.setdefault(query, []).append(
            ({**of, **labels}, [(t, str(v)) for t, v in zip(times, values, strict=True)])
        )

    add(RATE, loads)
    add(values_of(SignalType.LATENCY_P99, "shop"), [0.02 / (1 - q / 100) for q in loads])
    add(values_of(SignalType.WORKING_SET, "shop"), [(50 + q) * MIB for q in loads], container="app")
    add(values_of(SignalType.WORKING_SET, "shop"), [10.0 * MIB] * MINUTES, container="sidecar")


async def test_the_curve_of_a_workloads_pods_is_read_and_those_of_others_are_not() -> None:
    async with prometheus() as fake:
        a_pod(fake, "checkout-a", 95.0)
        a_pod(fake, "checkout-b", 60.0)
        a_pod(fake, "cart-a", 99.0)
        found = await past(endpoint(fake), "shop", "checkout-", 7200.0)
    assert len(found.by_pod) == 2
    assert found.today == pytest.approx(95 * (1 - 5.5 / MINUTES), rel=0.03)
    assert found.highest == pytest.approx(155.0, rel=0.02)
    curve = points(found.measured)
    carried = sustained(curve, 0.2)
    assert carried is not None
    assert carried.bounded
    assert 50 <= carried.qps <= 92
    # Both containers together, and not a byte of it grows with the number of requests.
    assert curve[0].memory == pytest.approx((60 + curve[0].qps) * MIB, rel=0.01)
    assert memory_per_million(found.runs(curve)) == pytest.approx(0.0, abs=MIB)


async def test_a_server_without_a_load_and_one_that_fails_are_told_apart() -> None:
    async with prometheus() as fake:
        with pytest.raises(NothingRead) as empty:
            await past(endpoint(fake), "shop", "checkout-", 7200.0)
        fake.wanted_authorization = "Bearer of-somebody-else"
        with pytest.raises(NothingRead) as refused:
            await past(endpoint(fake), "shop", "checkout-", 7200.0)
    assert "no pod shop/checkout-... has a request counter" in str(empty.value)
    assert "no pod" not in str(refused.value)
