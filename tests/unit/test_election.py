"""Leadership: never two leaders at once, under all faults of processes, clocks, answers and the API server; and soon
one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakwarden.core.election import MAX_PATIENCE, Election, Kind, Lease, ReadLease, Stop, Timing, Wait, Write
from tests.unit.election_world import Fault, Mishap, World, overlaps

pytestmark = pytest.mark.slow

D, DEADLINE, RETRY = 15.0, 10.0, 2.0
TROUBLE_ENDS = 100.0  # with mishaps of up to 40 s that begin 40 s before
ENDS = 170.0

# Clocks whose rates differ by a factor of up to 1.45, where 15 s / 10 s allows 1.5. Real ones differ by 0.0001.
RATES = st.lists(st.floats(0.83, 1.2), min_size=2, max_size=3)
MISHAPS = st.lists(
    st.builds(
        Mishap,
        fault=st.sampled_from(Fault),
        at=st.floats(0, TROUBLE_ENDS - 40),
        length=st.floats(0.1, 40),
        who=st.integers(0, 2),
    ),
    max_size=10,
)
SEEDS = st.integers(0, 2**32)


def other(version: str = "7", **changes: object) -> Lease:
    return replace(Lease("other", D, 3, version), **changes)  # type: ignore[arg-type]


def leader(at: float = 100.0) -> Election:
    """Acquired at `at` from a Lease that was released."""
    election = Election("me").saw(other(holder=""), at, at + RETRY)
    return election.wrote(Lease("me", D, 4, "8"), at, at, at + RETRY)


@settings(max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RATES, MISHAPS, SEEDS)
def test_two_never_lead_at_once_and_nobody_acts_who_does_not_lead(
    rates: list[float], mishaps: list[Mishap], seed: int
) -> None:
    world = World(rates, mishaps, seed)
    world.run(ENDS)
    assert overlaps(world.reigns) == []
    for at, who in world.acts:
        others = [reign for reign in world.reigns if reign.who != who and reign.start <= at < reign.end - 1e-6]
        assert others == [], f"{who} acted at {at} while {others} led"
    # An election without any leader would be safe too, so this test demands one.
    assert any(reign.end > ENDS - 1 for reign in world.reigns), "nobody leads although all has been well for a minute"
    assert world.acts, "nobody ever acted"


def schedules_with_two_leaders(election: type[Election], rates: list[float], mishaps: list[Mishap]) -> int:
    found = 0
    for seed in range(60):
        world = World(rates, mishaps, seed, election)
        world.run(ENDS)
        found += bool(overlaps(world.reigns))
    return found


def one_by_one(fault: Fault) -> list[Mishap]:
    """It befalls each of three in turn."""
    return [Mishap(fault, 20.0 + 17 * who, 25.0, who) for who in range(3)]


DELETED_UNDER_A_SLEEPER = [
    Mishap(Fault.PAUSE, 29.0, 25.0, 0),
    Mishap(Fault.DELETE, 30.0, 0.0, 0),
    Mishap(Fault.RESIGN, 33.0, 0.0, 1),
    Mishap(Fault.RESIGN, 36.0, 0.0, 2),
]


def test_the_world_notices_clocks_that_differ_too_much() -> None:
    assert schedules_with_two_leaders(Election, [0.6, 1.4], one_by_one(Fault.PAUSE)) > 0
    assert schedules_with_two_leaders(Election, [0.85, 1.2], one_by_one(Fault.PAUSE)) == 0


class CountsFromTheAnswer(Election):
    """The mistake to make: an answer that comes late after a pause then begins a new reign."""

    def wrote(self, lease: Lease, sent: float, at: float, rest_until: float) -> Election:
        return Election.wrote(self, lease, at, at, rest_until)


class CreatesAndLeads(Election):
    """client-go's way: a contender that finds no Lease leads at once."""

    def wrote(self, lease: Lease, sent: float, at: float, rest_until: float) -> Election:
        after = Election.wrote(self, lease, sent, at, rest_until)
        return replace(after, leads_from=min(after.leads_from, at))


class ReleasesWhatItNeverLed(Election):
    """A Lease was deleted under its leader: the next creates another, resigns, and the third leads at once."""

    def release(self, now: float) -> Write | None:
        return Election.release(replace(self, leads_from=-math.inf), now)


class Impatient(Election):
    """Takes the Lease when its leader may still have some seconds."""

    @property
    def _expires(self) -> float:
        return self.changed_at + DEADLINE / 2


@pytest.mark.parametrize(
    ("mistaken", "mishaps"),
    [
        (CountsFromTheAnswer, one_by_one(Fault.PAUSE)),
        (CreatesAndLeads, one_by_one(Fault.DELETE)),
        (ReleasesWhatItNeverLed, DELETED_UNDER_A_SLEEPER),
        (Impatient, one_by_one(Fault.PAUSE)),
    ],
    ids=["from-the-answer", "creates-and-leads", "releases-too-soon", "impatient"],
)
def test_the_world_notices_a_mistaken_election(mistaken: type[Election], mishaps: list[Mishap]) -> None:
    assert schedules_with_two_leaders(mistaken, [1.0, 1.0, 1.0], mishaps) > 0
    assert schedules_with_two_leaders(Election, [1.0, 1.0, 1.0], mishaps) == 0


def test_a_leader_counts_from_when_it_sent_its_renewal() -> None:
    election = leader(100.0).wrote(Lease("me", D, 4, "9"), sent=102.0, at=105.0, rest_until=107.0)
    assert election.leads(102.0 + DEADLINE - 0.01)
    assert not election.leads(102.0 + DEADLINE)


def test_a_leader_that_cannot_renew_stops_for_good() -> None:
    election = leader(100.0).unsure(102.0)
    assert election.next(102.0) == ReadLease()
    match election.next(110.0):
        case Stop(why):
            assert "10 s" in why
        case step:
            pytest.fail(f"it goes on with {step}")


def test_a_leader_whose_lease_is_anothers_stops_at_once() -> None:
    election = leader(100.0).saw(other("9"), 101.0, 103.0)
    assert not election.leads(101.0)
    assert election.next(101.0) == Stop("other holds the Lease now")


def test_a_leader_whose_lease_was_deleted_stops() -> None:
    election = leader(100.0).saw(None, 101.0, 103.0)
    assert not election.leads(101.0)
    assert election.next(101.0) == Stop("the Lease was deleted")


def test_a_leader_renews_on_the_version_it_wrote_last() -> None:
    assert leader(100.0).next(102.0) == Write(Kind.RENEW, Lease("me", D, 4, "8"))


def test_after_a_lost_answer_it_looks_and_renews_what_it_finds_in_its_own_name() -> None:
    election = leader(100.0).unsure(102.0)
    assert election.next(101.0) == Wait(102.0)
    assert election.next(102.0) == ReadLease()
    found = election.saw(Lease("me", D, 4, "9"), 102.1, 104.1)
    assert found.leads_until == 110.0, "what was found says nothing of when it was written"
    assert found.next(102.1) == Write(Kind.RENEW, Lease("me", D, 4, "9"))


def test_a_lease_in_anothers_name_is_taken_after_its_duration_by_ones_own_clock() -> None:
    election = Election("me").saw(other(), 50.0, 52.0)
    assert election.next(51.0) == Wait(52.0)
    assert election.next(52.0) == ReadLease()
    still = election.saw(other(), 64.5, 66.5)
    assert still.next(64.6) == Wait(65.0), "it wakes when the Lease expires, not at its next look"
    assert still.next(65.0) == Write(Kind.ACQUIRE, Lease("me", D, 4, "7"))


def test_each_change_of_the_lease_begins_the_wait_anew() -> None:
    election = Election("me").saw(other("7"), 50.0, 52.0).saw(other("8"), 64.0, 66.0)
    assert election.next(65.0) == Wait(66.0)
    assert election.saw(other("8"), 78.9, 80.9).next(79.0) == Write(Kind.ACQUIRE, Lease("me", D, 4, "8"))


def test_a_released_lease_is_taken_at_once() -> None:
    assert Election("me").saw(other(holder=""), 50.0, 52.0).next(50.0) == Write(Kind.ACQUIRE, Lease("me", D, 4, "7"))


def test_a_lease_of_longer_duration_is_respected_but_not_for_ever() -> None:
    longer = Election("me").saw(other(duration=60.0), 0.0, 0.0)
    assert longer.next(59.9) == ReadLease()
    assert longer.next(60.0) == Write(Kind.ACQUIRE, Lease("me", D, 4, "7"))
    absurd = Election("me").saw(other(duration=1e9), 0.0, 0.0)
    assert isinstance(absurd.next(MAX_PATIENCE), Write)


def test_who_creates_the_lease_leads_only_when_a_leader_under_a_deleted_one_would_be_over() -> None:
    election = Election("me").saw(None, 50.0, 52.0)
    assert election.next(50.0) == Write(Kind.CREATE, Lease("me", D, 0, ""))
    for at in (50.0, 52.0, 60.0):
        election = election.wrote(Lease("me", D, 0, str(at)), at, at, at + RETRY)
        assert not election.leads(at)
    assert not election.leads(64.9)
    assert election.leads(65.0)


def test_a_creation_whose_answer_was_lost_does_not_lead_sooner() -> None:
    election = Election("me").saw(None, 50.0, 52.0).unsure(52.0).saw(Lease("me", D, 0, "5"), 52.0, 54.0)
    assert election.next(52.0) == Write(Kind.RENEW, Lease("me", D, 0, "5"))
    renewed = election.wrote(Lease("me", D, 0, "6"), 52.0, 52.0, 54.0)
    assert not renewed.leads(66.0)


def test_a_failed_write_leads_to_a_look_before_anything_else_is_written() -> None:
    election = Election("me").saw(other(holder=""), 50.0, 52.0).unsure(50.3)
    assert election.next(50.1) == Wait(50.3)
    assert election.next(1000.0) == ReadLease()


def test_who_resigned_does_not_lead_and_releases_what_is_its_own() -> None:
    resigned = leader(100.0).resigned()
    assert not resigned.leads(101.0)
    assert resigned.release(101.0) == Write(Kind.RELEASE, Lease("", 1.0, 4, "8"))
    assert leader(100.0).release(101.0) is None, "it leads still"
    assert Election("me").saw(other(), 0.0, 0.0).resigned().release(0.0) is None


def test_who_resigns_before_it_could_lead_lets_the_next_one_wait_as_it_did() -> None:
    created = Election("me").saw(None, 50.0, 52.0).wrote(Lease("me", D, 0, "1"), 50.0, 50.0, 52.0)
    assert created.resigned().release(64.0) is None
    assert created.resigned().release(65.0) is not None


def test_a_late_confirmation_does_not_bring_back_who_resigned() -> None:
    late = leader(100.0).resigned().wrote(Lease("me", D, 4, "9"), 101.0, 101.1, 103.0)
    assert not late.leads(101.2)
    assert late.release(102.0) == Write(Kind.RELEASE, Lease("", 1.0, 4, "9"))


def test_a_newcomer_looks_first_and_leads_nothing() -> None:
    assert Election("me").next(0.0) == ReadLease()
    assert not Election("me").leads(math.inf)


@pytest.mark.parametrize("values", [(10.0, 15.0, 2.0), (15.0, 10.0, 11.0), (15.5, 10.0, 2.0), (15.0, 10.0, 0.0)])
def test_timings_with_which_two_could_lead_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Timing(*values)
