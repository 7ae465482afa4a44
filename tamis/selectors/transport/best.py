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
from tamis.selectors.transport import certificate, costs, masses
from tamis.selectors.transport.mixture import Mixture, known

# Passes of one round of L-BFGS, and its memory: the sources' directions fit into it.
_PASSES, _MEMORY = 30, 25
# tau falls by this factor a round; it starts at a quarter of the spread of h, which moves w by 4.
_SHRINK = 2.0
# Rows of the coarsest level, all sources together, and how many times more each level has.
_COARSE_ROWS, _GROWTH = 4_096, 4
_ROUNDS, _CHECK = 8, 3
# On finer levels the mixture is nearly known, and tau may begin lower.
_FIRMER, _FIRMEST = 1 / 2, 1 / 8
_FLAT, _MARGINAL = 1e-14, 1e-2


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
    firm, used, n = 1.0, 0.0, problem.cost.shape[0]
    for rows in _levels(n):
        level = problem if rows == n else problem.sample(rows)
        held = dataclasses.replace(level, cost=costs.held(level.cost, memory))
        found = _solve(held, allowed, point, epsilon, tolerance, firm)
        used += found.iterations * len(level.shares) / n
        point, firm = _Point(found.g, found.weights), _FIRMER
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


def _solve(
    problem: Mixture,
    allowed: Weights,
    point: _Point,
    epsilon: float,
    tolerance: float,
    firm: float,
) -> BestMixture:
    """Rounds of the proximal point method until the gap is small enough."""
    h = problem.means(problem.sweep(point.g, epsilon).f)
    tau = firm * (float(np.ptp(h)) or epsilon)
    least = _FIRMEST * tau / firm
    flat = _flat(problem, epsilon, tolerance)
    best = BestMixture(point.weights, np.inf, np.inf, h, point.g, 0.0)
    bound, used = -np.inf, 1
    for _ in range(_ROUNDS):
        point, passes = _round(problem, allowed, point, epsilon, tau, flat)
        found, lower = _certified(problem, allowed, point, epsilon)
        used, tau, bound = used + passes + _CHECK, max(tau / _SHRINK, least), max(bound, lower)
        best = min(best, found, key=lambda one: one.value)
        if best.value - bound <= tolerance * abs(best.value):
            break
    return best._replace(gap=best.value - bound, iterations=used)


def _round(
    problem: Mixture, allowed: Weights, point: _Point, epsilon: float, tau: float, flat: float
) -> tuple[_Point, int]:
    """max_g <b, g> + min_w <w, h(g)> + tau / 2 |w - w_0|^2 from where the last round ended."""
    unit = np.sqrt(epsilon / np.where(problem.b > 0, problem.b, np.inf))

    def fall(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        swept = problem.sweep(u * unit, epsilon)
        h = problem.means(swept.f)
        w = allowed.nearest(point.weights - h / tau)
        value = problem.b @ (u * unit) + w @ h + tau / 2 * np.sum((w - point.weights) ** 2)
        return -float(value), (w @ swept.columns - problem.b) * unit

    start = np.divide(point.g, unit, out=np.zeros_like(unit), where=unit > 0)
    options = {"maxcor": _MEMORY, "maxfun": _PASSES, "ftol": _FLAT, "gtol": flat}
    found = optimize.minimize(fall, start, jac=True, method="L-BFGS-B", options=options)
    g = found.x * unit
    h = problem.means(problem.sweep(g, epsilon).f)
    return _Point(g, allowed.nearest(point.weights - h / tau)), found.nfev + 1


def _flat(problem: Mixture, epsilon: float, tolerance: float) -> float:
    """The gradient at which the target's marginal is met well within the tolerance."""
    return float(_MARGINAL * tolerance * np.sqrt(epsilon / len(problem.b)))


def _certified(
    problem: Mixture, allowed: Weights, point: _Point, epsilon: float
) -> tuple[BestMixture, float]:
    """The point with an upper bound of its value, and a lower bound of all values."""
    swept = problem.sweep(point.g, epsilon)
    h, off = problem.means(swept.f), problem.cost.error
    columns = point.weights @ swept.columns
    a = problem.a(point.weights)
    value = certificate.upper(problem.cost, a, problem.b, point.g, epsilon, columns) + off
    lower = float(problem.b @ point.g) + allowed.least(h) - off
    return BestMixture(point.weights, value, np.inf, h, point.g, _CHECK), lower
