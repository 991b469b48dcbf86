"""The signals each workload has and lacks: separate from those the source lacks, and from those only silent now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.api.v1alpha1.status import MAX_MISSING, MissingStatus, PolicyStatus, SignalStatus
from leakwarden.core.detection.growth import GrowthFinding
from leakwarden.core.detection.history import ReadingHistory
from leakwarden.core.evaluation.asked import Readings
from leakwarden.core.evaluation.capabilities import declares_pprof
from leakwarden.core.evaluation.evaluation import evaluate
from leakwarden.core.evaluation.growth_findings import GrowthFindings
from leakwarden.core.model.judgement import Verdict
from leakwarden.core.model.readings import Answer, NoData, QueryFailed, Sampled
from leakwarden.core.model.workload import Pod, Workload
from leakwarden.core.profile.port import NoPort, profile_port
from leakwarden.core.rendering.conditions import Records
from leakwarden.core.rendering.status import build_status
from leakwarden.core.signals.catalogue import CATALOGUE
from leakwarden.core.signals.queries import RATE, answer_key
from tests.builders import DESCRIPTORS, NOW, container, pod, points, policy, sampled, snapshot, workload

GOROUTINES = {"name": "goroutines", "type": "Goroutines", "threshold": {"above": "10k"}}
POOL = {"name": "pool", "type": "DBPool", "threshold": {"above": "90%"}}
HEAP = {"name": "heap", "type": "Heap", "threshold": {"above": "80%"}}
ERRORS = {"name": "errors", "type": "HTTPErrors", "threshold": {"above": "5%"}}
NOWHERE = NoData("NoSeries", "no pod of these namespaces has it")


def of(*pods: str, limit: float | None = 1000.0, value: float = 10) -> Sampled:
    return sampled({name: points([value] * 5) for name in pods}, limit)


class Shop:
    """Two Deployments, api and web, with one pod each."""

    def __init__(
        self, *signals: Mapping[str, Any], workloads: Sequence[Workload] = (), pods: Sequence[Pod] = ()
    ) -> None:
        self.policy = policy(spec={"signals": list(signals)})
        self.workloads = workloads or [workload("api"), workload("web")]
        self.pods = pods or [pod("api-1", "api"), pod("web-1", "web")]

    def status(self, answers: Mapping[str, Answer]) -> PolicyStatus:
        history = ReadingHistory(3600)
        by_name = {(one.namespace, one.name): one for one in self.pods}
        for key, answer in answers.items():
            if isinstance(answer, Sampled):
                history.append(key, answer, by_name, NOW)
        growth = {
            (key, one.uid, "app"): GrowthFinding(Verdict.UNKNOWN, "NoLimit")
            for key in answers
            for one in self.pods
            if key == "Goroutines"
        }
        readings = Readings("Prometheus/main", "", answers, history, GrowthFindings(everywhere=growth))
        evaluation = evaluate(
            self.policy, snapshot(self.workloads, self.pods), True, readings=readings, owner={}, audited={}, now=NOW
        )
        return build_status(evaluation, [], Records(), NOW)


def missing(status: PolicyStatus, name: str) -> list[tuple[str, str]]:
    (found,) = [each for each in status.workloads if each.name == name]
    assert found.missing_total == len(found.missing)
    return [(each.signal, each.reason) for each in found.missing]


def fix(status: PolicyStatus, name: str, signal: str) -> str:
    (found,) = [m for each in status.workloads if each.name == name for m in each.missing if m.signal == signal]
    return found.fix


def signal(status: PolicyStatus, name: str) -> SignalStatus:
    (found,) = [each for each in status.signals if each.name == name]
    return found


PPROF = ("pprof", "NoPort")


def test_what_one_workload_lacks_and_another_has_is_that_workloads() -> None:
    status = Shop(DESCRIPTORS, POOL).status({"Descriptors": of("api-1", "web-1"), "DBPool": of("api-1")})
    assert missing(status, "api") == [PPROF]
    assert missing(status, "web") == [("pool", "NotInWorkload"), PPROF]
    assert fix(status, "web", "pool").startswith("no sql collector: ")
    assert "collectors.NewDBStatsCollector" in fix(status, "web", "pool")
    assert {each.name: each.available for each in status.workloads} == {
        "api": ["descriptors", "pool"],
        "web": ["descriptors"],
    }
    assert signal(status, "pool").state == "Partial"


@pytest.mark.parametrize(
    "answer", [NOWHERE, of("someone-elses")], ids=["nobody has it", "other policies' pods have it"]
)
def test_what_no_target_has_is_the_sources_and_its_signal_says_what_would_provide_it(answer: Answer) -> None:
    status = Shop(DESCRIPTORS, POOL).status({"Descriptors": of("api-1", "web-1"), "DBPool": answer})
    assert missing(status, "api") == missing(status, "web") == [("pool", "NotInSource"), PPROF]
    found = signal(status, "pool")
    assert (found.state, found.reason, found.pods) == ("NoData", "NoSeries", 0)
    assert "no sql collector" in found.message


def test_memory_without_a_limit_says_where_to_set_it() -> None:
    unlimited = workload("api", containers=(container(memory_limit=None),))
    shop = Shop(HEAP, workloads=[unlimited, workload("web")])
    status = shop.status({"Heap": of("api-1", "web-1", limit=None, value=2.0**20)})
    assert missing(status, "api") == [("heap", "NoLimit"), PPROF]
    assert fix(status, "api", "heap") == "no limit: set resources.limits.memory of the container"
    assert missing(status, "web") == [PPROF]
    found = signal(status, "heap")
    assert (found.state, found.reason, found.pods) == ("Partial", "NoLimit", 1)
    assert (
        found.message
        == "fresh readings for 1 of 2 pods; 1 cannot be judged: no limit: set resources.limits.memory of the container"
    )


def test_an_idle_pool_without_a_maximum_is_not_healthy() -> None:
    status = Shop(POOL).status({"DBPool": of("api-1", "web-1", limit=None, value=0)})
    assert (status.targets.healthy, status.targets.unknown) == (0, 2)
    assert ("pool", "NoLimit") in missing(status, "api")
    assert "db.SetMaxOpenConns" in fix(status, "api", "pool")


def test_an_idle_pool_with_a_maximum_is_healthy() -> None:
    assert Shop(POOL).status({"DBPool": of("api-1", "web-1", limit=10, value=0)}).targets.healthy == 2


def test_goroutines_have_no_limit_and_need_an_absolute_threshold() -> None:
    plain = {"name": "goroutines", "type": "Goroutines"}
    status = Shop(plain).status({"Goroutines": of("api-1", "web-1", limit=None)})
    assert missing(status, "api") == [("goroutines", "NoLimit"), PPROF]
    assert "absolute threshold" in fix(status, "api", "goroutines")
    assert Shop(GOROUTINES).status({"Goroutines": of("api-1", "web-1", limit=None)}).workloads[0].available == [
        "goroutines"
    ]


@pytest.mark.parametrize(
    "answer",
    [QueryFailed("Timeout", "too slow"), NoData("WarmingUp", "soon"), NoData("NotRead", "not yet")],
    ids=["failed", "warming up", "not read"],
)
def test_what_cannot_be_read_for_the_moment_is_neither_there_nor_missing(answer: Answer) -> None:
    status = Shop(DESCRIPTORS).status({"Descriptors": answer})
    assert all(each.available == [] and missing(status, each.name) == [PPROF] for each in status.workloads)


def test_readings_that_have_become_old_are_not_missing() -> None:
    answer = sampled({"api-1": points([10] * 5, until=NOW - 600), "web-1": points([10] * 5)})
    status = Shop(DESCRIPTORS).status({"Descriptors": answer})
    assert missing(status, "api") == [PPROF]
    assert status.workloads[0].available == []


@pytest.mark.parametrize("change", [{"created": NOW - 10}, {"ready": False}], ids=["new", "not ready"])
def test_a_pod_that_has_just_begun_says_nothing_of_what_its_workload_exports(change: dict[str, Any]) -> None:
    shop = Shop(DESCRIPTORS, pods=[pod("api-1", "api", **change), pod("web-1", "web")])
    assert missing(shop.status({"Descriptors": of("web-1")}), "api") == [PPROF]


def test_one_pod_with_a_reading_is_enough_to_know_that_the_workload_has_it() -> None:
    shop = Shop(DESCRIPTORS, pods=[pod("api-1", "api"), pod("api-2", "api"), pod("web-1", "web")])
    status = shop.status({"Descriptors": of("api-1", "web-1")})
    assert missing(status, "api") == [PPROF]
    assert signal(status, "descriptors").message == "fresh readings for 2 of 3 pods"


GROWING = [str(kind) for kind, row in CATALOGUE.items() if row.grows]


@pytest.mark.parametrize("kind", GROWING)
def test_without_a_limit_a_signal_is_unavailable_and_not_healthy(kind: str) -> None:
    """It cannot be judged by its level in percent, nor by its growth."""
    one = {"name": "one", "type": kind, "threshold": {"above": "80%"}}
    unlimited = [workload(name, containers=(container(memory_limit=None),)) for name in ("api", "web")]
    status = Shop(one, workloads=unlimited).status({kind: of("api-1", "web-1", limit=None)})
    assert (status.targets.healthy, status.targets.unknown) == (0, 2)
    assert all(each.available == [] and ("one", "NoLimit") in missing(status, each.name) for each in status.workloads)
    assert fix(status, "api", "one") == CATALOGUE[SignalType(kind)].limit_fix
    assert signal(status, "one").state != "Available"


@pytest.mark.parametrize("kind", [str(kind) for kind in CATALOGUE])
def test_a_signal_that_nobody_exports_is_unavailable_and_says_what_would_provide_it(kind: str) -> None:
    threshold = {"LatencyP99": "1.5", "HTTPErrors": "5%"}.get(kind, "80%")
    one = {"name": "one", "type": kind, "threshold": {"above": threshold}}
    status = Shop(one).status({kind: NOWHERE, RATE: of("api-1", "web-1", limit=None)})
    assert (status.targets.healthy, status.targets.unknown) == (0, 2)
    assert ("one", "NotInSource") in missing(status, "api")
    assert fix(status, "api", "one") == CATALOGUE[SignalType(kind)].fix


@pytest.mark.parametrize("kind", [str(kind) for kind, row in CATALOGUE.items() if row.never_zero and row.grows])
def test_a_constant_zero_is_unavailable_and_not_healthy(kind: str) -> None:
    one = {"name": "one", "type": kind, "threshold": {"above": "80%"}}
    status = Shop(one).status({kind: NoData("ConstantZero", "every reading is 0, which means that it is not measured")})
    assert (status.targets.healthy, status.targets.unknown) == (0, 2)
    assert ("one", "ConstantZero") in missing(status, "api")
    assert signal(status, "one").state == "NoData"


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("NotExported", "configure a Prometheus"),
        ("ConstantZero", "no process collector"),
        ("NoPodLabel", "podLabel"),
    ],
)
def test_what_the_source_cannot_give_names_the_sources_reason(reason: str, says: str) -> None:
    status = Shop(DESCRIPTORS).status({"Descriptors": NoData(reason, "why")})
    assert missing(status, "api") == [("descriptors", reason), PPROF]
    assert says in fix(status, "api", "descriptors")
    assert signal(status, "descriptors").state == "NoData"
    assert status.targets.healthy == 0


def test_a_query_of_ones_own_without_series_is_named_too() -> None:
    mine = {"name": "mine", "type": "PromQL", "query": "jobs", "threshold": {"above": "1"}}
    shop = Shop(mine)
    assert shop.policy.spec is not None
    key = answer_key(shop.policy.spec.signals[0], "shop")
    status = shop.status({key: of("web-1", limit=None)})
    assert missing(status, "api") == [("mine", "NotInWorkload"), PPROF]
    assert "pod label" in fix(status, "api", "mine")


ALERT = {"name": "fire", "type": "Alert", "alert": {"name": "Fire"}}


@pytest.mark.parametrize(
    ("answer", "state", "verdicts"),
    [
        (NOWHERE, "Available", 0),
        (NoData("NotExported", "the kubelets know no alerts"), "NoData", 1),
        (NoData("NoPodLabel", "none of its series has the label pod"), "NoData", 1),
    ],
    ids=["not firing", "a source that knows no alerts", "an alert that names no pod"],
)
def test_only_a_source_that_knows_alerts_says_that_none_is_firing(answer: Answer, state: str, verdicts: int) -> None:
    shop = Shop({**ALERT, "role": "Leak"})
    assert shop.policy.spec is not None
    key = answer_key(shop.policy.spec.signals[0], "shop")
    status = shop.status({key: answer})
    assert signal(status, "fire").state == state
    assert status.targets.unknown == 2 * verdicts
    assert len(missing(status, "api")) == 1 + verdicts


IDLE = {RATE: of("api-1", "web-1", limit=None, value=0.0)}


def test_an_idle_service_lacks_nothing_and_is_not_called_healthy_for_it() -> None:
    status = Shop(ERRORS, DESCRIPTORS).status(
        {**IDLE, "HTTPErrors": NoData("NoNumbers", "no number"), "Descriptors": of("api-1", "web-1")}
    )
    found = signal(status, "errors")
    assert (found.state, found.message) == ("Available", "too little traffic to judge 2 pods")
    assert missing(status, "api") == [PPROF]
    assert status.workloads[0].available == ["descriptors"]
    (metrics,) = [each for each in status.conditions if each.type == "MetricsAvailable"]
    assert metrics.reason == "AllSignalsFresh"


def test_a_policy_on_symptoms_alone_says_unknown_of_an_idle_service_and_misses_no_data() -> None:
    status = Shop(ERRORS).status({**IDLE, "HTTPErrors": NoData("NoNumbers", "no number")})
    assert status.targets.unknown == 2
    (metrics,) = [each for each in status.conditions if each.type == "MetricsAvailable"]
    assert (metrics.status, metrics.reason) == ("True", "AllSignalsFresh")


def test_a_service_that_tells_no_status_codes_lacks_them_however_idle_it_is() -> None:
    status = Shop(ERRORS).status({**IDLE, "HTTPErrors": NOWHERE})
    assert missing(status, "api") == [("errors", "NotInSource"), PPROF]
    assert "http_requests_total" in fix(status, "api", "errors")


@pytest.mark.parametrize(
    ("ports", "declared"),
    [
        ((("http", 8080),), False),
        ((("http", 8080), ("pprof", 9999)), True),
        ((("debug", 8081),), True),
        ((("http-pprof", 8081),), False),
        ((("", 6060),), False),
        ((), False),
    ],
)
def test_a_pprof_port_is_known_by_the_names_that_profiles_are_captured_from(
    ports: tuple[tuple[str, int], ...], declared: bool
) -> None:
    assert declares_pprof(workload(containers=(container(), container(name="side", ports=ports)))) is declared
    try:
        profile_port(None, None, {"app": (("http", 8080),), "side": ports}, "")
    except NoPort:
        assert not declared
    else:
        assert declared


def test_a_pprof_port_that_the_policy_names_is_not_missing() -> None:
    shop = Shop(DESCRIPTORS)
    shop.policy = policy(spec={"signals": [DESCRIPTORS], "evidence": {"port": 6060}})
    assert missing(shop.status({"Descriptors": of("api-1", "web-1")}), "api") == []


def test_a_workload_that_shows_no_sign_of_go_needs_no_pprof_port() -> None:
    status = Shop(GOROUTINES, DESCRIPTORS).status(
        {"Goroutines": of("api-1", limit=None), "Descriptors": of("api-1", "web-1")}
    )
    assert missing(status, "api") == [PPROF]
    assert missing(status, "web") == [("goroutines", "NotInWorkload")]
    assert fix(status, "api", "pprof").startswith("pprof port closed, ")


def test_what_nothing_can_tell_is_a_note_and_not_a_thing_missing() -> None:
    status = Shop(DESCRIPTORS).status({"Descriptors": of("api-1", "web-1")})
    assert any(note.startswith("CLOSE_WAIT is not exported by the kubelet") for note in status.notes)


def test_many_workloads_that_lack_everything_make_no_large_status() -> None:
    kinds = ("Descriptors", "Sockets", "Goroutines", "Heap", "DBPool", "WorkingSet", "PromQL")
    signals = [
        {
            "name": f"{kind.lower()}-{n}-{'x' * 40}",
            "type": kind,
            **({"query": "q", "limitQuery": "l"} if kind == "PromQL" else {}),
        }
        for kind in kinds
        for n in range(2)
    ]
    names = [f"w{n}" for n in range(60)]
    shop = Shop(
        *signals,
        workloads=[workload(name) for name in names],
        pods=[pod(f"{name}-{n}", name) for name in names for n in range(8)],
    )
    assert shop.policy.spec is not None
    status = shop.status({answer_key(each, "shop"): NOWHERE for each in shop.policy.spec.signals})
    written = status.model_dump_json(by_alias=True, exclude_none=True)
    assert len(status.workloads) == 20
    assert all(len(each.missing) == MAX_MISSING and each.missing_total > MAX_MISSING for each in status.workloads)
    assert len(written) < 100_000
    assert all(isinstance(each, MissingStatus) and each.fix.isprintable() for each in status.workloads[0].missing)


def test_the_same_readings_give_the_same_report() -> None:
    answers = {"Descriptors": of("api-1", "web-1"), "DBPool": of("api-1")}
    shop = Shop(DESCRIPTORS, POOL)
    assert shop.status(answers) == shop.status(answers)
