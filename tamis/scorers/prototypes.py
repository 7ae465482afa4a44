"""Self-supervised prototypes (Sorscher et al. 2022, Beyond neural scaling laws, §4.3).

Difficulty of a row = cosine distance to its nearest k-means centroid. With plentiful data keep
the hard rows; with scarce data keep the easy ones (§2, Fig. 1).
"""

import dataclasses
from typing import ClassVar, Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import columns

Keep = Literal["easy", "hard", "auto"]


def cosine_distance(cosine: NDArray[np.float32]) -> NDArray[np.float32]:
    """One minus the cosine, 0..2: the difficulty of a row, from the cosine to its centroid."""
    return np.float32(1) - cosine


def decided(keep: Keep, name: str) -> None:
    """Refuse to score before a run has decided what `auto` is.

    Raises:
      ConfigError: nothing has.
    """
    if keep == "auto":
        raise errors.ConfigError(
            "keep: auto is decided by a run",
            where=name,
            remedy="score within `tamis run`, or set keep to easy or hard",
        )


@dataclasses.dataclass(frozen=True)
class SelfSupervisedPrototypes:
    """Reads the cosine of the cluster sidecar; O(1) a row, no artifact.

    Attributes:
      keep: `easy` scores the rows nearest their centroid highest, `hard` the farthest. Easy by
        default: on uncurated data the farthest rows are mostly noise, and where the theory says
        hard, a plan from pilots finds it, for tiers are tried and not believed. `auto` lets the
        run decide from its rows, dimensions and budget, where no pilot can.
      name: Of the sidecar.
    """

    keep: Keep = "easy"
    name: str = "prototypes"
    reads: ClassVar[tuple[str, ...]] = (columns.COSINE,)

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise errors.ConfigError(
                f"keep is {self.keep!r}",
                where=self.name,
                remedy="set keep to easy or hard, or to auto",
            )

    def setup(self) -> None:
        decided(self.keep, self.name)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        distance = cosine_distance(batch.column(columns.COSINE).to_numpy(zero_copy_only=False))
        return distance if self.keep == "hard" else -distance
