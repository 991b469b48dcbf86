"""`leakwarden suspects` as a person runs it: from profiles on disk to lines and an exit code."""

from __future__ import annotations

import argparse
import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from leakwarden.cli.evidence import suspects
from leakwarden.core.profile.pprof import Profile
from tests.profiles.building import VERSIONS, archived
from tests.unit.profile.profile_builders import encode, goroutines, heap

SEND = ["runtime.chansend1@1", "main.first.func1@22"]


def ask(*arguments: str | Path) -> int:
    top = argparse.ArgumentParser()
    suspects.add_parser(top.add_subparsers())
    parsed = top.parse_args(["suspects", *map(str, arguments)])
    code: int = parsed.run(parsed)
    return code


def saved(folder: Path, *profiles: Profile) -> list[Path]:
    """Each profile in a file, taken five seconds after the one before."""
    paths = []
    for n, profile in enumerate(profiles):
        paths.append(folder / f"{n}.pb.gz")
        paths[-1].write_bytes(gzip.compress(encode(replace(profile, taken=1_000_000.0 + 5 * n))))
    return paths


def test_the_line_is_named_with_its_reasons_and_the_repair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The order of the files does not matter: they contain their times.
    newer, older = reversed(saved(tmp_path, goroutines((100, SEND)), goroutines((600, SEND))))
    assert ask(newer, older) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Low     600 goroutines at main.first.func1 (main.go:22), +100.0/s: may be a leak: channel")
    assert "because  100 became 600 within 5s" in out
    assert "fix      " in out
    assert "main.first.func1  /src/cmd/shop/main.go:22" in out
    assert err == ""


def test_a_healthy_service_is_not_suspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(*saved(tmp_path, goroutines((100, SEND)), goroutines((100, SEND)))) == 0
    said = capsys.readouterr().out
    assert said.startswith("nothing grew that these profiles can show: goroutines 101, within 5s\n")
    assert "no heap profile was taken" in said


def test_a_leak_too_small_for_the_profiles_is_not_said_to_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = heap((4000, 4000, ["main.load@3"]))
    assert (
        ask(*saved(tmp_path, goroutines((9, SEND)), calm, goroutines((9, SEND)), calm), "--growing", "descriptors") == 0
    )
    said = capsys.readouterr().out
    assert "descriptors grow, and these profiles do not show what holds them" in said
    assert "within 10s it shows memory that grows by 154 KiB/s or more, and within 5m by 5.1 KiB/s" in said


def test_one_profile_is_taken_with_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(*saved(tmp_path, goroutines((100, SEND)))) == 0
    assert "give two, some seconds apart" in capsys.readouterr().err


def test_what_is_known_to_grow_makes_less_enough(tmp_path: Path) -> None:
    files = saved(tmp_path, goroutines((148, SEND)), goroutines((198, SEND)))
    assert ask(*files) == 0
    assert ask(*files, "--growing", "goroutines") == 1


def test_json_holds_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("-o", "json", *saved(tmp_path, goroutines((100, SEND)), goroutines((600, SEND)))) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["shape"], found["line"], found["confidence"]) == ("ChannelSend", 22, "Low")
    assert found["stack"][0]["function"] == "main.first.func1"


def test_profiles_of_a_real_service_are_read_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = []
    for name, body in archived(VERSIONS[-1]).items():
        if name.startswith("body_direct/"):
            files.append(tmp_path / name.replace("/", "-"))
            files[-1].write_bytes(body)
    assert ask(*files) == 1
    assert "main.fetchUser (main.go:13)" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"goroutine profile: total 7\n", "not a profile"), (b"", "it is empty"), (None, "No such file")],
)
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    path = tmp_path / "x.pb.gz"
    if content is not None:
        path.write_bytes(content)
    assert ask(path) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x.pb.gz", "--save", "d"), "--save says how profiles are taken with --pod; leave it out"),
        (("x.pb.gz", "--port", "6060"), "--port says"),
        (("--pod", "shop/web-1", "--port", "99999"), "--port is 99999; 1 to 65535 is allowed"),
        (("--pod", "shop/web-1", "--path", "debug"), "--path is 'debug'; it must begin with /"),
        ((), "give profiles, or a pod"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert ask(*arguments) == 2
    assert words in capsys.readouterr().err


def test_a_file_without_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("/dev/zero") == 2
    assert "/dev/zero: not a profile: " in capsys.readouterr().err


def test_profiles_that_do_not_belong_together_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(*saved(tmp_path, heap((1, 1, ["main.a"])))) == 2
    same = goroutines((1, SEND))
    path = saved(tmp_path, same)[0]
    assert ask(path, path) == 2
    processor = replace(same, types=(("cpu", "nanoseconds"),))
    assert ask(*saved(tmp_path, same, processor)) == 2
    assert [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "none of the files is a goroutine profile",
        "the goroutine profiles are of one moment: give two, some seconds apart",
        "only goroutine, heap and goroutineleak profiles tell of leaks",
    ]
