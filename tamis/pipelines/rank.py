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
        # Copies that are kept are alike in all but their place.
        return (columns.UID, *(() if self.groups.drop else (columns.PLACE,)), *self.scored)

    @property
    def scored(self) -> tuple[str, ...]:
        """What its first digits are made from: all but the hash."""
        return (*strata.READS, *((self.score,) if self.score else ()))

    @property
    def width(self) -> int:
        """Digits of the key."""
        scored = [np.dtype(np.float32)] if self.score else []
        return keys.width(*scored, np.dtype(np.uint64))

    def group(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """Shape (n,); -1 for rows that are never taken."""
        found = self.groups.of(batch)
        return np.where(found >= 0, 0, -1) if self.pooled else found

    def head(self, batch: pa.RecordBatch) -> NDArray[np.uint16]:
        """The digits of the score, shape (n, 2); (n, 0) without one."""
        if not self.score:
            return np.zeros((batch.num_rows, 0), np.uint16)
        return keys.digits(batch.column(self.score).to_numpy())

    def tail(self, batch: pa.RecordBatch) -> NDArray[np.uint64]:
        """The hash of each row, shape (n,)."""
        names = uids.from_hex(batch.column(columns.UID))
        if not self.groups.drop:
            place = batch.column(columns.PLACE).to_numpy().astype(np.uint64)
            names = names ^ np.stack([np.zeros_like(place), seeding.mix(place)], axis=1)
        return seeding.priority(names, self.seed, *self.purpose)


@dataclasses.dataclass(frozen=True)
class Pass:
    """`radix.Pass` over the rows of a view, in several orders at once.

    Attributes:
      states: What is known, by order.
      orders: Each with ranks of its own.
    """

    states: tuple[radix.State, ...]
    orders: tuple[Order, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """No uid where the score alone is counted."""
        pairs = zip(self.states, self.orders, strict=True)
        wanted = [o.reads if _hashes(s, o) else o.scored for s, o in pairs if not s.done]
        return tuple(dict.fromkeys(name for names in wanted for name in names))

    def zero(self) -> tuple[radix.Histogram, ...]:
        return tuple(radix.Pass(state, ()).zero() for state in self.states)

    def add(
        self, state: tuple[radix.Histogram, ...], batch: pa.RecordBatch
    ) -> tuple[radix.Histogram, ...]:
        found = map(_histogram, self.states, self.orders, [batch] * len(self.orders))
        return self.merge(state, tuple(found))

    def merge(
        self, a: tuple[radix.Histogram, ...], b: tuple[radix.Histogram, ...]
    ) -> tuple[radix.Histogram, ...]:
        return tuple(map(radix.add, a, b))

    def result(self, state: tuple[radix.Histogram, ...]) -> tuple[NDArray[np.int64], ...]:
        return tuple(part for histogram in state for part in histogram)


def _hashes(state: radix.State, order: Order) -> bool:
    """Whether the next pass looks beyond the score."""
    return not order.score or state.depth > keys.width(np.dtype(np.float32))


def _histogram(state: radix.State, order: Order, batch: pa.RecordBatch) -> radix.Histogram:
    """Hashes only the rows whose score is that of a threshold: hex to hash is most of the work."""
    if state.done:
        return radix.Pass(state, ()).zero()
    group, digits = order.group(batch), order.head(batch)
    rows = np.flatnonzero(group >= 0)
    if _hashes(state, order):
        rows = rows[radix.inside(state, group[rows], digits[rows])]
        hashed = order.tail(batch if len(rows) == batch.num_rows else batch.take(pa.array(rows)))
        digits = np.concatenate([digits[rows], keys.digits(hashed)], axis=1)
        return radix.histogram(state, group[rows], digits)
    return radix.histogram(state, group[rows], digits[rows])


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

    def part(self, counts: slice) -> "Cut":
        """Some of the counts."""
        return Cut(self.order, self.key[:, counts], self.none[:, counts])

    def taken(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Shape (n, counts): whether each row is among the first of its group, per count."""
        group = self.order.group(batch)
        out = np.zeros((len(group), self.key.shape[1]), bool)
        rows = np.flatnonzero(group >= 0)
        if not len(rows):
            return out
        group = group[rows]
        head, bound = _word(self.order.head(batch)[rows]), _word(self.key[..., :-4])[group]
        equal = head[:, None] == bound
        tail = np.zeros(len(rows), np.uint64)
        tied = np.flatnonzero(equal.any(1))
        if len(tied):
            whole = len(tied) == batch.num_rows
            tail[tied] = self.order.tail(batch if whole else batch.take(pa.array(rows[tied])))
        last = _word(self.key[..., -4:])[group]
        taken = (head[:, None] < bound) | (equal & (tail[:, None] <= last))
        out[rows] = taken & ~self.none[group]
        return out


def _word(digits: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """The last axis, at most four digits, as one number."""
    word = np.zeros(digits.shape[:-1], np.uint64)
    for i in range(digits.shape[-1]):
        word = (word << np.uint64(16)) | digits[..., i]
    return word


def cut(
    run: session.Session,
    name: str,
    order: Order,
    counts: NDArray[np.int64],
    members: list[shards.Shard],
) -> Cut:
    """Find the thresholds of one order; see `cuts`."""
    return cuts(run, name, [(order, counts)], members)[0]


def cuts(
    run: session.Session,
    name: str,
    wanted: list[tuple[Order, NDArray[np.int64]]],
    members: list[shards.Shard],
) -> list[Cut]:
    """Find the thresholds of several orders in the same passes.

    Args:
      run: The session.
      name: Of the steps.
      wanted: Orders and counts, shape (groups, counts): how many first rows of each group, for
        every question.
      members: Shards of the pool.
    """
    orders = tuple(order for order, _ in wanted)
    states = tuple(radix.start(counts.tolist(), order.width) for order, counts in wanted)
    passes = 0
    while not all(state.done for state in states):
        passes += 1
        step = Pass(states, orders)
        counted = folding.fold(run, f"{name}-{passes}", step, step.reads, members)
        found = [radix.Histogram(*counted[i : i + 2]) for i in range(0, len(counted), 2)]
        states = tuple(
            s if s.done else radix.refine(s, h) for s, h in zip(states, found, strict=True)
        )
    return [
        Cut(order, t.key.reshape(*counts.shape, -1), t.empty.reshape(counts.shape))
        for (order, counts), t in zip(wanted, map(radix.thresholds, states), strict=True)
    ]
