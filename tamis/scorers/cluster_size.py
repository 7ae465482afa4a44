"""Isolation: the size of a row's cluster.

Near-empty clusters hold what k-means found nothing like: on web pools boilerplate, other languages
and noise, on curated ones the long tail, which Vo et al. (2024) sample up.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts
from tamis.schemas import columns
from tamis.scorers import difficulty, fitted


def log_size(clusters: NDArray[np.int32], sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    """The base-10 logarithm of the number of rows in each row's cluster.

    Args:
      clusters: Shape (n,).
      sizes: Shape (k,), rows of every cluster; a row's own has at least one.
    """
    return np.log10(sizes.astype(np.float64)).astype(np.float32)[clusters]


@dataclasses.dataclass(frozen=True)
class ClusterSize(fitted.Fitted):
    """O(1) a row; memory O(k) a worker.

    Attributes:
      sizes: Path of an `.npy`, shape (k,) int64.
      keep: `easy` scores rows of large clusters highest, `hard` those of small ones.
      name: Of the sidecar.
    """

    sizes: str
    keep: difficulty.Keep = "easy"
    name: str = "cluster_size"
    reads: ClassVar[tuple[str, ...]] = (columns.CLUSTER,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    @functools.cached_property
    def _artifact(self) -> NDArray[np.int64]:
        return np.array(artifacts.read(self.sizes))

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        found = batch.column(columns.CLUSTER).to_numpy(zero_copy_only=False)
        size = log_size(found, np.maximum(self._artifact, 1))
        return difficulty.oriented(-size, self.keep)
