"""The table of libraries: each row is found by its calls, whatever the version, and names the missing call."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.catalogue import CATALOGUE, row_made_by, rows_running, shape_of
from leakwarden.core.profile.library_shapes import LIBRARIES, WAITING
from leakwarden.core.profile.modules import generated, launches, module, serves
from leakwarden.core.profile.shapes import Shape, called, within
from leakwarden.core.profile.stacks import Group
from leakwarden.core.profile.suspects import Capture, explain
from tests.profiles.symbols import UNCHECKED, fits, known, parts
from tests.unit.profile.profile_builders import goroutines, heap, stack

EVERY = (*LIBRARIES, *WAITING)
RECORDED = known()


def named(shape: Shape) -> str:
    return shape.name


@pytest.mark.parametrize("shape", EVERY, ids=named)
def test_a_row_says_what_to_call_and_where_that_is_written(shape: Shape) -> None:
    assert shape.docs.startswith("https://")
    assert shape.modules or shape.waits
    assert shape.acquires or shape.goroutines or shape.waits
    assert shape.title
    assert shape.why
    assert shape.fix
    for path in shape.modules:
        assert not path.rstrip("0123456789").endswith("/v"), f"{path} holds a version"


@pytest.mark.parametrize("shape", [shape for shape in EVERY if shape.acquires], ids=named)
def test_a_row_is_found_by_each_of_its_calls_in_any_version(shape: Shape) -> None:
    path, last = shape.modules[0].rpartition("/")[::2]
    written = f"{path}/{last.replace('.', '%2e')}".lstrip("/")  # as the compiler writes it
    for name in shape.acquires:
        kind, dot, method = name.rpartition(".")
        call = f"(*{kind or 'Any'}).{method}" if dot else name
        for version in ("", "/v2", "/v9"):
            function = f"{shape.modules[0]}{version}.{call}" if version else f"{written}.{call}"
            assert shape.made_by(function), function
            assert shape.made_by(f"{shape.modules[0]}{version}/internal/deep.{call}.func1"), function
            assert row_made_by(function) is not None


@pytest.mark.parametrize("shape", [shape for shape in CATALOGUE if shape.modules], ids=named)
def test_a_row_names_calls_and_goroutines_of_real_libraries(shape: Shape) -> None:
    """`symbols.txt` has a function of the library's own sources for each part of a row, by the compiler's name."""
    for part in parts(shape):
        symbol = RECORDED.get((shape.name, part))
        if symbol is None:
            assert (shape.name, part) in UNCHECKED, f"{part} fits no function of {', '.join(shape.modules)}"
            continue
        assert fits(shape, part, symbol)
        if part.startswith("~"):
            running = f"{symbol}.func1" if part.endswith(".func") else symbol
            assert CATALOGUE.index(shape) in rows_running(running), symbol
        else:
            assert shape.made_by(symbol), symbol


def test_a_part_of_a_row_that_is_not_checked_is_a_part_of_a_row_and_not_recorded() -> None:
    every = {(shape.name, part) for shape in CATALOGUE for part in parts(shape)}
    assert set(UNCHECKED) <= every - set(RECORDED)
    assert len(UNCHECKED) <= 0.05 * len(every)


@pytest.mark.parametrize(
    ("function", "rest"),
    [
        ("example.com/lib.New", ".New"),
        ("example.com/lib/v2.New", ".New"),
        ("example.com/lib/v2/sub.(*T).M", "/sub.(*T).M"),
        ("example.com/lib/internal/pool.Get", "/internal/pool.Get"),
        ("example.com/library.New", ""),
        ("example.com/lib%2ev3.New", ".New"),
    ],
)
def test_names_are_compared_without_module_and_version(function: str, rest: str) -> None:
    assert within(function, ("example.com/lib",)) == rest


def test_gos_own_packages_are_not_those_below_them() -> None:
    assert within("net.Dial", ("net",)) == ".Dial"
    assert within("net/http.Get", ("net",)) == ""
    assert within("net/http/internal/http2.(*clientStream).doRequest", ("net/http",))


def test_a_method_of_any_type_and_one_of_a_type_are_told_apart() -> None:
    assert called("/sub.(*T).Watch", (".Watch",))
    assert called(".(*Pool[...]).Acquire", ("Pool.Acquire",))
    assert not called(".(*T).Watch", ("Watch",))
    assert not called(".Watch", (".Watch",))


@pytest.mark.parametrize(
    ("path", "file", "expected"),
    [
        ("github.com/jackc/pgx/v5/pgxpool", "/go/pkg/mod/github.com/jackc/pgx/v5@v5.13.0/pgxpool/pool.go", "github.com/jackc/pgx"),
        ("github.com/jackc/pgx/v5/pgxpool", "github.com/jackc/pgx/v5@v5.13.0/pgxpool/pool.go", "github.com/jackc/pgx"),
        ("github.com/IBM/sarama", "/go/pkg/mod/github.com/!i!b!m/sarama@v1.45.0/client.go", "github.com/IBM/sarama"),
        ("github.com/redis/go-redis/v9/internal/pool", "/src/vendor/github.com/redis/go-redis/v9/internal/pool/conn.go",
         "github.com/redis/go-redis"),
        ("golang.org/x/sync/semaphore", "/src/vendor/golang.org/x/sync/semaphore/semaphore.go", "golang.org/x/sync"),
        ("google.golang.org/grpc/internal/transport", r"C:\go\pkg\mod\google.golang.org\grpc@v1.85.0\a.go", "google.golang.org/grpc"),
    ],
)  # fmt: skip
def test_the_module_of_a_call_is_read_from_its_path(path: str, file: str, expected: str) -> None:
    assert module(path, file) == expected


def test_launchers_are_looked_through() -> None:
    assert launches("sync.(*WaitGroup).Go.func1")
    assert launches("golang.org/x/sync/errgroup.(*Group).Go.func1")
    assert launches("k8s.io/apimachinery/pkg/util/wait.(*Group).Start.func1")
    assert not launches("sync.(*WaitGroup).Wait")


@pytest.mark.parametrize(
    "file", ["a/b.pb.go", "b_grpc.pb.go", "x/zz_generated.deepcopy.go", "y_gen.go", "q/users.sql.go", "mocks/a.go"]
)
def test_generated_code_is_known_by_its_file(file: str) -> None:
    assert generated(file)
    assert not generated("internal/generate/main.go")


def test_goroutines_of_requests_are_known_by_their_root() -> None:
    assert serves(stack(["main.handle@1", "net/http.HandlerFunc.ServeHTTP@2", "net/http.(*conn).serve@3"]))
    assert serves(stack(["main.rpc@1", "google.golang.org/grpc.(*Server).handleStream@2"]))
    assert not serves(stack(["main.loop@1"]))


def group(*calls: str, operation: str = "runtime.selectgo") -> Group:
    return Group(operation, stack(calls), 1)


@pytest.mark.parametrize(
    ("calls", "name"),
    [
        (["google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run@114"], "GrpcConnectionNotClosed"),
        (["k8s.io/client-go/tools/cache.(*Reflector).startResync@450"], "InformerNotStopped"),
        (["k8s.io/apimachinery/pkg/watch.(*StreamWatcher).receive@114"], "WatchNotStopped"),
        (["github.com/redis/go-redis/v9.(*channel).initHealthCheck.func1@723"], "RedisPubSubNotClosed"),
        (["go.opentelemetry.io/otel/sdk/trace.(*batchSpanProcessor).processQueue@328", "sync.(*WaitGroup).Go.func1@258"],
         "TracerProviderNotShutDown"),
        (["golang.org/x/sync/semaphore.(*Weighted).Acquire@80", "github.com/jackc/puddle/v2.(*Pool[...]).acquire@361",
          "github.com/jackc/pgx/v5/pgxpool.(*Pool).Acquire@644"], "PgxConnectionNotReleased"),
        (["golang.org/x/sync/semaphore.(*Weighted).Acquire@80", "main.work@9"], "SemaphoreNotReleased"),
        (["os/exec.(*Cmd).watchCtx@808"], "CommandNotWaited"),
        (["net/http/internal/http2.(*clientStream).writeRequest@1380", "net/http/internal/http2.(*clientStream).doRequest@1"],
         "Http2BodyNotClosed"),
        (["net/http.(*http2clientStream).writeRequest@1380", "net/http.(*http2clientStream).doRequest@1"], "Http2BodyNotClosed"),
        (["io.(*pipe).write@1", "main.copy@2"], "PipeNotClosed"),
        (["example.com/unheard/of.(*Client).loop@3"], "SelectNeverWoken"),
    ],
)  # fmt: skip
def test_goroutines_of_real_libraries_are_told_apart(calls: list[str], name: str) -> None:
    shape = shape_of(group(*calls))
    assert shape is not None
    assert shape.name == name


@pytest.mark.parametrize(("made", "line"), [((20, 900), 40), ((20, 20), 59)])
def test_of_a_library_that_nobody_knows_the_line_that_makes_the_object_comes_before_one_that_uses_it(
    made: tuple[int, int], line: int
) -> None:
    """Where it was made once, before the captures, the calls on it are what became more."""
    loop = ["runtime.selectgo@1", "example.com/unheard/of.(*Peer).gather@3"]
    uses = ["example.com/unheard/of.(*Peer).Offer@2", "main.offer@59", "main.serve@9"]
    makes = ["example.com/unheard/of.NewPeer@2", "main.open@40", "main.serve@8"]
    before, after = (heap((u, u, uses), (m, m, makes), size=4096) for u, m in ((900, made[0]), (9900, made[1])))
    found = explain(Capture([goroutines((20, loop)), goroutines((320, loop))], [before, after], None, 10.0)).suspects[0]
    assert (found.line, found.unit) == (line, "goroutines")
