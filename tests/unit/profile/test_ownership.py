"""The owner of a call's code, for binaries built with and without -trimpath, with modules, vendoring and
replacements."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.ownership import CodeOwner, Ownership, enclosing, package, receiver, spelled
from leakwarden.core.profile.pprof import Frame, Profile, StackSample

PLAIN = "/src/cmd/shop/main.go"
TRIMMED = "github.com/acme/shop/cmd/shop/main.go"


def owner(function: str, file: str, main: str = PLAIN, modules: tuple[str, ...] = ()) -> CodeOwner:
    profile = Profile((("goroutine", "count"),), (StackSample((Frame("main.main", main, 1),), (1,)),))
    return Ownership([profile] if main else [], modules).of(Frame(function, file, 1))


@pytest.mark.parametrize(
    ("function", "file"),
    [
        ("main.fetch", PLAIN),
        ("github.com/acme/shop/internal/db.(*Repo[...]).Get", "/src/internal/db/repo.go"),
        ("shop/internal/db.Get", "/src/internal/db/repo.go"),
    ],
)
def test_the_modules_code_of_main_is_the_teams(function: str, file: str) -> None:
    assert owner(function, file) is CodeOwner.TEAM


def test_with_trimpath_the_modules_code_of_main_is_the_teams() -> None:
    file = "github.com/acme/shop/internal/db/repo.go"
    assert owner("github.com/acme/shop/internal/db.Get", file, TRIMMED) is CodeOwner.TEAM
    assert owner("shop/db.Get", "shop/db/db.go", "shop/cmd/main.go") is CodeOwner.TEAM
    assert (
        owner("corp.example/shop/db.Get", "corp.example/shop/db/db.go", "corp.example/shop/main.go") is CodeOwner.TEAM
    )


@pytest.mark.parametrize(
    ("function", "file", "main"),
    [
        ("github.com/jackc/pgx/v5.(*Conn).Query", "/go/pkg/mod/github.com/jackc/pgx/v5@v5.7.1/conn.go", PLAIN),
        ("github.com/jackc/pgx/v5.(*Conn).Query", "github.com/jackc/pgx/v5@v5.7.1/conn.go", TRIMMED),
        ("github.com/jackc/pgx/v5.(*Conn).Query", "/src/vendor/github.com/jackc/pgx/v5/conn.go", PLAIN),
        ("github.com/jackc/pgx/v5.(*Conn).Query", "github.com/jackc/pgx/v5/conn.go", TRIMMED),
        ("github.com/acme/kit/log.Write", "github.com/acme/kit/log/log.go", TRIMMED),
        ("example.org/courier/bus.Run", "/src/third/bus/bus.go", PLAIN),
        ("example.org/courier/bus.Run", "/elsewhere/courier/bus/bus.go", PLAIN),
    ],
)
def test_versioned_vendored_and_replaced_modules_are_libraries(function: str, file: str, main: str) -> None:
    assert owner(function, file, main) is CodeOwner.LIBRARY


@pytest.mark.parametrize(
    "function",
    ["net/http.(*Client).do", "runtime.gopark", "internal/poll.runtime_pollWait", "vendor/golang.org/x/net/http2.F"],
)
def test_gos_own_packages_are_standard(function: str) -> None:
    assert owner(function, "/usr/local/go/src/any/file.go") is CodeOwner.STANDARD
    assert owner(function, "any/file.go", TRIMMED) is CodeOwner.STANDARD


def test_without_main_what_has_no_version_counts_as_the_teams() -> None:
    assert owner("example.org/shop/db.Get", "/src/db/db.go", main="") is CodeOwner.TEAM
    assert owner("example.org/kit/db.Get", "/m/example.org/kit@v1.0.0/db.go", main="") is CodeOwner.LIBRARY


def test_given_modules_are_the_teams_as_well_as_mains() -> None:
    kit = "/go/pkg/mod/github.com/acme/kit@v1.0.0/log.go"
    kitten = "/go/pkg/mod/github.com/acme/kitten@v1.0.0/log.go"
    assert owner("github.com/acme/kit.Write", kit, modules=("github.com/acme/kit",)) is CodeOwner.TEAM
    assert owner("github.com/acme/kitten.Write", kitten, modules=("github.com/acme/kit",)) is CodeOwner.LIBRARY
    assert owner("main.main", PLAIN, modules=("github.com/acme/kit",)) is CodeOwner.TEAM


@pytest.mark.parametrize(
    ("function", "path", "method_of"),
    [
        ("main.fetch", "main", ""),
        ("main.first.func1", "main", ""),
        ("main.handle.gowrap1", "main", ""),
        ("main.(*cache).get", "main", "main.cache"),
        ("main.(*cache).get.func1", "main", "main.cache"),
        ("main.gateway.charge", "main", "main.gateway"),
        ("example.org/a/b.(*Future[...]).Get", "example.org/a/b", "example.org/a/b.Future"),
        ("example.org/a/b.Decode[...]", "example.org/a/b", ""),
        ("gopkg.in/yaml%2ev3.(*Decoder).Decode", "gopkg.in/yaml.v3", "gopkg.in/yaml%2ev3.Decoder"),
    ],
)
def test_names_are_taken_apart(function: str, path: str, method_of: str) -> None:
    assert package(function) == path
    assert receiver(function) == method_of


@pytest.mark.parametrize(
    ("closure", "function"),
    [
        ("main.first.func1", "main.first"),
        ("main.(*cache).get.func2.1", "main.(*cache).get"),
        ("main.main.func1.func3", "main.main"),
        ("main.handle.gowrap1", "main.handle"),
        ("main.functional", "main.functional"),
    ],
)
def test_a_closure_is_traced_to_the_function_it_is_written_in(closure: str, function: str) -> None:
    assert enclosing(closure) == function


def test_a_closure_that_is_inlined_into_main_belongs_to_the_package_of_its_file() -> None:
    """The compiler names it after its caller; a company library's handler is no code of main's module for that."""
    closure = Frame("main.main.Query[...].func1", "/home/kit/httpx/httpx.go", 33)
    library = Frame("corp.example/platform/kit/httpx.Write", "/home/kit/httpx/httpx.go", 70)
    dial = Frame("corp.example/parcel/mail.Open", "/src/parcel/mail/box.go", 22)
    start = Frame("main.main", "/src/parcel/main.go", 9)
    sample = StackSample((dial, closure, library, start), (1,))
    ownership = Ownership([Profile((("goroutine", "count"),), (sample,))])

    assert ownership.package(closure) == "corp.example/platform/kit/httpx"
    assert ownership.of(closure) is CodeOwner.LIBRARY
    assert ownership.of(dial) is CodeOwner.TEAM
    assert ownership.place(sample.stack) == 0


def test_a_closure_of_main_is_mains() -> None:
    closure = Frame("main.gateway.charge.func1", "/src/parcel/main.go", 33)
    start = Frame("main.main", "/src/parcel/main.go", 9)
    ownership = Ownership([Profile((("goroutine", "count"),), (StackSample((closure, start), (1,)),))])

    assert ownership.package(closure) == "main"
    assert ownership.of(closure) is CodeOwner.TEAM


def test_names_are_shown_as_people_write_them() -> None:
    assert (
        spelled("github.com/eclipse/paho%2emqtt%2egolang.NewClient") == "github.com/eclipse/paho.mqtt.golang.NewClient"
    )
    assert spelled("main.gr%c3%bcn") == "main.gr\u00fcn"
    assert spelled("main.(*T[...]).M") == "main.(*T[...]).M"
