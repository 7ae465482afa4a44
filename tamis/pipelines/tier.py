"""Tier: exact quantile bands of a score, over the pool or inside each source."""

import dataclasses
import functools
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import keys, radix, tiers
from tamis.pipelines import engine, folding, score, session, view
from tamis.schemas import columns, config, shards
from tamis.schemas import tiers as schema

VERSION = 2


def tier(run: session.Session) -> None:
    """Write the tier sidecar of every supply shard."""
    section = run.config.tier
    part = [section, sorted(run.config.sources)]
    inputs = run.digest("tier", VERSION, part, ["ingest", *scored(run)])
    cut = run.cut("supply")

    @functools.cache  # also asked for when every sidecar was there but the ledger's line was not
    def cuts() -> tuple[Rated, radix.Thresholds]:
        by = rated(run, cut)
        return by, _thresholds(run, by, cut)

    run.per_shard(
        "tier",
        inputs,
        (schema.FOLDER,),
        lambda spans: spans | "tier" >> beam.ParDo(Write(run.view(), inputs, *cuts())),
        cut,
        lambda _: {"edges": _edges(*cuts())},
    )


@dataclasses.dataclass(frozen=True)
class Rated:
    """How a batch gets the score that tiers are cut on, and its group.

    Attributes:
      weights: Scorer and weight.
      tables: Of each scorer, when several are combined by rank; else empty.
      groups: Source names by group number; empty when the pool is one group.
    """

    weights: tuple[tuple[str, float], ...]
    tables: tuple[tiers.RankTable, ...]
    groups: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        return (*(f"score:{name}" for name, _ in self.weights), columns.SOURCE)

    def scores(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Shape (n,), higher = better."""
        raw = [batch.column(f"score:{name}").to_numpy() for name, _ in self.weights]
        if not self.tables:
            return raw[0]
        ranked = [tiers.rank_fraction(x, t) for x, t in zip(raw, self.tables, strict=True)]
        return tiers.combine(ranked, [w for _, w in self.weights])

    def group(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """Shape (n,), the group of each row."""
        if not self.groups or not batch.num_rows:
            return np.zeros(batch.num_rows, np.int64)
        # A shard is of one source, so a batch is too.
        source = batch.column(columns.SOURCE)[0].as_py()
        return np.full(batch.num_rows, self.groups.index(source))


@dataclasses.dataclass(frozen=True)
class Pass:
    """`radix.Pass` over the rated score of a view's batches."""

    state: radix.State
    rated: Rated

    def zero(self) -> radix.Histogram:
        return radix.Pass(self.state, ()).zero()

    def add(self, state: radix.Histogram, batch: pa.RecordBatch) -> radix.Histogram:
        digits = keys.digits(self.rated.scores(batch))
        return radix.add(state, radix.histogram(self.state, self.rated.group(batch), digits))

    def merge(self, a: radix.Histogram, b: radix.Histogram) -> radix.Histogram:
        return radix.add(a, b)

    def result(self, state: radix.Histogram) -> radix.Histogram:
        return state


def scored(run: session.Session) -> list[str]:
    """The stages that write what rows are rated by."""
    return [score.stage(name) for name in config.scorers(run.config.tier.by)]


def rated(run: session.Session, cut: list[shards.Shard]) -> Rated:
    """The score that tiers are cut on; of several scorers, their weighted rank fractions."""
    weights = config.scorers(run.config.tier.by)
    tables: list[tiers.RankTable] = []
    if len(weights) > 1:
        rows = sum(_accepted(run).values())
        for name in weights:
            alone = Rated(((name, 1.0),), (), ())
            found = _find(run, f"rank-{name}", alone, [tiers.wanted_ranks(rows)], cut)
            tables.append(tiers.rank_table(found, rows))
    within_source = run.config.tier.within == "source"
    groups = tuple(run.config.sources) if within_source else ()
    return Rated(tuple(weights.items()), tuple(tables), groups)


def _accepted(run: session.Session) -> dict[str, int]:
    """Accepted rows of each source of the supply."""
    counted = run.entry("ingest")["sources"]
    return {name: counted.get(name, {}).get("accepted", 0) for name in run.config.sources}


def _find(
    run: session.Session,
    name: str,
    by: Rated,
    ranks: list[list[int]],
    cut: list[shards.Shard],
) -> radix.Thresholds:
    """Thresholds of the first `ranks` of each group."""
    state, passes = radix.start(ranks, tiers.DIGITS), 0
    while not state.done:
        passes += 1
        counted = folding.fold(run, f"{name}-{passes}", Pass(state, by), by.reads, cut)
        state = radix.refine(state, radix.Histogram(*counted))
    return radix.thresholds(state)


def _thresholds(run: session.Session, by: Rated, cut: list[shards.Shard]) -> radix.Thresholds:
    wanted = run.config.tier.tiers
    fractions = tiers.equal(wanted) if isinstance(wanted, int) else wanted
    counts = list(_accepted(run).values())
    sizes = counts if by.groups else [sum(counts)]
    return _find(run, "edges", by, [tiers.ranks(n, fractions) for n in sizes], cut)


def _edges(rated: Rated, found: radix.Thresholds) -> dict[str, list[float]]:
    """The lowest score of every tier but the last, by group; for people, so inf becomes None."""
    names = rated.groups or ("pool",)
    edges: dict[str, list[float]] = {name: [] for name in names}
    for group, edge in zip(found.group, tiers.lowest_scores(found), strict=True):
        if np.isfinite(edge):
            edges[names[group]].append(float(edge))
    return edges


class Write(beam.DoFn):
    """Span to tier sidecars."""

    def __init__(self, seen: view.View, inputs: str, rated: Rated, found: radix.Thresholds) -> None:
        self._view, self._inputs, self._rated, self._found = seen, inputs, rated, found

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            for shard in span.shards:
                parts = [
                    tiers.tier(self._rated.scores(b), self._found, self._rated.group(b))
                    for _, b in self._view.batches(shards.Span((shard,)), self._rated.reads)
                ]
                x = np.concatenate([np.zeros(0, np.int8), *parts])
                table = pa.Table.from_arrays([pa.array(x)], schema=schema.SCHEMA)
                self._view.commit(schema.FOLDER, shard.name, table, self._inputs)
                yield shard.name
