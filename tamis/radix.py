"""Exact ranks of a distributed table: histogram some 16-bit digits, narrow, repeat.

To find the row of rank q without sorting: count rows by the first digit of their key, see which
bin rank q falls in, count the rows of that bin by the next digit, and so on. Counts are integers,
so shards merge in any order to the same bytes. Once few rows are left in the bins that matter,
up to three digits are counted in one pass, so that two passes do for most keys. Keys are those of
`tamis.keys`. Each group (source, stratum, ...) has ranks of its own. A run over shards is

    state = radix.start(ranks, digits)
    while not state.done:
        state = radix.refine(state, <radix.Pass(state, keys, group) folded over the shards>)
    thresholds = radix.thresholds(state)

and takes at most `digits` passes; a group stops as soon as a boundary falls between two bins.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import keys as sort_keys

_BITS = 16
_CLOSE = 1 << 20  # bins between the first and the last of a batch that are counted one by one
_FEW = 1 << 20  # rows in boundary bins; counted by more than a digit their bins are as many


class Histogram(NamedTuple):
    """Counts of the bins that are not empty.

    Sparse, because the first digit of real scores takes a few hundred of its 65,536 values: a
    kilobyte a group travels between workers, not half a megabyte.

    Attributes:
      bins: Distinct `(node, digits of the pass)`, packed, ascending, int64.
      counts: Rows in each, int64.
    """

    bins: NDArray[np.int64]
    counts: NDArray[np.int64]


class Thresholds(NamedTuple):
    """Per wanted rank, the key that separates it; see `above`.

    Attributes:
      group: Shape (q,), ascending.
      key: Shape (q, digits) uint16: the rows taken are those with a key at or below.
      rows: Shape (q,) int64, how many rows that is: the rank, more where the last rows share one
        key, fewer where the group has fewer.
      empty: Shape (q,) bool, rank 0: no key is low enough.
    """

    group: NDArray[np.int64]
    key: NDArray[np.uint16]
    rows: NDArray[np.int64]
    empty: NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class State:
    """What the passes so far know of every wanted rank.

    Attributes:
      group: Shape (q,), the group of each rank, ascending.
      rank: Shape (q,), rows still wanted inside the current bin.
      node: Shape (q,), the bin to look into in the next pass; -1 when the rank is settled.
      key: Shape (q, digits) uint16, digits known so far, then 65535.
      rows: Shape (q,), rows known to be at or below the threshold.
      empty: Shape (q,), whether the rank is 0.
      edges: The bins worth looking into, level by level: group numbers, then
        `(parent, digits of the pass)`, packed, each ascending; a node is a position in the last.
      steps: Digits of every pass so far, and of the next.
    """

    group: NDArray[np.int64]
    rank: NDArray[np.int64]
    node: NDArray[np.int64]
    key: NDArray[np.uint16]
    rows: NDArray[np.int64]
    empty: NDArray[np.bool_]
    edges: tuple[NDArray[np.int64], ...]
    steps: tuple[int, ...] = (1,)

    @property
    def depth(self) -> int:
        """Digits that the next pass looks at, those known included."""
        return sum(self.steps)

    @property
    def done(self) -> bool:
        """Whether every rank is settled."""
        return bool(np.all(self.node < 0))


def start(ranks: Sequence[Sequence[int]], digits: int) -> State:
    """Nothing known yet.

    Args:
      ranks: For every group, how many first rows each threshold shall take; 0 takes none, a rank
        above the group's rows takes all.
      digits: Digits of the key, as `keys.width` gives.

    Memory and cost of a pass: 16 bytes for each bin that is not empty, at most 65,536 of them for
    every distinct (group, boundary bin), or 1,048,576 where several digits are counted at once.
    """
    group = np.repeat(np.arange(len(ranks)), [len(r) for r in ranks])
    rank = np.array([q for wanted in ranks for q in wanted], np.int64)
    if np.any(rank < 0):
        raise ValueError(f"rank {rank.min()} is negative")
    roots = np.unique(group[rank > 0])
    node = np.where(rank > 0, np.searchsorted(roots, group), -1)
    known = np.full((len(rank), digits), (1 << _BITS) - 1, np.uint16)
    return State(group, rank, node, known, np.zeros_like(rank), rank == 0, (roots,))


def histogram(state: State, groups: NDArray, digits: NDArray[np.uint16]) -> Histogram:
    """Counts of the current digits among the rows that still matter.

    Args:
      state: What is known.
      groups: Shape (n,) integers.
      digits: Shape (n, d) uint16, as `keys.digits` gives; the first `state.depth` matter.

    Time O(n log n) in the rows of the batch that stand in a boundary bin.
    """
    rows, node, at = _inside(state, groups, digits, len(state.edges))
    if at >= digits.shape[1]:
        return Histogram(np.empty(0, np.int64), np.empty(0, np.int64))
    return _count(_pack(node, digits, rows, at, state.steps[-1]))


def _count(bins: NDArray[np.int64]) -> Histogram:
    """How often each occurs: by counting where they lie close together, else by sorting."""
    first = int(bins.min()) if len(bins) else 0
    if len(bins) and int(bins.max()) - first < _CLOSE:
        counts = np.bincount(bins - first)
        filled = np.flatnonzero(counts)
        return Histogram(filled + first, counts[filled])
    found, counts = np.unique(bins, return_counts=True)
    return Histogram(found, counts.astype(np.int64))


def inside(state: State, groups: NDArray, digits: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Rows that may still matter, judged by the first digits of their keys alone.

    Args:
      state: What is known.
      groups: Shape (n,) integers.
      digits: Shape (n, d) uint16, d from 0 to all.
    """
    ends = np.cumsum((0, *state.steps[:-1]))
    return _inside(state, groups, digits, int(np.sum(ends <= digits.shape[1])))[0]


def _inside(
    state: State, groups: NDArray, digits: NDArray[np.uint16], levels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Rows in the bins of the first levels, their nodes there, and the digits looked at."""
    rows, node, at = np.arange(len(groups)), groups.astype(np.int64), 0
    for level, edges in enumerate(state.edges[:levels]):
        if level:
            node = _pack(node, digits, rows, at, state.steps[level - 1])
            at += state.steps[level - 1]
        found = np.minimum(np.searchsorted(edges, node), max(len(edges) - 1, 0))
        here = edges[found] == node if len(edges) else np.zeros(len(node), bool)
        rows, node = rows[here], found[here]
    return rows, node, at


def _pack(
    node: NDArray[np.int64], digits: NDArray[np.uint16], rows: NDArray[np.int64], at: int, step: int
) -> NDArray[np.int64]:
    """Nodes with the next `step` digits of their rows behind them."""
    for column in range(at, at + step):
        node = (node << _BITS) | digits[rows, column]
    return node


def add(a: Histogram, b: Histogram) -> Histogram:
    """The histogram of both: the smaller is put into the larger, for neither has to be sorted."""
    if len(a.bins) < len(b.bins):
        a, b = b, a
    if not len(b.bins):
        return a
    at = np.searchsorted(a.bins, b.bins)
    known = a.bins[np.minimum(at, len(a.bins) - 1)] == b.bins
    counts = a.counts.copy()
    counts[at[known]] += b.counts[known]
    new = ~known
    return Histogram(
        np.insert(a.bins, at[new], b.bins[new]), np.insert(counts, at[new], b.counts[new])
    )


def refine(state: State, counts: Histogram) -> State:
    """What is known after one more pass over all rows."""
    depth, step = state.depth, state.steps[-1]
    rank, rows, key = state.rank.copy(), state.rows.copy(), state.key.copy()
    bins, left = np.full(len(rank), -1, np.int64), {}
    for i in np.flatnonzero(state.node >= 0):
        found = _locate(counts, int(state.node[i]), int(rank[i]), step * _BITS)
        rows[i] += found.before
        if found.digits < 0:  # all rows of the group, and the key stays at its maximum
            continue
        key[i, depth - step : depth] = _unpack(found.digits, step)
        rank[i] -= found.before
        if found.inside == rank[i] or depth == key.shape[1]:
            rows[i] += found.inside
        else:
            bins[i] = (int(state.node[i]) << step * _BITS) | found.digits
            left[bins[i]] = found.inside
    edges = np.unique(bins[bins >= 0])
    node = np.where(bins >= 0, np.searchsorted(edges, bins), -1)
    steps = (*state.steps, _step(len(edges), sum(left.values()), key.shape[1] - depth))
    return State(state.group, rank, node, key, rows, state.empty, (*state.edges, edges), steps)


def _step(nodes: int, rows: int, digits: int) -> int:
    """Digits to count in the next pass: a bin of several is no more than a row, if rows are few."""
    fit = (63 - nodes.bit_length()) // _BITS
    return max(min(fit, digits), 1) if rows <= _FEW else 1


def _unpack(digits: int, step: int) -> list[int]:
    return [(digits >> _BITS * i) & ((1 << _BITS) - 1) for i in reversed(range(step))]


class _Place(NamedTuple):
    before: int  # rows in smaller bins
    digits: int  # the bin that holds the rank; -1 when all bins together hold no more
    inside: int  # rows in it


def _locate(counts: Histogram, node: int, rank: int, bits: int) -> _Place:
    lo, hi = np.searchsorted(counts.bins, [node << bits, (node + 1) << bits])
    total = np.cumsum(counts.counts[lo:hi])
    if lo == hi or rank >= total[-1]:
        return _Place(int(total[-1]) if hi > lo else 0, -1, 0)
    b = int(np.searchsorted(total, rank))  # the first bin with total >= rank
    inside = int(counts.counts[lo + b])
    return _Place(int(total[b]) - inside, int(counts.bins[lo + b]) - (node << bits), inside)


def thresholds(state: State) -> Thresholds:
    """The answer, once `state.done`."""
    if not state.done:
        raise ValueError(f"{np.sum(state.node >= 0)} ranks need another pass")
    return Thresholds(state.group, state.key, state.rows, state.empty)


def above(found: Thresholds, groups: NDArray, digits: NDArray[np.uint16]) -> NDArray[np.int64]:
    """How many of its group's thresholds each row lies beyond.

    With one rank a group, 0 means taken and 1 not; with several ascending ranks it is the number
    of the band, 0 the first. Rows of a group without ranks get 0.

    Args:
      found: The thresholds.
      groups: Shape (n,) integers.
      digits: Shape (n, d) uint16.
    """
    words, bounds = sort_keys.words(digits), sort_keys.words(found.key)
    beyond = np.zeros(len(digits), np.int64)
    for group in np.unique(found.group):
        rows = np.flatnonzero(groups == group)
        for i in np.flatnonzero(found.group == group):
            beyond[rows] += sort_keys.greater(words[rows], bounds[i]) | found.empty[i]
    return beyond


@dataclasses.dataclass(frozen=True)
class Pass:
    """One pass as a fold (`tamis.folds.Fold`): build one from the state, run it over all shards.

    Attributes:
      state: What is known.
      keys: Columns of the key, most significant first; see `tamis.keys`.
      group: Column of group numbers; empty means one group, 0.
    """

    state: State
    keys: tuple[str, ...]
    group: str = ""

    def zero(self) -> Histogram:
        return Histogram(np.empty(0, np.int64), np.empty(0, np.int64))

    def add(self, state: Histogram, batch: pa.RecordBatch) -> Histogram:
        return add(state, histogram(self.state, *read(batch, self.keys, self.group)))

    def merge(self, a: Histogram, b: Histogram) -> Histogram:
        return add(a, b)

    def result(self, state: Histogram) -> Histogram:
        return state


def read(
    batch: pa.RecordBatch, keys: Sequence[str], group: str = ""
) -> tuple[NDArray, NDArray[np.uint16]]:
    """Groups (n,) and digits (n, d) of a batch."""
    columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in keys]
    groups = (
        batch.column(group).to_numpy(zero_copy_only=False)
        if group
        else np.zeros(batch.num_rows, np.int64)
    )
    return groups, sort_keys.digits(*columns)


def select(
    batches: Iterable[pa.RecordBatch],
    ranks: Sequence[Sequence[int]],
    *,
    keys: tuple[str, ...],
    group: str = "",
) -> Thresholds:
    """All passes in memory: what a pipeline does, in four lines."""
    batches = list(batches)
    state = start(ranks, read(batches[0].slice(0, 0), keys)[1].shape[1])
    while not state.done:
        fold = Pass(state, keys, group)
        counts = fold.zero()
        for batch in batches:
            counts = fold.add(counts, batch)
        state = refine(state, fold.result(counts))
    return thresholds(state)
