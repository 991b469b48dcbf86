"""The user's own access to a bucket: credentials, region and endpoint from the AWS command line's configuration."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path

from leakwarden.adapters.evidence.bucket import Bucket, BucketLocation
from leakwarden.adapters.evidence.sigv4 import SigningCredentials
from leakwarden.adapters.evidence.store import NotStored
from leakwarden.cli.errors import NotGiven

_ENDPOINT = re.compile(r"https?://[^/?#@\\s]+/?")


async def fetch(bucket: str, key: str, endpoint: str | None, region: str | None) -> bytes:
    """A stored profile. Raises Refused."""
    where = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    server = (
        endpoint
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or f"https://s3.{where}.amazonaws.com"
    )
    if _ENDPOINT.fullmatch(server) is None:
        raise NotGiven("the endpoint is not https://HOST[:PORT]")
    found = credentials(os.environ)

    async def own() -> SigningCredentials:
        return found

    try:
        async with Bucket(BucketLocation(bucket, server.rstrip("/"), where), own) as opened:
            return await opened.fetch(key)
    except NotStored as error:
        raise NotGiven(str(error)) from None


def credentials(environment: Mapping[str, str]) -> SigningCredentials:
    """From the environment, or the profile of ~/.aws/credentials that AWS_PROFILE names. Raises Refused."""
    access, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if access and secret:
        return SigningCredentials(access, secret, environment.get("AWS_SESSION_TOKEN", ""))
    path = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    # Secrets may contain a percent sign.
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(path, encoding="utf-8")
        profile = file[environment.get("AWS_PROFILE") or "default"]
        return SigningCredentials(
            profile["aws_access_key_id"], profile["aws_secret_access_key"], profile.get("aws_session_token", "")
        )
    except (KeyError, configparser.Error, UnicodeDecodeError, OSError):
        raise NotGiven("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE") from None
