"""The lines that become suspects, those that do not, and the confidence, on profiles made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leakwarden.core.profile.catalogue import CATALOGUE
from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.pprof import Profile, ProfileError
from leakwarden.core.profile.suspects import Capture, suspects
from tests.unit.profile.profile_builders import goroutines, heap

READ_LOOP = ["runtime.selectgo@1", "net/http.(*persistConn).readLoop@2398"]
IDLE_LOOP = [
    "runtime.netpollblock@1", "internal/poll.runtime_pollWait@1", "net.(*conn).Read@1", "bufio.(*Reader).Peek@1",
    "net/http.(*persistConn).readLoop@2300",
]  # fmt: skip
SEND = ["runtime.chansend1@1", "main.first.func1@22"]


def get(caller: str) -> list[str]:
    """An allocation of a request by `caller`."""
    return ["net/http.NewRequestWithContext@9", "net/http.(*Client).Get@8", *caller.split(" < ")]


def between(
    first: Profile, last: Profile, *heaps: Profile, leaked: Profile | None = None, growing: str = ""
) -> list[Suspect]:
    return suspects(Capture([first, last], heaps, leaked, 5.0), growing=frozenset(growing.split()))


def test_goroutines_that_grow_at_one_line_are_named_with_their_rate() -> None:
    (found,) = between(goroutines((1000, SEND)), goroutines((1500, SEND)))
    assert (found.shape, found.function, found.line) == ("ChannelSend", "main.first.func1", 22)
    assert (found.count, found.growth_per_s, found.explains) == (1500, 100.0, 1.0)
    assert (
        found.headline
        == "1500 goroutines at main.first.func1 (main.go:22), +100.0/s: may be a leak: channel send that nobody"
        " receives: the reader of the channel that main.first makes or fills has left"
    )
    assert found.fix


@pytest.mark.parametrize(("before", "after"), [(1000, 1000), (1000, 1050), (40, 60), (3000, 100), (0, 9)])
def test_noise_of_requests_in_flight_names_nothing(before: int, after: int) -> None:
    assert between(goroutines((before, SEND)), goroutines((after, SEND))) == []


def test_the_same_noise_is_enough_where_the_signal_is_known_to_grow() -> None:
    (found,) = between(goroutines((148, SEND)), goroutines((198, SEND)), growing="goroutines")
    assert found.confidence is Confidence.MEDIUM
    assert "the signal grows" in found.reasons


def test_a_line_that_gains_next_to_nothing_is_no_more_than_a_guess_even_then() -> None:
    (found,) = between(goroutines((1000, SEND)), goroutines((1010, SEND)), growing="goroutines")
    assert found.confidence is Confidence.LOW
    assert any("no more than requests in flight may" in reason for reason in found.reasons)


def test_a_leak_that_rests_between_two_captures_is_named_and_little_sure() -> None:
    """Of ten leaks in an hour none happens between two captures, and without requests none happens at all."""
    (found,) = between(goroutines((148, READ_LOOP)), goroutines((148, READ_LOOP)), growing="descriptors")
    assert found.confidence is Confidence.LOW
    assert any("no more than requests in flight" in reason for reason in found.reasons)
    assert between(goroutines((148, READ_LOOP)), goroutines((148, READ_LOOP))) == [], "nothing says that it grows"


def test_even_then_a_line_that_shrinks_or_is_one_of_many_is_not_named() -> None:
    assert between(goroutines((198, SEND)), goroutines((190, SEND)), growing="goroutines") == []
    crowd = [(100, ["runtime.chanrecv1@1", f"main.worker{n}@{n + 1}"]) for n in range(5)]
    assert between(goroutines((48, SEND), *crowd), goroutines((50, SEND), *crowd), growing="goroutines") == []


def test_one_capture_alone_names_nothing_but_the_enormous() -> None:
    assert suspects(Capture([goroutines((9_999, SEND))])) == []
    (found,) = suspects(Capture([goroutines((10_000, SEND))]))
    assert (found.confidence, found.growth_per_s) == (Confidence.LOW, None)


def test_what_the_runtime_calls_leaked_is_certain_without_growth() -> None:
    standing = goroutines((20, SEND))
    (found,) = between(standing, standing, leaked=goroutines((20, SEND), kind="goroutineleak"))
    assert found.confidence is Confidence.HIGH
    assert "can never wake" in found.reasons[0]


def test_a_handful_that_the_runtime_calls_leaked_is_nobodys_concern() -> None:
    standing = goroutines((3, SEND))
    assert between(standing, standing, leaked=goroutines((3, SEND), kind="goroutineleak")) == []


def test_stacks_that_meet_at_one_line_count_together() -> None:
    def at(n: int) -> Profile:
        return goroutines(*[(n, ["runtime.chansend1@1", "main.emit@5", f"main.handler{k}@{k + 9}"]) for k in range(4)])

    (found,) = between(at(100), at(300))
    assert (found.function, found.count, found.growth_per_s) == ("main.emit", 1200, 160.0)


def test_the_creator_of_a_librarys_goroutines_comes_from_the_heap() -> None:
    kept = heap((4000, 3000, get("main.fetchUser@42 < main.handle@7")), (9000, 20, get("main.fetchOrder@50")))
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert (found.shape, found.function, found.line) == ("ResponseBodyNotClosed", "main.fetchUser", 42)
    assert found.count == 2000
    assert found.explains == 1.0


def test_without_a_trace_in_the_heap_the_shape_is_told_and_the_line_is_not() -> None:
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)))
    assert (found.shape, found.function) == ("ResponseBodyNotClosed", "net/http.(*persistConn).readLoop")
    assert found.confidence is Confidence.LOW


def test_where_nothing_is_kept_yet_the_only_caller_is_the_one() -> None:
    freed = heap((5000, 0, get("main.fetchUser@42")))
    (found,) = between(goroutines((100, READ_LOOP)), goroutines((200, READ_LOOP)), freed)
    assert found.function == "main.fetchUser"
    assert any("too little is kept" in reason for reason in found.reasons)


def test_without_any_trace_in_the_heap_who_makes_such_calls_is_looked_for() -> None:
    done = ["runtime.selectgo@1", "database/sql.(*Rows).awaitDone@3009"]
    asking = ["runtime.selectgo@1", "database/sql.(*DB).conn@3", "database/sql.(*DB).QueryContext@9", "main.newest@18"]
    found = between(goroutines((40, done), (3, asking)), goroutines((300, done), (3, asking)))
    assert (found[0].shape, found[0].function) == ("RowsNotClosed", "main.newest")
    assert any("were making such a call here" in reason for reason in found[0].reasons)


def test_the_teams_calls_above_a_helper_are_told() -> None:
    kept = heap((4000, 3000, get("example.org/shop/api.Fetch@40 < main.leaking@24 < main.serve@9")))
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert [f.function for f in found.callers] == ["main.leaking", "main.serve"]


def test_of_two_callers_of_a_helper_the_one_that_keeps_is_named() -> None:
    kept = heap(
        (8000, 4000, get("example.org/shop/api.Do@30 < main.check@23")),
        (8000, 30, get("example.org/shop/api.Do@30 < main.load@13")),
    )
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert found.function == "main.check"


def test_where_all_callers_of_a_helper_keep_the_helper_is_named() -> None:
    kept = heap(
        (8000, 4000, get("example.org/shop/api.Do@30 < main.check@23")),
        (8000, 3500, get("example.org/shop/api.Do@30 < main.load@13")),
    )
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert found.function == "example.org/shop/api.Do"


def test_who_opened_a_connection_is_not_who_leaks_it() -> None:
    dialled = ["net/http.(*Transport).getConn@1", "net/http.(*Client).do@8", "main.load@13"]
    kept = heap((9000, 9000, dialled), (3000, 1000, get("main.check@23")))
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert found.function == "main.check"


def test_a_wrapper_of_others_is_passed_over() -> None:
    kept = heap((4000, 3000, get("example.net/httpx.(*Client).Fetch@3 < main.available@17")))
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert found.function == "main.available"


def test_a_round_tripper_of_the_teams_own_is_not_who_makes_the_call() -> None:
    below = [
        "net/http.(*Transport).roundTrip@1",
        "main.(*traced).RoundTrip@8",
        "net/http.send@2",
        "net/http.(*Client).do@3",
    ]
    waiting = ["runtime.selectgo@1", "net/http.(*persistConn).roundTrip@1", *below, "main.(*ledger).balance@28"]
    (found,) = between(goroutines((100, waiting)), goroutines((900, waiting)))
    assert (found.shape, found.function) == ("CallWithoutDeadline", "main.(*ledger).balance")
    kept = heap((4000, 3000, [*below, "main.(*ledger).balance@28"]))
    (found,) = between(goroutines((1000, READ_LOOP)), goroutines((2000, READ_LOOP)), kept)
    assert (found.shape, found.function) == ("ResponseBodyNotClosed", "main.(*ledger).balance")


def test_connections_idle_in_a_shared_pool_are_healthy_until_they_multiply() -> None:
    assert between(goroutines((200, IDLE_LOOP)), goroutines((210, IDLE_LOOP))) == []
    kept = heap((4000, 3000, ["net/http.(*Transport).roundTrip@1", "net/http.(*Client).Do@2", "main.fetch@19"]))
    (found,) = between(goroutines((500, IDLE_LOOP)), goroutines((1500, IDLE_LOOP)), kept)
    assert (found.shape, found.function) == ("TransportPerRequest", "main.fetch")


def test_goroutines_of_gos_own_that_grow_are_told_and_not_as_the_teams() -> None:
    served = [
        "runtime.netpollblock@1",
        "internal/poll.runtime_pollWait@1",
        "net.(*conn).Read@1",
        "net/http.(*conn).serve@9",
    ]
    writing = ["runtime.selectgo@1", "net/http.(*persistConn).writeLoop@9"]
    found = between(goroutines((10, served), (10, writing)), goroutines((9000, served), (9000, writing)))
    assert {s.shape for s in found} == {"RequestsInFlight", "MadeHereAndKept"}
    assert [(s.confidence, s.team) for s in found] == [(Confidence.LOW, False)] * 2


def test_a_waiting_receive_in_a_function_that_keeps_tickers_is_a_ticker() -> None:
    loop = ["runtime.chanrecv2@1", "main.heartbeat@17"]
    kept = heap((4000, 4000, ["time.NewTicker@1", "main.heartbeat@15"]))
    found = between(goroutines((1000, loop)), goroutines((2000, loop)), kept)
    assert (found[0].shape, found[0].line) == ("TickerNeverStopped", 17)


def test_a_wait_for_a_contexts_end_is_a_context_never_cancelled() -> None:
    wait = ["runtime.chanrecv1@1", "main.release@13"]
    kept = heap((4000, 4000, ["context.(*cancelCtx).Done@1", "main.release@13"]))
    found = between(goroutines((1000, wait)), goroutines((2000, wait)), kept)
    assert (found[0].shape, found[0].line) == ("ContextNeverCancelled", 13)


LOCKED = ["runtime.semacquire1@1", "sync.(*RWMutex).RLock@1", "main.(*cache).get@9"]


def test_who_holds_the_lock_and_waits_is_named_before_those_who_wait_for_the_lock() -> None:
    holder = ["runtime.chansend1@1", "main.(*cache).evict@34"]
    found = between(goroutines((500, LOCKED), (1, holder)), goroutines((2500, LOCKED), (1, holder)))
    assert [s.function for s in found] == ["main.(*cache).evict", "main.(*cache).get"]
    assert found[1].confidence is not Confidence.HIGH


def test_a_lock_whose_holder_is_gone_is_named_at_those_who_wait() -> None:
    other = ["runtime.chansend1@1", "main.(*queue).push@34"]
    (found,) = between(goroutines((500, LOCKED), (1, other)), goroutines((2500, LOCKED), (1, other)))
    assert (found.shape, found.function) == ("MutexHeld", "main.(*cache).get")
    assert "may only suffer" in " ".join(found.reasons)


def test_a_worker_that_cannot_finish_comes_before_the_group_that_waits_for_it() -> None:
    waiting = ["runtime.semacquire1@1", "sync.(*WaitGroup).Wait@1", "main.gather@22"]
    worker = ["runtime.chansend1@1", "main.collect@12"]
    found = between(goroutines((500, waiting), (500, worker)), goroutines((2500, waiting), (2500, worker)))
    assert [s.shape for s in found] == ["ChannelSend", "WaitGroupNeverDone"]


def test_files_that_are_kept_are_named_where_descriptors_grow() -> None:
    opened = ["os.newFile@1", "os.OpenFile@2", "main.spool@18"]
    calm = goroutines((5, SEND))
    (found,) = between(calm, calm, heap((9000, 9000, opened)), heap((12000, 12000, opened)), growing="descriptors")
    assert (found.shape, found.function, found.unit) == ("FileNotClosed", "main.spool", "objects")
    assert found.headline.startswith("about 12000 objects at main.spool (main.go:18)")


def test_what_a_call_needs_for_a_moment_does_not_hide_what_it_keeps() -> None:
    """To open a connection a driver reads its settings, which is garbage at once and more than the buffers it keeps."""
    below = "database/sql.(*DB).QueryContext@7"
    buffers = ["bufio.NewReaderSize@3", "github.com/lib/pq.DialOpen@5", below, "main.oldest@41"]
    settings = ["strings.(*Replacer).build@3", "github.com/lib/pq.(*Config).fromEnv@5", below, "main.oldest@41"]
    calm = goroutines((5, SEND))
    before, after = (heap((kept, kept, buffers), (4 * kept, 0, settings), size=4096) for kept in (1300, 1700))
    (found,) = between(calm, calm, before, after)
    assert (found.shape, found.function, found.line) == ("RowsNotClosed", "main.oldest", 41)
    churned = heap((5300, 1300, buffers), size=4096), heap((6700, 1700, buffers), size=4096)
    assert between(calm, calm, *churned) == []


def test_a_file_that_no_sample_shows_is_told_by_what_was_made_for_it_where_descriptors_grow() -> None:
    buffer = ["bufio.NewWriterSize@3", "main.spool@59"]
    calm = goroutines((5, SEND))
    kept = heap((60, 60, buffer), size=8192), heap((360, 360, buffer), size=8192)
    (found,) = between(calm, calm, *kept, growing="descriptors")
    assert (found.shape, found.function) == ("OpenedHereAndKept", "main.spool")
    assert "lose what is opened here" in found.fix
    (found,) = between(calm, calm, *kept, growing="memory")
    assert found.shape == "EntriesNeverRemoved"


def test_where_goroutines_hold_the_descriptors_that_grow_kept_memory_is_no_file() -> None:
    buffer = ["bufio.NewWriterSize@3", "main.spool@59"]
    kept = heap((60, 60, buffer), size=8192), heap((360, 360, buffer), size=8192)
    waiting = [goroutines((count, ["internal/poll.runtime_pollWait@1", "main.poll@8"])) for count in (100, 400)]
    found = between(*waiting, *kept, growing="descriptors")
    assert {one.shape for one in found} == {"CallWithoutDeadline", "EntriesNeverRemoved"}


ACCEPT = [
    "internal/poll.runtime_pollWait@1", "internal/poll.(*FD).Accept@2", "net.(*TCPListener).Accept@5",
]  # fmt: skip


def test_a_loop_of_the_teams_that_accepts_waits_for_its_listener_and_not_for_a_call() -> None:
    (found,) = between(goroutines((100, [*ACCEPT, "main.accept@41"])), goroutines((300, [*ACCEPT, "main.accept@41"])))
    assert (found.shape, found.function, found.line) == ("ListenerNotClosed", "main.accept", 41)


@pytest.mark.parametrize("package", ["net/http.(*http2", "net/http/internal/http2.(*", "golang.org/x/net/http2.(*"])
def test_more_http2_connections_are_more_transports_since_streams_share_one(package: str) -> None:
    dials = ["net/http.(*Transport).roundTrip@9", "net/http.(*Client).do@8", "main.quote@35"]
    loop = [
        "internal/poll.runtime_pollWait@1",
        f"{package}clientConnReadLoop).run@9",
        f"{package}ClientConn).readLoop@8",
    ]
    (found,) = between(goroutines((100, loop)), goroutines((300, loop)), heap((3000, 3000, dials)))
    assert (found.shape, found.function) == ("TransportPerRequest", "main.quote")


def test_a_loop_that_reads_what_a_library_keeps_is_of_the_librarys_kind() -> None:
    reads = ["internal/poll.runtime_pollWait@1", "github.com/fsnotify/fsnotify.(*inotify).readEvents@368"]
    follows = ["runtime.selectgo@1", "main.follow@60"]
    (found,) = between(goroutines((100, reads), (100, follows)), goroutines((300, reads), (300, follows)))
    assert (found.shape, found.function, found.line) == ("WatcherNotClosed", "main.follow", 60)
    apart = between(goroutines((100, reads), (100, follows)), goroutines((300, reads), (200, follows)))
    assert {one.shape for one in apart} == {"WatcherNotClosed", "SelectNeverWoken"}


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("time.AfterFunc@9", "TimerNeverStopped"),
        ("context.AfterFunc@9", "ContextCallbackKept"),
        ("os.newFile@1 < os.OpenFile@2", "FileNotClosed"),
    ],
)
def test_what_a_small_thing_keeps_with_it_is_of_its_kind(call: str, kind: str) -> None:
    """A timer is some hundred bytes and hardly sampled; the memory that its function refers to is large."""
    small, large = [*call.split(" < "), "main.begin@45"], ["main.begin@44"]
    before = heap((3000, 3000, small), (100, 100, large), size=256)
    after = heap((6000, 6000, small), (60000, 60000, large), size=256)
    calm = goroutines((5, SEND))
    found = between(calm, calm, before, after)
    assert {one.shape for one in found} == {kind}


def test_one_buffer_that_grows_and_grows_is_told_although_it_is_one_sample() -> None:
    calm = goroutines((5, SEND))
    grows = ["bytes.growSlice@3", "main.annotate@30"]
    before, after = heap((9, 1, grows), size=2**19), heap((40, 1, grows), size=2**22)
    (found,) = between(calm, calm, before, after)
    assert (found.shape, found.function, found.confidence) == ("BufferGrows", "main.annotate", Confidence.LOW)
    assert between(calm, calm, after, heap((60, 1, grows), size=2**22)) == []


def test_a_prepared_statement_that_is_kept_is_told_as_one() -> None:
    prepared = ["database/sql.(*DB).prepareDC@3", "database/sql.(*DB).PrepareContext@5", "main.one@15"]
    calm = goroutines((5, SEND))
    (found,) = between(calm, calm, heap((9000, 9000, prepared)), heap((29000, 29000, prepared)))
    assert (found.shape, found.function) == ("StatementNotClosed", "main.one")


def test_files_that_are_closed_or_were_opened_at_start_are_not_named() -> None:
    opened = ["os.newFile@1", "os.OpenFile@2", "main.spool@18"]
    calm = goroutines((5, SEND))
    closed = heap((90000, 900, opened))
    assert between(calm, calm, closed, heap((99000, 950, opened))) == []
    always = heap((9000, 9000, opened))
    assert between(calm, calm, always, always) == []


def test_a_context_that_a_library_derives_is_not_the_callers() -> None:
    inside = ["context.WithCancel@1", "net/http.(*Transport).roundTrip@2", "net/http.Get@3", "main.fetch@9"]
    calm = goroutines((5, SEND))
    found = between(calm, calm, heap((9, 9, inside)), heap((9000, 9000, inside), size=4096), growing="memory")
    assert "ContextNeverCancelled" not in {s.shape for s in found}


def test_labels_that_all_of_them_share_are_told() -> None:
    def labelled(count: int) -> Profile:
        profile = goroutines((count, SEND))
        return replace(profile, samples=tuple(replace(s, labels=(("handler", "/pay"),)) for s in profile.samples))

    (found,) = between(labelled(100), labelled(900))
    assert found.labels == (("handler", "/pay"),)


def test_labels_that_only_some_of_them_have_are_not_told() -> None:
    def mixed(count: int) -> Profile:
        profile = goroutines((count, [*SEND, "main.a@3"]), (count, [*SEND, "main.b@4"]))
        one, *others = profile.samples
        return replace(profile, samples=(replace(one, labels=(("handler", "/pay"),)), *others))

    (found,) = between(mixed(100), mixed(900))
    assert found.count == 1800
    assert found.labels == ()


def test_a_growing_pool_accuses_rows_and_transactions_and_no_bodies() -> None:
    rows = ["runtime.selectgo@1", "database/sql.(*Rows).awaitDone@2"]
    made = [(9000, 1000, ["database/sql.(*DB).queryDC@1", "database/sql.(*DB).QueryContext@2", "main.list@18"])]
    (found,) = between(goroutines((48, rows)), goroutines((70, rows)), heap(*made), heap(*made), growing="connections")
    assert (found.shape, found.function) == ("RowsNotClosed", "main.list")
    assert between(goroutines((48, READ_LOOP)), goroutines((70, READ_LOOP)), growing="connections") == []


def test_growing_descriptors_accuse_no_goroutine_that_holds_none() -> None:
    assert between(goroutines((148, SEND)), goroutines((198, SEND)), growing="descriptors") == []
    (found,) = between(goroutines((148, READ_LOOP)), goroutines((198, READ_LOOP)), growing="descriptors")
    assert found.shape == "ResponseBodyNotClosed"


def test_profiles_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(ProfileError, match="not a goroutine profile"):
        suspects(Capture([heap((1, 1, ["main.a"]))]))
    with pytest.raises(ProfileError, match="not a heap profile"):
        between(goroutines((1, READ_LOOP)), goroutines((900, READ_LOOP)), goroutines((1, SEND)))


def test_no_capture_names_nothing() -> None:
    assert suspects(Capture([])) == []


def test_every_row_of_the_catalogue_explains_itself() -> None:
    assert len({shape.name for shape in CATALOGUE}) == len(CATALOGUE)
    for shape in CATALOGUE:
        assert shape.title
        assert shape.why
        assert shape.fix
        assert len(shape.name) <= 64, "as a LeakReport takes it"


def test_memory_that_most_of_the_heap_is_kept_in_is_medium_where_another_part_shrank() -> None:
    """The heap as a whole did not grow between the captures, so no part of its growth can be said."""
    size, kept, gone = 128 << 10, ["bytes.Repeat@1", "main.leaking@26"], ["main.load@9", "net/http.Serve@1"]
    before = heap((90, 90, kept), (200, 30, gone), size=size)
    after = heap((112, 112, kept), (210, 5, gone), size=size)

    first, *_ = between(goroutines(), goroutines(), before, after, growing="memory")
    assert (first.function, first.explains) == ("main.leaking", None)
    assert first.confidence is Confidence.MEDIUM

    # Where most of the heap is elsewhere, it stays a guess.
    large = (["main.load@9", "net/http.Serve@1"], ["main.cache@7", "net/http.Serve@1"])
    before, after = (
        heap((n, n, kept), (300, m, large[0]), (300, 290, large[1]), size=size) for n, m in ((90, 60), (112, 30))
    )
    guesses = [
        one
        for one in between(goroutines(), goroutines(), before, after, growing="memory")
        if one.function == "main.leaking"
    ]
    assert [one.confidence for one in guesses] == [Confidence.LOW]
