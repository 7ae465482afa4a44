"""The Sinkhorn divergence: entropic transport without its bias (Genevay et al. 2018)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.transport import costs, masses, scaling, sweeps


class Divergence(NamedTuple):
    """S = OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2.

    Attributes:
      value: S, at least 0 and 0 only for equal measures where exp(-C / epsilon) is a positive
        kernel, as it is for both metrics (Feydy et al. 2019, Theorem 1).
      f: Shape (n,), the gradient in a up to a constant: f_ab - f_aa.
      g: Shape (m,), in b.
      iterations: Passes over the largest of the three costs, about.
      marginal_error: The largest of the three.
    """

    value: float
    f: NDArray[np.float64]
    g: NDArray[np.float64]
    iterations: int
    marginal_error: float


def sinkhorn_divergence(
    x: ArrayLike,
    y: ArrayLike,
    epsilon: float,
    *,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    metric: costs.Metric = "sqeuclidean",
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Divergence:
    """The debiased entropic transport between two sets of rows (Feydy et al. 2019, eq. 3).

    Time O((n + m)^2 d) a pass, memory O((n + m) d).

    Args:
      x: Shape (n, d).
      y: Shape (m, d).
      epsilon: Regularisation, in the units of the cost.
      a: Shape (n,), masses; equal and of sum 1 without.
      b: Shape (m,), of the same total.
      metric: As for `transport.points`.
      tolerance: L1 error of the marginals.
      max_iterations: Passes of each of the three.

    Raises:
      SchemaError: shapes disagree, totals differ, or a value is not finite.
      ConfigError: epsilon is not above 0.
    """
    across = costs.points(x, y, metric=metric)
    n, m = across.shape
    left = np.full(n, 1 / n) if a is None else a
    right = np.full(m, 1 / m) if b is None else b
    solved = scaling.sinkhorn(
        left, right, across, epsilon, tolerance=tolerance, max_iterations=max_iterations
    )
    own = [
        _own(costs.points(z, z, metric=metric), mass, epsilon, tolerance, max_iterations)
        for z, mass in ((x, solved.a), (y, solved.b))
    ]
    bias = sum(float(mass @ part.f) for mass, part in zip((solved.a, solved.b), own, strict=True))
    return Divergence(
        solved.value - bias,
        solved.f - own[0].f,
        solved.g - own[1].f,
        solved.iterations + own[0].iterations + own[1].iterations,
        max(solved.marginal_error, own[0].error, own[1].error),
    )


class _Own(NamedTuple):
    f: NDArray[np.float64]
    iterations: int
    error: float


def _own(
    cost: costs.Cost, mass: NDArray[np.float64], epsilon: float, tolerance: float, most: int
) -> _Own:
    """A measure onto itself: both potentials are f, and the averaged step needs few passes.

    OT(a, a) / 2 = <a, f> (Feydy et al. 2019, §3.1, eq. 25).
    """
    share = mass / masses.mass(mass, len(mass), "masses").sum()
    f, error, used = np.zeros(len(share)), np.inf, 0
    while error > tolerance and used < most:
        other, used = sweeps.softmin(cost, f, share, epsilon), used + 1
        error = float(share @ np.abs(np.expm1(np.clip((f - other) / epsilon, -50, 50))))
        f = (f + other) / 2
    return _Own(f, used, error)
