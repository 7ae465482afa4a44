"""Predicted against measured, and the predicted surface over three sources, as one SVG."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.report import markup, palette, scales

WIDTH, HEIGHT = 480.0, 430.0
LOW, HIGH = "#fff3d6", "#8c2d04"  # least and most error
BLUE, GREY, RED = "#0072b2", "#cccccc", "#d55e00"
_SIDE = 380.0  # of the triangle
_FINE = 26  # cells along a side

Floats = NDArray[np.float64]


class Surface(NamedTuple):
    """What is drawn.

    Attributes:
      names: Of the three sources.
      measured: Shape (n,), of each cell at full size.
      predicted: Shape (n,).
      low: Shape (n,), end of the interval.
      high: Shape (n,), the other end.
      seen: Shape (n,), whether a cell was among the small trainings.
      predict: Error of mixtures (s, 3) at full size.
      marks: Name to mixture, two of them: what was chosen and what was best.
      title: Of the whole.
    """

    names: Sequence[str]
    measured: Floats
    predicted: Floats
    low: Floats
    high: Floats
    seen: NDArray[np.bool_]
    predict: object
    marks: dict[str, Floats]
    title: str


def draw(surface: Surface) -> markup.Safe:
    return markup.tag(
        "svg",
        markup.tag("rect", width=2 * WIDTH, height=HEIGHT, fill="#ffffff"),
        markup.tag("text", surface.title, x=16, y=24, font_size=15, font_weight="bold"),
        against(surface),
        markup.tag("g", triangle(surface), transform=f"translate({WIDTH:.0f} 0)"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {2 * WIDTH:.0f} {HEIGHT:.0f}",
        font_family="system-ui, sans-serif",
        font_size=12,
        role="img",
        aria_label=surface.title,
    )


def against(surface: Surface) -> markup.Safe:
    """A point per cell with its interval; on the line, predicted is what was measured."""
    lowest = float(min(surface.measured.min(), surface.predicted.min())) - 0.02
    highest = float(max(surface.measured.max(), surface.predicted.max())) + 0.02
    x, y = scales.Scale(lowest, highest, 56, 440), scales.Scale(lowest, highest, 380, 50)
    ticks = np.arange(np.ceil(lowest * 20), highest * 20) / 20
    parts = [line(x(lowest), y(lowest), x(highest), y(highest), "#888888", dash="4 3")]
    for t in ticks.tolist():
        parts += [
            line(x(t), 50, x(t), 380, "#eeeeee"),
            line(56, y(t), 440, y(t), "#eeeeee"),
            markup.tag("text", f"{100 * t:.0f} %", x=x(t), y=396, text_anchor="middle"),
            markup.tag("text", f"{100 * t:.0f} %", x=50, y=y(t) + 4, text_anchor="end"),
        ]
    rows = zip(*surface[1:6], strict=True)
    for measured, predicted, low, high, seen in rows:
        at = x(measured)
        parts += [
            line(at, y(max(low, lowest)), at, y(min(high, highest)), GREY),
            markup.tag("circle", cx=at, cy=y(predicted), r=3.5, fill=RED if seen else BLUE),
        ]
    parts += [
        markup.tag("text", "measured error", x=248, y=416, text_anchor="middle"),
        markup.tag("text", "predicted (90 % interval)", x=62, y=64, fill="#333333"),
        markup.tag("text", "red: trained small", x=434, y=372, text_anchor="end", fill=RED),
    ]
    return markup.tag("g", *parts)


def triangle(surface: Surface) -> markup.Safe:
    """The simplex in small triangles, coloured by what is predicted at their middle."""
    corners, middles = cells(_FINE)
    errors = surface.predict(middles)
    low, high = float(errors.min()), float(errors.max())
    parts = [
        markup.tag(
            "polygon",
            points=" ".join(f"{a:.1f},{b:.1f}" for a, b in map(place, c)),
            fill=fill,
            stroke=fill,
        )
        for c, fill in zip(corners, colours(errors, low, high), strict=True)
    ]
    for name, corner in zip(surface.names, np.eye(3), strict=True):
        a, b = place(corner)
        top = corner[1] > 0
        parts.append(
            markup.tag("text", f"all {name}", x=a, y=b - 8 if top else b + 18, text_anchor="middle")
        )
    sides = ((-9, "end"), (9, "start"))
    for (name, w), (gap, anchor) in zip(surface.marks.items(), sides, strict=True):
        a, b = place(w)
        parts += [
            markup.tag("circle", cx=a, cy=b, r=5, fill="none", stroke=BLUE, stroke_width=2),
            markup.tag("text", name, x=a + gap, y=b + 4, fill=BLUE, text_anchor=anchor),
        ]
    parts += legend(low, high)
    return markup.tag("g", *parts)


def cells(steps: int) -> tuple[Floats, Floats]:
    """Corners (s, 3, 3) of the small triangles of the simplex, and their middles (s, 3)."""
    found = []
    for i in range(steps):
        for j in range(steps - i):
            up = [(i, j), (i + 1, j), (i, j + 1)]
            down = [(i + 1, j), (i, j + 1), (i + 1, j + 1)]
            found += [up] + [down] * (i + j < steps - 1)
    first = np.array(found, np.float64) / steps
    corners = np.concatenate([first, 1 - first.sum(-1, keepdims=True)], axis=-1)
    return corners, corners.mean(1)


def place(w: Floats) -> tuple[float, float]:
    """Of a mixture: the first source left, the second on top, the third right."""
    return 50 + _SIDE * float(w[2] + w[1] / 2), 390 - _SIDE * 0.866 * float(w[1])


def colours(errors: Floats, low: float, high: float) -> list[str]:
    return [palette.mix(LOW, HIGH, (e - low) / (high - low)) for e in errors.tolist()]


def legend(low: float, high: float) -> list[markup.Safe]:
    at = np.linspace(low, high, 6)
    parts = [markup.tag("text", "predicted error", x=20, y=64, fill="#333333")]
    for i, (e, fill) in enumerate(zip(at.tolist(), colours(at, low, high), strict=True)):
        parts += [
            markup.tag("rect", x=20, y=74 + 16 * i, width=16, height=16, fill=fill),
            markup.tag("text", f"{100 * e:.0f} %", x=42, y=87 + 16 * i),
        ]
    return parts


def line(x0: float, y0: float, x1: float, y1: float, colour: str, *, dash: str | None = None):
    return markup.tag("line", x1=x0, y1=y0, x2=x1, y2=y1, stroke=colour, stroke_dasharray=dash)
