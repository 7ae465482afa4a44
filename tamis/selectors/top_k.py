"""The rows with the highest score."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import keys
from tamis.schemas import columns, scores, uids
from tamis.selectors import pools


def highest(score: NDArray[np.float32], uid: NDArray[np.uint64], budget: int) -> NDArray[np.int64]:
    """Positions of the rows with the highest score, ties by uid.

    Args:
      score: Shape (n,), no NaN.
      uid: Shape (n, 2).
      budget: Rows wanted; more than n means n.

    >>> highest(np.array([1, 3, 2], np.float32), np.zeros((3, 2), np.uint64), 2)
    array([1, 2])
    """
    return np.lexsort((uid[:, 1], uid[:, 0], ~keys.key(score)))[: max(budget, 0)]


@dataclasses.dataclass(frozen=True)
class TopK:
    """The first k rows are the answer for k. No randomness. Time O(n log n), memory O(n).

    Attributes:
      score: Column to rank by, float32, higher = keep.
    """

    score: str = scores.SCORE

    reads = pools.Reads("score")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        score = pool.column(self.score).to_numpy(zero_copy_only=False)
        return highest(score, uids.from_hex(pool.column(columns.UID)), budget)
