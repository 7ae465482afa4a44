"""Pool: the rows a pilot or a check may train on, gathered into arrays on disk.

Memory does not grow with the rows: workers write parts, the launcher copies them shard by shard
into memory-mapped `.npy` files, and training gathers the rows of a step.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Protocol

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import artifacts, errors, sidecars, storage
from tamis.pipelines import engine, guard, rank, session, strata, view
from tamis.schemas import columns, embeddings, index, shards

_MEMBER = "member"
_CONTENT = "content"
_PARTS = "parts"


@dataclasses.dataclass(frozen=True)
class Pool:
    """Rows to train on.

    Attributes:
      x: Shape (n, d), a memory map: what the `Content` makes of each row, by default its vector.
      labels: Shape (n,) int64; all 0 where no classes are asked for.
      stratum: Shape (n,) int64.
      times: Shape (n, m) int64, what the `Picker` said of each row; no row is all 0.
    """

    x: NDArray
    labels: NDArray[np.int64]
    stratum: NDArray[np.int64]
    times: NDArray[np.int64]


class Content(Protocol):
    """What to gather of a row."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs."""
        ...

    def of(self, shard: shards.Shard, batch: pa.RecordBatch) -> NDArray:
        """Rows of a batch to shape (n, d), of numbers."""
        ...


@dataclasses.dataclass(frozen=True)
class Vectors:
    """The embedding, in the type it is stored in."""

    reads: ClassVar[tuple[str, ...]] = (embeddings.EMBEDDING,)

    def of(self, shard: shards.Shard, batch: pa.RecordBatch) -> NDArray:
        """Shape (n, d)."""
        return _flat(pa.chunked_array([batch.column(embeddings.EMBEDDING)]))


VECTORS = Vectors()


class Picker(Protocol):
    """Which rows to gather."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns it needs."""
        ...

    def times(self, root: str, shard: str) -> Callable[[pa.RecordBatch], NDArray[np.int64]]:
        """For a shard: its batches to shape (n, m); a row with any above 0 is gathered."""
        ...


@dataclasses.dataclass(frozen=True)
class First:
    """The first rows of each group, for any count of a cut."""

    cut: rank.Cut

    @property
    def reads(self) -> tuple[str, ...]:
        return self.cut.order.reads

    def times(self, root: str, shard: str) -> Callable[[pa.RecordBatch], NDArray[np.int64]]:
        return lambda batch: self.cut.taken(batch).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Listed:
    """The rows of some manifests, with their repeats in each.

    Attributes:
      folders: Of the manifests.
    """

    folders: tuple[str, ...]
    reads: ClassVar[tuple[str, ...]] = (columns.ROW,)

    def times(self, root: str, shard: str) -> Callable[[pa.RecordBatch], NDArray[np.int64]]:
        tables = [self._part(folder, shard) for folder in self.folders]

        def look(batch: pa.RecordBatch) -> NDArray[np.int64]:
            rows = batch.column(columns.ROW).to_numpy()
            return np.column_stack([_repeats(rows, *table) for table in tables])

        return look

    def _part(self, folder: str, shard: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        if not storage.exists(sidecars.url(folder, "", shard)):
            return np.zeros(0, np.int64), np.zeros(0, np.int32)
        table = sidecars.read(folder, "", shard, ["row", "repeats"])
        return table["row"].to_numpy(), table["repeats"].to_numpy()


def _repeats(
    rows: NDArray[np.int64], listed: NDArray[np.int64], repeats: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Repeats of each row, 0 where it is not listed; both are ascending."""
    if not len(listed):
        return np.zeros(len(rows), np.int64)
    at = np.minimum(np.searchsorted(listed, rows), len(listed) - 1)
    return np.where(listed[at] == rows, repeats[at], 0).astype(np.int64)


def classes(run: session.Session) -> tuple[str, ...]:
    """The target's labels, sorted."""
    found = {
        label
        for s in run.cut("target")
        for label in run.view()
        .table(s.name, index.FOLDER, [columns.LABEL])[columns.LABEL]
        .unique()
        .to_pylist()
    }
    if len(found) < 2:
        raise errors.PlanError(
            f"the target has {len(found)} class{'es' if len(found) != 1 else ''}",
            where=run.root,
            why="a probe cannot be wrong about one class",
            remedy="give a target whose label column tells at least two classes apart",
        )
    return tuple(sorted(found))


def target(
    run: session.Session, names: tuple[str, ...], half: guard.Half | None = None
) -> tuple[NDArray, NDArray[np.int64]]:
    """The vectors (m, d) float32 and classes (m,) of the target, or of a half of it."""
    seen, xs, labels = run.view(), [], []
    for shard in run.cut("target"):
        if not seen.rows(shard.name):
            continue  # nor a dimension
        table = seen.table(shard.name, index.FOLDER, [columns.UID, columns.LABEL])
        kept = half.of(table[columns.UID]) if half else slice(None)
        x = embeddings.matrix(seen.table(shard.name, embeddings.FOLDER)[embeddings.EMBEDDING])
        xs.append(x[kept])
        labels.append(_codes(table[columns.LABEL], names)[kept])
    return np.concatenate(xs), np.concatenate(labels)


def contents(
    run: session.Session, content: Content, half: guard.Half | None = None
) -> tuple[NDArray, NDArray[np.int64]]:
    """What `content` makes of the target, or of a half of it, (m, d); and m zeros for classes."""
    seen, found = run.view(), []
    for shard in run.cut("target"):
        reads = tuple(dict.fromkeys([columns.UID, *content.reads]))
        for _, batch in seen.batches(shards.Span((shard,)), reads):
            names = pa.chunked_array([batch.column(columns.UID)])
            x = content.of(shard, batch)
            found.append(x[half.of(names)] if half else x)
    x = np.concatenate(found)
    return x, np.zeros(len(x), np.int64)


def vectors(run: session.Session, wants: str) -> NDArray[np.float32]:
    """The target's embeddings, in input order; under a guard, those that may be fitted to.

    Args:
      run: The session.
      wants: What asks for them, as an error says it.

    Raises:
      ConfigError: there is no target.
    """
    seen = run.view()
    half = guard.halves(run)[0]
    cut = [shard for shard in run.cut("target") if seen.rows(shard.name)]
    if not cut:
        raise errors.ConfigError(f"{wants} needs a target", remedy="add a `target` to the run file")
    parts = []
    for shard in cut:
        x = embeddings.matrix(seen.table(shard.name, embeddings.FOLDER)[embeddings.EMBEDDING])
        names = seen.table(shard.name, index.FOLDER, [columns.UID])[columns.UID]
        parts.append(x[half.of(names)] if half else x)
    return np.concatenate(parts)


def gather(
    run: session.Session,
    name: str,
    pick: Picker,
    cells: strata.Strata,
    names: tuple[str, ...],
    *,
    content: Content = VECTORS,
) -> Pool:
    """Gather the rows that `pick` takes.

    Args:
      run: The session.
      name: Folder of the scratch files under `RUN/scratch`.
      pick: Which rows.
      cells: The strata.
      names: Classes, in order; none where labels do not matter.
      content: What to gather of a row.

    Raises:
      PlanError: a row's label is not among the target's, or nothing was picked.
    """
    folder = run.scratch(name)
    storage.remove_tree(folder)
    cut = run.cut("supply")
    part = Gather(run.view(), folder, pick, cells, (names, content))
    run.execute(lambda p: session.spans(p, cut) | name >> beam.ParDo(part))
    parts = [s.name for s in cut if storage.exists(sidecars.url(folder, _PARTS, s.name))]
    return _load(folder, parts)


class Gather(beam.DoFn):
    """Span to the picked rows of its shards."""

    def __init__(
        self,
        seen: view.View,
        folder: str,
        pick: Picker,
        cells: strata.Strata,
        what: tuple[tuple[str, ...], Content],
    ) -> None:
        self._view, self._folder, self._pick = seen, folder, pick
        self._strata, (self._names, self._content) = cells, what

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            for shard in span.shards:
                parts = [p for p in self._picked(shard) if p.num_rows]
                if parts:
                    table = pa.Table.from_batches(parts)
                    stamp = sidecars.Stamp("", "")
                    sidecars.commit(self._folder, _PARTS, shard.name, table, stamp)
                    yield shard.name

    def _picked(self, shard: shards.Shard) -> Iterator[pa.RecordBatch]:
        times = self._pick.times(self._view.root, shard.name)
        own = (columns.LABEL, columns.ROW, *self._content.reads)
        reads = tuple(dict.fromkeys([*strata.READS, *self._pick.reads, *own]))
        for _, batch in self._view.batches(shards.Span((shard,)), reads):
            found = times(batch)
            rows = pa.array(np.flatnonzero(found.any(axis=1)))
            member = np.column_stack([self._strata.of(batch), found])
            kept = batch.append_column(_MEMBER, embeddings.column(member)).take(rows)
            labels = self._labels(shard, kept)
            x = embeddings.column(self._content.of(shard, kept))
            arrays = [x, pa.array(labels), kept.column(_MEMBER)]
            yield pa.RecordBatch.from_arrays(arrays, [_CONTENT, columns.LABEL, _MEMBER])

    def _labels(self, shard: shards.Shard, kept: pa.RecordBatch) -> NDArray[np.int64]:
        if not self._names:
            return np.zeros(kept.num_rows, np.int64)
        labels = _codes(kept.column(columns.LABEL), self._names)
        unknown = np.flatnonzero(labels < 0)
        if len(unknown):
            i = int(unknown[0])
            raise errors.PlanError(
                f"label {kept.column(columns.LABEL)[i].as_py()!r} is not among the target's",
                where=f"{shard.file.path}:{kept.column(columns.ROW)[i].as_py()}",
                why=f"the target's are: {', '.join(self._names[:8])}",
                remedy="map labels to the target's classes, or take these rows out",
            )
        return labels


def _codes(values: pa.Array | pa.ChunkedArray, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Position of each label in `names`, -1 when it is not there."""
    found = pc.index_in(values, pa.array(names, pa.string()))
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _load(folder: str, parts: list[str]) -> Pool:
    """Parts in shard order, each read once, into one array on disk."""
    sizes = [int(sidecars.footer(folder, _PARTS, p)["rows"]) for p in parts]
    if not sizes:
        raise errors.PlanError("no row was picked to train on", where=folder)
    bounds = [0, *itertools.accumulate(sizes)]
    first = _flat(sidecars.read(folder, _PARTS, parts[0])[_CONTENT])
    shape = (bounds[-1], first.shape[1])
    x = artifacts.scratch(storage.join(folder, "x.npy"), shape, first.dtype)
    labels, member = [], []
    for part, (start, stop) in zip(parts, itertools.pairwise(bounds), strict=True):
        table = sidecars.read(folder, _PARTS, part)
        x[start:stop] = _flat(table[_CONTENT])
        labels.append(table[columns.LABEL].to_numpy())
        member.append(_flat(table[_MEMBER]))
    members = np.concatenate(member)
    return Pool(x, np.concatenate(labels), members[:, 0], members[:, 1:])


def _flat(column: pa.ChunkedArray) -> NDArray:
    """A column of fixed-size lists as (n, d), in the type it is stored in."""
    d = column.type.list_size
    chunks = [c.flatten().to_numpy(zero_copy_only=False) for c in column.chunks]
    return np.concatenate(chunks).reshape(-1, d)
