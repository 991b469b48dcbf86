"""The answers of Prometheus, decoded from the bytes into arrays.

Two hours of 10,000 pods are some 20 MB of JSON. As tuples of numbers they would be some 200 MB, and a first read of six
signals has several of them at once. So the decoder leaves labels and points as they were sent: labels are found by
their bytes, and the numbers of many series are read by one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import msgspec
import numpy as np

from leakwarden.core.model.readings import Counts, Floats

# Bytes of points whose numbers are read by one call: a bound for the copies that this needs.
_CHUNK = 4 << 20
_EVERY_BYTE = bytes(range(256))
# The characters that are left of `[[1790000000,"12.5"],[1790000060,"13"]]` without numbers and blanks.
_NOT_SHAPE = _EVERY_BYTE.translate(None, delete=b'[]",')
_POINT = b'[,""],'
# The characters of numbers; NaN and Inf are spelt so. Points with other characters are read one by one, and so are
# those with blanks, which no server writes there.
_USUAL = b'0123456789+-.eENaInf,[]"'


class BadResponse(Exception):
    """The body is not an answer of the query API."""


class PartialResponse(Exception):
    """The server reports that some of its stores did not answer: the missing series would look like no data."""


class RawSeries(msgspec.Struct):
    """One series as sent: a range has `values`, an instant `value`; native histograms have neither."""

    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Sent(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: msgspec.Raw = msgspec.Raw(b"")
    value: msgspec.Raw = msgspec.Raw(b"")


class _Data(msgspec.Struct):
    # Google's frontend, Cortex and old Prometheus write null for an empty list.
    result: list[_Sent] | None


class _Unread(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")


class _Body(msgspec.Struct):
    status: str
    data: _Unread | None = None
    warnings: list[str] | None = None
    isPartial: bool | None = None  # noqa: N815 (VictoriaMetrics' name)


class _Series(msgspec.Struct):
    data: _Data


class _Error(msgspec.Struct):
    errorType: str = ""  # noqa: N815 (the API's name)


_decoder = msgspec.json.Decoder(_Body)
_series_decoder = msgspec.json.Decoder(_Series)
_error_decoder = msgspec.json.Decoder(_Error)
_metric_decoder = msgspec.json.Decoder(dict[str, str])
_numbers_decoder = msgspec.json.Decoder(list[float])
_points_decoder = msgspec.json.Decoder(list[tuple[float, str]])
_DECODING = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class SentSeries:
    """The series of one answer, as they were sent: points in any order, and with values that are not numbers."""

    __slots__ = ("bad", "labels", "sizes", "t", "v")

    def __init__(
        self, labels: Sequence[bytes], sizes: Counts, t: Floats, v: Floats, *, bad: Set[int] = frozenset()
    ) -> None:
        self.labels = labels  # the label set of each series, as JSON without its braces
        self.sizes = sizes  # the number of points of each series
        self.t = t  # epoch s, of the points of all series, one after the other
        self.v = v  # their values
        self.bad = bad  # places of the series whose values cannot be read; they have no points here

    @classmethod
    def of(cls, series: Sequence[RawSeries]) -> SentSeries:
        """The same as if the server had sent these series."""
        labels = [msgspec.json.encode(each.metric)[1:-1] for each in series]
        return _read(
            labels, [msgspec.json.encode(each.values or ([each.value] if each.value else [])) for each in series]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def newest(self) -> list[float | None]:
        """The value of each series that was sent last; None where none was."""
        ends = np.cumsum(self.sizes)
        there = self.sizes > 0
        found = np.full(len(self), np.nan)
        found[there] = self.v[ends[there] - 1]
        return [value if known else None for value, known in zip(found.tolist(), there.tolist(), strict=True)]


def decode(body: bytes | bytearray) -> SentSeries:
    """The series of a 200 answer. Raises BadResponse, PartialResponse."""
    try:
        answer = _decoder.decode(body)
    except _DECODING:
        raise BadResponse from None
    if answer.status != "success" or answer.data is None:
        raise BadResponse
    # Remarks about the query itself (Prometheus 2.48 and later) do not mean missing data; any other warning does.
    if answer.isPartial or any(
        not text.startswith(("PromQL info:", "PromQL warning:")) for text in answer.warnings or ()
    ):
        raise PartialResponse
    found = _as_prometheus_writes_it(answer.data.result)
    return found if found is not None else _series_by_series(body)


def _series_by_series(body: bytes | bytearray) -> SentSeries:
    """The series of any answer, whatever the order of its fields. Raises BadResponse."""
    try:
        result = _series_decoder.decode(body).data.result or []
    except _DECODING:
        raise BadResponse from None
    points = []
    if not all(bytes(each.metric).startswith(b"{") for each in result):
        raise BadResponse
    for each in result:
        values, value = bytes(each.values), bytes(each.value)
        if values == b"null":
            raise BadResponse
        if values in (b"", b"[]") and value not in (b"", b"null"):
            values = b"[" + value + b"]"
        points.append(values or b"[]")
    return _read([bytes(each.metric)[1:-1] for each in result], points)


@dataclass(frozen=True, slots=True)
class _Form:
    """The bytes that are between a series' labels and its points, between its points and the next labels, and after the
    last points."""

    to_points: bytes
    to_labels: bytes
    end: bytes


_FORMS = (
    _Form(b'},"values":[[', b']]},{"metric":{', b"]]}]"),
    _Form(b'},"value":[', b']},{"metric":{', b"]}]"),
)
_FIRST, _NEXT = b'[{"metric":{', b',{"metric":{'
_LONGEST_SERIES = 1 << 20  # bytes; where one is longer, all are read one by one


def _as_prometheus_writes_it(result: msgspec.Raw) -> SentSeries | None:
    """The series, cut at the bytes that Prometheus writes between them: four times as fast as one object for each. None
    where anything is written otherwise, such as by other servers or for native histograms.

    The JSON is known to be valid, so quotation marks without a backslash are never within a text, and neither are the
    bytes that are cut at, which have some."""
    sent = memoryview(result)
    opening = bytes(sent[: _LONGEST_SERIES + len(_FIRST)])
    form = next((form for form in _FORMS if form.to_points in opening), None)
    if form is None or not opening.startswith(_FIRST):
        return None
    labels: list[bytes] = []
    parts = []
    for part in _parts(sent):
        read = _part(part, form, labels)
        if read is None:
            return None
        parts.append(read)
    sizes, t, v = (np.concatenate(each) if len(each) > 1 else each[0] for each in zip(*parts, strict=True))
    return SentSeries(labels, sizes, t, v)


def _parts(sent: memoryview) -> Iterator[bytes]:
    """The list of series in parts of about _CHUNK bytes, each written as a whole list."""
    begin, end = 1, len(sent)
    while begin < end:
        cut = end
        if end - begin > _CHUNK:
            at = bytes(sent[begin + _CHUNK : begin + _CHUNK + _LONGEST_SERIES]).find(_NEXT)
            cut = end if at < 0 else begin + _CHUNK + at
        yield b"[" + sent[begin:cut] + (b"]" if cut < end else b"")
        begin = cut + 1


def _part(part: bytes, form: _Form, labels: list[bytes]) -> tuple[Counts, Floats, Floats] | None:
    """The number of points of each series, and all their times and values; `labels` gets their label sets."""
    if not part.startswith(_FIRST) or not part.endswith(form.end):
        return None
    pieces = part[len(_FIRST) : -len(form.end)].replace(form.to_labels, form.to_points).split(form.to_points)
    # Each series has two braces: its own and that of its labels. More would be in a name, or of another field.
    if part.count(b"{") != len(pieces) or len(pieces) % 2:
        return None
    labels += pieces[0::2]
    points = pieces[1::2]  # each is checked to be of points only, so labels and points are in turn
    sizes = np.array([own.count(b"[") + 1 for own in points], dtype=np.int64)
    # Joined like the points of one series, so that all are written alike.
    numbers = _usual_numbers(b"],[".join(points), int(sizes.sum()))
    if numbers is None:
        return None
    return sizes, np.ascontiguousarray(numbers[0::2]), np.ascontiguousarray(numbers[1::2])


def _usual_numbers(points: bytes, count: int) -> Floats | None:
    """Times and values in turn of points such as `1790000000,"12.5"],[1790000060,"13"`; None where they are not. The JSON
    is known to be valid; its brackets and quotation marks show that each point is a number and then a text."""
    if not count:
        return np.empty(0)
    if b'""' in points or points.translate(None, delete=_USUAL):
        return None
    if points.translate(None, delete=_NOT_SHAPE) != (_POINT * count)[1:-2]:
        return None
    numbers = points.translate(None, delete=b'[]"')
    try:
        # Three times as fast as the next, and not for NaN.
        read = np.fromiter(_numbers_decoder.decode(b"[" + numbers + b"]"), np.float64)
    except _DECODING:
        try:
            read = np.fromstring(numbers, sep=",")
        except ValueError:
            return None
    return read if read.size == 2 * count else None


def error_type(body: bytes | bytearray) -> str:
    """The API's own class of error, such as `timeout`, or empty. Never its text, which may contain secrets."""
    try:
        return _error_decoder.decode(body).errorType
    except _DECODING:
        return ""


def label_set(sent: bytes) -> dict[str, str]:
    """A label set, as in `SentSeries.labels`, as a mapping. Raises BadResponse."""
    try:
        return _metric_decoder.decode(b"{" + sent + b"}")
    except _DECODING:
        raise BadResponse from None


def _read(labels: Sequence[bytes], points: Sequence[bytes]) -> SentSeries:
    """Read some MB at a time. Raises BadResponse where a point is not a time and a text."""
    sizes: list[Counts] = []
    numbers: list[Floats] = []
    bad: set[int] = set()
    first = taken = 0
    for place, text in enumerate(points):
        taken += len(text)
        if taken >= _CHUNK or place == len(points) - 1:
            counted, read = _numbers(points[first : place + 1], first, bad)
            sizes.append(counted)
            numbers.append(read)
            first, taken = place + 1, 0
    every = np.concatenate(numbers) if numbers else np.empty(0)
    return SentSeries(
        labels,
        np.concatenate(sizes) if sizes else np.empty(0, np.int64),
        np.ascontiguousarray(every[0::2]),
        np.ascontiguousarray(every[1::2]),
        bad=bad,
    )


def _numbers(points: Sequence[bytes], first: int, bad: set[int]) -> tuple[Counts, Floats]:
    """The number of points of each series, and all their times and values in turn."""
    counted = np.array([text.count(b"[") - 1 for text in points], dtype=np.int64)
    total = int(counted.sum())
    some = [text for text, size in zip(points, counted.tolist(), strict=True) if size > 0]
    if len(some) + points.count(b"[]") == len(points) and all(
        text.startswith(b"[[") and text.endswith(b"]]") for text in some
    ):
        read = _usual_numbers(b"],[".join([text[2:-2] for text in some]), total)
        if read is not None:
            return counted, read
    return _one_by_one(points, first, bad)


def _one_by_one(points: Sequence[bytes], first: int, bad: set[int]) -> tuple[Counts, Floats]:
    """The same for unusual points, such as numbers that are written with other characters."""
    counted, read = [], []
    for place, text in enumerate(points, first):
        try:
            pairs = [(at, float(value)) for at, value in _points_decoder.decode(text)]
        except _DECODING:
            raise BadResponse from None
        except ValueError:
            bad.add(place)
            pairs = []
        counted.append(len(pairs))
        read += [number for pair in pairs for number in pair]
    return np.array(counted, dtype=np.int64), np.array(read, dtype=np.float64)
