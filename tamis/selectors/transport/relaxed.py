"""Unbalanced transport: a dirty source may leave rows behind, at a price."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.transport import costs, masses, sweeps


class Unbalanced(NamedTuple):
    """The solution of min_P <C, P> + epsilon KL(P | ab^T) + rho KL(P1 | a) + rho KL(P^T 1 | b).

    Attributes:
      f: Shape (n,).
      g: Shape (m,).
      value: The objective.
      rows: Shape (n,), P1: the mass that was moved; a - rows is what was left.
      columns: Shape (m,), P^T 1.
      iterations: Pairs of passes.
      change: Of f in the last one, in units of epsilon.
    """

    f: NDArray[np.float64]
    g: NDArray[np.float64]
    value: float
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    iterations: int
    change: float


def unbalanced(
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike | costs.Cost,
    epsilon: float,
    rho: float,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 10_000,
) -> Unbalanced:
    """Entropic transport with marginals held by KL at price rho (Chizat et al. 2018, §4.3).

    f = rho / (rho + epsilon) softmin(C - g), and the same for g; between them both are moved by
    the constants that are best (Séjourné et al. 2022, Prop. 4), without which a large rho
    converges like (rho / (rho + epsilon))^t. A row much farther than rho from everything is left
    behind: its share moved is exp(-f / rho). Time O(n m) a pass, memory O(n + m).

    Args:
      a: Shape (n,), masses; the totals need not agree.
      b: Shape (m,).
      cost: Shape (n, m), or `transport.points`.
      epsilon: Regularisation, in the units of the cost.
      rho: Price of mass that is not matched, in the units of the cost, above 0.
      tolerance: Of the last change of f, in units of epsilon.
      max_iterations: Pairs of passes.

    Raises:
      SchemaError: shapes disagree or a value is not finite.
      ConfigError: epsilon or rho is not above 0.
    """
    known = costs.of(cost)
    left, right = (masses.mass(v, k, s) for v, k, s in zip((a, b), known.shape, "ab", strict=True))
    epsilon = masses.positive(epsilon)
    if not (np.isfinite(rho) and rho > 0):
        raise errors.ConfigError(f"rho is {rho}", remedy="a price above 0, or transport.sinkhorn")
    turned, damp = known.transposed(), rho / (rho + epsilon)
    f, g, used, change = np.zeros(len(left)), np.zeros(len(right)), 0, np.inf
    while change > tolerance and used < max_iterations:
        before, used = f, used + 1
        f = damp * sweeps.softmin(known, g, right, epsilon)
        g = damp * sweeps.softmin(turned, f, left, epsilon)
        shift = rho / 2 * (_soft(left, f, rho) - _soft(right, g, rho))
        f, g = f + shift, g - shift
        change = float(np.abs(f - before).max() / epsilon)
    return _solution(known, left, right, f, g, epsilon, rho)._replace(
        iterations=used, change=change
    )


def _soft(mass: NDArray[np.float64], f: NDArray[np.float64], rho: float) -> float:
    """Log <mass, exp(-f / rho)>."""
    top = float((-f / rho).max())
    return top + float(np.log(mass @ np.exp(-f / rho - top)))


def _solution(
    cost: costs.Cost,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    f: NDArray[np.float64],
    g: NDArray[np.float64],
    epsilon: float,
    rho: float,
) -> Unbalanced:
    """The masses moved, and the dual objective (Séjourné et al. 2022, eq. 3)."""
    rows = a * np.exp((f - sweeps.softmin(cost, g, b, epsilon)) / epsilon)
    columns = b * np.exp((g - sweeps.softmin(cost.transposed(), f, a, epsilon)) / epsilon)
    kept = -rho * float(a @ np.expm1(-f / rho) + b @ np.expm1(-g / rho))
    value = kept - epsilon * (float(rows.sum()) - float(a.sum() * b.sum()))
    return Unbalanced(f, g, value, rows, columns, 0, np.inf)
