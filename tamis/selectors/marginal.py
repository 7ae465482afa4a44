"""What to collect next: how the predicted error would change with more unique rows of a stratum."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tamis.schemas import plan as plan_
from tamis.selectors import forecast as forecast_
from tamis.selectors.forecast import Training

ROWS = 1000

# The best training near another for another supply (k,).
Replan = Callable[[forecast_.Forecast, Training, NDArray[np.float64]], Training]


def values(
    forecast: forecast_.Forecast,
    strata: Sequence[plan_.Stratum],
    chosen: Training,
    replan: Replan,
) -> list[plan_.Marginal]:
    """One per stratum, in their order.

    `per_row` is a finite difference of one row at the chosen shares, which by the envelope theorem
    is the slope of the optimum; `per_1000_rows` plans the shares again, because a thousand rows of
    a scarce stratum are far from small.

    Args:
      forecast: For the budget.
      strata: In the order of the shares.
      chosen: The training.
      replan: Finds the training for another supply.
    """
    before = forecast.expected(chosen)
    found = []
    for i, stratum in enumerate(strata):
        axis = np.eye(len(strata))[i]
        one, many = (chosen._replace(supply=chosen.supply + m * axis) for m in (1, ROWS))
        moved = replan(forecast, many, many.supply)
        change = min(float(forecast.expected(moved)), float(forecast.expected(many))) - before
        found.append(
            plan_.Marginal(
                stratum=stratum.name,
                per_row=float(forecast.expected(one) - before),
                per_1000_rows=float(change),
                interval=_interval(forecast, chosen, (moved, many), float(change)),
            )
        )
    return found


def _interval(
    forecast: forecast_.Forecast,
    before: Training,
    after: Sequence[Training],
    change: float,
) -> plan_.Interval:
    """Quantiles over the laws that the pilots leave open, all at the same shares."""

    def every(training: Training) -> NDArray[np.float64]:
        return np.append(forecast.drawn(training), forecast.predict(training))

    changes = np.min([every(t) for t in after], axis=0) - every(before)
    tail = (1 - plan_.LEVEL) / 2
    low, high = np.quantile(changes, [tail, 1 - tail]).tolist()
    return min(low, change), max(high, change)
