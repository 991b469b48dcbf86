"""Label sets are read once as long as they are sent, and forgotten when their pods are gone."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from leakwarden.adapters.prometheus import origins as module
from leakwarden.adapters.prometheus.decoding import RawSeries, SentSeries, label_set
from leakwarden.adapters.prometheus.origins import Origins, Scope
from leakwarden.adapters.prometheus.parts import together
from leakwarden.adapters.prometheus.response import Choices, join
from leakwarden.core.model.readings import Answer, Sampled, SeriesBlock, SeriesKey
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

    monkeypatch.setattr(module, "label_set", counted)
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


def _limited(first: int, count: int, at: float, values: Mapping[int, float]) -> SentSeries:
    return SentSeries.of(
        [
            RawSeries({"namespace": "shop", "pod": f"cart-{n}"}, values=[(at, str(values[n]))])
            for n in range(first, first + count)
        ]
    )


def test_the_limits_of_the_same_pods_are_read_again_in_each_answer() -> None:
    """What is remembered of a list of label sets is where the limits are, not what they are."""
    origins = Origins()
    for at, limit in ((0.0, 100.0), (30.0, 200.0), (60.0, -1.0)):
        limits = _limited(0, 3, at, {0: limit, 1: 50.0, 2: 70.0})
        answer = join(sent(0, 3, at), limits, scope(at), Choices(), origins)
        assert isinstance(answer, Sampled)
        known = {0: limit, 1: 50.0, 2: 70.0} if limit > 0 else {1: 50.0, 2: 70.0}
        assert dict(answer.limits) == {SeriesKey("shop", f"cart-{n}"): of for n, of in known.items()}


def test_limits_in_another_order_or_of_other_pods_go_to_their_own_pods() -> None:
    origins = Origins()
    limits = {n: 100.0 + n for n in range(6)}
    for at, first, count in ((0.0, 0, 3), (30.0, 2, 3), (60.0, 0, 6), (90.0, 0, 3)):
        sent_limits = _limited(first, count, at, limits)
        order = list(reversed(range(count)))
        turned = SentSeries(
            [sent_limits.labels[n] for n in order], sent_limits.sizes, sent_limits.t, sent_limits.v[order]
        )
        answer = join(sent(0, 3, at), turned, scope(at), Choices(), origins)
        assert isinstance(answer, Sampled)
        expected = {n: limits[n] for n in range(3) if first <= n < first + count}
        assert dict(answer.limits) == {SeriesKey("shop", f"cart-{n}"): of for n, of in expected.items()}


def test_a_pod_that_is_not_asked_for_any_more_is_left_out_although_the_same_list_is_sent() -> None:
    origins = Origins()
    for namespaces in (frozenset({"shop"}), frozenset({"other"}), frozenset({"shop", "other"})):
        answer = join(sent(0, 3, 30.0), NOBODY, replace(scope(30.0), namespaces=namespaces), Choices(), origins)
        assert isinstance(answer, Sampled) == ("shop" in namespaces)


def test_a_series_without_a_number_for_a_moment_is_left_out_for_that_moment() -> None:
    origins = Origins()
    for at, lost in ((0.0, None), (30.0, 1), (60.0, None)):
        values = sent(0, 3, at)
        if lost is not None:
            values.v[lost] = float("nan")
        answer = join(values, NOBODY, scope(at), Choices(), origins)
        assert isinstance(answer, Sampled)
        assert [key.pod for key in answer.series] == [f"cart-{n}" for n in range(3) if n != lost]


def test_several_threads_find_the_origins_of_their_own_answers_also_while_others_are_forgotten() -> None:
    origins = Origins()

    def read(thread: int) -> bool:
        for tick in range(60):
            at = 700.0 * tick  # each time what was not sent for ten minutes is forgotten
            answer = join(sent(10 * thread, 10, at), NOBODY, scope(at), Choices(), origins)
            assert isinstance(answer, Sampled)
            assert [key.pod for key in answer.series] == [f"cart-{n}" for n in range(10 * thread, 10 * thread + 10)]
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(8)))


def test_an_answer_in_parts_has_the_same_names_in_each_tick_and_the_limits_of_each_part() -> None:
    origins = Origins()
    found = []
    for at in (0.0, 60.0):
        parts: dict[frozenset[str], Answer] = {
            frozenset({f"{first}"}): join(
                sent(first, 3, at),
                _limited(first, 3, at, {n: 10.0 + n for n in range(6)}),
                scope(at),
                Choices(),
                origins,
            )
            for first in (0, 3)
        }
        answer = together(parts, origins.one_list)
        assert isinstance(answer, Sampled)
        assert dict(answer.limits) == {SeriesKey("shop", f"cart-{n}"): 10.0 + n for n in range(6)}
        found.append(SeriesBlock.of(answer.series).names)
    assert found[0] is found[1]
