"""A report's text about open descriptors: lines that a person reads at a glance, and suspects with the observed
detail."""

from __future__ import annotations

import pytest

from leakwarden.api.v1alpha1.evidence_status import EvidenceState, EvidenceStatus, SuspectStatus
from leakwarden.core.descriptors.census import Census
from leakwarden.core.descriptors.telling import lines, strengthened, summary

BODY = Census(
    1, 1, 171, whole=True,
    kinds={"tcp CLOSE_WAIT": 148, "tcp ESTABLISHED": 12, "file": 3, "pipe": 2, "eventfd": 1, "epoll": 1, "tcp LISTEN": 1},
    ends=(("CLOSE_WAIT", "10.0.0.9:80", 148), ("ESTABLISHED", ":8080", 9), ("ESTABLISHED", "10.0.0.7:5432", 3), ("LISTEN", ":8080", 1)),
    files=(("/dev/null", 3),),
)  # fmt: skip
FILES = Census(
    1, 1, 171, whole=True, kinds={"file": 163, "tcp LISTEN": 2}, ends=(), files=(("/tmp/spool-* (deleted)", 160), ("/dev/null", 3)),
)  # fmt: skip


def test_each_kind_is_a_line_with_its_places_and_the_most_numerous_first() -> None:
    assert lines(BODY) == [
        "148 sockets in CLOSE_WAIT: 148 to 10.0.0.9:80",
        "12 sockets in ESTABLISHED: 9 accepted on :8080, 3 to 10.0.0.7:5432",
        "3 files: 3 /dev/null",
        "2 ends of pipes",
        "1 eventfd",
        "1 epoll instance",
        "1 socket in LISTEN: :8080",
    ]
    assert lines(FILES)[0] == "163 files: 160 /tmp/spool-* (deleted), 3 /dev/null"


def test_that_only_a_part_was_looked_at_is_said_first() -> None:
    assert lines(BODY._replace(whole=False, total=50_000))[0].startswith("only the first 50000 descriptors")


@pytest.mark.parametrize(
    ("census", "expected"),
    [
        (BODY, "161 sockets, 148 in CLOSE_WAIT to 10.0.0.9:80"),
        (FILES, "171 descriptors, 160 files /tmp/spool-* (deleted)"),
        (BODY._replace(ends=()), "161 sockets, 148 in CLOSE_WAIT"),
        (BODY._replace(ends=(("CLOSE_WAIT", "10.0.0.9:80", 20),)), "161 sockets, 148 in CLOSE_WAIT"),
        (BODY._replace(kinds={"unix": 90}), "90 sockets"),
        (BODY._replace(kinds={"pipe": 171}), "171 descriptors"),
        (FILES._replace(files=(("/a", 9),)), "171 descriptors, 163 files"),
    ],
)
def test_all_in_one_line(census: Census, expected: str) -> None:
    assert summary(census) == expected


def suspect(shape: str, confidence: str = "Low") -> SuspectStatus:
    return SuspectStatus(shape=shape, function="main.f", confidence=confidence, explanation="Seen. Usual fix: close it")


def test_a_suspected_file_leak_is_told_which_files_are_open_and_is_surer() -> None:
    (found,) = strengthened([suspect("FileNotClosed")], FILES)
    assert found.explanation.endswith("Open files: 160 /tmp/spool-* (deleted).")
    assert found.confidence == "Medium"
    assert strengthened([found], FILES) == [found]


def test_a_suspected_connection_leak_is_told_to_whom_and_is_as_sure_as_before() -> None:
    (found,) = strengthened([suspect("ResponseBodyNotClosed", "High")], BODY)
    assert found.explanation.endswith("Open sockets: 148 in CLOSE_WAIT to 10.0.0.9:80.")
    assert found.confidence == "High"


@pytest.mark.parametrize(
    ("shape", "census"),
    [("FileNotClosed", BODY), ("ResponseBodyNotClosed", FILES), ("ChannelSend", BODY),
     ("TransportPerRequest", BODY._replace(ends=(("ESTABLISHED", ":8080", 148),)))],
)  # fmt: skip
def test_descriptors_of_another_kind_say_nothing_about_a_suspect(shape: str, census: Census) -> None:
    before = suspect(shape)
    assert strengthened([before], census) == [before]


def test_whatever_is_told_fits_into_the_status() -> None:
    kinds = {"file": 9, **{f"tcp STATE_{letter}A": 5 for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}
    long = Census(1, 1, 999, whole=False, kinds=kinds, ends=(), files=(("/" + "n" * 159, 3),) * 8)
    told = EvidenceStatus(
        state=EvidenceState.CAPTURED,
        summary=summary(long),
        descriptors=lines(long),
        suspects=strengthened([SuspectStatus(shape="FileNotClosed", explanation="x" * 1024)], FILES),
    )
    assert EvidenceStatus.model_validate(told.model_dump(by_alias=True)) == told
    assert told.suspects[0].explanation.endswith("/tmp/spool-* (deleted).")
