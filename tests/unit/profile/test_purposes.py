"""The purpose of what the team's own code keeps, by the names that people gave it."""

from __future__ import annotations

import pytest

from leakwarden.core.profile.kept_shapes import ENTRIES
from leakwarden.core.profile.purposes import PURPOSES, with_purpose


@pytest.mark.parametrize(
    ("functions", "kind", "title"),
    [
        (("example.org/shop/internal/idem.(*Seen).mark",), "idem.Seen", "keys that idem.Seen has seen and never forgets"),
        (("main.(*pendingCalls).add",), "main.pendingCalls", "pending entries of main.pendingCalls that nothing takes out"),
        (("example.org/shop/lru.(*Store[...]).Put",), "lru.Store", "a cache of lru.Store that only grows"),
        (("main.(*Board).logEvent",), "main.Board", "a history of main.Board that only grows"),
        (
            ("main.newState", "main.(*SessionStore).open"), "main.state",
            "entries that main.state keeps after those they stand for have gone",
        ),
        (("main.(*mailQueue).push",), "main.mailQueue", "work that main.mailQueue queues and does not get rid of"),
        (("main.(*Table[...]).Allow", "example.org/shop/quota.Check"), "main.Table", "state of main.Table that is kept for every key ever seen"),
        (("main.(*Board).addCallback",), "main.Board", "callbacks that main.Board keeps and never takes out"),
        (("main.(*Maker).Refresh",), "main.Maker", "entries that main.Maker keeps and never removes"),
        (("main.(*Catalog).login",), "main.Catalog", ENTRIES.title),  # a word, and not a part of one
        (("main.(*Catalog).make", "main.(*Catalog).call", "main.(*cache).get"), "main.Catalog", ENTRIES.title),
        (("main.newSession",), "", ENTRIES.title),
    ],
)  # fmt: skip
def test_names_show_the_purpose(functions: tuple[str, ...], kind: str, title: str) -> None:
    assert with_purpose(ENTRIES, functions, kind).title == title


def test_the_advice_of_the_purpose_comes_first_and_the_general_one_stays() -> None:
    found = with_purpose(ENTRIES, ["main.(*cache).put"], "main.cache")
    assert found.fix.startswith("bound it by entries or bytes (an LRU)")
    assert found.fix.endswith(ENTRIES.fix)


def test_no_word_has_two_purposes() -> None:
    words = [word for purpose in PURPOSES for word in purpose.words]
    assert len(words) == len(set(words))
