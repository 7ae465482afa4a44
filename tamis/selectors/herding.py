"""Herding: rows whose mean follows the mean of the pool (Welling 2009)."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.schemas import embeddings
from tamis.selectors import pools


def herd(x: NDArray[np.float64], budget: int) -> NDArray[np.int64]:
    """Rows taken one by one so that their mean stays near the mean of all.

    Welling (2009), Herding dynamical weights to learn, with the identity as features: take the row
    of the highest w.x, then w += mean - x. Without replacement, as iCaRL takes exemplars (Rebuffi
    et al. 2017). With replacement the distance of the means falls as 1 / k (Chen et al. 2010),
    where a random sample's falls as 1 / sqrt(k).

    Args:
      x: Shape (n, d).
      budget: Rows wanted; more than n means n.

    Returns:
      Distinct rows in the order taken, shape (min(budget, n),); the first k are the answer for k.
      Ties go to the lowest row.

    Time O(n d budget), memory O(n d).
    """
    k = pools.wanted(budget, len(x))
    picked, left = np.empty(k, np.int64), np.zeros(len(x))
    mean = np.einsum("nd->d", x) / max(len(x), 1)
    weight = mean.copy()
    for i in range(k):
        # einsum, whose order of summation does not depend on threads as a matrix product's does.
        picked[i] = int((np.einsum("nd,d->n", x, weight) + left).argmax())
        left[picked[i]] = -np.inf
        weight += mean - x[picked[i]]
    return picked


@dataclasses.dataclass(frozen=True)
class Herding:
    """The most average rows, together; a prefix is the smaller answer. No randomness.

    Time O(n d budget), memory O(n d).

    Attributes:
      embedding: Column of vectors, scaled to norm 1.
    """

    embedding: str = embeddings.EMBEDDING

    reads = pools.Reads("embedding")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        return rows[herd(pools.unit(pool, self.embedding, rows), budget)]
