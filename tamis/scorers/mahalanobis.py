"""Outlier distance: how far a row lies from the mean, in units of the pool's own spread.

    D(x)^2 = (x - m)' S^-1 (x - m)                                    (Mahalanobis 1936)

The covariance S is shrunk towards a multiple of the identity by the oracle approximating rule (Chen
et al. 2010, eq. 23), which needs its trace and that of its square and nothing else: moments are a
fold, where the Ledoit-Wolf rule would need a second pass. Unlike the distance to a neighbour it
sees one cloud and no clusters; for labelled pools Lee et al. (2018) use a mean a class.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import difficulty, fitted

# Components in units of 2^-16: products of a batch of 2^20 unit rows then sum exactly in float64,
# those of 2^31 rows in int64, and the unit is 2^-12 of a usual component (d = 256).
_UNIT = 2.0**16


class Moments(NamedTuple):
    """Of the rows seen.

    Attributes:
      rows: Shape (), how many.
      mean: Shape (d,).
      covariance: Shape (d, d), over n.
    """

    rows: NDArray[np.int64]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Moment:
    """Fold: a one, the components, and their products, summed in fixed point. Memory O(d^2)."""

    def zero(self) -> NDArray[np.int64]:
        return np.zeros((0, 0), np.int64)

    def add(self, state: NDArray[np.int64], batch: pa.RecordBatch) -> NDArray[np.int64]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        if not np.all(np.abs(x) <= 1.001):
            raise ValueError("an embedding is not a finite unit vector")
        wide = np.ones((len(x), 1 + x.shape[1]))
        np.rint(x * np.float32(_UNIT), out=wide[:, 1:], casting="unsafe")
        return self.merge(state, (wide.T @ wide).astype(np.int64))  # integers below 2^53: exact

    def merge(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        if not a.size or not b.size:
            return a if a.size else b
        return a + b

    def result(self, state: NDArray[np.int64]) -> Moments:
        if not state.size or not state[0, 0]:
            return Moments(np.array(0), np.zeros(0), np.zeros((0, 0)))
        rows = state[0, 0]
        mean = state[0, 1:] / rows / _UNIT
        second = state[1:, 1:] / rows / _UNIT**2
        return Moments(np.array(rows), mean, second - np.outer(mean, mean))


def shrunk(covariance: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Chen et al. (2010, eq. 23): (1 - r) S + r tr(S)/d I, with the r that suits n rows."""
    d = len(covariance)
    trace, square = np.trace(covariance), np.sum(covariance**2)
    above = (1 - 2 / d) * square + trace**2
    below = (rows + 1 - 2 / d) * (square - trace**2 / d)
    r = min(1.0, above / below) if below > 0 else 1.0
    return (1 - r) * covariance + r * trace / d * np.eye(d)


def whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """A (d, d) with A' A = S^-1, from the eigenvectors; directions without spread are left out.

    Spread below 1e-8 of the largest, as exact linear dependence leaves it after rounding.
    """
    values, vectors = np.linalg.eigh(covariance)
    there = values > 1e-8 * max(values.max(initial=0), 1e-300)
    scale = np.where(there, 1 / np.sqrt(np.where(there, values, 1)), 0)
    return scale[:, None] * vectors.T


def distance(
    x: NDArray[np.float32], mean: NDArray[np.float64], whitener: NDArray[np.float64]
) -> NDArray[np.float32]:
    """D(x) of each row, at least 0. Time O(n d^2), independent of the batch.

    Args:
      x: Shape (n, d).
      mean: Shape (d,).
      whitener: Shape (d, d), of `whitening`.
    """
    white = linalg.exact_product(x - mean, whitener)
    return np.sqrt(nearest.row_dot(white, white)).astype(np.float32)


class _Artifact(NamedTuple):
    mean: NDArray[np.float64]
    whitener: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Mahalanobis(fitted.Fitted):
    """Distance to the pool's mean. O(d^2) a row; memory O(d^2) a worker.

    Attributes:
      moments: Path of an `.npy`, shape (1 + d, d): the mean, then the whitening matrix.
      keep: As for `nearest_neighbours`: `easy` scores the rows near the mean highest.
      name: Of the sidecar.
    """

    moments: str
    keep: difficulty.Keep = "easy"
    name: str = "mahalanobis"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    @functools.cached_property
    def _artifact(self) -> _Artifact:
        both = np.array(artifacts.read(self.moments))
        if both.ndim != 2 or both.shape[0] != both.shape[1] + 1:
            raise errors.ArtifactError(
                f"moments of shape {both.shape}, not (1 + d, d)", where=self.moments
            )
        return _Artifact(both[0], both[1:])

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        found = distance(x, *self._artifact)
        return difficulty.oriented(found, self.keep)
