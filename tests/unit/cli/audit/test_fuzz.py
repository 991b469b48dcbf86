"""No input ends in a traceback, in silence or in another exit code than the documented ones.

400 mutations by default, from a fixed seed; `make audit-fuzz` runs 20,000 (LEAKWARDEN_FUZZ).
"""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from leakwarden.__main__ import main
from leakwarden.cli.audit.command import OUTPUTS
from leakwarden.cli.audit.yaml_nodes import load
from tests.unit.cli.audit.audit_manifests import BAD, EVERYTHING

pytestmark = pytest.mark.slow

NUMBER = int(os.environ.get("LEAKWARDEN_FUZZ", "400"))
CHUNK = 100

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, 1e308, "", " ", "0", "-1", "http", "80", "100%", "-5%", "9" * 30 + "%",
    "10%", "x" * 5000, "\u0000", "\ud800", "\U0001f600", "{{ .Values.x }}", "512Mi", "1e1000", "NaN", [], {}, [[]], [{}], [None],
    {"a": None}, {"": ""}, {"matchLabels": {"app": 3}}, ["sleep", "5"], ["sh", "-c", "a && 'b"], {"seconds": "x"}, {"port": []},
    {"exec": None}, {"command": None}, {"command": ["sh", "-c"]}, [{"name": "x"}, {"name": "x"}], {"ports": 3}, "1h", "2027-01-01",
    "LW203: x; until never", "RollingUpdate", "Recreate", "Local", "None", "Always", {"valueFrom": {"configMapKeyRef": {}}},
)  # fmt: skip
TOKENS = (
    b"---\n", b"--- ", b"\n", b"\r\n", b"\t", b": ", b"- ", b"[", b"{", b"}", b"]", b"&a ", b"*a", b"!!binary ", b"!x ", b"<<: ", b"? ",
    b"|\n", b">-\n", b'"', b"'", b"#", b"%YAML 1.1\n", b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"kind: List\n", b"items:\n",
    b"{{ x }}", b"0x_", b"1e9999", b".inf", b".nan", b"~", b"= ", b"@", b"`",
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*at, key))
    return found


def changed(value: Any, chance: random.Random) -> Any:
    """The value with one part of it replaced, removed, renamed or repeated."""
    value = copy.deepcopy(value)
    path = chance.choice(places(value)[1:])
    inner = value
    for part in path[:-1]:
        inner = inner[part]
    match chance.randrange(5):
        case 0 if isinstance(inner, dict):
            del inner[path[-1]]
        case 1 if isinstance(inner, dict):
            inner[str(path[-1]).lower() + chance.choice(("", "x", "s"))] = inner.pop(path[-1])
        case 2 if isinstance(inner, list):
            inner.append(copy.deepcopy(inner[path[-1]]))
        case _:
            inner[path[-1]] = copy.deepcopy(chance.choice(ODD))
    return value


def mutated(documents: list[Any], chance: random.Random) -> bytes:
    """A stream of manifests with up to three mistakes in it, of structure or of bytes."""
    if chance.random() < 0.7:
        chosen = [copy.deepcopy(document) for document in documents if chance.random() < 0.8] or documents[:1]
        for _ in range(chance.randint(1, 3)):
            position = chance.randrange(len(chosen))
            chosen[position] = changed(chosen[position], chance)
        if chance.random() < 0.2:
            chosen = [{"apiVersion": "v1", "kind": "List", "items": chosen}]
        separator = "\n" if chance.random() < 0.2 else "\n---\n"
        return separator.join(json.dumps(each, indent=chance.choice((None, 1))) for each in chosen).encode()
    raw = bytearray(EVERYTHING.encode())
    for _ in range(chance.randint(1, 3)):
        position = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[position] = chance.randrange(256)
            case 1:
                del raw[position : position + chance.randint(1, 40)]
            case 2:
                raw[position:position] = chance.choice(TOKENS)
            case _:
                start = chance.randrange(len(raw))
                raw[position:position] = raw[start : start + chance.randint(1, 200)]
    return bytes(raw)


@pytest.mark.parametrize("chunk", range(-(-NUMBER // CHUNK)))
def test_whatever_comes_has_a_documented_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.chdir(tmp_path)
    documents = [each.value for each in load(EVERYTHING)]
    for number in range(chunk * CHUNK, min(NUMBER, (chunk + 1) * CHUNK)):
        chance = random.Random(number)
        raw = mutated(documents, chance)
        Path("x.yaml").write_bytes(raw)
        Path("y.yaml").write_text(BAD)
        output = chance.choice(OUTPUTS)
        code = main(["audit", "x.yaml", "y.yaml", "-o", output])
        out, err = capsys.readouterr()
        assert code in (1, 3), (number, code)
        # For any first file, the second one is audited.
        assert "bad" in out, (number, output)
        assert all(line.startswith(("leakwarden audit: ", "reading ")) for line in err.splitlines()), (number, err)
        out.encode()
        if output in ("json", "sarif"):
            json.loads(out)


def test_fixes_of_whatever_comes_change_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    documents = [each.value for each in load(EVERYTHING)]
    for number in range(max(20, NUMBER // 20)):
        Path("x.yaml").write_bytes(mutated(documents, random.Random(-1 - number)))
        assert main(["audit", "x.yaml", "--diff"]) in (0, 1, 3), number
        assert main(["audit", "x.yaml", "--fix"]) in (0, 3), number
        capsys.readouterr()
