"""Log lines: counted by their content, within the episode's time, and without secrets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.correlation import log_lines
from leakwarden.core.correlation.episode import LogKind
from leakwarden.core.correlation.log_lines import KEPT, LONGEST, kind_of, log_evidence, without_secrets


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s", LogKind.OPEN_FILES),
        ('{"level":"ERROR","error":"dial tcp 10.0.0.7:5432: connect: connection refused"}', LogKind.REFUSED),
        ("connect() failed (111: Connection refused) while connecting to upstream", LogKind.REFUSED),
        ("pq: sorry, too many clients already", LogKind.POOL_WAIT),
        ("upstream timed out (110: Connection timed out) while reading response header", LogKind.DEADLINE),
        ('Get "http://prices": context deadline exceeded', LogKind.DEADLINE),
        ("query: context canceled", LogKind.CANCELLED),
        ("listening on :8080", None),
    ],
)
def test_a_line_is_known_by_what_it_says(line: str, kind: LogKind | None) -> None:
    assert kind_of(line) is kind


def test_only_lines_of_the_time_count_and_those_without_a_time_do() -> None:
    lines = [
        "2026-11-30T02:00:00Z accept: too many open files",
        '{"time":"2026-11-30T02:10:00.123+00:00","error":"too many open files"}',
        "accept: too many open files",
        "2026-11-30T02:10:00Z all is well",
    ]
    found = log_evidence(lines, 1796004300.0, 1796004900.0)  # 02:05 to 02:15
    assert found.counts == {LogKind.OPEN_FILES: 2}
    assert found.read == 4


def test_the_first_lines_of_a_kind_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    found = log_evidence([f"{n} connection refused" for n in range(10)], 0, 1)
    assert found.counts == {LogKind.REFUSED: 10}
    assert [line for _, line in found.first] == [f"{n} connection refused" for n in range(KEPT)]
    monkeypatch.setattr(log_lines, "MOST_LINES", 4)
    bounded = log_evidence([f"{n} connection refused" for n in range(10)], 0, 1)
    assert (bounded.read, bounded.left_out, bounded.counts) == (4, 6, {LogKind.REFUSED: 4})


def test_a_line_is_looked_at_up_to_a_bound() -> None:
    assert log_evidence(["x" * LONGEST + " connection refused"], 0, 1).counts == {}


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("dial postgres://shop:hunter2@db:5432/shop: connection refused", "hunter2"),
        ("password=hunter2 connection refused", "hunter2"),
        ('{"token":"hunter2","error":"connection refused"}', "hunter2"),
        ("Authorization: Bearer hunter2.abc connection refused", "hunter2"),
        ("sent Bearer hunter2 connection refused", "hunter2"),
        ("key AKIA0123456789ABCDEF0123456789 connection refused", "AKIA0123456789"),
    ],
)
def test_secrets_are_cut_and_the_rest_stays(line: str, cut: str) -> None:
    found = without_secrets(line)
    assert cut not in found
    assert "connection refused" in found


@given(st.text(max_size=LONGEST))
def test_no_line_ends_the_reading(text: str) -> None:
    assert log_evidence([text], 0, 1).read == 1
