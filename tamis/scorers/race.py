"""Density from a RACE sketch: how many rows share one's hash, averaged over many hashes.

    p(x) = (1/n) sum_j (1 - angle(x, x_j) / pi)^b

A hash is the sides of b random planes on which a row lies; two rows agree on one plane with
probability 1 - angle / pi (Charikar 2002), so the count of a row's cell estimates the sum (Coleman
and Shrivastava 2020; Sachdeva et al. 2024 sample training data by its inverse). Counts are
integers: a sketch merges exactly and no estimate is negative.

At the same number of projections it ranks rows far better than random Fourier features
(`kernel_density`), which must cancel waves of both signs; see `benchmarks/scorers.py`. b is the
bandwidth: in hundreds of dimensions two unrelated rows agree on half of the planes, so they count
2^-b, whatever d, where Silverman's bandwidth would let nobody count.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg, seeding
from tamis.schemas import columns, embeddings
from tamis.scorers import difficulty, fitted

_ENTRIES = 1 << 23  # 64 MiB of projections at a time


def planes(repeats: int, bits: int, d: int, *, seed: int) -> NDArray[np.float32]:
    """Shape (repeats, bits, d): normals of random planes."""
    rng = seeding.generator(seed, "race")
    return rng.standard_normal((repeats, bits, d)).astype(np.float32)


def cells(x: NDArray[np.float32], normals: NDArray[np.float32]) -> NDArray[np.int64]:
    """Shape (n, repeats): the cell of each row in each table, independent of the batch."""
    repeats, bits, d = normals.shape
    found, step = np.empty((len(x), repeats), np.int64), max(1, _ENTRIES // (repeats * bits))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        side = linalg.exact_product(x[part], normals.reshape(-1, d)) > 0
        found[part] = side.reshape(-1, repeats, bits) @ (1 << np.arange(bits))
    return found


def density(
    x: NDArray[np.float32], normals: NDArray[np.float32], counts: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The equation's estimate for each row, 0..1. Time O(n repeats bits d).

    Args:
      x: Shape (n, d), unit rows.
      normals: Of `planes`.
      counts: Shape (repeats, 2^bits), rows of the pool in each cell.
    """
    cell = cells(x, normals)
    seen = counts[np.arange(len(counts)), cell].sum(axis=1)
    return (seen / max(int(counts.sum()), 1)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Sketching(fitted.Fitted):
    """Fold: rows in each cell, shape (repeats, 2^bits). Memory O(repeats 2^bits).

    Attributes:
      planes: Path of an `.npy`, of `planes`.
    """

    planes: str

    @functools.cached_property
    def _artifact(self) -> NDArray[np.float32]:
        return np.array(artifacts.read(self.planes))

    def zero(self) -> NDArray[np.int64]:
        repeats, bits, _ = self._artifact.shape
        return np.zeros((repeats, 1 << bits), np.int64)

    def add(self, state: NDArray[np.int64], batch: pa.RecordBatch) -> NDArray[np.int64]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        cell = cells(x, self._artifact) + np.arange(len(state)) * state.shape[1]
        return state + np.bincount(cell.ravel(), minlength=state.size).reshape(state.shape)

    def merge(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        return a + b

    def result(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        return state


class _Artifact(NamedTuple):
    planes: NDArray[np.float32]
    counts: NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Race(fitted.Fitted):
    """Density of the pool at each row. Memory O(repeats (2^bits + bits d)) a worker.

    Attributes:
      planes: Path of an `.npy`, of `planes`.
      counts: Path of an `.npy`, shape (repeats, 2^bits) int64.
      repeats: Tables; the standard error falls with their root.
      bits: Planes of each, at most 16; more see a smaller neighbourhood and need more repeats.
      keep: `easy` scores the rows in dense regions highest, `hard` those in sparse ones.
      name: Of the sidecar.
    """

    planes: str
    counts: str
    repeats: int = 256
    bits: int = 8
    keep: difficulty.Keep = "easy"
    name: str = "race"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)
        if self.repeats < 1 or not 1 <= self.bits <= 16:
            raise errors.ConfigError(
                f"repeats {self.repeats} and bits {self.bits}",
                where=self.name,
                remedy="set repeats to 1 or more, bits within 1..16",
            )

    @functools.cached_property
    def _artifact(self) -> _Artifact:
        found = _Artifact(np.array(artifacts.read(self.planes)), artifacts.read(self.counts))
        if found.counts.shape != (len(found.planes), 1 << found.planes.shape[1]):
            raise errors.ArtifactError(
                f"counts of shape {found.counts.shape} for planes {found.planes.shape}",
                where=self.counts,
                remedy="delete both and run the stage again",
            )
        return found

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        return difficulty.oriented(-density(x, *self._artifact), self.keep)
