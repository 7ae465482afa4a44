"""Plans and fits as tables for the terminal."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.markup
import rich.table

from tamis import errors
from tamis.schemas import mix as mix_schema
from tamis.schemas import plan as plan_schema
from tamis.selectors import acquisition, wording
from tamis.selectors import laws as laws_
from tamis.selectors.laws import tables

_PARTS = 5  # of the target that nobody serves, told one by one
_MANY = 1_000  # rows, so that a gain per rows is a number to read
_SHOWN = 0.005  # a share that is not 0 %
_LEAST = 1e-5  # of error that is told


def plan(made: plan_schema.Plan) -> rich.table.Table:
    """What to train on at each budget."""
    unit, priced = made.terms.unit, any(b.cost for b in made.budgets)
    heads = ["samples"] if unit == "samples" else ["budget", "samples"]
    cost = ["cost"] if priced else []
    table = rich.table.Table(*heads, "allocation", *cost, "error", "interval", "runner-up")
    for b in made.budgets:
        parts = [f"{a.stratum} {a.share:.0%} ×{a.epochs:.1f}" for a in b.allocation]
        low, high = b.interval
        up = _runner_up(b.runner_up) if b.runner_up else ""
        sizes = [f"{b.samples:,}"]
        sizes = sizes if unit == "samples" else [wording.amount(b.amount, unit), *sizes]
        money = [f"{b.cost.total:,.2f}"] if b.cost else []
        error = f"{b.predicted_error:.3f}"
        table.add_row(*sizes, ", ".join(parts), *money, error, f"{low:.3f}–{high:.3f}", up)
    return table


def collect(made: plan_schema.Plan) -> list[str]:
    """What more rows would bring, budget by budget."""
    return [wording.collect(b, made.terms.unit) for b in made.budgets if b.marginal]


def _runner_up(other: plan_schema.Alternative) -> str:
    low, high = other.gap_interval
    return f"{other.name} {other.gap:+.3f} [{low:+.3f}, {high:+.3f}]"


def mix(found: mix_schema.Mix) -> rich.table.Table:
    """Each stratum's distance, and the nearest mixture."""
    table = rich.table.Table("stratum", "distance to the target", "in the nearest mixture")
    order = np.argsort(found.costs, kind="stable")
    for i in order:
        name = rich.markup.escape(found.names[i])
        table.add_row(name, f"{found.costs[i]:.4f}", f"{found.weights[i]:.0%}")
    table.add_row("nearest mixture", f"{found.cost:.4f}", "")
    table.add_row("the target itself", f"{found.least:.4f}", "")
    return table


def nearest(found: mix_schema.Mix) -> list[str]:
    """What the table of a mixture does not say."""
    lines = [f"no mixture is nearer than {max(found.cost - found.gap, 0):.4f} (duality gap)"]
    for what, said in (("nearest mixture", found.nearest), ("plan", found.planned)):
        if said is not None:
            low, high = said.interval
            error = f"error {said.error:.3f} [{low:.3f}, {high:.3f}]"
            lines.append(f"{what}: predicted {error} at {found.samples:,}")
    for part in found.unserved[:_PARTS]:
        text = f" (e.g. '{part.example}')" if part.example else ""
        lines.append(f"{wording.unserved(part.name, part.share)}{text}")
    if len(found.unserved) > _PARTS:
        rest = sum(p.share for p in found.unserved[_PARTS:])
        more = len(found.unserved) - _PARTS
        lines.append(f"and {more} more, {rest:.1%} of the target")
    return lines


def offers(found: acquisition.Acquisition, *, priced: bool = True) -> rich.table.Table:
    """Every offer alone, the best gain per cost first; without prices a row costs 1."""
    cost, unit = (["cost"], 1) if priced else ([], _MANY)
    per = "gain per cost" if priced else f"gain per {unit:,} rows"
    table = rich.table.Table("offer", "rows", *cost, "error", "gain", per, "worth of a pilot")
    for o in found.offers:
        low, high = o.interval
        table.add_row(
            rich.markup.escape(o.name),
            f"{o.rows:,}",
            *([f"{o.cost:,.6g}"] if priced else []),
            f"{o.before:.4f} → {o.after:.4f}",
            f"{o.gain:.4f}",
            f"{o.per_cost * unit:.3g} [{low * unit:.2g}, {high * unit:.2g}]",
            f"{_worth(o.pilot_value)} for {o.pilot:,} rows",
        )
    return table


def _worth(error: float) -> str:
    return f"{error:.5f}" if error >= _LEAST else "nothing"


def basket(found: acquisition.Acquisition) -> list[str]:
    """The best use of the whole budget, and what more knowledge were worth."""
    rows, shares = found.basket.rows, found.basket.shares
    bought = [f"{int(r):,} rows of {n}" for n, r in zip(found.names, rows, strict=True) if r]
    low, high = found.interval
    if not found.offers:
        return ["buy nothing: the budget buys not one row of any offer"]
    if not bought:
        return ["buy nothing: no offer lowers the expected error"]
    trained = ", ".join(
        f"{n} {w:.0%}" for n, w in zip(found.names, shares, strict=True) if w >= _SHOWN
    )
    gain = found.before.error - found.basket.error
    known = _worth(found.knowing)
    return [
        f"buy {', '.join(bought)}: expected error {found.before.error:.4f} → "
        f"{found.basket.error:.4f}, gain {gain:.4f} [{low:.4f}, {high:.4f}]",
        f"then train on {trained}",
        "knowing the law for sure would not change this choice"
        if known == "nothing"
        else f"knowing the law for sure would be worth {known} of error to this choice",
    ]


def law(name: str) -> type[Any]:
    """A law that can be fitted to a table, by name.

    Raises:
      ConfigError: there is none of that name.
    """
    found = {n: getattr(laws_, n) for n in laws_.__all__}
    fitted = {n: k for n, k in found.items() if hasattr(k, "from_vector") or hasattr(k, "fit")}
    fitted.pop("Law")
    fitted.pop("InfoLaw")  # it needs more than a table says
    if name not in fitted:
        near = difflib.get_close_matches(name, fitted, 1)
        raise errors.ConfigError(
            f"--law {name}: no such law",
            remedy=f"did you mean {near[0]}?" if near else f"one of {', '.join(fitted)}",
        )
    kind: type[Any] = fitted[name]
    return kind


def laws(entries: Sequence[tables.Entry]) -> rich.table.Table:
    """The competition, the law that predicts first."""
    table = rich.table.Table(
        "law", "longest runs", "new mixture", "fitted", "parameters", "warnings"
    )
    table.columns[0].no_wrap = True
    table.title = "error on runs left out"
    table.title_justify = "left"
    for e in entries:
        missed = (e.held_out_error, e.mixture_error, e.fitted_error)
        shown = ("–" if np.isnan(m) else f"{m:.4f}" for m in missed)
        table.add_row(e.name, *shown, str(len(e.fit.parameters) or "–"), str(len(e.fit.warnings)))
    return table


def parameters(fit: tables.Fit) -> rich.table.Table:
    """Every parameter with its 90 % interval, where the fit has one."""
    table = rich.table.Table(str(fit.law.name), "value", "low", "high")
    for name, value in fit.parameters.items():
        ends = (f"{v:.4g}" for v in fit.interval.get(name, ()))
        table.add_row(rich.markup.escape(name), f"{value:.4g}", *ends)
    return table
