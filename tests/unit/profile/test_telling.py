"""A LeakReport's text: the port of the profiles, the suspects in words, and no possible secret."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.api.v1alpha1.evidence_reasons import MEANINGS, EvidenceReason
from leakwarden.api.v1alpha1.evidence_status import MAX_SUSPECTS, SHORT_PLACE, EvidenceStatus, SuspectStatus
from leakwarden.api.v1alpha1.signal import SYMPTOMS, SignalType
from leakwarden.core.profile.evidence import Findings
from leakwarden.core.profile.port import NoPort, profile_port
from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.suspects import Capture, explain, suspects
from leakwarden.core.profile.telling import growing, short_place, source_file, summary, told
from tests.unit.profile.profile_builders import goroutines, heap

READ_LOOP = ["runtime.selectgo@1", "net/http.(*persistConn).readLoop@2325"]
FETCHED = ["net/http.NewRequestWithContext@9", "net/http.(*Client).Get@8", "main.fetchUser@42"]


def test_goroutines_of_a_library_are_told_with_who_created_them() -> None:
    made = heap((9000, 1000, FETCHED))
    capture = Capture([goroutines((48, READ_LOOP)), goroutines((148, READ_LOOP))], [made, made], None, 10.0)
    found = explain(capture)
    (status,) = told(found.suspects)
    assert summary(found) == (
        "148 goroutines in net/http.(*persistConn).readLoop created by main.fetchUser (main.go:42), +10.0/s: may be"
        " a leak: response body not closed"
    )
    assert status.explanation.startswith(summary(found))
    assert "if it is a leak: defer resp.Body.Close()" in status.explanation
    assert (status.shape, status.function, status.line, status.count) == (
        "ResponseBodyNotClosed", "main.fetchUser", 42, 148,
    )  # fmt: skip
    assert status.per_second == 10.0
    assert status.explains == 1.0


def test_a_long_explanation_keeps_the_repair() -> None:
    (found,) = suspects(Capture([goroutines((10, READ_LOOP)), goroutines((210, READ_LOOP))], [], None, 10.0))
    (status,) = told([replace(found, reasons=("it grows " * 200,))])
    assert status.explanation is not None
    assert status.explanation.endswith(f" T{found.fix.removeprefix('t')}")
    assert len(status.explanation) == 1024


def test_where_nothing_grew_it_is_told_what_was_looked_at() -> None:
    calm = goroutines((48, READ_LOOP))
    said = summary(explain(Capture([calm, calm], [], None, 10.0)))
    assert said.startswith("nothing grew: goroutines 49, within 10s; no heap profile was taken")


def test_the_wait_and_the_line_are_told_apart() -> None:
    lock = ["runtime.semacquire@1", "sync.runtime_SemacquireMutex@1", "sync.(*Mutex).Lock@2", "main.take@7"]
    (found,) = suspects(Capture([goroutines((10, lock)), goroutines((210, lock))], [], None, 10.0))
    assert " in sync.runtime_SemacquireMutex at main.take (main.go:7), " in found.headline


def labelled(profile: Profile) -> Profile:
    samples = tuple(replace(sample, labels=(("user", "alice@example.com"),)) for sample in profile.samples)
    return replace(profile, samples=samples)


def test_values_of_profile_labels_stay_out_of_the_cluster() -> None:
    send = ["runtime.chansend1@1", "main.first.func1@22"]
    capture = Capture([labelled(goroutines((1, send))), labelled(goroutines((900, send)))], [], None, 10.0)
    found = suspects(capture)
    assert found[0].labels == (("user", "alice@example.com"),)
    assert "alice" not in told(found)[0].model_dump_json()


@pytest.mark.parametrize(
    ("function", "path", "expected"),
    [
        ("main.fetch", "/home/ci/build-7/cmd/shop/user.go", "user.go"),
        ("github.com/shop/orders/api.(*H).Get", "/home/ci/orders/api/get.go", "github.com/shop/orders/api/get.go"),
        ("shop.local/x.F.func1", "C:\\agent\\work\\x\\f.go", "shop.local/x/f.go"),
        ("example.com/lib.F", "/root/go/pkg/mod/example.com/lib@v1.2.3/f.go", "example.com/lib@v1.2.3/f.go"),
        ("shop/internal/api.Do", "shop/internal/api/api.go", "shop/internal/api/api.go"),
        ("main.fetch", "", ""),
    ],
)
def test_directories_of_the_build_machine_stay_out(function: str, path: str, expected: str) -> None:
    assert source_file(function, path) == expected


NAMES = st.text(max_size=3000)


@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 1 << 40), st.integers(0, 1 << 40)), max_size=8))
def test_whatever_names_a_pod_chooses_the_status_keeps_its_bounds(chosen: list[tuple[str, str, int, int]]) -> None:
    (base,) = suspects(
        Capture([goroutines((1, ["runtime.chansend1@1", "main.f@2"])), goroutines((99, ["runtime.chansend1@1", "main.f@2"]))],
                [], None, 10.0)
    )  # fmt: skip
    made = [replace(base, function=f, file=p, line=n, count=c) for f, p, n, c in chosen]
    status = EvidenceStatus(state="Captured", summary=summary(Findings(tuple(made), "")), suspects=told(made))
    assert len(status.suspects) <= MAX_SUSPECTS
    assert EvidenceStatus.model_validate(status.model_dump(by_alias=True)) == status


def test_signals_that_say_what_grows_are_those_that_grow() -> None:
    # A policy's own query and an alert may be about anything.
    assert {kind for kind in SignalType if growing(kind)} == set(SignalType) - SYMPTOMS - {
        SignalType.PROMQL,
        SignalType.ALERT,
    }


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(EvidenceReason)


PORTS = {"sidecar": [("debug", 1), ("", 6060)], "app": [("http", 8080), ("debug", 2), ("pprof", 3)]}


def test_the_policys_port_comes_before_the_annotation_and_that_before_names() -> None:
    assert profile_port(9, "8", PORTS, "app") == 9
    assert profile_port(None, "8", PORTS, "app") == 8
    assert profile_port(None, None, PORTS, "app") == 3


def test_the_container_that_leaks_comes_before_its_neighbours() -> None:
    assert profile_port(None, None, PORTS, "sidecar") == 1
    assert profile_port(None, None, PORTS, "") == 1
    assert profile_port(None, None, {**PORTS, "sidecar": []}, "sidecar") == 3


@pytest.mark.parametrize("name", ["", "http", "metrics", "pprof2", "Debug", "http-debug"])
def test_other_names_are_no_permission(name: str) -> None:
    with pytest.raises(NoPort, match=r"leakwarden\.dev/pprof-port"):
        profile_port(None, None, {"app": [(name, 6060)]}, "app")


@pytest.mark.parametrize(
    ("suspects", "place"),
    [
        ([], ""),
        ([SuspectStatus(file="shop/api/pay.go", line=40, function="shop/api.Pay")], "pay.go:40"),
        ([SuspectStatus(function="shop/api.Pay")], "api.Pay"),
        ([SuspectStatus(file="a/" + "x" * 60 + ".go", line=1)], "xxxxxx.go:1"),
    ],
)
def test_a_place_in_short_fits_into_a_column(suspects: list[SuspectStatus], place: str) -> None:
    found = short_place(suspects)
    assert len(found) <= SHORT_PLACE
    assert found.endswith(place)


def test_a_path_with_dots_is_told_as_it_is_imported() -> None:
    runs = ["runtime.chanrecv1@1", "github.com/eclipse/paho%2emqtt%2egolang.startComms.func2@7"]
    (suspect,) = explain(Capture([goroutines((20, runs)), goroutines((320, runs))], [], None, 10.0)).suspects
    assert "github.com/eclipse/paho.mqtt.golang.startComms.func2" in suspect.headline
    (status,) = told([suspect])
    assert status.function == "github.com/eclipse/paho.mqtt.golang.startComms.func2"
    assert "%2e" not in status.explanation
