"""Near pairs of a run: rows meet in the blocks of their cells, and what joins them is kept.

Two passes. The first says which cells each row visits; the second, in rounds, sends rows to blocks
and keeps of each block the spanning forest of its pairs. What is left is one edge for each row that
has a better one: `near/edges-<digest>.parquet`, from which every threshold can be read.

A run that continues another begins with the other's edges, and compares what is new with all: the
best forest of some edges and more is that of their best forest and more.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tamis import artifacts, sidecars, storage
from tamis.pipelines import engine, meet, session, tier, view
from tamis.schemas import clusters, duplicates, embeddings, shards
from tamis.schemas import near as schema
from tamis.selectors import blocks, cells, duplicate_groups, near_pairs

VERSION = 2
ROUND_BYTES = 256 << 20  # shuffled at a time; Beam's local runner holds four times as much
RECIPE = "near_recipe"  # in the ledger's entry of dedup
_MADE_OF = ("ingest", "embed", "cluster")
_NAMED_BYTES = 40  # of a row in the shuffle, beside its vector

_MEETING = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("cell", pa.int32(), nullable=False),
        pa.field("member", pa.bool_(), nullable=False),
        pa.field("capped", pa.bool_(), nullable=False),
    ]
)


def digest(run: session.Session) -> str:
    """What the edges are made from: not the threshold, so another one finds them again."""
    section = run.config.dedup
    part = [section.lowest, section.probes, section.block_rows, run.config.tier.by, run.seed]
    return run.digest("near", VERSION, part, ["ingest", "embed", "cluster", *tier.scored(run)])


def recipe(run: session.Session) -> str:
    """What decides whether two rows are a near pair, beside the rows."""
    part = [run.config.dedup.lowest, run.config.dedup.probes]
    return run.recipe("near", VERSION, part, _MADE_OF)


def place(inputs: str) -> str:
    """Where in the run folder the edges of a digest are."""
    return f"{schema.FOLDER}/edges-{inputs[:16]}.parquet"


def edges(run: session.Session, seen: view.View) -> pa.Table:
    """The spanning forest of all near pairs, best first, found once for each digest.

    Memory of the launcher O(edges), about 100 bytes each.

    Args:
      run: The session.
      seen: A view with the marks of exact copies.
    """
    return once(run, place(digest(run)), lambda: _find(run, seen))


def once(run: session.Session, file: str, find: Callable[[], pa.Table]) -> pa.Table:
    """The edges of a file in the run folder, found if it is not there."""
    url = storage.join(run.root, file)
    if not storage.exists(url):
        storage.write_atomic(url, sidecars.encode(find(), {}))
    return table(run, file)


def read(run: session.Session) -> pa.Table:
    """The edges of a run whose dedup stage has begun to write."""
    return table(run, place(digest(run)))


def table(run: session.Session, file: str) -> pa.Table:
    """The edges of a file that is there."""
    with storage.open_read(storage.join(run.root, file)) as stream:
        return pq.read_table(stream)


def pairs(graph: schema.Graph) -> near_pairs.Pairs:
    """Its edges as pairs of nodes."""
    return near_pairs.Pairs(graph.a, graph.b, graph.cosine)


def facts(run: session.Session) -> dict:
    """For the ledger: how many rows each threshold would merge."""
    found, section = read(run), run.config.dedup
    hundredths = np.arange(math.ceil(100 * section.lowest), 100) / 100
    thresholds = np.unique([section.lowest, *hundredths, section.threshold or 1.0])
    graph = schema.graph(found)
    n = graph.nodes.num_rows
    swept = duplicate_groups.sweep(pairs(graph), n, thresholds)
    return {
        "capped": int(found.schema.metadata[schema.CAPPED.encode()]),
        "thresholds": thresholds.tolist(),
        "merged": (n - swept.kept).tolist(),
    }


def _find(run: session.Session, seen: view.View) -> pa.Table:
    cut, section = run.cut("supply"), run.config.dedup
    scratch = run.scratch("near")
    job = meet.Job(
        view=seen,
        names=tuple(s.name for s in cut),
        centroids=run.entry("cluster")["centroids"],
        basis=storage.join(scratch, "basis.npy"),
        scratch=scratch,
        rated=tier.rated(run, cut),
        threshold=section.lowest,
        probes=section.probes,
        seed=run.seed,
    )
    storage.remove_tree(scratch)
    known = _known(run, job.names)
    if known is not None:
        shown = _again(job, known, cut)
        sidecars.commit(scratch, meet.EDGES, "before", shown, sidecars.Stamp("", ""))
        job = dataclasses.replace(job, settled=frozenset(_before(run)))
    centroids = np.array(artifacts.read(job.centroids))
    artifacts.write(job.basis, near_pairs.basis(centroids))
    run.execute(lambda p: session.spans(p, cut) | "visit" >> beam.ParDo(Visit(job)))
    members, visitors, capped = _counted(job, len(centroids))
    row = centroids.shape[1] * np.dtype(run.config.embed.dtype).itemsize + _NAMED_BYTES
    plan = blocks.blocks(members, visitors, cap=section.block_rows, shuffled=ROUND_BYTES // row)
    for turn in range(plan.rounds):
        _round(run, job, plan, turn)
    found = meet.kept(scratch)
    storage.remove_tree(scratch)
    return found.replace_schema_metadata({schema.CAPPED: str(capped)})


def _before(run: session.Session) -> list[str]:
    """The supply's shards of the run that this one continues, in order."""
    known = run.earlier.known.values() if run.earlier and run.adopt else ()
    return [s.name for s in known if s.file.role == "supply"]


def _known(run: session.Session, names: tuple[str, ...]) -> pa.Table | None:
    """The edges of the run that this one continues, if all its rows are here as they were."""
    before, old = _before(run), run.earlier
    if not before or old is None or old.entry("dedup").get(RECIPE) != recipe(run):
        return None
    adopted = [run.entry(stage).get("adopted", {}) for stage in _MADE_OF]
    if list(names[: len(before)]) != before or not all(n in a for a in adopted for n in before):
        return None
    (file, made), *_ = (f for f in old.entry("dedup")["files"].items() if "edges-" in f[0])
    url = storage.join(old.root, file)
    data = storage.read_bytes(url) if storage.exists(url) else b""
    return pq.read_table(pa.BufferReader(data)) if session.digest(data) == made else None


def _again(job: meet.Job, known: pa.Table, cut: list[shards.Shard]) -> pa.Table:
    """Edges with what their rows are by now: more copies may have come, and scores may differ."""
    ends = [known[f"{end}_{schema.NODE[0]}"].to_numpy() for end in "ab"]
    places = np.unique(np.concatenate(ends))
    ordinal, row = schema.parts(places)
    found = [
        meet.nodes(job.view, job.names, cut[i], job.rated).take(pa.array(row[ordinal == i]))
        for i in np.unique(ordinal).tolist()
    ]
    if not found:
        return known
    nodes = pa.Table.from_batches(found).combine_chunks()
    at = [np.searchsorted(places, end) for end in ends]
    pairs = near_pairs.Pairs(at[0], at[1], known[schema.COSINE].to_numpy())
    return pa.Table.from_batches([meet.edges(nodes, pairs)])


def _round(run: session.Session, job: meet.Job, plan: blocks.Blocks, turn: int) -> None:
    cut, step = run.cut("supply"), meet.Meet(job, plan, turn)
    run.execute(lambda p: session.spans(p, cut) | f"round-{turn}" >> step)


def _counted(job: meet.Job, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Members and visitors of each cell, and how many rows had to leave out cells."""
    count, capped = np.zeros((2, k), np.int64), 0
    for name in job.names:
        table = sidecars.read(job.scratch, meet.VISITS, name)
        cell, member = table["cell"].to_numpy(), table["member"].to_numpy()
        for side in (0, 1):
            count[side] += np.bincount(cell[member == bool(side)], minlength=k)
        capped += pc.sum(pc.and_(table["capped"], table["member"])).as_py() or 0
    return count[1], count[0], capped


class Visit(beam.DoFn):
    """Span to the cells its rows meet others in, their own first."""

    def __init__(self, job: meet.Job) -> None:
        self._job = job

    def setup(self) -> None:
        with engine.carried():
            centroids = np.array(artifacts.read(self._job.centroids))
            self._cells = cells.Cells(centroids, self._job.threshold)

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            for shard in span.shards:
                parts = list(self._batches(shard))
                table = pa.Table.from_batches(parts, _MEETING)
                stamp = sidecars.Stamp("", "")
                sidecars.commit(self._job.scratch, meet.VISITS, shard.name, table, stamp)
                yield shard.name

    def _batches(self, shard: shards.Shard) -> Iterator[pa.RecordBatch]:
        start = 0
        for alone, batch in _alone(self._job, shard, (embeddings.EMBEDDING, clusters.CLUSTER)):
            x = meet.unit(batch)[alone]
            own = batch.column(clusters.CLUSTER).to_numpy()[alone]
            seen = self._cells.visits(x, own=own, probes=self._job.probes)
            row = np.concatenate([alone, alone[seen.row]]) + start
            member = np.arange(len(row)) < len(alone)
            capped = np.concatenate([seen.capped, seen.capped[seen.row]])
            cell = np.concatenate([own, seen.cell])
            arrays = [row.astype(np.int32), cell.astype(np.int32), member, capped]
            yield pa.RecordBatch.from_arrays([pa.array(a) for a in arrays], schema=_MEETING)
            start += batch.num_rows


def _alone(
    job: meet.Job, shard: shards.Shard, reads: tuple[str, ...]
) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]:
    """Batches of a shard, each with the positions of its rows that are no exact copies."""
    copy = job.view.table(shard.name, duplicates.EXACT, [duplicates.DUP_OF])[duplicates.DUP_OF]
    first, start = copy.is_null().to_numpy(), 0
    for _, batch in job.view.batches(shards.Span((shard,)), reads):
        yield np.flatnonzero(first[start : start + batch.num_rows]), batch
        start += batch.num_rows
