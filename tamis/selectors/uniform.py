"""The random baseline: every row equally likely, by a hash of its uid."""

import dataclasses
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import seeding
from tamis.schemas import columns, uids


def smallest(
    priority: NDArray[np.uint64], uid: NDArray[np.uint64], budget: int
) -> NDArray[np.int64]:
    """Positions of the rows with the smallest priority, ties by uid.

    Args:
      priority: Shape (n,).
      uid: Shape (n, 2).
      budget: Rows wanted; more than n means n.
    """
    return np.lexsort((uid[:, 1], uid[:, 0], priority))[: max(budget, 0)]


@dataclasses.dataclass(frozen=True)
class Uniform:
    """A uniform sample without replacement; the first k rows are the sample of size k.

    The generator only gives the salt of the hash, so the sample does not depend on the order of
    the rows. Time O(n log n), memory O(n).
    """

    reads: ClassVar[tuple[str, ...]] = (columns.UID,)

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        uid = uids.from_hex(pool.column(columns.UID))
        salt = int(rng.integers(2**63))
        return smallest(seeding.priority(uid, salt, "uniform"), uid, budget)
