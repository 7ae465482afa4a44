"""Which uids may occur twice: a fixed-size, mergeable sketch that never misses one.

Two counting filters of one hash each, saturated at two, which takes two bits a slot. Copies share
their slot in both, so only rows whose slots were both hit twice need to meet: of unique rows one in
72 at most, `(1 - exp(-1/8))^2`, with at least 8 slots a row in each filter.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.schemas import index, uids

MAX_SLOTS = 1 << 28  # 128 MiB; above 32 M rows more unique rows are looked at, none is missed
_ONCE, _TWICE = 0, 1


def slots_for(rows: int) -> int:
    """Slots of a filter for `rows` rows: at least 8 a row, a power of two, at most `MAX_SLOTS`."""
    return min(1 << max(10, (8 * max(rows, 1) - 1).bit_length()), MAX_SLOTS)


def bytes_for(rows: int) -> int:
    """Of the state of `Twice` for `rows` rows."""
    return slots_for(rows) // 2


@dataclasses.dataclass(frozen=True)
class Twice:
    """Fold over index batches: for each slot, whether 0, 1 or at least 2 rows fell into it.

    The state is a bit a slot for at least one row and a bit for at least two: shape (filters, 2,
    slots / 8), whatever the number of rows. The result has the latter bits only; see `suspect`.

    Attributes:
      slots: Of a filter, a power of two, at least 8.
    """

    slots: int

    def zero(self) -> NDArray[np.uint8]:
        return np.zeros((2, 2, self.slots // 8), np.uint8)

    def add(self, state: NDArray[np.uint8], batch: pa.RecordBatch) -> NDArray[np.uint8]:
        return self.seen(state, uids.from_hex(batch.column(index.UID)))

    def seen(self, state: NDArray[np.uint8], names: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """The state after some names, shape (n, 2), or other hashes, shape (n, 1)."""
        state = state.copy() if not state.flags.writeable else state
        for known, slot in zip(state, _slots(names, self.slots), strict=True):
            found, count = np.unique(slot, return_counts=True)
            at, once = _bits(found)
            _, twice = _bits(found[count > 1], at)
            known[_TWICE, at] |= twice | (known[_ONCE, at] & once)
            known[_ONCE, at] |= once
        return state

    def merge(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
        merged = a | b
        merged[:, _TWICE] |= a[:, _ONCE] & b[:, _ONCE]
        return merged

    def result(self, state: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return state[:, _TWICE]


def suspect(found: NDArray[np.uint8], names: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each of some names may occur twice, shape (n,).

    Args:
      found: What `Twice` has found, shape (2, slots / 8).
      names: Shape (n, 2), or (n, 1), as they were seen.
    """
    out = np.ones(len(names), bool)
    for twice, slot in zip(found, _slots(names, 8 * found.shape[1]), strict=True):
        out &= (twice[slot >> 3] >> (slot & 7).astype(np.uint8)) & 1 == 1
    return out


def _slots(names: NDArray[np.uint64], slots: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The slots of each name: names are hashes already, so two runs of their bits will do."""
    mask = np.uint64(slots - 1)
    first, second = names[:, 0] & mask, (names[:, -1] >> np.uint64(32)) & mask
    return first.astype(np.int64), second.astype(np.int64)


def _bits(
    slot: NDArray[np.int64], at: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Distinct ascending slots as bytes and the bits in them; of the bytes `at`, where given."""
    place, first = np.unique(slot >> 3, return_index=True)
    one = np.left_shift(1, slot & 7).astype(np.uint8)
    bits = np.bitwise_or.reduceat(one, first) if len(slot) else one
    if at is None:
        return place, bits
    spread = np.zeros(len(at), np.uint8)
    spread[np.searchsorted(at, place)] = bits
    return at, spread
