"""A chart of the predicted error over all mixtures of three strata."""

import math
from collections.abc import Sequence

from tamis.report import facts, frame, markup, palette, words

_SIDE, _TOP, _LEVELS = 300.0, 26.0, 7
_TALL = _SIDE * math.sqrt(3) / 2
_CORNERS = ((0.5, 0.0), (0.0, 1.0), (1.0, 1.0))  # of the first, second and third stratum


def figure(known: facts.Facts, found: facts.Transport) -> markup.Safe | None:
    """The triangle; None with fewer than three strata."""
    surface = found.surface
    if surface is None:
        return None
    rest = f" The other strata keep their {words.percent(surface.rest)}." if surface.rest else ""
    note = (
        "A corner is one stratum alone, the side across from it a mixture without it; the darker, "
        f"the lower the error. Predicted by {surface.laws}.{rest}"
    )
    title = f"Predicted error of every mixture, at {known.told(found.amount)}"
    return frame.figure(
        title, note, lambda size: draw(known, surface, size), more=_said(known, surface)
    )


def place(shares: facts.Triple, left: float) -> tuple[float, float]:
    """Pixels of a mixture."""
    x = sum(p * c[0] for p, c in zip(shares, _CORNERS, strict=True))
    y = sum(p * c[1] for p, c in zip(shares, _CORNERS, strict=True))
    return left + _SIDE * x, _TOP + _TALL * y


def levels(errors: tuple[float, ...]) -> list[int]:
    """Of each error, 0 for the highest: equal steps between the lowest and the highest."""
    low, high = min(errors), max(errors)
    step = (high - low) / _LEVELS or 1.0
    return [min(int((high - e) / step), _LEVELS - 1) for e in errors]


def draw(known: facts.Facts, surface: facts.Surface, size: frame.Size) -> markup.Safe:
    """The triangle at one size, its levels beside or below it."""
    narrow = size.name == "narrow"
    left = (size.width - _SIDE) / 2 if narrow else 120.0
    parts = [_level(surface, k, left) for k in range(_LEVELS)]
    outline = frame.path([place(c, left) for c in _identity()], closed=True)
    parts.append(markup.tag("path", class_="outline", d=outline))
    parts += _marks(surface, left)
    parts += _corners(known, surface, left)
    below = _TOP + _TALL + 40
    parts += _key(surface, *((left, below) if narrow else (left + _SIDE + 130, _TOP + 30)))
    height = below + (24 * _LEVELS + 56 if narrow else 0)
    return frame.svg(size.width, height, "Predicted error over the simplex", *parts)


def _identity() -> tuple[facts.Triple, ...]:
    return ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def _level(surface: facts.Surface, level: int, left: float) -> markup.Safe:
    own = [c for c, k in zip(surface.cells, levels(surface.errors), strict=True) if k == level]
    d = "".join(_triangle([place(p, left) for p in c]) for c in own)
    return markup.tag("path", class_="level", d=d, style=_shade(level))


def _triangle(corners: Sequence[tuple[float, float]]) -> str:
    """Whole pixels: neighbours share their corners, and the page stays small."""
    return f"M{' '.join(f'{x:.0f},{y:.0f}' for x, y in corners)}Z"


def _shade(level: int) -> str:
    return f"fill-opacity:{0.06 + 0.8 * level / (_LEVELS - 1):.2f}"


def _best(surface: facts.Surface) -> int:
    return min(range(len(surface.errors)), key=lambda i: surface.errors[i])


def _marks(surface: facts.Surface, left: float) -> list[markup.Safe]:
    """Hollow where the surface is lowest, solid what the plan takes."""
    found = []
    for shares, kind, r in (
        (surface.mixtures[_best(surface)], "mark", 6.5),
        (surface.planned, "mark full", 4.5),
    ):
        x, y = place(shares, left)
        found.append(markup.tag("circle", class_=kind, cx=x, cy=y, r=r))
    return found


def _corners(known: facts.Facts, surface: facts.Surface, left: float) -> list[markup.Safe]:
    parts = []
    for i, corner in zip(surface.strata, _identity(), strict=True):
        x, y = place(corner, left)
        name = words.clipped(known.plan.strata[i].name, frame.FONT, _SIDE / 2 - 10)
        below = y + 20 if y > _TOP else y - 9
        parts.append(frame.label(name, x, below, anchor="middle", style=palette.ink(i)))
    return parts


def _key(surface: facts.Surface, x: float, y: float) -> list[markup.Safe]:
    """What each shade and mark means."""
    low, high = min(surface.errors), max(surface.errors)
    step = (high - low) / _LEVELS
    parts = []
    for k in range(_LEVELS):
        at = y + 24 * (_LEVELS - 1 - k)
        box = {"x": x, "y": at, "width": 18.0, "height": 18.0}
        parts.append(markup.tag("rect", class_="level", style=_shade(k), **box))
        text = f"{high - (k + 1) * step:.3f} to {high - k * step:.3f}"
        parts.append(frame.label(text, x + 28, at + 14, class_="tick"))
    at = y + 24 * _LEVELS + 10
    for row, (kind, text) in enumerate((("mark full", "the plan"), ("mark", "lowest predicted"))):
        parts.append(markup.tag("circle", class_=kind, cx=x + 9, cy=at + 24 * row, r=5.5))
        parts.append(frame.label(text, x + 28, at + 24 * row + 4, class_="tick"))
    return parts


def _said(known: facts.Facts, surface: facts.Surface) -> markup.Safe:
    best = _best(surface)
    own = 1 - surface.rest
    parts = [
        f"{words.percent(p * own)} {known.plan.strata[i].name}"
        for i, p in zip(surface.strata, surface.mixtures[best], strict=True)
    ]
    text = f"Lowest near {', '.join(parts)}: {words.error(surface.errors[best])}."
    return markup.tag("p", text, class_="note")
