"""How far a potential can be from the best one: a coupling that is feasible, and its objective.

The coupling P = diag(a) Q of a sweep has the rows right and the columns c wrong. Altschuler et
al. (2017, Algorithm 2) make it feasible: scale the columns that got too much, and spread what is
missing as a product,

    P' = P diag(s) + r q^T / delta,  s = min(1, b / c),  r and q what rows and columns still lack.

Its objective is above the optimum, as every dual value is below it.
"""

import numpy as np
from numpy.typing import NDArray

from tamis.selectors.transport import costs, sweeps


def upper(
    cost: costs.Cost,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    g: NDArray[np.float64],
    epsilon: float,
    columns: NDArray[np.float64],
) -> float:
    """An upper bound of min_P <C, P> + epsilon KL(P | a b^T), for probabilities a and b.

    P' is a mean of two couplings and KL is convex, so the two are charged apart; the first one's
    charge is <P, f + g> and needs no entry of C. Two passes. Exact but for rounding and for
    `cost.error`, which the caller adds.

    Args:
      cost: Shape (n, m).
      a: Shape (n,), sum 1.
      b: Shape (m,), sum 1.
      g: Shape (m,).
      epsilon: Above 0.
      columns: Shape (m,), the column marginal at g.
    """
    scale = np.divide(b, columns, out=np.ones_like(b), where=columns > b)
    swept = sweeps.sweep(cost, g, b=b, epsilon=epsilon, weights=a, values=scale)
    rows, kept = a * swept.mean, columns * scale
    r, q = np.maximum(a - rows, 0), np.maximum(b - kept, 0)
    first = rows @ swept.f + kept @ g + epsilon * (kept @ np.log(scale))
    delta = float(r.sum())
    if delta <= 0 or q.sum() <= 0:
        return float(first)
    r, q = r / delta, q / q.sum()
    second = r @ costs.product(cost, q) + epsilon * (_relative(r, a) + _relative(q, b))
    return float(first - epsilon * (1 - delta) * np.log1p(-delta) + delta * second)


def _relative(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """KL(p | q) where p has mass."""
    some = p > 0
    return float(p[some] @ np.log(p[some] / q[some]))
