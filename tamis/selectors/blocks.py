"""Which rows meet in which block, so that no cell, however large, lands on one worker whole.

The members of a cell are cut by a hash of their uid into chunks of about `cap` rows, and so are its
visitors. A block is a pair of chunks (i, j): member chunks i < j < c are compared with each other,
and member chunk i with visitor chunk j - c. The block of the first visitors also holds the pairs
inside i, so that a cell below the cap is one block. Two members meet once, and so do a member and a
visitor; a block holds about 2 cap rows.

A round is a set of left chunks. Its blocks are shuffled and compared before the next begins, which
bounds what a runner must hold.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Block(NamedTuple):
    """The name of a block."""

    cell: int
    left: int
    right: int


class Blocks(NamedTuple):
    """How the cells of a pool are cut.

    Attributes:
      members: Shape (k,) int64, chunks of each cell's members; 0 where there are none.
      visitors: Shape (k,) int64, chunks of its visitors, at least 1.
      start: Shape (k + 1,) int64; left chunk i of cell a is number start[a] + i.
      round: Shape (start[k],) int64, the round of each left chunk.
    """

    members: NDArray[np.int64]
    visitors: NDArray[np.int64]
    start: NDArray[np.int64]
    round: NDArray[np.int64]

    @property
    def rounds(self) -> int:
        return int(self.round.max(initial=-1)) + 1

    def first(self, block: Block) -> bool:
        """Whether the pairs inside its left chunk are this block's."""
        return block.right == self.members[block.cell]

    def of_member(self, cell: int, chunk: int, turn: int) -> Iterator[tuple[Block, bool]]:
        """Blocks of a round that a member chunk is sent to, and whether it is their left side."""
        count, rounds = int(self.members[cell]), self._rounds(cell)
        if rounds[chunk] == turn:
            for right in range(chunk + 1, count + int(self.visitors[cell])):
                yield Block(cell, chunk, right), True
        for left in np.flatnonzero(rounds[:chunk] == turn):
            yield Block(cell, int(left), chunk), False

    def of_visitor(self, cell: int, chunk: int, turn: int) -> Iterator[Block]:
        """Blocks of a round that a visitor chunk is sent to, as their right side."""
        for left in np.flatnonzero(self._rounds(cell) == turn):
            yield Block(cell, int(left), int(self.members[cell]) + chunk)

    def _rounds(self, cell: int) -> NDArray[np.int64]:
        return self.round[self.start[cell] : self.start[cell + 1]]


def blocks(
    members: NDArray[np.int64], visitors: NDArray[np.int64], *, cap: int, shuffled: int
) -> Blocks:
    """Cut cells into chunks of about `cap` rows, and left chunks into rounds.

    Args:
      members: Shape (k,), rows of each cell.
      visitors: Shape (k,), rows that visit it.
      cap: Rows of a chunk.
      shuffled: Rows sent in a round, copies counted; one left chunk may need more.
    """
    chunks, others = -(-members // cap), np.maximum(-(-visitors // cap), 1)
    start = np.concatenate([[0], np.cumsum(chunks)])
    cell = np.repeat(np.arange(len(members)), chunks)
    left = np.arange(len(cell)) - start[cell]
    size = members[cell] / chunks[cell]
    later = (chunks[cell] - left - 1) * size  # member chunks that come to this one
    sent = size * (chunks[cell] - left - 1 + others[cell]) + later + visitors[cell]
    return Blocks(chunks, others, start, (np.cumsum(sent) - sent).astype(np.int64) // shuffled)


def chunk(priority: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """The chunk of each row, by a hash of its uid."""
    return (priority % np.uint64(max(count, 1))).astype(np.int64)
