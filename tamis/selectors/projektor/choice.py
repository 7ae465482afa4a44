"""Which predictor: each is judged on trainings it has not seen, never on the size wanted."""

import dataclasses
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tamis import errors, seeding
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import competition
from tamis.selectors.laws.protocol import Law
from tamis.selectors.projektor.coverage import Coverage
from tamis.selectors.projektor.geometry import Geometry
from tamis.selectors.projektor.regression import TRANSPORT, Regression

WIDTHS = (0.1, 1.0)  # of a coefficient a priori, in error: the ridges of the regressions
DRAWS = 12


def regressions(geometry: Geometry) -> tuple[type[Law], ...]:
    """Stage 1 in both forms of the paper, each with every ridge."""
    pairs = [(form, width) for form in TRANSPORT for width in WIDTHS]
    return tuple(Regression.over(geometry, form, width) for form, width in pairs)


def rank(
    measurements: pa.Table | cells_.Cells, laws: tuple[type[Law], ...], *, seed: int = 0
) -> list[competition.Entry]:
    """Laws by how far they miss each mixture when fitted without it, over all sizes.

    Unlike `laws.compete`, which holds out the longest runs: with two sizes a regression that has
    seen one cannot know how error changes.

    Raises:
      PlanError: fewer than three mixtures, or one size only.
    """
    cells = cells_.of(measurements)
    sizes, mixtures = np.unique(cells.samples), np.unique(cells.weights, axis=0)
    if len(sizes) < 2:
        raise errors.PlanError(
            f"only one scale, {sizes[0]:g}",
            why="how performance changes with size cannot be told from one size",
            remedy="train some mixtures at a second size, at least 1.5 times the first",
        )
    if len(mixtures) < 3:
        raise errors.PlanError(
            f"{len(mixtures)} mixtures",
            why="one is left out in turn, and two others must be left",
            remedy="train at least three mixtures, better twice as many as sources",
        )
    entries = competition.compete(cells, laws=laws, seed=seed)
    return sorted(entries, key=lambda e: e.mixture_error)


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Performance of any mixture at any size, from a few small trainings.

    Attributes:
      entries: The regressions of the paper and `Coverage`, by held-out error; the first predicts.
      draws: The first with parameters drawn from what the trainings leave open.
    """

    entries: tuple[competition.Entry, ...]
    draws: tuple[Law, ...]

    @classmethod
    def fit(
        cls, measurements: pa.Table | cells_.Cells, geometry: Geometry, *, seed: int = 0
    ) -> Self:
        """Fit every candidate and keep the best by cross-validation over mixtures.

        Args:
          measurements: See `tamis.schemas.measurements`; two sizes or more, three mixtures or more.
          geometry: With a measure of every stratum.
          seed: Of random starts and draws.

        Raises:
          PlanError: measurements are unusable, or a stratum has no measure.
        """
        found = rank(measurements, (Coverage.over(geometry), *regressions(geometry)), seed=seed)
        rng = seeding.generator(seed, "projektor", "draws")
        return cls(tuple(found), tuple(found[0].fit.draws(DRAWS, rng)))

    @property
    def best(self) -> competition.Entry:
        return self.entries[0]

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        """Error of mixtures (..., k) at a size, as `Law.predict`."""
        return self.best.fit.law.predict(weights, samples, supply)

    def interval(
        self, weights: ArrayLike, samples: float, supply: ArrayLike, *, level: float = 0.9
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Low and high end for one training: shape (...,) each.

        Parameters (over the draws, which grow with the distance from the sizes trained), what the
        law misses on mixtures it has not seen, and the seed.
        """
        if not 0 < level < 1:
            raise errors.PlanError(f"level {level}", remedy="a probability inside (0, 1)")
        middle = self.predict(weights, samples, supply)
        drawn = [law.predict(weights, samples, supply) for law in self.draws]
        missed = np.hypot(self.best.mixture_error, self.best.fit.cells.noise_at(samples))
        deviation = np.sqrt(np.var(drawn, axis=0, ddof=1) + missed**2)
        reach = float(stats.t.ppf(0.5 + level / 2, DRAWS - 1)) * deviation
        return np.maximum(middle - reach, 0), middle + reach
