"""Why to believe it: which law predicted, how well it did on what it had not seen."""

from tamis.report import facts, markup, tables, words
from tamis.schemas import plan


def competition(known: facts.Facts) -> markup.Safe:
    """Held-out error of every law at every budget; the winner stands out.

    Small beside it, the error on mixtures left out one at a time.
    """
    laws = list(dict.fromkeys(score.law for score in known.plan.laws))
    found = {(score.budget, score.law): score for score in known.plan.laws}
    unit = known.plan.terms.unit
    columns = [tables.Column("Samples" if unit == "samples" else "Budget")]
    columns += [tables.Column(law) for law in laws]
    columns += [tables.Column("Pilot runs"), tables.Column("Longest pilot")]
    rows: list[list[object]] = []
    for b in known.plan.budgets:
        cells = [_score(found.get((b.amount, law))) for law in laws]
        rows.append(
            [
                known.told(b.amount).removesuffix(" samples"),
                *cells,
                words.count(b.measurements),
                words.count(b.largest_pilot),
            ]
        )
    return tables.table(columns, rows, class_="stacked")


def places(known: facts.Facts) -> str:
    """Which of the laws know where the sources lie; nothing where none does."""
    if known.transport is None:
        return ""
    return (
        " Coverage knows where sources and target lie: how many rows of a mixture are about each "
        "part of the target. Rational has the same form but learns from the trainings what each "
        "source says of each part. The others know only shares, sizes and supply."
    )


def _score(score: plan.LawScore | None) -> object:
    if score is None or score.held_out_error is None:
        return markup.tag("em", "chosen") if score and score.chosen else "–"
    text = f"{score.held_out_error:.4f}"
    text += f" · {words.percent(score.weight)}" if 0 < score.weight < 1 else ""
    shown = markup.tag("strong", text, class_="won") if score.chosen else text
    if score.mixture_error is None:
        return shown
    return markup.join([shown, markup.tag("small", f" {score.mixture_error:.4f} unseen mixture")])


def notes(known: facts.Facts) -> markup.Safe | None:
    """What the planner has to say, in its words: what holds for all budgets, then for each."""
    if not known.plan.notes:
        return None
    heads = tuple(f"{known.told(b.amount)}: " for b in known.plan.budgets)
    general = [n for n in known.plan.notes if not n.startswith(heads)]
    items: list[object] = []
    for head in heads:
        own = [n.removeprefix(head) for n in known.plan.notes if n.startswith(head)]
        if own:
            items += [
                markup.tag("dt", head.removesuffix(": ")),
                *(markup.tag("dd", _sentence(n)) for n in own),
            ]
    return markup.join(
        [
            *(markup.tag("p", n) for n in general),
            markup.tag("dl", *items, class_="notes") if items else None,
        ]
    )


def ends(known: facts.Facts) -> markup.Safe | None:
    """Whether the best tier is of the hard or the easy rows, and who decided."""
    if not known.ends:
        return None
    items = [
        part
        for name, keep, reason in known.ends
        for part in (markup.tag("dt", f"{name}: {keep} first"), markup.tag("dd", reason))
    ]
    return markup.tag("dl", *items, class_="notes")


def _sentence(note: str) -> str:
    return note[:1].upper() + note[1:]


def parameters(known: facts.Facts) -> markup.Safe:
    """The winners' parameters, folded away."""
    parts = [_parameters(known, score) for score in known.plan.laws if score.chosen]
    head = markup.tag("summary", "Fitted parameters of the laws that predicted")
    return markup.tag("details", head, *parts)


def _parameters(known: facts.Facts, score: plan.LawScore) -> markup.Safe:
    columns = [
        tables.Column("Parameter", number=False),
        *map(tables.Column, ("Value", "Low", "High")),
    ]
    rows = [[name, *(f"{v:.4g}" for v in values)] for name, values in score.parameters.items()]
    head = markup.tag("h4", f"{known.told(score.budget)}: {score.law}")
    return markup.join([head, tables.table(columns, rows, class_="plain")])
