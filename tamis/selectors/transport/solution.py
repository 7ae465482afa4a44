"""What a solver of an entropic problem returns."""

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from tamis.selectors.transport import costs, sweeps


@dataclasses.dataclass(frozen=True)
class Solution:
    """Potentials of min_P <C, P> + epsilon KL(P | a b^T / mass), P with marginals a and b.

    P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon) / mass has the row marginals a exactly, and
    the column marginals b up to `marginal_error`. f is the gradient of `value` in a, and g in b,
    each up to a constant. Three numbers are called the transport cost in the literature:

    - `value`: the objective above, = <a, f> + <b, g> (ott's `reg_ot_cost`, geomloss);
    - `transport`: <C, P> alone (ott's `primal_cost`, POT's `sinkhorn2`);
    - `entropy`: <C, P> + epsilon sum_ij P_ij (log P_ij - 1) (Peyré & Cuturi 2019, eq. 4.2).

    Attributes:
      f: Shape (n,), also of rows of mass 0, where it is the soft c-transform of g.
      g: Shape (m,).
      value: The objective, at the potentials: never above its optimum.
      iterations: Passes over the cost.
      newton: How many of them were Newton steps or their line search.
      marginal_error: sum_j |(P^T 1)_j - b_j| / mass.
      converged: Whether that is at most the tolerance asked for.
      a: Shape (n,).
      b: Shape (m,).
      cost: Of the problem.
      epsilon: Of the problem.
    """

    f: NDArray[np.float64]
    g: NDArray[np.float64]
    value: float
    iterations: int
    newton: int
    marginal_error: float
    converged: bool
    a: NDArray[np.float64] = dataclasses.field(repr=False)
    b: NDArray[np.float64] = dataclasses.field(repr=False)
    cost: costs.Cost = dataclasses.field(repr=False)
    epsilon: float

    @functools.cached_property
    def transport(self) -> float:
        """<C, P>, one more pass."""
        share = self.b / self.b.sum()
        swept = sweeps.sweep(
            self.cost, self.g, b=share, epsilon=self.epsilon, weights=self.a, moved=True
        )
        return float(self.a @ swept.moved)

    @property
    def entropy(self) -> float:
        """<C, P> + epsilon sum P (log P - 1)."""
        mass = self.a.sum()
        logs = sum(float(p[p > 0] @ np.log(p[p > 0])) for p in (self.a, self.b))
        return self.value + self.epsilon * (logs - mass * np.log(mass) - mass)

    def rows(self, part: slice) -> NDArray[np.floating]:
        """Rows `part` of the coupling P, shape (rows, m)."""
        block = self.cost.rows(part).astype(np.float64)
        np.subtract(self.f[part, None] + self.g, block, out=block)
        np.exp(block / self.epsilon, out=block)
        return self.a[part, None] * block * (self.b / self.b.sum())

    def coupling(self) -> NDArray[np.floating]:
        """P, shape (n, m), all of it."""
        return self.rows(slice(None))
