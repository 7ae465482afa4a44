"""The null: a power law that knows nothing of repetition."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol


@dataclasses.dataclass(frozen=True)
class Power:
    """Error d + A(w) n^-alpha with A(w) = prod_i A_i^{w_i}; the supply plays no part.

    The mixture changes the factor alone (Fernandes et al. 2023, 2302.09650, Eq. 13.5 of our notes);
    between strata its logarithm is linear in the shares.

    Attributes:
      a: Factor of each stratum, positive, shape (k,).
      alpha: Exponent, positive.
      d: Irreducible error.
    """

    name: ClassVar[str] = "Power"
    a: Sequence[float]
    alpha: float
    d: float

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, _ = protocol.broadcast(weights, samples, supply, k=len(self.a))
        factor = np.exp(w @ np.log(np.asarray(self.a, np.float64)))
        return self.d + factor * n[..., 0] ** -self.alpha

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        """About chance at the shortest run, falling with n^-0.3 to somewhere below half of it."""
        k = cells.k
        start = np.log(cells.chance) + 0.3 * np.log(cells.samples.min())
        return protocol.Prior(
            names=(*(f"a[{s}]" for s in cells.names), "alpha", "d"),
            mean=np.array([start] * k + [np.log(0.3), -0.5]),
            scale=np.array([2.0] * k + [1.0, 1.5]),
        )

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        *a, alpha, d = cls.values(vector, cells).tolist()
        return cls(tuple(a), alpha, d)

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        return np.append(np.exp(vector[:-1]), cells.chance * protocol.logistic(vector[-1]))

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        return np.empty((0, cells.k + 2))
