"""A bucket on a real S3 server, and the real `go tool pprof`: a person can fetch and open the kept profiles as they
are."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster import binaries
from e2e.cluster.commands import Programs
from e2e.cluster.toolchain import find_go
from leakwarden.adapters.evidence.bucket import Bucket, BucketLocation
from leakwarden.adapters.evidence.sigv4 import SigningCredentials
from leakwarden.adapters.evidence.store import NotStored
from leakwarden.cli.errors import NotGiven
from leakwarden.cli.evidence.bucket import fetch
from tests.profiles.building import VERSIONS, archived

KEYS = SigningCredentials("operator", "a/secret+of%40the test")
BUCKET = "profiles"
REPORT = "shop/api-6d9-1790000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server with one bucket, which checks signatures."""
    binaries.build(("s3",))
    root = tmp_path_factory.mktemp("s3")
    for name in ("data", "meta", f"data/{BUCKET}"):
        (root / name).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [binaries.program("versitygw"), "--port", f"127.0.0.1:{port}", "--region", "eu-1", "posix", "--sidecar",
         str(root / "meta"), str(root / "data")],
        env={**os.environ, "ROOT_ACCESS_KEY": KEYS.access_key, "ROOT_SECRET_KEY": KEYS.secret_key},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended by itself"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def bucket(server: str, keys: SigningCredentials = KEYS, name: str = BUCKET) -> Bucket:
    async def own() -> SigningCredentials:
        return keys

    return Bucket(BucketLocation(name, server, "eu-1", "leakwarden"), own)


def profiles() -> dict[str, bytes]:
    members = archived(VERSIONS[-1])
    return {f"{kind}.pb.gz": gzip.compress(members[f"send_first/{kind}.pb"]) for kind in ("goroutine-1", "heap-2")}


async def test_what_the_operator_keeps_a_person_fetches_with_credentials_of_their_own(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = profiles()
    async with bucket(server) as opened:
        places = await opened.keep(REPORT, kept)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)
    for name, data in kept.items():
        key = places[name].removeprefix(f"s3://{BUCKET}/")
        assert await fetch(BUCKET, key, server, "eu-1") == data

    # The same from ~/.aws/credentials.
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    file = tmp_path / "credentials"
    file.write_text(
        f"[other]\naws_access_key_id = x\naws_secret_access_key = y\n\n[team]\naws_access_key_id = {KEYS.access_key}\n"
        f"aws_secret_access_key = {KEYS.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert await fetch(BUCKET, places["heap-2.pb.gz"].removeprefix(f"s3://{BUCKET}/"), server, "eu-1")
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(NotGiven, match=r"40[34]"):
        await fetch(BUCKET, places["heap-2.pb.gz"].removeprefix(f"s3://{BUCKET}/"), server, "eu-1")


@pytest.mark.parametrize(
    ("keys", "name", "words"),
    [
        (SigningCredentials(KEYS.access_key, "wrong"), BUCKET, "403"),
        (SigningCredentials("nobody", KEYS.secret_key), BUCKET, "40[34]"),
        (KEYS, "missing", "404"),
    ],
)
async def test_a_real_servers_refusals_are_told(server: str, keys: SigningCredentials, name: str, words: str) -> None:
    async with bucket(server, keys, name) as opened:
        with pytest.raises(NotStored, match=words):
            await opened.keep(REPORT, {"heap-1.pb.gz": b"x"})


def test_go_tool_pprof_opens_a_profile_as_it_was_kept(tmp_path: Path) -> None:
    for name, data in profiles().items():
        path = tmp_path / name
        path.write_bytes(data)
        done = subprocess.run(
            [find_go(Programs()), "tool", "pprof", "-top", str(path)], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert ("Type: goroutine" if "goroutine" in name else "Type: inuse_space") in done.stdout
    assert (
        "main.first"
        in done.stdout
        + subprocess.run(
            [find_go(Programs()), "tool", "pprof", "-traces", str(tmp_path / "goroutine-1.pb.gz")],
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout
    )
