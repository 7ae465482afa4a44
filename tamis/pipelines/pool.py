"""Pool: the rows a pilot or a check may train on, gathered into arrays on disk.

Memory does not grow with the rows: workers write parts, the launcher copies them shard by shard
into memory-mapped `.npy` files, and training gathers the rows of a step.
"""

import dataclasses
import itertools
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, sidecars, storage
from tamis.pipelines import engine, rank, session, view
from tamis.schemas import columns, embeddings, shards

_MEMBER = "member"


@dataclasses.dataclass(frozen=True)
class Pool:
    """Rows to train on.

    Attributes:
      x: Shape (n, d) float16 or float32, a memory map, unit rows.
      labels: Shape (n,) int64.
      member: Shape (n, ...) what `Gather` was asked to keep of each row, int64.
      uid: Shape (n, 2) uint64.
    """

    x: NDArray
    labels: NDArray[np.int64]
    member: NDArray[np.int64]
    uid: NDArray[np.uint64]


def classes(run: session.Session) -> tuple[str, ...]:
    """The target's labels, sorted."""
    found = {
        label
        for s in run.cut("target")
        for label in run.view().table(s.name, "index", [columns.LABEL])[columns.LABEL]
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


def target(run: session.Session, names: tuple[str, ...]) -> tuple[NDArray, NDArray[np.int64]]:
    """The target's vectors (m, d) float32 and classes (m,)."""
    seen, xs, labels = run.view(), [], []
    for shard in run.cut("target"):
        xs.append(embeddings.matrix(seen.table(shard.name, embeddings.FOLDER)[embeddings.EMBEDDING]))
        labels.append(_codes(seen.table(shard.name, "index", [columns.LABEL])[columns.LABEL], names))
    return np.concatenate(xs), np.concatenate(labels)


def gather(
    run: session.Session,
    name: str,
    chosen: rank.Cut,
    names: tuple[str, ...],
) -> Pool:
    """Gather the rows that are among the first of their group for any count of `chosen`.

    Args:
      run: The session.
      name: Folder of the scratch files under `RUN/scratch`.
      chosen: Thresholds; `Pool.member` is (group, taken for count 0, 1, ...).
      names: Classes, in order.

    Raises:
      PlanError: a row's label is not among the target's.
    """
    folder = storage.join(run.root, "scratch", name)
    storage.remove_tree(folder)
    cut = run.cut("supply")
    part = Gather(run.view(), folder, chosen, names)
    run.execute(lambda p: session.spans(p, cut) | name >> beam.ParDo(part))
    parts = [s.name for s in cut if storage.exists(sidecars.url(folder, "parts", s.name))]
    return _load(folder, parts)


class Gather(beam.DoFn):
    """Span to the chosen rows of its shards."""

    def __init__(
        self, seen: view.View, folder: str, chosen: rank.Cut, names: tuple[str, ...]
    ) -> None:
        self._view, self._folder, self._cut, self._names = seen, folder, chosen, names

    def process(self, span: shards.Span) -> Iterable[str]:
        reads = dict.fromkeys(
            [*self._cut.order.reads, columns.LABEL, columns.ROW, embeddings.EMBEDDING]
        )
        with engine.carried():
            for shard in span.shards:
                parts = [
                    self._chosen(shard, batch)
                    for _, batch in self._view.batches(shards.Span((shard,)), tuple(reads))
                ]
                parts = [p for p in parts if p.num_rows]
                if parts:
                    table = pa.Table.from_batches(parts)
                    stamp = sidecars.Stamp("", "")
                    sidecars.commit(self._folder, "parts", shard.name, table, stamp)
                    yield shard.name

    def _chosen(self, shard: shards.Shard, batch: pa.RecordBatch) -> pa.RecordBatch:
        taken = self._cut.taken(batch)
        rows = np.flatnonzero(taken.any(axis=1))
        member = np.column_stack([self._cut.order.groups.of(batch), taken])[rows].astype(np.int64)
        kept = batch.take(pa.array(rows))
        labels = _codes(kept.column(columns.LABEL), self._names)
        if (labels < 0).any():
            i = int(np.flatnonzero(labels < 0)[0])
            raise errors.PlanError(
                f"label {kept.column(columns.LABEL)[i].as_py()!r} is not among the target's",
                where=f"{shard.file.path}:{kept.column(columns.ROW)[i].as_py()}",
                why=f"the target's are: {', '.join(self._names[:8])}",
                remedy="map labels to the target's classes, or take these rows out",
            )
        flat = pa.FixedSizeListArray.from_arrays(pa.array(member.reshape(-1)), member.shape[1])
        arrays = [kept.column(columns.UID), kept.column(embeddings.EMBEDDING), pa.array(labels), flat]
        named = [columns.UID, embeddings.EMBEDDING, columns.LABEL, _MEMBER]
        return pa.RecordBatch.from_arrays(arrays, named)


def _codes(values: pa.Array | pa.ChunkedArray, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Position of each label in `names`, -1 when it is not there."""
    import pyarrow.compute as pc

    found = pc.index_in(values, pa.array(names, pa.string()))
    return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _load(folder: str, parts: list[str]) -> Pool:
    """Parts in shard order, each read once, into one array on disk."""
    sizes = [int(sidecars.footer(folder, "parts", p)["rows"]) for p in parts]
    bounds = [0, *itertools.accumulate(sizes)]
    uid, labels, member, x = [], [], [], None
    for part, (start, stop) in zip(parts, itertools.pairwise(bounds), strict=True):
        table = sidecars.read(folder, "parts", part)
        column = table[embeddings.EMBEDDING].combine_chunks()
        values = column.flatten().to_numpy(zero_copy_only=False).reshape(stop - start, -1)
        if x is None:
            x = artifacts.scratch(
                storage.join(folder, "x.npy"), (bounds[-1], values.shape[1]), values.dtype
            )
        x[start:stop] = values
        uid.append(sidecars.uids_of(table))
        labels.append(table[columns.LABEL].to_numpy())
        member.append(table[_MEMBER].combine_chunks().flatten().to_numpy().reshape(len(values), -1))
    if x is None:
        raise errors.PlanError("no row was chosen to train on", where=folder)
    return Pool(x, np.concatenate(labels), np.concatenate(member), np.concatenate(uid))
