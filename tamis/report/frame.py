"""What all charts of budgets share: three sizes, one horizontal axis, labels at the line ends."""

import dataclasses
from collections.abc import Callable, Sequence

from tamis.report import facts, markup, scales, words
from tamis.schemas import plan

FONT = 13.0


@dataclasses.dataclass(frozen=True)
class Size:
    """One rendering. The page shows the one that fits its width, so letters keep their size.

    Attributes:
      name: CSS class.
      width: Pixels.
      right: Room for labels at the line ends.
      tall: Factor on a chart's height.
    """

    name: str
    width: float
    right: float
    tall: float


SIZES = (Size("wide", 1040, 178, 1), Size("middle", 680, 148, 0.95), Size("narrow", 356, 112, 1))
LEFT = 46.0
_AXIS = {
    "samples": "samples seen in training",
    "tokens": "tokens seen in training",
    "flops": "FLOPs of training",
    "money": "money for rows and training",
}


@dataclasses.dataclass(frozen=True)
class Frame:
    """The plotting area.

    Attributes:
      size: The rendering.
      x: Budgets to pixels.
      top: First pixel of the area.
      bottom: Last pixel of the area.
    """

    size: Size
    x: scales.Scale
    top: float
    bottom: float

    @property
    def left(self) -> float:
        return self.x.start

    @property
    def right(self) -> float:
        return self.x.stop

    @property
    def narrow(self) -> bool:
        return self.size.name == "narrow"


@dataclasses.dataclass(frozen=True)
class Label:
    """A name at the end of a line.

    Attributes:
      text: What it says.
      y: Where the line ends.
      style: CSS of the text.
      strong: Whether it is the one to read first.
    """

    text: str
    y: float
    style: str = ""
    strong: bool = False


def frame(made: plan.Plan, size: Size, top: float, height: float) -> Frame:
    """A plotting area over all budgets of the frontier."""
    seen = [p.amount for p in made.frontier] + [b.amount for b in made.budgets]
    x = scales.logarithmic(seen, LEFT, size.width - size.right)
    return Frame(size, x, top, top + height * size.tall)


def figure(
    title: str,
    note: object,
    draw: Callable[[Size], markup.Safe],
    *,
    key: markup.Safe | None = None,
    more: markup.Safe | None = None,
) -> markup.Safe:
    """A chart in every size, under its title and key and above what to see in it."""
    head = markup.join([markup.tag("h3", title), key])
    plots = [markup.tag("div", draw(size), class_=f"plot {size.name}") for size in SIZES]
    caption = markup.tag("figcaption", note)
    return markup.tag("figure", head, *plots, more, caption)


def svg(width: float, height: float, label: str, *children: object) -> markup.Safe:
    """A drawing that scales with its box."""
    box = f"0 0 {width:.0f} {height:.0f}"
    return markup.tag(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=box,
        role="img",
        aria_label=label,
    )


def path(points: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    """The `d` of a line through points in pixels."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"M{steps}{'Z' if closed else ''}"


def line(class_: str, x1: float, y1: float, x2: float, y2: float) -> markup.Safe:
    """A straight line."""
    return markup.tag("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def label(
    content: object, x: float, y: float, *, class_: str = "", anchor: str = "start", style: str = ""
) -> markup.Safe:
    """Text in a drawing."""
    return markup.tag(
        "text", content, x=x, y=y, class_=class_ or None, text_anchor=anchor, style=style or None
    )


def rows(
    area: Frame, y: scales.Scale, write: Callable[[float], str], about: int = 5
) -> markup.Safe:
    """Horizontal grid lines with their values."""
    parts = []
    for value in scales.ticks(y, about):
        at = y(value)
        parts.append(line("grid", area.left, at, area.right, at))
        parts.append(label(write(value), area.left - 8, at + 4, class_="tick", anchor="end"))
    return markup.join(parts)


def budgets(area: Frame, made: plan.Plan, *, named: bool = True) -> markup.Safe:
    """The horizontal axis, marked at the planned budgets; a few round values when they are few."""
    planned = [float(b.amount) for b in made.budgets]
    extra = [] if len(planned) > 2 else scales.ticks(area.x, 3)
    values = [*planned, *(v for v in extra if v not in planned)]
    wide = area.size.name == "wide" and made.terms.unit != "flops"
    write = words.count if wide else words.short
    names = [write(v) for v in values]
    places = [area.x(v) for v in values]
    shown = scales.apart(places, [words.width(n, FONT) for n in names], 8)
    parts = [line("axis", area.left, area.bottom, area.right, area.bottom)]
    for value, at, name, show in zip(values, places, names, shown, strict=True):
        parts.append(line("axis", at, area.bottom, at, area.bottom + 5))
        if show:
            kind = "tick planned" if value in planned else "tick"
            parts.append(label(name, at, area.bottom + 19, class_=kind, anchor="middle"))
    if named:
        middle = (area.left + area.right) / 2
        title = f"budget: {_AXIS[made.terms.unit]}"
        parts.append(label(title, middle, area.bottom + 38, class_="name", anchor="middle"))
    return markup.join(parts)


def ends(area: Frame, names: Sequence[Label], gap: float = 16) -> markup.Safe:
    """Names beside the line ends, moved apart where they would overlap."""
    places = scales.spread([n.y for n in names], gap, area.top + 2, area.bottom - 2)
    room = area.size.width - area.right - 20
    parts = []
    for name, at in zip(names, places, strict=True):
        parts.append(
            markup.tag(
                "path",
                class_="leader",
                d=path([(area.right + 2, name.y), (area.right + 10, at), (area.right + 16, at)]),
            )
        )
        size = FONT if name.strong else FONT - 1
        shown = words.clipped(name.text, size, room * (0.94 if name.strong else 1))
        title = markup.tag("title", name.text) if shown != name.text else None
        kind = "end strong" if name.strong else "end"
        parts.append(
            label(
                markup.join([shown, title]), area.right + 20, at + 4, class_=kind, style=name.style
            )
        )
    return markup.join(parts)


def crossings(area: Frame, made: plan.Plan) -> markup.Safe:
    """A vertical line where the best strategy changes, with the number of its sentence.

    Paler where only the best of the strategies that have a name changes.
    """
    places = [area.x(c.amount) for c in made.crossings]
    moved = scales.spread(places, 20, area.left, area.right)
    parts = []
    for i, (c, at, head) in enumerate(zip(made.crossings, places, moved, strict=True), 1):
        badge = markup.tag("circle", class_="badge", cx=head, cy=area.top - 18, r=8.5)
        number = label(i, head, area.top - 14, class_="badge-number", anchor="middle")
        lines = (
            line("crossing", at, area.top, at, area.bottom),
            line("crossing", head, area.top - 10, at, area.top),
        )
        parts.append(markup.tag("g", *lines, badge, number, class_=f"change {c.kind}"))
    return markup.join(parts)


def changes(area: Frame, made: plan.Plan) -> markup.Safe:
    """The lines of `crossings` where the plan itself changes, without numbers."""
    places = [area.x(c.amount) for c in made.crossings if c.kind == "chosen"]
    return markup.join(line("crossing", at, area.top, at, area.bottom) for at in places)


def stratum_of(name: str, known: facts.Facts) -> int | None:
    """The stratum that the strategy `<stratum> alone` is about."""
    names = [f"{s.name} alone" for s in known.plan.strata]
    return names.index(name) if name in names else None
