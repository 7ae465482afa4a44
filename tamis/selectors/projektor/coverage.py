"""Our law of mixtures: how many rows there are about every part of the target.

Error is local. About the part z of the target, n samples of a mixture w hold

    rows_z = sum_i strength_i reach_i(z) effective(n w_i, supply_i)

rows that tell something of it, where reach_i(z) is the density of source i there over that of the
target itself (`geometry.reach`). What is wrong there falls from a ceiling to a floor,

    error(w, n) = sum_z target(z) [ floor + (ceiling - floor) / (1 + exp(u(x_z))) ]
    u(x)  = alpha log(1 + e^x) - beta log(1 + e^-x)
    x_z   = log(rows_z / half) + gamma log(rows_z / n):

a power law rows^-alpha where error is small, and one of its own for the first rows of a part that
was all wrong (slope beta below `half`, alpha above it). gamma is for a part that is rare in the
mixture and therefore outvoted by the others, whatever its rows. A repeated row counts less and
less (Muennighoff et al. 2023, 2305.16264, eq. 5: rows + rows repeats (1 - exp(-again / repeats))).

Relations. -log of the density is the dual potential of entropic transport with a free source
marginal, so this predicts by transport as Kang et al. (2023, projektor) do, but with the potential
of every part of the target in place of their mean, and without iterations. With gamma = 0 and an
error in proportion to exp(-x) it is the rational law of Hashimoto (2021), whose coefficients
lambda_iz are fitted there and measured from the sources here. Therefore it learns about size from
mixtures: a source with a twentieth of its rows about z is at full size what another is at a small
one, and two scales a factor 1.5 apart suffice.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol
from tamis.selectors.projektor.geometry import Geometry

SPREAD = 0.1  # of the log of what a row of a stratum is worth, before any training
_THIN = 1e-9  # of a share: a part that nothing reaches is as wrong as can be


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The law above; `over(geometry)` is the class to fit.

    Attributes:
      names: Strata, in the order of the weights.
      alpha: Exponent of size where rows abound, positive.
      beta: Exponent of the first rows, positive.
      gamma: How much a rare part is outvoted, positive.
      half: Rows about a part at which half of what can be wrong there is.
      floor: Error where rows abound.
      ceiling: Error where there are none, above the floor.
      width: Of the kernel, in units of the median cost.
      repeats: Repeats after which another says 1/e of what the first repeat said.
      strength: What a row of each stratum is worth, shape (k,).
    """

    name: ClassVar[str] = "Coverage"
    geometry: ClassVar[Geometry]
    names: tuple[str, ...]
    alpha: float
    beta: float
    gamma: float
    half: float
    floor: float
    ceiling: float
    width: float
    repeats: float
    strength: tuple[float, ...]

    @classmethod
    def over(cls, geometry: Geometry) -> type[Self]:
        """The law about these sources."""
        return type(cls.__name__, (cls,), {"geometry": geometry})

    def about(self, geometry: Geometry, strength: Mapping[str, float]) -> "Coverage":
        """The same law about other strata: the same rows cut again, or new ones; no training.

        Args:
          geometry: Over the same prototypes, with a measure of each.
          strength: What a row of each stratum is worth, in order: of the one that it was cut from,
            or 1, the middle of the prior, where no training has seen it.
        """
        mine = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        mine |= {"names": tuple(strength), "strength": tuple(strength.values())}
        return type(self).over(geometry)(**mine)

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, m = protocol.broadcast(weights, samples, supply, k=len(self.names))
        rows = effective(n * w, m, self.repeats) @ self._worth
        local = self.floor + (self.ceiling - self.floor) * protocol.logistic(-self._u(rows, n)[0])
        return local @ self.geometry.target.mass

    def gradient(
        self, weights: ArrayLike, samples: float, supply: ArrayLike
    ) -> NDArray[np.float64]:
        """Of the prediction in the weights, all of them free: shape (k,)."""
        w, n, m = protocol.broadcast(weights, samples, supply, k=len(self.names))
        worth, seen = self._worth, n * w
        rows = effective(seen, m, self.repeats) @ worth
        u, by_x = self._u(rows, n)
        wrong = protocol.logistic(-u)
        by_log = (self.floor - self.ceiling) * wrong * (1 - wrong) * by_x * (1 + self.gamma)
        by_rows = by_log / (rows + _THIN * n) * self.geometry.target.mass
        again = np.maximum(seen / np.maximum(m, 1) - 1, 0)
        return n * np.exp(-again / self.repeats) * (by_rows @ worth.T)

    @functools.cached_property
    def _worth(self) -> NDArray[np.float64]:
        """Rows about each part that a row of each stratum is worth: shape (k, p)."""
        reach = self.geometry.reach(self.names, self.width)
        return np.asarray(np.array(self.strength)[:, None] * reach)

    def _u(
        self, rows: NDArray[np.float64], n: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """u(x) of the rows about each part, shape (..., p), and its slope."""
        x = np.log(rows / n + _THIN) * (1 + self.gamma) + np.log(n / self.half)
        u = self.alpha * np.logaddexp(0, x) - self.beta * np.logaddexp(0, -x)
        above = protocol.logistic(x)
        return u, self.alpha * above + self.beta * (1 - above)

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        """Exponents of classifiers' learning curves; half of the best error seen is there to stay.

        The size of `half` is free; strata are worth about the same. Widths were chosen on other
        trainings than those of the benchmark (200 and 300 rows to 2,000, 500 and 750 to 5,000).
        """
        best = float(np.clip(cells.error.min(), 1e-3, 0.999))
        middle = float(np.log(cells.samples).mean())
        given = {
            "alpha": (np.log(0.3), 0.4),
            "beta": (np.log(1.5), 0.4),
            "gamma": (np.log(0.5), 0.3),
            "half": (middle - 2, 2.0),
            "floor": (np.log(best / (2 - best)), 0.6),
            "ceiling": cls._alone(),
            "width": (np.log(0.1), 0.3),
            "repeats": (np.log(5), 1.0),
            **{f"strength[{s}]": (0.0, SPREAD) for s in cells.names},
        }
        mean, scale = np.array(list(given.values())).T
        return protocol.Prior(tuple(given), mean, scale)

    @classmethod
    def _alone(cls) -> tuple[float, float]:
        """Of the ceiling's logit: a class without rows is wrong, an unknown text may be right."""
        return (0.0, 1.5) if cls.geometry.classes is None else (3.0, 1.0)

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        values = cls.values(vector, cells).tolist()
        alpha, beta, gamma, half, floor, ceiling, width, repeats = values[:8]
        return cls(
            cells.names, alpha, beta, gamma, half, floor, ceiling, width, repeats, tuple(values[8:])
        )

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        out = np.exp(vector)
        floor, part = protocol.logistic(vector[4:6])
        out[4:6] = floor, floor + (1 - floor) * part
        return out

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        return np.empty((0, cells.k + 8))


def effective(
    seen: NDArray[np.float64], supply: NDArray[np.float64], repeats: float
) -> NDArray[np.float64]:
    """Samples of a stratum in units of fresh rows: never above rows (1 + repeats).

    Args:
      seen: Shape (..., k), samples of each stratum.
      supply: Shape (..., k), its unique rows.
      repeats: Scale of the decay.
    """
    fresh = np.minimum(seen, supply)
    again = (seen - fresh) / np.maximum(fresh, 1)
    return fresh * (1 + repeats * -np.expm1(-again / repeats))
