"""The kind and the advice where the table of kinds has no row of its own, or a row of several libraries: by the harvested
list, by the names in the profile, and by the call that called the team's function back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from leakwarden.core.profile.catalogue import kind_of_call
from leakwarden.core.profile.endings import ending_of, parsed, specialised, thing_of
from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.harvested_shapes import spoken
from leakwarden.core.profile.pprof import Profile
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import call, goroutines, heap, stack

CALM = goroutines((5, ["runtime.chanrecv1@1", "main.idle@3"]))
HANDLER = ("net/http.HandlerFunc.ServeHTTP@1", "net/http.(*conn).serve@2")
GROWS = frozenset({"memory"})


def kept(*calls: str, growing: frozenset[str] = GROWS, size: int = 512) -> Suspect:
    """The first suspect where such allocations are kept and become more."""
    heaps = [heap((n, n, calls), size=size) for n in (2_000, 20_000)]
    return explain(Capture([CALM, CALM], heaps, None, 10.0), growing=growing).suspects[0]


def running(
    *calls: str, heaps: Sequence[Profile] = (), growing: frozenset[str] = frozenset({"goroutines"})
) -> tuple[Suspect, ...]:
    """The suspects where such goroutines became more."""
    profiles = [goroutines((20, calls)), goroutines((320, calls))]
    return explain(Capture(profiles, heaps, None, 10.0), growing=growing).suspects


def test_a_row_of_several_libraries_names_the_one_that_was_called() -> None:
    own = kind_of_call(stack(["cloud.google.com/go/storage.(*ObjectHandle).NewReader@1"]))
    other = kind_of_call(stack(["github.com/minio/minio-go/v7.(*Client).GetObject@1"]))
    assert own is not None
    assert other is not None
    assert own.name == other.name == "CloudReaderNotClosed"
    assert own.title == "reader of a cloud object not closed"
    assert other.title == "minio.Object not closed"
    assert "call Close on the minio.Object" in other.fix
    assert other.docs == "https://pkg.go.dev/github.com/minio/minio-go/v7"


def test_a_row_stays_where_nothing_is_known_of_the_call_or_others_took_it() -> None:
    row = kind_of_call(stack(["github.com/segmentio/kafka-go.NewReader@1"]))
    assert row is not None
    assert specialised(row, None) is row
    assert specialised(row, ending_of("github.com/nxadm/tail.TailFile")) is row, "of a library that is not the row's"


def test_a_list_holds_stop_functions_opposites_and_names() -> None:
    found = parsed(
        [
            "# example.com/bus/v2@v2.0.1",
            "example.com/bus/v2",
            "\tListen\tfunc\tcall",
            "\tHub.AddPeer\t^\tRemovePeer,Remove",
            "\tGauge\t=name\tbound",
        ]
    )
    stop, peer, gauge = (found["example.com/bus", name].shape for name in ("Listen", "Hub.AddPeer", "Gauge"))
    assert stop.name == "StopFunctionNotCalled"
    assert "keep the function that bus.Listen returns" in stop.fix
    assert peer.name == "RegistrationKept"
    assert "call RemovePeer or Remove" in peer.fix
    assert peer.docs == "https://pkg.go.dev/example.com/bus/v2#Hub.RemovePeer"
    assert gauge.name == "NamesWithoutBound"
    assert "bounded set of values for name" in gauge.fix
    assert {one.library for one in (stop, peer, gauge)} == {True}


@pytest.mark.parametrize(
    ("function", "kind", "ends"),
    [
        ("github.com/bwmarrin/discordgo.(*Session).AddHandler", "func", ("call",)),
        ("github.com/olahol/melody.New", "*melody.Melody", ("Close",)),
        ("github.com/VictoriaMetrics/metrics.GetOrCreateCounter", "=name", ("bound",)),
        ("github.com/go-ldap/ldap/v3.DialURL", "*ldap.Conn", ("Close",)),
    ],
)
def test_real_libraries_are_in_the_list(function: str, kind: str, ends: tuple[str, ...]) -> None:
    found = ending_of(function)
    assert found is not None
    assert (found.kind, found.methods) == (kind, ends)


def test_the_type_behind_an_interface_is_the_interfaces_thing() -> None:
    behind = thing_of("github.com/eclipse/paho%2emqtt%2egolang.(*client).Publish")
    assert behind is not None
    assert (behind.kind, behind.methods[0]) == ("mqtt.Client", "Disconnect")
    assert thing_of("github.com/eclipse/paho%2emqtt%2egolang.startComms") is None


def test_of_an_unknown_library_the_call_and_the_type_are_named() -> None:
    loop = ["runtime.selectgo@1", "example.org/kit/worker.(*Pool).loop@23"]
    made = ["example.org/kit/worker.Start@9", "main.begin@40", *HANDLER]
    found = running(*loop, heaps=[heap((900, 900, made)), heap((9_900, 9_900, made))])[0]
    assert (found.function, found.line) == ("main.begin", 40)
    assert found.title == "what worker.Start makes is kept, with its goroutines"
    assert "worker.Pool" in found.fix
    assert found.docs == "https://pkg.go.dev/example.org/kit/worker"


def test_without_a_line_of_the_teams_the_type_is_named_all_the_same() -> None:
    found = running("runtime.selectgo@1", "example.org/kit/worker.(*Pool).loop@23")[0]
    assert found.title == "may be a leak: a worker.Pool is kept, with its goroutines"
    assert any("memprofilerate" in reason for reason in found.reasons)


def test_the_line_that_makes_a_client_comes_before_the_one_that_uses_it() -> None:
    loop = ["runtime.selectgo@1", "github.com/eclipse/paho%2emqtt%2egolang.startComms.func2@7"]
    used = ["github.com/eclipse/paho%2emqtt%2egolang.(*client).Publish@1", "main.send@43", *HANDLER]
    made = ["github.com/eclipse/paho%2emqtt%2egolang.NewClient@1", "main.dial@52", "main.send@38", *HANDLER]
    heaps = [heap((900, 900, used), (900, 0, made)), heap((9_900, 9_900, used), (9_900, 0, made))]
    found = running(*loop, heaps=heaps)[0]
    assert (found.function, found.line, found.shape) == ("main.dial", 52, "MqttClientNotDisconnected")
    assert any("Publish is called on is made here" in reason for reason in found.reasons)
    alone = running(*loop, heaps=[heap((900, 900, used)), heap((9_900, 9_900, used))])[0]
    assert alone.function == "main.send", "without a line that makes one, the one that uses it"


def test_a_lock_inside_a_library_is_what_another_line_took_and_did_not_end() -> None:
    calls = [
        "runtime.semacquire@1",
        "sync.(*Mutex).Lock@1",
        "github.com/hashicorp/go-memdb.(*MemDB).Txn@1",
        "main.take@68",
        *HANDLER,
    ]
    found = running(*calls)[0]
    assert (found.function, found.shape) == ("main.take", "MemdbTransactionNotEnded")
    assert "txn.Abort()" in found.fix
    assert found.confidence is not Confidence.HIGH, "who waits may only suffer"
    unknown = running(
        "runtime.semacquire@1", "sync.(*Mutex).Lock@1", "example.org/kit/x.(*Y).Do@1", "main.take@68", *HANDLER
    )
    assert unknown[0].shape == "MutexHeld"


RING = "example.org/shop/ring.(*Ring)"


def waiting(inner: Sequence[str], *, nested: int = 1) -> Suspect:
    outer = ["runtime.semacquire@1", "sync.(*RWMutex).RLock@1", f"{RING}.Closest@45", *HANDLER]
    within = ["runtime.semacquire@1", "sync.(*RWMutex).RLock@1", *inner, *HANDLER]
    profiles = [goroutines((n, outer), (nested, within)) for n in (20, 320)]
    return explain(Capture(profiles, [], None, 10.0), growing=frozenset({"goroutines"})).suspects[0]


def test_a_lock_that_is_taken_again_below_the_method_that_holds_it_is_taken_twice() -> None:
    found = waiting([f"{RING}.owner@61", f"{RING}.Closest@50"])
    assert found.shape == "LockTakenTwice"
    assert any(
        "ring.(*Ring).owner (code.go:61)" in reason and "Closest (code.go:50)" in reason for reason in found.reasons
    )


@pytest.mark.parametrize(
    ("inner", "nested"),
    [
        ([f"{RING}.owner@61", f"{RING}.Closest@40"], 1),  # called before it locks
        ([f"{RING}.owner@61", "main.handle@50"], 1),  # called by another
        ([f"{RING}.owner@61", f"{RING}.Closest@50"], 30),  # the first would have stopped the others
    ],
)
def test_other_locks_are_not_taken_twice(inner: Sequence[str], nested: int) -> None:
    assert waiting(inner, nested=nested).shape == "MutexHeld"


@pytest.mark.parametrize(
    ("calls", "shape"),
    [
        (["main.usage@43", "main.(*tracker).hook@35", "net/http.(*conn).setState@1", "net/http.(*Server).Serve@2"], "ConnStateEntriesKept"),
        (["main.row@52", "main.fetch@46", "github.com/graph-gophers/dataloader/v7.(*batcher[...]).batch@4"], "LoaderCacheGrows"),
        (["main.row@52", "example.org/kit/rowcache.(*Cache).fill@4"], "EntriesNeverRemoved"),
        (["main.seen@5", "k8s.io/client-go/tools/cache.ResourceEventHandlerFuncs.OnAdd@4"], "HandlerEntriesKept"),
        (["main.add@5", "main.consume@6", "example.org/kit/queue.(*Consumer).run@4"], "EntriesNeverRemoved"),
        (["golang.org/x/net/trace.newTrace@9", "golang.org/x/net/trace.New@1", "main.place@33", *HANDLER], "TraceNotFinished"),
    ],
)  # fmt: skip
def test_the_call_that_is_told_of_beginnings_and_ends_names_the_kind(calls: list[str], shape: str) -> None:
    assert kept(*calls).shape == shape


def test_a_librarys_cache_is_named_where_it_calls_the_team_back() -> None:
    found = kept("main.row@52", "example.org/kit/rowcache.(*Cache).fill@4")
    assert found.title == "what rowcache.Cache is given and keeps"


def test_what_a_helper_makes_belongs_to_what_its_caller_gives_away() -> None:
    given = ["github.com/gorilla/context.Set@19", "main.identify@28", *HANDLER]
    made = ["main.load@34", "main.identify@27", *HANDLER]
    heaps = [heap((n, n, made), (n // 10, n // 10, given)) for n in (2_000, 20_000)]
    found = explain(Capture([CALM, CALM], heaps, None, 10.0), growing=GROWS).suspects[0]
    assert (found.function, found.shape) == ("main.load", "RequestContextNotCleared")


def test_entries_of_some_size_may_be_parts_of_larger_arrays() -> None:
    assert "bytes.Clone" not in kept("main.add@5").fix
    assert "bytes.Clone" in kept("main.add@5", size=8192).fix


def test_a_read_of_a_terminal_is_no_call_without_a_deadline() -> None:
    (found, *_) = running("syscall.Syscall@1", "internal/poll.(*FD).Read@1", "os.(*File).Read@1", "main.pump@81")
    assert found.shape == "FileReadNeverReturns"
    assert "Close the file" in found.fix


def test_idle_connections_are_named_by_the_line_that_serves() -> None:
    idle = [
        "internal/poll.runtime_pollWait@1",
        "net/http.(*connReader).Read@1",
        "bufio.(*Reader).Peek@1",
        "net/http.(*conn).serve@1",
    ]
    accepts = ["internal/poll.runtime_pollWait@1", "net/http.(*Server).Serve@1", "main.serve@18", "main.main@9"]
    profiles = [goroutines((n, idle), (1, accepts)) for n in (20, 320)]
    found = explain(Capture(profiles, [], None, 10.0)).suspects[0]
    assert (found.shape, found.function, found.line) == ("IdleConnectionsKept", "main.serve", 18)
    assert found.confidence is Confidence.LOW, "more users look the same"
    watched = ["internal/poll.runtime_pollWait@1", "net/http.(*connReader).backgroundRead@1"]
    open_ = explain(Capture([goroutines((20, watched)), goroutines((320, watched))], [], None, 10.0)).suspects[0]
    assert open_.shape == "RequestsInFlight", "while a request is answered its connection is watched"


def test_a_handler_of_an_informer_that_leaks_as_a_whole_is_part_of_it() -> None:
    listener = ["runtime.selectgo@1", "k8s.io/client-go/tools/cache.(*processorListener).run@7"]
    reflector = ["runtime.selectgo@1", "k8s.io/client-go/tools/cache.(*Reflector).ListAndWatch@9"]
    made = ["k8s.io/client-go/tools/cache.(*sharedIndexInformer).AddEventHandler@1", "main.follow@56", *HANDLER]
    heaps = [heap((900, 900, made)), heap((9_900, 9_900, made))]
    assert running(*listener, heaps=heaps)[0].shape == "InformerHandlerKept"
    profiles = [goroutines((2 * n, listener), (n, reflector)) for n in (20, 320)]
    both = explain(Capture(profiles, heaps, None, 10.0), growing=frozenset({"goroutines"})).suspects[0]
    assert both.shape == "InformerNotStopped"


def test_where_descriptors_grow_and_no_line_does_the_likeliest_holders_are_told() -> None:
    dialled = ["bufio.NewWriterSize@1", "github.com/coder/websocket.Dial@1", "main.prices@219", *HANDLER]
    other = ["encoding/json.Unmarshal@1", "main.decode@7", *HANDLER]
    steady = heap((9_000, 2_000, dialled), (90_000, 3_000, other))
    capture = Capture([CALM, CALM], [steady, steady], None, 10.0)
    found = explain(capture, growing=frozenset({"descriptors"})).suspects
    assert [one.function for one in found] == ["main.prices", "main.decode"], "what has to be ended comes first"
    assert {one.confidence for one in found} == {Confidence.LOW}
    assert explain(capture).suspects == (), "nothing is known to grow"


def test_the_only_line_whose_memory_grew_explains_goroutines_without_a_line() -> None:
    loop = ["runtime.chanrecv1@1", "gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun@379"]
    audit = ["main.audit@148", *HANDLER]
    heaps = [heap((2_000, 2_000, audit)), heap((20_000, 20_000, audit))]
    found = running(*loop, heaps=heaps)[0]
    assert (found.shape, found.function, found.line) == ("LumberjackPerRequest", "main.audit", 148)
    assert found.confidence is Confidence.LOW
    little = running(*loop, heaps=[heap((100, 100, audit)), heap((1_300, 1_300, audit))])
    assert [(one.shape, one.function) for one in little] == [("LumberjackPerRequest", "main.audit")], "told once"
    two = [heap((n, n, audit), (n, n, ["main.other@9", *HANDLER])) for n in (2_000, 20_000)]
    assert all(one.shape != "LumberjackPerRequest" or not one.team for one in running(*loop, heaps=two))


def test_one_line_of_the_teams_is_told_before_the_librarys_own_where_both_grew_a_little() -> None:
    header = ["net/textproto.readMIMEHeader@601", "net/http.(*conn).readRequest@1050", "net/http.(*conn).serve@2"]
    given = ["github.com/gorilla/context.Set@19", "main.identify@28", *HANDLER]
    heaps = [heap((10, 10, header)), heap((4_000, 4_000, header), (1_000, 1_000, given))]
    found = explain(Capture([CALM, CALM], heaps, None, 10.0), growing=GROWS).suspects
    assert (found[0].function, found[0].shape) == ("main.identify", "RequestContextNotCleared")
    assert any(one.shape == "RequestsKept" for one in found)
    assert call("main.identify@28").line == 28


@pytest.mark.parametrize(
    ("calls", "size", "shape", "title"),
    [
        (["example.org/kit/rules/v2.NewEngine@1", "main.rules@5"], 512, "LibraryObjectKept", "what rules.NewEngine makes is kept, one for each call"),
        (["example.org/kit/ids.New@1", "main.id@5"], 64, "EntriesNeverRemoved", "entries that are kept and never removed"),
        (["example.org/kit/ids.Newest@1", "main.id@5"], 512, "EntriesNeverRemoved", "entries that are kept and never removed"),
        (["example.org/kit/hub.(*Hub).HandleJoin@1", "main.greet@5"], 64, "RegistrationKept", "what hub.Hub.HandleJoin is given stays in the hub.Hub"),
        (["example.org/kit/hub.(*Hub).Handled@1", "main.greet@5"], 64, "EntriesNeverRemoved", "entries that are kept and never removed"),
        (["github.com/jellydator/ttlcache/v3.(*Cache[...]).Set@1", "main.remember@5"], 512, "RegistrationKept", "entries that ttlcache.Cache.Set adds and nothing evicts"),
        (["main.newBuffer@3", "sync.(*Pool).Get@1", "main.render@5"], 512, "PoolObjectsKept", "objects of a sync.Pool that are kept"),
        (["net/http.(*Request).WithContext@1", "main.identify@5"], 512, "RequestsKept", "requests that are kept after their answer, or more that are open"),
    ],
)  # fmt: skip
def test_memory_below_a_call_of_an_unknown_library_is_named_by_the_call(
    calls: list[str], size: int, shape: str, title: str
) -> None:
    found = kept(*calls, *HANDLER, size=size)
    assert (found.shape, found.title) == (shape, title)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("github.com/a/b/v2.(*T[...]).M.func1", "b.T.M"),
        ("github.com/eclipse/paho%2emqtt%2egolang.(*client).Publish", "paho.mqtt.golang.client.Publish"),
        ("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun", "lumberjack.Logger.millRun"),
        ("main.serve", "main.serve"),
    ],
)
def test_names_are_said_as_people_write_them(function: str, said: str) -> None:
    assert spoken(function) == said
