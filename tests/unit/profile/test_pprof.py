"""The pprof decoder: valid profiles are read, and all other input is refused in one line."""

from __future__ import annotations

import contextlib
import gzip
import random
import zlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwarden.core.profile.pprof import DecodeLimits, Frame, Profile, ProfileError, StackSample, decode
from leakwarden.core.profile.suspects import Capture, suspects
from leakwarden.core.profile.telling import told
from tests.profiles.building import VERSIONS, archived
from tests.unit.profile.profile_builders import encode, goroutines, heap, message, number, scalar

pytestmark = pytest.mark.slow

TEXTS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="["), max_size=12)
FRAMES = st.builds(Frame, TEXTS, TEXTS, st.integers(0, 1 << 40))
VALUES = st.integers(-(1 << 63), (1 << 63) - 1)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    kinds = draw(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
    samples = st.builds(
        StackSample,
        st.lists(FRAMES, max_size=6).map(tuple),
        st.tuples(*[VALUES] * len(kinds)),
        st.lists(st.tuples(TEXTS, TEXTS.filter(bool)), max_size=3).map(lambda pairs: tuple(sorted(pairs))),
    )
    return Profile(tuple(kinds), tuple(draw(st.lists(samples, max_size=8))), draw(st.integers(0, 1 << 40)))


members = cache(lambda: archived(VERSIONS[-1]))


@cache
def real() -> tuple[bytes, ...]:
    """A few profiles of each kind, from real programs."""
    members = archived(VERSIONS[-1])
    names = [f"{name}/{kind}.pb" for name in ("body_direct", "send_first", "tx_closure")
             for kind in ("goroutine-1", "heap-2", "goroutineleak")]  # fmt: skip
    return tuple(members[name] for name in names if name in members)


def outcome(data: bytes) -> str:
    """Why it was refused; empty where it is a profile. Any other error is the test's failure."""
    try:
        decode(data)
    except ProfileError as error:
        return str(error)
    return ""


@settings(deadline=None)
@given(profiles())
def test_what_is_encoded_is_decoded(profile: Profile) -> None:
    assert decode(encode(profile)) == profile
    assert decode(gzip.compress(encode(profile))) == profile


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_profile_or_refused(data: bytes) -> None:
    for form in (data, b"\x1f\x8b" + data, gzip.compress(data), encode(goroutines()) + data):
        assert len(outcome(form).splitlines()) <= 1


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 1 << 32))
def test_a_damaged_real_profile_is_a_profile_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(chance.choice(real()))
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + chance.randint(1, 40)] = b""
            case 2:
                data[at:at] = bytes(chance.choices((0, 0x7F, 0x80, 0xFF), k=chance.randint(1, 12)))
            case _:
                data = data[: at + 1]
        if not data:
            break
    for form in (bytes(data), gzip.compress(bytes(data))):
        outcome(form)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 32))
def test_whatever_a_damaged_profile_says_naming_suspects_raises_nothing_else(seed: int) -> None:
    chance = random.Random(seed)

    def damaged(name: str) -> Profile:
        data = bytearray(members()[name])
        for _ in range(chance.randint(0, 6)):
            at = chance.randrange(len(data))
            # Bytes are changed, but none added or removed, so that most of it still decodes.
            data[at] = chance.randrange(256)
        return decode(bytes(data))

    with contextlib.suppress(ProfileError):
        capture = Capture(
            [damaged(f"body_direct/goroutine-{n}.pb") for n in (1, 2)],
            [damaged(f"body_direct/heap-{n}.pb") for n in (1, 2)],
            damaged("body_direct/goroutineleak.pb"),
            chance.choice([0.0, 4.0]),
        )
        told(suspects(capture, growing=frozenset({"goroutines", "descriptors", "memory", "connections"})))


@pytest.mark.parametrize("index", range(6))
def test_a_cut_off_real_profile_does_not_count_as_another(index: int) -> None:
    whole = real()[index]
    zipped = gzip.compress(whole)
    for part in range(1, 20):
        with pytest.raises(ProfileError):
            decode(zipped[: len(zipped) * part // 20])


def test_a_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(ProfileError, match="inflates to more than 1048576"):
        decode(bomb, DecodeLimits(inflated=1 << 20))


def test_a_bomb_in_many_layers_is_garbage_after_the_first() -> None:
    with pytest.raises(ProfileError):
        decode(gzip.compress(gzip.compress(encode(goroutines()))))


def test_something_after_the_compressed_end_is_refused() -> None:
    with pytest.raises(ProfileError, match="after its end"):
        decode(gzip.compress(encode(goroutines())) + b"more")


def test_a_stream_that_ends_without_its_checksum_is_refused() -> None:
    pack = zlib.compressobj(wbits=31)
    head = pack.compress(encode(goroutines())) + pack.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProfileError, match="cut off"):
        decode(head)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (DecodeLimits(compressed=10), "larger than 10 bytes"),
        (DecodeLimits(samples=1), "more than 1 entries"),
        (DecodeLimits(strings=3), "more than 3 entries"),
        (DecodeLimits(locations=1), "more than 1 entries"),
        (DecodeLimits(depth=2), "too deep"),
        (DecodeLimits(calls=2), "more than 2 calls"),
    ],
)
def test_each_bound_holds(limits: DecodeLimits, words: str) -> None:
    profile = goroutines((3, ["main.a", "main.b", "main.c"]), (4, ["main.d"]))
    with pytest.raises(ProfileError, match=words):
        decode(gzip.compress(encode(profile)), limits)


def test_a_raw_profile_is_bounded_like_an_inflated_one() -> None:
    with pytest.raises(ProfileError, match="larger than 64 bytes"):
        decode(encode(heap((1, 1, ["main.a"]))), DecodeLimits(inflated=64))


def test_control_characters_do_not_reach_terminals() -> None:
    profile = goroutines((1, [Frame("main.\x1b[2Jx\n", "a\u202eb.go", 1)]))
    frame = decode(encode(profile)).samples[0].stack[1]
    assert (frame.function, frame.file) == ("main.\ufffd[2Jx\ufffd", "a\ufffdb.go")


def test_long_texts_are_cut() -> None:
    profile = goroutines((1, [Frame("main." + "x" * 5000, "f.go", 1)]))
    assert len(decode(encode(profile)).samples[0].stack[1].function) == DecodeLimits().text


NAMED = message(6, b"") + message(6, b"goroutine") + message(1, scalar(1, 1))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!doctype html><title>no</title>", "a field of a kind"),
        (message(6, b"x"), "first string"),
        (message(6, b""), "what its values are"),
        (message(6, b"") + message(1, scalar(1, 7)), "string that it does not have"),
        (NAMED + message(2, message(1, number(9)) + scalar(2, 1)), "location that it does not have"),
        (NAMED + message(4, scalar(1, 1) + message(4, scalar(1, 5))), "function that it does not have"),
        (NAMED + message(2, scalar(2, 1) + scalar(2, 2)), "as many values"),
        (NAMED + message(2, b""), "as many values"),
        (NAMED + b"\x0b", "of a kind that profiles do not have"),
        (NAMED + b"\x10" + b"\xff" * 11, "not written as one|ten bytes"),
        (NAMED + b"\x12\x7f", "middle of a field"),
        (NAMED + b"\x80", "middle of a number"),
        (NAMED + scalar(2, 3), "not written as one"),
        (NAMED + b"\x09\x00", "middle of a field"),
    ],
)
def test_what_is_wrong_is_said_in_words(data: bytes, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        decode(data)


def test_fields_that_are_not_known_are_passed_over() -> None:
    extra = number(60 << 3 | 1) + bytes(8) + number(61 << 3 | 5) + bytes(4) + message(62, b"later") + scalar(63, 1)
    profile = goroutines((2, ["main.a@3"]))
    assert decode(encode(profile) + extra) == profile


def test_numbers_need_not_be_packed() -> None:
    location = message(4, scalar(1, 5) + scalar(3, 0xBEEF))
    found = decode(NAMED + location + message(2, scalar(1, 5) + scalar(1, 5) + scalar(2, -3)))
    assert found.samples == (StackSample((Frame("0xbeef", "", 0),) * 2, (-3,)),)


def test_type_arguments_are_left_out_of_names() -> None:
    odd = "shop.(*Future[go.shape.struct { A [4]int }]).Get.func1"
    found = decode(encode(goroutines((1, [Frame(odd, "f.go", 1)]))))
    assert found.samples[0].stack[1].function == "shop.(*Future[...]).Get.func1"


@pytest.mark.parametrize("version", VERSIONS)
def test_real_profiles_of_every_version_are_read(version: str) -> None:
    for name, body in archived(version).items():
        if name.endswith(".pb"):
            profile = decode(body)
            assert profile.types
            assert profile.taken > 0
            # A goroutine that has not run yet has no stack.
            assert all(frame.function for sample in profile.samples for frame in sample.stack)
