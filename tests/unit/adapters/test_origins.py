"""Label sets are read once as long as they are sent, and forgotten when their pods are gone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from leakwarden.adapters.prometheus import response
from leakwarden.adapters.prometheus.decoding import RawSeries, SentSeries, label_set
from leakwarden.adapters.prometheus.response import Choices, Origins, Scope, join
from leakwarden.core.model.readings import Sampled, SeriesKey
from leakwarden.core.signals.catalogue import Labels

NOBODY = SentSeries.of([])


def sent(first: int, count: int, at: float, value: float = 1.0, **labels: str) -> SentSeries:
    return SentSeries.of(
        [
            RawSeries({"namespace": "shop", "pod": f"cart-{n}", **labels}, values=[(at, str(value))])
            for n in range(first, first + count)
        ]
    )


def scope(at: float) -> Scope:
    return Scope(Labels(), frozenset({"shop"}), at - 30, at)


def test_what_is_remembered_does_not_grow_with_the_pods_that_come_and_go() -> None:
    origins, most = Origins(), 0
    for tick in range(500):
        at = 30.0 * tick
        join(sent(10 * tick, 50, at), NOBODY, scope(at), Choices(), origins)  # ten of fifty pods are new each time
        most = max(most, len(origins))

    # Twenty minutes are forty ticks.
    assert 50 <= len(origins) <= most <= 3 * (50 + 10 * 40)


def test_a_label_set_that_goes_on_being_sent_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def counted(raw: bytes) -> Mapping[str, str]:
        read.append(raw)
        return label_set(raw)

    monkeypatch.setattr(response, "label_set", counted)
    origins = Origins()
    for tick in range(200):
        join(sent(0, 5, 30.0 * tick), NOBODY, scope(30.0 * tick), Choices(), origins)

    assert len(read) == 5


def test_a_value_finds_its_limit_also_when_older_label_sets_are_forgotten() -> None:
    origins = Origins()
    for at in (0.0, 630.0, 1300.0, 10_000.0):
        answer = join(
            sent(0, 3, at, __name__="process_open_fds"), sent(0, 3, at, 1024, __name__="process_max_fds"), scope(at),
            Choices(), origins,
        )  # fmt: skip
        assert isinstance(answer, Sampled)
        assert dict(answer.limits) == {SeriesKey("shop", f"cart-{n}"): 1024.0 for n in range(3)}
