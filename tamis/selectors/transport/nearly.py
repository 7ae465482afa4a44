"""Transport of large sets to within a tolerance that is certified from both sides."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors, seeding
from tamis.selectors.transport import costs, newton, scaling
from tamis.selectors.transport.truncated import Truncated, truncated

# Rows of the first guess; entries a row that are kept; rounds before giving up.
_SAMPLE, _KEPT, _ROUNDS = 1_024, 48, 6


class Bracket(NamedTuple):
    """OT(a, b) is in [lower, upper].

    Attributes:
      upper: <C, P> of a feasible coupling (Altschuler et al. 2017, Algorithm 2).
      lower: <a, f> + <b, g> of feasible potentials, f_i + g_j <= C_ij.
      f: Shape (n,), those potentials.
      g: Shape (m,).
      rounds: Passes over the whole cost.
    """

    upper: float
    lower: float
    f: NDArray[np.float64]
    g: NDArray[np.float64]
    rounds: int


def approximate(
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike | costs.Cost,
    *,
    tolerance: float = 0.01,
) -> Bracket:
    """Unregularised transport of large sets, within a tolerance.

    Potentials of a sample of the rows say which entries can matter; the others are made cheap
    (`truncated`), the small problem is solved at small epsilon, and its potentials and coupling
    bound the optimum from below and above. Rounds with better potentials follow until the bounds
    are close. Memory O(48 n) beside the cost, and a block of it: with `transport.points`
    nothing of size n m is ever held.

    Args:
      a: Shape (n,), masses; zeros are fine.
      b: Shape (m,), of the same total.
      cost: Shape (n, m), or `transport.points`.
      tolerance: Of upper - lower, as a share of lower.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
      RunnerError: the bounds did not meet the tolerance; says how close they came.
    """
    problem, mass = scaling.normalised(a, b, cost)
    g, epsilon = _guess(problem)
    low, high, best = -np.inf, np.inf, None
    for used in range(1, _ROUNDS + 1):
        small = truncated(problem, g, _KEPT)
        state, epsilon = _solve(small, epsilon, tolerance)
        lower, upper = small.lower(state.g), _upper(small, state, epsilon)
        print(used, 'tau', small.threshold, 'nnz', small.reduced.nnz, 'it', state.iterations, 'err', small.error(state), 'L', lower, 'U', upper,'eps',epsilon)
        low, high = max(low, lower), min(high, upper)
        g = g + state.g
        if high - low <= tolerance * abs(low):
            return Bracket(high * mass, low * mass, g, g, used)


def _guess(problem):
    cost = problem.cost
    n, m = cost.shape
    rows, a = _prototypes(cost.x, problem.a, "rows")
    columns, b = _prototypes(cost.y, problem.b, "columns")
    few = cost.take(rows).transposed().take(columns).transposed()
    dense = costs.held(few, 1 << 30)
    eps = 0.02 * float(dense.matrix.std())
    solved = newton.sinkhorn_newton(a, b, costs.Dense(dense.matrix.astype(float)), eps, tolerance=1e-3)
    print('guess', solved.iterations, solved.transport)
    from tamis.selectors.transport import sweeps
    g = sweeps.softmin(cost.take(rows).transposed(), solved.f, a, eps)
    return g, eps


def _prototypes(x, mass, name):
    rng = seeding.generator(0, "transport", "prototypes", name, len(x))
    rows = np.sort(rng.choice(len(x), min(len(x), _SAMPLE), replace=False))
    near = costs.Points(x, x[rows])
    parts = [near.rows(slice(i, i + 256)).argmin(axis=1) for i in range(0, len(x), 256)]
    cells = np.concatenate(parts)
    return rows, np.bincount(cells, weights=mass, minlength=len(rows))


def _solve(small, epsilon, tolerance):
    g, used = np.zeros(len(small.b)), 0
    scale = abs(small.a @ small.f0 + small.b @ small.g0)
    last = tolerance * scale / 8
    level = max(small.threshold/4, last)
    while True:
        state = scaling.iterate(small, g, level, tolerance/4, used+200, used)
        g, used = state.g, state.iterations
        if level <= last: return state, level
        level = max(level / 2, last)


def _upper(small, state, epsilon):
    kept = small.coupling(state, epsilon)
    c = kept.sum(axis=0)
    kept = kept * np.minimum(1, small.b / np.maximum(c, 1e-300))
    kept = sparse.csr_array(kept)
    counts = np.diff(kept.indptr)
    price = kept.data @ (small.reduced.data + np.repeat(small.f0, counts) + small.g0[kept.indices])
    r, q = np.maximum(small.a - kept.sum(axis=1),0), np.maximum(small.b - kept.sum(axis=0),0)
    print('   missing', r.sum())
    if r.sum() <= 0: return price
    return price + r @ costs.product(small.cost, q / q.sum())
from scipy import sparse
