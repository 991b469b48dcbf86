"""AWS Signature Version 4 for one S3 request: pure, from the time and the credentials to the headers.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)";
its examples are the test's. The SDKs that do this are 14 MB, or bring several packages with native code, for a few
HMACs of a scheme that has not changed since 2012.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class SigningCredentials:
    """An access key. The secret parts do not show when one of these is printed."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


def encoded_path(path: str) -> str:
    """A path as it is signed and must be sent: everything but unreserved characters and slashes escaped, once."""
    return quote(path, safe="/-_.~")


def signed_headers(
    method: str,
    host: str,
    path: str,
    *,
    body: bytes,
    credentials: SigningCredentials,
    region: str,
    now: float,
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers to send, `headers` among them and all of them signed. `path` is encoded and without a query; `host`
    has the port where it is not the scheme's own; `now` in epoch seconds, which may be off by 15 minutes at most."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    payload = hashlib.sha256(body).hexdigest()
    sent = {**(headers or {}), "Host": host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    if credentials.session_token:
        sent["x-amz-security-token"] = credentials.session_token
    canonical = sorted((name.lower(), " ".join(value.split())) for name, value in sent.items())
    names = ";".join(name for name, _ in canonical)
    request = "\n".join([method, path, "", *(f"{name}:{value}" for name, value in canonical), "", names, payload])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return {**sent, "Authorization": authorization}
