"""Nearest-target similarity: the cosine to the closest row of the target set.

The relevance score of retrieval-style selection, with whole-row embeddings (e.g. the embedding
baseline that DsDm, Engstrom et al. 2024, and LESS, Xia et al. 2024, §4.2 compare with).
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import fitted


def nearest_cosine(x: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest cosine of each row of `x` (n, d) to a row of `target` (m, d), -1..1.

    Time O(n m d), one matrix product; exact and independent of the batch (`tamis.nearest`).
    """
    return nearest.nearest(x, target).cosine


@dataclasses.dataclass(frozen=True)
class TargetSimilarity(fitted.Fitted):
    """High for rows that resemble some target row. Memory O(m d) a worker.

    Attributes:
      target: Path of an `.npy`, shape (m, d), the embeddings of the target set.
      name: Of the sidecar.
    """

    target: str
    name: str = "target_similarity"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)

    @functools.cached_property
    def _artifact(self) -> NDArray[np.float32]:
        target = artifacts.read(self.target)
        if target.ndim != 2 or not len(target):
            raise errors.ArtifactError(
                f"target embeddings of shape {target.shape}",
                where=self.target,
                why="nearest-target similarity needs at least one target row",
                remedy="declare a source with role: target, and embed it",
            )
        return target.astype(np.float32)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        return nearest_cosine(embeddings.matrix(batch.column(columns.EMBEDDING)), self._artifact)
