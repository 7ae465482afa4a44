"""A source as a measure over prototypes: what stays known of it however the rows are cut."""

import dataclasses
import functools
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import clusters, errors, nearest


@dataclasses.dataclass(frozen=True, eq=False)
class Prototypes:
    """Unit centroids that stand for their neighbourhoods, within a class each where there are any.

    Attributes:
      x: Shape (p, d), unit rows.
      label: Shape (p,), the class a prototype belongs to; all 0 without labels.
    """

    x: NDArray[np.float32]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def fit(
        cls,
        x: NDArray[np.float32],
        count: int,
        *,
        labels: ArrayLike | None = None,
        seed: int = 0,
    ) -> Self:
        """Spherical k-means of all revealed rows, `count` of them shared out over the classes.

        Args:
          x: Shape (n, d), any scale, no zero rows: what the sources and the target show.
          count: Prototypes wanted in all; a class gets at least one and no more than it has rows.
          labels: Shape (n,), of the rows, where distances are to respect them.
          seed: Of k-means.

        Time O(n count d / classes); memory O(n d).
        """
        y = _labels(labels, len(x))
        classes = np.unique(y)
        each = max(1, count // len(classes))
        groups = [x[y == c] for c in classes]
        found = [clusters.fit(g, min(each, len(g)), seed=seed) for g in groups]
        return cls(np.concatenate(found), np.repeat(classes, [len(f) for f in found]))

    def cost(self, between: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Squared distances between prototypes, plus that between their classes: shape (p, p).

        Args:
          between: Shape (c, c), a distance of classes in the same units, e.g. the squared
            Wasserstein distance of the optimal transport dataset distance; none without labels.
        """
        x = self.x.astype(np.float64)
        squared = np.maximum(2 - 2 * x @ x.T, 0)
        np.fill_diagonal(squared, 0)
        return squared if between is None else squared + between[np.ix_(self.label, self.label)]


@dataclasses.dataclass(frozen=True, eq=False)
class Measure:
    """Where the rows of a source lie.

    A measure is all a predictor needs, so a source that is new, cut again or merged has one at
    once, and no training is repeated.

    Attributes:
      mass: Shape (p,), sums to 1: share of the rows at each prototype.
      rows: How many rows it was made of.
    """

    mass: NDArray[np.float64]
    rows: int

    @classmethod
    def of(
        cls, x: NDArray[np.float32], prototypes: Prototypes, *, labels: ArrayLike | None = None
    ) -> Self:
        """Every row at its nearest prototype (of its class): O(n p d).

        Args:
          x: Shape (n, d), n at least 1.
          prototypes: Shared by all sources.
          labels: Shape (n,), where the prototypes have classes.

        Raises:
          PlanError: no rows, a NaN, or a class without a prototype.
        """
        if len(x) == 0:
            raise errors.PlanError(
                "a source without rows has no measure", remedy="reveal some of its rows"
            )
        if not np.isfinite(x).all():
            row = int(np.argmin(np.isfinite(x).all(1)))
            raise errors.PlanError("an embedding is NaN or infinite", where=f"row {row}")
        y = _labels(labels, len(x))
        unknown = np.setdiff1d(y, prototypes.label)
        if unknown.size:
            raise errors.PlanError(f"classes {unknown.tolist()} have no prototype")
        count = np.zeros(len(prototypes))
        for c in np.unique(y):
            mine = np.flatnonzero(prototypes.label == c)
            at = nearest.nearest(x[y == c], prototypes.x[mine]).neighbour
            count[mine] += np.bincount(at, minlength=len(mine))
        return cls(count / count.sum(), len(x))

    def merged(self, other: Self) -> Self:
        """The measure of both sources' rows together: the mixture weighted by their sizes."""
        rows = self.rows + other.rows
        return type(self)((self.rows * self.mass + other.rows * other.mass) / rows, rows)


def merged(parts: list[Measure]) -> Measure:
    """All of them together."""
    return functools.reduce(Measure.merged, parts)


def _labels(labels: ArrayLike | None, n: int) -> NDArray[np.int64]:
    return np.zeros(n, np.int64) if labels is None else np.asarray(labels, np.int64)
