"""Pick: which rows of a stratum, by a selector of the registry, when not all are wanted.

A selector sees rows together, so rows meet: a stratum is cut into blocks of about `select.block`
rows by a hash of the uid, a block is one pool, and its share of the stratum's quota goes by its
rows, largest remainders first. A stratum of one block is the selector's own answer. Of several,
each is a random sample of the stratum, and their answers are put together without a second look:
memory is that of a block whatever the stratum, at the price that rows of two blocks may be alike.
Blocks depend on uids alone, so the manifest's bytes do not depend on workers.
"""

import dataclasses
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, folds, seeding, sidecars, storage
from tamis.pipelines import coders, engine, folding, guard, pool, score, session, strata, view
from tamis.schemas import columns, config, index, scores, shards, uids
from tamis.selectors import protocol, quotas, registry

NAME = "pick"
_SHARD, _BUDGET = "shard", "budget"


def stages(run: session.Session) -> list[str]:
    """The stages that write what the configured selector reads."""
    if not run.config.select.selector:
        return []
    reads = _reads(run.config, registry.build(*_named(run.config)))
    scored = [score.stage(r.partition(":")[2]) for r in reads if ":" in r]
    return sorted({*score.needs(reads), *scored} - {"ingest"})


def target(run: session.Session) -> list[object]:
    """What a selector that looks at the target adds to the digest."""
    wants = registry.artifacts(*_named(run.config))
    return [run.inputs("embed"), *guard.part(run)] if wants else []


def pick(
    run: session.Session,
    cells: strata.Strata,
    wanted: NDArray[np.int64],
    cut: list[shards.Shard],
) -> pool.Listed:
    """Let the configured selector choose.

    Args:
      run: The session.
      cells: The strata.
      wanted: Shape (strata, budgets), rows to pick of each, below its supply.
      cut: Shards of the pool.

    Returns:
      The rows picked, by budget; in scratch files that `clear` removes.

    Raises:
      ConfigError: the selector is unknown, or reads a column that the run does not have.
      PlanError: the selector broke its laws, or its pool is bad.
    """
    selector = registry.build(*_named(run.config), _paths(run))
    reads = _reads(run.config, selector)
    blocks = _blocks(cells, wanted, run.config.select.block, run.seed)
    sizes = folding.fold(run, "blocks", Sizes(blocks), blocks.reads, cut)
    shares = _shares(blocks, wanted, sizes)
    where = pool.scratch(run, NAME)
    storage.remove_tree(where)
    folders = tuple(storage.join(where, f"budget-{j}") for j in range(wanted.shape[1]))
    send = Send(run.view(), blocks, reads, tuple(s.name for s in cut))
    chosen = Choose(selector, run.config.select.selector, blocks.labels, shares, run.seed)
    run.execute(
        lambda p: (
            session.spans(p, cut)
            | "send" >> beam.ParDo(send)
            | "meet" >> beam.GroupByKey()
            | NAME >> beam.ParDo(chosen)
            | "home" >> beam.GroupByKey()
            | "keep" >> beam.ParDo(Keep(folders, tuple(s.name for s in cut)))
        )
    )
    return pool.Listed(folders)


def clear(run: session.Session) -> None:
    """Remove the scratch files."""
    storage.remove_tree(pool.scratch(run, NAME))


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Which rows meet.

    Attributes:
      cells: The strata.
      counts: Blocks of each stratum; 0 where nothing is to be picked.
      seed: The run's seed.
    """

    cells: strata.Strata
    counts: tuple[int, ...]
    seed: int

    @property
    def reads(self) -> tuple[str, ...]:
        return (columns.UID, *strata.READS)

    @property
    def labels(self) -> tuple[tuple[str, int], ...]:
        """Stratum and number within it, of each block."""
        pairs = zip(self.cells.names, self.counts, strict=True)
        return tuple((name, i) for name, count in pairs for i in range(count))

    def of(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """The block of each row, shape (n,); -1 where nothing is to be picked."""
        stratum, counts = self.cells.of(batch), np.array(self.counts, np.int64)
        hashed = seeding.priority(uids.from_hex(batch.column(columns.UID)), self.seed, "blocks")
        width = np.where(stratum >= 0, counts[stratum], 0)
        within = hashed % np.maximum(width, 1).astype(np.uint64)
        first = (np.cumsum(counts) - counts)[stratum]
        return np.where(width > 0, first + within.astype(np.int64), -1)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Rows of each block, as `folds.Count` would count a column of them."""

    blocks: Blocks

    def zero(self) -> dict[tuple, int]:
        return {}

    def add(self, state: dict[tuple, int], batch: pa.RecordBatch) -> dict[tuple, int]:
        found, rows = np.unique(self.blocks.of(batch), return_counts=True)
        counted = {(int(b),): int(n) for b, n in zip(found, rows, strict=True) if b >= 0}
        return self.merge(state, counted)

    def merge(self, a: dict[tuple, int], b: dict[tuple, int]) -> dict[tuple, int]:
        return folds.Count(()).merge(a, b)

    def result(self, state: dict[tuple, int]) -> dict[tuple, int]:
        return folds.Count(()).result(state)


class Send(beam.DoFn):
    """Span to the rows of its shards, by block."""

    def __init__(
        self, seen: view.View, blocks: Blocks, reads: dict[str, str], names: tuple[str, ...]
    ) -> None:
        self._view, self._blocks, self._reads = seen, blocks, reads
        self._ordinal = {name: i for i, name in enumerate(names)}

    def process(self, span: shards.Span) -> Iterable[tuple[int, pa.RecordBatch]]:
        reads = tuple(dict.fromkeys([*self._blocks.reads, index.ROW, *self._reads]))
        with engine.carried():
            for shard, batch in self._view.batches(span, reads):
                block = self._blocks.of(batch)
                sent = self._sent(batch, self._ordinal[shard.name])
                for b in np.unique(block[block >= 0]):
                    yield int(b), sent.take(pa.array(np.flatnonzero(block == b)))

    def _sent(self, batch: pa.RecordBatch, ordinal: int) -> pa.RecordBatch:
        named = {columns.UID: columns.UID, **self._reads}
        arrays = [batch.column(stored) for stored in named]
        home = [pa.array(np.full(batch.num_rows, ordinal, np.int32)), batch.column(index.ROW)]
        return pa.RecordBatch.from_arrays([*arrays, *home], [*named.values(), _SHARD, index.ROW])


class Choose(beam.DoFn):
    """Block to the rows picked of it, by shard."""

    def __init__(
        self,
        selector: protocol.Selector,
        name: str,
        labels: tuple[tuple[str, int], ...],
        shares: tuple[tuple[int, ...], ...],
        seed: int,
    ) -> None:
        self._selector, self._name, self._labels = selector, name, labels
        self._shares, self._seed = shares, seed

    def process(
        self, keyed: tuple[int, Iterable[pa.RecordBatch]]
    ) -> Iterable[tuple[int, pa.RecordBatch]]:
        with engine.carried():
            block, batches = keyed
            # Arrival order means nothing: sorted by uid, and copies by where they stand.
            order = [(name, "ascending") for name in (columns.UID, _SHARD, index.ROW)]
            table = pa.Table.from_batches(list(batches)).sort_by(order).combine_chunks()
            (rows,) = table.to_batches()
            home, row = rows.column(_SHARD).to_numpy(), rows.column(index.ROW).to_numpy()
            for j, wanted in enumerate(self._shares[block]):
                chosen = self._chosen(block, rows, wanted) if wanted else np.zeros(0, np.int64)
                for s in np.unique(home[chosen]):
                    yield int(s), _picked(row[chosen[home[chosen] == s]], j)

    def _chosen(self, block: int, rows: pa.RecordBatch, wanted: int) -> NDArray[np.int64]:
        stratum, number = self._labels[block]
        seen = rows.select([n for n in rows.schema.names if n not in (_SHARD, index.ROW)])
        # A generator anew for every budget: where a prefix is the smaller answer, manifests nest.
        rng = seeding.generator(self._seed, NAME, stratum, number)
        try:
            found = self._selector.select(seen, wanted, rng)
        except ValueError as error:
            raise errors.PlanError(
                f"selector '{self._name}' cannot choose {wanted} of {rows.num_rows} rows",
                where=stratum,
                why=str(error),
                remedy="mend what it reads, or take the rows out",
            ) from error
        inside = (found >= 0) & (found < rows.num_rows)
        if found.shape != (wanted,) or len(np.unique(found[inside])) != wanted:
            raise errors.PlanError(
                f"selector '{self._name}' gave {len(np.unique(found[inside]))} rows of {wanted}",
                where=stratum,
                why="a selector gives as many distinct rows of its pool as it is asked for",
                remedy="hold it to tamis.testing.check_selector",
            )
        return found


def _picked(row: NDArray[np.int64], budget: int) -> pa.RecordBatch:
    arrays = [pa.array(np.sort(row)), pa.array(np.full(len(row), budget, np.int32))]
    return pa.RecordBatch.from_arrays(arrays, [index.ROW, _BUDGET])


class Keep(beam.DoFn):
    """One shard's picked rows to a file for every budget, as `pool.Listed` reads them."""

    def __init__(self, folders: tuple[str, ...], names: tuple[str, ...]) -> None:
        self._folders, self._names = folders, names

    def process(self, keyed: tuple[int, Iterable[pa.RecordBatch]]) -> Iterable[str]:
        with engine.carried():
            ordinal, batches = keyed
            table = pa.Table.from_batches(list(batches))
            row, budget = table[index.ROW].to_numpy(), table[_BUDGET].to_numpy()
            for j in np.unique(budget):
                mine = np.sort(row[budget == j])
                once = pa.array(np.ones(len(mine), np.int32))
                part = pa.table({index.ROW: pa.array(mine), "repeats": once})
                stamp = sidecars.Stamp("", "")
                sidecars.commit(self._folders[j], "", self._names[ordinal], part, stamp)
            yield self._names[ordinal]


def _blocks(cells: strata.Strata, wanted: NDArray[np.int64], rows: int, seed: int) -> Blocks:
    most = wanted.max(axis=1, initial=0)
    counts = [-(-n // rows) if q else 0 for n, q in zip(cells.supply, most, strict=True)]
    return Blocks(cells, tuple(counts), seed)


def _shares(
    blocks: Blocks, wanted: NDArray[np.int64], sizes: dict[tuple, int]
) -> tuple[tuple[int, ...], ...]:
    """Rows to pick of each block at each budget; those of a stratum sum to what is wanted of it."""
    shares, at = [], 0
    for stratum, count in enumerate(blocks.counts):
        rows = np.array([sizes.get((b,), 0) for b in range(at, at + count)], np.int64)
        given = [
            quotas.largest_remainder(rows.astype(float), int(n), limits=rows)
            if n
            else np.zeros_like(rows)
            for n in (wanted[stratum] if count else ())
        ]
        shares += [tuple(map(int, of_block)) for of_block in zip(*given, strict=True)]
        at += count
    return tuple(shares)


def _named(document: config.Run) -> tuple[str, dict]:
    return document.select.selector, document.select.options


def _reads(document: config.Run, selector: protocol.Selector) -> dict[str, str]:
    """Column of the run to the name by which the selector knows it.

    `score` is the score that tiers are made by, where that is one.
    """
    by = document.tier.by
    named = {r: r for r in selector.reads if r != scores.SCORE}
    if scores.SCORE in selector.reads:
        if not isinstance(by, str):
            raise errors.ConfigError(
                f"selector '{document.select.selector}' reads a score, and tier.by combines some",
                why=f"tier.by is {', '.join(by)}",
                remedy="name one: select.options.score: score:NAME",
            )
        named[f"score:{by}"] = scores.SCORE
    known = {*view.COLUMNS, *(f"score:{name}" for name in document.score)}
    unknown = sorted(set(named) - known)
    if unknown:
        raise errors.ConfigError(
            f"selector '{document.select.selector}' reads {', '.join(unknown)}",
            why=f"a run has {', '.join(sorted(known))}",
            remedy="name another column in select.options",
        )
    return named


def _paths(run: session.Session) -> dict[str, str]:
    """Where the files are that the selector wants, written if they are not there."""
    if not target(run):
        return {}
    made = run.digest("target", 1, target(run))
    url = storage.join(run.root, score.ARTIFACTS, f"{NAME}-{made[:16]}", "target.npy")
    if not storage.exists(url):
        artifacts.write(url, pool.vectors(run, f"select.selector: {run.config.select.selector}"))
    return {"target": url}


coders.register()
