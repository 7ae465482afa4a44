"""A growing numbering of rows: uid to 0, 1, 2, ... in order of first sight."""

import numpy as np
from numpy.typing import NDArray

from tamis import seeding

_EMPTY = -1
_START = 1024


class Places:
    """An open-addressing hash table over uids, whole arrays at a time: no dict, no loop over rows.

    At most half full, so a lookup takes about two steps of one gather each. Memory 24 to 48 bytes
    a row; growing doubles it, so n rows cost O(n).
    """

    def __init__(self) -> None:
        self._uids = np.zeros((_START, 2), np.uint64)
        self._table = np.full(2 * _START, _EMPTY, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def uids(self) -> NDArray[np.uint64]:
        """Shape (len, 2), by place."""
        return self._uids[: self._count]

    def find(self, uids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The place of each uid (n, 2); one never seen gets the next, in the order of `uids`."""
        found = self._table[self._seek(uids)]
        new = np.flatnonzero(found == _EMPTY)
        if len(new):
            first = np.sort(np.unique(uids[new], axis=0, return_index=True)[1])
            self._append(uids[new[first]])
            found = self._table[self._seek(uids)]
        return found

    def _append(self, new: NDArray[np.uint64]) -> None:
        """Number distinct uids that are not there."""
        count = self._count + len(new)
        if count > len(self._uids):
            size = 2 ** int(count - 1).bit_length()
            self._uids = np.concatenate([self.uids, np.zeros((size - self._count, 2), np.uint64)])
            self._table = np.full(2 * size, _EMPTY, np.int64)
            self._insert(0, self._count)
        self._uids[self._count : count] = new
        self._insert(self._count, count)
        self._count = count

    def _insert(self, start: int, stop: int) -> None:
        """Enter places start..stop. Of rows that want one slot, one gets it; the others go on."""
        left = np.arange(start, stop)
        while len(left):
            at = self._seek(self._uids[left])
            self._table[at] = left
            left = left[self._table[at] != left]

    def _seek(self, uids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The slot that holds each uid, or the empty one where it belongs."""
        last = len(self._table) - 1
        at = (seeding.priority(uids, 0, "places") & np.uint64(last)).astype(np.int64)
        going = np.arange(len(uids))
        while len(going):
            held = self._table[at[going]]
            other = (held != _EMPTY) & (self._uids[held] != uids[going]).any(1)
            going = going[other]
            at[going] = (at[going] + 1) & last
        return at
