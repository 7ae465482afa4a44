"""The plan in sentences."""

from collections.abc import Sequence

import numpy as np

from tamis.schemas import plan as plan_
from tamis.selectors import forecast as forecast_
from tamis.selectors import strategies
from tamis.selectors.laws import cells as cells_

_SMALL = 0.0005  # of error: not worth collecting for
_CLEAR = 3.0  # standard errors by which a rise must exceed the noise to be reported
_FAR = 64  # times the longest pilot; three steps of the four that are tested


def amount(budget: float, unit: plan_.Unit = "samples") -> str:
    """`8,000 samples`, `1,000,000 tokens`, `1e+18 FLOPs`, `250.00 of money`."""
    if unit == "flops":
        return f"{budget:.3g} FLOPs"
    if unit == "money":
        return f"{budget:,.2f} of money"
    return f"{budget:,.12g} {unit}"


def budget(
    size: float,
    unit: plan_.Unit,
    allocation: Sequence[plan_.Share],
    choice: plan_.Alternative | None,
) -> str:
    """`Train 8,000 samples on 52 % movie (6.9 epochs) and 48 % editorials (1.1 epochs)`."""
    parts = [f"{s.share:.0%} {s.stratum} ({_epochs(s.epochs)})" for s in allocation]
    samples = amount(sum(s.quota for s in allocation))
    head = "Train" if unit == "samples" else f"For {amount(size, unit)} train"
    text = f"{head} {samples} on {_listed(parts)}"
    if choice is None:
        return text
    low, high = choice.gap_interval
    if choice.gap < 0:
        return f"{text}; {choice.name} is predicted {-choice.gap:.3f} lower, within the doubt"
    return f"{text}; {choice.name} is predicted {choice.gap:.3f} worse ({low:.3f} to {high:.3f})"


def far(forecast: forecast_.Forecast) -> str:
    """A sentence where no pilot can vouch for the prediction, else nothing."""
    times = forecast.reach
    if times <= _FAR:
        return ""
    return (
        f" That is {times:,.0f} times the longest pilot: an extrapolation that nothing here tests."
    )


def predicted(error: float, interval: plan_.Interval, cost: plan_.Cost | None = None) -> str:
    """`predicted error 0.331 (0.318 to 0.344)`, and what it costs."""
    text = f"predicted error {error:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
    if cost is None:
        return text
    parts = f"rows {cost.rows:,.2f}, training {cost.training:,.2f}"
    return f"{text}; it costs {cost.total:,.2f} ({parts})"


def crossing(at: float, ends: plan_.OpenInterval, unit: plan_.Unit, before: str, after: str) -> str:
    """`Below about 5,300 samples (3,100 to 9,000) use mostly movie, above a mixture`, with stop."""
    where = _about(at, ends, unit)
    return f"Below about {where} use {_article(before)}, above {_article(after)}."


def named_crossing(
    at: float, ends: plan_.OpenInterval, unit: plan_.Unit, before: str, after: str
) -> str:
    """The same for strategies known by name."""
    where = _about(at, ends, unit)
    return f"Of the named strategies, {before} is best below about {where}, {after} above."


def whole(
    budgets: Sequence[plan_.Budget],
    crossings: Sequence[plan_.Crossing],
    unit: plan_.Unit = "samples",
) -> str:
    """The plan in one sentence."""
    if crossings:
        return " ".join(c.sentence for c in crossings)
    names = dict.fromkeys(b.strategy for b in budgets)
    if len(names) == 1:
        return f"Use {_article(budgets[0].strategy)} at every budget."
    return "The best data changes with the budget: " + "; ".join(
        f"{amount(b.amount, unit)}: {_article(b.strategy)}" for b in budgets
    )


def notes(
    cells: cells_.Cells, forecasts: Sequence[forecast_.Forecast], unit: plan_.Unit = "samples"
) -> list[str]:
    """How rising error is handled, who won where, and what the measurements could not tell."""
    found = [rising(cells, forecasts, unit), *(f"{_capital(w)}." for w in cells.warnings)]
    for f in forecasts:
        head = amount(f.amount, unit)
        found.append(f"{head}: {_predictors(f)} ({_ground(f)}).")
        told = [w for m in f.members for w in m.entry.fit.warnings if w not in cells.warnings]
        found += [f"{head}: {w}." for w in dict.fromkeys(told)]
    return found


def _predictors(forecast: forecast_.Forecast) -> str:
    """`SignalNoise predicts`, or `no law clearly wins: SignalNoise 60% and Power 40% predict`."""
    if len(forecast.members) == 1:
        return f"{forecast.name} predicts"
    parts = [f"{m.entry.name} {m.weight:.0%}" for m in forecast.members]
    return f"no law clearly wins: {_listed(parts)} predict together"


def _ground(forecast: forecast_.Forecast) -> str:
    """Errors on what no law was fitted to."""
    entries = forecast.entries
    longest = [f"{e.name} {e.held_out_error:.4f}" for e in entries if e.held_out.size]
    mixtures = [f"{e.name} {e.mixture_error:.4f}" for e in entries if e.left_out.size]
    if not longest:
        return "least misfit, all runs have one length"
    unseen = f"; on unseen mixtures {', '.join(mixtures)}" if mixtures else ""
    return f"held-out error {', '.join(longest)}{unseen}"


def collect(planned: plan_.Budget, unit: plan_.Unit = "samples") -> str:
    """What to collect next for a budget."""
    best = min(planned.marginal, key=lambda m: m.per_1000_rows)
    head = f"{amount(planned.amount, unit)}: "
    if best.per_1000_rows > -_SMALL:
        return f"{head}1,000 more unique rows of no stratum would lower the error by {_SMALL:g}."
    low, high = best.interval
    return (
        f"{head}to collect next: 1,000 more unique rows of {best.stratum} would lower the error "
        f"by {-best.per_1000_rows:.4f} ({max(-high, 0):.4f} to {-low:.4f})."
    )


def unserved(name: str, share: float) -> str:
    """What no source has, about which a mixture can do nothing."""
    return f"your target's cluster '{name}' is served by nobody: {share:.1%} of the target"


def rising(
    cells: cells_.Cells, forecasts: Sequence[forecast_.Forecast], unit: plan_.Unit = "samples"
) -> str:
    """What the measurements say about error that rises, and which law can follow."""
    steepest = _steepest(cells)
    if steepest is None:
        return (
            "No measured error rises with repetition by more than its noise; laws that can only "
            "fall and laws that can rise compete on equal terms."
        )
    low, high = steepest
    able = [f for f in forecasts if "SignalNoise" in f.weights]
    budgets = [amount(f.amount, unit).removesuffix(" samples") for f in able]
    return (
        f"Error rises with repetition: {_mixture(cells, high)} goes from {cells.error[low]:.3f} "
        f"at {int(cells.samples[low]):,} samples to {cells.error[high]:.3f} at "
        f"{int(cells.samples[high]):,} ({cells.epochs[high].max():.0f} epochs). Goyal et al.'s law "
        "(RepetitionUtility) and Power can only fall and would call this a plateau; SignalNoise "
        "can rise. Each budget uses the laws that best predict runs they have not seen, longer "
        f"ones and other mixtures: SignalNoise for {_listed(budgets) if budgets else 'none'}."
    )


def _steepest(cells: cells_.Cells) -> tuple[int, int] | None:
    """Cells (low, high) of the largest clear rise along samples at one mixture and full supply."""
    _, group = np.unique(cells.weights, axis=0, return_inverse=True)
    whole = (cells.supply == cells.supply.max(0)).all(1)
    error = cells.seed_noise / np.sqrt(cells.count)
    best, found = 0.0, None
    for g in range(int(group.max()) + 1):
        rows = np.flatnonzero((group.reshape(-1) == g) & whole)
        if rows.size == 0:
            continue
        rows = rows[np.argsort(cells.samples[rows])]
        low, high = int(rows[np.argmin(cells.error[rows])]), int(rows[-1])
        rise = float(cells.error[high] - cells.error[low])
        if rise > max(best, _CLEAR * float(np.hypot(error[low], error[high]))):
            best, found = rise, (low, high)
    return found


def _mixture(cells: cells_.Cells, row: int) -> str:
    w = cells.weights[row]
    names = [f"{p:.0%} {s}" for p, s in zip(w, cells.names, strict=True) if p > 0]
    return f"{cells.names[int(w.argmax())]} alone" if len(names) == 1 else _listed(names)


def _about(at: float, ends: plan_.OpenInterval, unit: plan_.Unit) -> str:
    """`5,300 samples (3,100 to 9,000)`; an end that is open is left open."""
    low, high = (end if end is None else _bare(end, unit) for end in ends)
    if low and high:
        doubt = f"{low} to {high}"
    elif low or high:
        doubt = f"{low} or more" if low else f"{high} or less"
    else:
        doubt = "by these pilots, anywhere"
    return f"{amount(at, unit)} ({doubt})"


def _bare(budget: float, unit: plan_.Unit) -> str:
    """An amount without its unit."""
    return amount(budget, unit).split(" ")[0]


def _article(strategy: str) -> str:
    return f"a {strategy}" if strategy == strategies.MIXTURE else strategy


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _epochs(epochs: float) -> str:
    told = f"{epochs:.2g}" if epochs < 10 else f"{epochs:.0f}"
    return "one epoch" if told == "1" else f"{told} epochs"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
