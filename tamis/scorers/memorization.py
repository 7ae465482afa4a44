"""Memorization: how much better a row is predicted for having been trained on.

Feldman & Zhang (2020), What neural networks memorize and why, Eq. 1: mem(i) = P[right on i, trained
on S] - P[right on i, trained on S without i]. High = hard: rare or mislabelled rows, which cannot
be predicted from the others. `tamis.pilots.subsets` estimates it as they do, by models of random
subsets; here is the closed form for ridge regression onto one-hot labels. It is exact: with
leverage h = x'(X'X + lambda I)^-1 x the prediction without row i is (f - h y) / (1 - h) (Allen
1974; the PRESS residual).
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis.scorers import ridge


def memorization(
    leverage: NDArray[np.float64], residual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much the prediction of a row's own class falls when the row is left out.

    f - (f - h y) / (1 - h) with y = 1, that is h (1 - f) / (1 - h).

    Args:
      leverage: Shape (n,), h in [0, 1).
      residual: Shape (n,), 1 - f: what the ridge classifier misses of the own class's 1.

    Returns:
      Shape (n,); below 0 where the own class is predicted above 1.
    """
    return leverage * residual / (1 - leverage)


@dataclasses.dataclass(frozen=True)
class Memorization(ridge.Classifier):
    """Exact leave-one-out of a ridge classifier on all rows of the supply; O(d^2) a row."""

    name: str = "memorization"

    def hardness(self, rows: ridge.Rows) -> NDArray[np.float64]:
        own = np.take_along_axis(rows.residual, rows.classes[:, None], 1)[:, 0]
        return memorization(rows.leverage, own)
