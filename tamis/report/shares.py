"""Two charts under the first, on the same axis: what the plan takes, and how often."""

from collections.abc import Sequence

from tamis.report import facts, frame, markup, palette, scales, words
from tamis.schemas import plan

_LEAST = 0.005  # a smaller share is not drawn as a line
_DECADES = 1e4  # the passes axis spans no more
_INSIDE = 0.4  # of the width, for a name inside its area
_ROOM = 17.0  # pixels of thickness that a label needs


def figure(known: facts.Facts) -> markup.Safe:
    """Shares against budget."""
    note = (
        "Read from left to right: as the budget grows, the plan changes what it trains on. At each "
        "budget the heights add up to all samples seen; thin lines mark the planned budgets."
    )
    return frame.figure("What to train on", note, lambda size: draw(known, size))


def passes_figure(known: facts.Facts) -> markup.Safe:
    """Passes over each stratum against budget."""
    note = (
        "Samples taken from a stratum divided by its unique rows. Below the line at 1× only a part "
        "of its rows is used, each once; above it every row is repeated that often."
    )
    return frame.figure("How often each row is seen", note, lambda size: draw_passes(known, size))


def draw(known: facts.Facts, size: frame.Size) -> markup.Safe:
    """Stacked shares at one size."""
    area = frame.frame(known.plan, size, 10, 230)
    y = scales.Scale(0, 1, area.bottom, area.top)
    layers = stacked([p.shares for p in known.plan.frontier])
    xs = [area.x(p.amount) for p in known.plan.frontier]
    parts: list[object] = [frame.rows(area, y, words.percent, 4)]
    for i, (low, high) in enumerate(layers):
        upper = [(x, y(v)) for x, v in zip(xs, high, strict=True)]
        lower = [(x, y(v)) for x, v in zip(xs, low, strict=True)]
        outline = frame.path([*upper, *reversed(lower)], closed=True)
        parts.append(markup.tag("path", class_="area", d=outline, style=palette.fill(i)))
    planned = [area.x(b.amount) for b in known.plan.budgets]
    parts += [frame.line("cut", x, area.top, x, area.bottom) for x in planned]
    parts += [
        frame.changes(area, known.plan),
        frame.budgets(area, known.plan),
        frame.ends(area, _names(known, layers, y)),
        _inside(known, layers, xs, y),
    ]
    return frame.svg(size.width, area.bottom + 48, _told(known), *parts)


def stacked(shares: Sequence[Sequence[float]]) -> list[tuple[list[float], list[float]]]:
    """Lower and upper edge of every stratum's layer, the first on top.

    Args:
      shares: Shape (points, strata), each row sums to 1.
    """
    k = len(shares[0]) if shares else 0
    found = []
    for i in range(k):
        high = [1 - sum(row[:i]) for row in shares]
        low = [max(0.0, h - row[i]) for h, row in zip(high, shares, strict=True)]
        found.append((low, high))
    return found


def _names(
    known: facts.Facts, layers: list[tuple[list[float], list[float]]], y: scales.Scale
) -> list[frame.Label]:
    """Names at the right edge, of what the largest budget takes."""
    found = []
    for i, (low, high) in enumerate(layers):
        share = high[-1] - low[-1]
        if share > _LEAST:
            text = f"{words.percent(share)} {known.plan.strata[i].name}"
            found.append(frame.Label(text, y((low[-1] + high[-1]) / 2), palette.ink(i)))
    return found


def _inside(
    known: facts.Facts,
    layers: list[tuple[list[float], list[float]]],
    xs: list[float],
    y: scales.Scale,
) -> markup.Safe:
    """Names in the areas of strata that the largest budget no longer takes."""
    parts = []
    for i, (low, high) in enumerate(layers):
        thick = [b - a for a, b in zip(low, high, strict=True)]
        at = max(range(len(thick)), key=lambda j: thick[j])
        room = (xs[-1] - xs[0]) * _INSIDE
        name = words.clipped(known.plan.strata[i].name, frame.FONT - 1, room)
        if thick[-1] > _LEAST or y(0) - y(thick[at]) < _ROOM:
            continue
        half = words.width(name, frame.FONT - 1) / 2
        x = min(max(xs[at], xs[0] + half + 6), xs[-1] - half - 6)
        middle = y((low[at] + high[at]) / 2) + 4
        parts.append(frame.label(name, x, middle, class_="inside", anchor="middle"))
    return markup.join(parts)


def draw_passes(known: facts.Facts, size: frame.Size) -> markup.Safe:
    """Passes at one size."""
    area = frame.frame(known.plan, size, 10, 190)
    lines = passes(known)
    values = [v for series in lines.values() for _, v in series]
    most = max([*values, 2.0])
    least = max(min([*values, 0.5]), most / _DECADES)
    y = scales.logarithmic([least, most], area.bottom, area.top + 6)
    once = y(1)
    parts: list[object] = [
        frame.rows(area, y, words.times, 4),
        frame.line("once", area.left, once, area.right, once),
        frame.changes(area, known.plan),
    ]
    names = []
    for i, series in lines.items():
        points = [(area.x(n), max(area.top, min(area.bottom, y(v)))) for n, v in series]
        parts.append(
            markup.tag("path", class_="passes", d=frame.path(points), style=palette.stroke(i))
        )
        parts += [_at_budget(known, i, b, area, y) for b in known.plan.budgets]
        text = f"{words.times(series[-1][1])} {known.plan.strata[i].name}"
        if series[-1][0] == known.plan.frontier[-1].amount:
            names.append(frame.Label(text, points[-1][1], palette.ink(i)))
    parts += [frame.budgets(area, known.plan), frame.ends(area, names)]
    return frame.svg(
        size.width, area.bottom + 48, "Passes over each stratum against budget", *parts
    )


def passes(known: facts.Facts) -> dict[int, list[tuple[float, float]]]:
    """Budget and passes over each stratum, by its number, where it has a share.

    Over all of its rows, or over those that are bought.
    """
    bought = known.plan.terms.unit == "money"
    found: dict[int, list[tuple[float, float]]] = {}
    for point in known.plan.frontier:
        for i, share in enumerate(point.shares):
            if share > _LEAST:
                rows = max(point.rows[i] if bought else known.plan.strata[i].supply, 1)
                found.setdefault(i, []).append((point.amount, share * point.samples / rows))
    return found


def _at_budget(
    known: facts.Facts, i: int, budget: plan.Budget, area: frame.Frame, y: scales.Scale
) -> markup.Safe | None:
    """A dot at a planned budget, as its allocation has it."""
    stratum = known.plan.strata[i]
    own = next((a for a in budget.allocation if a.stratum == stratum.name), None)
    bought = known.plan.terms.unit == "money"
    value = own.quota / max(own.rows if bought else stratum.supply, 1) if own else 0.0
    if value < y.low:
        return None
    title = f"{stratum.name}, {known.told(budget.amount)}: {words.times(value)}"
    return markup.tag(
        "circle",
        markup.tag("title", title),
        cx=area.x(budget.amount),
        cy=y(value),
        r=3.5,
        style=palette.fill(i),
    )


def _told(known: facts.Facts) -> str:
    told = [
        f"{known.told(b.amount)}: "
        + ", ".join(f"{a.stratum} {words.percent(a.share)}" for a in b.allocation)
        for b in known.plan.budgets
    ]
    return "Shares against budget. " + "; ".join(told)
