"""The plan in numbers: one row per budget, then one card per budget."""

from tamis.report import facts, markup, palette, tables, words
from tamis.schemas import check, plan

_OTHERS = {"random": "random rows", "everything": "everything", "top": "the best tenth"}
_COLLECTED = 3  # strata named as worth collecting


def overview(known: facts.Facts) -> markup.Safe:
    """Predicted, measured and the alternatives, one row per budget."""
    checked = _checked(known)
    columns = [
        tables.Column("Budget" if known.plan.terms.unit != "samples" else "Samples"),
        tables.Column("Strategy", number=False),
        tables.Column("Predicted"),
    ]
    if checked:
        columns += [
            tables.Column(title)
            for title in ("Measured", "Random rows", "Everything", "Best tenth", "Gain over random")
        ]
    columns.append(tables.Column("Runner-up", number=False))
    rows = []
    for b in known.plan.budgets:
        row: list[object] = [
            known.told(b.amount).removesuffix(" samples"),
            markup.tag("span", b.strategy, class_="long"),
            _predicted(b),
        ]
        if checked:
            row += _measured(checked.get(b.samples))
        rows.append([*row, _runner_up(b)])
    return tables.table(columns, rows, class_="stacked")


def cards(known: facts.Facts) -> markup.Safe:
    """What to train on, budget by budget."""
    checked = _checked(known)
    made = [_card(known, b, checked.get(b.samples)) for b in known.plan.budgets]
    return markup.tag("div", *made, class_="cards")


def largest_miss(known: facts.Facts) -> float | None:
    """How far the worst prediction was off; None before the check."""
    budgets = known.check.budgets if known.check else []
    return max((abs(b.predicted_error - b.chosen.error) for b in budgets), default=None)


def _checked(known: facts.Facts) -> dict[int, check.Budget]:
    return {b.samples: b for b in known.check.budgets} if known.check else {}


def _measured(found: check.Budget | None) -> list[object]:
    if found is None:
        return ["–"] * 5
    sure = markup.tag("strong", _with_error(found.chosen))
    return [
        sure,
        _with_error(found.random),
        _with_error(found.everything),
        _with_error(found.top) if found.top else "–",
        _gained(found),
    ]


def _gained(found: check.Budget) -> markup.Safe:
    """What the choice gains over random rows, with its interval, and whether it lost to any."""
    within = found.gains["random"].interval
    sure = " {} to {}".format(*map(words.signed, within)) if within else ""
    lost = [_OTHERS[name] for name, g in found.gains.items() if g.mean < 0]
    told = f" loses to {', '.join(lost)}" if lost else ""
    return markup.join([words.signed(found.gain), markup.tag("small", sure + told)])


def _predicted(budget: plan.Budget) -> markup.Safe:
    within = markup.tag("small", f" {words.interval(budget.interval)}")
    return markup.join([words.error(budget.predicted_error), within])


def _with_error(found: check.Measured) -> markup.Safe:
    spread = f" ±{found.standard_error:.3f}" if found.standard_error is not None else ""
    return markup.join([words.error(found.error), markup.tag("small", spread)])


def _runner_up(budget: plan.Budget) -> markup.Safe:
    if budget.runner_up is None:
        return markup.text("–")
    gap = _doubted(budget.runner_up.gap, budget.runner_up.gap_interval)
    return markup.join([budget.runner_up.name, markup.tag("small", f" {gap}")])


def _doubted(value: float, interval: plan.Interval) -> str:
    """A difference and how far it could lie elsewhere."""
    low, high = map(words.signed, interval)
    return f"{words.signed(value)} ({low} to {high})"


def _card(known: facts.Facts, budget: plan.Budget, found: check.Budget | None) -> markup.Safe:
    numbers = {s.name: i for i, s in enumerate(known.plan.strata)}
    head = markup.tag("h3", known.told(budget.amount))
    told = markup.tag("p", budget.summary, class_="summary")
    return markup.tag(
        "article",
        head,
        told,
        _bar(budget, numbers),
        _allocation(known.plan, budget, numbers),
        _collect(budget),
        _verdict(found),
        class_="card",
    )


def _bar(budget: plan.Budget, numbers: dict[str, int]) -> markup.Safe:
    """The shares as one bar; the table under it has the names."""
    parts = [
        markup.tag(
            "i",
            style=f"flex:{a.share:.5f};background:var(--s{numbers.get(a.stratum, 0)})",
            title=f"{a.stratum} {words.percent(a.share)}",
        )
        for a in budget.allocation
    ]
    return markup.tag("div", *parts, class_="bar", aria_hidden="true")


def _allocation(made: plan.Plan, budget: plan.Budget, numbers: dict[str, int]) -> markup.Safe:
    supply = {s.name: s.supply for s in made.strata}
    columns = [tables.Column("Stratum", number=False)]
    priced = ["Price of rows"] if any(a.price for a in budget.allocation) else []
    columns += [tables.Column(t) for t in ("Share", "Quota", "Rows used", "Epochs", *priced)]
    rows: list[list[object]] = []
    for a in budget.allocation:
        name = markup.join(
            [palette.chip(numbers.get(a.stratum, 0)), markup.tag("span", a.stratum, class_="long")]
        )
        used = markup.join(
            [
                words.count(a.rows),
                markup.tag("small", f" of {words.count(supply.get(a.stratum, a.rows))}"),
            ]
        )
        paid = [f"{a.price:,.2f}"] if priced else []
        rows.append(
            [name, words.percent(a.share), words.count(a.quota), used, words.times(a.epochs), *paid]
        )
    unused = [s.name for s in made.strata if s.name not in {a.stratum for a in budget.allocation}]
    left = markup.tag("p", f"Not used: {', '.join(unused)}.", class_="unused") if unused else None
    return markup.join([tables.table(columns, rows, class_="plain"), left])


def _collect(budget: plan.Budget) -> markup.Safe | None:
    """What more unique rows would bring, most first, as far as three digits show it."""
    if not budget.marginal:
        return None
    ranked = sorted(budget.marginal, key=lambda m: m.per_1000_rows)[:_COLLECTED]
    shown = [_worth(m) for m in ranked if round(m.per_1000_rows, 3)]
    text = f"Error with 1,000 more unique rows of: {', '.join(shown)}."
    if not shown:
        text = "1,000 more unique rows of no stratum would change the error by 0.001."
    return markup.tag("p", markup.tag("small", text), class_="unused")


def _worth(found: plan.Marginal) -> str:
    return f"{found.stratum} {_doubted(found.per_1000_rows, found.interval)}"


def _verdict(found: check.Budget | None) -> markup.Safe | None:
    if found is None:
        return None
    low, high = found.interval
    inside = low <= found.chosen.error <= high
    said = "inside" if inside else "outside"
    gain = words.signed(found.gain)
    return markup.tag(
        "p",
        markup.tag("strong", f"Measured {words.error(found.chosen.error)}"),
        f", {said} the predicted interval; gain over as many random rows {gain}.",
        class_="verdict" if inside else "verdict off",
    )
