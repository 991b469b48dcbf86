"""Fields that a kind does not have, with the one that was probably meant."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from leakwarden.cli.audit.near_miss import VERSIONS

MAX_REPORTED = 20  # unknown fields of one object
MAX_DEPTH = 30


@cache
def _schema() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    from leakwarden.cli.audit.schema_data import SCHEMA

    read = json.loads(SCHEMA)
    return read["kinds"], read["types"]


def unknown_fields(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path, the nearest field that exists or empty) of each field that the kind does not have, the first twenty."""
    kinds, types = _schema()
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in kinds or body.get("apiVersion") != VERSIONS.get(kind, ("",))[0]:
        return
    found: list[tuple[str, str]] = []
    _walk(body, kinds[kind], "", found, types)
    yield from found


def _walk(
    value: Any, type_: str, at: str, found: list[tuple[str, str]], types: Mapping[str, Mapping[str, str]]
) -> None:
    fields = types[type_]
    for key, inner in value.items():
        expected = fields.get(key)
        if expected is None:
            if len(found) < MAX_REPORTED:
                found.append((f"{at}{key}"[:200], _nearest(str(key), fields)))
            continue
        if not expected or inner is None:
            continue
        if expected[0] == "[":
            if isinstance(inner, list):
                for number, item in enumerate(inner):
                    if isinstance(item, dict):
                        _walk(item, expected[2:], f"{at}{key}[{number}].", found, types)
        elif expected[0] == "{":
            if isinstance(inner, dict):
                for name, item in inner.items():
                    if isinstance(item, dict):
                        _walk(item, expected[2:], f"{at}{key}.{name}.", found, types)
        elif isinstance(inner, dict) and at.count(".") < MAX_DEPTH:
            _walk(inner, expected, f"{at}{key}.", found, types)


def _nearest(key: str, fields: Mapping[str, str]) -> str:
    folded = {name.lower(): name for name in fields}
    near = difflib.get_close_matches(key[:60].lower(), list(folded), 1, 0.7)
    return folded[near[0]] if near else ""
