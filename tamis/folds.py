"""Global facts of a table as monoids: the same bytes for any split and any order of merging.

A fold never adds floats: float sums depend on the order in which workers finish. Counts are
integers, samples are sorted by hash, and sums of vectors are kept in fixed point. Exact quantiles
and thresholds are folds too: `tamis.radix.Pass`.
"""

import dataclasses
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import seeding
from tamis.schemas import columns, embeddings, uids

S = TypeVar("S")
R = TypeVar("R", covariant=True)

PRIORITY = "priority"
ROWS = "rows"

# Unit vectors in fixed point: 2^-30 is finer than the float32 they came from at norm 1, and int64
# then holds the sum of 8.6 billion rows.
_SCALE = 2.0**30


class Fold(Protocol[S, R]):
    """A monoid over batches. `tamis.testing.check_fold` has the laws; no method mutates."""

    def zero(self) -> S:
        """The state of no rows."""
        ...

    def add(self, state: S, batch: pa.RecordBatch) -> S:
        """The state with the rows of `batch`."""
        ...

    def merge(self, a: S, b: S) -> S:
        """The state of the rows of both."""
        ...

    def result(self, state: S) -> R:
        """The fact."""
        ...


@dataclasses.dataclass(frozen=True)
class Count:
    """Rows for each distinct combination of some columns; null is a value.

    The result is a dict from a tuple of values, sorted, nulls last. Memory O(combinations).
    """

    by: tuple[str, ...]

    def zero(self) -> dict[tuple, int]:
        return {}

    def add(self, state: dict[tuple, int], batch: pa.RecordBatch) -> dict[tuple, int]:
        if not self.by:
            return self.merge(state, {(): batch.num_rows})
        table = pa.Table.from_batches([batch.select(list(self.by))])
        counted = table.group_by(list(self.by), use_threads=False).aggregate([([], "count_all")])
        values = [counted.column(name).to_pylist() for name in self.by]
        rows = counted.column("count_all").to_pylist()
        return self.merge(state, dict(zip(zip(*values, strict=True), rows, strict=True)))

    def merge(self, a: dict[tuple, int], b: dict[tuple, int]) -> dict[tuple, int]:
        return a | {k: v + a.get(k, 0) for k, v in b.items()}

    def result(self, state: dict[tuple, int]) -> dict[tuple, int]:
        present = {k: v for k, v in state.items() if v}
        return dict(sorted(present.items(), key=lambda item: [(v is None, v) for v in item[0]]))


class Sample(NamedTuple):
    """The state of `BottomK`: candidates, and the priority above which none can enter."""

    rows: pa.Table
    bound: int

    def __reduce__(self) -> tuple:
        """As Arrow IPC: pyarrow's own pickle (25.0) forgets that list items are not nullable."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.rows.schema) as writer:
            writer.write_table(self.rows)
        return _sample, (sink.getvalue().to_pybytes(), self.bound)


def _sample(stream: bytes, bound: int) -> Sample:
    return Sample(pa.ipc.open_stream(stream).read_all(), bound)


@dataclasses.dataclass(frozen=True)
class BottomK:
    """A uniform sample without replacement: the `k` rows with the smallest hash of their uid.

    Which rows are taken depends on uids and seed alone, not on shards, order or workers. Rows with
    one uid are copies; they are ordered by their other plain columns.

    Attributes:
      k: Rows wanted.
      carry: Columns to carry beside the uid, fixed-size lists included.
      seed: The run's seed.
      purpose: What the sample is for; another purpose is another sample.

    The result is a table of `priority, uid, carry...` sorted by (priority, uid). Memory: at most
    2 k rows, and as much again while merging. Time O(n) + O(k log k) for every k rows that get in,
    O(k log n/k) of them.
    """

    k: int
    carry: tuple[str, ...] = ()
    seed: int = 0
    purpose: tuple[str, ...] = ("sample",)

    def zero(self) -> Sample:
        return Sample(pa.table({}), 2**64 - 1)

    def add(self, state: Sample, batch: pa.RecordBatch) -> Sample:
        names = list(dict.fromkeys([columns.UID, *self.carry]))
        priority = seeding.priority(
            uids.from_hex(batch.column(columns.UID)), self.seed, *self.purpose
        )
        # `take` copies, so that no state holds on to, or pickles, the batch it came from.
        rows = np.flatnonzero(priority <= np.uint64(state.bound))
        table = pa.Table.from_batches([batch.select(names)]).take(rows)
        table = table.add_column(0, PRIORITY, pa.array(priority[rows]))
        return self.merge(state, Sample(table, 2**64 - 1))

    def merge(self, a: Sample, b: Sample) -> Sample:
        filled = [s.rows for s in (a, b) if s.rows.num_columns]
        bound = min(a.bound, b.bound)
        if not filled:
            return Sample(a.rows, bound)
        rows = pa.concat_tables(filled)
        return Sample(rows, bound) if rows.num_rows <= 2 * self.k else self._compact(rows, bound)

    def result(self, state: Sample) -> pa.Table:
        if not state.rows.num_columns:
            return state.rows
        rows = self._compact(state.rows, state.bound).rows
        return rows.take(_order(rows)).combine_chunks()

    def _compact(self, rows: pa.Table, bound: int) -> Sample:
        """The first `k` rows."""
        kept = rows.take(_order(rows)[: self.k])
        if kept.num_rows == self.k > 0:
            bound = min(bound, kept.column(PRIORITY)[-1].as_py())
        return Sample(kept, bound)


def _order(rows: pa.Table) -> NDArray[np.int64]:
    """Positions by (priority, uid, other plain columns)."""
    plain = [f.name for f in rows.schema if not pa.types.is_nested(f.type)]
    keys = [(name, "ascending") for name in plain]
    return pc.sort_indices(rows, sort_keys=keys).to_numpy().astype(np.int64)


class Means(NamedTuple):
    """The mean direction of every class.

    Attributes:
      labels: Distinct labels, sorted.
      means: Shape (l, d), unit rows; zero where the vectors of a class cancel.
      rows: Shape (l,), rows behind each.
    """

    labels: tuple[str, ...]
    means: NDArray[np.float32]
    rows: NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class ClassMeans:
    """Mean unit embedding of each label: the prototypes of Sorscher et al. (2022, §4.3).

    Rows without a label belong to no class and are left out. The state is one int64 vector a
    label: its rows, then the sum of its vectors in units of 2^-30. Memory O(labels d).
    """

    label: str = columns.LABEL
    embedding: str = columns.EMBEDDING

    def zero(self) -> dict[str, NDArray[np.int64]]:
        return {}

    def add(
        self, state: dict[str, NDArray[np.int64]], batch: pa.RecordBatch
    ) -> dict[str, NDArray[np.int64]]:
        labels = batch.column(self.label).cast(pa.string()).dictionary_encode()
        known = np.flatnonzero(labels.is_valid().to_numpy(zero_copy_only=False))
        if not len(known):
            return state
        codes = labels.indices.drop_null().to_numpy()
        order = np.argsort(codes, kind="stable")
        fixed = _fixed_point(embeddings.matrix(batch.column(self.embedding))[known[order]])
        present, first = np.unique(codes[order], return_index=True)
        sums = np.add.reduceat(fixed, first, axis=0)
        names = labels.dictionary.to_pylist()
        return self.merge(state, {names[c]: s for c, s in zip(present, sums, strict=True)})

    def merge(
        self, a: dict[str, NDArray[np.int64]], b: dict[str, NDArray[np.int64]]
    ) -> dict[str, NDArray[np.int64]]:
        return a | {k: v + a[k] if k in a else v for k, v in b.items()}

    def result(self, state: dict[str, NDArray[np.int64]]) -> Means:
        labels = tuple(sorted(state))
        if not labels:
            return Means((), np.empty((0, 0), np.float32), np.empty(0, np.int64))
        sums = np.stack([state[k] for k in labels])
        wide = sums[:, 1:].astype(np.float64)
        norm = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        means = wide / np.where(norm > 0, norm, 1)[:, None]
        return Means(labels, means.astype(np.float32), sums[:, 0])


def _fixed_point(x: NDArray[np.float32]) -> NDArray[np.int64]:
    """Shape (n, 1 + d): a one for counting, then the vector.

    Raises:
      ValueError: a component is not finite, or above what a unit vector can hold.
    """
    if not np.all(np.abs(x) <= 1.001):  # float16 unit vectors exceed 1 by rounding; NaN fails too
        raise ValueError("an embedding is not a finite unit vector")
    fixed = np.ones((len(x), 1 + x.shape[1]), np.int64)
    np.rint(x.astype(np.float64) * _SCALE, out=fixed[:, 1:], casting="unsafe")
    return fixed
