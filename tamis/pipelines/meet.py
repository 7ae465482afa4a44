"""One round of near pairs: rows meet in the blocks of their cells, and forests come out."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, nearest, seeding, sidecars, storage
from tamis.pipelines import coders, engine, tier, view
from tamis.schemas import columns, duplicates, embeddings, shards, uids
from tamis.schemas import near as schema
from tamis.selectors import blocks, duplicate_groups, near_pairs

VISITS, EDGES = "visits", "edges"  # folders of a job's scratch
BUCKETS = 64  # files of edges a round
_OPEN_PAIRS = 1 << 20  # pairs held before they are made a forest
Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Job:
    """What every pass reads.

    Attributes:
      view: With the marks of exact copies.
      names: Shards by ordinal.
      centroids: Where they are.
      basis: Where the directions of the screen are.
      scratch: Folder for files that nobody needs afterwards.
      rated: The score by which of two copies one is kept.
      threshold: The lowest cosine of a pair.
      probes: Cells a row may visit.
      seed: Of the run.
      settled: Shards whose pairs among each other are known.
    """

    view: view.View
    names: tuple[str, ...]
    centroids: str
    basis: str
    scratch: str
    rated: tier.Rated
    threshold: float
    probes: int
    seed: int
    settled: frozenset[str] = frozenset()


class Meet(beam.PTransform):
    """Spans to files of edges: one round."""

    def __init__(self, job: Job, plan: blocks.Blocks, turn: int) -> None:
        super().__init__()
        self._job, self._plan, self._turn = job, plan, turn

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return (
            pcoll
            | "send" >> beam.ParDo(Send(self._job, self._plan, self._turn))
            | "meet" >> beam.GroupByKey()
            | "compare" >> beam.ParDo(Compare(self._job, self._plan))
            | "gather" >> beam.GroupByKey()
            | "keep" >> beam.ParDo(Keep(self._job.scratch, self._turn))
        )


class Send(beam.DoFn):
    """Span to the rows of each block of a round."""

    def __init__(self, job: Job, plan: blocks.Blocks, turn: int) -> None:
        self._job, self._plan, self._turn = job, plan, turn

    def process(self, span: shards.Span) -> Iterable[tuple[tuple[int, int, int], pa.RecordBatch]]:
        with engine.carried():
            for shard in span.shards:
                met = sidecars.read(self._job.scratch, VISITS, shard.name).sort_by("cell")
                if met.num_rows:
                    rows = self._rows(shard)
                    yield from self._sent(rows, met)

    def _rows(self, shard: shards.Shard) -> pa.RecordBatch:
        job = self._job
        rows = nodes(job.view, job.names, shard, job.rated, also=(embeddings.EMBEDDING,))
        fresh = np.full(rows.num_rows, shard.name not in job.settled)
        return rows.append_column("fresh", pa.array(fresh))

    def _sent(
        self, rows: pa.RecordBatch, met: pa.Table
    ) -> Iterator[tuple[tuple[int, int, int], pa.RecordBatch]]:
        row, cell = met["row"].to_numpy(), met["cell"].to_numpy()
        member = met["member"].to_numpy()
        halves = [rows.column(name).to_numpy()[row] for name in schema.NODE[1:3]]
        place = seeding.priority(np.stack(halves, axis=1), self._job.seed, "near")
        bounds = np.flatnonzero(np.diff(cell, prepend=-1, append=-1))
        for start, stop in itertools.pairwise(bounds):
            here = slice(int(start), int(stop))
            for block, left, at in self._places(int(cell[start]), member[here], place[here]):
                side = pa.array(np.full(len(at), left))
                batch = rows.take(pa.array(row[here][at])).append_column("left", side)
                yield (block.cell, block.left, block.right), batch

    def _places(
        self, cell: int, member: NDArray[np.bool_], place: NDArray[np.uint64]
    ) -> Iterator[tuple[blocks.Block, bool, NDArray[np.int64]]]:
        """Blocks of one cell, the side, and the positions of the rows that go there."""
        for i, at in _chunks(np.flatnonzero(member), place, int(self._plan.members[cell])):
            for block, left in self._plan.of_member(cell, i, self._turn):
                yield block, left, at
        for i, at in _chunks(np.flatnonzero(~member), place, int(self._plan.visitors[cell])):
            for block in self._plan.of_visitor(cell, i, self._turn):
                yield block, False, at


def nodes(
    seen: view.View,
    names: tuple[str, ...],
    shard: shards.Shard,
    rated: tier.Rated,
    *,
    also: tuple[str, ...] = (),
) -> pa.RecordBatch:
    """`schema.NODE` of every row of a shard; of copies too, so that places are rows.

    Args:
      seen: With the marks of exact copies.
      names: Shards by ordinal.
      shard: One with rows.
      rated: The score by which of two copies one is kept.
      also: Columns that come behind.
    """
    reads = tuple(dict.fromkeys([columns.UID, *also, *rated.reads]))
    count = seen.table(shard.name, duplicates.EXACT, [duplicates.DUP_COUNT])
    parts, start = [], 0
    for _, batch in seen.batches(shards.Span((shard,)), reads):
        uid = uids.from_hex(batch.column(columns.UID))
        row = np.arange(start, start + batch.num_rows)
        where = schema.where(names.index(shard.name), row)
        arrays = [where, uid[:, 0], uid[:, 1], rated.scores(batch)]
        found = [*(pa.array(a) for a in arrays), *(batch.column(name) for name in also)]
        parts.append(pa.RecordBatch.from_arrays(found, [*schema.NODE[:4], *also]))
        start += batch.num_rows
    table = pa.Table.from_batches(parts)
    counts = count[duplicates.DUP_COUNT].combine_chunks()
    return table.append_column(schema.NODE[4], counts).combine_chunks().to_batches()[0]


def _chunks(
    rows: NDArray[np.int64], place: NDArray[np.uint64], count: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Rows by chunk."""
    chunk = blocks.chunk(place[rows], count)
    for i in np.unique(chunk):
        yield int(i), rows[chunk == i]


class Compare(beam.DoFn):
    """A block to the forest of its near pairs, keyed by the file it goes to."""

    def __init__(self, job: Job, plan: blocks.Blocks) -> None:
        self._job, self._plan = job, plan

    def setup(self) -> None:
        with engine.carried():
            self._basis = np.array(artifacts.read(self._job.basis))

    def process(
        self, keyed: tuple[tuple[int, int, int], Iterable[pa.RecordBatch]]
    ) -> Iterable[tuple[int, pa.RecordBatch]]:
        with engine.carried():
            name, batches = blocks.Block(*keyed[0]), list(keyed[1])
            # Sorted by uid: arrival order means nothing, and ties between pairs go by it.
            table = pa.Table.from_batches(batches).sort_by(
                [(n, "ascending") for n in schema.NODE[1:3]]
            )
            rows = near_pairs.block(unit(table), self._basis)
            left = table["left"].to_numpy()
            fresh = table["fresh"].to_numpy()
            sides = [(np.flatnonzero(s & fresh), np.flatnonzero(s & ~fresh)) for s in (left, ~left)]
            met = _met(sides[0], sides[1], inside=self._plan.first(name))
            tree = self._tree(rows, met)
            if len(tree.a):
                yield name.cell % BUCKETS, edges(table.select(schema.NODE), tree)

    def _tree(self, rows: near_pairs.Block, met: list[tuple[Rows, Rows]]) -> near_pairs.Pairs:
        """The forest of the pairs between some rows and others, or inside some."""
        found: list[near_pairs.Pairs] = []
        for a, b in met:
            near = (
                near_pairs.within(rows.at(a), self._job.threshold)
                if a is b
                else near_pairs.between(rows.at(a), rows.at(b), self._job.threshold)
            )
            for p in near:
                pairs = near_pairs.Pairs(a[p.a], b[p.b], p.similarity)
                found = _reduced(found, pairs, len(rows))
        return duplicate_groups.forest(near_pairs.joined(found), len(rows))


def _met(
    left: tuple[Rows, Rows], right: tuple[Rows, Rows], *, inside: bool
) -> list[tuple[Rows, Rows]]:
    """Which rows are compared with which; one and the same array with itself.

    Args:
      left: Rows of one side, those of settled shards behind; they are compared with fresh ones
        alone.
      right: Likewise.
      inside: Compare rows of the left with each other too.
    """
    fresh, settled = left
    found = [(fresh, fresh), (fresh, settled)] if inside else []
    found += [(fresh, right[0]), (fresh, right[1]), (settled, right[0])]
    return [(a, b) for a, b in found if len(a) and len(b)]


def _reduced(
    found: list[near_pairs.Pairs], more: near_pairs.Pairs, n: int
) -> list[near_pairs.Pairs]:
    """`found` and `more`, as a forest when they are many."""
    found = [*found, more] if len(more.a) else found
    if sum(len(p.a) for p in found) <= _OPEN_PAIRS:
        return found
    return [duplicate_groups.forest(near_pairs.joined(found), n)]


def edges(nodes: pa.Table, tree: near_pairs.Pairs) -> pa.RecordBatch:
    """Pairs of rows of a table as a batch of edges."""
    ends = [nodes.take(pa.array(end)).combine_chunks() for end in (tree.a, tree.b)]
    arrays = [column.combine_chunks() for end in ends for column in end.columns]
    return pa.RecordBatch.from_arrays([*arrays, pa.array(tree.similarity)], schema=schema.EDGES)


class Keep(beam.DoFn):
    """The edges of some blocks to one file."""

    def __init__(self, scratch: str, turn: int) -> None:
        self._scratch, self._turn = scratch, turn

    def process(self, keyed: tuple[int, Iterable[pa.RecordBatch]]) -> Iterable[str]:
        with engine.carried():
            bucket, batches = keyed
            table = forest(batches)
            name = f"{self._turn:06d}-{bucket:02d}"
            sidecars.commit(self._scratch, EDGES, name, table, sidecars.Stamp("", ""))
            yield name


def unit(batch: pa.RecordBatch | pa.Table) -> NDArray[np.float32]:
    """The vectors of some rows, of norm 1."""
    return nearest.unit(embeddings.matrix(batch[embeddings.EMBEDDING])).astype(np.float32)


def kept(scratch: str) -> pa.Table:
    """The forest of what all rounds have kept."""
    names = storage.listing(storage.join(scratch, EDGES), ".parquet")
    stems = (name.removesuffix(".parquet") for name in names)
    return forest(part for stem in stems for part in sidecars.batches(scratch, EDGES, stem))


def forest(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """The spanning forest of some edges, ties by uid."""
    table = pa.Table.from_batches(list(batches), schema.EDGES)
    graph = schema.graph(table)
    pairs = near_pairs.Pairs(graph.a, graph.b, graph.cosine)
    tree = duplicate_groups.forest(pairs, graph.nodes.num_rows)
    return pa.Table.from_batches([edges(graph.nodes, tree)])


coders.register()
