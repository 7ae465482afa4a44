"""Small charts, one per stratum: what its pilots measured, and what repetition did."""

import itertools

from tamis.report import facts, frame, markup, palette, panels, scales, words
from tamis.schemas import plan

_RISE = 0.005  # error above the best that counts as a rise worth saying


def figure(known: facts.Facts) -> markup.Safe | None:
    """All panels on common axes; None without pilots on single strata."""
    if not known.pilots:
        return None
    curves, fitted = known.pilots, {f.stratum: f for f in known.plan.fitted}
    ends = [v for f in fitted.values() for v in f.error if 0 < v < 2 * known.plan.chance]
    x = panels.horizontal([n for c in curves for n in c.samples])
    y = panels.vertical([*(e for c in curves for e in c.errors), *ends])
    names = [s.name for s in known.plan.strata]
    drawn = [
        _panel(list(group), names.index(name) if name in names else 0, fitted.get(name), x, y)
        for name, group in itertools.groupby(curves, key=lambda c: c.stratum)
    ]
    note = (
        "Each panel is trainings on one stratum alone, on the same axes. Hollow points saw every "
        "row at most once, solid points repeat rows; the dotted line is where repeating begins. "
        "The line is what the fitted laws say of all rows, with 90 % of what the pilots leave open "
        "about them. Dashed: measured with fewer unique rows, so the gap is what repetition "
        "costs. A line that turns up is a stratum that runs out: more samples of it make the "
        "model worse."
    )
    return panels.figure("What repetition does to each stratum", note, drawn)


def _panel(
    curves: list[facts.Curve],
    i: int,
    fitted: plan.Fitted | None,
    x: scales.Scale,
    y: scales.Scale,
) -> markup.Safe:
    full = curves[0]
    parts = panels.axes(x, y, words.axis)
    parts += panels.once(x, y, full.supply)
    if fitted:
        parts += panels.band(fitted.samples, fitted.error, fitted.error_ends, i, x, y)
    for nth, curve in reversed(list(enumerate(curves))):
        parts += _line(curve, i, x, y, dashed=nth > 0, fitted=fitted is not None)
    return panels.panel(full.stratum, i, f"Pilots on {full.stratum} alone", parts, story(full))


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


def _line(
    curve: facts.Curve,
    i: int,
    x: scales.Scale,
    y: scales.Scale,
    *,
    dashed: bool,
    fitted: bool,
) -> list[markup.Safe]:
    """Points, joined where no law is drawn through them."""
    points = [(x(n), y(e)) for n, e in zip(curve.samples, curve.errors, strict=True)]
    kind = "pilot fewer" if dashed else "pilot"
    joined = markup.tag("path", class_=kind, d=frame.path(points), style=palette.stroke(i))
    if dashed:
        return [joined]
    parts = [] if fitted else [joined]
    for (px, py), n in zip(points, curve.samples, strict=True):
        fill = f"fill:var(--s{i})" if n > curve.supply else "fill:var(--paper)"
        parts.append(
            markup.tag(
                "circle", class_="pilot", cx=px, cy=py, r=3.0, style=f"{fill};{palette.stroke(i)}"
            )
        )
    return parts
