"""k-center: rows so spread that every row has one near it (Gonzalez 1985)."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import linalg
from tamis.schemas import embeddings
from tamis.selectors import pools


def farthest_first(x: NDArray[np.float64], budget: int, first: int) -> NDArray[np.int64]:
    """Always the row farthest from those taken; the radius is at most twice the least possible.

    Gonzalez (1985), Clustering to minimize the maximum intercluster distance; the greedy core-set
    of Sener & Savarese (2018). Whatever the first row is, max_i min_{j in S} |x_i - x_j| is at most
    2 x that of the best S of the same size.

    Args:
      x: Shape (n, d), rows of norm at most 2.
      budget: Rows wanted; more than n means n.
      first: The row to start from.

    Returns:
      Distinct rows in the order taken, shape (min(budget, n),); the first k are the answer for k.
      Ties go to the lowest row.

    Time O(n d budget), memory O(n d).
    """
    k = pools.wanted(budget, len(x))
    fixed = linalg.fixed_point(x)
    square = linalg.squares(fixed)
    picked = np.empty(k, np.int64)
    distance = np.full(len(x), np.inf)
    for i in range(k):
        j = int(distance.argmax()) if i else first
        picked[i] = j
        away = linalg.square_distances(fixed, square, j)
        distance = np.minimum(distance, away)
        distance[picked[: i + 1]] = -1.0  # a copy of a row taken is at 0, and may still be taken
    return picked


def radius(x: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
    """The largest distance of any row to the nearest of `rows`; what k-center makes small."""
    fixed = linalg.fixed_point(x)
    square, near = linalg.squares(fixed), np.full(len(x), np.inf)
    for j in rows:
        near = np.minimum(near, linalg.square_distances(fixed, square, int(j)))
    return float(np.sqrt(near.max(initial=0.0)))


@dataclasses.dataclass(frozen=True)
class KCenter:
    """Rows that leave none far away, by the angle of their vectors; a prefix is the smaller answer.

    It starts from the row with the smallest hash. Outliers are taken first: that is what it is.
    Time O(n d budget), memory O(n d).

    Attributes:
      embedding: Column of vectors.
    """

    embedding: str = embeddings.EMBEDDING

    reads = pools.Reads("embedding")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        x = pools.unit(pool, self.embedding, rows)
        priority = pools.priority(pool, rows, rng, "k_center")
        first = int(priority.argmin()) if len(rows) else 0
        return rows[farthest_first(x, budget, first)]
