"""Victims and causes, load and leak, way and place: the order of several lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.growth import Series
from leakwarden.core.profile.lines import in_step
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.suspects import Capture, explain, suspects
from tests.unit.profile.profile_builders import goroutines, heap

SERVED = ["net/http.HandlerFunc.ServeHTTP@5", "net/http.(*conn).serve@9"]
GOROUTINES = frozenset({"goroutines"})


def between(first: Profile, last: Profile, *heaps: Profile, growing: frozenset[str] = frozenset()) -> list[Suspect]:
    return suspects(Capture([first, last], heaps, None, 10.0), growing=growing)


def lines(found: list[Suspect]) -> list[tuple[str, int]]:
    return [(s.function, s.line) for s in found]


def lock(caller: str, *way: str) -> list[str]:
    return ["runtime.semacquire1@1", "sync.(*Mutex).Lock@46", caller, *way, *SERVED]


def test_a_lock_is_the_one_of_the_method_that_locks_and_not_of_receivers_higher_up() -> None:
    """A listening server is in a method of the service, but holds no lock because of that."""
    waiting = lock("main.(*shelf).take@19", "main.(*service).recovered.func1@74")
    listening = [
        "internal/poll.runtime_pollWait@1",
        "net.(*TCPListener).Accept@2",
        "main.(*service).run@91",
        "main.main@12",
    ]
    found = between(goroutines((300, waiting), (1, listening)), goroutines((550, waiting), (1, listening)))
    assert lines(found) == [("main.(*shelf).take", 19)]


def test_of_locks_in_a_chain_the_one_whose_holder_waits_for_no_other_lock_comes_first() -> None:
    outer = lock("main.(*orders).list@8")
    # Holds the lock of orders, and waits for the lock of stock.
    between_both = lock("main.(*stock).count@30", "main.(*orders).refresh@15")
    found = between(goroutines((100, outer), (20, between_both)), goroutines((400, outer), (80, between_both)))
    assert lines(found)[0] == ("main.(*stock).count", 30)
    assert any("waits for another lock itself" in reason for reason in found[1].reasons)


def test_a_holder_that_is_slow_for_a_while_is_accused_by_a_detector_alone() -> None:
    """A full queue whose lock is held meanwhile is healthy as long as it moves."""
    holding = ["runtime.chansend1@1", "main.(*queue).add@32", *SERVED]
    waiting = lock("main.(*queue).add@30")
    first, last = goroutines((1, holding), (10, waiting)), goroutines((1, holding), (250, waiting))
    assert {s.confidence for s in between(first, last)} == {Confidence.LOW}
    (cause, *_) = between(first, last, growing=GOROUTINES)
    assert (cause.line, cause.confidence) == (32, Confidence.MEDIUM)


def rlock(caller: str) -> list[str]:
    return ["runtime.semacquire1@1", "sync.runtime_SemacquireRWMutexR@1", "sync.(*RWMutex).RLock@71", caller, *SERVED]


WRITER_BLOCKED = ["sync.runtime_SemacquireRWMutex@1", "sync.(*RWMutex).Lock@150", "main.(*index).rebuild@40"]
WRITER_QUEUED = [
    "sync.runtime_SemacquireMutex@1",
    "sync.(*Mutex).Lock@9",
    "sync.(*RWMutex).Lock@140",
    "main.(*index).rebuild@40",
]


def test_a_writer_that_waits_for_readers_shows_that_a_reader_did_not_unlock() -> None:
    readers = rlock("main.(*index).find@22")
    first = goroutines((100, readers), (1, WRITER_BLOCKED), (20, WRITER_QUEUED))
    last = goroutines((400, readers), (1, WRITER_BLOCKED), (80, WRITER_QUEUED))
    assert lines(between(first, last))[0] == ("main.(*index).find", 22)


def test_readers_and_writers_that_only_queue_show_that_a_writer_did_not_unlock() -> None:
    readers = rlock("main.(*index).find@22")
    found = between(goroutines((100, readers), (20, WRITER_QUEUED)), goroutines((400, readers), (80, WRITER_QUEUED)))
    assert lines(found)[0] == ("main.(*index).rebuild", 40)


def acquire(caller: str) -> list[str]:
    return [
        "runtime.selectgo@1", "golang.org/x/sync/semaphore.(*Weighted).Acquire@80",
        "github.com/jackc/puddle/v2.(*Pool[...]).Acquire@348", "github.com/jackc/pgx/v5/pgxpool.(*Pool).Acquire@644",
        caller, *SERVED,
    ]  # fmt: skip


def test_of_those_who_wait_for_a_pool_the_one_that_is_called_least_is_the_likeliest_cause() -> None:
    often, seldom = acquire("main.(*store).order@21"), acquire("main.(*store).report@14")
    found = between(goroutines((200, often), (16, seldom)), goroutines((460, often), (37, seldom)), growing=GOROUTINES)
    assert lines(found) == [("main.(*store).report", 14), ("main.(*store).order", 21)]
    assert found[0].shape == "PgxConnectionNotReleased"
    assert all(s.confidence is not Confidence.HIGH for s in found), "both may only suffer"
    assert found[0].explains == 1.0, "its victims' growth is its own"


def test_what_the_heap_says_is_kept_of_a_pool_beats_how_often_it_is_called() -> None:
    often, seldom = acquire("main.(*store).order@21"), acquire("main.(*store).report@14")
    kept = heap(
        (9000, 8000, ["github.com/jackc/pgx/v5/pgxpool.(*Pool).Acquire@644", "main.(*store).order@21", *SERVED])
    )
    found = between(goroutines((200, often), (16, seldom)), goroutines((460, often), (37, seldom)), kept)
    assert lines(found)[0] == ("main.(*store).order", 21)


def test_rows_that_stand_still_are_the_cause_of_a_full_pool() -> None:
    rows = ["runtime.selectgo@1", "database/sql.(*Rows).awaitDone@3009"]
    waiting = [
        "runtime.selectgo@1",
        "database/sql.(*DB).conn@3",
        "database/sql.(*DB).QueryContext@9",
        "main.newest@18",
        *SERVED,
    ]
    made = heap(
        (9000, 8000, ["database/sql.(*DB).queryDC@1", "database/sql.(*DB).QueryContext@2", "main.list@18", *SERVED])
    )
    found = between(
        goroutines((40, rows), (30, waiting)), goroutines((40, rows), (300, waiting)), made, growing=GOROUTINES
    )
    assert lines(found)[0] == ("main.list", 18)


READ = ["runtime.netpollblock@1", "internal/poll.runtime_pollWait@1", "main.(*room).join@70", *SERVED]
WRITE = ["runtime.chanrecv2@1", "main.(*room).write@45"]


def test_goroutines_that_grow_as_requests_do_are_no_more_than_a_guess() -> None:
    found = between(goroutines((300, READ), (300, WRITE)), goroutines((500, READ), (500, WRITE)))
    assert {s.confidence for s in found} == {Confidence.LOW}
    assert all(any("more load looks the same" in reason for reason in s.reasons) for s in found)


def test_a_leak_beside_steady_requests_is_not_taken_for_load() -> None:
    leaking = goroutines((300, READ), (900, WRITE))
    found = between(goroutines((300, READ), (100, WRITE)), leaking, growing=GOROUTINES)
    assert (found[0].function, found[0].confidence) == ("main.(*room).write", Confidence.MEDIUM)


@pytest.mark.parametrize(
    ("a", "b", "same"), [(100, 102, True), (300, 100, True), (250, 100, False), (700, 100, False), (0, 5, False)]
)
def test_growth_in_step_is_as_many_or_a_small_multiple(a: float, b: float, same: bool) -> None:
    assert in_step(a, b) is same


GRPC = ["runtime.chanrecv2@1", "google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run@114"]
READER = ["internal/poll.runtime_pollWait@1", "google.golang.org/grpc/internal/transport.(*http2Client).reader@1757"]
MADE = ["google.golang.org/grpc.newCCResolverWrapper@1", "google.golang.org/grpc.NewClient@2"]
USED = ["google.golang.org/grpc.invoke@1", "google.golang.org/grpc.(*ClientConn).Invoke@2"]


def test_goroutines_of_a_library_belong_to_the_line_whose_objects_are_kept() -> None:
    kept = heap(
        (900, 800, [*MADE, "main.reserve@26", *SERVED]),
        (90_000, 0, [*USED, "main.reserve@30", *SERVED]),
    )
    found = between(goroutines((300, GRPC), (100, READER)), goroutines((900, GRPC), (300, READER)), kept)
    assert lines(found) == [("main.reserve", 26)]
    assert (found[0].shape, found[0].count, found[0].explains) == ("GrpcConnectionNotClosed", 1200, 1.0)


def test_generated_code_is_the_way_and_its_caller_the_place() -> None:
    stub = Frame("example.org/shop/pb.(*stockClient).Reserve", "/src/pb/stock_grpc.pb.go", 40)
    kept = heap((900, 800, [*MADE, stub, "main.reserve@26", *SERVED]))
    (found,) = between(goroutines((100, GRPC)), goroutines((900, GRPC)), kept)
    assert (found.function, found.line) == ("main.reserve", 26)


def test_the_chassis_is_the_way_and_its_caller_the_place() -> None:
    wrapped = ["example.org/shop/platform.(*Service).logged.func1@83", "net/http.(*conn).serve@9"]
    made = [*MADE, "example.org/shop/platform.Dial@12", "example.org/shop/stock.Reserve@26",
            "net/http.HandlerFunc.ServeHTTP@5", *wrapped]  # fmt: skip
    (found,) = between(goroutines((100, GRPC)), goroutines((900, GRPC)), heap((900, 800, made)))
    assert (found.function, found.line) == ("example.org/shop/stock.Reserve", 26)


def test_what_only_the_chassis_has_is_named_there() -> None:
    wrapped = [
        "net/http.HandlerFunc.ServeHTTP@5",
        "example.org/shop/platform.(*Service).logged.func1@83",
        "net/http.(*conn).serve@9",
    ]
    made = [*MADE, "example.org/shop/platform.(*Service).authorized.func1@40", *wrapped]
    (found,) = between(goroutines((100, GRPC)), goroutines((900, GRPC)), heap((900, 800, made)))
    assert found.function == "example.org/shop/platform.(*Service).authorized.func1"


REFLECTOR = ["runtime.selectgo@1", "k8s.io/client-go/tools/cache.(*Reflector).startResync@450"]
ROOT = ["k8s.io/client-go/tools/cache.(*Reflector).list@1", "k8s.io/apimachinery/pkg/util/wait.(*Group).Start.func1@72"]


def test_a_function_that_the_library_calls_back_was_given_to_it_elsewhere() -> None:
    watching = ["k8s.io/client-go/rest.(*Request).Watch@5", "main.(*tenants).reconcile.func2@30", *ROOT]
    kept = heap((900, 900, watching), (300, 300, ["main.(*tenants).reconcile@28", *SERVED]))
    (found,) = between(goroutines((100, REFLECTOR)), goroutines((300, REFLECTOR)), kept)
    assert (found.function, found.line, found.shape) == ("main.(*tenants).reconcile", 28, "InformerNotStopped")


WORKER: list[Frame | str] = [
    "runtime.selectgo@1",
    Frame("example.net/kit/worker.(*Worker).loop", "/kit/worker/worker.go", 21),
]
STARTED: list[Frame | str] = [
    Frame("example.net/kit/worker.Start", "/kit/worker/worker.go", 12),
    "main.send@8",
    *SERVED,
]


@pytest.mark.parametrize("modules", [(), ("example.net/kit",)])
def test_a_companys_library_is_the_way_whether_it_is_named_or_not(modules: tuple[str, ...]) -> None:
    capture = Capture([goroutines((100, WORKER)), goroutines((900, WORKER))], [heap((900, 800, STARTED))], None, 10.0)
    (found,) = suspects(capture, modules=modules)
    assert (found.function, found.line) == ("main.send", 8)
    assert "Close, Stop, Shutdown or Release" in found.fix


def test_goroutines_of_a_companys_library_are_not_of_its_server() -> None:
    """An added module has code for many things, and one of them is the server that every service has."""
    listening: list[Frame | str] = [
        "internal/poll.runtime_pollWait@1",
        "net.(*TCPListener).Accept@2",
        "net/http.(*Server).Serve@3",
        Frame("example.net/kit/app.(*App).Run.func1", "/kit/app/app.go", 64),
    ]
    goroutine = [goroutines((number, WORKER), (1, listening)) for number in (100, 900)]
    (found,) = suspects(Capture(goroutine, [heap((900, 800, STARTED))], None, 10.0), modules=("example.net/kit",))
    assert (found.function, found.line, found.count) == ("main.send", 8, 900)


def test_what_no_line_of_the_teams_explains_is_told_with_the_librarys_own() -> None:
    strange = ["runtime.selectgo@1", "example.com/unheard/of.(*Client).loop@3"]
    (found,) = between(goroutines((100, strange)), goroutines((900, strange)))
    assert (found.team, found.confidence) == (False, Confidence.LOW)
    assert found.function == "example.com/unheard/of.(*Client).loop"
    assert "no line of the team's was found that started them" in found.reasons


CALM = goroutines((5, ["runtime.chanrecv1@1", "main.worker@3"]))
ADDED = ["bytes.Clone@1", "main.(*index).add@31", *SERVED]


def at(size: int, taken: float, calls: Sequence[str] = ADDED) -> Profile:
    profile = heap((size, size, calls))
    return Profile(profile.types, profile.samples, profile.period, taken)


def calm(taken: float) -> Profile:
    return Profile(CALM.types, CALM.samples, 0, taken)


def over(*sizes: int, every: float = 60.0, calls: Sequence[str] = ADDED) -> Suspect:
    times = [every * n for n in range(len(sizes))]
    capture = Capture(
        [calm(t) for t in times],
        [at(s, t, calls) for s, t in zip(sizes, times, strict=True)],
        None,
        times[-1] - times[0],
    )
    (found,) = explain(capture).suspects
    return found


def test_memory_that_grows_is_told_and_between_two_captures_it_may_be_a_cache() -> None:
    found = over(8_000, 16_000, every=10.0)
    assert (found.function, found.line, found.shape) == ("main.(*index).add", 31, "EntriesNeverRemoved")
    assert (found.confidence, found.explains) == (Confidence.LOW, 1.0)
    assert any("a cache that fills looks the same" in reason for reason in found.reasons)


def test_memory_that_grows_steadily_for_longer_than_things_take_to_come_up_is_more_than_a_guess() -> None:
    sizes, made = (8_000, 16_000, 24_000, 32_000, 40_000), [*MADE, "main.reserve@26", *SERVED]
    assert over(*sizes, every=180.0, calls=made).confidence is Confidence.MEDIUM
    assert over(*sizes, every=180.0).confidence is Confidence.LOW, "a cache may fill for hours"
    within_minutes = over(*sizes, every=60.0, calls=made)
    assert within_minutes.confidence is Confidence.LOW
    assert any("things of a bounded number that come up" in reason for reason in within_minutes.reasons)


def test_memory_that_grows_less_and_less_is_a_cache_that_fills() -> None:
    found = over(8_000, 24_000, 32_000, 34_000, 34_500)
    assert found.confidence is Confidence.LOW
    assert any("a cache that fills ends like this" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("values", "slow"), [([0, 10, 20], False), ([0, 10, 12], True), ([0, 10], False), ([0, 0, 5], False)]
)
def test_slowing_down_needs_three_captures(values: list[float], slow: bool) -> None:
    assert Series([float(v) for v in values]).slows([60.0 * n for n in range(len(values))]) is slow


def test_a_process_that_grows_while_its_heap_does_not_is_said_to_be_that() -> None:
    steady = at(8_000, 0.0)
    (found,) = suspects(Capture([CALM, CALM], [steady, steady], None, 10.0), growing=frozenset({"memory", "rss"}))[-1:]
    assert found.shape in ("MemoryOutsideHeap", "EntriesNeverRemoved")
    nothing = heap((8_000, 10, ADDED))
    (found,) = suspects(Capture([CALM, CALM], [nothing, nothing], None, 10.0), growing=frozenset({"memory", "rss"}))
    assert (found.shape, found.function) == ("MemoryOutsideHeap", "")
    assert found.headline == "may be a leak: memory outside of the Go heap"


@pytest.mark.parametrize(
    ("every", "counts", "growing", "confidences"),
    [
        # A client for each of a bounded number of peers, which come one after the other, grows like this for minutes.
        (60.0, (100, 400, 700), frozenset(), (Confidence.LOW,)),
        (330.0, (100, 400, 700), frozenset(), (Confidence.MEDIUM,)),
        (330.0, (100, 600, 700), frozenset(), (Confidence.LOW,)),
        (60.0, (100, 400, 700), GOROUTINES, (Confidence.MEDIUM, Confidence.HIGH)),
    ],
)
def test_clients_that_become_more_are_a_guess_until_it_lasts_or_the_detector_has_judged(
    every: float, counts: tuple[int, ...], growing: frozenset[str], confidences: tuple[Confidence, ...]
) -> None:
    kept = heap((900, 800, [*MADE, "main.reserve@26", *SERVED]))
    three = [Profile(p.types, p.samples, 0, every * n) for n, p in enumerate(goroutines((c, GRPC)) for c in counts)]
    (found,) = suspects(Capture(three, [kept, kept], None, 2 * every), growing=growing)
    assert found.confidence in confidences
