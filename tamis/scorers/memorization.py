"""Memorization: how much better a row is predicted for having been trained on.

Feldman & Zhang (2020), What neural networks memorize and why, Eq. 1: mem(i) = P[right on i, trained
on S] - P[right on i, trained on S without i]. High = hard: rare or mislabelled rows, which cannot
be predicted from the others. `tamis.pilots.subsets` estimates it as they do, by models of random
subsets; here is the closed form where there is one:

- ridge regression onto one-hot labels: exact, with leverage h = x'(X'X + lambda I)^-1 x the
  prediction without row i is (f - h y) / (1 - h) (Allen 1974; the PRESS residual);
- multinomial logistic regression: one Newton step from the optimum (Rad & Maleki 2020, A scalable
  estimate of the out-of-sample prediction error, Eq. 7).
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis import linalg
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


def logistic_leave_one_out(
    x: NDArray, labels: NDArray[np.int64], weights: NDArray, *, ridge: float
) -> NDArray[np.float64]:
    """Logits of each row by the logistic regression trained without it, nearly.

    At the optimum of sum_i CE(x_i W', y_i) + ridge/2 ||W||^2 with Hessian H, leaving row i out
    moves its own logits by Q (I - A Q)^-1 (p - y), where Q (c, c) = (x (x) I)' H^-1 (x (x) I) and
    A = diag(p) - p p'.

    Args:
      x: Shape (n, d); a constant feature of its own if there is a bias.
      labels: Shape (n,).
      weights: Shape (c, d), the optimum.
      ridge: Positive.

    Returns:
      Shape (n, c). Time O((d c)^3 + n c (d c)^2), memory O((d c)^2 + n c^2 d): for small problems.
    """
    c, d = weights.shape
    p = linalg.softmax(x @ weights.T)
    curvature = p[:, :, None] * (np.eye(c) - p[:, None, :])  # A, (n, c, c)
    hessian = np.einsum("ni,nab,nj->aibj", x, curvature, x, optimize=True).reshape(c * d, c * d)
    hessian[np.diag_indices(c * d)] += ridge
    inverse = np.linalg.inv(hessian).reshape(c, d, c, d)
    q = np.einsum("ni,aibj,nj->nab", x, inverse, x, optimize=True)
    error = p - np.eye(c)[labels]
    step = np.linalg.solve(np.eye(c) - curvature @ q, error[..., None])
    return x @ weights.T + (q @ step)[..., 0]


@dataclasses.dataclass(frozen=True)
class Memorization(ridge.Classifier):
    """Exact leave-one-out of a ridge classifier on all rows of the supply; O(d^2) a row."""

    name: str = "memorization"

    def hardness(self, rows: ridge.Rows) -> NDArray[np.float64]:
        own = np.take_along_axis(rows.residual, rows.classes[:, None], 1)[:, 0]
        return memorization(rows.leverage, own)
