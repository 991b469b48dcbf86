"""Open descriptors: text that real kernels wrote is counted right, bounded, and shown without what could be a secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakwarden.core.descriptors.census import (
    DENIED,
    ENDS,
    FILES,
    NONE,
    Census,
    CensusUnreadable,
    read,
    refused,
    written,
)
from leakwarden.core.descriptors.paths import LEFT_OUT, Names, shown
from leakwarden.core.descriptors.proc import Counting

# Recorded on Linux 6.18, x86-64: a process with a listening socket of each family, connections in both directions, two
# of them in CLOSE_WAIT, and the sockets of the rest of the machine.
LINKS = """\
/dev/null
pipe:[95920]
socket:[94321]
socket:[94323]
socket:[94324]
socket:[94325]
socket:[94326]
socket:[94330]
socket:[94331]
/dev/null
socket:[94329]
socket:[94332]
socket:[94333]
socket:[94334]
socket:[94335]
socket:[94336]
anon_inode:[eventfd]
anon_inode:[eventpoll]
anon_inode:[timerfd]
anon_inode:inotify
/memfd:x (deleted)
/tmp/#9977924 (deleted)
socket:[1]
net:[4026531840]
pipe:[95914]
"""
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:812D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 94321 1 0000000096afeceb 100 0 0 10 0
   1: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1684 1 000000004237609b 100 0 0 10 0
   2: 0100007F:812D 0100007F:BAB0 05 00000000:00000000 03:0000175C 00000000     0        0 0 3 00000000d3094a87
   3: 020200C0:E336 507100CB:01BB 01 00000000:00000000 02:00000174 00000000     0        0 73917 2 00000000dd1b563c 20 4 14 74 146
   4: 0100007F:812D 0100007F:BAB8 01 00000000:00000000 00:00000000 00000000     0        0 94329 1 00000000b840d9ec 20 0 0 10 -1
   5: 0100007F:BAAE 507100CB:0050 08 00000000:00000001 00:00000000 00000000     0        0 94324 2 00000000f9b9f164 20 4 0 10 -1
   6: 0100007F:BAB0 507100CB:0050 08 00000000:00000001 00:00000000 00000000     0        0 94325 2 0000000097470703 20 4 0 10 -1
   7: 0100007F:BAB8 0100007F:812D 01 00000000:00000000 00:00000000 00000000     0        0 94326 2 00000000fe259996 20 0 0 10 -1
   8: 0100007F:DBCE 0100007F:842B 01 00000000:00000000 00:00000000 00000000     0        0 94330 2 00000000d339f27e 20 0 0 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:842B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 94323 1 00000000caa04f92 100 0 0 10 0
   1: 00000000000000000000000001000000:842B 00000000000000000000000001000000:A9B6 01 00000000:00000000 00:00000000 00000000     0        0 94333 1 000000000bdf47bc 20 0 0 10 -1
   2: 0000000000000000FFFF00000100007F:842B 0000000000000000FFFF00000100007F:DBCE 01 00000000:00000000 00:00000000 00000000     0        0 94331 1 00000000870654b2 20 0 0 10 -1
   3: 00000000000000000000000001000000:A9B6 B80D0120000000000000000001000000:01BB 01 00000000:00000000 00:00000000 00000000     0        0 94332 2 00000000e0549562 20 0 0 10 -1
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1308: 0100007F:8D99 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 94334 2 0000000080f1a06e 0
"""
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
00000000d5738add: 00000003 00000000 00000000 0001 03  1681
0000000055d6863f: 00000003 00000000 00000000 0001 03 94336 @/tmp/.X11-unix/X0
0000000085c50473: 00000003 00000000 00000000 0001 03 94335
"""


def recorded() -> Census:
    counting = Counting("little")
    for link in LINKS.splitlines():
        counting.link(link)
    counting.tcp(TCP.splitlines())
    counting.tcp(TCP6.splitlines())
    counting.others("udp", UDP.splitlines())
    counting.others("unix", UNIX.splitlines())
    return counting.census(7, 1, whole=True)


def test_every_descriptor_of_a_recorded_process_is_counted_by_its_kind() -> None:
    found = recorded()
    assert found.kinds == {
        "tcp ESTABLISHED": 6, "file": 3, "pipe": 2, "tcp CLOSE_WAIT": 2, "tcp LISTEN": 2, "unix": 2, "epoll": 1,
        "eventfd": 1, "inotify": 1, "memfd": 1, "other": 1, "socket": 1, "timerfd": 1, "udp": 1,
    }  # fmt: skip
    assert found.total == sum(found.kinds.values()) == len(LINKS.splitlines())
    assert found.sockets == 14


def test_the_far_end_is_told_of_connections_that_were_made_and_the_own_port_of_those_accepted() -> None:
    assert set(recorded().ends) == {
        ("CLOSE_WAIT", "203.0.113.80:80", 2),
        ("ESTABLISHED", ":33069", 1),
        ("ESTABLISHED", ":33835", 2),  # of both families
        ("ESTABLISHED", "127.0.0.1:33069", 1),
        ("ESTABLISHED", "127.0.0.1:33835", 1),
        ("ESTABLISHED", "[2001:db8::1]:443", 1),
        ("LISTEN", ":33069", 1),
        ("LISTEN", ":33835", 1),
    }


def test_a_machine_of_the_other_byte_order_writes_addresses_the_other_way_round() -> None:
    counting = Counting("big")
    counting.link("socket:[5]")
    counting.tcp(["0: CB007150:E336 CB007101:01BB 08 0:0 0:0 0 0 0 5"])
    assert counting.census(1, 1, True).ends == (("CLOSE_WAIT", "203.0.113.1:443", 1),)


def test_sockets_of_other_processes_and_the_whole_pods_are_not_counted() -> None:
    counting = Counting("little")
    counting.link("/dev/null")
    counting.tcp(TCP.splitlines())
    assert counting.census(7, 1, True).kinds == {"file": 1}


@given(st.lists(st.text(max_size=80), max_size=30), st.lists(st.text(max_size=200), max_size=30))
def test_no_text_of_a_kernel_is_an_error(links: list[str], lines: list[str]) -> None:
    counting = Counting("little")
    for link in [*links, "socket:[5]"]:
        counting.link(link)
    counting.tcp(lines)
    counting.tcp([f"0: {a} {b} 08 0:0 0:0 0 0 0 5" for a, b in zip(links, lines, strict=False)])
    counting.others("unix", lines)
    counting.others("udp", lines)
    found = counting.census(1, 1, True)
    assert sum(found.kinds.values()) == found.total == len(links) + 1
    assert read(written(found, 4096).decode()) is not None


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
        "/var/run/secrets/kubernetes.io/serviceaccount/..2026_11_27_10_00_00.1/ca.crt",
        "/etc/tls/tls.key",
        "/data/passwords.txt",
        "/home/alice/.ssh/id_rsa",
        "/srv/api_key-hunter2",
        "/run/user/1000/bus",
    ],
)
def test_paths_that_could_tell_a_secret_are_left_out(path: str) -> None:
    assert shown(path) == LEFT_OUT


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/tmp/spool-1290358 (deleted)", "/tmp/spool-* (deleted)"),
        ("/data/orders.log", "/data/orders.log"),
        ("/data/2026-11-27/orders-00017.log", "/data/*-11-27/orders-*.log"),
        ("/tmp/f47ac10b-58cc-4372-a567-0e02b2c3d479/part", "/tmp/*/part"),
        ("/cache/kQzXw3PmA9/page", "/cache/*/page"),
        ("/cache/alice@example.com", "/cache/*"),
        ("/cache/get?user=alice&pin=12", "/cache/*"),
        ("/home/alice/notes", "/home/*/notes"),
        ("/tmp/\x1b[31mred", "/tmp/*"),
        ("/dev/null", "/dev/null"),
    ],
)
def test_parts_by_which_names_differ_are_not_shown(path: str, expected: str) -> None:
    assert shown(path) == expected


def test_a_long_path_keeps_both_ends() -> None:
    text = shown("/srv/" + "/".join("abcdefg" for _ in range(40)) + "/end")
    assert len(text) <= 96
    assert text.startswith("/srv/abc")
    assert text.endswith("/end")


def test_names_that_differ_by_a_number_are_one_and_the_most_numerous_come_first() -> None:
    names = Names()
    for number in range(1, 60):
        names.add(f"/tmp/part-{number}")
    for _ in range(3):
        names.add("/usr/lib/x86/a.so")
    assert names.most(5) == [("/tmp/part-*", 59), ("/usr/lib/x86/a.so", 3)]


def test_many_names_of_one_directory_are_one() -> None:
    names = Names()
    for letter in "abcdefg":
        names.add(f"/data/in/{letter * 4}.csv")
    names.add("/etc/hosts")
    assert names.most(5) == [("/data/in/*", 7), ("/etc/hosts", 1)]


def test_ever_new_names_take_no_more_memory() -> None:
    names = Names()
    words = [
        f"/data/{a}{b}{c}/x" for a in "abcdefghijklmnop" for b in "abcdefghijklmnopqrst" for c in "abcdefghijklmnopqrst"
    ]
    for word in words:
        names.add(word)
    assert len(words) > 4001
    assert len(names._seen) <= 2 * 2000 + 1
    assert sum(count for _, count in names.most(10**6)) == len(words)


def test_a_document_comes_back_as_it_was() -> None:
    found = recorded()
    assert read(written(found, 4096).decode()) == found


@pytest.mark.parametrize("limit", [256, 400, 600, 1000])
def test_a_document_is_cut_to_the_room_there_is_and_the_largest_numbers_stay(limit: int) -> None:
    kinds = {
        "tcp CLOSE_WAIT": 90_000,
        "file": 9000,
        **{f"tcp {name}": 3 for name in ("LISTEN", "ESTABLISHED", "CLOSING")},
    }
    ends = tuple(("CLOSE_WAIT", f"10.0.0.{n}:80", 9000 - n) for n in range(ENDS))
    files = tuple((f"/tmp/{'name' * 20}{n}", 800 - n) for n in range(FILES))
    data = written(Census(1, 1, 99_000, whole=False, kinds=kinds, ends=ends, files=files), limit)
    assert len(data) <= limit
    found = read(data.decode())
    assert isinstance(found, Census)
    assert (found.total, found.whole, found.kinds["tcp CLOSE_WAIT"]) == (99_000, False, 90_000)
    assert found.ends == ends[: len(found.ends)]


@pytest.mark.parametrize("why", [DENIED, NONE])
def test_that_nothing_could_be_read_comes_back_too(why: str) -> None:
    assert read(refused(why).decode()) == why


GOOD = json.loads(
    written(
        Census(1, 1, 2, whole=True, kinds={"file": 2}, ends=(("CLOSE_WAIT", "10.0.0.1:80", 1),), files=(("/a", 1),)),
        4096,
    )
)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2}, {"pid": -1}, {"pid": "1"}, {"total": 10**12}, {"total": True}, {"kinds": {"<script>": 1}},
        {"kinds": {"file": "many"}}, {"kinds": {f"tcp A{n}B": 1 for n in range(50)}}, {"kinds": []},
        {"ends": [["CLOSE_WAIT", "evil.example/x", 1]]}, {"ends": [["close\n", "10.0.0.1:80", 1]]}, {"ends": [[1]]},
        {"files": [["a\nb", 1]]}, {"files": [["x" * 500, 1]]}, {"files": [["/a", 1]] * 99}, {"files": 5},
    ],
)  # fmt: skip
def test_a_document_that_somebody_else_wrote_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CensusUnreadable):
        read(json.dumps({**GOOD, **change}))


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(GOOD)), inner)).map(json.dumps)))  # fmt: skip
def test_whatever_is_left_there_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        found = read(text)
    except CensusUnreadable:
        return
    assert isinstance(found, (Census, str))
