"""HTML and SVG elements. Only what `tag` or `join` made is markup; all other text is escaped."""

import html
import re
from collections.abc import Iterable

_VOID = frozenset({"meta", "br", "col"})
# Foreign elements of HTML may close themselves, and a page has thousands of these.
_SHAPES = frozenset({"path", "line", "rect", "circle"})
# Control characters, and those that make a reader see text in another order than it is in.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]"
)

Child = object  # Safe, or anything whose text is shown; None shows nothing
Attribute = str | int | float | None


class Safe(str):
    """Markup. Never made from data: `tag`, `join` and `text` return it."""

    __slots__ = ()


def text(value: object) -> Safe:
    """Any text as markup that shows it.

    >>> text("<b>")
    '&lt;b&gt;'
    """
    return Safe(html.escape(_HIDDEN.sub("\ufffd", str(value)), quote=True))


def join(parts: Iterable[Child]) -> Safe:
    """Parts one after another; those that are not markup are escaped."""
    return Safe("".join(p if isinstance(p, Safe) else text(p) for p in parts if p is not None))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Safe:
    """An element.

    Args:
      name: Of the element; ours, never data.
      children: What is in it.
      attributes: `class_` is class, `stroke_width` is stroke-width; None leaves one out.

    >>> tag("td", 1, class_="n")
    '<td class="n">1</td>'
    """
    pairs = [f' {_name(k)}="{text(_value(v))}"' for k, v in attributes.items() if v is not None]
    opening = f"<{name}{''.join(pairs)}"
    if name in _VOID or (name in _SHAPES and not children):
        return Safe(f"{opening}/>")
    return Safe(f"{opening}>{join(children)}</{name}>")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: str | int | float) -> str:
    """Coordinates to a tenth of a pixel: the same on every machine, and small."""
    if not isinstance(value, float):
        return str(value)
    rounded = f"{value:.1f}".removesuffix(".0")
    return "0" if rounded == "-0" else rounded
