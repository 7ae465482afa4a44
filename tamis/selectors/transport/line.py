"""Transport on the real line, in closed form."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.transport import masses


def line_cost(
    x: ArrayLike, y: ArrayLike, *, a: ArrayLike | None = None, b: ArrayLike | None = None,
    power: float = 2.0,
) -> float:  # fmt: skip
    """The cost |x - y|^power of the best coupling of two sets of numbers.

    int_0^1 |F^-1(t) - G^-1(t)|^power dt with the quantile functions (Peyré & Cuturi 2019, 2.30).

    Time O((n + m) log(n + m)).

    Args:
      x: Shape (n,), finite.
      y: Shape (m,), finite.
      a: Shape (n,), masses; equal and of sum 1 without.
      b: Shape (m,), masses of the same total.
      power: At least 1, where the cost is convex and the monotone coupling best.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
      ConfigError: power is below 1.

    >>> line_cost([0.0, 1.0], [1.0, 3.0], power=1)
    1.5
    """
    left, right = (masses.vector(v, np.size(v), s) for v, s in ((x, "x"), (y, "y")))
    if not power >= 1:
        raise errors.ConfigError(
            f"power is {power}",
            why="below 1 the cost is concave and the monotone coupling is not the best",
            remedy="use 1 or 2, or transport.exact",
        )
    n, m = len(left), len(right)
    mass_a, mass_b = masses.balanced(
        np.full(n, 1 / n) if a is None else a, np.full(m, 1 / m) if b is None else b, (n, m)
    )
    (x_sorted, up_to_x), (y_sorted, up_to_y) = _sorted(left, mass_a), _sorted(right, mass_b)
    levels = np.union1d(up_to_x, up_to_y)
    width = np.diff(levels, prepend=0.0)
    i = np.minimum(np.searchsorted(up_to_x, levels), n - 1)
    j = np.minimum(np.searchsorted(up_to_y, levels), m - 1)
    return float(width @ np.abs(x_sorted[i] - y_sorted[j]) ** power)


def _sorted(
    x: NDArray[np.float64], a: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(x, kind="stable")
    return x[order], np.cumsum(a[order])
