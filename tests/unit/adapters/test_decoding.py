"""What Prometheus sends is the same numbers, whether many series are read by one call or each by itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.adapters.prometheus import decoding
from leakwarden.adapters.prometheus.decoding import BadResponse, RawSeries, decode, label_set

NUMBERS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "0", "-0", "1e-320", "1_0", " 7", "0x10", "infinity", "nan(1)", "", "[1", "x", "1,2", "\u0661", " ", "1-2", "1e", "+", "Na", "1e5e", "\\"]),
)  # fmt: skip
MOMENTS = st.one_of(st.integers(0, 2**40), st.floats(0, 2e9, allow_nan=False))
SERIES = st.fixed_dictionaries(
    {"metric": st.dictionaries(st.sampled_from(["pod", "namespace"]), st.text(max_size=3))},
    optional={
        "values": st.lists(st.tuples(MOMENTS, NUMBERS), max_size=4),
        "value": st.one_of(st.none(), st.tuples(MOMENTS, NUMBERS)),
    },
)
EVEN = st.fixed_dictionaries(
    {"metric": st.dictionaries(st.sampled_from(["pod", "namespace"]), st.text(max_size=3)),
     "values": st.lists(st.tuples(MOMENTS, st.floats().map(repr)), min_size=1, max_size=4)}
)  # fmt: skip


def body(result: Any, indent: int | None = None) -> bytes:
    return json.dumps({"status": "success", "data": {"result": result}}, indent=indent).encode()


def as_prometheus(result: Any) -> bytes:
    """Without blanks, as Prometheus writes it."""
    answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def one_by_one(series: RawSeries) -> list[tuple[float, float]] | None:
    """The points of a series, None where they cannot be read. Zero has no sign here, since nothing asks for it, and JSON
    reads `-0` as the integer 0."""
    samples = series.values or ([series.value] if series.value is not None else [])
    try:
        return [(float(at), float(value) + 0.0) for at, value in samples]
    except ValueError:
        return None


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    st.one_of(st.lists(SERIES, max_size=5), st.lists(EVEN, max_size=5)),
    st.sampled_from([body, partial(body, indent=1), as_prometheus]),
)
def test_many_series_at_once_are_each_series_by_itself(
    sent: list[dict[str, Any]], write: Callable[[Any], bytes]
) -> None:
    answered = write(sent)
    wanted = [msgspec.convert(each, RawSeries) for each in json.loads(answered)["data"]["result"]]

    found = decode(answered)

    places, end = {}, 0
    for place, size in enumerate(found.sizes.tolist()):
        begin, end = end, end + size
        places[place] = list(zip(found.t[begin:end].tolist(), (found.v[begin:end] + 0.0).tolist(), strict=True))
    for place, series in enumerate(wanted):
        points = one_by_one(series)
        assert (place in found.bad) == (points is None)
        assert repr(places[place]) == repr(points or [])
    assert len(found) == len(wanted)
    assert [label_set(each) for each in found.labels] == [series.metric for series in wanted]


@pytest.mark.parametrize("sample", [{"values": [[1, "2"], [3, "NaN"]]}, {"value": [1, "2"]}])
@pytest.mark.parametrize("chunk", [40, 4 << 20])
def test_an_answer_as_prometheus_writes_it_is_cut_and_not_decoded(
    sample: dict[str, Any], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_CHUNK", chunk)
    monkeypatch.setattr(decoding, "_series_by_series", None)  # would raise
    sent = [{"metric": {"pod": f'a-{n}\\"],[', "x": "},"}, **sample} for n in range(50)]

    found = decode(as_prometheus(sent))

    assert [label_set(each) for each in found.labels] == [each["metric"] for each in sent]
    assert found.sizes.tolist() == [len(sample.get("values", "1"))] * 50
    assert (found.t[0], found.v[0], set(found.t.tolist()) - {1.0, 3.0}) == (1.0, 2.0, set())


@pytest.mark.parametrize(
    "series",
    [
        {"metric": {"pod": "a{b"}, "values": [[1, "2"]]},
        {"metric": {"pod": "a"}, "values": [[1, "2"]], "histograms": [[1, {"count": "3"}]]},
        {"values": [[1, "2"]], "metric": {"pod": "a"}},
        {"metric": {"pod": "a"}, "extra": {"b": "c"}, "values": [[1, "2"]]},
        {"metric": {"pod": "a"}, "values": []},
        {"metric": {"pod": "a"}, "value": [1, "2"]},
    ],
)
def test_what_is_written_otherwise_is_read_too(series: dict[str, Any]) -> None:
    usual = {"metric": {"pod": "b"}, "values": [[1, "2"], [3, "4"]]}
    for sent in ([series], [usual, series], [series, usual], [usual, series, usual]):
        found = decode(as_prometheus(sent))

        assert [label_set(each)["pod"] for each in found.labels] == [each["metric"]["pod"] for each in sent]
        points = [each.get("values", [each.get("value")]) for each in sent]
        assert found.sizes.tolist() == [len(each) for each in points]
        assert found.v.tolist() == [float(value) for each in points for _, value in each]


@pytest.mark.parametrize(
    "points",
    ['[[1,2]]', '[["1","2"]]', '[[1,"2","3"]]', '[[1]]', '[1,"2"]', '[[1,"2"],[3]]', '[[1,"2"],["3",4]]', 'null', '{}', '[[1,null]]', '[[[1],"2"]]'],
)  # fmt: skip
def test_points_of_another_shape_are_refused(points: str) -> None:
    with pytest.raises(BadResponse):
        decode(f'{{"status":"success","data":{{"result":[{{"metric":{{}},"values":{points}}}]}}}}'.encode())


def test_a_large_answer_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decode(body([{"metric": {"pod": str(n)}, "values": [[n, str(n)], [n + 1, "NaN"]]} for n in range(50)]))
    monkeypatch.setattr(decoding, "_CHUNK", 40)
    parts = decode(body([{"metric": {"pod": str(n)}, "values": [[n, str(n)], [n + 1, "NaN"]]} for n in range(50)]))

    assert parts.sizes.tolist() == whole.sizes.tolist() == [2] * 50
    assert parts.t.tolist() == whole.t.tolist()
    assert [value for value in parts.v.tolist() if not math.isnan(value)] == list(range(50))


def test_a_number_that_cannot_be_read_is_of_its_own_series_only() -> None:
    found = decode(
        body([{"metric": {"pod": "a"}, "values": [[1, "x"]]}, {"metric": {"pod": "b"}, "values": [[1, "2"]]}])
    )
    assert (found.bad, found.sizes.tolist(), found.v.tolist()) == ({0}, [0, 1], [2.0])
