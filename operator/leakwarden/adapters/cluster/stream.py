"""Reads the API server's answers: errors, lines, and the identity of objects that are otherwise unreadable."""

from __future__ import annotations

from typing import Any

import msgspec

from leakwarden.adapters.cluster import wire
from leakwarden.adapters.cluster.resource import Resource
from leakwarden.adapters.cluster.session import MAX_BODY, Reply


class Expired(Exception):
    """410: the version or the continue token is too old to go on from."""


class RequestRefused(Exception):
    """An answer that is an error. Holds the text that may be shown, and how long the server wants us to wait."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Denied(RequestRefused):
    """401 or 403: a retry changes nothing until a person gives the right back."""


class NotServed(RequestRefused):
    """404: the API server does not have the kind; it comes with its CRD."""


class Absent(RequestRefused):
    """404: the server does not serve an optional kind."""


def check(reply: Reply, resource: Resource[Any], verb: str, namespace: str | None) -> None:
    """Raises Expired for 410 and Refused for any other status that is not a success."""
    if reply.ok:
        return
    if reply.status == 410:
        raise Expired
    where = f" in namespace {namespace}" if namespace else ""
    match reply.status:
        case 401:
            raise Denied("the API server does not accept the operator's credentials (401)", reply.retry_after)
        case 403:
            message = f"the operator's account may not {verb} {resource.full_name}{where} (403)"
            raise Denied(message, reply.retry_after)
        case 404 if resource.optional:
            raise Absent(f"the API server does not serve {resource.full_name} (404)")
        case 404:
            hint = f"; {resource.absent}" if resource.absent else ""
            raise NotServed(f"the API server does not serve {resource.full_name} (404){hint}", reply.retry_after)
        case code:
            message = f"the API server answered {code} to {verb} {resource.full_name}{where}"
    raise RequestRefused(message, reply.retry_after)


class Lines:
    """Cuts a stream into lines. Objects are larger than the line limits of most readers."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without blank ones. Raises Refused for a line beyond all bounds."""
        if b"\n" not in chunk:
            self._rest += chunk
            if len(self._rest) > MAX_BODY:
                raise RequestRefused("a watch event was too large to be one")
            return []
        self._rest += chunk
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [line for line in lines if line.strip()]


def raw_list(body: bytes) -> wire.ApiRawList:
    """Raises Refused when it is not a list."""
    try:
        return msgspec.json.decode(body, type=wire.ApiRawList)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RequestRefused("the answer to a list is not a Kubernetes list") from None


def uid_of(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=_Identified).metadata.uid
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def version_of(raw: msgspec.Raw) -> str | None:
    try:
        meta = msgspec.json.decode(raw, type=wire.ApiBookmark).metadata
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return meta.resource_version if meta is not None else None


class _Identity(wire.Wire):
    uid: str


class _Identified(wire.Wire):
    metadata: _Identity
