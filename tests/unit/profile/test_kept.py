"""The kind of what is kept: by the call that keeps it, by the sizes of its allocations, by the name of the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from leakwarden.core.profile.evidence import Suspect
from leakwarden.core.profile.kept import opposite_of
from leakwarden.core.profile.pprof import Frame, Profile, StackSample, decode
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import encode, goroutines, heap, message, scalar, stack

CALM = goroutines((5, ["runtime.chanrecv1@1", "main.idle@3"]))
TABLE, POINTERS = 27264, 128
Allocated = tuple[int, int, int, Sequence[Frame | str]]  # size, ever, in use, stack


def sized(*allocations: Allocated) -> Profile:
    """A heap profile whose samples say the size of an allocation, as Go's do."""
    plain = heap()
    samples = tuple(
        StackSample(stack(calls), (ever, ever * size, now, now * size), size=size)
        for size, ever, now, calls in allocations
    )
    return replace(plain, samples=samples)


def first(before: Profile, after: Profile) -> Suspect:
    return explain(Capture([CALM, CALM], [before, after], None, 10.0)).suspects[0]


def kept(*calls: str) -> Suspect:
    """The suspect for memory that is kept at these calls and grows."""
    return first(heap((9000, 9000, calls)), heap((29000, 29000, calls)))


def test_a_map_is_told_by_the_tables_that_it_let_go() -> None:
    put, entry = ["main.(*limits).of@47"], ["main.newVisitor@60", "main.(*limits).of@46"]
    found = first(
        sized((TABLE, 40, 20, put), (POINTERS, 90000, 90000, entry)),
        sized((TABLE, 160, 80, put), (POINTERS, 290000, 290000, entry)),
    )
    assert (found.function, found.shape) == ("main.newVisitor", "MapGrows"), "an entry belongs to the map of its caller"
    alone = first(sized((TABLE, 40, 20, put)), sized((TABLE, 160, 80, put)))
    assert (alone.shape, alone.title) == ("MapGrows", "may be a leak: a map of main.limits that only grows")
    assert "delete entries" in alone.fix


def test_things_of_a_tables_size_that_are_all_kept_are_no_map() -> None:
    made = ["main.open@43"]
    assert first(sized((TABLE, 20, 20, made)), sized((TABLE, 80, 80, made))).shape == "EntriesNeverRemoved"


def test_one_array_that_doubles_is_a_buffer_and_many_are_not() -> None:
    line = ["main.record@30"]
    sizes = [(2**n, 1, 0, line) for n in range(17, 21)]
    assert first(sized((2**20, 1, 1, line)), sized(*sizes, (2**22, 1, 1, line))).shape == "BufferGrows"
    assert first(sized((2**17, 20, 20, line)), sized((2**17, 80, 80, line))).shape == "EntriesNeverRemoved"


@pytest.mark.parametrize(
    ("calls", "shape"),
    [
        (["io.ReadAll@1", "main.load@5"], "ContentKept"),
        (["os.ReadFile@1", "main.load@5"], "ContentKept"),
        (["encoding/json.(*decodeState).object@1", "encoding/json.Unmarshal@2", "main.load@5"], "EntriesNeverRemoved"),
        (["main.(*Hub).Subscribe@5"], "RegistrationKept"),
        (["context.WithValue@1", "main.with@5", "main.loop@9"], "ContextChain"),
        (["sync.(*Map).Store@1", "main.put@5"], "SyncMapGrows"),
        (["container/list.(*List).PushBack@1", "main.push@5"], "ListGrows"),
        (["regexp.compile@1", "regexp.Compile@2", "main.match@5"], "CompiledPerCall"),
        (["golang.org/x/time/rate.NewLimiter@1", "main.limit@5"], "RateLimiterPerKey"),
        (["github.com/rabbitmq/amqp091-go.(*Channel).NotifyClose@1", "main.send@5"], "AmqpListenerKept"),
        (["go.opentelemetry.io/otel/sdk/metric.(*meter).RegisterCallback@1", "main.show@5"], "OtelCallbackKept"),
        (["github.com/tetratelabs/wazero/internal/wasm.NewMemoryInstance@1",
          "github.com/tetratelabs/wazero.(*runtime).InstantiateModule@2", "main.eval@5"], "WasmModuleNotClosed"),
        (["github.com/rs/zerolog.Context.Str@1", "main.note.func1@5", "github.com/rs/zerolog.(*Logger).UpdateContext@2",
          "main.note@6"], "LoggerContextGrows"),
    ],
)  # fmt: skip
def test_what_keeps_the_memory_names_the_kind(calls: list[str], shape: str) -> None:
    assert kept(*calls).shape == shape


def test_a_context_that_a_library_makes_for_itself_is_not_the_teams_chain() -> None:
    inside = ["context.WithValue@1", "github.com/acme/rpc.(*Client).Call@2", "main.call@5"]
    assert kept(*inside).shape == "EntriesNeverRemoved"


def test_what_a_function_gives_to_a_registry_belongs_to_the_registry() -> None:
    """The listener's own channel is large and the registry's entry is small: both are of one function."""
    own, given = ["main.send@57"], ["github.com/rabbitmq/amqp091-go.(*Channel).NotifyClose@1", "main.send@58"]
    found = first(heap((90000, 90000, own), (2000, 2000, given)), heap((290000, 290000, own), (8000, 8000, given)))
    assert (found.line, found.shape) == (57, "AmqpListenerKept")


def test_the_advice_names_the_type_that_keeps_it() -> None:
    assert "example.org/shop/idem" not in kept("main.create@5").title
    assert (
        kept("example.org/shop/idem.(*Orders).Create@5").title
        == "may be a leak: entries that idem.Orders keeps and never removes"
    )


@pytest.mark.parametrize(
    ("function", "opposite"),
    [
        ("main.(*Hub[...]).Subscribe", "Unsubscribe"),
        ("main.(*Hub).SubscribeAll.func1", "Unsubscribe"),
        ("main.(*Hub).On", "Off"),
        ("main.(*Hub).Only", ""),
        ("main.registerUser", "Unregister"),
        ("main.parse", ""),
    ],
)
def test_the_opposite_of_a_method_is_told_from_its_name(function: str, opposite: str) -> None:
    assert opposite_of(function) == opposite


def test_a_finalizer_that_waits_explains_what_its_package_keeps() -> None:
    waits = ["runtime.chansend1@1", "main.(*Reader).release@63", "runtime.runFinalizers@272"]
    made = ["main.(*Reader).load@57"]
    before, after = heap((9000, 9000, made)), heap((29000, 29000, made))
    blocked = goroutines((1, waits))
    found = explain(Capture([blocked, blocked], [before, after], None, 10.0)).suspects[0]
    assert (found.shape, found.line) == ("FinalizerBlocked", 57)
    passing = explain(Capture([blocked, CALM], [before, after], None, 10.0)).suspects[0]
    assert passing.shape == "EntriesNeverRemoved", "a finalizer that is done at the second capture blocks nothing"


def test_a_command_that_hangs_on_its_output_is_not_one_without_a_wait() -> None:
    waits = ["runtime.chanrecv1@1", "os/exec.(*Cmd).awaitGoroutines@9", "os/exec.(*Cmd).Wait@8", "main.probe@38"]
    copies = ["internal/poll.runtime_pollWait@1", "os.(*File).Read@2", "os/exec.(*Cmd).writerDescriptor.func1@5",
              "os/exec.(*Cmd).Start.func2@6"]  # fmt: skip
    started = ["os/exec.(*Cmd).Start@9", "main.probe@35"]
    found = explain(
        Capture(
            [goroutines((20, waits), (40, copies)), goroutines((120, waits), (240, copies))],
            [heap((900, 900, started)), heap((9000, 9000, started))], None, 10.0,
        )
    ).suspects  # fmt: skip
    assert {s.shape for s in found if s.unit == "goroutines"} == {"CommandOutputHeld"}
    assert "WaitDelay" in found[0].fix


def test_many_lines_that_grow_a_little_are_told_together_with_low_confidence() -> None:
    """None grew beyond its own noise, and all goroutines together did."""
    many = [
        ["runtime.selectgo@1", "database/sql.(*Rows).awaitDone@3"],
        ["runtime.selectgo@1", "net/http.(*persistConn).readLoop@2"],
    ]
    calm = goroutines(*((150, one) for one in many))
    more = goroutines(*((205, one) for one in many))
    found = explain(Capture([calm, more], [], None, 10.0)).suspects
    assert found
    assert {s.confidence.value for s in found} == {"Low"}
    assert not explain(Capture([calm, goroutines(*((160, one) for one in many))], [], None, 10.0)).suspects


def test_the_size_of_an_allocation_is_read_from_its_label() -> None:
    plain = encode(Profile((("alloc_space", "bytes"),), ()))
    label = message(3, scalar(1, 3) + scalar(3, 27264))  # string 3
    text = message(6, b"bytes")
    found = decode(plain + text + message(2, message(2, b"\x01") + label))
    assert found.samples[0].size == 27264
    assert found.samples[0].labels == ()


def test_a_wait_inside_a_librarys_call_names_the_call_and_what_ends_it() -> None:
    waits = ["runtime.selectgo@1", "github.com/hashicorp/yamux.(*Session).AcceptStream@8", "main.follow@12"]
    (found,) = explain(Capture([goroutines((20, waits)), goroutines((420, waits))], [], None, 10.0)).suspects
    assert (found.shape, found.title) == (
        "LibraryCallWaits",
        "may be a leak: yamux.Session.AcceptStream does not return",
    )
    assert found.fix.endswith("or call Close on its Session")


def test_a_librarys_loop_that_calls_the_team_back_is_not_what_the_team_waits_for() -> None:
    """A job of a scheduler that hangs is no scheduler that was not stopped."""
    job = ["runtime.chanrecv1@1", "main.job@12", "github.com/robfig/cron/v3.FuncJob.Run@136",
           "github.com/robfig/cron/v3.(*Cron).run@3"]  # fmt: skip
    (found,) = explain(Capture([goroutines((20, job)), goroutines((420, job))], [], None, 10.0)).suspects
    assert (found.shape, found.function) == ("ChannelReceive", "main.job")
