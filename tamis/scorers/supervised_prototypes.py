"""Supervised prototypes (Sorscher et al. 2022, §4.3): cosine to the mean of the row's own class.

One centroid a class instead of k-means; it "largely matches memorization". The means come from
`tamis.folds.ClassMeans`.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import difficulty, fitted, prototypes
from tamis.scorers import labels as labels_


def class_cosine(
    x: NDArray[np.float32], classes: NDArray[np.int64], means: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The cosine of each row to the mean of its class, -1..1.

    Args:
      x: Shape (n, d).
      classes: Shape (n,), a row of `means` each.
      means: Shape (l, d), unit rows, or zero where a class has no direction (cosine 0).
    """
    wide = nearest.unit(x)
    cosine = nearest.row_dot(wide, means.astype(np.float64)[classes])
    return np.clip(cosine, -1, 1).astype(np.float32)


class _Means(NamedTuple):
    means: NDArray[np.float32]
    labels: pa.Array


@dataclasses.dataclass(frozen=True)
class SupervisedPrototypes(fitted.Fitted):
    """Distance to one's own class mean; O(d) a row, memory O(labels d).

    Attributes:
      means: Path of an `.npy`, shape (l, d) float32.
      labels: Path of a JSON list, the label of every row of `means`.
      keep: As for `SelfSupervisedPrototypes`.
      name: Of the sidecar.
    """

    means: str
    labels: str
    keep: difficulty.Keep = "easy"
    name: str = "supervised_prototypes"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING, columns.LABEL)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    @functools.cached_property
    def _artifact(self) -> _Means:
        means = artifacts.read(self.means)
        labels = labels_.read(self.labels)
        if means.ndim != 2 or len(means) != len(labels):
            raise errors.ArtifactError(
                f"{len(labels)} labels for means of shape {means.shape}",
                where=self.labels,
                why="the two files belong to different runs, or one is truncated",
                remedy="delete both and run the stage again",
            )
        return _Means(means, labels)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        means, known = self._artifact
        cosine = class_cosine(
            embeddings.matrix(batch.column(columns.EMBEDDING)),
            labels_.codes(batch.column(columns.LABEL), known, self.labels),
            means,
        )
        return difficulty.oriented(prototypes.cosine_distance(cosine), self.keep)
