"""Credentials from mounted files, read again when they change.

Kubernetes rotates a mounted Secret by moving the `..data` symlink, so the file behind a path has
another inode afterwards; its time and size alone may stay the same.
"""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path
from typing import TypeAlias

from leakwarden.adapters.prometheus.endpoints_file import Endpoint

MAX_BYTES = 64 * 1024
_Stamp: TypeAlias = tuple[int, int, int, int]


class CredentialsUnreadable(Exception):
    """A credential file is missing or not usable; the message names its path, never its content."""


def _stamp(path: str) -> _Stamp:
    try:
        found = os.stat(path)
    except OSError as error:
        raise CredentialsUnreadable(f"{path}: {error.strerror or type(error).__name__}") from None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


class EndpointCredentials:
    """The credentials of one endpoint. Safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._texts: dict[str, tuple[_Stamp, str]] = {}
        self._tls_stamps: tuple[_Stamp, ...] | None = None

    def forget(self) -> None:
        """Read all files again next time, even where their time stamps have not changed."""
        with self._lock:
            self._texts.clear()

    def authorization(self) -> str | None:
        """The value of the Authorization header, or None. Raises CredentialsUnreadable."""
        endpoint = self._endpoint
        with self._lock:
            if endpoint.bearer_token_file is not None:
                return f"Bearer {self._text(endpoint.bearer_token_file)}"
            if endpoint.basic is not None:
                pair = f"{self._text(endpoint.basic.username_file)}:{self._text(endpoint.basic.password_file)}"
                return f"Basic {base64.b64encode(pair.encode()).decode()}"
        return None

    def tls(self) -> tuple[bool | str, tuple[str, str] | None]:
        """The authority to verify the server with (True: the system's authorities) and our certificate and key, as
        paths.

        Raises CredentialsUnreadable.
        """
        tls = self._endpoint.tls
        for path in self._tls_files():
            _stamp(path)
        certificate = (tls.cert_file, tls.key_file) if tls.cert_file and tls.key_file else None
        return (False if tls.insecure_skip_verify else tls.ca_file or True), certificate

    def tls_changed(self) -> bool:
        """Whether the TLS files changed since the last call: open connections still use the old ones then."""
        stamps = tuple(_stamp(path) for path in self._tls_files())
        with self._lock:
            before, self._tls_stamps = self._tls_stamps, stamps
        return before is not None and before != stamps

    def _tls_files(self) -> list[str]:
        tls = self._endpoint.tls
        return [path for path in (tls.ca_file, tls.cert_file, tls.key_file) if path is not None]

    def _text(self, path: str) -> str:
        stamp = _stamp(path)
        kept = self._texts.get(path)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        try:
            with Path(path).open("rb") as file:
                body = file.read(MAX_BYTES + 1)
            text = body.decode("utf-8").strip()
        except OSError as error:
            raise CredentialsUnreadable(f"{path}: {error.strerror or type(error).__name__}") from None
        except UnicodeDecodeError:
            raise CredentialsUnreadable(f"{path}: is not text") from None
        # A line break or control character would end the header it is put into.
        if not text or len(body) > MAX_BYTES or not text.isprintable():
            raise CredentialsUnreadable(f"{path}: must hold one line of text")
        self._texts[path] = (stamp, text)
        return text
