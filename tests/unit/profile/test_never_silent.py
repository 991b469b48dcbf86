"""All growth beyond noise is reported, for any owner of the goroutines and any way of waiting."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.profile.suspects import Capture, suspects
from tests.unit.profile.profile_builders import goroutines, heap

pytestmark = pytest.mark.slow

# How a goroutine is parked, innermost call first; the first call is the runtime's.
PARKED = st.sampled_from(
    [
        ["runtime.chanrecv1@1"], ["runtime.chansend1@1"], ["runtime.selectgo@1"], ["time.Sleep@1"],
        ["sync.runtime_SemacquireMutex@1", "sync.(*Mutex).Lock@2"], ["sync.runtime_notifyListWait@1", "sync.(*Cond).Wait@2"],
        ["sync.runtime_SemacquireWaitGroup@1", "sync.(*WaitGroup).Wait@2"],
        ["internal/poll.runtime_pollWait@1", "net.(*conn).Read@2"], ["syscall.Syscall@1", "os.(*File).Read@2"],
    ]
)  # fmt: skip
CALLS = st.sampled_from(
    [
        "main.work@11", "main.(*Server).serve.func1@12", "main.pool[...].run@13", "example.org/shop/store.(*Store).get@14",
        "github.com/acme/lib.(*Client).loop@15", "github.com/acme/lib/v2/internal/run.(*Loop).run@16",
        "net/http.(*conn).serve@17", "net/http.(*persistConn).writeLoop@18", "database/sql.(*DB).connectionOpener@19",
        "golang.org/x/sync/errgroup.(*Group).Go.func1@20", "google.golang.org/grpc.newClientStreamWithParams.func4@21",
    ]
)  # fmt: skip
STACKS = st.builds(lambda parked, calls: [*parked, *calls], PARKED, st.lists(CALLS, min_size=1, max_size=6))
OTHERS = st.lists(st.tuples(st.integers(1, 40), STACKS), max_size=4)


@settings(max_examples=150)
@given(stack=STACKS, base=st.integers(0, 60), more=st.integers(200, 5000), others=OTHERS)
def test_goroutines_that_become_many_more_are_told_at_any_stack(
    stack: list[str], base: int, more: int, others: list[tuple[int, list[str]]]
) -> None:
    first = goroutines((base, stack), *others) if base else goroutines(*others)
    assert suspects(Capture([first, goroutines((base + more, stack), *others)], [], None, 10.0))


@settings(max_examples=150)
@given(calls=st.lists(CALLS, min_size=1, max_size=6), base=st.integers(0, 2000), churn=st.integers(0, 20))
def test_memory_that_is_kept_and_grows_is_told_at_any_stack_of_the_teams(
    calls: list[str], base: int, churn: int
) -> None:
    """Twenty more sampled allocations, and all that the site made are kept; memory that the call freed does not
    matter."""
    stack = ["bytes.makeSlice@9", *calls, "main.handle@7"]
    waste = ["strings.(*Builder).grow@9", *calls, "main.handle@7"]
    before = heap((base, base, stack), (churn * 1000, 0, waste), size=8192)
    after = heap((base + 1300, base + 1300, stack), (2 * churn * 1000, 0, waste), size=8192)
    calm = goroutines((5, ["runtime.chanrecv1@1", "main.idle@3"]))
    assert suspects(Capture([calm, calm], [before, after], None, 10.0))
