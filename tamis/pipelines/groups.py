"""Near pairs to duplicate sidecars: of every group the best row is kept, and the others name it."""

import dataclasses
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import artifacts, sidecars, storage
from tamis.pipelines import engine, meet, near, session, view
from tamis.schemas import duplicates, embeddings, shards
from tamis.schemas import near as schema
from tamis.selectors import duplicate_groups, near_pairs

_KEPT = "kept"
_COPIED = "x.npy"
_PLACES = "groups.npy"


@dataclasses.dataclass(frozen=True)
class Groups:
    """Which row stands for which, on disk.

    Attributes:
      folder: Of `groups.npy`: int64 (n, 4), a row a line, ascending: where it is, where the row
        is that stands for it, that row's line in `x.npy`, and how many rows the group has. And
        of `x.npy`: the vectors of the rows that stand for others.
      names: Shards by ordinal.
    """

    folder: str
    names: tuple[str, ...]

    def places(self) -> NDArray[np.int64]:
        return artifacts.read(storage.join(self.folder, _PLACES))

    def vectors(self) -> NDArray[np.float32]:
        return artifacts.read(storage.join(self.folder, _COPIED))


def decide(run: session.Session, edges: pa.Table, folder: str) -> Groups:
    """The groups that some edges make. Memory of the launcher O(edges + groups d)."""
    names = tuple(s.name for s in run.cut("supply"))
    graph = schema.graph(edges)
    where, hi, lo, score, count = (graph.nodes[name].to_numpy() for name in schema.NODE)
    group = duplicate_groups.groups(near.pairs(graph), graph.nodes.num_rows, -1.0)
    stands = duplicate_groups.representatives(group, score, np.stack([hi, lo], axis=1))
    rows = duplicate_groups.weights(stands, count)[stands]
    kept = np.unique(where[stands])
    line = np.searchsorted(kept, where[stands])
    places = np.stack([where, where[stands], line, rows], axis=1)
    found = Groups(folder, names)
    artifacts.write(storage.join(folder, _PLACES), places[np.argsort(where)])
    _gather(run, found)
    return found


def _gather(run: session.Session, groups: Groups) -> None:
    """Copy the vectors of the rows that stand for others, in the order of their places."""
    part = Gather(run.view(), groups)
    cut = run.cut("supply")
    run.execute(lambda p: session.spans(p, cut) | "kept" >> beam.ParDo(part))
    written = [n for n in groups.names if storage.exists(sidecars.url(groups.folder, _KEPT, n))]
    parts = [meet.unit(sidecars.read(groups.folder, _KEPT, name)) for name in written]
    x = np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)
    artifacts.write(storage.join(groups.folder, _COPIED), x)


class Gather(beam.DoFn):
    """Span to the vectors of its rows that stand for others."""

    def __init__(self, seen: view.View, groups: Groups) -> None:
        self._view, self._groups = seen, groups

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            places = self._groups.places()
            kept = np.unique(places[:, 1])
            for shard in span.shards:
                ordinal = self._groups.names.index(shard.name)
                bounds = np.searchsorted(kept, schema.where(ordinal, np.array([0, 1 << 32])))
                rows = schema.parts(kept[bounds[0] : bounds[1]])[1]
                if len(rows):
                    table = self._view.table(shard.name, embeddings.FOLDER).take(pa.array(rows))
                    stamp = sidecars.Stamp("", "")
                    sidecars.commit(self._groups.folder, _KEPT, shard.name, table, stamp)
                    yield shard.name


class Write(beam.DoFn):
    """Span to its duplicate sidecars, from the marks of exact copies and the groups."""

    def __init__(self, seen: view.View, inputs: str, groups: Groups) -> None:
        self._view, self._inputs, self._groups = seen, inputs, groups

    def setup(self) -> None:
        with engine.carried():
            self._places, self._x = self._groups.places(), self._groups.vectors()

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            for shard in span.shards:
                table, facts = self._table(shard)
                self._view.commit(duplicates.FOLDER, shard.name, table, self._inputs, facts)
                yield shard.name

    def _table(self, shard: shards.Shard) -> tuple[pa.Table, dict[str, str]]:
        exact = self._view.table(shard.name, duplicates.EXACT)
        own = schema.where(self._groups.names.index(shard.name), np.arange(exact.num_rows))
        first = self._first(exact[duplicates.DUP_OF], own)
        line, grouped = _find(self._places[:, 0], first)
        kept, count = first.copy(), exact[duplicates.DUP_COUNT].to_numpy().copy()
        kept[grouped] = self._places[line[grouped], 1]
        count[grouped] = self._places[line[grouped], 3]
        copies, near = np.flatnonzero(kept != own), np.flatnonzero(kept != first)
        cosine = np.ones(len(own), np.float32)
        if len(near):
            x = meet.unit(self._view.table(shard.name, embeddings.FOLDER).take(pa.array(near)))
            other = self._places[line[near], 2]
            cosine[near] = near_pairs.cosine(x, self._x, np.arange(len(near)), other)
        place = schema.parts(kept[copies])
        table = duplicates.table(count, copies, place, cosine[copies], self._groups.names)
        unlike = int(np.sum(first[copies] == own[copies]))
        return table, {duplicates.COPIES: str(len(copies)), duplicates.NEAR: str(unlike)}

    def _first(self, dup_of: pa.ChunkedArray, own: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the first exact copy of each row is."""
        copies = np.flatnonzero(dup_of.is_valid().to_numpy())
        named = pc.split_pattern(dup_of.take(pa.array(copies)).combine_chunks(), ":")
        shard = pc.index_in(pc.list_element(named, 0), pa.array(self._groups.names))
        row = pc.cast(pc.list_element(named, 1), pa.int64())
        first = own.copy()
        first[copies] = schema.where(shard.to_numpy().astype(np.int64), row.to_numpy())
        return first


def _find(
    ascending: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each value stands, and whether it does."""
    if not len(ascending):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    line = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return line, ascending[line] == wanted
