"""What to collect next: how the predicted error would change with more unique rows of a stratum."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import plan as plan_
from tamis.selectors import forecast as forecast_

ROWS = 1000

# The best shares that a forecast of another supply would choose, from those of this one.
Replan = Callable[[forecast_.Forecast, NDArray[np.float64]], NDArray[np.float64]]


def values(
    forecast: forecast_.Forecast,
    strata: Sequence[plan_.Stratum],
    shares: NDArray[np.float64],
    replan: Replan,
) -> list[plan_.Marginal]:
    """One per stratum, in their order.

    `per_row` is a finite difference of one row at the chosen shares, which by the envelope theorem
    is the slope of the optimum; `per_1000_rows` plans the shares again, because a thousand rows of
    a scarce stratum are far from small.

    Args:
      forecast: For the budget.
      strata: In the order of the shares.
      shares: Shape (k,), the chosen ones.
      replan: Finds the shares for another supply.
    """
    n = forecast.budget
    before = forecast.expected(shares, n)
    found = []
    for i, stratum in enumerate(strata):
        axis = np.eye(len(strata))[i]
        one, many = _with(forecast, axis), _with(forecast, ROWS * axis)
        moved = replan(many, shares)
        change = min(float(many.expected(moved, n)), float(many.expected(shares, n))) - before
        found.append(
            plan_.Marginal(
                stratum=stratum.name,
                per_row=float(one.expected(shares, n) - before),
                per_1000_rows=float(change),
                interval=_interval(forecast, many, shares, moved, float(change)),
            )
        )
    return found


def _with(forecast: forecast_.Forecast, more: NDArray[np.float64]) -> forecast_.Forecast:
    return dataclasses.replace(forecast, supply=forecast.supply + more)


def _interval(
    before: forecast_.Forecast,
    after: forecast_.Forecast,
    shares: NDArray[np.float64],
    moved: NDArray[np.float64],
    change: float,
) -> plan_.Interval:
    """Quantiles over the laws that the pilots leave open, all at the same shares."""
    n, open_ = before.budget, (before.winner.fit.law, *before.draws)
    changes = [
        min(float(law.predict(w, n, after.supply)) for w in (moved, shares))
        - float(law.predict(shares, n, before.supply))
        for law in open_
    ]
    tail = (1 - plan_.LEVEL) / 2
    low, high = np.quantile(changes, [tail, 1 - tail]).tolist()
    return min(low, change), max(high, change)
