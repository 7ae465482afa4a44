"""Rank: exactly how many rows of each group to take, decided without sorting or shuffling.

Rows are ordered by a keyed hash of their uid, or by score and then that hash. The threshold of
each wanted count is found by a few passes of histograms; which row is taken then depends on the
row and its group's threshold alone.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import keys, radix, seeding
from tamis.pipelines import folding, session, strata
from tamis.schemas import columns, shards, uids


@dataclasses.dataclass(frozen=True)
class Order:
    """The order in which the rows of a group are taken.

    Attributes:
      groups: Strata, or None when the pool is one group.
      seed: The run's seed.
      purpose: Of the hash: another purpose is another order.
      score: Column to put before the hash, highest first; empty for a uniform sample.
    """

    groups: strata.Strata
    seed: int
    purpose: tuple[str, ...]
    score: str = ""
    pooled: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return (columns.UID, *strata.READS, *((self.score,) if self.score else ()))

    @property
    def width(self) -> int:
        """Digits of the key."""
        scored = [np.dtype(np.float32)] if self.score else []
        return keys.width(*scored, np.dtype(np.uint64))

    def group(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """Shape (n,); -1 for rows that are never taken."""
        found = self.groups.of(batch)
        return np.where(found >= 0, 0, -1) if self.pooled else found

    def digits(self, batch: pa.RecordBatch) -> NDArray[np.uint16]:
        """The key of each row, smallest first."""
        names = uids.from_hex(batch.column(columns.UID))
        hashed = seeding.priority(names, self.seed, *self.purpose)
        scored = [batch.column(self.score).to_numpy()] if self.score else []
        return keys.digits(*scored, hashed)


@dataclasses.dataclass(frozen=True)
class Pass:
    """`radix.Pass` over the rows of a view in some order."""

    state: radix.State
    order: Order

    def zero(self) -> radix.Histogram:
        return radix.Pass(self.state, ()).zero()

    def add(self, state: radix.Histogram, batch: pa.RecordBatch) -> radix.Histogram:
        group, digits = self.order.group(batch), self.order.digits(batch)
        known = group >= 0
        return radix.add(state, radix.histogram(self.state, group[known], digits[known]))

    def merge(self, a: radix.Histogram, b: radix.Histogram) -> radix.Histogram:
        return radix.add(a, b)

    def result(self, state: radix.Histogram) -> radix.Histogram:
        return state


@dataclasses.dataclass(frozen=True)
class Cut:
    """Thresholds of several counts in every group.

    Attributes:
      order: Of the rows.
      key: Shape (groups, counts, digits) uint16: rows at or below are taken.
      none: Shape (groups, counts) bool: no row is.
    """

    order: Order
    key: NDArray[np.uint16]
    none: NDArray[np.bool_]

    def taken(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Shape (n, counts): whether each row is among the first of its group, per count."""
        group, digits = self.order.group(batch), self.order.digits(batch)
        known = group >= 0
        out = np.zeros((len(group), self.key.shape[1]), bool)
        for j in range(self.key.shape[1]):
            at = np.arange(len(self.key))
            found = radix.Thresholds(at, self.key[:, j], np.zeros(len(at), int), self.none[:, j])
            out[known, j] = radix.above(found, group[known], digits[known]) == 0
        return out


def cut(
    run: session.Session,
    name: str,
    order: Order,
    counts: NDArray[np.int64],
    members: list[shards.Shard],
) -> Cut:
    """Find the thresholds.

    Args:
      run: The session.
      name: Of the steps.
      order: Of the rows.
      counts: Shape (groups, counts): how many first rows of each group, for every question.
      members: Shards of the pool.
    """
    state = radix.start(counts.tolist(), order.width)
    passes = 0
    while not state.done:
        passes += 1
        counted = folding.fold(run, f"{name}-{passes}", Pass(state, order), order.reads, members)
        state = radix.refine(state, radix.Histogram(*counted))
    found = radix.thresholds(state)
    return Cut(
        order,
        found.key.reshape(*counts.shape, -1),
        found.empty.reshape(counts.shape),
    )
