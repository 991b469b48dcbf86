"""File paths as they may be shown: without what could be a secret, and those that differ by a number as one."""

from __future__ import annotations

import re

LEFT_OUT = "(a path that may tell a secret)"
LONGEST = 96  # characters; three of them fit into a line of status
# Different names that are remembered, and then as many directories; a leak of files has one or a few patterns.
MOST_NAMES = 2000
MORE = "(more names)"
MANY_IN_ONE = 5  # so many different names of one directory are shown as DIRECTORY/*

_DELETED = " (deleted)"
_SENSITIVE = re.compile(
    r"secret|token|passw|credential|private|serviceaccount|keyring|wallet|api[-_]?key|cookie|\.pem\b|\.key\b|\.p12\b|\.pfx\b"
    r"|\.jks\b|id_(rsa|dsa|ecdsa|ed25519)|\.(ssh|aws|kube|gnupg|docker|netrc)\b|/run/user/",
    re.IGNORECASE | re.ASCII,
)
# The varying part of file names that programs make: identifiers, counters, random letters.
_ODD = re.compile(r"[@=?&%#;:$!]")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9]{8,}", re.ASCII)
_LONG_NUMBER = re.compile(r"[0-9]{3,}", re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_STARS = re.compile(r"\*(?:[-_.]?\*)+")
_HOME = re.compile(r"^/home/[^/]+")
_STRANGE = re.compile(r"[^ -~]")
_LONG_WORD = 24  # letters; no word of a file's name is longer


def shown(path: str) -> str:
    """The path without what could be a secret or a person: `/tmp/spool-*` for `/tmp/spool-1290358`."""
    bare, deleted = (path.removesuffix(_DELETED), _DELETED) if path.endswith(_DELETED) else (path, "")
    if _SENSITIVE.search(bare):
        return LEFT_OUT
    named = _HOME.sub("/home/*", _STRANGE.sub("?", bare))
    parts = [_part(part) for part in named.split("/")]
    text = "/".join(parts)
    if len(text) > LONGEST - len(deleted):
        half = (LONGEST - len(deleted)) // 2 - 2
        text = f"{text[:half]}...{text[-half:]}"
    return text + deleted


def _part(name: str) -> str:
    if _ODD.search(name):
        return "*"
    starred = _LONG_NUMBER.sub("*", _WORD.sub(_if_random, _UUID.sub("*", name)))
    return _STARS.sub("*", starred)


def _if_random(found: re.Match[str]) -> str:
    word = found[0]
    mixed = not word.isalpha() and not word.isdigit()
    return "*" if mixed or len(word) >= _LONG_WORD else word


class Names:
    """Counts paths by their shown form, in bounded memory."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, str]] = {}  # without any number -> how many, and the one name or ""

    def add(self, path: str) -> None:
        name = shown(path)
        key = _NUMBER.sub("*", name)
        if key not in self._seen and len(self._seen) >= MOST_NAMES:
            key = name = _directory(name)
            if key not in self._seen and len(self._seen) >= 2 * MOST_NAMES:
                key = name = MORE
        count, only = self._seen.get(key, (0, name))
        # Short numbers stay as they are where no other path differs only by them: x86, tcp6.
        self._seen[key] = (count + 1, only if only == name else "")

    def most(self, limit: int) -> list[tuple[str, int]]:
        """The most numerous first."""
        found = {only or _STARS.sub("*", key): count for key, (count, only) in self._seen.items()}
        places: dict[str, list[str]] = {}
        for name in found:
            if name.startswith("/") and not name.startswith("/dev/"):
                places.setdefault(_directory(name), []).append(name)
        for place, names in places.items():
            if len(names) >= MANY_IN_ONE:
                together = sum(found.pop(name) for name in names)
                found[place] = found.get(place, 0) + together
        return sorted(found.items(), key=lambda each: (-each[1], each[0]))[:limit]


def _directory(name: str) -> str:
    bare, deleted = (name.removesuffix(_DELETED), _DELETED) if name.endswith(_DELETED) else (name, "")
    return f"{bare.rpartition('/')[0]}/*{deleted}" if "/" in bare else name
