"""Tier: exact quantile bands of a score, over the pool or inside each source."""

import dataclasses
import functools
from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, keys, radix, storage, tiers
from tamis.pipelines import engine, folding, score, session, view
from tamis.schemas import columns, config, shards
from tamis.schemas import tiers as schema

VERSION = 2
THRESHOLDS = "thresholds.npz"


def tier(run: session.Session) -> None:
    """Write the tier sidecar of every supply shard."""
    section = run.config.tier
    part = [section, sorted(run.config.sources)]
    inputs = run.digest("tier", VERSION, part, ["ingest", *scored(run)])
    cut = run.cut("supply")

    place = f"{schema.FOLDER}/{inputs[:16]}-{THRESHOLDS}"

    @functools.cache  # found once, also by a run that was killed or whose line was lost
    def cuts() -> tuple[Rated, radix.Thresholds]:
        url = storage.join(run.root, place)
        if not storage.exists(url):
            by = rated(run, cut)
            _save(url, by, _thresholds(run, by, cut))
        known = _load(url, run)
        return dataclasses.replace(_alone(run), tables=known.tables), known.found

    def facts(_: object) -> dict:
        found = {"edges": _edges(*cuts()), "fitted": {"thresholds": place}}
        return {**found, "files": session.digests(run.root, (place,))}

    def recipe() -> str:
        cuts()
        return run.recipe("tier", VERSION, None, scored(run), [place])

    run.per_shard(
        "tier",
        inputs,
        (schema.FOLDER,),
        lambda spans: spans | "tier" >> beam.ParDo(Write(run.view(), inputs, *cuts())),
        cut,
        facts,
        recipe=recipe,
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


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """What a run has found, as it is kept for another.

    Attributes:
      tables: Of each scorer that is combined.
      names: Of the groups.
      found: Thresholds of the groups, by their place among the names.
    """

    tables: tuple[tiers.RankTable, ...]
    names: tuple[str, ...]
    found: radix.Thresholds

    def of(self, name: str) -> NDArray[np.int64]:
        """The thresholds of a group; none where it had no row to tell by."""
        at = self.names.index(name) if name in self.names else -1
        mine = np.flatnonzero(self.found.group == at)
        return mine if not self.found.empty[mine].all() else mine[:0]


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
    by, known = _alone(run), _taken(run)
    if known:
        return dataclasses.replace(by, tables=known.tables)
    tables: list[tiers.RankTable] = []
    if len(by.weights) > 1:
        rows = sum(_accepted(run).values())
        for name, _ in by.weights:
            alone = Rated(((name, 1.0),), (), ())
            found = _find(run, f"rank-{name}", alone, [tiers.wanted_ranks(rows)], cut)
            tables.append(tiers.rank_table(found, rows))
    return dataclasses.replace(by, tables=tuple(tables))


def _alone(run: session.Session) -> Rated:
    """What the run file says of it."""
    within_source = run.config.tier.within == "source"
    groups = tuple(run.config.sources) if within_source else ()
    return Rated(tuple(config.scorers(run.config.tier.by).items()), (), groups)


def _taken(run: session.Session) -> Known | None:
    """What the frozen run had found."""
    place = run.taken("tier").get("thresholds")
    return _load(storage.join(run.root, place), run) if place else None


def _save(url: str, by: Rated, found: radix.Thresholds) -> None:
    named = {"names": np.array(by.groups or ("",)), **found._asdict()}
    for i, table in enumerate(by.tables):
        named |= {f"{field}-{i}": np.asarray(x) for field, x in table._asdict().items()}
    artifacts.write_all(url, **named)


def _load(url: str, run: session.Session) -> Known:
    combined = config.scorers(run.config.tier.by)
    fields = [
        [f"{field}-{i}" for field in tiers.RankTable._fields]
        for i in range(len(combined) if len(combined) > 1 else 0)
    ]
    names, *found = artifacts.read_all(url, ("names", *radix.Thresholds._fields))
    tables = [artifacts.read_all(url, table) for table in fields]
    return Known(
        tuple(tiers.RankTable(key, better, int(total)) for key, better, total in tables),
        tuple(names.tolist()),
        radix.Thresholds(*found),
    )


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
    known, names = _taken(run), by.groups or ("",)
    settled = [known.of(name) if known else np.zeros(0, np.int64) for name in names]
    ranks = [
        tiers.ranks(n, fractions) if not len(s) else [] for n, s in zip(sizes, settled, strict=True)
    ]
    found = _find(run, "edges", by, ranks, cut)
    parts = [_of_group(found, np.flatnonzero(found.group == g), g) for g in range(len(names))]
    if known:
        parts += [_of_group(known.found, at, g) for g, at in enumerate(settled)]
    ordered = sorted(parts, key=lambda part: part.group[:1].tolist())
    return radix.Thresholds(*(np.concatenate(field) for field in zip(*ordered, strict=True)))


def _of_group(found: radix.Thresholds, at: NDArray[np.int64], group: int) -> radix.Thresholds:
    """Some of the thresholds, as those of one group."""
    where = np.full(len(at), group)
    return radix.Thresholds(where, found.key[at], found.rows[at], found.empty[at])


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
