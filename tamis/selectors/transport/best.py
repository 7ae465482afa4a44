"""The mixture that is nearest to the target, with a certificate of how near to the best it is.

    min_{w in W} V(w) = max_g { <b, g> + min_{w in W} <w, h(g)> },  W = {floors <= w <= caps, sum 1}

One concave problem in g, whose every evaluation is one pass over the cost, instead of a transport
problem for every w that is tried; `ascent` solves it. A small sample of sources and target comes
first, at smaller and smaller epsilon, then an eighth of the sources' rows, then all of them, each
from where the last one ended and the last two with one Hessian.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.transport import costs, holding, limits, masses, scaling, sweeps
from tamis.selectors.transport.ascent import Ascent, Point
from tamis.selectors.transport.metric import Metric
from tamis.selectors.transport.mixture import Mixture, known

# Of the median cost: what `projektor.Geometry` takes. Rows to know that cost by.
USUAL, _LOOKED = 0.05, 256
# Rows by which columns are ordered.
_ORDERED = 2_048
# Rows above which there is a level of an eighth of them, with all columns.
_FINE, _GROWTH = 16_384, 8
# A sample's own error is larger than this share of the value, and so is a passing epsilon's.
_ROUGH, _PASSING = 5e-3, 0.03
_CERTIFICATES, _SHRINK = 8, 2.0


class BestMixture(NamedTuple):
    """The nearest mixture.

    Attributes:
      weights: Shape (k,), on the simplex, within floors and caps.
      value: V(weights): <C, P> + epsilon KL(P | a b^T) of a feasible coupling, so never below it.
      gap: `value` minus a lower bound of V over all allowed mixtures (the Frank-Wolfe gap, Jaggi
        2013, plus what the potentials are off by). No allowed mixture costs less than
        value - gap.
      gradient: Shape (k,), of V at the weights, up to a constant; equal over sources that are
        neither at a floor nor at a cap, when gap is 0.
      g: Shape (m,), the target's potential.
      iterations: Passes over rows, counted in passes over all of them.
    """

    weights: NDArray[np.float64]
    value: float
    gap: float
    gradient: NDArray[np.float64]
    g: NDArray[np.float64]
    iterations: float


def best_mixture(
    sources: Sequence[ArrayLike] | Mixture,
    target: ArrayLike | None,
    epsilon: float | None = None,
    *,
    cost: costs.Metric | ArrayLike | costs.Cost = "sqeuclidean",
    floors: ArrayLike = 0.0,
    caps: ArrayLike = 1.0,
    tolerance: float = 1e-3,
    memory: int = 1 << 30,
) -> BestMixture:
    """The weights w that minimise the entropic transport cost of sum_i w_i mu_i to the target.

    The search begins on samples of the rows of every source, and ends on all of them: `value` and
    `gap` are of the whole problem. The cost is held in `memory` if it can be, as it is or in 16
    bits, and computed anew in every pass otherwise; 16 bits cost half a level of value and gap,
    which `gap` contains. Some 5 to 10 passes of O(n m), and the Hessian of
    2,048 rows a few times (`metric`).

    Args:
      sources: k arrays (n_i, d), or a `transport.mixture`.
      target: Shape (m, d); not read where a `Mixture` or a cost is given.
      epsilon: Regularisation, in the units of the cost; a twentieth of the median cost without.
        Larger ones prefer sources that sit in the middle of the target.
      cost: As for `transport.mixture`.
      floors: Least share of every source, one or shape (k,).
      caps: Largest share of every source, one or shape (k,).
      tolerance: Of the gap, as a share of the value.
      memory: Bytes for the cost.

    Raises:
      SchemaError: as for `transport.mixture`.
      ConfigError: epsilon is not above 0, or no mixture is within floors and caps.
    """
    problem = known(sources, target, cost)
    allowed = limits.weights(floors, caps, problem.k)
    epsilon = masses.positive(usual(problem.cost) if epsilon is None else epsilon)
    n, m = problem.cost.shape
    w, used = allowed.nearest(np.full(problem.k, 1 / problem.k)), 0.0
    before, order = None, _order(problem)
    for rows, columns in _levels(n, m):
        level = _level(problem, rows, columns, w, order, memory)
        along = order.rows if rows == n else None
        ascent = Ascent(level.held, allowed, epsilon, along)
        if before is None:
            point = started(ascent, np.zeros(len(level.columns)), w)
        else:
            g, ascent.known = before.carried(level)
            point = ascent.at(g, w)
        if (rows, columns) == (n, m):
            found = certified(ascent, point, tolerance)
        else:
            point = ascent.climb(point, _ROUGH)
            before, w = _Done(level, point, ascent), point.weights
        used += ascent.passes * float(np.prod(level.held.cost.shape)) / (n * m)
    return found._replace(iterations=used)


class _Level(NamedTuple):
    """Some rows of the sources and some of the target.

    Attributes:
      rows: With all of the target.
      columns: Which of the target's.
      held: With those alone, in memory.
    """

    rows: Mixture
    columns: NDArray[np.int64]
    held: Mixture


def _level(
    problem: Mixture, rows: int, columns: int, w: NDArray[np.float64], order: "_Order", memory: int
) -> _Level:
    n, m = problem.cost.shape
    few = problem if rows == n else problem.sample(rows, w, order.rows)
    at, b = np.arange(m), problem.b
    if columns < m:
        picked, b = masses.drawn(problem.b[order.columns], columns)
        at = order.columns[picked]
    cost = costs.part(few.cost, np.arange(few.cost.shape[0]), at)
    return _Level(few, at, dataclasses.replace(few, cost=holding.held(cost, memory), b=b))


class _Order(NamedTuple):
    """Rows, within their sources, and columns along which samples are drawn evenly.

    What a cluster of the target is charged depends on which are short of rows, and a plain draw is
    off by the root of how many it should have.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def _order(problem: Mixture) -> _Order:
    place = costs.order(problem.cost)
    source = np.repeat(np.arange(problem.k), np.diff(problem.bounds))
    return _Order(place[np.argsort(source[place], kind="stable")], _columns(problem.cost))


def _columns(cost: costs.Cost) -> NDArray[np.int64]:
    n = cost.shape[0]
    return costs.order(cost.take(np.arange(0, n, -(-n // _ORDERED))).transposed())


class _Done(NamedTuple):
    """Where a level ended."""

    level: _Level
    point: Point
    ascent: Ascent

    def carried(self, other: _Level) -> tuple[NDArray[np.float64], Metric | None]:
        """The potential on the columns of a finer level, and a metric where they are the same."""
        if len(self.level.columns) == len(other.columns):
            return self.point.g, self.ascent.known
        few = self.level.rows
        cost = costs.part(few.cost, np.arange(few.cost.shape[0]), other.columns)
        a = few.a(self.point.weights)
        return sweeps.softmin(cost.transposed(), self.point.swept.f, a, self.ascent.epsilon), None


def started(ascent: Ascent, g: NDArray[np.float64], w: NDArray[np.float64]) -> Point:
    """By way of larger regularisations."""
    for larger in scaling.levels(ascent.problem.cost.range, ascent.epsilon, _SHRINK):
        passing = dataclasses.replace(ascent, epsilon=larger, known=None, passes=0)
        g, w, _ = passing.climb(passing.at(g, w), _PASSING)
        ascent.passes += passing.passes
    return ascent.at(g, w)


def certified(ascent: Ascent, point: Point, tolerance: float) -> BestMixture:
    """Steps until the gap is small enough, or gets no smaller."""
    bound, best = -np.inf, BestMixture(point.weights, np.inf, np.inf, point.weights, point.g, 0.0)
    for _ in range(_CERTIFICATES):
        point = ascent.climb(point, tolerance)
        bound = max(bound, ascent.lower(point))
        value = ascent.upper(point)
        if value < best.value:
            best = BestMixture(point.weights, value, np.inf, ascent.means(point), point.g, 0.0)
        if best.value - bound <= tolerance * abs(best.value):
            break
    return best._replace(gap=best.value - bound)


def usual(cost: costs.Cost) -> float:
    """The regularisation without another: `USUAL` of the median cost, of some rows' entries."""
    n = cost.shape[0]
    return USUAL * float(np.median(cost.take(np.arange(0, n, -(-n // _LOOKED))).rows(slice(None))))


def _levels(n: int, m: int) -> list[tuple[int, int]]:
    """Rows and columns to work with, ending with all of them."""
    levels = [(n, m)]
    if n > _FINE:
        levels.append((n // _GROWTH, m))
    while np.prod(levels[-1]) > costs.SMALL and min(levels[-1]) > 1:
        rows, columns = levels[-1]
        levels.append((rows // 2, columns // 2))
    return levels[::-1]
