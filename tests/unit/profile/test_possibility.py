"""What is Low reads as a possibility, whatever its kind: nobody acts on it as if it were known."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.catalogue import CATALOGUE
from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.possibility import MAYBE, as_possibility
from leakwarden.core.profile.shapes import Shape
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import goroutines, stack

KINDS = sorted({shape.name: shape for shape in CATALOGUE}.values(), key=lambda shape: shape.name)
SERVED = ("main.wait@3", "net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve")


def suspect(shape: Shape, unit: str, confidence: Confidence, calls: tuple[str, ...] = ("main.wait@3",)) -> Suspect:
    return Suspect(
        shape.name, shape.title, "main.wait", file="main.go", line=3, count=20, unit=unit, growth_per_s=1.0,
        confidence=confidence, reasons=(), why=shape.why, fix=shape.fix, stack=stack(calls), callers=(),
    )  # fmt: skip


@pytest.mark.parametrize("calls", [("main.wait@3",), SERVED])
@pytest.mark.parametrize("unit", ["goroutines", "objects"])
def test_no_text_of_low_confidence_states_a_leak_as_a_fact(unit: str, calls: tuple[str, ...]) -> None:
    for shape in KINDS:
        found = as_possibility(suspect(shape, unit, Confidence.LOW, calls))
        assert found.title == f"{MAYBE}{shape.title}"
        assert f": {MAYBE}" in found.headline
        assert found.why.startswith("may be ")
        assert "it is a leak if " in found.why
        assert found.fix.startswith("to see which: ")
        assert found.fix.index("if it is a leak: ") < found.fix.index(shape.fix)
        assert as_possibility(found) == found, "it is said once"


@pytest.mark.parametrize("confidence", [Confidence.MEDIUM, Confidence.HIGH])
def test_what_is_more_than_a_guess_is_said_plainly(confidence: Confidence) -> None:
    known = suspect(KINDS[0], "goroutines", confidence)
    assert as_possibility(known) == known


def test_the_harmless_cause_is_that_of_the_thing_that_grew() -> None:
    by_name = {shape.name: shape for shape in KINDS}

    def cause(name: str, unit: str, calls: tuple[str, ...] = ("main.wait@3",)) -> str:
        return as_possibility(suspect(by_name[name], unit, Confidence.LOW, calls)).why

    assert "peers, keys or workers" in cause("GrpcConnectionNotClosed", "goroutines")
    assert "requests or connections that are open" in cause("SelectNeverWoken", "goroutines", SERVED)
    assert "wait their turn" in cause("MutexHeld", "goroutines")
    assert "work in progress" in cause("ChannelSend", "goroutines")
    assert "a cache, pool or buffer that fills" in cause("EntriesNeverRemoved", "objects")
    assert "not given back yet" in cause("MemoryOutsideHeap", "objects")


def test_growth_that_no_detector_has_judged_is_told_as_a_possibility() -> None:
    senders = ["runtime.chansend1", "main.first.func1@22"]
    capture = Capture([goroutines((10, senders)), goroutines((900, senders))], [], None, 10.0)
    (alone,) = explain(capture).suspects
    (judged,) = explain(capture, growing=frozenset({"goroutines"})).suspects
    assert alone.confidence is Confidence.LOW
    assert alone.title.startswith(MAYBE)
    assert judged.confidence is not Confidence.LOW
    assert judged.title == alone.title.removeprefix(MAYBE)
