"""Maximal marginal relevance: good rows, unlike those taken (Carbonell & Goldstein 1998)."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, linalg
from tamis.schemas import embeddings, scores
from tamis.selectors import pools


def marginal_relevance(
    relevance: NDArray[np.float64], x: NDArray[np.float64], budget: int, trade: float
) -> NDArray[np.int64]:
    """Take the row of the highest trade relevance_i - (1 - trade) max_{j in S} <x_i, x_j>.

    Carbonell & Goldstein (1998), The use of MMR; the first row is the most relevant.

    Args:
      relevance: Shape (n,), on the scale of a cosine.
      x: Shape (n, d), unit rows.
      budget: Rows wanted; more than n means n.
      trade: Their lambda: 1 is top-k, 0 only avoids likeness.

    Returns:
      Distinct rows in the order taken, shape (min(budget, n),); the first k are the answer for k.
      Ties go to the lowest row.

    Time O(n d budget), memory O(n d).
    """
    k = pools.wanted(budget, len(x))
    fixed, picked = linalg.fixed_point(x), np.empty(k, np.int64)
    alike, left = np.full(len(x), -np.inf), np.zeros(len(x))
    for i in range(k):
        worth = trade * relevance - (1 - trade) * alike if i else relevance
        picked[i] = int((worth + left).argmax())
        left[picked[i]] = -np.inf
        alike = np.maximum(alike, linalg.products(fixed, fixed[picked[i]]))
    return picked


def scaled(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores over their range, 0..1; all 0 if they are equal."""
    if not len(score):
        return score
    spread = score.max() - score.min()
    return (score - score.min()) / (spread if spread > 0 else 1.0)


@dataclasses.dataclass(frozen=True)
class MMR:
    """Score against likeness to what is taken already. No randomness.

    The score is scaled to 0..1 over the pool. Time O(n d budget), memory O(n d).

    Attributes:
      score: Column, higher = keep.
      embedding: Column of vectors.
      trade: 1 is top-k, 0 only avoids likeness. Carbonell & Goldstein suggest 0.7 to 1 once a topic
        is known, and 0.3 to explore; half is between.
    """

    score: str = scores.SCORE
    embedding: str = embeddings.EMBEDDING
    trade: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.trade <= 1:
            raise errors.ConfigError(
                f"trade is {self.trade}", where="mmr", remedy="set it between 0 and 1"
            )

    reads = pools.Reads("score", "embedding")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        relevance = scaled(pools.numbers(pool, self.score, rows))
        x = pools.unit(pool, self.embedding, rows)
        return rows[marginal_relevance(relevance, x, budget, self.trade)]
