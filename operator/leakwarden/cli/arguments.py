"""Values of options that several commands take, checked: each refusal names the option, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from leakwarden.api.scalars import format_duration, parse_duration
from leakwarden.cli.errors import Misused

if TYPE_CHECKING:
    from leakwarden.adapters.prometheus.endpoints_file import Endpoint


def seconds(text: str, option: str, least: float, most: float) -> float:
    """Of a duration such as 90s. Raises Misused."""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise Misused(f"{option}: {error}") from None
    if not (least <= found <= most and found > 0):
        allowed = f"{least:g}s to" if least > 0 else "more than 0 and at most"
        raise Misused(f"{option} is {text}; {allowed} {format_duration(most)} is allowed")
    return found


def prometheus(url: str, command: str) -> Endpoint:
    """A Prometheus without credentials, for the queries of one command. Raises Misused."""
    return endpoint(url, command, "--prometheus")


def endpoint(url: str, command: str, option: str, headers: Mapping[str, str] | None = None) -> Endpoint:
    """An endpoint without credentials, for the queries of one command. Raises Misused."""
    from pydantic import ValidationError

    from leakwarden.adapters.prometheus.endpoints_file import Endpoint

    if "@" in url:  # not repeated: what stands before it may be a password
        raise Misused(f"{option} must not hold a user or password")
    try:
        return Endpoint.model_validate({"name": command, "url": url, "timeout": "30s", "headers": dict(headers or {})})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if "headers" in first["loc"]:
            raise Misused(f"{option}: {message}") from None
        raise Misused(f"{option} is {url[:60]!r}; it {message}") from None
