"""Kernel density from random features, in one pass and a fixed sketch.

    p(x) ~ (1/n) sum_j exp(-|x - x_j|^2 / 2 h^2) = E_w Re[ e^{i w.x} conj((1/n) sum_j e^{i w.x_j}) ]

with w ~ N(0, I / h^2) (Rahimi and Recht 2007, Bochner's theorem). The inner mean does not depend on
x: it is the sketch, a sum over rows and so a fold. D frequencies cost O(n D d) instead of the
O(n^2 d) of all pairs; the standard error is about sqrt(mean density / 2 D). Frequencies are drawn
orthogonal within blocks of d, which lowers it (Yu et al. 2016).

Bandwidth. Silverman's rule h = s (4 / ((d + 2) n))^{1/(d + 4)} minimises the squared error of a
density that fills d dimensions: at d = 256 the second factor is near 1 whatever n, so h is about s,
and s = 1 / sqrt(d) a dimension is far below the distance of about sqrt(2) between two unit rows:
every row then sees nobody but itself. Here h is half the median distance to the k-th neighbour, k =
ceil(sqrt(m)), among m sampled rows: half of all rows have k neighbours within two h, whatever d.
Half, as a compromise that was measured (`benchmarks/scorers.py`): narrower kernels are more local,
but their density is so small that the sketch cannot tell it from noise.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg, nearest, seeding
from tamis.schemas import columns, embeddings
from tamis.scorers import difficulty, fitted, nearest_neighbours

_SCALE = 2.0**30  # cosines in fixed point; int64 then holds the sum of 8.6 billion rows
_ENTRIES = 1 << 23  # 64 MiB of phases at a time


def silverman(x: NDArray[np.float32]) -> float:
    """Silverman's (1986, §4.3.2) rule for a round Gaussian; kept to be compared with."""
    n, d = x.shape
    spread = float(np.sqrt(x.astype(np.float64).var(axis=0).mean()))
    return spread * (4 / ((d + 2) * n)) ** (1 / (d + 4))


def bandwidth(x: NDArray[np.float32], names: NDArray[np.uint64]) -> float:
    """The module's rule: half the median distance of `x` (m, d) to the k-th neighbour.

    Args:
      x: A sample of the pool, unit rows, at least 2.
      names: Shape (m, 2), their uids.
    """
    k = min(nearest_neighbours.default_k(len(x)), len(x) - 1)
    sample = nearest_neighbours.Reference(x, names)
    cosine = nearest_neighbours.kth_cosine(x, names, sample, k)
    return max(float(np.sqrt(2 - 2 * np.median(cosine))) / 2, 0.01)  # copies would give 0


def frequencies(count: int, d: int, *, h: float, seed: int) -> NDArray[np.float32]:
    """Shape (count, d): draws of N(0, I / h^2), orthogonal in blocks of d (Yu et al. 2016, §3)."""
    rng, blocks = seeding.generator(seed, "kernel density"), []
    for _ in range(-(-count // d)):
        directions = np.linalg.qr(rng.standard_normal((d, d)))[0]
        lengths = np.linalg.norm(rng.standard_normal((d, d)), axis=1)
        blocks.append(directions * lengths[:, None])
    return (np.concatenate(blocks)[:count] / h).astype(np.float32)


def phases(x: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shape (n, 2 D): cos and sin of `x @ w.T`, independent of the batch."""
    z = linalg.exact_product(x, w)
    return np.concatenate([np.cos(z), np.sin(z)], axis=1)


def density(
    x: NDArray[np.float32], w: NDArray[np.float32], sketch: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The equation's estimate for each row, about 0..1; noise can make it negative.

    Time O(n D d); memory 128 MiB whatever n.

    Args:
      x: Shape (n, d).
      w: Shape (D, d), frequencies.
      sketch: Shape (2 D,), the mean of `phases` over the pool.
    """
    found, step = np.empty(len(x), np.float32), max(1, _ENTRIES // len(w))
    for start in range(0, len(x), step):
        seen = phases(x[start : start + step], w)
        each = np.broadcast_to(sketch, seen.shape)
        found[start : start + step] = nearest.row_dot(seen, each) / len(w)
    return found


class Sketch(NamedTuple):
    """What `Sketching` makes.

    Attributes:
      mean: Shape (2 D,), the mean phases.
      rows: How many rows it is of, shape ().
    """

    mean: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Sketching(fitted.Fitted):
    """Fold: the rows, then the sum of their phases in units of 2^-30. Memory O(D).

    Attributes:
      frequencies: Path of an `.npy`, shape (D, d).
    """

    frequencies: str

    @functools.cached_property
    def _artifact(self) -> NDArray[np.float32]:
        return np.array(artifacts.read(self.frequencies))

    def zero(self) -> NDArray[np.int64]:
        return np.zeros(1 + 2 * len(self._artifact), np.int64)

    def add(self, state: NDArray[np.int64], batch: pa.RecordBatch) -> NDArray[np.int64]:
        x, w = embeddings.matrix(batch.column(columns.EMBEDDING)), self._artifact
        added, step = state.copy(), max(1, _ENTRIES // len(w))
        added[0] += len(x)
        for start in range(0, len(x), step):
            seen = phases(x[start : start + step], w)
            added[1:] += np.rint(seen * _SCALE).astype(np.int64).sum(axis=0)
        return added

    def merge(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        return a + b

    def result(self, state: NDArray[np.int64]) -> Sketch:
        return Sketch(state[1:] / _SCALE / max(int(state[0]), 1), state[:1])


class _Artifact(NamedTuple):
    frequencies: NDArray[np.float32]
    sketch: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class KernelDensity(fitted.Fitted):
    """Density of the pool at each row. Memory O(D d) a worker.

    Attributes:
      frequencies: Path of an `.npy`, shape (D, d).
      sketch: Path of an `.npy`, shape (2 D,).
      features: D, how many frequencies.
      bandwidth: h, in distance between unit rows (0..2); default by the module's rule.
      sample: Rows that the rule looks at.
      keep: As for `nearest_neighbours`.
      name: Of the sidecar.
    """

    frequencies: str
    sketch: str
    features: int = 2_048
    bandwidth: float | None = None
    sample: int = 2_048
    keep: difficulty.Keep = "easy"
    name: str = "kernel_density"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)
        if self.features < 1 or self.sample < 2 or not (self.bandwidth or 1) >= 1e-2:
            raise errors.ConfigError(
                f"features {self.features}, sample {self.sample}, bandwidth {self.bandwidth}",
                remedy="set features to 1 or more, sample to 2 or more, bandwidth to 0.01 or more",
            )

    @functools.cached_property
    def _artifact(self) -> _Artifact:
        w, sketch = np.array(artifacts.read(self.frequencies)), artifacts.read(self.sketch)
        if w.ndim != 2 or sketch.shape != (2 * len(w),):
            raise errors.ArtifactError(
                f"a sketch of shape {sketch.shape} for frequencies {w.shape}",
                where=self.sketch,
                why="the two files belong to different runs, or one is truncated",
                remedy="delete both and run the stage again",
            )
        return _Artifact(w, np.array(sketch))

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        x = embeddings.matrix(batch.column(columns.EMBEDDING))
        found = density(x, *self._artifact)
        return difficulty.oriented(-found, self.keep)
