"""What is told of memory whose container the heap profile does not show: how much of it is let go, what its callers use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import goroutines, heap

SERVED = ("main.serve@9", "net/http.HandlerFunc.ServeHTTP@1", "net/http.(*conn).serve@2")
CALM = goroutines((5, ["runtime.chanrecv1@1", "main.idle@3"]))
MEMORY = frozenset({"memory", "rss"})
Stack = Sequence[Frame | str]


def kept(
    calls: Stack,
    *others: tuple[int, int, Stack],
    part: float = 1.0,
    standing: Profile = CALM,
    growing: frozenset[str] = MEMORY,
) -> Suspect:
    """The first suspect where this part of what is made at these calls is kept, 8 KiB each."""
    before, after = (heap((n, round(part * n), calls), *others, size=8192) for n in (4_000, 16_000))
    return explain(Capture([standing, standing], [before, after], None, 60.0), growing=growing).suspects[0]


def test_where_most_is_let_go_the_path_that_forgets_the_rest_is_told() -> None:
    found = kept(["main.(*calls).send@31", *SERVED], part=0.25)
    assert found.title == "entries that main.calls keeps and does not remove on every path"
    assert found.why.startswith("75% of what is made here is let go in time")
    assert "a timeout, a cancelled context, an error or an early return" in found.fix
    assert kept(["main.(*calls).send@31", *SERVED]).title == "entries that main.calls keeps and never removes"


def test_what_outlives_requests_that_stay_open_is_told_as_theirs() -> None:
    streams = goroutines((14, ["main.(*hub).stream@40", *SERVED]))
    found = kept(["main.newViewer@22", "main.(*hub).stream@38", *SERVED], standing=streams)
    assert found.title == "what ended requests of main.hub.stream leave behind"
    assert "Server.RegisterOnShutdown" in found.fix
    many = goroutines((16_000, ["main.(*hub).stream@40", *SERVED]))
    assert "ended requests" not in kept(["main.newViewer@22", "main.(*hub).stream@38", *SERVED], standing=many).title


def test_the_library_that_a_caller_uses_is_told_as_the_likeliest_keeper() -> None:
    publish = (
        10,
        0,
        ["time.NewTimer@1", "github.com/eclipse/paho%2emqtt%2egolang.(*client).Publish@7", "main.ask@75", *SERVED],
    )
    found = kept(["main.newQuestion@54", "main.ask@68", *SERVED], publish)
    assert found.shape == "MqttRouteKept"
    assert "Unsubscribe" in found.fix
    assert found.confidence is not Confidence.HIGH, "another call of the same client may keep it"
    elsewhere = (10, 0, [*publish[2][:2], "main.other@75", *SERVED])
    assert kept(["main.newQuestion@54", "main.ask@68", *SERVED], elsewhere).shape == "EntriesNeverRemoved"


@pytest.mark.parametrize(
    ("below", "shape"),
    [
        (["sync.(*Map).Store@1"], "SyncMapGrows"),
        (["container/list.(*List).PushFront@1"], "ListGrows"),
        (["github.com/robfig/cron/v3.(*Cron).AddFunc@1"], "JobNeverRemoved"),
        (["github.com/open-feature/go-sdk/openfeature.(*Client).BooleanValue@1"], "RegistrationKept"),
        (["fmt.Sprint@1"], "EntriesNeverRemoved"),
        # Most callers use these for other things.
        (["go.opentelemetry.io/otel/sdk/trace.(*tracer).Start@1"], "EntriesNeverRemoved"),
        (["k8s.io/client-go/kubernetes/typed/core/v1.(*pods).Get@1"], "EntriesNeverRemoved"),
    ],
)
def test_a_container_that_the_caller_puts_things_into_is_told(below: list[str], shape: str) -> None:
    other = (1, 0, [*below, "main.remember@60", *SERVED])
    assert kept(["main.newSession@20", "main.remember@55", *SERVED], other).shape == shape


def test_the_only_library_that_runs_and_keeps_what_it_is_given_is_looked_at_first() -> None:
    running = goroutines((12, ["github.com/r3labs/sse/v2.(*Stream).run.func1@53"]))
    found = kept(["encoding/json.Marshal@1", "main.send@38", *SERVED], standing=running)
    assert found.shape == "EntriesNeverRemoved"
    assert found.fix.startswith("set the server's AutoReplay to false")
    assert "(json.Marshal)" in found.why


def test_a_handler_is_not_taken_for_the_method_that_registers_it() -> None:
    handler = ["main.(*Books).Mount.func1@45", "net/http.HandlerFunc.ServeHTTP@1", "net/http.(*conn).serve@2"]
    assert kept(handler).shape == "EntriesNeverRemoved"
    assert kept(["main.(*Books).Mount@45", "main.open@3"]).shape == "RegistrationKept"


def test_a_line_that_lets_go_of_most_and_yet_is_all_that_grows_is_told() -> None:
    calls = ["main.(*calls).send@31", *SERVED]

    def taken(rows: Sequence[int], growing: frozenset[str]) -> list[Suspect]:
        heaps = [replace(heap((10 * n, n, calls), size=8192), taken=30.0 * at) for at, n in enumerate(rows)]
        return list(explain(Capture([CALM] * len(rows), heaps, None, 60.0), growing=growing).suspects)

    (found,) = taken((130, 300, 580), MEMORY)
    assert (found.function, found.confidence) == ("main.(*calls).send", Confidence.MEDIUM)
    (found,) = taken((130, 90, 580), MEMORY)
    assert found.confidence is Confidence.LOW, "it does not rise from capture to capture"
    (found,) = taken((130, 300, 580), frozenset())
    assert found.confidence is Confidence.LOW, "no signal is known to grow"
    assert taken((130, 90, 580), frozenset()) == []


def test_a_process_that_grows_beside_a_heap_that_grows_little_has_both_named() -> None:
    calls = ["main.(*calls).send@31", *SERVED]
    before, after = heap((100, 100, calls), size=8192), heap((200, 200, calls), size=8192)
    capture = Capture([CALM, CALM], [before, after], None, 10.0)
    line, outside = explain(capture, growing=frozenset({"rss"})).suspects
    assert (line.function, outside.shape) == ("main.(*calls).send", "MemoryOutsideHeap")
    assert "the heap explains 0.8 MiB of it" in " ".join(outside.reasons)
    assert [one.shape for one in explain(capture, growing=MEMORY).suspects] == ["EntriesNeverRemoved"]


def test_memory_outside_of_the_heap_is_told_with_the_line_that_calls_a_library_with_memory_of_its_own() -> None:
    images = (40, 2, ["gocv.io/x/gocv.newMat@1", "gocv.io/x/gocv.IMDecode@2", "main.thumbnail@31", *SERVED])
    other = (900, 0, ["encoding/json.Marshal@1", "main.answer@44", *SERVED])
    profile = heap(images, other)
    (found,) = explain(Capture([CALM, CALM], [profile, profile], None, 60.0), growing=frozenset({"rss"})).suspects
    assert (found.shape, found.function, found.confidence) == ("MemoryOutsideHeap", "main.thumbnail", Confidence.LOW)
    assert found.title == "may be a leak: memory outside of the Go heap, most likely C memory of gocv.io/x/gocv"
    assert found.fix.partition("if it is a leak: ")[2].startswith("Close each Mat")
    plain = heap(other)
    (found,) = explain(Capture([CALM, CALM], [plain, plain], None, 60.0), growing=frozenset({"rss"})).suspects
    assert (found.function, found.title) == ("", "may be a leak: memory outside of the Go heap")


def test_a_wait_within_a_request_is_told_to_look_at_its_context() -> None:
    waits = ["runtime.selectgo@1", "main.(*hub).stream@40", *SERVED]
    taken = [goroutines((10, waits)), goroutines((300, waits))]
    (found,) = (one for one in explain(Capture(taken, [], None, 10.0)).suspects if one.line == 40)
    assert "r.Context().Done()" in found.fix
    alone = ["runtime.selectgo@1", "main.(*hub).run@40"]
    (found,) = explain(Capture([goroutines((10, alone)), goroutines((300, alone))], [], None, 10.0)).suspects
    assert "r.Context().Done()" not in found.fix
