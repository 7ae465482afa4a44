"""Duplicates: rows with one uid, and near-copies by their vectors (`near`) or texts (`minhash`).

One fold finds the few rows that may have a twin; only these meet in a shuffle.
"""

import json
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import artifacts, errors, sidecars, sketch, storage
from tamis.pipelines import (
    coders,
    engine,
    folding,
    groups,
    ingest,
    minhash,
    near,
    session,
    view,
)
from tamis.schemas import duplicates, index, shards
from tamis.schemas import near as schema
from tamis.selectors import text_duplicates

VERSION = 3
_SKETCH = "seen-twice.npy"
_BLOCKS = 64  # keys of the shuffle; a block holds about 1/64 of the rows that may have a twin

_MET = pa.schema(
    [
        pa.field("hi", pa.uint64(), nullable=False),
        pa.field("lo", pa.uint64(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),  # ordinal in the run's shards
        pa.field("row", pa.int32(), nullable=False),  # of the index shard
        pa.field("content", pa.uint64(), nullable=False),
    ]
)


def ready(run: session.Session) -> None:
    """Raise a ConfigError if a library that the stage needs is missing."""
    if run.config.dedup.minhash is not None:
        text_duplicates.library()


def dedup(run: session.Session) -> None:
    """Write the duplicate sidecar of every supply shard.

    Of exact copies the first in input order is kept; of near-copies, where `dedup.threshold` asks
    for them, the row that tiers rate best, ties to the lowest uid.

    Raises:
      SchemaError: one id names rows of different content, and copies are to be dropped.
    """
    section, cut = run.config.dedup, run.cut("supply")
    alike = section.near
    part = [run.config.ingest.duplicates, *_asked(run)]
    inputs = run.digest("dedup", VERSION, part, ["ingest"])
    folder = run.scratch("dedup")

    def build(spans: beam.PCollection) -> object:
        if not alike:
            return _exact(run, spans, duplicates.FOLDER, inputs)
        run.execute(lambda p: _exact(run, session.spans(p, cut), duplicates.EXACT, inputs))
        seen = run.view().having(duplicates.EXACT, inputs)
        found = groups.decide(run, _edges(run, seen), folder)
        return spans | "group" >> beam.ParDo(groups.Write(seen, inputs, found))

    def summary(_: object) -> dict:
        footers = [sidecars.footer(run.root, duplicates.FOLDER, s.name) for s in cut]
        copies = sum(int(f[duplicates.COPIES]) for f in footers)
        if not alike:
            return {"duplicates": copies}
        left = sum(int(f[duplicates.NEAR]) for f in footers)
        return {"duplicates": copies, "near": left, **_facts(run)}

    folders = (*([duplicates.EXACT] if alike else []), duplicates.FOLDER)
    run.per_shard("dedup", inputs, folders, build, cut, summary, together=True)
    storage.remove_tree(folder)


def _asked(run: session.Session) -> list:
    """What of the near-copies shapes the sidecars."""
    section, asked = run.config.dedup, []
    if section.threshold is not None:
        asked += [section.threshold, near.digest(run)]
    if section.minhash is not None:
        asked += [minhash.digest(run), run.inputs("embed")]  # they have the cosine of each copy
    return asked


def _edges(run: session.Session, seen: view.View) -> pa.Table:
    """The pairs that make two rows one: by vectors, by texts, or by either."""
    section, found = run.config.dedup, [schema.EDGES.empty_table()]
    if section.threshold is not None:
        table, least = near.edges(run, seen), pa.scalar(np.float32(section.threshold))
        found.append(table.filter(pc.greater_equal(table[schema.COSINE], least)))
    if section.minhash is not None:
        found.append(minhash.edges(run, seen))
    return pa.concat_tables(table.replace_schema_metadata() for table in found)


def _facts(run: session.Session) -> dict:
    """For the ledger."""
    section, files, found = run.config.dedup, [], {}
    if section.threshold is not None:
        files, found = [near.place(near.digest(run))], near.facts(run)
        found[near.RECIPE] = near.recipe(run)
    if section.minhash is not None:
        file, merged = minhash.facts(run)
        files, found = [*files, file], {**found, "texts": merged}
    return {**found, "files": session.digests(run.root, tuple(files))}


def _exact(
    run: session.Session, spans: beam.PCollection, folder: str, inputs: str
) -> beam.PCollection:
    """Spans to sidecars of exact copies."""
    cut = run.cut("supply")
    url = run.scratch(_SKETCH)
    twice = sketch.Twice(sketch.slots_for(sum(s.rows for s in cut)))
    (seen,) = folding.fold(run, "seen-twice", twice, (index.UID,), cut)
    artifacts.write(url, seen)
    write = Write(run.view(), folder, inputs, tuple(s.name for s in cut))
    return spans | "dedup" >> Mark(write, url, drop=run.config.ingest.duplicates == "drop")


class Mark(beam.PTransform):
    """Spans to duplicate sidecars."""

    def __init__(self, write: "Write", twice: str, *, drop: bool) -> None:
        super().__init__()
        self._write, self._twice, self._drop = write, twice, drop
        self._view, self._names = write.view, write.names

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return (
            pcoll
            | "suspects" >> beam.ParDo(Suspects(self._view, self._twice, self._names))
            | "meet" >> beam.GroupByKey()
            | "compare" >> beam.ParDo(Compare(self._view, self._names, drop=self._drop))
            | "home" >> beam.GroupByKey()
            | "write" >> beam.ParDo(self._write)
        )


class Suspects(beam.DoFn):
    """Span to the rows that may have a twin, keyed by a block of uids.

    Every shard also sends one empty batch under its own name, so that a shard without duplicates
    gets its sidecar too.
    """

    def __init__(self, seen: view.View, twice: str, names: tuple[str, ...]) -> None:
        self._view, self._twice, self._names = seen, twice, names

    def setup(self) -> None:
        self._seen = artifacts.read(self._twice)
        self._ordinal = {name: i for i, name in enumerate(self._names)}

    def process(self, span: shards.Span) -> Iterable[tuple[int, pa.RecordBatch]]:
        with engine.carried():
            for shard in span.shards:
                table = self._view.table(shard.name, index.FOLDER, [index.UID, index.CONTENT])
                content = table.column(index.CONTENT).to_numpy()
                yield from self._suspects(shard.name, sidecars.uids_of(table), content)

    def _suspects(
        self, shard: str, names: NDArray[np.uint64], content: NDArray[np.uint64]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        ordinal = self._ordinal[shard]
        rows = np.flatnonzero(sketch.suspect(self._seen, names))
        yield -1 - ordinal, _met(names[:0], ordinal, rows[:0], content[:0])
        block = (names[rows, 1] % np.uint64(_BLOCKS)).astype(np.int64)
        for b in np.unique(block):
            mine = rows[block == b]
            yield int(b), _met(names[mine], ordinal, mine, content[mine])


def _met(
    names: NDArray[np.uint64], shard: int, rows: NDArray[np.int64], content: NDArray[np.uint64]
) -> pa.RecordBatch:
    where = np.full(len(rows), shard, np.int32)
    arrays = [names[:, 0], names[:, 1], where, rows.astype(np.int32), content]
    return pa.RecordBatch.from_arrays([pa.array(a) for a in arrays], schema=_MET)


class Compare(beam.DoFn):
    """The rows of one block that do have a twin, each with its first copy and count, by shard."""

    def __init__(self, seen: view.View, names: tuple[str, ...], *, drop: bool) -> None:
        self._view, self._names, self._drop = seen, names, drop

    def process(
        self, keyed: tuple[int, Iterable[pa.RecordBatch]]
    ) -> Iterable[tuple[int, pa.RecordBatch]]:
        with engine.carried():
            key, batches = keyed
            if key < 0:
                yield -1 - key, _marks(np.zeros((0, 4), np.int64))
                return
            # Sorted by uid, then input order: arrival order means nothing.
            table = pa.Table.from_batches(list(batches))
            table = table.sort_by([(name, "ascending") for name in _MET.names])
            hi, lo, shard, row, content = (table.column(c).to_numpy() for c in _MET.names)
            first = np.r_[True, (hi[1:] != hi[:-1]) | (lo[1:] != lo[:-1])]
            group = np.cumsum(first) - 1
            head = np.flatnonzero(first)[group]
            if self._drop:
                self._refuse(np.flatnonzero(content != content[head]), head, shard, row)
            count = np.bincount(group)[group]
            marks = np.stack([row, shard[head], row[head], count], axis=1)[count > 1]
            owner = shard[count > 1]
            for s in np.unique(owner):
                yield int(s), _marks(marks[owner == s].astype(np.int64))

    def _refuse(
        self,
        other: NDArray[np.int64],
        head: NDArray[np.int64],
        shard: NDArray[np.int32],
        row: NDArray[np.int32],
    ) -> None:
        """Raise for rows that share an id and not their content: dropping one would lose it."""
        if not len(other):
            return
        at, first = (self._where(shard[i], row[i]) for i in (other[0], head[other[0]]))
        raise errors.SchemaError(
            "one id names two different rows",
            where=at,
            why=f"{first} has the same id and another content; {len(other)} rows here do so",
            remedy="mend the ids, leave out the source's `id`, or set ingest.duplicates: keep",
        )

    def _where(self, shard: int, row: int) -> str:
        name = self._names[shard]
        origin = json.loads(sidecars.footer(self._view.root, index.FOLDER, name)[ingest.ORIGIN])
        rows = self._view.table(name, index.FOLDER, [index.ROW])[index.ROW]
        return f"{origin['path']}:{rows[int(row)].as_py()}"


_MARKS = pa.schema([(name, pa.int64()) for name in ("row", "of_shard", "of_row", "count")])


def _marks(x: NDArray[np.int64]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(c) for c in x.T], schema=_MARKS)


class Write(beam.DoFn):
    """One shard's marks to its sidecar."""

    def __init__(self, seen: view.View, folder: str, inputs: str, names: tuple[str, ...]) -> None:
        self.view, self.names, self._folder, self._inputs = seen, names, folder, inputs

    def process(self, keyed: tuple[int, Iterable[pa.RecordBatch]]) -> Iterable[str]:
        with engine.carried():
            ordinal, batches = keyed
            shard = self.names[ordinal]
            marks = pa.Table.from_batches(list(batches))
            row, of_shard, of_row, count = (c.to_numpy() for c in marks.columns)
            counts = np.ones(self.view.rows(shard), np.int64)
            counts[row] = count
            copy = (of_shard != ordinal) | (of_row != row)
            kept, alike = (of_shard[copy], of_row[copy]), np.ones(int(copy.sum()), np.float32)
            table = duplicates.table(counts, row[copy], kept, alike, self.names)
            facts = {duplicates.COPIES: str(len(alike))}
            self.view.commit(self._folder, shard, table, self._inputs, facts)
            yield shard


coders.register()
