"""Goroutines that wait: for the group that runs them, for a lock that a method did not give back, for a library's call."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.evidence import Confidence, Suspect
from leakwarden.core.profile.harvested_shapes import begun_by
from leakwarden.core.profile.ownership import receiver
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import goroutines, heap

GROUP = "golang.org/x/sync/errgroup.(*Group)"
SUBMIT = ["runtime.chansend1@1", f"{GROUP}.Go@74", "main.(*pyramid).level@48"]


def grown(*calls: list[str], leaked: bool = False) -> list[Suspect]:
    """The suspects where goroutines at each of these stacks became 190 more in two minutes, as a detector saw it."""
    three = [goroutines(*((n, one) for one in calls)) for n in (10, 105, 200)]
    listed = goroutines(*((200, one) for one in calls), kind="goroutineleak") if leaked else None
    return list(explain(Capture(three, [], listed, 120.0), growing=frozenset({"goroutines"})).suspects)


def test_a_task_that_submits_to_its_own_limited_group_is_the_cause_and_no_victim() -> None:
    waits = ["runtime.semacquire@1", "sync.(*WaitGroup).Wait@2", f"{GROUP}.Wait@56", "main.(*pyramid).cut@34"]
    found = grown([*SUBMIT, "main.(*pyramid).level.func1@51", f"{GROUP}.Go.func1@93"], waits, leaked=True)
    first = next(one for one in found if one.line == 48)
    assert (first.shape, first.title) == ("TaskWaitsForItself", "tasks of one errgroup.Group that wait in its own Go")
    assert first.confidence is Confidence.HIGH
    assert "TryGo" in first.fix
    assert found[0] is first
    assert next(one for one in found if one.line == 34).confidence is Confidence.MEDIUM


def test_a_task_of_another_pool_that_submits_is_not_its_own() -> None:
    (found,) = grown([*SUBMIT, "main.(*pyramid).level.func1@51", "github.com/panjf2000/ants/v2.(*goWorker).run@9"])
    assert found.shape == "GroupNeverDone"
    (found,) = grown([*SUBMIT, "main.(*pyramid).all@51"])
    assert found.shape == "GroupNeverDone"


def test_a_once_that_calls_itself_waits_for_itself() -> None:
    once = ["sync.(*Mutex).Lock@1", "sync.(*Once).doSlow@2", "sync.(*Once).Do@3", "main.config@7"]
    (found,) = grown([*once, "main.load@9", "sync.(*Once).doSlow@2", "sync.(*Once).Do@3", "main.config@7"])
    assert found.title == "tasks of one sync.Once that wait in its own Do"


RLOCK, WLOCK, MLOCK = "sync.(*RWMutex).RLock", "sync.(*RWMutex).Lock", "sync.(*Mutex).Lock"


@pytest.mark.parametrize(
    ("stacks", "pair"),
    [
        # A writer inside Lock itself waits for a reader.
        (([f"{RLOCK}@1", "main.(*store).get@57"], [f"{WLOCK}@1", "main.(*store).put@71"]), "RLock without RUnlock"),
        # Here it queues behind another writer.
        (
            ([f"{RLOCK}@1", "main.(*store).get@57"], [f"{MLOCK}@1", f"{WLOCK}@2", "main.(*store).put@71"]),
            "Lock without Unlock",
        ),
        (([f"{RLOCK}@1", "main.(*store).get@57"],), "Lock without Unlock"),
        (([f"{MLOCK}@1", "main.(*store).get@57"],), "Lock without Unlock"),
    ],
)
def test_a_lock_is_told_with_its_type_and_the_pair_of_calls(stacks: tuple[list[str], ...], pair: str) -> None:
    for found in grown(*stacks):
        assert found.title == f"a lock of main.store that is not released ({pair})"
        assert f"defer {pair.rpartition(' ')[2]}()" in found.fix


def test_connections_of_a_library_that_runs_on_are_its_own_and_no_transports() -> None:
    asks = [
        "net/http.(*persistConn).roundTrip@9", "net/http.(*Client).do@8", "github.com/hashicorp/consul/api.(*KV).Get@7",
        "github.com/hashicorp/consul/api/watch.(*Plan).RunWithClientAndHclog@78", "main.(*keys).follow.func1@41",
    ]  # fmt: skip
    loops = [["bufio.(*Reader).Peek@1", "net/http.(*persistConn).readLoop@2"], ["net/http.(*persistConn).writeLoop@3"]]
    made = heap((4000, 4000, ["bufio.NewReaderSize@1", "net/http.(*Transport).dialConn@2", *asks[1:]]))
    three = [goroutines((n, asks), *((n, loop) for loop in loops)) for n in (10, 105, 200)]
    found = explain(Capture(three, [made, made], None, 120.0), growing=frozenset({"goroutines"})).suspects
    assert (found[0].shape, found[0].line) == ("ConsulWatchNotStopped", 41)
    assert "TransportPerRequest" not in {one.shape for one in found}


@pytest.mark.parametrize(
    ("function", "title"),
    [
        (
            "github.com/casbin/casbin/v2.(*SyncedEnforcer).StartAutoLoadPolicy.func1",
            "casbin.SyncedEnforcer whose StartAutoLoadPolicy is never ended (StopAutoLoadPolicy)",
        ),
        ("example.com/feed.(*Client).Subscribe.func2", "feed.Client whose Subscribe is never ended (Unsubscribe)"),
        ("example.com/feed.(*Client).Starting.func2", ""),
        ("example.com/feed.Start.func1", ""),
        ("example.com/feed.(*Client).Start", ""),
    ],
)
def test_what_a_method_began_is_ended_by_its_opposite(function: str, title: str) -> None:
    found = begun_by(function)
    assert (found.title if found is not None else "") == title


def test_an_inlined_closure_belongs_to_the_type_of_its_method() -> None:
    assert receiver("main.main.(*Books).Mount.func1") == "main.Books"
    assert receiver("main.(*Books).Mount.func1") == "main.Books"
    assert receiver("main.gateway.charge.func1") == "main.gateway"
    assert receiver("main.main.func1") == ""


def test_the_one_that_holds_a_librarys_lock_is_the_cause() -> None:
    """A logger whose output does not take any more: all others wait for its lock, and none of them is to blame."""
    served = ["main.handle@30", "net/http.HandlerFunc.ServeHTTP@1"]
    waits = ["sync.(*Mutex).Lock@1", "log.(*Logger).output@20", "log.Println@5", *served]
    writes = [
        "syscall.write@1",
        "os.(*File).Write@2",
        "log.(*Logger).output@31",
        "log.Println@5",
        "main.note@8",
        *served,
    ]
    three = [goroutines((n, waits), (1, writes)) for n in (10, 105, 200)]
    found = explain(Capture(three, [], None, 120.0), growing=frozenset({"goroutines"})).suspects
    assert (found[0].function, found[0].shape) == ("main.note", "FileReadNeverReturns")
    assert any("further on in the same function" in reason for reason in found[0].reasons)
    before = [*writes[:2], "log.(*Logger).output@9", *writes[3:]]
    three = [goroutines((n, waits), (1, before)) for n in (10, 105, 200)]
    found = explain(Capture(three, [], None, 120.0), growing=frozenset({"goroutines"})).suspects
    assert found[0].function == "main.handle", "it has not locked yet"


def test_an_empty_select_is_told_as_one() -> None:
    stack = ["main.(*feed).keep@12"]
    profiles = [goroutines((n, ["runtime.block@1", *stack])) for n in (10, 300)]
    (found,) = explain(Capture(profiles, [], None, 10.0)).suspects
    assert (found.line, found.shape) == (12, "EmptySelect")


def test_what_a_maker_gives_away_is_ended_by_its_caller() -> None:
    made = ["github.com/hashicorp/raft.NewRaft@1", "main.openRaft@40", "main.join@50"]
    loop = ["runtime.selectgo@1", "github.com/hashicorp/raft.(*Raft).run@2"]
    heaps = [heap((900, 900, made)), heap((9900, 9900, made))]
    found = explain(Capture([goroutines((20, loop)), goroutines((320, loop))], heaps, None, 10.0)).suspects[0]
    assert found.fix.endswith(
        "where openRaft gives it to its caller, that has to end it when it is done: main.join (main.go:50)"
    )
    own = [*made[:1], "main.vote@40", "main.join@50"]
    heaps = [heap((900, 900, own)), heap((9900, 9900, own))]
    found = explain(Capture([goroutines((20, loop)), goroutines((320, loop))], heaps, None, 10.0)).suspects[0]
    assert "its caller" not in found.fix


def test_many_that_wait_come_before_the_little_memory_that_they_hold() -> None:
    reads = [f"{RLOCK}@1", "main.(*index).find@42"]
    requests = ["internal/poll.runtime_pollWait@1", "net/http.(*connReader).backgroundRead@2"]
    three = [
        goroutines((n, reads), (2 * n, requests), (n // 10, [f"{WLOCK}@1", "main.(*index).put@50"]))
        for n in (10, 105, 200)
    ]
    wrapped, cache = ["main.logged@64", "main.serve@9"], ["main.(*tiles).load@80"]
    before = heap((2_000, 2_000, wrapped), (100, 100, cache), size=4096)
    little = heap((3_000, 3_000, wrapped), (19_000, 19_000, ["net/http.newBufioReader@1"]), size=4096)
    found = explain(Capture(three, [before, little], None, 120.0), growing=frozenset({"goroutines", "memory"})).suspects
    assert found[0].line == 42
    much = heap((90_000, 90_000, wrapped), size=4096)
    found = explain(Capture(three, [before, much], None, 120.0), growing=frozenset({"goroutines", "memory"})).suspects
    assert found[0].line == 64, "what explains the memory is no by-product"


def test_what_a_semaphore_allocates_is_of_those_that_wait_and_shows_no_holder() -> None:
    acquires = ["runtime.selectgo@1", "golang.org/x/sync/semaphore.(*Weighted).Acquire@80"]
    often, seldom = [*acquires, "main.resize@79"], [*acquires, "main.load@68"]
    three = [goroutines((3 * n, often), (n, seldom)) for n in (10, 105, 200)]
    queued = [
        "container/list.(*List).PushBack@1",
        "golang.org/x/sync/semaphore.(*Weighted).Acquire@90",
        "main.resize@79",
    ]
    heaps = [heap((900, 900, queued)), heap((9000, 9000, queued))]
    found = explain(Capture(three, heaps, None, 120.0), growing=frozenset({"goroutines"})).suspects
    assert (found[0].line, found[0].shape) == (68, "SemaphoreNotReleased")


def test_a_server_that_is_started_without_a_call_of_the_team_is_named_by_its_listener() -> None:
    accepts = ["internal/poll.runtime_pollWait@1", "net.(*TCPListener).Accept@2", "net/http.(*Server).Serve@3"]
    listens = [
        "net.filterAddrList@1",
        "net.(*ListenConfig).Listen@2",
        "net.Listen@3",
        "main.preview@48",
        "main.serve@9",
    ]
    profiles = [goroutines((n, accepts)) for n in (20, 320)]
    heaps = [heap((900, 0, listens)), heap((9900, 0, listens))]
    found = explain(Capture(profiles, heaps, None, 10.0)).suspects[0]
    assert (found.function, found.line, found.shape) == ("main.preview", 48, "ServerNotShutDown")
