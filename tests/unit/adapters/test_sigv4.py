"""Signatures against the examples that Amazon publishes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leakwarden.adapters.evidence.sigv4 import SigningCredentials, encoded_path, signed_headers

# Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
KEYS = SigningCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
NOW = datetime(2013, 5, 24, tzinfo=UTC).timestamp()


def test_the_published_example_of_a_get() -> None:
    signed = signed_headers(
        "GET",
        HOST,
        "/test.txt",
        body=b"",
        credentials=KEYS,
        region="us-east-1",
        now=NOW,
        headers={"Range": "bytes=0-9"},
    )
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    assert signed["x-amz-date"] == "20130524T000000Z"


def test_the_published_example_of_a_put() -> None:
    headers = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    path = encoded_path("/test$file.text")
    signed = signed_headers(
        "PUT", HOST, path, body=b"Welcome to Amazon S3.", credentials=KEYS, region="us-east-1", now=NOW, headers=headers
    )
    assert path == "/test%24file.text"
    assert signed["Authorization"].endswith(
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_a_session_token_is_sent_and_signed() -> None:
    keys = SigningCredentials(KEYS.access_key, KEYS.secret_key, "a-token")
    signed = signed_headers("GET", HOST, "/test.txt", body=b"", credentials=keys, region="us-east-1", now=NOW)
    assert signed["x-amz-security-token"] == "a-token"
    assert "x-amz-security-token" in signed["Authorization"]


@pytest.mark.parametrize("shown", [repr(KEYS), str(KEYS), f"{KEYS}"])
def test_a_secret_does_not_show(shown: str) -> None:
    assert KEYS.secret_key not in shown
