"""Sinkhorn-Newton-Sparse (Tang et al. 2024, Algorithm 2), on the semi-dual.

Sinkhorn's iteration gets near the solution fast and then crawls; Newton's converges in a few steps
from there, and late couplings are sparse, so a step is cheap. Tang et al. take the Hessian in both
potentials, epsilon^-1 [[diag(a), P], [P^T, diag(c)]]. Here f is always the soft c-transform of g,
which is the same system with the first block eliminated,

    (diag(c) - P^T diag(1 / a) P) d = epsilon (b - c),   c = P^T 1,

half its size, its rows always right, and the exponentials never overflow. P is sparse in the matrix
only: entries below a threshold are left out of the product and kept in the diagonal, as in the
paper, while c and the objective are exact. The paper's line search is replaced by Levenberg's
damping, mu diag(c) added (mu = 1 is about Sinkhorn's step): couplings of unequal masses at small
epsilon nearly fall apart into pieces, whose offsets then ruin a direction that is right otherwise.
On 64 x 50 unequal masses at 1e-3 of the range the line search stood still; damping takes 35 steps.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, sparse
from scipy.sparse import linalg as iterative

from tamis.selectors.transport import costs, scaling
from tamis.selectors.transport.solution import Solution

# Entries left out sum to at most this share of the error: what is left out but kept in the diagonal
# acts as damping, which clusters that exchange little mass feel first.
_DROPPED = 1e-4
# Beyond some epsilons the quadratic model means nothing; a step is not even tried.
_REACH = 8.0
# Of the trust region (Nocedal & Wright 2006, §4.1): what a step must gain of what was predicted.
_WORTH, _GOOD = 0.1, 0.5
_LEAST, _FACTOR, _MOST = 1e-4, 4.0, 10.0
_WARM, _COARSE = 20, 1e-2
_MEMORY = 1 << 30
_RIDGE = 1e-13
# Rounding of the objective, as a share of its parts: near the end a step gains less than that.
_BLUR = {"float64": 1e-13, "float32": 1e-7}
_LOOSE, _GRADIENTS = 1e-2, 500


def sinkhorn_newton(
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike | costs.Cost,
    epsilon: float,
    *,
    f: ArrayLike | None = None,
    g: ArrayLike | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 1_000,
) -> Solution:
    """Entropic transport to high accuracy (Tang et al. 2024).

    Epsilon falls from the range of the cost, as in `sinkhorn`, some Sinkhorn steps, then Newton
    steps, damped so that each gains what it promised. Time O(n m) a pass, 1 or 2 passes a step, and
    the linear system: O(m^3) up to m = 2,048, conjugate gradients above. Memory O(n m) for the
    part of the coupling that matters, at small epsilon some entries a row; where it would be more
    than 1 GiB, Sinkhorn's steps go on instead. The system is BLAS's and LAPACK's: with another
    number of their threads the last bits of f and g differ, as they do not for `sinkhorn`.

    Args:
      a: Shape (n,), as for `sinkhorn`.
      b: Shape (m,).
      cost: Shape (n, m). Accuracies below 1e-6 need float64.
      epsilon: Regularisation, in the units of the cost.
      f: Shape (n,), a warm start, used where there is no g.
      g: Shape (m,), a warm start.
      tolerance: L1 error of the column marginal, as a share of the mass.
      max_iterations: Passes over the cost.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
      ConfigError: epsilon is not above 0.
    """

    def steps(
        problem: scaling.Problem, start: NDArray[np.float64] | None
    ) -> tuple[scaling.State, int]:
        if start is None:
            return descended(problem, epsilon, tolerance, max_iterations)
        return level(problem, start, epsilon, tolerance, max_iterations)

    return scaling.solved(a, b, cost, epsilon, steps, f=f, g=g, tolerance=tolerance)


def descended(
    problem: scaling.Problem, epsilon: float, tolerance: float, most: int
) -> tuple[scaling.State, int]:
    """By way of larger regularisations; also how many passes were Newton's.

    Until the coupling is about right at epsilon itself, all that is wanted is where to start.
    """
    g, used, newton = np.zeros(len(problem.b)), 0, 0
    coarse = problem.narrow(epsilon)
    way = scaling.levels(problem.cost.range, epsilon)
    for larger in way if coarse is problem else (*way, epsilon):
        state, steps = level(coarse, g, larger, max(tolerance, _COARSE), most, used)
        g, used, newton = state.g, state.iterations, newton + steps
    state, steps = level(problem, g, epsilon, tolerance, most, used)
    return state, newton + steps


def level(
    problem: scaling.Problem,
    g: NDArray[np.float64],
    epsilon: float,
    tolerance: float,
    most: int,
    before: int = 0,
) -> tuple[scaling.State, int]:
    """Some Sinkhorn steps and then Newton's, at one epsilon."""
    warm = min(most, before + _WARM)
    state = scaling.iterate(problem, g, epsilon, max(tolerance, _COARSE), warm, before)
    steps, trust = 0, _Trust()
    while problem.error(state) > tolerance and state.iterations < most:
        system = _system(problem, state, epsilon)
        if system is None:
            state = problem.at(scaling.step(problem, state, epsilon), epsilon, state.iterations)
            continue
        before = state.iterations
        state, trust = _step(problem, state, system, trust)
        steps += state.iterations - before
    return state, steps


class _System(NamedTuple):
    """(diag(c) (1 + damping) - root^T root) d = epsilon slack."""

    root: NDArray[np.float64] | sparse.csr_array
    product: NDArray[np.float64] | None
    columns: NDArray[np.float64]
    slack: NDArray[np.float64]
    epsilon: float

    def gain(self, d: NDArray[np.float64]) -> float:
        """What the quadratic model of the objective promises."""
        out = self.root @ d
        return float(d @ self.slack - (d * d @ self.columns - out @ out) / (2 * self.epsilon))


class _Trust(NamedTuple):
    """How far the quadratic model is believed.

    Attributes:
      damping: mu of the next step.
      reach: The longest step that is tried, in epsilons. It grows while steps keep their promise:
        clusters that exchange no mass yet must move by many epsilons until they do.
    """

    damping: float = 0.0
    reach: float = _REACH

    def less(self) -> "_Trust":
        """After a step that broke its promise."""
        return _Trust(max(self.damping * _FACTOR, _LEAST), max(self.reach / 2, _REACH))

    def more(self, length: float) -> "_Trust":
        """After a step of that length that kept it well."""
        eased = self.damping / _FACTOR if self.damping > _LEAST / _FACTOR**2 else 0.0
        return _Trust(eased, self.reach * (2 if length > self.reach / 2 / _FACTOR else 1))

    def damped(self) -> "_Trust":
        return self._replace(damping=max(self.damping * _FACTOR, _LEAST))


def _step(
    problem: scaling.Problem, state: scaling.State, system: _System, trust: _Trust
) -> tuple[scaling.State, _Trust]:
    """A damped Newton step that keeps its promise, and the trust for the next."""
    value, used = problem.value(state), state.iterations
    blur = _BLUR[problem.cost.dtype.name] * (abs(value) + float(np.abs(state.g).max()))
    while trust.damping <= _MOST:
        d = _direction(system, trust.damping)
        length = np.inf if d is None else float(np.ptp(d)) / system.epsilon
        if d is None or length > trust.reach:
            trust = trust.damped()
            continue
        found = problem.at(state.g + d, system.epsilon, used)
        promised, gained = system.gain(d), problem.value(found) - value
        if gained >= _WORTH * promised - blur:
            return found, trust.more(length) if gained >= _GOOD * promised - blur else trust
        used, trust = found.iterations, trust.less()
    return problem.at(scaling.step(problem, state, system.epsilon), system.epsilon, used), _Trust()


def _system(problem: scaling.Problem, state: scaling.State, epsilon: float) -> _System | None:
    """Of Newton's step; None where it does not fit, or a column's mass underflowed."""
    if np.any(state.columns[problem.b > 0] <= 0):
        return None
    root = problem.root(state, epsilon, _DROPPED * min(1.0, problem.error(state)), _MEMORY)
    if root is None:
        return None
    product = None
    if len(problem.b) <= problem.direct:
        squares: Any = root.T @ root
        product = squares.toarray() if sparse.issparse(squares) else squares
    return _System(root, product, state.columns, problem.b - state.columns, epsilon)


def _direction(system: _System, damping: float) -> NDArray[np.float64] | None:
    """The solution of the damped system, None where it fails.

    Adding a constant to g changes nothing, so without damping the system is singular that way; a
    constant added to the matrix closes it, and d then has sum 0.
    """
    # A column without mass has slack 0 and stays where it is, whatever stands there.
    diagonal = np.where(system.columns > 0, system.columns * (1 + damping + _RIDGE), 1.0)
    if system.product is not None:
        matrix = np.negative(system.product)
        matrix[np.diag_indices(len(diagonal))] += diagonal
        if not damping:
            matrix += system.columns.mean() / len(diagonal)
        try:  # transposed, which is the same matrix in the order LAPACK works in
            factor = linalg.cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            return None
        return system.epsilon * linalg.cho_solve(factor, system.slack, check_finite=False)

    def times(v: NDArray[np.float64]) -> NDArray[np.float64]:
        return diagonal * v - system.root.T @ (system.root @ v)

    shape = (len(diagonal), len(diagonal))
    operator = iterative.LinearOperator(shape, matvec=times, dtype=np.float64)
    jacobi = iterative.LinearOperator(shape, matvec=lambda v: v / diagonal, dtype=np.float64)
    rtol = min(_LOOSE, float(np.abs(system.slack).sum()))
    d, _ = iterative.cg(operator, system.slack, rtol=rtol, maxiter=_GRADIENTS, M=jacobi)
    return system.epsilon * d
