"""Goroutines that wait are told with what the frames show, and with the likeliest cause first."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.evidence import Suspect
from leakwarden.core.profile.pprof import Frame, Profile, StackSample
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import call, goroutines, stack
from tests.unit.profile.profile_builders import heap as kept

GROWING = frozenset({"goroutines"})
REQUEST = ["net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve"]


def told(*calls: str | Frame, others: list[tuple[int, list[str | Frame]]] | None = None, heap: list[Profile] | None = None) -> Suspect:  # fmt: skip
    """The first suspect where goroutines at one stack grow for a minute, beside others that do not."""
    near = others or []
    profiles = [goroutines((number, list(calls)), *near) for number in (20, 400, 800)]
    return explain(Capture(profiles, heap or [], None, 60.0), growing=GROWING).suspects[0]


def before(text: str, first: str, second: str) -> bool:
    assert first in text, text
    assert second in text, text
    return text.index(first) < text.index(second)


def test_senders_whose_caller_has_left_get_room_first() -> None:
    found = told(
        "runtime.chansend1", "example.org/shop/race.First.func1@30", "golang.org/x/sync/errgroup.(*Group).Go.func1"
    )
    assert found.title == "channel send that nobody receives: the reader of what race.First started has left"
    assert before(found.fix, "room for every sender", "select on a done channel")
    deeper = told(
        "runtime.chansend1",
        "main.(*books).look@60",
        "main.(*books).sums.func1@9",
        "golang.org/x/sync/errgroup.(*Group).Go.func1",
    )
    assert deeper.title == "channel send that nobody receives: the reader of what main.books.sums started has left"


def test_a_method_that_waits_for_its_own_senders_is_one_that_asks() -> None:
    asks: list[tuple[int, list[str | Frame]]] = [(1, ["runtime.selectgo", "main.(*desk).quote@12", *REQUEST])]
    found = told("runtime.chansend1", "main.(*desk).quote.func1@9", others=asks)
    assert found.title == "channel send that nobody receives: main.desk.quote has left its senders"


def test_senders_of_a_generator_are_left_by_its_caller() -> None:
    found = told("runtime.chansend1", "example.org/shop/feed.lines.func1@7")
    assert found.title.endswith("the reader of the channel that feed.lines makes or fills has left")
    assert before(found.fix, "select on a context's Done", "make(chan T, n)")
    assert "has left its senders" not in found.title


LISTING = "example.com/store/v7.(*Client).List"
LISTED: list[str | Frame] = [f"{LISTING}@90", "main.(*shelf).top@30", *REQUEST]


@pytest.mark.parametrize("waits", ["runtime.chansend1", "runtime.selectgo"])
def test_a_listing_that_is_left_early_is_not_called_a_client_that_was_not_ended(waits: str) -> None:
    found = told(waits, f"{LISTING}.func1@95", heap=[kept((900, 800, LISTED))])
    assert found.line == 30
    assert found.title == "what store.Client.List sends is not read to its end"
    assert before(found.fix, "an iterator", "read the rest after that")


def test_a_library_that_only_selects_for_something_that_was_made_is_not_ended() -> None:
    found = told("runtime.selectgo", "example.com/store/v7.(*Client).loop@95", heap=[kept((900, 800, LISTED))])
    assert found.title == "what store.Client.List makes is kept, with its goroutines"


def test_senders_to_a_queue_look_for_its_reader_first() -> None:
    found = told("runtime.chansend1", "example.org/shop/retry.(*Queue).Later.func1@21")
    assert (
        found.title
        == "channel send that nobody receives: what reads the channel of retry.Queue has gone, or waits itself"
    )
    assert "no goroutine takes from a channel in retry" in found.why
    assert before(found.fix, "continue in place of return", "make(chan T, n)")


def test_a_reader_that_is_still_there_is_not_said_to_be_gone() -> None:
    reads: list[tuple[int, list[str | Frame]]] = [(1, ["runtime.chanrecv2", "example.org/shop/retry.(*Queue).run@40"])]
    found = told("runtime.chansend1", "example.org/shop/retry.(*Queue).Later.func1@21", others=reads)
    assert "no goroutine takes" not in found.why


def test_callbacks_of_timers_are_known_by_the_goroutines_that_timers_made() -> None:
    types = (("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes"))
    made = StackSample((call("time.goFunc@215"), call("runtime.mcall")), (800, 384000, 800, 384000))
    heap = Profile(types, (made, StackSample(stack(["main.main"]), (1, 1, 1, 1))), period=512 * 1024)
    # A plain function's closure would else be taken for a sender that its caller has left.
    found = told("runtime.chansend1", "example.org/shop/retry.Later.func1@21", heap=[heap, heap, heap])
    assert found.why.startswith("callbacks of time.AfterFunc in retry.Later wait to send")


def test_requests_that_wait_are_told_to_watch_their_client() -> None:
    for operation, title in (
        (
            "runtime.chansend1",
            "requests that wait for a place in a full channel, a semaphore or a queue (main.desk.put)",
        ),
        ("runtime.chanrecv1", "requests that wait for an answer or a free place that does not come (main.desk.put)"),
        ("runtime.selectgo", "requests that wait in a select (main.desk.put)"),
    ):
        found = told(operation, "main.(*desk).put@7", *REQUEST)
        assert found.title.removeprefix("may be a leak: ") == title
        assert "select on the request's context as well" in found.fix


def test_a_loop_over_a_channel_ends_with_its_owner() -> None:
    found = told("runtime.chanrecv2", "example.org/shop/chat.(*client).writePump@32")
    assert found.title == "a loop over a channel that is never closed (chat.client.writePump)"
    assert "where a chat.client leaves, is replaced or is taken out of a map, hub or registry" in found.fix


def test_workers_end_with_what_started_them() -> None:
    found = told("runtime.chanrecv2", "example.org/shop/crew.Hire[...].func1@17", "sync.(*WaitGroup).Go.func1")
    assert found.title == "a loop over a channel that is never closed (crew.Hire)"
    assert "with defer right after crew.Hire" in found.fix


def test_one_value_that_does_not_come_is_no_loop() -> None:
    found = told("runtime.chanrecv1", "main.(*task).run@5")
    assert found.title == "channel receive that nobody sends to or closes (main.task.run)"
    assert "if it is a context's Done, call its cancel" in found.fix


def test_a_loop_with_select_or_sleep_is_ended_where_its_type_ends() -> None:
    for operation in ("runtime.selectgo", "time.Sleep"):
        calls = [operation] if operation.startswith("runtime.") else ["time.Sleep@300"]
        found = told(*calls, "example.org/shop/dns.(*resolver).watch@63")
        assert "end it in the Close or Stop of dns.resolver" in found.fix


def test_network_waits_are_told_by_the_call_that_waits() -> None:
    poll = ("runtime.netpollblock", "internal/poll.runtime_pollWait@351")
    for calls, title, advice in (
        (("net.(*conn).Read", "main.(*link).pump@9"), "a read from a network connection", "both when one copy ends"),
        (("net.(*conn).Write", "main.(*link).pump@9"), "a write to a connection whose peer", "SetWriteDeadline"),
        (("net.(*UDPConn).ReadFrom", "main.listen@9"), "a read from a packet socket", "Close the socket"),
        (("net.(*conn).Read", "crypto/tls.(*Conn).Handshake", "main.accept@9"), "a TLS handshake", "HandshakeContext"),
        (("net.(*conn).Read", "net/http.(*body).Read", "main.upload@9", *REQUEST), "a request body", "SetReadDeadline"),
        (("net.(*conn).Read", "github.com/acme/driver.(*conn).read", "database/sql.(*DB).QueryContext", "main.load@9"),
         "sql.DB.QueryContext without a deadline", "the ...Context forms"),
        (("net.(*conn).Read", "bufio.(*Reader).ReadString", "main.(*link).pump@9"), "a read from a network", "SetReadDeadline"),
        (("net/http.(*persistConn).roundTrip", "net/http.(*Client).do", "main.ask@9"), "an HTTP request", "Timeout of the http.Client"),
    ):  # fmt: skip
        found = told(*poll, *calls)
        assert found.title.removeprefix("may be a leak: ").startswith(title), calls
        assert advice in found.fix


def test_a_wait_for_workers_looks_for_the_workers() -> None:
    waits = ("sync.runtime_SemacquireWaitGroup@1", "sync.(*WaitGroup).Wait@2", "main.(*batch).run@9")
    found = told(*waits)
    assert found.title == "a wait for workers that do not all end (main.batch.run)"
    assert found.fix.startswith("look for goroutines of the same package that wait")
