"""The value of transport alone, from whichever method is fastest for the size."""

import importlib.util
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from tamis.selectors.transport import costs, masses, nearly, simplex

# Entries of the cost up to which an exact value takes some seconds: 4,000 x 4,000.
_EXACT = 1 << 24


class Distance(NamedTuple):
    """The least <C, P>.

    Attributes:
      value: It, or the upper end where it was bracketed.
      lower: Never above it.
      method: Who found it.
    """

    value: float
    lower: float
    method: str


def distance(
    a: ArrayLike, b: ArrayLike, cost: ArrayLike | costs.Cost, *, tolerance: float = 0.01
) -> Distance:
    """Unregularised transport where no duals and no coupling are wanted.

    Up to 16 M entries: scipy's assignment for equal masses on equally many rows, else POT's network
    simplex (Bonneel et al. 2011) as `ot.emd2` calls it, where POT is installed, which below that
    size is simply the one to call; `exact` without it. Above: `approximate`, whose time grows with
    n m and not with n^2.5.

    Args:
      a: Shape (n,), masses; zeros are fine.
      b: Shape (m,), of the same total.
      cost: Shape (n, m), or `transport.points`.
      tolerance: Of a bracket, as a share of its lower end.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
    """
    known = costs.of(cost)
    if np.prod(known.shape) > _EXACT:
        found = nearly.approximate(a, b, known, tolerance=tolerance)
        return Distance(found.upper, found.lower, "approximate")
    left, right = masses.balanced(a, b, known.shape)
    if simplex.equal(left, right):
        matrix = simplex.whole(known)
        row, column = optimize.linear_sum_assignment(matrix)
        value = float(left[0] * matrix[row, column].sum())
        return Distance(value, value, "scipy.optimize.linear_sum_assignment")
    if importlib.util.find_spec("ot"):
        import ot

        value = float(ot.emd2(left, right, simplex.whole(known), numItermax=100_000_000))
        return Distance(value, value, "ot.emd2")
    solved = simplex.exact(left, right, known)
    return Distance(solved.value, solved.value, solved.method)
