"""Names of real libraries' calls, by which the table of kinds is held against the libraries themselves.

    python -m tests.profiles harvest      # needs Go and the modules of e2e/profiles/symbols/packages.txt

A module is added by one line in that file. The command type-checks the libraries' sources and writes two files:

* `tests/fixtures/profiles/symbols.txt`: for each call and goroutine that a row of the table names, a function of a real
  library that it fits, with the module's version;
* `operator/leakwarden/core/profile/endings.txt`: calls that begin something which has to be ended, and what ends it: the
  methods of the result, the function that is returned, the opposite method, or a bound on the names that are given.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakwarden.core.profile import endings, harvested_shapes
from leakwarden.core.profile.catalogue import CATALOGUE
from leakwarden.core.profile.shapes import Shape, called, within
from tests.profiles.building import FIXTURES, BuildFailed
from tests.profiles.truth import SOURCES

CODE = SOURCES / "symbols"
PACKAGES = CODE / "packages.txt"
RECORDED = FIXTURES / "symbols.txt"
ENDINGS = Path(endings.__file__).with_name(endings.LIST)
FIELDS = "ImportPath,Dir,GoFiles,ImportMap,Module,Standard"
AT_ONCE = 12  # modules that are asked for together
# Go's own packages in the list of endings; others give things that need no end, such as gzip.Reader.
STANDARD = ("archive/zip", "crypto/tls", "database/sql", "log/syslog", "net", "net/http", "net/rpc", "net/smtp", "os")


# Modules whose calls of such names are requests to a remote service.
OF_APIS = (
    "cloud.google.com/", "github.com/aws/", "github.com/Azure/", "google.golang.org/api", "google.golang.org/genproto",
    "github.com/docker/docker@", "github.com/moby/moby", "github.com/minio/", "github.com/slack-go/", "github.com/bwmarrin/discordgo",
    "github.com/hashicorp/nomad/api", "gopkg.in/telebot", "github.com/go-telegram-bot-api", "github.com/playwright-community",
)  # fmt: skip
ADDING = ("Add", "Subscribe", "Register", "Insert", "Put", "Get", "Sub", "Watch", "Track")
_VERB = re.compile(r"[A-Z][a-z]*")
# Methods that give what their object holds anyway.
ACCESSORS = ("Connection", "ClientConn")

_CGO = "needs a C compiler"
_OLDER = "of an older major version than the one that was looked at"
_NO_MODULE = "the module cannot be had from the module proxy, or under another path"
# Parts of rows that no recorded symbol fits, and why.
UNCHECKED = {
    ("WatchedPathKept", "Watcher.AddRecursive"): f"github.com/radovskyb/watcher: {_NO_MODULE}",
    ("WasmModuleNotClosed", "NewInstance"): f"github.com/bytecodealliance/wasmtime-go: {_CGO}",
    ("InterpreterKept", "Env.Program"): f"github.com/google/cel-go: {_NO_MODULE}",
    ("InterpreterKept", "Env.Compile"): f"github.com/google/cel-go: {_NO_MODULE}",
    ("InterpreterKept", "NewEnv"): f"github.com/google/cel-go: {_NO_MODULE}",
    ("InterpreterKept", "NewIsolate"): f"rogchap.com/v8go: {_CGO}",
    ("InterpreterKept", "NewContext"): f"rogchap.com/v8go: {_CGO}",
    ("MongoClientNotDisconnected", "NewClient"): _OLDER,
    ("KafkaClientNotClosed", "NewConsumer"): f"github.com/confluentinc/confluent-kafka-go: {_CGO}",
    ("KafkaClientNotClosed", "NewProducer"): f"github.com/confluentinc/confluent-kafka-go: {_CGO}",
    ("KafkaClientNotClosed", "NewAdminClient"): f"github.com/confluentinc/confluent-kafka-go: {_CGO}",
    ("KafkaClientNotClosed", "~kafka.poller"): f"github.com/confluentinc/confluent-kafka-go: {_CGO}",
    ("KafkaClientNotClosed", "~kafka.producer"): f"github.com/confluentinc/confluent-kafka-go: {_CGO}",
    ("AwsBodyNotClosed", ".StartStreamTranscription"): "of a service's module that is not looked at",
    ("SchedulerNotStopped", "Scheduler.StartAsync"): _OLDER,
    ("QuicNotClosed", "RoundTripper.RoundTrip"): _OLDER,
    ("QuicNotClosed", "~(*connection).run"): _OLDER,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a library, as the compiler names it."""

    module: str  # with version
    package: str
    name: str  # `Open`, `(*Client).Subscribe`
    result: str  # type of what has to be ended, or empty
    ends: tuple[str, ...]

    @property
    def symbol(self) -> str:
        """As a profile prints it: dots in the last element of the path are escaped."""
        head, slash, last = self.package.rpartition("/")
        return f"{head}{slash}{last.replace('.', '%2e')}.{self.name}"


def rebuild() -> None:
    """Raises BuildFailed."""
    calls = list(_calls())
    RECORDED.write_text(recorded(calls), encoding="utf-8")
    ENDINGS.write_text(listed(calls), encoding="utf-8")


def _calls() -> Iterator[Call]:
    packages = [line for line in PACKAGES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    with tempfile.TemporaryDirectory(prefix="symbols-") as scratch:
        tool = str(Path(scratch) / "symbols")
        _go(CODE, "build", "-o", tool, ".")
        module = Path(scratch) / "module"
        module.mkdir()
        (module / "go.mod").write_text("module symbols.test\n", encoding="utf-8")
        for n in range(0, len(packages), AT_ONCE):
            _go(module, "get", *packages[n : n + AT_ONCE])
        paths = [line.rpartition("@")[0] for line in packages]
        found = _go(module, "list", "-e", "-deps", f"-json={FIELDS}", *paths, *STANDARD)
        wanted = _wanted(found, paths)
        done = subprocess.run([tool, *wanted], input=found, capture_output=True, text=True)
        if done.returncode:
            raise BuildFailed(f"harvest: {done.stderr.strip().splitlines()[-1]}")
    return read(done.stdout.splitlines())


def _go(folder: Path, *arguments: str) -> str:
    # No C compiler: packages that need one are looked at without those files.
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
    done = subprocess.run(["go", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise BuildFailed(f"go {arguments[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _wanted(found: str, paths: Sequence[str]) -> list[str]:
    """All packages of the modules of these paths, and those that a row names."""
    packages = list(_documents(found))
    modules = {p["Module"]["Path"] for p in packages if p.get("Module") and p["ImportPath"] in paths}
    named = tuple(path for shape in CATALOGUE for path in shape.modules)
    return [
        p["ImportPath"]
        for p in packages
        if (p.get("Module") or {}).get("Path") in modules
        or p["ImportPath"] in (*named, *STANDARD)
        or any(p["ImportPath"].startswith(f"{path}/") for path in named)
    ]


def _documents(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    while (at := _skipped(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document


def _skipped(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def read(lines: Iterable[str]) -> Iterator[Call]:
    for line in lines:
        module, package, name, result, ends = line.split("\t")
        yield Call(module, package, name, result, tuple(ends.split(",")) if ends else ())


def parts(shape: Shape) -> list[str]:
    """What a row names: calls, and `~` before parts of names of goroutines."""
    return [*shape.acquires, *(f"~{part}" for part in shape.goroutines)]


def known() -> dict[tuple[str, str], str]:
    """By row and part: the recorded symbol."""
    rows = (line.split("\t") for line in RECORDED.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {(name, part): symbol for name, part, _, symbol in rows}


def fits(shape: Shape, part: str, symbol: str) -> bool:
    rest = within(symbol, shape.modules)
    # Closures are no functions of their own in the sources.
    return (part[1:].removesuffix(".func") in rest) if part.startswith("~") else called(rest, (part,))


def recorded(calls: Iterable[Call]) -> str:
    """A line for each part of each row that a real function fits: row, part, module and symbol."""
    rows: dict[str, list[Shape]] = {}
    for shape in CATALOGUE:
        for path in shape.modules:
            rows.setdefault(path.partition(".v")[0], []).append(shape)
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for call in calls:
        symbol, ends = call.symbol, call.package.split("/")
        near = {f"{'/'.join(ends[:n])}".partition(".v")[0] for n in range(1, len(ends) + 1)}
        for shape in {id(row): row for path in near for row in rows.get(path, ())}.values():
            for part in parts(shape):
                if fits(shape, part, symbol):
                    before = found.get((shape.name, part))
                    # The shortest name is the one that people know.
                    if before is None or (len(symbol), symbol) < (len(before[1]), before[1]):
                        found[shape.name, part] = (call.module, symbol)
    lines = [f"{name}\t{part}\t{module}\t{symbol}" for (name, part), (module, symbol) in sorted(found.items())]
    return "\n".join(["# row, what it names, module, a function that it fits", *lines]) + "\n"


def _undone(call: Call, name: str) -> bool:
    """Whether another method takes out what this one puts in: one with the rest of its name, or, for names that say that
    something is added, any of its kind."""
    if call.module == "std" or call.module.startswith(OF_APIS):
        return False
    verb = _VERB.match(name)
    rest = name[verb.end() :] if verb is not None else ""
    return name.startswith(ADDING) or any(other.endswith(rest) for other in call.ends)


def listed(calls: Iterable[Call]) -> str:
    """The list of endings: of exported calls of packages that others can import."""
    by_package: dict[tuple[str, str], list[str]] = {}
    for call in calls:
        bare = call.name.replace("(*", "").replace(")", "").replace("[...]", "")
        owner, _, last = bare.rpartition(".")
        if not call.ends or not last[:1].isupper() or "internal" in call.package.split("/"):
            continue
        if call.module == "std" and call.package not in STANDARD:
            continue
        if call.result == harvested_shapes.OPPOSITE and not _undone(call, last):
            continue
        if call.result.startswith(harvested_shapes.NAME) and last == "Get":
            continue
        if last in ACCESSORS and owner:
            continue
        by_package.setdefault((call.package, call.module), []).append(f"\t{bare}\t{call.result}\t{','.join(call.ends)}")
    lines = [
        "# Made by `python -m tests.profiles harvest`: package; then call, kind, what ends it. A kind is the type of the result;"
        " func: the function that the call returns ends it; ^: the other method takes out what this one puts in; =name: the"
        " library keeps something for each value of that parameter."
    ]
    for (package, module), rows in sorted(by_package.items()):
        lines += [f"# {module}", package, *sorted(set(rows))]
    return "\n".join(lines) + "\n"
