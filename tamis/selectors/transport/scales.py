"""From the performance of small trainings to that of large ones, by a line in log n.

Kang et al. (2023, eq. 5; methods 2.2) take performance on a fixed mixture to be affine in the log
of the number of samples, and extend the line through two scales:

    p(n) = [log(n / n0) p1 - log(n / n1) p0] / log(n1 / n0)
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors


def project_scales(p0: ArrayLike, p1: ArrayLike, n0: float, n1: float, n: float) -> NDArray:
    """The value at n samples on the line in log n through two scales.

    Args:
      p0: Values at n0 samples, any shape; gradients in the weights project the same way.
      p1: Values at n1 samples, the same shape.
      n0: Samples of the smaller scale, above 0.
      n1: Samples of the larger scale, another number.
      n: Samples to project to.

    Raises:
      PlanError: fewer than two different scales, or a number that is not above 0.

    >>> float(project_scales(0.0, 1.0, 1_000, 1_500, 10_000).round(6))
    5.678874
    """
    return project(np.stack(np.broadcast_arrays(p0, p1)), [n0, n1], n)


def project(values: ArrayLike, sizes: ArrayLike, n: float) -> NDArray:
    """The value at n samples on the least-squares line in log n through any number of scales.

    Args:
      values: Shape (s, ...), by scale.
      sizes: Shape (s,), samples of each scale, at least two different.
      n: Samples to project to.

    Raises:
      PlanError: as for `project_scales`, or the lengths differ.
    """
    known = np.asarray(values, np.float64)
    return np.tensordot(scale_weights(sizes, n, len(known)), known, axes=1)


def scale_weights(sizes: ArrayLike, n: float, count: int | None = None) -> NDArray[np.float64]:
    """What each scale contributes to the projection, shape (s,), sum 1.

    >>> scale_weights([1_000, 1_500], 10_000).round(6).tolist()
    [-4.678874, 5.678874]
    """
    scales = np.asarray(sizes, np.float64)
    sane = scales.ndim == 1 and np.all(np.isfinite(scales) & (scales > 0)) and 0 < n < np.inf
    if not sane or len(np.unique(scales)) < 2 or count not in (None, len(scales)):
        raise errors.PlanError(
            f"cannot project from {scales.tolist()} samples to {n}",
            why="a line needs two different scales above 0, with a value at each",
            remedy="train at two sizes, e.g. 1,000 and 1,500",
        )
    x = np.log(scales)
    middle = x.mean()
    return 1 / len(x) + (x - middle) * (np.log(n) - middle) / np.sum((x - middle) ** 2)
