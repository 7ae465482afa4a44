"""The fitted laws as curves: error of each stratum alone, and what one more sample is worth."""

from collections.abc import Sequence

import numpy as np

from tamis.schemas import plan as plan_
from tamis.selectors.forecast import Forecast, Training

_POINTS = 33


def curves(forecast: Forecast, strata: Sequence[plan_.Stratum]) -> list[plan_.Fitted]:
    """One for each stratum: from the shortest pilot to the longest, and on to the budget.

    Utility is -d log error / d log samples, Goyal et al.'s (2024) rate b of a local power law: what
    another sample is worth, in error's own units; where it is below 0 the error rises.
    """
    cells = forecast.cells
    longest = max(float(cells.samples.max()), float(forecast.samples))
    n = np.geomspace(cells.samples.min(), longest, _POINTS)
    supply = np.array([s.supply for s in strata], np.float64)
    found = []
    for stratum, alone in zip(strata, np.eye(len(strata)), strict=True):
        training = Training(np.repeat(alone[None], len(n), axis=0), n, supply)
        error = forecast.predict(training)
        every = np.concatenate([error[None], forecast.drawn(training)])
        worth = -np.gradient(np.log(np.maximum(every, 1e-9)), np.log(n), axis=1)
        tail = (1 - plan_.LEVEL) / 2
        ends, reach = (np.quantile(x, [tail, 1 - tail], axis=0) for x in (every, worth))
        found.append(
            plan_.Fitted(
                stratum=stratum.name,
                supply=stratum.supply,
                samples=n.tolist(),
                error=error.tolist(),
                error_ends=ends.T.tolist(),
                utility=worth[0].tolist(),
                utility_ends=reach.T.tolist(),
            )
        )
    return found
