"""What one row is worth: the derivative of the transport cost in its mass (LAVA)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.transport import masses


def calibrated(f: ArrayLike, a: ArrayLike | None = None) -> NDArray[np.float64]:
    """Calibrated gradients of the transport cost (Just et al. 2023, eq. 5).

        f_i - sum_{j != i} a_j f_j / (1 - a_i),    with equal masses f_i - mean of the others

    The derivative of the cost when row i gains mass and all others shrink in proportion; adding a
    constant to f changes nothing. Low is good: more of this row brings the set nearer. So
    sum_i a_i (1 - a_i) calibrated_i = 0. It is 0 where a_i = 1 and nothing can shrink. O(n).

    Args:
      f: Shape (n,), dual potentials, e.g. `transport.sinkhorn(...).f`.
      a: Shape (n,), masses; equal without.

    Raises:
      SchemaError: shapes disagree, or a value is not finite.

    >>> calibrated([0.0, 1.0, 5.0]).round(9).tolist()
    [-3.0, -1.5, 4.5]
    """
    potential = masses.vector(f, np.size(f), "f")
    mass = masses.mass(np.ones(len(potential)) if a is None else a, len(potential), "a")
    share = mass / mass.sum()
    excess, others = potential - share @ potential, 1 - share
    return np.divide(excess, others, out=np.zeros_like(excess), where=others > 0)
