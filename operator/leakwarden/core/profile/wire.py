"""The protobuf wire format, as far as a profile needs it: varints and length-delimited fields.

Sources: protobuf.dev, "Encoding". Groups, which no profile has, are refused rather than skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_MASK64 = (1 << 64) - 1


class ProfileError(Exception):
    """These bytes are not a readable profile. The message is one line for people and quotes none of the bytes."""


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The unsigned 64-bit number at `at`, and where it ends. Raises ProfileError."""
    shift = value = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK64, at
        shift += 7
        if shift > 63:
            raise ProfileError("a number is longer than ten bytes")
    raise ProfileError("it ends in the middle of a number")


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Each field of the message in data[at:end], as (number, wire type, a, b).

    For a number `a` is its value; for bytes they are data[a:b]. Raises ProfileError.
    """
    while at < end:
        # Nearly all tags have one byte, and decoding spends most of its time in this loop.
        tag = data[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = varint(data, at, end)
            yield number, kind, value, 0
        elif kind == BYTES:
            size, at = varint(data, at, end)
            if size > end - at:
                raise ProfileError("it ends in the middle of a field")
            yield number, kind, at, at + size
            at += size
        elif kind in (FIXED32, FIXED64):
            at += 8 if kind == FIXED64 else 4
            if at > end:
                raise ProfileError("it ends in the middle of a field")
        else:
            raise ProfileError("it has a field of a kind that profiles do not have")


def numbers(data: bytes, kind: int, a: int, b: int) -> Iterator[int]:
    """The values of a repeated number field, packed or not. Raises ProfileError."""
    if kind == VARINT:
        yield a
    elif kind == BYTES:
        while a < b:
            value, a = varint(data, a, b)
            yield value
    else:
        raise ProfileError("a number is not written as one")


def signed(value: int) -> int:
    """An int64 from its unsigned form."""
    return value - (1 << 64) if value >> 63 else value
