"""Kinds and advice that name what the profile shows: the context that is not cancelled, one thing of several, loops that do
not end."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from leakwarden.core.profile.catalogue import kind_of_call
from leakwarden.core.profile.evidence import Suspect
from leakwarden.core.profile.pprof import Frame, Profile
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import goroutines, heap, stack

SERVED = ("net/http.HandlerFunc.ServeHTTP@1", "net/http.(*conn).serve@2")
VALUES = ["context.WithValue@1", "main.withUser@15", "main.compute@26", *SERVED]
CALM = goroutines((5, ["runtime.chanrecv1@1", "main.idle@3"]))
MEMORY = frozenset({"memory"})
Stack = Sequence[Frame | str]


def kept(calls: Stack, *others: tuple[int, int, Stack], standing: Sequence[Profile] = (CALM, CALM, CALM)) -> Suspect:
    """The first suspect where all that is made at these calls is kept, beside others: (allocated, in use, calls)."""
    heaps = [heap((number, number, calls), *others) for number in (20_000, 200_000, 400_000)]
    return explain(Capture(list(standing), heaps, None, 120.0), growing=MEMORY).suspects[0]


def test_values_of_a_context_that_is_never_cancelled_name_the_call_that_has_to_be() -> None:
    attach = (
        0,
        0,
        [
            "context.(*cancelCtx).propagateCancel@501",
            "context.WithCancel@241",
            "main.(*stopper).Attach@21",
            *VALUES[2:],
        ],
    )
    found = kept(VALUES, attach)
    assert (found.shape, found.line) == ("ContextNeverCancelled", 15)
    assert found.title == "contexts that are never cancelled, with their values (made in main.stopper.Attach)"
    assert "main.stopper.Attach (main.go:21)" in found.fix


def test_a_cancel_function_of_another_call_says_nothing_of_this_one() -> None:
    elsewhere = (0, 0, ["context.WithCancel@241", "main.other@21", *SERVED])
    middleware = (0, 0, ["context.WithTimeout@241", "main.deadline.func1@8", *SERVED])
    assert kept(VALUES, elsewhere, middleware).shape == "ContextStored"


def test_a_chain_of_contexts_is_told_of_a_loop_and_not_of_requests() -> None:
    assert kept(["context.WithValue@1", "main.with@5", "main.loop@9"]).shape == "ContextChain"
    assert kept(VALUES).shape == "ContextStored"


@pytest.mark.parametrize(
    ("call", "title"),
    [
        ("github.com/klauspost/compress/zstd.NewReader", "zstd.Decoder not closed"),
        ("github.com/klauspost/compress/zstd.NewWriter", "zstd.Encoder not closed"),
        ("golang.org/x/crypto/ssh.Dial", "ssh.Client not closed"),
        ("k8s.io/client-go/tools/cache.NewSharedIndexInformer", "informer or reflector not stopped"),
    ],
)
def test_a_row_of_several_things_names_the_one_that_the_call_gives(call: str, title: str) -> None:
    kind = kind_of_call(stack([f"{call}@1"]))
    assert kind is not None
    assert kind.title == title


def test_a_processor_is_not_said_to_be_a_provider() -> None:
    kind = kind_of_call(stack(["go.opentelemetry.io/otel/sdk/trace.NewBatchSpanProcessor@1", "go.opentelemetry.io/otel/sdk/trace.WithBatcher@2"]))  # fmt: skip
    assert kind is not None
    assert kind.title.startswith("OpenTelemetry batch processor (or reader) not shut down, by itself or")


def test_what_is_deferred_in_a_loop_that_does_not_end_is_told() -> None:
    opens = ["os.newFile@1", "os.OpenFile@2", "main.follow@30"]
    follows = goroutines((1, ["time.Sleep@1", "main.follow@50"]), (5, ["runtime.chanrecv1@1", "main.idle@3"]))
    loop, once = (kept(opens, standing=(one, one, one)) for one in (follows, CALM))
    assert loop.shape == once.shape == "FileNotClosed"
    assert "in a loop that does not end a defer never runs" in loop.fix
    assert "in a loop" not in once.fix


def test_goroutines_that_wait_for_nothing_run_on() -> None:
    for top in (["main.spin@7"], ["syscall.Syscall@74", "main.lock@7"]):
        profiles = [goroutines((number, top)) for number in (20, 400, 800)]
        found = explain(Capture(profiles, [], None, 60.0), growing=frozenset({"goroutines"})).suspects[0]
        assert (found.shape, found.line) == ("GoroutinesRunOn", 7)


def test_a_wait_inside_gos_own_call_names_the_call() -> None:
    waits = ["runtime.chanrecv1", "net/rpc.(*Client).Call@320", "main.ask@7"]
    profiles = [goroutines((number, waits)) for number in (20, 400, 800)]
    found = explain(Capture(profiles, [], None, 60.0), growing=frozenset({"goroutines"})).suspects[0]
    assert found.title == "rpc.Client.Call does not return"
