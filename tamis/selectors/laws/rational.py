"""Hashimoto (2021), Model performance scaling with multiple data sources (ICML): a rational law."""

import dataclasses
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import protocol

_APART = 2.0  # in logs: how much more a source tells of its own part, where a search starts


@dataclasses.dataclass(frozen=True, eq=False)
class Rational:
    """Error d + n^-alpha sum_i 1 / sum_j lambda_ij w_j; the supply plays no part.

    From the theory of optimal experimental design: the error of an estimator is the trace of an
    inverse information matrix, which is linear in the mixture; lambda is its diagonal form. There
    are as many terms as sources. Hashimoto predicts the logarithm of the loss above its floor,
    which is the same law; the least squares here are in error.

    Attributes:
      information: lambda, positive, shape (k, k), a term a row.
      alpha: Exponent, positive.
      d: Irreducible error.
    """

    name: ClassVar[str] = "Rational"
    information: NDArray[np.float64]
    alpha: float
    d: float

    def predict(
        self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike
    ) -> NDArray[np.float64]:
        w, n, _ = protocol.broadcast(weights, samples, supply, k=len(self.information))
        terms = 1 / (w @ self.information.T)
        return self.d + n[..., 0] ** -self.alpha * terms.sum(-1)

    def gradient(
        self, weights: ArrayLike, samples: float, supply: ArrayLike
    ) -> NDArray[np.float64]:
        """Of the prediction in the weights: shape (k,)."""
        terms = 1 / (self.information @ np.asarray(weights, np.float64))
        return np.asarray(-(samples**-self.alpha) * (terms**2 @ self.information))

    @classmethod
    def prior(cls, cells: cells_.Cells) -> protocol.Prior:
        """Every source tells the same at first; n^-0.3, and d as for a power law."""
        k = cells.k
        start = np.log(k / cells.chance) - 0.3 * np.log(cells.samples.min())
        return protocol.Prior(
            names=(*(f"lambda[{i},{s}]" for i in range(k) for s in cells.names), "alpha", "d"),
            mean=np.array([start] * k**2 + [np.log(0.3), -0.5]),
            scale=np.array([2.0] * k**2 + [1.0, 1.5]),
        )

    @classmethod
    def from_vector(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> Self:
        values = cls.values(vector, cells)
        return cls(values[:-2].reshape(cells.k, cells.k), float(values[-2]), float(values[-1]))

    @classmethod
    def values(cls, vector: NDArray[np.float64], cells: cells_.Cells) -> NDArray[np.float64]:
        return np.append(np.exp(vector[:-1]), cells.chance * protocol.logistic(vector[-1]))

    @classmethod
    def starts(cls, cells: cells_.Cells) -> NDArray[np.float64]:
        """Each source telling most of a part of its own: without it all terms stay the same."""
        own = _APART * (2 * np.eye(cells.k) - 1).reshape(-1)
        return (cls.prior(cells).mean + np.append(own, [0, 0]))[None]
