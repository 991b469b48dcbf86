"""The list of calls whose result has to be ended: it names the type and the method where no row of the table fits."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.endings import ending_of, endings, parsed, unversioned
from leakwarden.core.profile.suspects import Capture, explain
from tests.unit.profile.profile_builders import goroutines, heap


@pytest.mark.parametrize(
    ("function", "kind", "method"),
    [
        ("github.com/hashicorp/raft.NewRaft", "*raft.Raft", "Shutdown"),
        ("github.com/nxadm/tail.TailFile", "*tail.Tail", "Stop"),
        ("github.com/dgraph-io/badger/v4.(*DB).NewTransaction", "*badger.Txn", "Discard"),
        ("github.com/dgraph-io/badger/v9.(*Txn).NewIterator", "*badger.Iterator", "Close"),
        ("github.com/syndtr/goleveldb/leveldb.(*DB).GetSnapshot", "*leveldb.Snapshot", "Release"),
        ("github.com/xuri/excelize/v2.OpenFile", "*excelize.File", "Close"),
        ("github.com/emersion/go-imap/client.Dial", "*client.Client", "Close"),
        ("github.com/hashicorp/go-plugin.NewClient", "*plugin.Client", "Kill"),
        ("archive/zip.OpenReader", "*zip.ReadCloser", "Close"),
    ],
)
def test_real_calls_are_listed_with_type_and_method(function: str, kind: str, method: str) -> None:
    found = ending_of(function)
    assert found is not None, function
    assert found.kind.endswith(kind.lstrip("*"))
    assert method in found.methods


@pytest.mark.parametrize(
    "function", ["main.open", "fmt.Sprintf", "github.com/nxadm/tail.NewLine", "encoding/json.Unmarshal"]
)
def test_other_calls_are_not(function: str) -> None:
    assert ending_of(function) is None


def test_the_list_holds_whole_lines_and_no_internal_package() -> None:
    assert len(endings()) >= 1500
    for (path, call), ending in endings().items():
        assert ending.kind
        assert all(method.isidentifier() for method in ending.methods)
        assert "internal" not in path.split("/")
        assert call.rpartition(".")[2][0].isupper()


def test_goroutines_and_memory_of_a_library_without_a_row_get_its_advice() -> None:
    loop = ["runtime.selectgo@1", "github.com/hashicorp/raft.(*Raft).run@2"]
    made = ["github.com/hashicorp/raft.NewRaft@1", "main.join@40"]
    found = explain(
        Capture(
            [goroutines((20, loop)), goroutines((320, loop))], [heap((900, 900, made)), heap((9900, 9900, made))], None, 10.0
        )
    ).suspects[0]  # fmt: skip
    assert (found.function, found.line, found.unit) == ("main.join", 40, "goroutines")
    assert found.title == "may be a leak: raft.Raft not shut down"
    assert "call Shutdown" in found.fix
    calm = goroutines((5, ["runtime.chanrecv1@1", "main.idle@3"]))
    kept = ["github.com/xuri/excelize/v2.OpenReader@1", "github.com/xuri/excelize/v2.OpenFile@2", "main.sheet@7"]
    memory = explain(Capture([calm, calm], [heap((900, 900, kept)), heap((9900, 9900, kept))], None, 10.0)).suspects[0]
    assert memory.title == "may be a leak: excelize.File not closed"
    assert "call Close" in memory.fix


def test_a_list_is_read_by_package_and_call() -> None:
    found = parsed(
        ["# a comment", "# example.com/lib/v2@v2.0.1", "example.com/lib/v2/sub", "\tDB.Open\t*sub.Handle\tClose,Stop"]
    )
    ending = found["example.com/lib/sub", "DB.Open"]
    assert (ending.call, ending.methods) == ("sub.DB.Open", ("Close", "Stop"))
    assert "call Close (or Stop)" in ending.shape.fix
    assert ending.shape.docs == "https://pkg.go.dev/example.com/lib/v2/sub#Handle.Close"


@pytest.mark.parametrize(
    ("path", "bare"),
    [
        ("a.org/b/v9/c", "a.org/b/c"),
        ("gopkg.in/yaml.v3", "gopkg.in/yaml"),
        ("vault.io/v", "vault.io/v"),
        ("net", "net"),
    ],
)
def test_versions_are_left_out_of_paths(path: str, bare: str) -> None:
    assert unversioned(path) == bare
