"""Which uids may occur twice: a fixed-size, mergeable sketch that never misses one.

A counting filter with one hash and saturation at two. Exact duplicates always share a slot, so
only rows in slots counted twice need to meet: with 8 slots a row, about one unique row in nine.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.schemas import index, uids

MAX_SLOTS = 1 << 27  # 128 MiB; above 16 M rows more unique rows are looked at, none is missed


def slots_for(rows: int) -> int:
    """Slots for `rows` rows: at least 8 a row, a power of two, capped at `MAX_SLOTS`."""
    return min(1 << max(10, (8 * max(rows, 1) - 1).bit_length()), MAX_SLOTS)


@dataclasses.dataclass(frozen=True)
class Twice:
    """Fold over index batches: for each slot, whether 0, 1 or at least 2 rows fell into it.

    Attributes:
      slots: A power of two. The state is that many bytes, whatever the number of rows.
    """

    slots: int

    def zero(self) -> NDArray[np.uint8]:
        return np.zeros(self.slots, np.uint8)

    def add(self, state: NDArray[np.uint8], batch: pa.RecordBatch) -> NDArray[np.uint8]:
        return self.seen(state, uids.from_hex(batch.column(index.UID)))

    def seen(self, state: NDArray[np.uint8], names: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """The state after some names, shape (n, 2), or other hashes, shape (n, 1)."""
        slot, count = np.unique(self.slot(names), return_counts=True)
        state = state.copy() if not state.flags.writeable else state
        state[slot] = np.minimum(state[slot] + np.minimum(count, 2), 2)
        return state

    def merge(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.minimum(a + b, 2)

    def result(self, state: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return state

    def slot(self, names: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The slot of each uid, shape (n,); uids are hashes already, so their low bits serve."""
        return (names[:, 0] & np.uint64(self.slots - 1)).astype(np.int64)
