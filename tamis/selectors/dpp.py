"""Determinantal point process: the set of the largest determinant, greedily (Chen et al. 2018).

The kernel is L_ij = q_i S_ij q_j: the squared volume of the rows, each as long as its quality q.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, linalg
from tamis.schemas import embeddings
from tamis.selectors import mmr, pools

_LEAST = 1e-10  # of a squared volume: what is left of a row that those taken span


def greedy_map(
    x: NDArray[np.float64], log_quality: NDArray[np.float64], budget: int, bandwidth: float
) -> NDArray[np.int64]:
    """Rows that raise det L_S the most, one by one.

    Chen, Zhang & Zhou (2018), Fast greedy MAP inference for DPP, Algorithm 1: an incremental
    Cholesky factor gives the gain of every row. S_ij = exp(-|x_i - x_j|^2 / (2 bandwidth^2)), which
    has full rank; the plain product would be spent after d rows.

    Args:
      x: Shape (n, d), unit rows.
      log_quality: Shape (n,), log q.
      budget: Rows wanted; more than n means n.
      bandwidth: Above 0.

    Returns:
      Distinct rows in the order taken, shape (min(budget, n),); the first k are the answer for k.
      Ties go to the lowest row. When those taken span the others to 1e-10 (copies), the rest come
      by quality.

    Time O(n budget^2 + n d budget), memory O(n budget).
    """
    n, k = len(x), pools.wanted(budget, len(x))
    fixed = linalg.fixed_point(x)
    square = linalg.squares(fixed)
    quality = np.exp(log_quality - log_quality.max(initial=-np.inf))
    volume, factor = np.ones(n), np.zeros((k, n))  # both of S; a quality only scales a row's gain
    picked = np.zeros(k, np.int64)
    for i in range(k):
        free = volume > _LEAST
        if not free.any():
            break
        j = int(np.where(free, quality**2 * volume, -1.0).argmax())
        away = linalg.square_distances(fixed, square, j)
        kernel = np.exp(-away / (2 * bandwidth**2))
        seen = np.einsum("k,kn->n", factor[:i, j], factor[:i])
        factor[i] = (kernel - seen) / np.sqrt(volume[j])
        volume = np.maximum(volume - factor[i] ** 2, 0.0)
        volume[j], picked[i] = 0.0, j
    else:
        return picked
    rest = np.setdiff1d(np.arange(n), picked[:i])
    rest = rest[np.argsort(-quality[rest], kind="stable")]
    return np.concatenate([picked[:i], rest])[:k]


def mean_distance(x: NDArray[np.float64]) -> float:
    """Root mean squared distance of two different unit rows, sqrt(2 (1 - mean cosine)); O(n d)."""
    n = len(x)
    total = np.einsum("nd->d", x)
    mean = (float(np.einsum("d,d->", total, total)) - n) / max(n * (n - 1), 1)
    return float(np.sqrt(max(2 * (1 - mean), 0.0)))


@dataclasses.dataclass(frozen=True)
class DPP:
    """Unlike rows, by volume; with a score, good and unlike ones. No randomness.

    Time O(n budget^2 + n d budget), memory O(n budget): for budgets of some thousands.

    Attributes:
      embedding: Column of vectors.
      score: Column, scaled to 0..1 over the pool; empty to look at the vectors alone.
      strength: log q = strength x score, above 0.
      bandwidth: Of the Gaussian kernel, in units of the root mean squared distance of two rows.
    """

    embedding: str = embeddings.EMBEDDING
    score: str = ""
    strength: float = 1.0
    bandwidth: float = 0.5

    def __post_init__(self) -> None:
        if not (self.bandwidth > 0 and np.isfinite(self.strength) and np.isfinite(self.bandwidth)):
            raise errors.ConfigError(
                f"bandwidth {self.bandwidth}, strength {self.strength}",
                where="dpp",
                remedy="both finite, the bandwidth above 0",
            )

    reads = pools.Reads("embedding", "score")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        x = pools.unit(pool, self.embedding, rows)
        quality = np.zeros(len(rows))
        if self.score:
            quality = self.strength * mmr.scaled(pools.numbers(pool, self.score, rows))
        width = self.bandwidth * mean_distance(x)
        return rows[greedy_map(x, quality, budget, width if width > 0 else 1.0)]
