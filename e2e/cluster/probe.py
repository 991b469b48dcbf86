"""Probe several targets at once, from the network namespace of this process.

``python3 probe.py TARGET...`` prints one JSON object, target -> "" when healthy, else the reason. Targets:
http(s)://... (any 200), unix:///path (accepts a connection), dns://SERVER/NAME (an A record comes back).
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

TIMEOUT = 3.0  # seconds


def probe(target: str) -> str:
    """The empty string when the target answers as it should, else why it is not healthy."""
    scheme = urlsplit(target).scheme
    try:
        if scheme == "unix":
            return _unix(target.removeprefix("unix://"))
        if scheme == "dns":
            return _dns(target)
        return _http(target)
    except OSError as error:
        return str(getattr(error, "reason", None) or error.strerror or error)


def _http(url: str) -> str:
    # Health endpoints on loopback serve certificates made at start; there is no authority to check them against.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT, context=context) as answer:
            return "" if answer.status == 200 else f"status {answer.status}"
    except urllib.error.HTTPError as error:
        return f"status {error.code}"


def _unix(path: str) -> str:
    if not os.path.exists(path):
        return f"no socket at {path}"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(path)
    return ""


def question(identifier: int, name: str) -> bytes:
    """A DNS query for an A record (RFC 1035, section 4)."""
    header = struct.pack(">HHHHHH", identifier, 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + struct.pack(">HH", 1, 1)


def _dns(target: str) -> str:
    parts = urlsplit(target)
    identifier = os.getpid() & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect((parts.hostname or "", parts.port or 53))
        connection.send(question(identifier, parts.path.lstrip("/")))
        answer = connection.recv(4096)
    identity, flags, _, answers = struct.unpack(">HHHH", answer[:8])
    if identity != identifier or flags & 0x000F or not answers:
        return f"answered code {flags & 0x000F} with {answers} records"
    return ""


def main() -> None:
    targets = sys.argv[1:]
    with ThreadPoolExecutor(max_workers=max(1, len(targets))) as pool:
        print(json.dumps(dict(zip(targets, pool.map(probe, targets), strict=True))))


if __name__ == "__main__":
    main()
