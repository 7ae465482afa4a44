"""The mixture that is nearest to the target, with a certificate of how near to the best it is.

    min_{w in W} V(w) = max_g { <b, g> + min_{w in W} <w, h(g)> },  W = {floors <= w <= caps, sum 1}

One concave problem in g, whose every evaluation is one pass over the cost, instead of a transport
problem for every w that is tried. The inner minimum has a kink; with (tau / 2) |w - w_0|^2 added it
has none, w is a projection, and L-BFGS (Liu & Nocedal 1989) in units of sqrt(epsilon / b), the
diagonal of the Hessian, takes about 30 passes. Replacing w_0 by w and shrinking tau is the proximal
point method (Rockafellar 1976), which converges to the minimum without a kink's difficulties.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from tamis import errors
from tamis.selectors.transport import certificate, costs, holding, masses, scaling, sweeps
from tamis.selectors.transport.curvature import Curvature
from tamis.selectors.transport.mixture import Mixture, known

# Of the median cost: what `projektor.Geometry` takes. Rows to know that cost by.
USUAL, _LOOKED = 0.05, 256
# Steps of one round of L-BFGS.
_PASSES = 45
# tau starts at the spread of h, which moves w by about 1, falls by this factor a round, and ends
# above the kinks' difficulties. A finer level starts with the first tau again.
_SHRINK, _FIRMEST = 2.0, 1 / 16
# Rows of the coarsest level, all sources together, and how many times more each level has.
_COARSE_ROWS, _GROWTH = 2_048, 8
_ROUNDS = 16
# A round ends when the marginal's error is well below the tolerance of the gap; with more than so
# many times the tolerance, no certificate is asked for.
_SETTLED, _HOPELESS = 0.8, 10.0
# Or when it is at most so many times what the lower bound loses by the mixture, which only the next
# round, with a smaller tau, can better.
_AHEAD = 2.0
_HALVINGS, _ARMIJO = 8, 1e-4
# A sample's own error is far above the tolerance, so it need not be met there.
_ROUGH = 5.0


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


class _Point(NamedTuple):
    """A potential, the mixture it goes with, and the pass made at it."""

    g: NDArray[np.float64]
    weights: NDArray[np.float64]
    swept: sweeps.Sweep


@dataclasses.dataclass(frozen=True)
class Weights:
    """The mixtures that are allowed: floors <= w <= caps, sum 1."""

    floors: NDArray[np.float64]
    caps: NDArray[np.float64]

    def nearest(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Euclidean projection of v: clip(v + shift) for the shift that makes it sum to 1."""

        def excess(shift: float) -> float:
            return float(np.clip(v + shift, self.floors, self.caps).sum() - 1)

        low, high = float((self.floors - v).min()), float((self.caps - v).max())
        if excess(low) >= 0 or excess(high) <= 0:  # one point only
            return self.floors if excess(low) >= 0 else self.caps
        shift = optimize.brentq(excess, low, high, xtol=1e-15, rtol=1e-15)
        return np.clip(v + shift, self.floors, self.caps)

    def least(self, h: NDArray[np.float64]) -> float:
        """The least <w, h>: the cheapest are filled to their caps."""
        left, total = 1 - self.floors.sum(), float(self.floors @ h)
        for i in np.argsort(h, kind="stable"):
            more = min(left, self.caps[i] - self.floors[i])
            total, left = total + more * h[i], left - more
        return float(total)


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
    which `gap` contains. Passes of O(n m), 20,000 x 2,000 rows: 50 at a tenth of the usual cost, 74
    at a twentieth and 134 at a fiftieth.

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
    allowed = limits(floors, caps, problem.k)
    epsilon = masses.positive(usual(problem.cost) if epsilon is None else epsilon)
    n = problem.cost.shape[0]
    g, w = np.zeros(len(problem.b)), allowed.nearest(np.full(problem.k, 1 / problem.k))
    used, tau, curvature = 0.0, 0.0, Curvature()
    for rows in _levels(n):
        level = problem if rows == n else problem.sample(rows)
        held = dataclasses.replace(level, cost=holding.held(level.cost, memory))
        rough = tolerance * (1 if rows == n else _ROUGH)
        search = _Search(held, allowed, epsilon, rough, curvature)
        point = search.started(g, w) if not tau else search.at(g, w)
        tau = tau or search.spread(point)
        found = search.solve(point, tau)
        used += search.count[0] * len(level.shares) / n
        g, w = found.g, found.weights
    return found._replace(iterations=used)


def usual(cost: costs.Cost) -> float:
    """The regularisation without another: `USUAL` of the median cost, of some rows' entries."""
    n = cost.shape[0]
    return USUAL * float(np.median(cost.take(np.arange(0, n, -(-n // _LOOKED))).rows(slice(None))))


def limits(floors: ArrayLike, caps: ArrayLike, k: int) -> Weights:
    """Floors and caps of k sources.

    Raises:
      ConfigError: none of the mixtures is within them.
    """
    low, high = (np.array(np.broadcast_to(np.asarray(v, float), k)) for v in (floors, caps))
    sane = np.all(np.isfinite(low) & np.isfinite(high) & (low >= 0) & (low <= high))
    if not sane or low.sum() > 1 + 1e-12 or np.minimum(high, 1).sum() < 1 - 1e-12:
        raise errors.ConfigError(
            f"no mixture of {k} sources has floors {low.tolist()} and caps {high.tolist()}",
            why="shares sum to 1, and a floor is at least 0 and at most its cap",
            remedy="lower the floors or raise the caps",
        )
    return Weights(low, np.minimum(high, 1.0))


def _levels(n: int) -> list[int]:
    """Rows to work with, ending with all of them."""
    rows = [n]
    while rows[-1] > _COARSE_ROWS * _GROWTH:
        rows.append(rows[-1] // _GROWTH)
    return rows[::-1]


@dataclasses.dataclass(frozen=True)
class _Search:
    """Rounds on one problem at one epsilon; `count` is of passes."""

    problem: Mixture
    allowed: Weights
    epsilon: float
    tolerance: float
    curvature: Curvature = dataclasses.field(default_factory=Curvature)
    count: list[int] = dataclasses.field(default_factory=lambda: [0])

    def at(self, g: NDArray[np.float64], weights: NDArray[np.float64]) -> _Point:
        """The point at g: one pass."""
        self.count[0] += 1
        return _Point(g, weights, self.problem.sweep(g, self.epsilon))

    def started(self, g: NDArray[np.float64], weights: NDArray[np.float64]) -> _Point:
        """By way of larger regularisations, a round each."""
        for larger in scaling.levels(self.problem.cost.range, self.epsilon)[1:]:
            search = dataclasses.replace(self, epsilon=larger, curvature=Curvature())
            point = search.at(g, weights)
            g, weights, _ = search.round(point, search.spread(point))
        return self.at(g, weights)

    def spread(self, point: _Point) -> float:
        """What h differs by between sources, in which tau is measured."""
        return float(np.ptp(self._h(point))) or self.epsilon

    def solve(self, point: _Point, tau: float) -> BestMixture:
        """Rounds of the proximal point method until the gap is small enough."""
        least, bound = _FIRMEST * tau, -np.inf
        best = BestMixture(point.weights, np.inf, np.inf, point.weights, point.g, 0.0)
        for left in reversed(range(_ROUNDS)):
            point = self.round(point, tau)
            bound = max(bound, self.lower(point))
            tau = max(tau / _SHRINK, least)
            late = self._lag(point) > self.tolerance * abs(bound)
            if left and (late or self._error(point) > _HOPELESS * self.tolerance):
                continue  # a certificate would not be good enough
            best = min(best, self.certified(point), key=lambda one: one.value)
            if best.value - bound <= self.tolerance * abs(best.value):
                break
        return best._replace(gap=best.value - bound)

    def round(self, point: _Point, tau: float) -> _Point:
        """max_g <b, g> + min_w <w, h(g)> + tau / 2 |w - w_0|^2 from where the last one ended."""
        near, point = point.weights, self._moved(point, point.weights, tau)
        value, slope = self._model(point, near, tau)
        unit = np.sqrt(self.epsilon / np.where(self.problem.b > 0, self.problem.b, np.inf))
        for _ in range(_PASSES):
            error = self._error(point)
            if error <= _SETTLED * self.tolerance or error * abs(value) <= _AHEAD * self._lag(
                point
            ):
                break
            d, size = self.curvature.direction(slope * unit), 1.0
            for _ in range(_HALVINGS):
                found = self._moved(self.at(point.g + size * d * unit, near), near, tau)
                least, following = self._model(found, near, tau)
                blur = float(np.finfo(self.problem.cost.dtype).eps) * abs(value)
                if least <= value + _ARMIJO * size * (d @ (slope * unit)) + blur:
                    break
                size /= 2
            self.curvature.learn(size * d, (following - slope) * unit)
            point, value, slope = found, least, following
        return point

    def _moved(self, point: _Point, near: NDArray[np.float64], tau: float) -> _Point:
        """With the mixture that is best for its g, tau and w_0."""
        return point._replace(weights=self.allowed.nearest(near - self._h(point) / tau))

    def _model(
        self, point: _Point, near: NDArray[np.float64], tau: float
    ) -> tuple[float, NDArray[np.float64]]:
        """Minus the objective of a round, and its gradient in g."""
        b, w = self.problem.b, point.weights
        value = b @ point.g + w @ self._h(point) + tau / 2 * np.sum((w - near) ** 2)
        return -float(value), w @ point.swept.columns - b

    def _h(self, point: _Point) -> NDArray[np.float64]:
        return self.problem.means(point.swept.f)

    def _error(self, point: _Point) -> float:
        return float(np.abs(point.weights @ point.swept.columns - self.problem.b).sum())

    def _lag(self, point: _Point) -> float:
        """What another mixture would cost less at this g."""
        h = self._h(point)
        return float(point.weights @ h) - self.allowed.least(h)

    def lower(self, point: _Point) -> float:
        """A lower bound of V over all allowed mixtures."""
        least = self.allowed.least(self._h(point))
        return float(self.problem.b @ point.g) + least - self.problem.cost.error

    def certified(self, point: _Point) -> BestMixture:
        """The point with an upper bound of its value: two passes."""
        self.count[0] += 2
        problem, (g, w, swept) = self.problem, point
        a, columns = problem.a(w), w @ swept.columns
        value = certificate.upper(problem.cost, a, problem.b, g, self.epsilon, columns)
        return BestMixture(w, value + problem.cost.error, np.inf, self._h(point), g, 0.0)
