"""The sources file: the Prometheus, Alertmanager and Loki endpoints. The operator's own configuration, never a policy's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from leakwarden.api.scalars import parse_duration

MAX_BYTES = 1 << 20
_LABEL = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
# These are set from files or by the HTTP client itself.
_RESERVED = frozenset({"authorization", "host", "cookie", "content-length", "content-type", "transfer-encoding"})


class SourcesError(Exception):
    """The sources file cannot be used; the message names file, field, value and the allowed values."""


def _url(text: str) -> str:
    """Raises ValueError; the value itself is left out of the message where it may contain a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be an address such as http://prometheus.monitoring:9090") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password; use basic or bearerTokenFile")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("must not hold a query or fragment")
    if port == 0 or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("must be an address such as http://prometheus.monitoring:9090")
    return text.rstrip("/")


def _timeout(value: Any) -> Any:
    if isinstance(value, str):
        value = parse_duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 300:
        raise ValueError("must be a duration above 0s and at most 5m, such as 10s")
    return float(value)


def _file(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise ValueError("must be an absolute path")
    return text


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if _HEADER.fullmatch(name) is None:
            raise ValueError(f"{name[:40]!r} is not the name of a header")
        if name.lower() in _RESERVED:
            raise ValueError(f"{name} cannot be set here; credentials belong in files (bearerTokenFile, basic)")
        if not text.isascii() or not text.isprintable():
            raise ValueError(f"the value of {name} must be printable ASCII on one line")
    return value


FilePath = Annotated[str, AfterValidator(_file)]
Label = Annotated[str, Field(pattern=_LABEL, max_length=128)]


def _own_labels(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not text or not text.isprintable():
            raise ValueError(f"the value of {name} must be printable text and not empty")
    return value


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Basic(_Model):
    """HTTP basic authentication; both files are re-read when they change."""

    username_file: FilePath
    password_file: FilePath


class TLS(_Model):
    """How the server is verified and how we authenticate to it. PEM files, re-read when they change."""

    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    insecure_skip_verify: bool = False  # any server is believed, and gets the credentials

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("certFile and keyFile belong together")
        if self.insecure_skip_verify and self.ca_file is not None:
            raise ValueError("caFile has no use with insecureSkipVerify; leave one out")
        return self


class Endpoint(_Model):
    """One Prometheus, or a server with the same query API (Thanos, Mimir, VictoriaMetrics); or a Loki, whose streams
    have the same labels."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
    url: Annotated[str, Field(max_length=2048), AfterValidator(_url)]
    default: bool = False
    timeout: Annotated[float, BeforeValidator(_timeout)] = 10.0  # s, for one query
    namespace_label: Label = "namespace"
    pod_label: Label = "pod"
    container_label: Label = "container"
    # Labels that are added to every selector, such as cluster: "a" where one Prometheus has the series of many
    # clusters.
    matchers: Annotated[dict[Label, Annotated[str, Field(max_length=256)]], AfterValidator(_own_labels)] = Field(
        default_factory=dict, max_length=8
    )
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    bearer_token_file: FilePath | None = None
    basic: Basic | None = None
    tls: TLS = Field(default_factory=TLS)

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bearer_token_file is not None and self.basic is not None:
            raise ValueError("bearerTokenFile and basic exclude each other")
        return self


class _File(_Model):
    prometheus: tuple[Endpoint, ...] = ()
    alertmanager: tuple[Endpoint, ...] = ()
    loki: tuple[Endpoint, ...] = Field(default=(), max_length=1)


def load_sources(path: Path) -> tuple[Endpoint, ...]:
    """The Prometheus endpoints of the file, at most one of them the default; a single one is the default by itself.

    An empty file or list is allowed and means no Prometheus. Raises SourcesError.
    """
    return _with_default(path, _load(path).prometheus)


def load_alertmanagers(path: Path) -> tuple[Endpoint, ...]:
    """The Alertmanagers of the file, whose silences are respected; usually none or one. Raises SourcesError."""
    return _distinct(path, "alertmanager", _load(path).alertmanager)


def load_loki(path: Path) -> Endpoint | None:
    """The Loki of the file, whose lines of known errors are counted; one at most. Raises SourcesError."""
    found = _load(path).loki
    return found[0] if found else None


def _load(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourcesError(f"{path}: cannot be read: {error.strerror or type(error).__name__}") from None
    if len(body) > MAX_BYTES:
        raise SourcesError(f"{path}: is larger than {MAX_BYTES >> 20} MiB")
    try:
        content = yaml.safe_load(body)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise SourcesError(f"{path}: is not valid YAML{where}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise SourcesError(f"{path}: must be a mapping with the key prometheus, a list of endpoints")
    try:
        return _File.model_validate(content)
    except ValidationError as invalid:
        raise SourcesError(f"{path}: {_first(invalid)}") from None


def _distinct(path: Path, kind: str, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    names = [endpoint.name for endpoint in endpoints]
    for name in names:
        if names.count(name) > 1:
            raise SourcesError(f"{path}: {kind} has the name {name!r} more than once; names must be unique")
    return endpoints


def _with_default(path: Path, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    _distinct(path, "prometheus", endpoints)
    defaults = [endpoint.name for endpoint in endpoints if endpoint.default]
    if len(defaults) > 1:
        raise SourcesError(f"{path}: {' and '.join(map(repr, defaults))} are both the default; at most one may be")
    if len(endpoints) == 1:
        return (endpoints[0].model_copy(update={"default": True}),)
    return endpoints


def _first(invalid: ValidationError) -> str:
    """The first error as `prometheus[0].timeout is '10 parsecs': ...`."""
    error = invalid.errors(include_url=False)[0]
    where = ""
    for part in error["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{where} is missing"
    if error["type"] == "extra_forbidden":
        return f"{where} is not a known field"
    value = error["input"]
    # Whole mappings, and values that might contain a password, stay out of the message.
    shown = f" is {str(value)[:60]!r}" if isinstance(value, str | int | float) and "@" not in str(value) else ""
    return f"{where}{shown}: {message}"
