"""Facts to one HTML page."""

from importlib import resources

from tamis import __version__
from tamis.report import (
    budgets,
    curves,
    facts,
    flow,
    held_out,
    markup,
    near_copies,
    palette,
    pilots,
    rows,
    shape,
    shares,
    simplex,
    trust,
    utility,
    words,
)

# Nothing on the page may run or be fetched, whatever slipped through.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def build(known: facts.Facts) -> str:
    """The report as one self-contained page: no script, no network, all text escaped.

    Args:
      known: What to say. The same facts give the same bytes.
    """
    sections = [_lead(known), _curves(known), _numbers(known), _pilots(known)]
    sections += [_transport(known), _trust(known), _examples(known), _near(known)]
    sections += [_shape(known), _rows(known), _run(known)]
    body = markup.tag("body", markup.tag("main", *sections), _foot())
    return f"<!DOCTYPE html>\n{markup.tag('html', _head(known), body, lang='en')}\n"


def _head(known: facts.Facts) -> markup.Safe:
    css = resources.files("tamis.report").joinpath("style.css").read_text(encoding="utf-8")
    return markup.tag(
        "head",
        markup.tag("meta", charset="utf-8"),
        markup.tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        markup.tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        markup.tag("meta", name="color-scheme", content="light dark"),
        markup.tag("title", f"{known.name} · tamis report"),
        markup.tag("style", markup.Safe(css), palette.css(known.plan.strata)),
    )


def _lead(known: facts.Facts) -> markup.Safe:
    brand = markup.tag("p", markup.tag("b", "tamis"), f" report · {known.name}", class_="brand")
    return markup.tag(
        "header",
        brand,
        markup.tag("h1", _title(known)),
        markup.tag("p", known.plan.summary, class_="lead"),
        markup.tag("dl", *_headlines(known), class_="headlines"),
    )


def _title(known: facts.Facts) -> str:
    made = known.plan.budgets
    if len(made) == 1:
        return f"What to train on for {known.told(made[0].amount)}"
    first, last = known.told(made[0].amount), known.told(made[-1].amount)
    unit = first.partition(" ")[2]
    return f"What to train on, from {first.removesuffix(f' {unit}')} to {last}"


def _headlines(known: facts.Facts) -> list[markup.Safe]:
    last = known.plan.budgets[-1]
    found = [
        (
            f"predicted error at {known.told(last.amount)}",
            words.error(last.predicted_error),
            words.interval(last.interval),
        )
    ]
    found += _measured(known)
    supply = sum(s.supply for s in known.plan.strata)
    found.append(
        (
            "unique rows to choose from",
            words.count(supply),
            f"in {_plural(len(known.plan.strata), 'stratum', 'strata')}",
        )
    )
    return [
        markup.tag(
            "div",
            markup.tag("dt", what),
            markup.tag("dd", value),
            markup.tag("dd", more, class_="more"),
        )
        for what, value, more in found
    ]


def _measured(known: facts.Facts) -> list[tuple[str, str, str]]:
    """The two headlines that need a check."""
    checked = known.check.budgets if known.check else []
    miss = budgets.largest_miss(known)
    if not checked or miss is None:
        return []
    best = max(checked, key=lambda b: b.gain)
    if len(checked) == 1:
        gain, off = "gain over random rows", "miss of the prediction"
        return [(gain, words.signed(best.gain), "measured"), (off, words.error(miss), "measured")]
    least = words.signed(min(b.gain for b in checked))
    where = f"at {words.count(best.samples)} samples; never below {least}"
    over = f"over {len(checked)} trained budgets"
    return [
        ("largest gain over random rows", words.signed(best.gain), where),
        ("largest miss of a prediction", words.error(miss), over),
    ]


def _curves(known: facts.Facts) -> markup.Safe:
    if not known.plan.frontier:
        return markup.Safe()
    passes = shares.passes_figure(known) if shares.passes(known) else None
    return markup.tag("section", curves.figure(known), shares.figure(known), passes)


def _numbers(known: facts.Facts) -> markup.Safe:
    note = (
        "Errors are on the target, lower is better. The runner-up is the best other strategy, with "
        "how much worse it is predicted to be."
    )
    if known.check:
        trainings = _plural(known.check.seeds, "training", "trainings")
        note += (
            f" Measured errors are means of {trainings} ± their standard error; gain is random "
            "minus measured, so above 0 the plan is better."
        )
    return _section("Budget by budget", note, budgets.overview(known), budgets.cards(known))


def _pilots(known: facts.Facts) -> markup.Safe:
    found = [pilots.figure(known), utility.figure(known)]
    return markup.tag("section", *found) if any(found) else markup.Safe()


def _transport(known: facts.Facts) -> markup.Safe:
    if known.transport is None:
        return markup.Safe()
    drawn = [draw.figure(known, known.transport) for draw in (flow, simplex, held_out)]
    return markup.tag("section", *drawn)


def _trust(known: facts.Facts) -> markup.Safe:
    note = (
        "Several laws are fitted to the pilots without the longest ones, then asked to predict "
        "those. The numbers are their root mean squared error; the law in bold predicts "
        "that budget."
    )
    return _section(
        "Which law predicted",
        note + trust.places(known),
        trust.competition(known),
        trust.notes(known),
        trust.ends(known),
        trust.parameters(known),
    )


def _examples(known: facts.Facts) -> markup.Safe:
    shown = rows.examples(known)
    if shown is None:
        return markup.Safe()
    note = (
        "A few rows to judge the scores by: do you agree with the order? The number is the score, "
        "higher is kept first."
    )
    if known.sampled:
        note += " They come from a part of the shards, spread evenly."
    return _section("Rows to read", note, shown)


def _shape(known: facts.Facts) -> markup.Safe:
    numbers = shape.numbers(known)
    if known.geometry is None or numbers is None:
        return markup.Safe()
    note = f"Of {words.count(known.geometry.rows)} rows, drawn uniformly. None of it is a decision."
    return _section("The shape of the data", note, numbers)


def _near(known: facts.Facts) -> markup.Safe:
    if known.near is None:
        return markup.Safe()
    pairs = rows.contrasts(known.near.pairs)
    note = near_copies.note(known.near)
    return _section("Near-copies", note, near_copies.table(known.near), pairs)


def _rows(known: facts.Facts) -> markup.Safe:
    balance = rows.balance(known)
    note = (
        "Every row of the inputs is in exactly one column, so each line adds up." if balance else ""
    )
    if known.continues:
        note = f"This run continues {known.continues}. {note}".strip()
    heads = [
        markup.tag("h3", t) for t in ("Where every row went", "By source", "Supply of each stratum")
    ]
    sources = rows.intake(known)
    return _section(
        "The account of the rows",
        note,
        markup.join([heads[0], balance]) if balance else None,
        markup.join([heads[1], sources]) if sources else None,
        heads[2],
        rows.supply(known),
    )


def _run(known: facts.Facts) -> markup.Safe:
    items = [("seed", str(known.seed)), ("commit", known.git or "none"), *known.versions]
    pairs = [markup.tag("div", markup.tag("dt", k), markup.tag("dd", v)) for k, v in items]
    took = [
        markup.tag("div", markup.tag("dt", name), markup.tag("dd", words.seconds(s)))
        for name, s in known.seconds
    ]
    config = markup.tag(
        "details",
        markup.tag("summary", "The run file, with every default"),
        markup.tag("pre", known.config),
    )
    return _section(
        "The run",
        "",
        markup.tag("dl", *pairs, class_="facts"),
        markup.tag("h3", "Time per stage") if took else None,
        markup.tag("dl", *took, class_="facts") if took else None,
        config if known.config else None,
    )


def _section(title: str, note: str, *children: object) -> markup.Safe:
    said = markup.tag("p", note, class_="note") if note else None
    return markup.tag("section", markup.tag("h2", title), said, *children)


def _foot() -> markup.Safe:
    return markup.tag(
        "footer",
        f"Written by tamis {__version__}. This page is one file; nothing was fetched to show it.",
    )


def _plural(n: int, one: str, many: str) -> str:
    return f"{words.count(n)} {one if n == 1 else many}"
