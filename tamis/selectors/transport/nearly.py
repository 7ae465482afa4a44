"""Transport of large sets to within a tolerance that is certified from both sides."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from tamis import seeding
from tamis.selectors.transport import costs, newton, scaling, sweeps
from tamis.selectors.transport.truncated import Truncated, truncated

# Prototypes a side for the first guess; entries a row that are kept; rounds before giving up.
_PROTOTYPES, _KEPT, _ROUNDS = 512, 48, 8
# The guess: epsilon in standard deviations of the cost, the marginal's error, and its passes.
_BLUR, _ROUGH, _PASSES = 0.05, 0.02, 300
# An entropic coupling costs about one epsilon more than the best, and its potentials lose as much.
_SHARP, _SETTLED = 8.0, 4.0
_ROWS = 256


class Bracket(NamedTuple):
    """The optimal value is in [lower, upper], but for rounding of the cost.

    Attributes:
      upper: <C, P> of a feasible coupling (Altschuler et al. 2017, Algorithm 2).
      lower: <a, f> + <b, g> of feasible potentials, f_i + g_j <= C_ij.
      f: Shape (n,), those potentials.
      g: Shape (m,).
      rounds: How often the whole cost was read.
    """

    upper: float
    lower: float
    f: NDArray[np.float64]
    g: NDArray[np.float64]
    rounds: int


def approximate(
    a: ArrayLike, b: ArrayLike, cost: ArrayLike | costs.Cost, *, tolerance: float = 0.01
) -> Bracket:
    """Unregularised transport of large sets, within a tolerance.

    Potentials of some prototypes say which entries can matter; the others are made equally cheap
    (`truncated`), the sparse problem is solved at a small epsilon, and its potentials and coupling
    bound the optimum from below and above. Rounds from better potentials follow until the bounds
    are close: usually 1 to 3, at most 8; read the bounds. Time O(n m d) a round; memory about 48
    entries a row and a block, so with `transport.points` nothing of size n m is ever held.

    Args:
      a: Shape (n,), masses; zeros are fine.
      b: Shape (m,), of the same total.
      cost: Shape (n, m), or `transport.points`.
      tolerance: Of upper - lower, as a share of lower.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
    """
    whole, mass = scaling.normalised(a, b, cost)
    rows, columns = np.flatnonzero(whole.a), np.flatnonzero(whole.b)
    problem = scaling.Problem(
        whole.a[rows], whole.b[columns], costs.part(whole.cost, rows, columns)
    )
    g, best = _guess(problem), Bracket(np.inf, -np.inf, np.empty(0), np.empty(0), 0)
    for rounds in range(1, _ROUNDS + 1):
        small = truncated(problem, g, _KEPT)
        state, epsilon = _solve(small, tolerance)
        found = Bracket(
            _upper(small, small.coupling(state, epsilon)), *small.lower(state.g), rounds
        )
        best = _closer(best, found)
        if best.upper - best.lower <= tolerance * abs(best.lower):
            break
        g = g + state.g
    f, g = _everywhere(whole, best, rows, columns)
    return Bracket(best.upper * mass, best.lower * mass, f, g, best.rounds)


def _everywhere(
    whole: scaling.Problem, best: Bracket, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Potentials of rows and columns without mass too: as large as the others allow."""
    f, g = np.empty(len(whole.a)), np.empty(len(whole.b))
    f[rows], g[columns] = best.f, best.g
    empty_rows, empty_columns = np.flatnonzero(whole.a == 0), np.flatnonzero(whole.b == 0)
    if len(empty_rows):
        few = costs.part(whole.cost, empty_rows, columns)
        f[empty_rows] = costs.transform(few, best.g)
    if len(empty_columns):
        every = np.arange(len(f))
        few = costs.part(whole.cost, every, empty_columns).transposed()
        g[empty_columns] = costs.transform(few, f)
    return f, g


def _closer(one: Bracket, other: Bracket) -> Bracket:
    """What both say, with the potentials of the larger lower bound."""
    better = max(one, other, key=lambda bracket: bracket.lower)
    return better._replace(upper=min(one.upper, other.upper), rounds=other.rounds)


def _guess(problem: scaling.Problem) -> NDArray[np.float64]:
    """Potentials g from a small problem with all the mass.

    Every row's mass goes to the nearest of some rows drawn; a sample's own masses would be off by
    its root, which on clustered rows moves the potentials of whole clusters.
    """
    cost = problem.cost
    points = cost.base if isinstance(cost, costs.Labelled) else cost
    if not isinstance(points, costs.Points):
        blur = _BLUR * _deviation(cost)
        return newton.descended(problem, blur, _ROUGH, _PASSES)[0].g
    rows, a = _prototypes(points.x, problem.a, "rows")
    columns, b = _prototypes(points.y, problem.b, "columns")
    few = costs.of(costs.part(cost, rows, columns).rows(slice(None)))
    blur = _BLUR * _deviation(few)
    state, _ = newton.descended(scaling.Problem(a, b, few), blur, _ROUGH, _PASSES)
    return sweeps.softmin(cost.take(rows).transposed(), state.f, a, blur)


def _deviation(cost: costs.Cost) -> float:
    """Of some rows of the cost; 1 where all entries are equal and any epsilon will do."""
    n = cost.shape[0]
    return float(cost.take(np.arange(0, n, max(1, n // _ROWS))).rows(slice(None)).std()) or 1.0


def _prototypes(
    x: NDArray[np.floating], mass: NDArray[np.float64], side: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Some rows of x, and the mass of the rows nearest to each."""
    rng = seeding.generator(0, "transport", "prototypes", side, len(x))
    rows = np.sort(rng.choice(len(x), min(len(x), _PROTOTYPES), replace=False))
    near = costs.Points(x, x[rows])
    starts = range(0, len(x), _ROWS)
    cells = np.concatenate([near.rows(slice(i, i + _ROWS)).argmin(axis=1) for i in starts])
    return rows, np.bincount(cells, mass, len(rows)).astype(np.float64)


def _solve(small: Truncated, tolerance: float) -> tuple[scaling.State, float]:
    """The truncated problem at an epsilon that costs less than the tolerance."""
    value = abs(float(small.a @ small.f0 + small.b @ small.g0))
    last = (max(tolerance * value, 1e-6 * small.threshold) or 1.0) / _SHARP
    level, g, used = max(small.threshold / _SETTLED, last), np.zeros(len(small.b)), 0
    while True:
        state, _ = newton.level(small, g, level, tolerance / _SETTLED, used + _PASSES, used)
        g, used = state.g, state.iterations
        if level <= last:
            return state, level
        level = max(level / 2, last)


def _upper(small: Truncated, kept: sparse.csr_array) -> float:
    """The entries kept, scaled to fit the columns, and what is missing as a product."""
    sent = kept.sum(axis=0)
    scale = np.divide(small.b, sent, out=np.ones_like(sent), where=sent > small.b)
    fit = sparse.csr_array((kept.data * scale[kept.indices], kept.indices, kept.indptr), kept.shape)
    counts = np.diff(fit.indptr)
    entry = small.reduced.data + np.repeat(small.f0, counts) + small.g0[fit.indices]
    r = np.maximum(small.a - fit.sum(axis=1), 0)
    q = np.maximum(small.b - fit.sum(axis=0), 0)
    rest = float(r @ costs.product(small.cost, q / q.sum())) if q.sum() > 0 else 0.0
    return float(fit.data @ entry) + rest
