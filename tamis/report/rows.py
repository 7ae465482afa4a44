"""What happened to the rows: the account that balances, the rejected, and examples to read."""

from tamis.report import facts, markup, palette, tables, words


def balance(known: facts.Facts) -> markup.Safe | None:
    """One line per budget that visibly adds up; None before anything was selected."""
    if not known.balance:
        return None
    columns = [
        tables.Column("Samples"),
        tables.Column("Rows in"),
        tables.Column("Selected", sign="="),
        tables.Column("Not selected", sign="+"),
        tables.Column("Duplicate", sign="+"),
        tables.Column("Rejected", sign="+"),
    ]
    rows = [
        [
            words.count(n)
            for n in (
                b.samples,
                b.rows,
                b.selected,
                b.not_selected,
                b.duplicate,
                sum(b.rejected.values()),
            )
        ]
        for b in known.balance
    ]
    return tables.table(columns, rows, class_="sums")


def intake(known: facts.Facts) -> markup.Safe | None:
    """Per source, what came in and what was turned away; a column per reason that occurred."""
    if not known.intake:
        return None
    reasons = sorted({r for i in known.intake for r in i.rejected})
    columns = [
        tables.Column("Source", number=False),
        tables.Column("Rows in"),
        tables.Column("Accepted", sign="="),
        *(tables.Column(r.replace("_", " "), sign="+") for r in reasons),
    ]
    rows = [
        [
            i.source,
            words.count(i.rows),
            words.count(i.accepted),
            *(words.count(i.rejected.get(r, 0)) for r in reasons),
        ]
        for i in known.intake
    ]
    return tables.table(columns, rows, class_="sums")


def supply(known: facts.Facts) -> markup.Safe:
    """Unique rows of every stratum, with a bar."""
    most = max((s.supply for s in known.plan.strata), default=1)
    columns = [
        tables.Column("Stratum", number=False),
        tables.Column("Unique rows"),
        tables.Column("", number=False),
    ]
    rows = []
    for i, s in enumerate(known.plan.strata):
        bar = markup.tag(
            "i",
            style=f"width:{100 * s.supply / max(most, 1):.1f}%;background:var(--s{i})",
            class_="length",
        )
        name = markup.join([palette.chip(i), markup.tag("span", s.name, class_="long")])
        rows.append([name, words.count(s.supply), bar])
    return tables.table(columns, rows, class_="plain supply")


def examples(known: facts.Facts) -> markup.Safe | None:
    """Rows either side of each threshold, or at both ends of each scorer."""
    return contrasts(known.contrasts)


def contrasts(shown: tuple[facts.Contrast, ...]) -> markup.Safe | None:
    """Rows on two sides; None where there are none."""
    if not shown:
        return None
    return markup.tag("div", *map(_contrast, shown), class_="contrasts")


def _contrast(found: facts.Contrast) -> markup.Safe:
    head = markup.tag("summary", found.title)
    sides = markup.tag(
        "div", _side(found.upper, found.above), _side(found.lower, found.below), class_="sides"
    )
    return markup.tag("details", head, sides, open="open", class_="contrast")


def _side(title: str, shown: tuple[facts.Example, ...]) -> markup.Safe:
    items = [
        markup.tag(
            "li",
            markup.tag("span", f"{e.score:.4f}".replace("-", "−"), class_="score"),
            markup.tag("q" if e.text else "code", e.text or e.uid, dir="auto", title=e.uid),
        )
        for e in shown
    ]
    return markup.tag("div", markup.tag("h4", title), markup.tag("ul", *items))
