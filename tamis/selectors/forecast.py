"""What is believed about one budget: the law that won on the pilots it may see, and its doubt."""

import bisect
import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamis import errors, seeding
from tamis.schemas import plan as plan_
from tamis.selectors import laws
from tamis.selectors.laws import cells as cells_

_DRAWS = 12
_REACH = float(stats.norm.ppf(0.5 + plan_.LEVEL / 2))


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Predictions for trainings of about one length.

    Attributes:
      budget: The length it was made for.
      supply: Shape (k,).
      entries: The competition, the winner first.
      draws: The winner with parameters drawn from what the pilots leave open.
    """

    budget: int
    supply: NDArray[np.float64]
    entries: tuple[laws.Entry, ...]
    draws: tuple[laws.Law, ...]

    @property
    def winner(self) -> laws.Entry:
        return self.entries[0]

    def predict(self, shares: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
        """Predicted error of shares (..., k)."""
        return self.winner.fit.law.predict(shares, samples, self.supply)

    def expected(self, shares: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
        """Predicted error averaged over what the pilots leave open: what a choice minimises.

        A choice made on the single best fit chases its noise; averaged over the draws, only what
        the pilots agree on counts, and shares whose worth is unsure are hedged.
        """
        drawn = [law.predict(shares, samples, self.supply) for law in self.draws]
        return np.mean([self.predict(shares, samples), *drawn], axis=0)

    def deviation(self, shares: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
        """Standard deviation of one training run around its prediction.

        Parameters (over the draws), the law's error on held-out lengths, and the seed.
        """
        fit = self.winner.fit
        missed = np.nan_to_num(self.winner.held_out_error, nan=fit.rmse)
        drawn = [law.predict(shares, samples, self.supply) for law in self.draws]
        return np.sqrt(np.var(drawn, axis=0) + missed**2 + fit.cells.noise_at(samples) ** 2)


def forecast(
    cells: cells_.Cells,
    supply: NDArray[np.float64],
    budget: int,
    *,
    max_fraction: float,
    seed: int,
    competing: tuple[type[laws.Law], ...] = laws.LAWS,
) -> Forecast:
    """Hold the competition on the runs that a budget may use.

    Raises:
      PlanError: no run is short enough.
    """
    allowed = cells.samples <= budget * max_fraction
    if allowed.sum() < 2:
        raise errors.PlanError(
            f"budget {budget:,}: fewer than two measurements it may use",
            why=f"only runs of at most {max_fraction:g} x {budget:,} samples count, and the "
            f"shortest has {int(cells.samples.min()):,}",
            remedy="measure shorter runs, raise max_fraction or drop this budget",
        )
    entries = laws.compete(cells.where(allowed), laws=competing, seed=seed)
    rng = seeding.generator(seed, "draws", budget)
    return Forecast(budget, supply, tuple(entries), tuple(entries[0].fit.draws(_DRAWS, rng)))


@dataclasses.dataclass(frozen=True)
class Outlook:
    """Forecasts for planned budgets, blended in log samples in between, so no curve has steps.

    Attributes:
      forecasts: Ascending in budget.
    """

    forecasts: Sequence[Forecast]

    def expected(self, shares: NDArray[np.float64], samples: float) -> NDArray[np.float64]:
        return np.sum([p * f.expected(shares, samples) for f, p in self._near(samples)], axis=0)

    def interval(self, shares: NDArray[np.float64], samples: float) -> tuple[float, float]:
        """Of one training run, for shares (k,)."""
        middle = float(self.expected(shares, samples))
        pairs = self._near(samples)
        reach = _REACH * float(sum(p * f.deviation(shares, samples) for f, p in pairs))
        return max(0.0, middle - reach), middle + reach

    def _near(self, samples: float) -> list[tuple[Forecast, float]]:
        budgets = [f.budget for f in self.forecasts]
        above = bisect.bisect_left(budgets, samples)
        if above == 0:
            return [(self.forecasts[0], 1.0)]
        if above == len(budgets):
            return [(self.forecasts[-1], 1.0)]
        low, high = self.forecasts[above - 1], self.forecasts[above]
        part = float(np.log(samples / low.budget) / np.log(high.budget / low.budget))
        return [(low, 1 - part), (high, part)]
