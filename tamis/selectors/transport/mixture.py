"""Sources as measures, and what a mixture of them costs to move onto the target.

    V(w) = OT_epsilon(sum_i w_i mu_i, nu)
         = max_g <b, g> + sum_i w_i h_i(g),   h_i(g) = mean over source i of the soft c-transform

(the semi-dual: Cuturi & Peyré 2018; Kang et al. 2023 for its use on mixtures). V is a maximum of
functions linear in w, so it is convex, and its gradient is h(g) at the best g: the mean dual
potential of every source. Only differences matter on the simplex: a constant can be added to f
and taken from g.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.selectors.transport import costs, masses, newton, scaling, sweeps, values

# Entries of the cost up to which Newton's system is worth its memory.
_NEWTON = 1 << 24
# Rows that a sample has of every source at least.
_SHOWN = 32


@dataclasses.dataclass(frozen=True)
class Mixture:
    """k sources, a target and the cost between them.

    Attributes:
      cost: Shape (n, m), the rows of all sources one after the other.
      bounds: Shape (k + 1,), where each source begins and ends.
      shares: Shape (n,), of a row in its source; they sum to 1 for every source.
      b: Shape (m,), of the target's rows, sum 1.
    """

    cost: costs.Cost
    bounds: NDArray[np.int64]
    shares: NDArray[np.float64]
    b: NDArray[np.float64]

    @property
    def k(self) -> int:
        """Sources."""
        return len(self.bounds) - 1

    def a(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mixture as masses of rows, shape (n,)."""
        return self.shares * np.repeat(weights, np.diff(self.bounds))

    def means(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of each source, shape (k,)."""
        return np.add.reduceat(self.shares * f, self.bounds[:-1])

    def sample(
        self, rows: int, weights: NDArray[np.float64], order: NDArray[np.int64]
    ) -> "Mixture":
        """About `rows` rows of all sources, a small problem like this one.

        Args:
          rows: Wanted.
          weights: Shape (k,); a source has rows in proportion to its own, `_SHOWN` at least.
          order: Shape (n,), of rows within their sources: those drawn are evenly along it.
        """
        kept = np.minimum(np.diff(self.bounds), np.maximum(_SHOWN, (weights * rows).astype(int)))
        spans = list(zip(self.bounds[:-1], self.bounds[1:], strict=True))
        parts = [
            masses.drawn(self.shares[order[start:end]], count)
            for (start, end), count in zip(spans, kept, strict=True)
        ]
        picked = [order[start + at] for (start, _), (at, _) in zip(spans, parts, strict=True)]
        return Mixture(
            self.cost.take(np.concatenate(picked)),
            np.concatenate([[0], np.cumsum([len(p) for p in picked])]),
            np.concatenate([share for _, share in parts]),
            self.b,
        )

    def sweep(self, g: NDArray[np.float64], epsilon: float) -> sweeps.Sweep:
        """One pass, its columns by source: shape (k, m), each row with sum 1."""
        return sweeps.sweep(
            self.cost, g, b=self.b, epsilon=epsilon, weights=self.shares, bounds=self.bounds
        )


class MixtureCost(NamedTuple):
    """The cost of one mixture.

    Attributes:
      value: V(w), as `Solution.value`: <C, P> + epsilon KL(P | a b^T).
      gradient: Shape (k,), of V in the weights: the mean dual potential of each source. Defined
        up to a constant on the simplex; as returned it is the gradient of V extended to all
        positive w with g held, so that <w, gradient> + <b, g> = value.
      relative: Shape (k,), the derivative when w_i grows and the others shrink in proportion
        (Kang et al. 2023, eq. 2.3 of the released code): (gradient_i - <w, gradient>) / (1 - w_i),
        so sum_i w_i (1 - w_i) relative_i = 0. It is 0 where w_i = 1 and nothing can shrink.
      g: Shape (m,), the target's potential, to start the next solve from.
      iterations: Passes over the cost.
      marginal_error: As `Solution.marginal_error`.
    """

    value: float
    gradient: NDArray[np.float64]
    relative: NDArray[np.float64]
    g: NDArray[np.float64]
    iterations: int
    marginal_error: float


def mixture(
    sources: Sequence[ArrayLike],
    target: ArrayLike | None,
    *,
    cost: costs.Metric | ArrayLike | costs.Cost = "sqeuclidean",
    shares: Sequence[ArrayLike] | None = None,
    b: ArrayLike | None = None,
    device: str | None = None,
) -> Mixture:
    """Sources and target, to be used for many mixtures.

    Args:
      sources: k arrays (n_i, d); only their lengths are read where a cost is given.
      target: Shape (m, d); not read where a cost is given.
      cost: "sqeuclidean" or "cosine" between rows, or the cost of all sources' rows, one source
        after the other: shape (sum of n_i, m).
      shares: k arrays (n_i,), weights of the rows of a source; equal without.
      b: Shape (m,), weights of the target's rows; equal without.
      device: As for `transport.points`.

    Raises:
      SchemaError: no source, an empty one, shapes that disagree, or a value that is not finite.
    """
    sizes = np.array([len(np.asarray(s)) for s in sources], np.int64)
    if not len(sizes) or not sizes.all():
        raise errors.SchemaError(
            f"sources with {sizes.tolist()} rows",
            why="a mixture needs a source, and every source a row",
            remedy="leave the empty source out",
        )
    known = _cost(sources, target, cost, device)
    n, m = known.shape
    if n != sizes.sum():
        raise errors.SchemaError(
            f"sources have {sizes.sum()} rows and the cost {n}",
            why="the rows of the cost are those of all sources, in order",
            remedy="compute it from the concatenated sources",
        )
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    given = [np.ones(size) for size in sizes] if shares is None else shares
    if len(given) != len(sizes):
        raise errors.SchemaError(f"{len(given)} shares for {len(sizes)} sources")
    parts = [masses.mass(s, int(size), "shares") for s, size in zip(given, sizes, strict=True)]
    right = masses.mass(np.ones(m) if b is None else b, m, "b")
    return Mixture(known, bounds, np.concatenate([p / p.sum() for p in parts]), right / right.sum())


def _cost(
    sources: Sequence[ArrayLike],
    target: ArrayLike | None,
    cost: costs.Metric | ArrayLike | costs.Cost,
    device: str | None,
) -> costs.Cost:
    if not isinstance(cost, str):
        return costs.of(cost)
    metric = cast(costs.Metric, cost)
    if target is None:
        raise errors.SchemaError("no target and no cost", remedy="give one of them")
    widths = {np.shape(s)[1:] for s in sources}
    if len(widths) != 1:
        raise errors.SchemaError(
            f"sources of widths {sorted(widths)}",
            why="rows of one space can be compared",
            remedy="embed all sources with one model",
        )
    return costs.points(
        np.concatenate([np.asarray(s) for s in sources]), target, metric=metric, device=device
    )


def mixture_cost(
    sources: Sequence[ArrayLike] | Mixture,
    target: ArrayLike | None,
    weights: ArrayLike,
    epsilon: float,
    *,
    cost: costs.Metric | ArrayLike | costs.Cost = "sqeuclidean",
    g: ArrayLike | None = None,
    tolerance: float = 1e-7,
    max_iterations: int = 10_000,
) -> MixtureCost:
    """V(w), the entropic transport cost from the mixture sum_i w_i mu_i to the target.

    Convex in the weights. One solve, by `sinkhorn_newton` up to 16 M entries of the cost and by
    `sinkhorn` above: there memory is O(n + m) beside the cost.

    Args:
      sources: k arrays (n_i, d), or a `transport.mixture` made once for many calls.
      target: Shape (m, d); not read where a `Mixture` or a cost is given.
      weights: Shape (k,), at least 0, sum 1; sources of weight 0 have a gradient too.
      epsilon: Regularisation, in the units of the cost.
      cost: As for `transport.mixture`.
      g: Shape (m,), the potential of a mixture nearby, to start from.
      tolerance: L1 error of the target's marginal.
      max_iterations: Passes.

    Raises:
      SchemaError: as for `transport.mixture`, or the weights are not k shares.
      ConfigError: epsilon is not above 0.
    """
    problem = known(sources, target, cost)
    w = simplex(weights, problem.k)
    small = problem.cost.shape[0] * problem.cost.shape[1] <= _NEWTON
    solve = newton.sinkhorn_newton if small else scaling.sinkhorn
    solved = solve(
        problem.a(w), problem.b, problem.cost, epsilon,
        g=g, tolerance=tolerance, max_iterations=max_iterations,
    )  # fmt: skip
    gradient = problem.means(solved.f)
    return MixtureCost(
        solved.value, gradient, values.calibrated(gradient, w), solved.g,
        solved.iterations, solved.marginal_error,
    )  # fmt: skip


def simplex(weights: ArrayLike, k: int) -> NDArray[np.float64]:
    """Shares of k sources, sum 1.

    Raises:
      SchemaError: they do not, to 1e-6.
    """
    w = masses.mass(weights, k, "weights")
    if abs(w.sum() - 1) > masses.TOLERANCE:
        raise errors.SchemaError(
            f"weights sum to {w.sum():.9g}",
            why="a mixture is made of shares",
            remedy="divide them by their sum",
        )
    return w / w.sum()


def known(
    sources: Sequence[ArrayLike] | Mixture,
    target: ArrayLike | None,
    cost: costs.Metric | ArrayLike | costs.Cost,
) -> Mixture:
    """The mixture as it is, or made."""
    return sources if isinstance(sources, Mixture) else mixture(sources, target, cost=cost)
