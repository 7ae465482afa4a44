"""Who serves which part of the target, and which part nobody does."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors import transport
from tamis.selectors.projektor.geometry import Geometry

WIDTH = 0.1  # of the kernel: where `Coverage` begins
_THIN = 0.05  # of the target's density: a part with less of every source is served by nobody


@dataclasses.dataclass(frozen=True, eq=False)
class Flow:
    """Where the rows of a mixture go under exact transport to the target.

    Attributes:
      served: Shape (k, p), the part of each prototype's target mass that comes from each source;
        columns sum to 1 where the target has mass, and are 0 elsewhere.
      distance: Shape (p,), how far they come on average, in units of the median distance; 0 where
        the target has no mass.
    """

    served: NDArray[np.float64]
    distance: NDArray[np.float64]


def flow(geometry: Geometry, names: Sequence[str], weights: ArrayLike) -> Flow:
    """The optimal coupling of a mixture and the target, by source.

    Sources that share a prototype send from it in proportion to what they have there.

    Args:
      geometry: Of the sources.
      names: Of the strata, in the order of the weights.
      weights: Shape (k,), sum 1.

    One exact problem over p prototypes: 0.02 s for 500.
    """
    parts = np.asarray(weights, np.float64)[:, None] * geometry.masses(names)
    total = parts.sum(0)
    target = geometry.target.mass / geometry.target.mass.sum()
    coupling = transport.exact(total / total.sum(), target, geometry.cost).coupling.toarray()
    mine = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
    there = np.where(target > 0, target, np.inf)
    far = (coupling * geometry.cost).sum(0) / there / geometry.unit
    return Flow(mine @ coupling / there, far)


def unserved(
    geometry: Geometry, names: Sequence[str], *, width: float = WIDTH
) -> NDArray[np.int64]:
    """Prototypes of the target about which no source has a twentieth of the target's density.

    Returns:
      Ascending by number of prototype; the density is that of `Geometry.reach`.
    """
    most = geometry.reach(names, width).max(0)
    return np.flatnonzero((geometry.target.mass > 0) & (most < _THIN))
