"""Kustomizations: their bases and patches are not objects yet, so they are built, or reported as not audited."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from leakwarden.cli.audit.yaml_nodes import load

BUILD_TIMEOUT = 60.0  # s; a large tree takes two
MAX_OUTPUT = 64 * 2**20  # characters
MAX_DEPTH = 32  # of kustomizations within each other
_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_LISTS = (
    "resources",
    "bases",
    "components",
    "patchesStrategicMerge",
    "crds",
    "generators",
    "transformers",
    "validators",
)


@dataclass(frozen=True, slots=True)
class Kustomization:
    """The references of one kustomization."""

    used: frozenset[str]  # the real paths of all files that it names
    remote: str = ""  # the first address that it would fetch, or empty
    component: bool = False  # a part of other kustomizations, which cannot be built by itself


def kustomization(folder: str) -> Kustomization:
    used, remote = _used(folder, 0)
    return Kustomization(used, remote, _body(folder).get("kind") == "Component")


def build(folder: str, found: Kustomization) -> tuple[str | None, str]:
    """The built text, or None and the reason why it was not built.

    A kustomization that would fetch a remote file is never built: the audit sends nothing.
    """
    advice = f"use kustomize build {folder} | leakwarden audit -"
    command = _command()
    if found.component:
        return None, f"{folder}: a kustomize component, which is audited with the kustomizations that use it"
    if found.remote:
        return None, f"{folder}: a kustomization that fetches {found.remote[:100]} is not built here; {advice}"
    if command is None:
        return None, f"{folder}: a kustomization, whose bases and patches are not audited; {advice}"
    try:
        done = subprocess.run(  # noqa: S603 - the command is found on the PATH, the folder is the user's argument
            [*command, folder], capture_output=True, timeout=BUILD_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"{folder}: could not be built ({type(error).__name__}), so it was not audited; {advice}"
    if done.returncode or len(done.stdout) > MAX_OUTPUT:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        return None, f"{folder}: could not be built, so it was not audited: {lines[-1][:200]}"
    return done.stdout.decode("utf-8", "replace"), ""


def _command() -> list[str] | None:
    if kustomize := shutil.which("kustomize"):
        return [kustomize, "build"]
    if kubectl := shutil.which("kubectl"):
        return [kubectl, "kustomize"]
    return None


def _used(folder: str, depth: int) -> tuple[frozenset[str], str]:
    """The real paths of all files that the kustomization names, and the first remote address that it would fetch."""
    body = _body(folder)
    used: set[str] = set()
    remote = "a chart" if body.get("helmCharts") or body.get("helmChartInflationGenerator") else ""
    for entry in _entries(body):
        path = os.path.join(folder, entry)
        if not os.path.exists(path):
            if "://" in entry or "?ref=" in entry or entry.startswith(("github.com", "git@", "git::")):
                remote = remote or entry
            continue
        real = os.path.realpath(path)
        used.add(real)
        if os.path.isdir(path) and depth < MAX_DEPTH and real != os.path.realpath(folder):
            inner, far = _used(path, depth + 1)
            used |= inner
            remote = remote or far
    return frozenset(used), remote


def _entries(body: dict[Any, Any]) -> Iterator[str]:
    for name in _LISTS:
        listed = body.get(name)
        yield from (
            (entry for entry in listed if isinstance(entry, str) and "\n" not in entry)
            if isinstance(listed, list)
            else ()
        )
    for name in ("patches", "patchesJson6902", "replacements"):
        listed = body.get(name)
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                yield entry["path"]


def _body(folder: str) -> dict[Any, Any]:
    for name in _NAMES:
        path = os.path.join(folder, name)
        try:
            with open(path, encoding="utf-8") as source:
                loaded = next(load(source.read(2**20)), None)
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            continue
        if loaded is not None and isinstance(loaded.value, dict):
            return loaded.value
    return {}
