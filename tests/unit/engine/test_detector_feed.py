"""The path from a source's answers through the detector to the judgement, in real time and at other resolutions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import Points, SeriesKey
from leakwarden.core.model.workload import Pod, PodContainer, Snapshot
from leakwarden.core.signals.criteria import Standard
from leakwarden.engine.detector_feed import Detection
from leakwarden.engine.processes import Lives, LoadAndCollections, Processes
from tests.builders import NOW, pod, sampled, snapshot, workload

FAR = {("Descriptors", "shop/api"): Standard()}


def watch(
    detection: Detection,
    readings: Points,
    one: Pod | None = None,
    *,
    limit: float | None = 1000.0,
    signal: str = "Descriptors",
    step: float = 30.0,
    standards: dict[tuple[str, str], Standard] | None = None,
) -> list[GrowthFinding]:
    """All findings while the readings come in, a tick every `step` seconds."""
    one = one or pod(created=float(readings.t[0]) - 60)
    world = snapshot([workload()], [one])
    found: list[GrowthFinding] = []
    for now in np.arange(readings.t[0], readings.t[-1] + step, step):
        new = (readings.t <= now) & (readings.t > now - 3 * step)
        answer = sampled({one.name: Points(readings.t[new], readings.v[new])}, limit)
        detection.learn({signal: answer}, world, LoadAndCollections(), standards or FAR, float(now))
        found += detection.judge(world, standards or FAR, float(now)).values()
    return found


def climb(minutes: float, every: float = 30.0, start: float = 50, end: float = 990) -> Points:
    t = np.arange(NOW - minutes * 60, NOW + 1, every)
    return Points(t, np.floor(np.linspace(start, end, t.size)))


def test_a_climb_to_the_limit_is_leaking_and_then_exhausting_before_it_is_there() -> None:
    found = watch(Detection(60.0), climb(180))
    verdicts = [finding.verdict for finding in found]
    assert Verdict.EXHAUSTING in verdicts[:-10]
    last = found[-10]
    assert last.per_hour is not None
    assert last.per_hour.low <= 940 / 3 <= last.per_hour.high
    assert last.left is not None
    # 10 readings before the end a climb of 940/180 a minute still has to go from 966 to 1000.
    assert 0.9 * last.left.low <= 415 <= 1.1 * last.left.high


def test_a_shorter_bucket_sees_the_same_leak_in_a_twelfth_of_the_time() -> None:
    found = watch(
        Detection(5.0), climb(15, every=2.5), step=2.5, standards={("Descriptors", "shop/api"): Standard(300.0, 10.0)}
    )
    assert Verdict.EXHAUSTING in [finding.verdict for finding in found[:-10]]
    per_hour = next(finding.per_hour for finding in reversed(found) if finding.per_hour is not None)
    assert per_hour.low <= 940 * 4 <= per_hour.high


def test_a_flat_series_is_never_suspected() -> None:
    found = watch(Detection(60.0), climb(180, start=700, end=700))
    assert {finding.verdict for finding in found} <= {Verdict.UNKNOWN, Verdict.HEALTHY}
    assert found[-1].verdict is Verdict.HEALTHY


def test_the_policys_own_horizon_decides_what_is_soon() -> None:
    found = watch(Detection(60.0), climb(180, end=900), standards={("Descriptors", "shop/api"): Standard(1.0)})
    assert Verdict.LEAKING in [finding.verdict for finding in found]
    assert Verdict.EXHAUSTING not in [finding.verdict for finding in found]


def test_without_a_limit_growth_beyond_its_past_is_told_and_nothing_is_exhausted() -> None:
    t = np.arange(NOW - 6 * 3600, NOW + 1, 60.0)
    steady = np.append(np.full(t.size - 180, 120.0), np.geomspace(120, 6000, 180))
    found = watch(Detection(60.0), Points(t, np.floor(steady)), limit=None, step=60.0)
    told = [finding for finding in found if finding.verdict is Verdict.LEAKING]
    assert told
    assert {finding.reason for finding in told} == {"GrowsBeyondItsPast"}
    assert {finding.limit for finding in found} == {None}
    assert {finding.left for finding in found} == {None}
    assert Verdict.EXHAUSTING not in [finding.verdict for finding in found]


def test_memory_is_judged_against_the_containers_limit() -> None:
    top = 256 * 2.0**20
    found = watch(Detection(60.0), climb(180, start=0.05 * top, end=0.99 * top), limit=None, signal="Heap",
                  standards={("Heap", "shop/api"): Standard()})  # fmt: skip
    assert Verdict.LEAKING in [finding.verdict for finding in found] or Verdict.EXHAUSTING in [f.verdict for f in found]


def test_a_restarted_container_begins_a_new_life() -> None:
    detection = Detection(60.0)
    readings = climb(180)
    assert watch(detection, readings)[-1].verdict is Verdict.EXHAUSTING
    created = float(readings.t[0]) - 60
    young = pod(created=created, containers=(PodContainer("app", True, 1, NOW + 5),))
    fresh = Points(np.arange(NOW + 30, NOW + 200, 30), np.full(6, 50.0))
    after = watch(detection, fresh, one=young)
    assert after[-1].verdict in (Verdict.UNKNOWN, Verdict.HEALTHY)


def test_pods_that_are_gone_are_forgotten_and_the_others_keep_their_place() -> None:
    detection = Detection(60.0)
    pods = [pod(f"api-{n}", created=NOW - 3600) for n in range(8)]
    t = np.arange(NOW - 600, NOW + 1, 30)

    def learn(some: list[Pod]) -> tuple[Snapshot, Mapping[tuple[str, str, str], GrowthFinding]]:
        world = snapshot([workload()], some)
        values = {one.name: Points(t, np.full(t.size, 100.0 * (1 + int(one.name[-1])))) for one in some}
        detection.learn({"Descriptors": sampled(values)}, world, LoadAndCollections(), FAR, NOW)
        return world, detection.judge(world, FAR, NOW)

    learn(pods)
    _, found = learn(pods[5:])
    assert {uid for _, uid, _ in found} == {"uid-api-5", "uid-api-6", "uid-api-7"}
    assert {finding.verdict for finding in found.values()} == {Verdict.HEALTHY}


@pytest.mark.parametrize("key", [SeriesKey("shop", "stranger", "app"), SeriesKey("elsewhere", "api-1", "app")])
def test_series_of_pods_that_are_no_targets_are_passed_over(key: SeriesKey) -> None:
    detection = Detection(60.0)
    world = snapshot([workload()], [pod()])
    answer = sampled({})
    answer = type(answer)({key: climb(60)}, {key: 1000.0})
    detection.learn({"Descriptors": answer}, world, LoadAndCollections(), FAR, NOW)
    assert detection.judge(world, FAR, NOW) == {}


def test_two_signals_of_the_same_pods_have_each_the_load_of_its_own_moments() -> None:
    """The signals have the same moments if their series are joined, where the first pod has two moments in one signal
    and one in the other."""
    pods = [pod(f"api-{n}", created=NOW - 3600) for n in range(2)]
    world = snapshot([workload()], pods)
    t = np.array([NOW - 180.0, NOW - 120.0, NOW - 60.0])
    keys = [SeriesKey("shop", one.name, "app") for one in pods]
    rate = {key: Points(t, t * 0 + 10 * (1 + n)) for n, key in enumerate(keys)}
    lives = Lives(Processes(world), LoadAndCollections(rate=rate))

    assert lives.explaining(keys, t, np.array([2, 1]))[0].tolist() == [10, 10, 20]
    assert lives.explaining(keys, t, np.array([1, 2]))[0].tolist() == [10, 20, 20]


@pytest.mark.parametrize(("started", "seen"), [(NOW - 45, {"TooFewReadings"}), (NOW + 5, set())])
def test_what_the_process_before_showed_is_not_held_against_its_successor(started: float, seen: set[str]) -> None:
    """One answer contains both processes: three hours' climb to the limit, of which two readings or none are of the
    present process. The other pod keeps all of its readings."""
    restarted = pod("api-0", created=NOW - 14_400, containers=(PodContainer("app", True, 1, started),))
    beside = pod("api-1", created=NOW - 14_400)
    world = snapshot([workload()], [restarted, beside])
    detection = Detection(60.0)

    detection.learn({"Descriptors": sampled({one.name: climb(180) for one in (restarted, beside)})}, world, LoadAndCollections(), FAR, NOW)  # fmt: skip
    found = detection.judge(world, FAR, NOW)

    assert {finding.reason for (_, uid, _), finding in found.items() if uid == restarted.uid} == seen
    assert found["Descriptors", beside.uid, "app"].verdict in (Verdict.SUSPECT, Verdict.LEAKING, Verdict.EXHAUSTING)


@pytest.mark.parametrize("namespace", ["members", "memcached", "heapster", "bytes"])
def test_the_name_of_a_namespace_changes_no_verdict(namespace: str) -> None:
    """The key of a policy's own PromQL contains its namespace; memory, which fills up to soft limits, is recognised by
    the type."""
    elsewhere, there = (
        watch(Detection(60.0), climb(120), signal=f"PromQL/{name}/0f", standards={(f"PromQL/{name}/0f", "shop/api"): Standard()})
        for name in ("orders", namespace)
    )  # fmt: skip

    assert [finding.verdict for finding in there] == [finding.verdict for finding in elsewhere]


def test_memory_is_told_from_other_signals_by_its_type() -> None:
    """Memory may be filling up to a soft limit, so its growth is accepted as a leak only nearer to the hard limit."""
    first = []
    for signal in ("Descriptors", "Heap"):
        found = watch(Detection(60.0), climb(180), signal=signal, standards={(signal, "shop/api"): Standard()})
        told = (Verdict.LEAKING, Verdict.EXHAUSTING)
        first.append(next((i for i, one in enumerate(found) if one.verdict in told), len(found)))

    assert first[0] < first[1]


def test_a_working_set_is_judged_by_the_rss_of_its_own_container() -> None:
    """Page cache fills the container while its process holds a fifth; the pod's other container is larger."""
    t = np.arange(NOW - 8 * 3600, NOW + 1, 60.0)
    whole, kept = np.linspace(2.1e8, 9.6e8, t.size), np.full(t.size, 2e8)
    one = pod(created=float(t[0]) - 60)
    world = snapshot([workload()], [one])
    name = next(iter(sampled({one.name: Points(t, whole)}, 1e9).series))
    other = name._replace(container="sidecar")

    def found(rss: Mapping[SeriesKey, Points]) -> GrowthFinding:
        detection = Detection(60.0)
        for end in range(60, t.size, 4):
            part = slice(max(end - 60, 0), end)
            beside = LoadAndCollections(rss={key: Points(each.t[part], each.v[part]) for key, each in rss.items()})
            answer = sampled({one.name: Points(t[part], whole[part])}, 1e9)
            detection.learn({"WorkingSet": answer}, world, beside, {}, float(t[end]))
            findings = detection.judge(world, {}, float(t[end]))
        return next(iter(findings.values()))

    by_rss = found({name: Points(t, kept)})
    assert (by_rss.verdict, by_rss.reason, by_rss.resident) == (Verdict.HEALTHY, "PageCache", 2e8)
    alone = found({other: Points(t, kept)})
    assert (alone.verdict, alone.reason, alone.resident) == (Verdict.LEAKING, "MayBePageCache", None)
