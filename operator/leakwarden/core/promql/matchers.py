"""Label matchers that we write ourselves."""

from __future__ import annotations

import re

from leakwarden.core.promql.text import PromQLError

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)


def matcher(label: str, op: str, value: str) -> str:
    """One label matcher with its value quoted, such as `pod=~"a|b"`.

    Raises PromQLError for a label name or operator that PromQL does not have. Values for `=~` and `!~`
    are regular expressions: put literal text through `literal_regex` first.
    """
    if _NAME.fullmatch(label) is None or op not in ("=", "!=", "=~", "!~"):
        raise PromQLError(f"{label[:60]!r} {op!r} is not a label and an operator of PromQL")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}{op}"{escaped}"'


def literal_regex(text: str) -> str:
    """`text` as a regular expression (RE2) that matches exactly it."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
