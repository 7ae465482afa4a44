"""Small charts side by side, one per stratum, all on the same axes."""

from collections.abc import Callable, Sequence

from tamis.report import frame, markup, palette, scales, words

_WIDTH, _HEIGHT = 250.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 236.0, 10.0, 140.0


def horizontal(values: Sequence[float]) -> scales.Scale:
    """The axis of samples or passes, of ratios."""
    return scales.logarithmic(values, _LEFT, _RIGHT)


def across(values: Sequence[float]) -> scales.Scale:
    """The horizontal axis of errors."""
    return scales.linear(values, _LEFT, _RIGHT)


def vertical(values: Sequence[float]) -> scales.Scale:
    """The upward axis."""
    return scales.linear(values, _BOTTOM, _TOP)


def figure(title: str, note: str, drawn: Sequence[markup.Safe]) -> markup.Safe:
    """Panels under their title and above what to see in them."""
    grid = markup.tag("div", *drawn, class_="panels")
    return markup.tag("figure", markup.tag("h3", title), grid, markup.tag("figcaption", note))


def panel(name: str, i: int, label: str, parts: Sequence[markup.Safe], said: str) -> markup.Safe:
    """One stratum's drawing, under its name and above a sentence."""
    head = markup.tag("h4", palette.chip(i), markup.tag("span", name))
    return markup.tag("div", head, drawing(label, parts), markup.tag("p", said), class_="panel")


def drawing(label: str, parts: Sequence[markup.Safe]) -> markup.Safe:
    """The drawing of a panel alone."""
    return frame.svg(_WIDTH, _HEIGHT, label, *parts)


def axes(
    x: scales.Scale,
    y: scales.Scale,
    write: Callable[[float], str],
    across: Callable[[float], str] = words.short,
) -> list[markup.Safe]:
    """Grid, values and the horizontal axis."""
    parts = []
    for value in scales.ticks(y, 4):
        parts.append(frame.line("grid", _LEFT, y(value), _RIGHT, y(value)))
        parts.append(
            frame.label(write(value), _LEFT - 6, y(value) + 4, class_="tick", anchor="end")
        )
    values = scales.ticks(x, 3)
    values = values if len(values) > 1 else scales.ticks(x, 6)
    texts = [across(v) for v in values]
    shown = scales.apart([x(v) for v in values], [words.width(t, 12) for t in texts], 6)
    for value, text, show in zip(values, texts, shown, strict=True):
        if show:
            parts.append(frame.label(text, x(value), _BOTTOM + 17, class_="tick", anchor="middle"))
    return [*parts, frame.line("axis", _LEFT, _BOTTOM, _RIGHT, _BOTTOM)]


def once(x: scales.Scale, y: scales.Scale, at: float) -> list[markup.Safe]:
    """The dotted line from which rows repeat."""
    if not x.low < at < x.high:
        return []
    return [frame.line("repeats", x(at), y.stop, x(at), y.start)]


def band(
    samples: Sequence[float],
    middle: Sequence[float],
    ends: Sequence[tuple[float, float]],
    i: int,
    x: scales.Scale,
    y: scales.Scale,
) -> list[markup.Safe]:
    """A line with its band, cut at the panel's edges."""

    def at(n: float, value: float) -> tuple[float, float]:
        return x(min(max(n, x.low), x.high)), y(min(max(value, y.low), y.high))

    inside = [j for j, n in enumerate(samples) if x.low <= n <= x.high * 1.001]
    low = [at(samples[j], ends[j][0]) for j in inside]
    high = [at(samples[j], ends[j][1]) for j in inside]
    line = [at(samples[j], middle[j]) for j in inside]
    outline = frame.path([*low, *reversed(high)], closed=True)
    return [
        markup.tag("path", class_="spread", d=outline, style=palette.fill(i)),
        markup.tag("path", class_="pilot", d=frame.path(line), style=palette.stroke(i)),
    ]
