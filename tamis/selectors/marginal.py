"""What to collect next: how the predicted error would change with more unique rows of a stratum."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import plan as plan_
from tamis.selectors import costs as costs_
from tamis.selectors import forecast as forecast_
from tamis.selectors.forecast import Training

Floats = NDArray[np.float64]

ROWS = 1000

# The best training near another for another supply (k,).
Replan = Callable[[forecast_.Forecast, Training, Floats], Training]


def values(
    forecast: forecast_.Forecast,
    strata: Sequence[plan_.Stratum],
    chosen: Training,
    costs: costs_.Costs,
    replan: Replan,
) -> list[plan_.Marginal]:
    """One per stratum, in their order.

    `per_row` is a finite difference of one row at the chosen shares, which by the envelope theorem
    is the slope of the optimum; `per_1000_rows` plans the shares again, because a thousand rows of
    a scarce stratum are far from small. Intervals are over the laws that the pilots leave open, all
    at the same shares.

    In a budget of money a row has to be paid by money taken from elsewhere: from where one unit
    more now does most, so that `per_row` is slope - price * (best slope per money), the derivative
    of the constrained optimum with respect to the supply. It is 0 where rows are left to buy.

    Args:
      forecast: For the budget.
      strata: In the order of the shares.
      chosen: The training; of a stratum that money buys, its supply are the rows bought.
      costs: Of rows and samples; its supply is what is on offer.
      replan: Finds the training for another supply.
    """
    offered = costs.supply.astype(np.float64)
    before = forecast.every(chosen)
    slopes = _slopes(forecast, chosen, before)
    worth = _worth(forecast, chosen, costs, before, slopes)
    start = replan(forecast, chosen, offered) if costs.unit == "money" else chosen
    base = _best(forecast, [start, chosen])
    found = []
    for i, stratum in enumerate(strata):
        row, price = _at_same_spend(slopes, worth, costs, chosen, i), float(costs.row[i])
        many = _changes(forecast, base, i, offered, costs.unit, replan)
        paid = slopes[i] / price if price else None
        found.append(
            plan_.Marginal(
                stratum=stratum.name,
                per_row=float(row.mean()),
                per_row_interval=_told(row),
                per_1000_rows=float(many.mean()),
                interval=_told(many),
                per_money=None if paid is None else float(paid.mean()),
                per_money_interval=None if paid is None else _told(paid),
            )
        )
    return found


def _slopes(forecast: forecast_.Forecast, chosen: Training, before: Floats) -> Floats:
    """What one more row of each stratum, for nothing, changes by each draw: shape (k, draws)."""
    axes = np.eye(len(chosen.shares))
    return np.array(
        [forecast.every(chosen._replace(supply=chosen.supply + a)) - before for a in axes]
    )


def _worth(
    forecast: forecast_.Forecast,
    chosen: Training,
    costs: costs_.Costs,
    before: Floats,
    slopes: Floats,
) -> Floats:
    """What one more unit of money changes by each draw where it does most: shape (draws,).

    It buys rows of a stratum, or trains longer, on the same rows or on more of all that are left:
    where every row is seen once, neither alone does anything.
    """
    left = (costs.row > 0) & (chosen.supply < costs.supply)
    ways = [slopes[i] / costs.row[i] for i in np.flatnonzero(left)]
    for grown in (np.zeros(len(left)), left * (chosen.shares > 0) * chosen.supply / chosen.samples):
        price = costs.training + float(grown @ costs.row)
        longer = chosen._replace(samples=chosen.samples + 1, supply=chosen.supply + grown)
        if price:
            ways.append((forecast.every(longer) - before) / price)
    return min([np.zeros(len(before)), *ways], key=lambda change: float(change.mean()))


def _at_same_spend(
    slopes: Floats, worth: Floats, costs: costs_.Costs, chosen: Training, i: int
) -> Floats:
    """What one more row of stratum i on offer changes by each draw: shape (draws,)."""
    if costs.unit != "money":
        return np.asarray(slopes[i])
    change = slopes[i] - costs.row[i] * worth
    bought_out = chosen.supply[i] >= costs.supply[i]
    return change if bought_out and change.mean() < 0 else np.zeros_like(change)


def _changes(
    forecast: forecast_.Forecast,
    base: Training,
    i: int,
    offered: Floats,
    unit: plan_.Unit,
    replan: Replan,
) -> Floats:
    """What a thousand rows of stratum i change by each draw: shape (draws,)."""
    axis = np.eye(len(offered))[i]
    more = offered + ROWS * axis
    kept = base if unit == "money" else base._replace(supply=more)
    after = _best(forecast, [replan(forecast, kept, more), kept])
    return np.asarray(forecast.every(after) - forecast.every(base))


def _told(changes: Floats) -> plan_.Interval:
    """Of changes by each draw, shape (draws,)."""
    low, high = forecast_.ends(changes, changes.mean()).tolist()
    return low, high


def _best(forecast: forecast_.Forecast, trainings: Sequence[Training]) -> Training:
    return min(trainings, key=lambda t: float(forecast.expected(t)))
