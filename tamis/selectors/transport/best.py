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
from tamis.selectors.transport.mixture import Mixture, known

# Passes of one round of L-BFGS, and its memory: the sources' directions fit into it.
_PASSES, _MEMORY = 30, 25
# tau falls by this factor a round; it starts at a quarter of the spread of h, which moves w by 4.
_SHRINK = 2.0
# Rows of the coarsest level, all sources together, and how many times more each level has.
_COARSE_ROWS, _GROWTH = 4_096, 4
_ROUNDS = 16
# On finer levels the mixture is nearly known, and tau may begin lower.
_FIRMER, _FIRMEST = 1 / 2, 1 / 8
# A round ends when the marginal's error is well below the tolerance of the gap; with more than so
# many times the tolerance, no certificate is asked for.
_SETTLED, _HOPELESS = 0.2, 10.0
_FLAT = 1e-14
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
    g: NDArray[np.float64]
    weights: NDArray[np.float64]


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
    epsilon: float,
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
    which `gap` contains. Time about 40 passes of O(n m).

    Args:
      sources: k arrays (n_i, d), or a `transport.mixture`.
      target: Shape (m, d); not read where a `Mixture` or a cost is given.
      epsilon: Regularisation, in the units of the cost. Larger ones prefer sources that sit in
        the middle of the target.
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
    epsilon = masses.positive(epsilon)
    point = _Point(np.zeros(len(problem.b)), allowed.nearest(np.full(problem.k, 1 / problem.k)))
    used, n = 0.0, problem.cost.shape[0]
    for rows in _levels(n):
        level = problem if rows == n else problem.sample(rows)
        held = dataclasses.replace(level, cost=holding.held(level.cost, memory))
        first = rows == _levels(n)[0]
        search = _Search(held, allowed, epsilon, tolerance * (1 if rows == n else _ROUGH))
        found = search.solve(search.descended(point) if first else point, 1.0 if first else _FIRMER)
        used += search.count[0] * len(level.shares) / n
        point = _Point(found.g, found.weights)
    return found._replace(iterations=used)


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
    """Rounds on one problem at one epsilon."""

    problem: Mixture
    allowed: Weights
    epsilon: float
    tolerance: float
    count: list[int] = dataclasses.field(default_factory=lambda: [0])

    def sweep(self, g: NDArray[np.float64]) -> sweeps.Sweep:
        self.count[0] += 1
        return self.problem.sweep(g, self.epsilon)

    def descended(self, point: _Point) -> _Point:
        """By way of larger regularisations, a round each."""
        levels = scaling.levels(self.problem.cost.range, self.epsilon)
        for larger in levels[1:]:
            search = dataclasses.replace(self, epsilon=larger)
            swept = search.sweep(point.g)
            point, _ = search.round(point, self._spread(swept))
        return point

    def solve(self, point: _Point, firm: float) -> BestMixture:
        """Rounds of the proximal point method until the gap is small enough."""
        tau = firm * self._spread(self.sweep(point.g))
        least, bound = _FIRMEST * tau / firm, -np.inf
        best = BestMixture(point.weights, np.inf, np.inf, point.weights, point.g, 0.0)
        for left in reversed(range(_ROUNDS)):
            point, swept = self.round(point, tau)
            bound = max(bound, self._lower(point, swept))
            tau = max(tau / _SHRINK, least)
            if left and self._error(point.weights, swept) > _HOPELESS * self.tolerance:
                continue  # a certificate would not be good enough
            best = min(best, self._certified(point, swept), key=lambda one: one.value)
            if best.value - bound <= self.tolerance * abs(best.value):
                break
        return best._replace(gap=best.value - bound)

    def round(self, point: _Point, tau: float) -> tuple[_Point, sweeps.Sweep]:
        """max_g <b, g> + min_w <w, h(g)> + tau / 2 |w - w_0|^2 from where the last one ended."""
        b, near, last = self.problem.b, point.weights, [self.sweep(point.g)]
        unit = np.sqrt(self.epsilon / np.where(b > 0, b, np.inf))

        def weights() -> NDArray[np.float64]:
            return self.allowed.nearest(near - self.problem.means(last[0].f) / tau)

        def fall(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            last[0] = self.sweep(u * unit)
            w = weights()
            value = b @ (u * unit) + w @ self.problem.means(last[0].f)
            value += tau / 2 * np.sum((w - near) ** 2)
            return -float(value), (w @ last[0].columns - b) * unit

        def near_enough(intermediate_result: optimize.OptimizeResult) -> None:
            if self._error(weights(), last[0]) <= _SETTLED * self.tolerance:
                raise StopIteration

        found = optimize.minimize(
            fall, np.divide(point.g, unit, out=np.zeros_like(unit), where=unit > 0),
            jac=True, method="L-BFGS-B", callback=near_enough,
            options={"maxcor": _MEMORY, "maxfun": _PASSES, "ftol": _FLAT, "gtol": 0.0},
        )  # fmt: skip
        g = found.x * unit
        last[0] = self.sweep(g)
        return _Point(g, weights()), last[0]

    def _spread(self, swept: sweeps.Sweep) -> float:
        return float(np.ptp(self.problem.means(swept.f))) or self.epsilon

    def _error(self, w: NDArray[np.float64], swept: sweeps.Sweep) -> float:
        return float(np.abs(w @ swept.columns - self.problem.b).sum())

    def _lower(self, point: _Point, swept: sweeps.Sweep) -> float:
        """A lower bound of V over all allowed mixtures."""
        least = self.allowed.least(self.problem.means(swept.f))
        return float(self.problem.b @ point.g) + least - self.problem.cost.error

    def _certified(self, point: _Point, swept: sweeps.Sweep) -> BestMixture:
        """The point with an upper bound of its value: two passes."""
        self.count[0] += 2
        problem, w = self.problem, point.weights
        value = certificate.upper(
            problem.cost, problem.a(w), problem.b, point.g, self.epsilon, w @ swept.columns
        )
        h = problem.means(swept.f)
        return BestMixture(w, value + problem.cost.error, np.inf, h, point.g, 0.0)
