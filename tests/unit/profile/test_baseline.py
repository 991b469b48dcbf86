"""Counts by site: the same for the same code, bounded, and without invented growth."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.profile.baseline import SITES, SiteCounts, site_counts, site_key
from leakwarden.core.profile.evidence import Confidence
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import call, goroutines, heap

SEND = ["runtime.chansend1@1", "main.first.func1@22"]
KEPT = ["bytes.Clone@1", "main.(*index).add@31"]


def test_a_site_is_the_same_wherever_the_binary_was_built() -> None:
    here = (call("main.a@1"), call("main.b@2"))
    there = tuple(replace(frame, file="/elsewhere/main.go") for frame in here)
    assert site_key(here) == site_key(there)
    assert site_key(here) != site_key(here[:1])


def test_growth_over_a_baseline_counts_where_nothing_grows_any_more() -> None:
    baseline = site_counts(goroutines((4, SEND)), None, 0.0)
    now = goroutines((900, SEND))
    found = explain(
        Capture([now, now], baseline=baseline, baseline_seconds=7200.0, seconds=10.0), growing=frozenset({"goroutines"})
    )
    (suspect,) = found.suspects
    assert (suspect.confidence, suspect.explains, suspect.growth_per_s) == (Confidence.HIGH, 1.0, 0.0)
    assert "4 became 900 since a healthy time within 2.0h" in suspect.reasons


def test_a_pod_that_has_what_it_always_had_is_not_suspected() -> None:
    always = goroutines((900, SEND))
    baseline = site_counts(always, None, 0.0)
    assert explain(Capture([always, always], baseline=baseline, baseline_seconds=7200.0, seconds=10.0)).suspects == ()


def test_memory_is_compared_with_the_baseline_too() -> None:
    calm = goroutines((4, SEND))
    early, late = heap((2000, 1000, KEPT)), heap((90_000, 80_000, KEPT))
    baseline = site_counts(calm, early, 0.0)
    capture = Capture([calm, calm], [late, late], None, 10.0, baseline, 7200.0)
    (suspect,) = explain(capture, growing=frozenset({"memory"})).suspects
    assert (suspect.function, suspect.line, suspect.explains) == ("main.(*index).add", 31, 1.0)
    assert suspect.confidence is Confidence.MEDIUM, "what keeps it is not known"


def test_sites_that_were_left_out_do_not_look_as_if_they_grew_from_nothing() -> None:
    many = [(50, ["runtime.chanrecv1@1", f"main.worker{n}@{n + 1}"]) for n in range(SITES + 20)]
    profile = goroutines(*many)
    baseline = site_counts(profile, None, 0.0)
    assert len(baseline.goroutines) == SITES
    assert baseline.goroutines_left_out == 50
    assert explain(Capture([profile, profile], baseline=baseline, baseline_seconds=7200.0, seconds=10.0)).suspects == ()


@given(st.dictionaries(st.text("0123456789abcdef", min_size=16, max_size=16), st.integers(0, 1 << 40), max_size=SITES))
def test_what_is_written_is_what_is_read(sites: dict[str, int]) -> None:
    counts = SiteCounts(12.5, sites, sites, 3, 4)
    assert SiteCounts.from_json(counts.to_json()) == counts
    assert len(counts.to_json()) < 16 * 1024


@given(st.binary(max_size=200))
def test_whatever_a_store_gives_is_read_or_refused(data: bytes) -> None:
    assert SiteCounts.from_json(data) is None
