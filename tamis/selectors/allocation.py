"""The planner: measurements, supply and budgets in, a plan out.

For every budget the laws that predict held-out pilots best are found on the pilots that budget may
use, and their expected error is minimised over the shares; then shares become whole quotas.
"""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from tamis import errors
from tamis.schemas import measurements as measurements_
from tamis.schemas import plan as plan_
from tamis.selectors import (
    bounds,
    costs,
    crossings,
    doubt,
    fitted,
    laws,
    marginal,
    planner,
    purchase,
    spending,
    wording,
)
from tamis.selectors import forecast as forecast_
from tamis.selectors.forecast import Training
from tamis.selectors.laws import cells as cells_

MAX_FRACTION = 0.25
PLAIN = plan_.Terms()  # samples, nothing costs anything, no share is given
_POINTS = 4  # of the frontier between two planned budgets
_ALIKE = 0.02  # sum of the differences of shares of trainings that are the same


def plan(  # noqa: PLR0913 -- all but three are keywords with defaults
    measurements: pa.Table,
    strata: Sequence[plan_.Stratum],
    budgets: Sequence[float],
    *,
    terms: plan_.Terms = PLAIN,
    max_fraction: float = MAX_FRACTION,
    max_epochs: float | None = None,
    mode: plan_.Mode = "mixture",
    seed: int = 0,
    competing: tuple[type[laws.Law], ...] = laws.LAWS,
) -> plan_.Plan:
    """Plan every budget.

    Args:
      measurements: As in `tamis.schemas.measurements`; its strata must be those of `strata`.
      strata: What can be trained on.
      budgets: Of each planned training, in the unit of the terms.
      terms: What budgets are counted in, prices, and shares that are given.
      max_fraction: A budget B is planned from runs that take at most max_fraction x B.
      max_epochs: Most often that a row may be seen on average within its stratum.
      mode: `mixture` for any shares, `prefix` for the best j tiers in natural proportions.
      seed: Of random starts and parameter draws.
      competing: The laws, e.g. also those of `projektor` that know where the sources lie.

    Raises:
      PlanError: measurements, strata, terms or budgets do not fit each other.
    """
    _check(measurements, strata, budgets)
    market = _market(strata, terms, max_epochs)
    amounts = sorted({int(b) if float(b).is_integer() else float(b) for b in budgets})
    _check_room(market, amounts, max_epochs)
    cells = cells_.aggregate(measurements).ordered([s.name for s in strata])
    forecasts = [
        forecast_.forecast(
            cells, b, market.costs, max_fraction=max_fraction, seed=seed, competing=competing
        )
        for b in amounts
    ]
    here = planner.Planner(tuple(strata), forecast_.Outlook(forecasts), market, mode, seed)
    planned = [_budget(here, f) for f in forecasts]
    _check_lengths(planned)
    standing = [here.standing(b) for b in _grid(amounts, terms.unit) if here.fits(b)]
    frontier = [_point(here, s) for s in standing]
    had = functools.cache(functools.partial(doubt.had, standing, here.outlook, here.market))
    turns = crossings.chosen(
        frontier,
        functools.partial(here.strategy, standing),
        functools.partial(doubt.of_choice, standing, here.outlook, had),
        terms.unit,
    )
    others = crossings.named(
        frontier, functools.partial(doubt.of_named, standing, here.outlook), terms.unit
    )
    return plan_.Plan(
        summary=wording.whole(planned, turns, terms.unit),
        mode=mode,
        terms=terms,
        max_epochs=max_epochs,
        max_fraction=max_fraction,
        seed=seed,
        chance=cells.chance,
        strata=list(strata),
        budgets=planned,
        crossings=[*turns, *others],
        frontier=frontier,
        laws=[_score(f, e) for f in forecasts for e in f.entries],
        fitted=fitted.curves(forecasts[-1], strata),
        notes=[
            *wording.notes(cells, forecasts, terms.unit),
            *(wording.collect(b, terms.unit) for b in planned if b.marginal),
        ],
    )


def _market(
    strata: Sequence[plan_.Stratum], terms: plan_.Terms, max_epochs: float | None
) -> spending.Market:
    cost = costs.Costs.of(strata, terms, max_epochs)
    held = bounds.of(strata, terms.shares)
    return (purchase.Purchase if terms.unit == "money" else spending.Spending)(cost, held)


def _budget(here: planner.Planner, forecast: forecast_.Forecast) -> plan_.Budget:
    amount, unit, costs_of = forecast.amount, here.market.costs.unit, here.market.costs
    known = here.candidates(amount)
    training, quota, rows = here.whole(here.best(amount, known), amount)
    error = float(here.outlook.expected(training, amount))
    interval = here.outlook.interval(training, amount)
    allocation = here.allocation(quota, rows)
    others = _others(here, known, training, error, amount)
    price = costs_of.cost(quota, rows)
    worth = marginal.values(forecast, here.strata, training, costs_of, here.again)
    sentence = wording.budget(amount, unit, allocation, others[0] if others else None)
    return plan_.Budget(
        samples=int(quota.sum()),
        amount=amount,
        spent=price.total if unit == "money" and price else float(quota @ costs_of.per_sample),
        cost=price,
        strategy=here.label(training, known),
        allocation=allocation,
        predicted_error=error,
        interval=interval,
        runner_up=others[0] if others else None,
        runners_up=others,
        marginal=worth,
        law=forecast.name,
        weights=forecast.weights,
        measurements=int(forecast.cells.count.sum()),
        largest_pilot=int(forecast.cells.samples.max()),
        summary=f"{sentence}; {wording.predicted(error, interval, price)}.{wording.far(forecast)}",
    )


def _others(
    here: planner.Planner,
    known: dict[str, Training],
    chosen: Training,
    error: float,
    amount: float,
) -> list[plan_.Alternative]:
    """Every other named strategy, best first."""
    own = here.label(chosen, known)
    others = {
        name: training
        for name, training in known.items()
        if name != own and abs(training.shares - chosen.shares).sum() >= _ALIKE
    }
    value, interval, gap = _judged(here, chosen, others, amount)
    found = [
        plan_.Alternative(
            name=name,
            predicted_error=value[name],
            interval=interval[name],
            gap=value[name] - error,
            gap_interval=gap[name],
            allocation=here.allocation(*here.whole(training, amount)[1:]),
        )
        for name, training in others.items()
    ]
    return sorted(found, key=lambda a: a.predicted_error)


def _judged(
    here: planner.Planner, chosen: Training, others: dict[str, Training], amount: float
) -> tuple[dict[str, float], dict[str, plan_.Interval], dict[str, plan_.Interval]]:
    """Expected error, its interval and that of the gap to the choice, by name."""
    if not others:
        return {}, {}, {}
    many = forecast_.stacked(others.values())
    value = here.outlook.expected(many, amount).tolist()
    interval = here.outlook.intervals(many, amount).tolist()
    gap = here.outlook.gaps(chosen, many, amount).tolist()
    return (
        dict(zip(others, value, strict=True)),
        dict(zip(others, map(tuple, interval), strict=True)),
        dict(zip(others, map(tuple, gap), strict=True)),
    )


def _point(here: planner.Planner, standing: doubt.Standing) -> plan_.Point:
    amount, training, others = standing
    used = np.minimum(training.supply, training.shares * training.samples)
    value, interval, gap = _judged(here, training, others, amount)
    return plan_.Point(
        amount=amount,
        samples=round(float(training.samples)),
        strategy=here.label(training, others),
        shares=training.shares.tolist(),
        rows=np.ceil(used - 1e-6).astype(np.int64).tolist(),
        predicted_error=float(here.outlook.expected(training, amount)),
        interval=here.outlook.interval(training, amount),
        alternatives=value,
        alternative_intervals=interval,
        gap_intervals=gap,
    )


def _grid(budgets: Sequence[float], unit: plan_.Unit) -> list[float]:
    """Planned budgets, points between them, and one octave to either side; log-spaced."""
    ends = [budgets[0] / 2, *budgets, budgets[-1] * 2]
    inner = [np.geomspace(low, high, _POINTS + 1)[:-1] for low, high in itertools.pairwise(ends)]
    found = np.concatenate([*inner, [ends[-1]]]).tolist()
    if unit == "money":
        return sorted(found)
    return sorted({max(1, round(b)) for b in found})


def _score(forecast: forecast_.Forecast, entry: laws.Entry) -> plan_.LawScore:
    ends, values = entry.fit.interval, entry.fit.parameters
    weight = forecast.weights.get(entry.name, 0.0)
    return plan_.LawScore(
        budget=forecast.amount,
        law=entry.name,
        held_out_error=_or_none(entry.held_out_error),
        mixture_error=_or_none(entry.mixture_error),
        fitted_error=entry.fit.rmse,
        weight=weight,
        chosen=weight > 0,
        parameters={name: (value, *ends[name]) for name, value in values.items()},
        warnings=list(entry.fit.warnings),
    )


def _or_none(error: float) -> float | None:
    return None if np.isnan(error) else error


def _check(
    measurements: pa.Table, strata: Sequence[plan_.Stratum], budgets: Sequence[float]
) -> None:
    measured = sorted(measurements_.strata(measurements))
    given = sorted(s.name for s in strata)
    if measured != given:
        raise errors.PlanError(
            f"measurements are about strata {measured}, the plan about {given}",
            remedy="plan with the strata that were measured, or run the pilots again",
        )
    if not budgets or not np.isfinite(list(budgets)).all() or min(budgets) <= 0:
        raise errors.PlanError(f"budgets {list(budgets)} must be one or more positive numbers")
    empty = [s.name for s in strata if s.supply < 1]
    if empty:
        raise errors.PlanError(f"strata {empty} have no supply", remedy="leave them out")


def _check_room(
    market: spending.Market, amounts: Sequence[float], max_epochs: float | None
) -> None:
    """Refuse budgets that the limits cannot hold, or that buy not a single sample."""
    unit = market.costs.unit
    for amount in reversed(amounts):
        told = wording.amount(amount, unit)
        if market.costs.samples(amount) < 1:
            raise errors.PlanError(f"a budget of {told} trains on nothing", remedy="raise it")
        if unit != "money" and not market.fits(amount):
            total = int(market.costs.supply.sum())
            raise errors.PlanError(
                f"a budget of {told} does not fit max_epochs {max_epochs:g}",
                why=f"all strata together have {total:,} rows, of which plan.shares may leave less",
                remedy="raise max_epochs, add sources or lower the budget",
            )


def _check_lengths(planned: Sequence[plan_.Budget]) -> None:
    for one, other in itertools.combinations(planned, 2):
        if one.samples == other.samples:
            raise errors.PlanError(
                f"budgets {one.amount:,.12g} and {other.amount:,.12g} both come to "
                f"{one.samples:,} samples",
                why="a run names its manifests by their samples",
                remedy="drop one of them: it buys nothing that the other does not",
            )
