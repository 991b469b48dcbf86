"""`.leakwarden.yaml` and the baseline: a repository's decisions about its audit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml

from leakwarden.api.scalars import parse_duration
from leakwarden.cli.audit.yaml_nodes import load as load_yaml
from leakwarden.core.audit import CHECKS, Finding, Severity
from leakwarden.core.audit.exceptions import AuditException
from leakwarden.core.audit.objects import OBJECT_CHECKS
from leakwarden.core.audit.related import Identity

if TYPE_CHECKING:
    from leakwarden.cli.audit.report import AuditResult

FILE = ".leakwarden.yaml"
MAX_FILE = 2**20  # bytes
FAIL_ON = ("error", "warning", "info", "never")
SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING, "info": Severity.INFO, "off": None}
PROFILES = {"default": "error", "strict": "info"}
_KEYS = ("profile", "failOn", "drainTime", "paths", "severities", "exceptions", "baseline")
BASELINE_VERSION = 1


class ConfigurationError(ValueError):
    """The configuration cannot be used; the message names file, field, value and the allowed values."""


@dataclass(frozen=True, slots=True)
class ScopedException:
    """An exception of the configuration: for objects whose namespace/name fits a pattern."""

    pattern: str
    exception: AuditException


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of one configuration file."""

    fail_on: str = "error"
    drain: float | None = None  # s; None where not written
    paths: tuple[str, ...] = ()
    # by a check's id or name; None where the check is off
    severities: Mapping[str, Severity | None] = field(default_factory=dict)
    exceptions: tuple[ScopedException, ...] = ()
    baseline: str | None = None

    def severed(self, finding: Finding) -> Finding | None:
        """The finding with the severity that the configuration gives it; None where its check is off."""
        for name in (finding.id, finding.check):
            if name in self.severities:
                severity = self.severities[name]
                return None if severity is None else replace(finding, severity=severity)
        return finding

    def exceptions_for(self, identity: Identity) -> list[AuditException]:
        return [each.exception for each in self.exceptions if fnmatchcase(identity.key, each.pattern)]


def load(file: str | None, profile: str | None) -> Configuration:
    """The configuration of a file, or of `.leakwarden.yaml` where it exists. Raises ConfigurationError."""
    name = file or (FILE if os.path.exists(FILE) else None)
    body = _mapping(name) if name is not None else {}
    where = name or FILE
    for key in body:
        if key not in _KEYS:
            raise ConfigurationError(f"{where}: {str(key)[:60]!r} is not known; {', '.join(_KEYS)} are")
    chosen = profile or body.get("profile", "default")
    if chosen not in PROFILES:
        raise ConfigurationError(f"{where}: profile is {str(chosen)[:60]!r}; {' or '.join(PROFILES)} is needed")
    fail_on = PROFILES[chosen] if profile else body.get("failOn", PROFILES[chosen])
    if fail_on not in FAIL_ON:
        raise ConfigurationError(f"{where}: failOn is {str(fail_on)[:60]!r}; one of {', '.join(FAIL_ON)} is needed")
    return Configuration(
        fail_on=fail_on,
        drain=_drain(body.get("drainTime"), where),
        paths=_paths(body.get("paths"), where),
        severities=_severities(body.get("severities"), where),
        exceptions=_exceptions(body.get("exceptions"), where),
        baseline=_optional_text(body.get("baseline"), where, "baseline"),
    )


def has_paths(file: str | None) -> bool:
    """Whether the configuration names files to audit. An unreadable one gets its error when it is loaded."""
    try:
        return bool(load(file, None).paths)
    except ConfigurationError:
        return True


def _mapping(file: str) -> dict[Any, Any]:
    try:
        with open(file, encoding="utf-8") as source:
            text = source.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise ConfigurationError(f"{file}: is larger than 1 MiB")
        loaded = [each.value for each in load_yaml(text)]
    except ConfigurationError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        reason = getattr(error, "problem", None) or "not UTF-8 text, or nested too deeply"
        raise ConfigurationError(f"{file}: cannot be read: {reason}") from None
    body = loaded[0] if loaded else {}
    if body is None:
        return {}
    if len(loaded) > 1 or not isinstance(body, dict):
        raise ConfigurationError(f"{file}: one mapping is needed")
    return body


def _drain(value: Any, where: str) -> float | None:
    if value is None:
        return None
    try:
        return float(parse_duration(value))
    except (ValueError, TypeError):
        raise ConfigurationError(
            f"{where}: drainTime is {str(value)[:60]!r}; a duration such as 30s is needed"
        ) from None


def _paths(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise ConfigurationError(f"{where}: paths must be a list of files and directories")
    return tuple(value)


def _severities(value: Any, where: str) -> dict[str, Severity | None]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: severities must map checks to error, warning, info or off")
    made = {}
    for check, severity in value.items():
        _known(check, where, "severities")
        # YAML reads `off` as false.
        named = "off" if severity is False else severity
        if named not in SEVERITIES:
            raise ConfigurationError(
                f"{where}: severities.{check} is {str(severity)[:60]!r}; error, warning, info or off is needed"
            )
        made[check] = SEVERITIES[named]
    return made


def _exceptions(value: Any, where: str) -> tuple[ScopedException, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigurationError(f"{where}: exceptions must be a list")
    made = []
    for number, entry in enumerate(value):
        at = f"exceptions[{number}]"
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{where}: {at} must be a mapping with check and reason")
        for key in entry:
            if key not in ("check", "reason", "until", "object", "container"):
                raise ConfigurationError(
                    f"{where}: {at}.{str(key)[:60]} is not known; check, reason, until, object, container are"
                )
        _known(entry.get("check"), where, f"{at}.check")
        reason = entry.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise ConfigurationError(f"{where}: {at}.reason is missing: every exception needs one")
        until = None
        if entry.get("until") is not None:
            try:
                until = date.fromisoformat(str(entry["until"]))
            except ValueError:
                raise ConfigurationError(
                    f"{where}: {at}.until is {str(entry['until'])[:60]!r}; a day like 2027-03-01 is needed"
                ) from None
        pattern = _optional_text(entry.get("object"), where, f"{at}.object") or "*"
        container = _optional_text(entry.get("container"), where, f"{at}.container") or ""
        exception = AuditException(entry["check"], reason.strip()[:300], until, container, f"{where}: {at}")
        made.append(ScopedException(pattern, exception))
    return tuple(made)


def _known(check: Any, where: str, at: str) -> None:
    known = {name for each in (*CHECKS, *OBJECT_CHECKS) for name in (each.id, each.name)}
    if check not in known:
        raise ConfigurationError(f"{where}: {at}: {str(check)[:60]!r} is not a check; leakwarden checks lists them")


def _optional_text(value: Any, where: str, at: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{where}: {at} is {str(value)[:60]!r}; text is needed")
    return value


@dataclass(frozen=True, slots=True)
class Baseline:
    """Findings that existed when the audit was adopted, without numbers: they stay known when a number changes."""

    entries: frozenset[tuple[str, str, str, str, str]]

    def holds(self, identity: Identity, finding: Finding) -> bool:
        return (identity.kind, identity.namespace, identity.name, finding.id, finding.container) in self.entries


def load_baseline(file: str | None) -> Baseline | None:
    """Raises ConfigurationError."""
    if file is None:
        return None
    try:
        with open(file, encoding="utf-8") as source:
            body = json.load(source)
        if body["version"] != BASELINE_VERSION:
            raise ConfigurationError(f"{file}: version is {body['version']!r}; {BASELINE_VERSION} is needed")
        entries = frozenset(
            (str(e["kind"]), str(e["namespace"]), str(e["name"]), str(e["id"]), str(e["container"]))
            for e in body["findings"]
        )
    except ConfigurationError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigurationError(f"{file}: is not a baseline; leakwarden audit --write-baseline makes one") from None
    return Baseline(entries)


def write_baseline(file: str, result: AuditResult) -> int:
    """Write the findings, sorted, so that a change of the baseline is easy to review. Raises OSError."""
    entries = sorted(
        {
            (one.identity.kind, one.identity.namespace, one.identity.name, finding.id, finding.container, finding.check)
            for one in result.audited
            for finding in one.findings
        }
    )
    keys = ("kind", "namespace", "name", "id", "container", "check")
    body = {
        "version": BASELINE_VERSION,
        "findings": [dict(zip(keys, entry, strict=True)) for entry in entries],
    }
    with open(file, "w", encoding="utf-8") as target:
        json.dump(body, target, indent=2)
        target.write("\n")
    return len(entries)
