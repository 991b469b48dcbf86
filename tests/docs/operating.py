"""The operator's settings, metrics, commands and their exit codes."""

from __future__ import annotations

import argparse
import re
import typing
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from leakwarden.__main__ import EPILOG, parser
from leakwarden.adapters.telemetry import EngineCollector, Telemetry
from leakwarden.api.scalars import format_duration
from leakwarden.settings import PREFIX, Settings
from tests.docs.blocks import ROOT
from tests.docs.tables import cell, code, table
from tests.unit.engine.engine_world import World

_DURATIONS = frozenset(Settings.__pydantic_decorators__.field_validators["_seconds"].info.fields)
_TEMPLATES = ROOT / "charts" / "leakwarden" / "templates"
# A variable of the container and, up to the next one, the values of the chart that it is made from.
_VARIABLE = re.compile(
    r"- name: (LEAKWARDEN_[A-Z_]+)\n(.*?)(?=\n *- name:|\n *\{\{- (?:if|end|with|else)|\Z)", re.DOTALL
)
_VALUE = re.compile(r"(?:\.Values|(\$store))\.([a-zA-Z.]+)")
# Those that a template computes from several values, or that it sets where a value asks for them.
_COMPUTED = {
    "LEAKWARDEN_ACTIONS": "actions.*.enabled",
    "LEAKWARDEN_SOURCES_FILE": "prometheus",
    "LEAKWARDEN_EVIDENCE_DESCRIPTORS_IMAGE": "evidence.descriptors.image",
    "LEAKWARDEN_EVIDENCE_DIRECTORY": "evidence.store.type",
    "LEAKWARDEN_EVIDENCE_BUCKET_CREDENTIALS": "evidence.store.bucket.credentialsSecret",
}


def settings() -> str:
    """Every variable: the value of the chart that sets it, its type, default and meaning."""
    by_chart = _chart_values()
    rows = []
    for name, field in Settings.model_fields.items():
        variable = name.upper() if name.startswith("pod_") else PREFIX + name.upper()
        value = by_chart.get(variable, "")
        rows.append((code(variable), code(value), _kind(name, field), _default(name, field), cell(field.description)))
    return table(("variable", "chart value", "type", "default", "meaning"), rows)


def _chart_values() -> dict[str, str]:
    found = dict(_COMPUTED)
    for file in sorted(_TEMPLATES.iterdir()):
        for variable, body in _VARIABLE.findall(file.read_text(encoding="utf-8")):
            if value := _VALUE.search(body):
                found.setdefault(variable, f"{'evidence.store.' if value.group(1) else ''}{value.group(2)}")
    return found


def _kind(name: str, field: FieldInfo) -> str:
    low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(code(each) for each in typing.get_args(field.annotation))
    if name in _DURATIONS:
        bounds = [format_duration(each) for each in (low, high) if each is not None]
        return "duration" + (f", {' to '.join(bounds)}" if len(bounds) == 2 else "")
    if field.annotation in (int, float):
        return "number" + (f", {low:,} to {high:,}" if low is not None and high is not None else "")
    if field.annotation is bool:
        return "`true`, `false`"
    text = str(field.annotation)
    return "list" if "tuple" in text or "frozenset" in text else "path" if "Path" in text else "text"


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if value is None or value is PydanticUndefined or value in ((), frozenset(), ""):
        return ""
    if name in _DURATIONS:
        return code(format_duration(value))
    return code(
        str(value).lower() if isinstance(value, bool) else f"{value:.0f}" if isinstance(value, float) else value
    )


def metrics() -> str:
    """Every metric of the operator's own: name, type, labels and meaning."""
    telemetry = Telemetry()
    telemetry.watch(EngineCollector(World().engine, lambda: (), lambda: True))
    labels = dict(_labels_of_instruments(telemetry))
    rows = []
    for family in telemetry.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        named = labels.get(family.name, getattr(family, "_labelnames", ()))
        rows.append((code(name), family.type, ", ".join(code(each) for each in named), cell(family.documentation)))
    return table(("metric", "type", "labels", "meaning"), sorted(rows))


def _labels_of_instruments(telemetry: Telemetry) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A counter without samples does not show its labels when it is collected."""
    for value in vars(telemetry).values():
        if hasattr(value, "_labelnames") and hasattr(value, "describe"):
            for family in value.describe():
                yield family.name, tuple(value._labelnames)


def exit_codes() -> str:
    """The exit codes that all commands share, as `leakwarden --help` prints them."""
    rows = re.findall(r"^ +(\d+) +(.+)$", EPILOG, re.MULTILINE)
    return table(("exit code", "meaning"), ((code(number), cell(text)) for number, text in rows))


def commands() -> str:
    """Every command: its purpose, and its arguments."""
    (choices,) = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    summaries = {each.dest: str(each.help) for each in choices._choices_actions}
    return "\n".join(_command(name, sub, summaries.get(name, "")) for name, sub in choices.choices.items())


def _command(name: str, sub: argparse.ArgumentParser, summary: str) -> str:
    description = (sub.description or "").strip()
    # A description of several lines is laid out for the terminal, with examples.
    about = f"```text\n{description}\n```" if "\n" in description else description
    rows = [(_spelling(action), _help(sub, action)) for action in sub._actions if action.dest != "help"]
    arguments = "\n" + table(("argument", "meaning"), rows) if rows else ""
    after = f"\n```text\n{sub.epilog.strip()}\n```\n" if sub.epilog else ""
    return f"### leakwarden {name}\n\n{summary[:1].upper()}{summary[1:]}.\n\n{about}\n{arguments}{after}"


def _spelling(action: argparse.Action) -> str:
    if not action.option_strings:
        return code(_metavar(action))
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return code(f"{', '.join(action.option_strings)}{value}")


def _metavar(action: argparse.Action) -> str:
    if action.metavar is not None:
        return str(action.metavar)
    return "|".join(map(str, action.choices)) if action.choices is not None else action.dest.upper()


def _help(sub: argparse.ArgumentParser, action: argparse.Action) -> str:
    values: dict[str, Any] = {**vars(action), "prog": sub.prog}
    text = cell((action.help or "") % values if action.help else "")
    default = action.default
    if isinstance(default, str | int | float) and not isinstance(default, bool) and "default" not in text:
        text = f"{text} (default: {default})".strip() if default != argparse.SUPPRESS else text
    return text
