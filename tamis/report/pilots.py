"""Small charts, one per stratum: what its pilots measured, and what repetition did."""

import itertools

from tamis.report import facts, frame, markup, palette, scales, words

_WIDTH, _HEIGHT = 250.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 38.0, 236.0, 10.0, 140.0
_RISE = 0.005  # error above the best that counts as a rise worth saying


def figure(known: facts.Facts) -> markup.Safe | None:
    """All panels on common axes; None without pilots on single strata."""
    if not known.pilots:
        return None
    curves = known.pilots
    x = scales.logarithmic([n for c in curves for n in c.samples], _LEFT, _RIGHT)
    y = scales.linear([e for c in curves for e in c.errors], _BOTTOM, _TOP)
    names = [s.name for s in known.plan.strata]
    panels = [
        _panel(list(group), names.index(name) if name in names else 0, x, y)
        for name, group in itertools.groupby(curves, key=lambda c: c.stratum)
    ]
    note = (
        "Each panel is trainings on one stratum alone, on the same axes. Hollow points saw every "
        "row at most once, solid points repeat rows; the dotted line is where repeating begins. "
        "Dashed: the same with fewer unique rows, so the gap between the lines is what repetition "
        "costs. A line that turns up is a stratum that runs out: more samples of it make the "
        "model worse."
    )
    head = markup.tag("h3", "What repetition does to each stratum")
    grid = markup.tag("div", *panels, class_="panels")
    return markup.tag("figure", head, grid, markup.tag("figcaption", note))


def _panel(curves: list[facts.Curve], i: int, x: scales.Scale, y: scales.Scale) -> markup.Safe:
    full = curves[0]
    head = markup.tag("h4", palette.chip(i), markup.tag("span", full.stratum))
    drawing = frame.svg(
        _WIDTH, _HEIGHT, f"Pilots on {full.stratum} alone", *_drawing(curves, i, x, y)
    )
    return markup.tag("div", head, drawing, markup.tag("p", story(full)), class_="panel")


def story(curve: facts.Curve) -> str:
    """What one line shows, in words."""
    best = min(range(len(curve.errors)), key=lambda j: curve.errors[j])
    low, last = curve.errors[best], curve.errors[-1]
    longest = curve.samples[-1]
    rows = f"{words.count(curve.supply)} unique rows."
    end = f"{words.error(last)} at {words.count(longest)}"
    if last <= low + _RISE:
        return f"{rows} {end} samples, about the best it reached."
    least = f"{words.error(low)} at {words.count(curve.samples[best])} samples"
    repeated = words.times(longest / max(curve.supply, 1))
    return f"{rows} Best {least}, then up to {end} ({repeated})."


def _drawing(
    curves: list[facts.Curve], i: int, x: scales.Scale, y: scales.Scale
) -> list[markup.Safe]:
    parts = []
    for value in scales.ticks(y, 4):
        parts.append(frame.line("grid", _LEFT, y(value), _RIGHT, y(value)))
        parts.append(
            frame.label(words.axis(value), _LEFT - 6, y(value) + 4, class_="tick", anchor="end")
        )
    values = scales.ticks(x, 3)
    texts = [words.short(v) for v in values]
    shown = scales.apart([x(v) for v in values], [words.width(t, 12) for t in texts], 6)
    for value, text, show in zip(values, texts, shown, strict=True):
        if show:
            parts.append(frame.label(text, x(value), _BOTTOM + 17, class_="tick", anchor="middle"))
    parts.append(frame.line("axis", _LEFT, _BOTTOM, _RIGHT, _BOTTOM))
    supply = curves[0].supply
    if x.low < supply < x.high:
        parts.append(frame.line("repeats", x(supply), _TOP, x(supply), _BOTTOM))
    for nth, curve in reversed(list(enumerate(curves))):
        parts += _line(curve, i, x, y, dashed=nth > 0)
    return parts


def _line(
    curve: facts.Curve, i: int, x: scales.Scale, y: scales.Scale, *, dashed: bool
) -> list[markup.Safe]:
    points = [(x(n), y(e)) for n, e in zip(curve.samples, curve.errors, strict=True)]
    kind = "pilot fewer" if dashed else "pilot"
    parts = [markup.tag("path", class_=kind, d=frame.path(points), style=palette.stroke(i))]
    if dashed:
        return parts
    for (px, py), n in zip(points, curve.samples, strict=True):
        fill = f"fill:var(--s{i})" if n > curve.supply else "fill:var(--paper)"
        parts.append(
            markup.tag(
                "circle", class_="pilot", cx=px, cy=py, r=3.0, style=f"{fill};{palette.stroke(i)}"
            )
        )
    return parts
