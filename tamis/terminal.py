"""Plans and fits as tables for the terminal."""

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
import rich.markup
import rich.table

from tamis import errors
from tamis.schemas import plan as plan_schema
from tamis.selectors import laws as laws_
from tamis.selectors import wording
from tamis.selectors.laws import tables


def plan(made: plan_schema.Plan) -> rich.table.Table:
    """What to train on at each budget."""
    unit, priced = made.terms.unit, any(b.cost for b in made.budgets)
    heads = ["samples"] if unit == "samples" else ["budget", "samples"]
    cost = ["cost"] if priced else []
    table = rich.table.Table(*heads, "allocation", *cost, "error", "interval", "runner-up")
    for b in made.budgets:
        parts = [f"{a.stratum} {a.share:.0%} ×{a.epochs:.1f}" for a in b.allocation]
        low, high = b.interval
        up = f"{b.runner_up.name} {b.runner_up.gap:+.3f}" if b.runner_up else ""
        sizes = [f"{b.samples:,}"]
        sizes = sizes if unit == "samples" else [wording.amount(b.amount, unit), *sizes]
        money = [f"{b.cost.total:,.2f}"] if b.cost else []
        error = f"{b.predicted_error:.3f}"
        table.add_row(*sizes, ", ".join(parts), *money, error, f"{low:.3f}–{high:.3f}", up)
    return table


def law(name: str) -> type[Any]:
    """A law that can be fitted to a table, by name.

    Raises:
      ConfigError: there is none of that name.
    """
    found = {n: getattr(laws_, n) for n in laws_.__all__}
    fitted = {n: k for n, k in found.items() if hasattr(k, "from_vector") or hasattr(k, "fit")}
    fitted.pop("Law")
    for hidden in ("InfoLaw", "MixtureRegression"):  # they need more than a table says
        fitted.pop(hidden)
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
        table.add_row(e.name, *shown, str(len(e.fit.parameters)), str(len(e.fit.warnings)))
    return table


def parameters(fit: tables.Fit) -> rich.table.Table:
    """Every parameter with its 90 % interval, where the fit has one."""
    table = rich.table.Table(str(fit.law.name), "value", "low", "high")
    for name, value in fit.parameters.items():
        ends = (f"{v:.4g}" for v in fit.interval.get(name, ()))
        table.add_row(rich.markup.escape(name), f"{value:.4g}", *ends)
    return table
