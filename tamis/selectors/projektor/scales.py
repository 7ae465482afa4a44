"""Performance at a few sizes, projected to another: affine in the logarithm of the size.

Kang et al. (2023, arXiv 2307.02460, stage 2): for a fixed mixture L(N) = u + v log N, so that two
anchors N0 < N1 give, without a parameter,

    L(N) = [ log(N/N0) L(N1) - log(N/N1) L(N0) ] / log(N1/N0).                             (2.2)

With more sizes it is the line of least squares through them, which for two is (2.2).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors


def project_scales(
    p0: ArrayLike, p1: ArrayLike, n0: float, n1: float, n: ArrayLike
) -> NDArray[np.float64]:
    """Equation (2.2); arguments broadcast.

    Args:
      p0: Performance, error or gradient at size n0.
      p1: At size n1.
      n0: Positive.
      n1: Positive and not n0.
      n: The size wanted.

    Raises:
      PlanError: both sizes are equal, one is not positive, or a performance is not finite.

    >>> project_scales(0.4, 0.3, 1000, 2000, 4000).round(12)
    np.float64(0.2)
    """
    first, second = np.asarray(p0, np.float64), np.asarray(p1, np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise errors.PlanError(
            "a performance to project is NaN or infinite",
            remedy="drop diverged runs, or give them the worst error that was seen",
        )
    w = anchor_weights([n0, n1], n)
    return np.asarray(w[..., 0] * first + w[..., 1] * second)


def anchor_weights(scales: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """What each size's value counts for at size n: shape (*n.shape, s), summing to 1.

    Args:
      scales: Shape (s,), sizes of one mixture's trainings, two of them different.
      n: The size wanted.

    Raises:
      PlanError: a size is not positive, or all are one.

    >>> anchor_weights([1000, 1500], 10_000).round(6)
    array([-4.678874,  5.678874])
    """
    sizes, wanted = np.asarray(scales, np.float64), np.asarray(n, np.float64)
    if (
        not ((sizes > 0) & np.isfinite(sizes)).all()
        or not ((wanted > 0) & np.isfinite(wanted)).all()
    ):
        raise errors.PlanError(f"sizes {sizes.tolist()} to {wanted.tolist()}: not all positive")
    logs = np.log(sizes)
    apart = logs - logs.mean()
    spread = apart @ apart
    if spread <= 1e-18:
        raise errors.PlanError(
            f"only one scale, {sizes.flat[0]:g}",
            why="how performance changes with size cannot be told from one size",
            remedy="train some mixtures at a second size, at least 1.5 times the first",
        )
    return 1 / sizes.size + (np.log(wanted)[..., None] - logs.mean()) * apart / spread


def projected_deviation(
    deviations: ArrayLike, scales: ArrayLike, n: ArrayLike
) -> NDArray[np.float64]:
    """Standard deviation of a projection from independent ones at each size.

    From 1,000 and 1,500 to 10,000 it is 7.4 times theirs, which is why a short lever needs either
    many replicates or a law that learns about size from mixtures too (`coverage`).

    Args:
      deviations: Shape (..., s).
      scales: Shape (s,).
      n: The size wanted.
    """
    moved = anchor_weights(scales, n) * np.asarray(deviations, np.float64)
    return np.sqrt((moved**2).sum(-1))
