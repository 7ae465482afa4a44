"""Supervised prototypes (Sorscher et al. 2022, §4.3): cosine to the mean of the row's own class.

One centroid a class instead of k-means; it "largely matches memorization". The means come from
`tamis.folds.ClassMeans`.
"""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import errors, nearest
from tamis.schemas import columns, embeddings
from tamis.scorers import prototypes


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
class SupervisedPrototypes:
    """Distance to one's own class mean; O(d) a row, memory O(labels d).

    Attributes:
      means: Path of an `.npy`, shape (l, d) float32.
      labels: Path of a JSON list, the label of every row of `means`.
      keep: As for `SelfSupervisedPrototypes`.
      name: Of the sidecar.
    """

    means: str
    labels: str
    keep: prototypes.Keep = "easy"
    name: str = "supervised_prototypes"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING, columns.LABEL)

    def __post_init__(self) -> None:
        prototypes.SelfSupervisedPrototypes(self.keep, self.name)  # the same check of `keep`

    def __getstate__(self) -> dict[str, Any]:
        # The fields alone: the artifact stays behind and is loaded where the scorer arrives.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @functools.cached_property
    def _artifact(self) -> _Means:
        means = np.load(self.means, mmap_mode="r", allow_pickle=False)
        labels = pa.array(json.loads(Path(self.labels).read_text("utf-8")), pa.string())
        if means.ndim != 2 or len(means) != len(labels):
            raise errors.ArtifactError(
                f"{len(labels)} labels for means of shape {means.shape}",
                where=self.labels,
                why="the two files belong to different runs, or one is truncated",
                remedy="delete both and run the stage again",
            )
        return _Means(means, labels)

    def setup(self) -> None:
        prototypes.decided(self.keep, self.name)
        _ = self._artifact

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        cosine = class_cosine(
            embeddings.matrix(batch.column(columns.EMBEDDING)),
            self._classes(batch.column(columns.LABEL)),
            self._artifact.means,
        )
        distance = prototypes.cosine_distance(cosine)
        return distance if self.keep == "hard" else -distance

    def _classes(self, labels: pa.Array) -> NDArray[np.int64]:
        known = self._artifact.labels
        found = pc.index_in(labels.cast(pa.string()), known)
        if found.null_count:
            row = found.is_null().index(True).as_py()
            raise errors.SchemaError(
                f"no mean for label {labels[row].as_py()!r} of row {row} of a batch",
                where=self.labels,
                why=f"it holds {len(known)} labels and this is not one, or the row has none",
                remedy="fit the means on these sources, or score unlabelled sources by prototypes",
            )
        return found.to_numpy().astype(np.int64)
