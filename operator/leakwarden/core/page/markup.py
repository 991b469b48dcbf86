"""HTML and SVG without injection: every value that is not `Markup` is escaped where it is put in."""

from __future__ import annotations

from collections.abc import Iterable

from leakwarden.core.model.text import printable

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
# Elements that have neither content nor an end tag.
_VOID = frozenset({"meta", "br", "wbr"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | int | None | Iterable["Child"]
Value = str | int | float | bool | None


def escape(text: str) -> Markup:
    return Markup(printable(text).translate(_ESCAPES))


def join(*children: Child) -> Markup:
    """The children one after the other, escaped where they are not markup; None is nothing."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, str):
            parts.append(escape(child))
        elif isinstance(child, int):
            parts.append(str(child))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def tag(name: str, /, *children: Child, **attributes: Value) -> Markup:
    """An element. `class_` is class and `data_x` data-x; False and None leave an attribute out, True gives it no value.

    Neither `style` nor `on...` is ever written: the page's policy forbids both, and passing one is a mistake.
    """
    written = []
    for key, value in attributes.items():
        attribute = key.rstrip("_").replace("_", "-")
        if attribute == "style" or attribute.startswith("on"):
            raise ValueError(f"the attribute {attribute} is not allowed on the page")
        if value is None or value is False:
            continue
        if value is True:
            written.append(f" {attribute}")
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            written.append(f' {attribute}="{escape(text)}"')
    start = f"<{name}{''.join(written)}>"
    return Markup(start) if name in _VOID else Markup(f"{start}{join(*children)}</{name}>")


def raw(name: str, content: str, /, **attributes: Value) -> Markup:
    """A style or script of the project's own, whose content HTML does not escape."""
    if f"</{name}" in content.lower() or "<!--" in content:
        raise ValueError(f"a {name} cannot hold what ends it")
    return Markup(tag(name, **attributes).replace(f"></{name}>", f">{content}</{name}>"))
