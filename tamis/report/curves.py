"""The first chart: error against budget, predicted and measured."""

import itertools
from collections.abc import Callable

from tamis.report import facts, frame, markup, palette, scales, words
from tamis.schemas import check

_DASHES = ("7 4", "2 3", "9 3 2 3", "4 2")
Point = tuple[float, float]
Mark = Callable[[float, float], markup.Safe]


def figure(known: facts.Facts) -> markup.Safe:
    """Error against budget, with what the marks mean and what to see."""
    return frame.figure(
        "Error against budget",
        _caption(known),
        lambda size: draw(known, size),
        key=_key(known),
        more=_sentences(known),
    )


def draw(known: facts.Facts, size: frame.Size) -> markup.Safe:
    """The chart at one size."""
    area = frame.frame(known.plan, size, 40 if known.plan.crossings else 10, 420)
    y = _scale(known, area)
    parts = [
        frame.rows(area, y, words.axis, 6),
        _chance(known, area, y),
        _pilots(known, area),
        frame.crossings(area, known.plan),
        _band(known, area, y),
        _others(known, area, y),
        _chosen(known, area, y),
        _measured(known, area, y),
        frame.budgets(area, known.plan),
        frame.ends(area, _labels(known, area, y)),
    ]
    text = f"Error against budget. {known.plan.summary}"
    return frame.svg(size.width, area.bottom + 48, text, *parts)


def others(known: facts.Facts) -> dict[str, list[tuple[float, float]]]:
    """Budget and predicted error of every other strategy, by name."""
    found: dict[str, list[tuple[float, float]]] = {}
    for point in known.plan.frontier:
        for name, value in point.alternatives.items():
            found.setdefault(name, []).append((point.amount, value))
    return found


def _scale(known: facts.Facts, area: frame.Frame) -> scales.Scale:
    made = known.plan
    values = [v for p in made.frontier for v in (*p.interval, p.predicted_error)]
    values += [v for b in made.budgets for v in (*b.interval, b.predicted_error)]
    values += [v for series in others(known).values() for _, v in series]
    for b in known.check.budgets if known.check else []:
        values += [b.chosen.error, b.random.error, b.everything.error]
    return scales.linear(values, area.bottom - 12, area.top)


def _band(known: facts.Facts, area: frame.Frame, y: scales.Scale) -> markup.Safe:
    points = known.plan.frontier
    low = [(area.x(p.amount), y(p.interval[0])) for p in points]
    high = [(area.x(p.amount), y(p.interval[1])) for p in points]
    return markup.tag("path", class_="band", d=frame.path([*low, *reversed(high)], closed=True))


def _chosen(known: facts.Facts, area: frame.Frame, y: scales.Scale) -> markup.Safe:
    points = [(area.x(p.amount), y(p.predicted_error)) for p in known.plan.frontier]
    return markup.tag("path", class_="chosen", d=frame.path(points))


def _others(known: facts.Facts, area: frame.Frame, y: scales.Scale) -> markup.Safe:
    parts, dashes = [], itertools.cycle(_DASHES)
    for name, series in others(known).items():
        points = [(area.x(n), y(v)) for n, v in series]
        own = frame.stratum_of(name, known)
        style = f"stroke-dasharray:{next(dashes)}" if own is None else palette.stroke(own)
        parts.append(markup.tag("path", class_="other", d=frame.path(points), style=style))
    return markup.join(parts)


def _labels(known: facts.Facts, area: frame.Frame, y: scales.Scale) -> list[frame.Label]:
    if not known.plan.frontier:
        return []
    last = known.plan.frontier[-1]
    found = [frame.Label("the plan", y(last.predicted_error), strong=True)]
    for name, series in others(known).items():
        own = frame.stratum_of(name, known)
        style = palette.ink(own) if own is not None else ""
        shown = name.removesuffix(" alone") if area.narrow and own is not None else name
        found.append(frame.Label(shown, y(series[-1][1]), style))
    return found


def _measured(known: facts.Facts, area: frame.Frame, y: scales.Scale) -> markup.Safe:
    """Every training's mean, with two standard errors either side."""
    parts: list[object] = []
    amounts = {b.samples: b.amount for b in known.plan.budgets}
    for b in known.check.budgets if known.check else []:
        if b.samples not in amounts:
            continue
        at = area.x(amounts[b.samples])
        kinds: tuple[tuple[check.Measured, Mark], ...] = (
            (b.everything, diamond),
            (b.random, square),
            (b.chosen, dot),
        )
        for found, mark in kinds:
            if found.standard_error:
                reach = 2 * found.standard_error
                ends = y(found.error - reach), y(found.error + reach)
                parts.append(frame.line("whisker", at, ends[0], at, ends[1]))
            parts.append(mark(at, y(found.error)))
    return markup.join(parts)


def dot(x: float, y: float) -> markup.Safe:
    """The chosen manifest."""
    return markup.tag("circle", class_="mark full", cx=x, cy=y, r=5.0)


def square(x: float, y: float) -> markup.Safe:
    """The random manifest."""
    return markup.tag("rect", class_="mark", x=x - 4.5, y=y - 4.5, width=9, height=9)


def diamond(x: float, y: float) -> markup.Safe:
    """Everything."""
    corners = [(x, y - 6.5), (x + 6.5, y), (x, y + 6.5), (x - 6.5, y)]
    return markup.tag("path", class_="mark", d=frame.path(corners, closed=True))


def _pilots(known: facts.Facts, area: frame.Frame) -> markup.Safe:
    """A strip above the axis, as far as the pilots ran."""
    longest = max((b.largest_pilot for b in known.plan.budgets), default=0)
    if longest <= area.x.low or known.plan.terms.unit != "samples":
        return markup.Safe()
    stop = area.x(min(longest, area.x.high))
    text = f"pilots ran to {words.count(longest)}"
    parts = [
        markup.tag(
            "rect",
            class_="pilots",
            x=area.left,
            y=area.bottom - 7,
            width=stop - area.left,
            height=7,
        ),
        frame.line("pilots-end", stop, area.bottom - 14, stop, area.bottom),
    ]
    if words.width(text, 12) < stop - area.left - 8:
        parts.append(frame.label(text, stop - 5, area.bottom - 11, class_="aside", anchor="end"))
    return markup.join(parts)


def _chance(known: facts.Facts, area: frame.Frame, y: scales.Scale) -> markup.Safe:
    if not y.low < known.plan.chance < y.high:
        return markup.Safe()
    at = y(known.plan.chance)
    return markup.join(
        [
            frame.line("chance", area.left, at, area.right, at),
            frame.label("chance", area.left + 4, at - 5, class_="aside"),
        ]
    )


def _key(known: facts.Facts) -> markup.Safe:
    """The marks, in words."""

    def item(drawing: markup.Safe, words_: str) -> markup.Safe:
        box = markup.tag(
            "svg",
            drawing,
            xmlns="http://www.w3.org/2000/svg",
            viewBox="0 0 22 16",
            class_="glyph",
            aria_hidden="true",
        )
        return markup.tag("span", box, words_)

    measured = [
        item(dot(11, 8), "measured: the plan"),
        item(square(11, 8), "as many random rows"),
        item(diamond(11, 8), "everything"),
    ]
    band = markup.tag("rect", class_="band", x=0, y=2, width=22, height=12)
    middle = markup.tag("path", class_="chosen", d="M0,8 22,8")
    items = [item(markup.join([band, middle]), "predicted, 90% interval of one training")]
    return markup.tag("p", *items, *(measured if known.check else []), class_="key")


def _sentences(known: facts.Facts) -> markup.Safe | None:
    if not known.plan.crossings:
        return None
    return markup.tag(
        "ol",
        *(markup.tag("li", c.sentence, class_=c.kind) for c in known.plan.crossings),
        class_="crossings",
    )


def _caption(known: facts.Facts) -> str:
    part = known.plan.max_fraction
    said = [
        "Lower is better. The thick line is the best allocation at each budget; the thin lines "
        "are what simpler choices would give, and where one of them is lowest, the plan is that "
        "choice.",
    ]
    if known.plan.crossings:
        said.append("Numbered lines mark the budgets where the best choice changes.")
    if any(c.kind == "named" for c in known.plan.crossings):
        said.append("At the pale ones only the best of the named choices does.")
    said.append(
        f"Each budget was planned from pilots of at most {words.percent(part)} of it, so its "
        f"prediction looks ahead by a factor of {1 / part:.3g} or more."
    )
    if known.check:
        said.append(
            f"Marks are real trainings ({known.check.seeds} seeds, ±2 standard errors), made after "
            "the prediction."
        )
    else:
        said.append(
            "Nothing has been trained at the full budgets yet: “tamis check” does, and adds the "
            "measured points here."
        )
    return " ".join(said)
