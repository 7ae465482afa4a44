"""Rows that are not near-copies of a better one first, and their copies after them."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import nearest
from tamis.schemas import columns, embeddings, scores, uids
from tamis.selectors import cells, duplicate_groups, near_pairs, top_k


@dataclasses.dataclass(frozen=True)
class SemanticDuplicates:
    """Of every group of near-copies the row with the best score, best first; then the others.

    Groups are the connected components of the pairs with a cosine of at least `threshold`. The
    first k rows are the answer for k. About (2 + visits a
    row / 2) n sqrt(n) screens of 48 coordinates, as `near_pairs`; memory O(n d).

    Attributes:
      threshold: A cosine.
      score: Column to prefer by, float32, higher = keep.
      probes: Cells a row may visit beside its own; see `cells`.
    """

    threshold: float = 0.95
    score: str = scores.SCORE
    probes: int = cells.PROBES

    @property
    def reads(self) -> tuple[str, ...]:
        """The vectors, the score, and the uid for ties."""
        return (embeddings.EMBEDDING, self.score, columns.UID)

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        uid = uids.from_hex(pool.column(columns.UID))
        score = pool.column(self.score).to_numpy(zero_copy_only=False)
        order = np.lexsort((uid[:, 1], uid[:, 0]))  # cells are fitted to rows in a fixed order
        x = nearest.unit(embeddings.matrix(pool.column(embeddings.EMBEDDING))[order])
        group = np.empty(len(order), np.int64)
        group[order] = _groups(x.astype(np.float32), self.threshold, self.probes)
        stands = duplicate_groups.representatives(group, score, uid)
        best = top_k.highest(score, uid, len(uid))
        kept = stands[best] == best
        return np.concatenate([best[kept], best[~kept]])[: max(budget, 0)]


def _groups(x: NDArray[np.float32], threshold: float, probes: int) -> NDArray[np.int64]:
    if not len(x):
        return np.zeros(0, np.int64)
    where = near_pairs.layout(x)
    found, _ = near_pairs.near_pairs(x, threshold, where=where, probes=probes)
    return duplicate_groups.groups(found, len(x), threshold)
