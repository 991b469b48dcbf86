"""One GET from a configured endpoint, bounded in bytes and time: for the small APIs next to Prometheus's own."""

from __future__ import annotations

import http.cookiejar
import time
from collections.abc import Mapping

import requests

from leakwarden import __version__
from leakwarden.adapters.prometheus.credentials import CredentialsUnreadable, EndpointCredentials
from leakwarden.adapters.prometheus.endpoints_file import Endpoint

_CHUNK = 1 << 16


class GetFailed(Exception):
    """One line for people, without any text of the server."""


def bounded_get(
    endpoint: Endpoint,
    credentials: EndpointCredentials,
    path: str,
    *,
    most: int,
    params: Mapping[str, str] | None = None,
) -> bytes:
    """The body, within the endpoint's timeout and `most` bytes. No redirects, cookies, proxies or netrc. Blocks.

    Raises GetFailed.
    """
    try:
        return _get(endpoint, credentials, path, most=most, params=params or {})
    except CredentialsUnreadable as error:
        raise GetFailed(str(error)) from None
    except requests.Timeout:
        raise GetFailed(f"it did not answer within {endpoint.timeout:g}s") from None
    except requests.RequestException:
        raise GetFailed("it cannot be reached") from None


def _get(
    endpoint: Endpoint, credentials: EndpointCredentials, path: str, *, most: int, params: Mapping[str, str]
) -> bytes:
    verify, certificate = credentials.tls()
    headers = {**endpoint.headers, "User-Agent": f"leakwarden/{__version__}", "Accept": "application/json"}
    if (authorization := credentials.authorization()) is not None:
        headers["Authorization"] = authorization
    deadline = time.monotonic() + endpoint.timeout
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        with session.get(
            f"{endpoint.url}{path}", params=params, headers=headers, verify=verify, cert=certificate,
            timeout=endpoint.timeout, allow_redirects=False, stream=True,
        ) as response:  # fmt: skip
            if response.status_code != 200:
                raise GetFailed(f"it answered HTTP {response.status_code}")
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > most:
                    raise GetFailed(f"its answer is larger than {most >> 20} MiB")
                if time.monotonic() > deadline:
                    raise GetFailed(f"it did not finish its answer within {endpoint.timeout:g}s")
            return bytes(body)
