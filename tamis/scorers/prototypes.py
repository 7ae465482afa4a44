"""Self-supervised prototypes (Sorscher et al. 2022, Beyond neural scaling laws, §4.3).

Difficulty of a row = cosine distance to its nearest k-means centroid. With plentiful data keep
the hard rows; with scarce data keep the easy ones (§2, Fig. 1).
"""

import dataclasses
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.schemas import columns
from tamis.scorers import difficulty


def cosine_distance(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """One minus the cosine, 0..2: the difficulty of a row, from the cosine to its centroid."""
    return np.float32(1) - cosine


@dataclasses.dataclass(frozen=True)
class SelfSupervisedPrototypes:
    """Reads the cosine of the cluster sidecar; O(1) a row, no artifact.

    Attributes:
      keep: `easy` scores the rows nearest their centroid highest, `hard` the farthest.
      name: Of the sidecar.
    """

    keep: difficulty.Keep = "easy"
    name: str = "prototypes"
    reads: ClassVar[tuple[str, ...]] = (columns.COSINE,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    def setup(self) -> None:
        pass

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        distance = cosine_distance(batch.column(columns.COSINE).to_numpy(zero_copy_only=False))
        return difficulty.oriented(distance, self.keep)
