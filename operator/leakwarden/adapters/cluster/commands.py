"""Reads from a pod template's command line how long it sleeps, and whether a signal reaches the program.

Only shell that people write by hand is understood: simple commands, joined by `;`, `&&` and new lines. Everything else
is `unknown`, which is not the same as harmless.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Literal

from leakwarden.core.model.workload import Entrypoint, PreStop

MAX_TEXT = 4096  # characters of one command line that are looked at; a preStop or an entrypoint is far shorter
MAX_NUMBERS = 64

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "ksh", "zsh"})
# Programs that run the rest of their arguments and pass signals on, so that the program gets SIGTERM.
_INIT = frozenset({"tini", "tini-static", "dumb-init", "catatonit", "s6-svscan"})
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})([smhd]?)", re.ASCII)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
# Commands that end at once, so that a chain of them and of sleeps has a known length.
_INSTANT = frozenset({":", "true", "echo", "printf", "set", "exit", "export", "date"})
_ULIMIT = re.compile(r"\bulimit\s+-[A-Za-z]*n\b", re.ASCII)
_NUMBER = re.compile(r"(?<![0-9.])[1-9][0-9]{1,4}(?![0-9.])", re.ASCII)
_SEPARATORS = frozenset({";", "&&", "\n"})
_REDIRECTIONS = frozenset({">", ">>", "<", ">&", "&>"})
_BETWEEN = frozenset(";&|\n")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w{0,255}=.*", re.ASCII | re.DOTALL)
_PUNCTUATION = frozenset("();<>|&\n")
_COMMENT = re.compile(r"(^|[\s;&|(])#[^\n]*")
_CONTINUED = re.compile(r"\\\r?\n")
# The words that end a compound command: what its last part starts is written before them.
_CLOSING = frozenset({"fi", "done", "esac", "}"})
_LOOP = frozenset({"while", "until", "do", "done"})
# Programs without anything to finish: a pod that runs one of them only waits, and loses nothing when it is killed.
_IDLE = frozenset({"sleep", "pause", "tail"})
_NONE = Entrypoint()


def pre_stop(command: Sequence[str]) -> PreStop:
    """The hook that a command makes: with its duration where it only sleeps, else with its least duration."""
    script = _script(command)
    statements = [_words(command)] if script is None else _statements(script)
    if statements is None:
        return PreStop("exec")
    total, certain = 0.0, True
    for words in statements:
        slept = _slept(words)
        inner = None if slept is not None or words == list(command) else _script(words)
        if slept is not None:
            total += slept
        elif inner is not None:
            nested = pre_stop(["sh", "-c", inner])
            total += nested.least
            certain = certain and nested.seconds is not None
        elif not (words and words[0] in _INSTANT):
            certain = False
        if words and words[0] == "exit":
            break
    seconds = math.ceil(min(total, 2.0**31))
    return PreStop("exec", seconds if certain else None, 0 if certain else seconds)


def entrypoint(command: Sequence[str], arguments: Sequence[str], variables: Iterable[str]) -> Entrypoint:
    """The facts that follow from a container's command, arguments and the values of its variables."""
    # Without a command the image has one, which is not known here.
    line = [*command, *arguments] if command else []
    script = _script(line)
    shown = [text[:MAX_TEXT] for text in (*command, *arguments)]
    numbers = _numbers([*shown, *(text[:MAX_TEXT] for text in variables)])
    raises = any(_ULIMIT.search(text) for text in shown)
    shell: Literal["", "simple", "chain"] = "" if script is None or _has_init(line) else _waits(script)
    if not shell and not raises and not numbers:
        return _NONE
    return Entrypoint(waiting_shell=shell, raises_descriptors=raises, numbers=numbers)


def _script(command: Sequence[str]) -> str | None:
    """The text after a shell's -c; None where the command is not a shell with a script."""
    words = _words(command)
    if not words or _name(words[0]) not in _SHELLS:
        return None
    for position, word in enumerate(words[1:], 1):
        if re.fullmatch(r"[-+][a-z]*o", words[position - 1]):
            continue  # the name of an option: -o pipefail
        if not word.startswith("-") or word == "--":
            return None
        if not word.startswith("--") and "c" in word:
            return words[position + 1] if position + 1 < len(words) else None
    return None


def _words(command: Sequence[str]) -> list[str]:
    """The command without the programs that only start another one: env, busybox, an init."""
    words = list(command)
    while len(words) > 1 and (_name(words[0]) in ("env", "busybox", "exec") or _name(words[0]) in _INIT):
        words = words[1:]
        while len(words) > 1 and (words[0].startswith("-") or "=" in words[0]):
            words = words[1:]
    return words


def _has_init(command: Sequence[str]) -> bool:
    return bool(command) and _name(command[0]) in _INIT


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _tokens(script: str) -> list[str] | None:
    lexer = shlex.shlex(_COMMENT.sub(r"\1", _CONTINUED.sub(" ", script)), posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""  # shlex would also cut ${#NAME}, and take the new line with the comment
    try:
        return list(lexer)
    except ValueError:  # a quote that is not closed
        return None


def _statements(script: str) -> list[list[str]] | None:
    """The simple commands of a script, each as its words; None where it contains anything else, or is too long."""
    tokens = _tokens(script) if len(script) <= MAX_TEXT else None
    if tokens is None or "`" in script or "$(" in script:
        return None
    statements: list[list[str]] = [[]]
    skip, alternative = False, False
    grouped = "case" not in tokens and "()" not in tokens
    for part in tokens:
        stripped = part.strip("\n") or "\n"
        if skip:
            skip = False  # the file of a redirection
        elif stripped in _SEPARATORS or (grouped and set(part) <= {"(", ")", ";", "\n"}):
            alternative = alternative and stripped == "&&"
            statements.append([])
        elif part == "||":
            # Only where the part before it fails; a sleep does not.
            if _slept(_words(statements[-1])) is None:
                statements.append(["||"])
            alternative = True
        elif part in _REDIRECTIONS:
            skip = True
            if statements[-1] and statements[-1][-1] in ("1", "2"):
                statements[-1].pop()
        elif part and set(part) <= _PUNCTUATION:
            return None
        elif not alternative and not (part in ("{", "}") and not statements[-1]):
            statements[-1].append(part)
    return [_words(words) for words in statements if words]


def _slept(words: Sequence[str]) -> float | None:
    if len(words) > 3 and _name(words[0]) == "timeout":
        longest, slept = _slept(["sleep", words[1]]), _slept(words[2:])
        return None if longest is None or slept is None else min(longest, slept)
    if len(words) < 2 or _name(words[0]) != "sleep":
        return None
    total = 0.0
    for word in words[1:]:
        match = _DURATION.fullmatch(word)
        if match is None:
            return None
        total += float(match[1]) * _SECONDS[match[2]]
    return total


def _waits(script: str) -> Literal["", "simple", "chain"]:
    """Whether the shell stays as the first process, and so does not pass SIGTERM on to the program that it started."""
    if len(script) > MAX_TEXT:
        return ""  # its end would have to be read, and a program of that length is no longer a command line
    tokens = _tokens(script)
    if not tokens or "trap" in tokens:
        return ""  # a script that handles signals is left to its author
    commands: list[list[str]] = [[]]
    for token in tokens:
        if set(token) <= _BETWEEN:
            commands.append([])
        else:
            commands[-1].append(token)
    commands = [words for words in commands if words]
    if not commands:
        return ""
    words = commands[-1]
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    if all(_idles(each) for each in commands):
        return ""
    compound = words[:1] in [[each] for each in _CLOSING] or "()" in tokens
    if compound and any("exec" in each[:2] for each in commands):
        return ""  # a branch or a function ends with exec
    if words and (words[0] == "exec" or _name(words[0]) in _INIT or _name(words[0]) in _IDLE):
        return ""
    return "chain" if len(commands) > 1 else "simple"


def _idles(words: Sequence[str]) -> bool:
    """Whether a part of a script only waits: sleep, and the words of a loop around it."""
    while words and words[0] in _LOOP:
        words = words[1:]
    return not words or _name(words[0]) in _IDLE or words[0] in _INSTANT


def _numbers(texts: Iterable[str]) -> frozenset[int]:
    found: set[int] = set()
    for text in texts:
        for match in _NUMBER.finditer(text):
            found.add(int(match[0]))
            if len(found) >= MAX_NUMBERS:
                return frozenset(found)
    return frozenset(found)
