"""Texts of a run that are near by their n-grams: rows whose signatures share a band meet.

First the n-grams of every row and the keys of its bands are written, shard by shard. Then, in
rounds of bands, rows meet in buckets of one key, and of the pairs that met, each measured once a
round on the n-grams themselves, a spanning forest is kept: `near/texts-<digest>.parquet`. Only rows
whose key somebody may share travel, and of them no text.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, sketch, storage
from tamis.pipelines import coders, engine, meet, near, session, tier, view
from tamis.schemas import columns, duplicates, shards
from tamis.schemas import near as schema
from tamis.selectors import text_duplicates

VERSION = 1
ROUND_KEYS = sketch.MAX_SLOTS // 8  # that may meet at a time: the filter has 8 slots for each
_BLOCKS = 64  # keys of a shuffle
_KEY = "key"


@dataclasses.dataclass(frozen=True)
class Job:
    """What every pass reads.

    Attributes:
      view: With the marks of exact copies.
      names: Shards by ordinal.
      scratch: Folder for files that nobody needs afterwards.
      rated: The score by which of two copies one is kept.
      threshold: The lowest Jaccard similarity of a pair.
      seed: Of the run.
    """

    view: view.View
    names: tuple[str, ...]
    scratch: str
    rated: tier.Rated
    threshold: float
    seed: int

    @property
    def filter(self) -> str:
        """Where the slots of a round's keys are."""
        return storage.join(self.scratch, "filter.npy")

    def keys(self, shard: str) -> str:
        """Where the keys of a shard's bands are, shape (rows, bands)."""
        return storage.join(self.scratch, f"{shard}-keys.npy")

    def grams(self, shard: str) -> tuple[str, str]:
        """Where the fields of its n-grams are."""
        hashes, bounds = (f"{shard}-{part}.npy" for part in text_duplicates.Shingles._fields)
        return storage.join(self.scratch, hashes), storage.join(self.scratch, bounds)

    def alone(self, shard: str) -> NDArray[np.bool_]:
        """Which rows of a shard are no exact copies."""
        copy = self.view.table(shard, duplicates.EXACT, [duplicates.DUP_OF])[duplicates.DUP_OF]
        return copy.is_null().to_numpy()


def digest(run: session.Session) -> str:
    """What the edges are made from."""
    part = [run.config.dedup.minhash, run.config.tier.by, run.seed]
    return run.digest("minhash", VERSION, part, ["ingest", *tier.scored(run)])


def place(inputs: str) -> str:
    """Where in the run folder the edges of a digest are."""
    return f"{schema.FOLDER}/texts-{inputs[:16]}.parquet"


def edges(run: session.Session, seen: view.View) -> pa.Table:
    """A forest of pairs of texts that are near, found once for each digest.

    Memory of the launcher O(edges), about 100 bytes each, and a filter of at most 128 MiB; of a
    worker the n-grams of a shard, 8 bytes a word.

    Args:
      run: The session.
      seen: A view with the marks of exact copies.
    """
    return near.once(run, place(digest(run)), lambda: _find(run, seen))


def facts(run: session.Session) -> tuple[str, int]:
    """For the ledger: the file of edges, and how many rows they alone would merge."""
    file = place(digest(run))
    return file, near.table(run, file).num_rows


def _find(run: session.Session, seen: view.View) -> pa.Table:
    cut, scratch = run.cut("supply"), run.scratch("minhash")
    job = Job(
        view=seen,
        names=tuple(s.name for s in cut),
        scratch=scratch,
        rated=tier.rated(run, cut),
        threshold=float(run.config.dedup.minhash or 1.0),
        seed=run.seed,
    )
    storage.remove_tree(scratch)
    run.execute(lambda p: session.spans(p, cut) | "sign" >> beam.ParDo(Sign(job)))
    bands, _ = text_duplicates.banding(job.threshold)
    rows = max(sum(s.rows for s in cut), 1)
    rounds = -(-bands // max(ROUND_KEYS // rows, 1))
    for turn, part in enumerate(np.array_split(np.arange(bands), rounds)):
        _round(run, job, turn, tuple(part.tolist()))
    found = meet.kept(scratch)
    storage.remove_tree(scratch)
    return found


def _round(run: session.Session, job: Job, turn: int, bands: tuple[int, ...]) -> None:
    cut, step = run.cut("supply"), Meet(job, turn, bands)
    filtered = sketch.Twice(sketch.slots_for(len(bands) * sum(s.rows for s in cut)))
    state = filtered.zero()
    for name in job.names:
        keys = artifacts.read(job.keys(name))[:, bands][job.alone(name)]
        state = filtered.seen(state, keys.reshape(-1, 1))
    artifacts.write(job.filter, filtered.result(state))
    run.execute(lambda p: session.spans(p, cut) | f"texts-{turn}" >> step)


class Sign(beam.DoFn):
    """Span to the n-grams of its rows and the keys of their bands."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            found = self._job.view.batches(span, (columns.TEXT,))
            left = {s.name for s in span.shards}
            for name, batches in itertools.groupby(found, lambda pair: pair[0].name):
                self._write(name, (batch.column(columns.TEXT) for _, batch in batches))
                left.discard(name)
                yield name
            for name in left:  # no row of it is good
                self._write(name, iter([pa.array([], pa.large_string())]))
                yield name

    def _write(self, name: str, texts: Iterator[pa.Array]) -> None:
        banding, sets, keys = text_duplicates.banding(self._job.threshold), [], []
        for part in texts:
            sets.append(text_duplicates.shingles(part))
            keys.append(text_duplicates.band_keys(sets[-1], banding, self._job.seed))
        artifacts.write(self._job.keys(name), np.concatenate(keys))
        whole = text_duplicates.joined(sets)
        for url, field in zip(self._job.grams(name), whole, strict=True):
            artifacts.write(url, field)


class Meet(beam.PTransform):
    """Spans to files of edges: one round."""

    def __init__(self, job: Job, turn: int, bands: tuple[int, ...]) -> None:
        super().__init__()
        self._job, self._turn, self._bands = job, turn, bands

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return (
            pcoll
            | "send" >> beam.ParDo(Send(self._job, self._bands))
            | "meet" >> beam.GroupByKey()
            | "compare" >> beam.ParDo(Compare(self._job))
            | "gather" >> beam.GroupByKey()
            | "keep" >> beam.ParDo(meet.Keep(self._job.scratch, self._turn))
        )


class Send(beam.DoFn):
    """Span to its rows with a key that may be another's too, once for each such key."""

    def __init__(self, job: Job, bands: tuple[int, ...]) -> None:
        self._job, self._bands = job, bands

    def setup(self) -> None:
        with engine.carried():
            self._seen = artifacts.read(self._job.filter)

    def process(self, span: shards.Span) -> Iterable[tuple[int, pa.RecordBatch]]:
        with engine.carried():
            for shard in span.shards:
                keys = artifacts.read(self._job.keys(shard.name))[:, self._bands]
                shared = sketch.suspect(self._seen, keys.reshape(-1, 1)).reshape(keys.shape)
                shared &= self._job.alone(shard.name)[:, None]
                if shared.any():
                    yield from self._sent(shard, np.nonzero(shared)[0], keys[shared])

    def _sent(
        self, shard: shards.Shard, row: NDArray[np.int64], key: NDArray[np.uint64]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        rows = meet.nodes(self._job.view, self._job.names, shard, self._job.rated)
        block = (key % np.uint64(_BLOCKS)).astype(np.int64)
        for b in np.unique(block):
            here = block == b
            yield int(b), rows.take(pa.array(row[here])).append_column(_KEY, pa.array(key[here]))


class Compare(beam.DoFn):
    """The rows of a block to a forest of its near pairs, keyed by the file it goes to."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def process(
        self, keyed: tuple[int, Iterable[pa.RecordBatch]]
    ) -> Iterable[tuple[int, pa.RecordBatch]]:
        with engine.carried():
            block, batches = keyed
            # Sorted by uid: arrival order means nothing, and neighbours in a bucket go by it.
            order = [(name, "ascending") for name in (*schema.NODE[1:3], _KEY)]
            table = pa.Table.from_batches(list(batches)).sort_by(order)
            where, key = table[schema.NODE[0]].to_numpy(), table[_KEY].to_numpy()
            new = np.flatnonzero(np.diff(where, prepend=-1))  # a row may have come with several
            row = np.cumsum(np.diff(where, prepend=-1) != 0) - 1
            stored = Stored(self._job, where[new])
            tree = text_duplicates.tree(key, row, stored, len(new), self._job.threshold)
            if len(tree.a):
                nodes = table.select(schema.NODE).take(pa.array(new))
                yield block % meet.BUCKETS, meet.edges(nodes, tree)


class Stored:
    """The n-grams of some rows of the run, read where they lie.

    Args:
      job: The run's.
      where: Of each row.
    """

    def __init__(self, job: Job, where: NDArray[np.int64]) -> None:
        self._job, (self._shard, self._row) = job, schema.parts(where)
        self._open = functools.cache(self._opened)

    def _opened(self, ordinal: int) -> text_duplicates.Shingles:
        hashes, bounds = map(artifacts.read, self._job.grams(self._job.names[ordinal]))
        return text_duplicates.Shingles(hashes, bounds)

    def at(self, rows: NDArray[np.int64]) -> text_duplicates.Shingles:
        """The sets of some rows, in that order."""
        order = np.argsort(self._shard[rows], kind="stable")
        shard, row = self._shard[rows][order], self._row[rows][order]
        parts = [self._open(int(s)).at(row[shard == s]) for s in np.unique(shard)]
        return text_duplicates.joined(parts).at(np.argsort(order))


coders.register()
