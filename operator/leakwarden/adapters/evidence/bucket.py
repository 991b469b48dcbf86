"""Profiles in an S3-compatible bucket, with path-style addresses, which all such servers understand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from yarl import URL

from leakwarden import __version__
from leakwarden.adapters.evidence.sigv4 import SigningCredentials, encoded_path, signed_headers
from leakwarden.adapters.evidence.store import NotStored, location

TIMEOUT = 30.0  # s for one object
CONNECT_TIMEOUT = 5.0  # s
MOST = 16 << 20  # bytes; no profile that we keep is larger than half of it

_WORDS = {
    301: "the bucket is in another region",
    307: "the bucket is in another region",
    400: "the request is not understood; is the region right?",
    403: "the credentials do not allow it",
    404: "there is no such bucket or object",
}


class NotThere(NotStored):
    """There is no such object, or no such bucket."""


@dataclass(frozen=True, slots=True)
class BucketLocation:
    """Which bucket. `endpoint` is https://HOST[:PORT] of the server, without a path."""

    name: str
    endpoint: str
    region: str = "us-east-1"
    prefix: str = ""  # without slashes at its ends


class Bucket:
    """`Store` over S3's PutObject; `fetch` is its GetObject. Use as an async context manager.

    Nothing is deleted: the bucket's lifecycle rules decide how long objects stay.
    """

    def __init__(
        self,
        place: BucketLocation,
        credentials: Callable[[], Awaitable[SigningCredentials]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._place = place
        self._credentials = credentials
        self._clock = clock
        self._endpoint = URL(place.endpoint)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"leakwarden/{__version__}"},
            skip_auto_headers=["Accept-Encoding"],
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=CONNECT_TIMEOUT),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def keep(self, report: str, profiles: Mapping[str, bytes]) -> Mapping[str, str]:
        places: dict[str, str] = {}
        for name, data in profiles.items():
            key = f"{self._place.prefix}/{location(report, name, data)}".lstrip("/")
            await self._ask("PUT", key, data, {"Content-Type": "application/octet-stream"})
            places[name] = f"s3://{self._place.name}/{key}"
        return places

    async def fetch(self, key: str) -> bytes:
        """An object's content. Raises NotStored."""
        return await self._ask("GET", key)

    async def save(self, key: str, data: bytes) -> None:
        """Keep a small document by key. Raises NotStored."""
        await self._ask("PUT", self._document(key), data, {"Content-Type": "application/json"})

    async def load(self, key: str) -> bytes | None:
        """A small document; None where there is none. Raises NotStored."""
        try:
            return await self._ask("GET", self._document(key))
        except NotThere:
            return None

    def _document(self, key: str) -> str:
        return f"{self._place.prefix}/baselines/{key}.json".lstrip("/")

    async def _ask(self, method: str, key: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        if self._http is None:
            raise RuntimeError("Bucket is used outside of its context")
        path = encoded_path(f"/{self._place.name}/{key}")
        url = self._endpoint.with_path(path, encoded=True)
        port = "" if url.is_default_port() else f":{url.port}"
        try:
            signed = signed_headers(
                method, f"{url.raw_host}{port}", path, body=body, credentials=await self._credentials(), region=self._place.region,
                now=self._clock(), headers=headers,
            )  # fmt: skip
            async with self._http.request(
                method, url, data=body or None, headers=signed, allow_redirects=False
            ) as response:
                if response.status != 200:
                    response.close()
                    words = _WORDS.get(response.status, "it did not accept the request")
                    raise (NotThere if response.status == 404 else NotStored)(
                        f"the bucket answered with {response.status}: {words}"
                    )
                return await _limited(response)
        except TimeoutError:
            raise NotStored(f"the bucket's server did not answer within {TIMEOUT:g}s") from None
        except (aiohttp.ClientError, OSError):
            raise NotStored("the bucket's server cannot be reached") from None


async def _limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MOST:
            response.close()
            raise NotStored(f"the object is larger than {MOST} bytes, so it is no profile of ours")
    return bytes(body)


def mounted(directory: Path) -> Callable[[], Awaitable[SigningCredentials]]:
    """Credentials from a mounted Secret with the keys accessKey, secretKey and, where there is one, sessionToken: read
    again each time, so that a rotation needs no restart. Raises NotStored when called."""

    def read() -> SigningCredentials:
        def value(name: str) -> str:
            return (directory / name).read_text(encoding="utf-8").strip()

        try:
            token = value("sessionToken") if (directory / "sessionToken").exists() else ""
            return SigningCredentials(value("accessKey"), value("secretKey"), token)
        except (OSError, UnicodeDecodeError):
            raise NotStored("the bucket's credentials cannot be read; is the Secret's form right?") from None

    async def load() -> SigningCredentials:
        return await asyncio.to_thread(read)

    return load
