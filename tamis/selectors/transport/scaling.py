"""Sinkhorn's iteration in the log domain (Cuturi 2013), with epsilon scaling."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis.selectors.transport import costs, masses, sweeps
from tamis.selectors.transport.solution import Solution

# Of Schmitzer (2019, §3.2), who halves; measured here at 1e-3 of the range, 4 saves a third.
_SHRINK = 4.0
# A level is left when its coupling is about right: the next one moves the potentials anyway.
_COARSE, _COARSE_STEPS = 0.05, 20
# Above this density a dense product is faster than a sparse one.
_DENSE = 0.1
# Exponents up to here are known to 1e-3 in float32, which ends some way above the other.
_SHARP, _HUGE = 1e4, 1e30
# Below this a column's mass is made of numbers that underflowed.
_LOST = 1e-25


class State(NamedTuple):
    """Where an iteration stands.

    Attributes:
      g: Shape (m,).
      f: Shape (n,), the soft c-transform of g.
      columns: Shape (m,), the column marginal of the coupling.
      iterations: Passes so far.
    """

    g: NDArray[np.float64]
    f: NDArray[np.float64]
    columns: NDArray[np.float64]
    iterations: int


@dataclasses.dataclass(frozen=True)
class Problem:
    """Probabilities and a cost.

    Attributes:
      a: Shape (n,), sum 1.
      b: Shape (m,), sum 1.
      cost: Shape (n, m).
    """

    # Columns up to which Newton's system is factorised. Conjugate gradients are faster from about
    # 500, but at small epsilon, where it is nearly singular, they do not reach full accuracy.
    direct: ClassVar[int] = 2_048

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    cost: costs.Cost

    def at(self, g: NDArray[np.float64], epsilon: float, before: int = 0) -> State:
        """The state at g: one pass."""
        swept = sweeps.sweep(self.cost, g, b=self.b, epsilon=epsilon, weights=self.a)
        return State(g, swept.f, swept.columns[0], before + 1)

    def dear(self, state: State, epsilon: float) -> NDArray[np.float64]:
        """The soft c-transform of f, shape (m,): one pass in the log domain."""
        return sweeps.softmin(self.cost.transposed(), state.f, self.a, epsilon)

    def error(self, state: State) -> float:
        """L1 error of the column marginal."""
        return float(np.abs(state.columns - self.b).sum())

    def root(
        self, state: State, epsilon: float, dropped: float, memory: int
    ) -> NDArray[np.float64] | sparse.csr_array | None:
        """diag(a)^(-1/2) P without small entries of sum `dropped`; None above `memory` bytes."""
        n, m = self.cost.shape
        least, step = dropped / (n * m), costs.block_rows(self.cost)
        blocks: list[NDArray[np.float64] | sparse.csr_array] = []
        for start in range(0, n, step):
            part = slice(start, start + step)
            block = self._conditional(state, epsilon, part)
            a = self.a[part, None]
            block[block * a < least] = 0
            block *= np.sqrt(a)
            kept = int(np.count_nonzero(block))
            dense = kept > _DENSE * block.size
            blocks.append(block if dense else sparse.csr_array(block))
            memory -= block.nbytes if dense else 12 * kept
            if memory < 0:
                return None
        if any(sparse.issparse(block) for block in blocks):
            return sparse.vstack(blocks, format="csr")
        return np.concatenate(blocks)

    def _conditional(self, state: State, epsilon: float, part: slice) -> NDArray[np.float64]:
        """What each of some rows sends to the columns, rows of sum 1."""
        with np.errstate(divide="ignore"):
            shift = state.g / epsilon + np.log(self.b)
        block = self.cost.rows(part, -1 / epsilon)
        block += shift.astype(block.dtype)
        block += (state.f[part, None] / epsilon).astype(block.dtype)
        return np.exp(block, out=block).astype(np.float64, copy=False)

    def narrow(self, epsilon: float) -> "Problem":
        """The same in float32; this one where that would blur the coupling at epsilon."""
        largest = max(map(abs, self.cost.range))
        if not 0 < largest <= _SHARP * epsilon or not 1 / _HUGE < epsilon < _HUGE:
            return self
        return Problem(self.a, self.b, costs.narrow(self.cost))

    def value(self, state: State) -> float:
        """The dual objective; at the soft c-transform it has no further term."""
        return float(self.a @ state.f + self.b @ state.g)


def sinkhorn(
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike | costs.Cost,
    epsilon: float,
    *,
    f: ArrayLike | None = None,
    g: ArrayLike | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Solution:
    """Entropic transport by Sinkhorn's iteration.

    One pass over the cost an iteration: f is the soft c-transform of g, and the columns' masses,
    which come with it, correct g. Epsilon falls from the range of the cost by factors of 4
    (Schmitzer 2019, §3.2) unless f or g is given to start from. Time O(n m) an iteration, memory
    O(n + m) and a block beside the cost. For tolerances below 1e-4, or epsilon below a hundredth
    of the range, `sinkhorn_newton` is far faster.

    Args:
      a: Shape (n,), masses of the source rows; zeros are fine.
      b: Shape (m,), masses of the target rows, of the same total.
      cost: Shape (n, m), or `transport.points(x, y)`.
      epsilon: Regularisation, in the units of the cost.
      f: Shape (n,), a warm start, used where there is no g.
      g: Shape (m,), a warm start.
      tolerance: L1 error of the column marginal, as a share of the mass. In float32 about 1e-6
        is reached.
      max_iterations: Passes over the cost; `.converged` says whether they were enough.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
      ConfigError: epsilon is not above 0.

    >>> solved = sinkhorn([0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], 0.1)
    >>> round(solved.transport, 6)
    4.5e-05
    """

    def steps(problem: Problem, start: NDArray[np.float64] | None) -> tuple[State, int]:
        before = 0
        if start is None:
            start, before = scaled(problem, epsilon, max_iterations)
        return iterate(problem, start, epsilon, tolerance, max_iterations, before), 0

    return solved(a, b, cost, epsilon, steps, f=f, g=g, tolerance=tolerance)


def solved(
    a: ArrayLike,
    b: ArrayLike,
    cost: ArrayLike | costs.Cost,
    epsilon: float,
    steps: Callable[[Problem, NDArray[np.float64] | None], tuple[State, int]],
    *,
    f: ArrayLike | None,
    g: ArrayLike | None,
    tolerance: float,
) -> Solution:
    """What every solver does before and after its steps.

    Args:
      a: As for `sinkhorn`, as are the others.
      b: As well.
      cost: As well.
      epsilon: As well.
      steps: From a problem of probabilities and a g, or None, to where they end and how many of
        the passes were Newton's.
      f: A warm start.
      g: A warm start.
      tolerance: Of the column marginal.
    """
    masses.positive(epsilon)
    problem, mass = normalised(a, b, cost)
    state, newton = steps(problem, warm_start(problem, f, g, epsilon))
    return solution(problem, state, epsilon, mass, tolerance, newton)


def normalised(a: ArrayLike, b: ArrayLike, cost: ArrayLike | costs.Cost) -> tuple[Problem, float]:
    """The problem of probabilities, and the mass it was divided by."""
    known = costs.of(cost)
    left, right = masses.balanced(a, b, known.shape)
    mass = float(left.sum())
    return Problem(left / mass, right / mass, known), mass


def warm_start(
    problem: Problem, f: ArrayLike | None, g: ArrayLike | None, epsilon: float
) -> NDArray[np.float64] | None:
    """The g to start from: as given, else the soft c-transform of f, else None."""
    if g is not None:
        return masses.vector(g, problem.cost.shape[1], "g")
    if f is None:
        return None
    given = masses.vector(f, problem.cost.shape[0], "f")
    return sweeps.softmin(problem.cost.transposed(), given, problem.a, epsilon)


def levels(entries: tuple[float, float], epsilon: float, shrink: float = _SHRINK) -> list[float]:
    """Regularisations above epsilon to pass through, largest first, for entries between two."""
    low, high = entries
    count = int(np.ceil(np.log(max((high - low) / epsilon, 1)) / np.log(shrink)))
    return [epsilon * shrink**i for i in range(count, 0, -1)]


def scaled(problem: Problem, epsilon: float, most: int) -> tuple[NDArray[np.float64], int]:
    """A g to start from, by way of larger regularisations; and the passes it took."""
    g, used = np.zeros(problem.cost.shape[1]), 0
    for level in levels(problem.cost.range, epsilon):
        allowed = min(used + _COARSE_STEPS, most)
        state = iterate(problem, g, level, _COARSE, allowed, used)
        g, used = step(problem, state, level), state.iterations
    return g, used


def iterate(
    problem: Problem,
    g: NDArray[np.float64],
    epsilon: float,
    tolerance: float,
    most: int,
    before: int = 0,
) -> State:
    """Sinkhorn steps from g until the marginal is met or `most` passes were made."""
    state = problem.at(g, epsilon, before)
    while problem.error(state) > tolerance and state.iterations < most:
        state = problem.at(step(problem, state, epsilon), epsilon, state.iterations)
    return state


def step(problem: Problem, state: State, epsilon: float) -> NDArray[np.float64]:
    """The next g: columns that got too little become cheaper.

    A column whose mass underflowed says only that it is far too dear; then g is the soft
    c-transform of f, a pass in the log domain.
    """
    has = problem.b > 0
    if np.any(state.columns[has] <= _LOST * problem.b[has]):
        return problem.dear(state, epsilon)
    g = state.g.copy()
    g[has] += epsilon * np.log(problem.b[has] / state.columns[has])
    return g


def solution(
    problem: Problem, state: State, epsilon: float, mass: float, tolerance: float, newton: int = 0
) -> Solution:
    """The answer at a state, for the masses that were given."""
    return Solution(
        f=state.f,
        g=complete(problem, state, epsilon),
        value=problem.value(state) * mass,
        iterations=state.iterations,
        newton=newton,
        marginal_error=problem.error(state),
        converged=problem.error(state) <= tolerance,
        a=problem.a * mass,
        b=problem.b * mass,
        cost=problem.cost,
        epsilon=epsilon,
    )


def complete(problem: Problem, state: State, epsilon: float) -> NDArray[np.float64]:
    """g, with the soft c-transform of f where a column has no mass."""
    none = problem.b == 0
    if not none.any():
        return state.g
    return np.where(none, problem.dear(state, epsilon), state.g)
