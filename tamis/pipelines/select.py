"""Select: the plan's quotas to rows, and the manifests that training reads.

Four manifests per budget, of one format: the choice; a random pick with as many distinct rows and
samples; everything there is; and the rule that is published most often, the best tenth of the rows
by the score that tiers are cut by. All at the same budget.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, progress, sidecars, storage
from tamis.loaders import writing
from tamis.pipelines import engine, pick, plan, pool, rank, session, strata, view
from tamis.schemas import columns, config, index, lineage, manifest, shards, tiers
from tamis.schemas import plan as plan_schema
from tamis.selectors import repeats

VERSION = 2
NAME = "select"
EVERYTHING = "everything"
Times = Callable[[pa.RecordBatch], NDArray[np.int32]]
TOP = "top"
KINDS = (manifest.FOLDER, manifest.RANDOM, EVERYTHING, TOP)
TENTH = 0.1
SHA256 = "sha256"  # of inputs by path, in the ledger's entry of ingest


def select(run: session.Session) -> None:
    """Write `manifest/`, `random/`, `everything/` and `top/`, a folder per budget in each.

    Raises:
      PlanError: the plan's strata are not those of the run.
    """
    scorer = _score(run)
    part = [run.config.select, run.seed, run.config.ingest.duplicates, *pick.target(run)]
    reads = [plan.NAME, "tier", "dedup", "ingest", *pick.stages(run)]
    inputs = run.digest(NAME, VERSION, part, reads)
    # A manifest carries the digests of its own parts.
    work = functools.partial(_select, run, scorer, inputs)
    run.whole(NAME, inputs, KINDS, work, digested=False)


def leading(run: session.Session) -> str:
    """The scorer that tiers are cut by; of several the one with most weight, else the first."""
    weights = config.scorers(run.config.tier.by)
    return max(weights, key=lambda name: weights[name])


def folder(run_root: str, kind: str, samples: int) -> str:
    """The folder of one manifest."""
    return storage.join(run_root, kind, f"samples-{samples}")


def _score(run: session.Session) -> str:
    """The column to take the best rows by; empty for a uniform sample."""
    if run.config.select.order == "uniform":
        return ""
    by = run.config.tier.by
    if isinstance(by, str):
        return f"score:{by}"
    raise errors.ConfigError(
        "select.order: best needs one score",
        why=f"tier.by combines {', '.join(by)}",
        remedy="name one scorer in tier.by, or use order: uniform",
    )


@dataclasses.dataclass(frozen=True)
class Quotas:
    """One kind of manifest at every budget.

    Attributes:
      kind: Folder.
      among: Thresholds of the distinct rows.
      more: Thresholds of those of them that get one repeat more.
      base: Shape (groups, budgets) int64: repeats of every distinct row of the group.
      picked: Rows that a selector gave one repeat more, budget by budget.
    """

    kind: str
    among: rank.Cut
    more: rank.Cut
    base: NDArray[np.int64]
    picked: pool.Listed | None = dataclasses.field(default=None, kw_only=True)

    def times(self, root: str, shard: str) -> Times:
        """For a shard: its batches to the repeats of their rows, shape (n, budgets)."""
        if self.picked is None:
            return self.repeats
        listed = self.picked.times(root, shard)
        return lambda batch: self.repeats(batch) + listed(batch).astype(np.int32)

    def repeats(self, batch: pa.RecordBatch) -> NDArray[np.int32]:
        """Shape (n, budgets)."""
        group = np.maximum(self.among.order.group(batch), 0)
        times = self.base[group] + self.more.taken(batch)
        return np.where(self.among.taken(batch), times, 0).astype(np.int32)


def _select(run: session.Session, scorer: str, inputs: str, outcome: progress.Outcome) -> dict:
    made, cells, cut = plan.read(run), strata.find(run), run.cut("supply")
    wanted, rows = _wanted(made, cells)  # (strata, budgets)
    samples, distinct = wanted.sum(0, keepdims=True), rows.sum(0, keepdims=True)
    budgets = np.array([b.samples for b in made.budgets])
    order = rank.Order(cells, run.seed, (NAME,), scorer)
    shuffled = rank.Order(cells, run.seed, ("random",), pooled=True)
    whole = np.minimum(samples, sum(cells.supply))
    best = rank.Order(cells, run.seed, (TOP,), f"score:{leading(run)}", pooled=True)
    tenth = np.minimum(samples, max(1, math.ceil(TENTH * sum(cells.supply))))
    first, picked = _chosen(run, order, wanted, rows, cut)
    kinds = _quotas(
        run,
        [
            Wanted(manifest.FOLDER, order, *first),
            Wanted(manifest.RANDOM, shuffled, samples, distinct),
            Wanted(EVERYTHING, shuffled, samples, whole),
            Wanted(TOP, best, samples, tenth),
        ],
        cut,
    )
    chosen = dataclasses.replace(kinds[0], picked=picked)
    kinds = (chosen, *kinds[1:])
    write = Write(run.view(), inputs, kinds, tuple(budgets.tolist()))
    run.execute(lambda p: session.spans(p, cut) | NAME >> beam.ParDo(write))
    pick.clear(run)
    files = _inputs(run, cut)
    facts = {
        kind: [_document(run, kind, b, inputs, (cut, files)) for b in made.budgets]
        for kind in KINDS
    }
    outcome.note = f"{len(budgets)} budgets"
    return {"counts": facts[manifest.FOLDER], "target": bool(pick.target(run))}


def _wanted(
    made: plan_schema.Plan, cells: strata.Strata
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Quota and unique rows of every stratum at every budget, shapes (strata, budgets)."""
    if tuple(s.name for s in made.strata) != cells.names:
        raise errors.PlanError(
            "the plan is for other strata than the run has",
            why=f"plan: {[s.name for s in made.strata]}; run: {list(cells.names)}",
            remedy="run the plan stage again",
        )
    given = [{a.stratum: (a.quota, a.rows) for a in b.allocation} for b in made.budgets]
    both = np.array([[g.get(name, (0, 0)) for g in given] for name in cells.names], np.int64)
    return both[..., 0], both[..., 1]


def _chosen(
    run: session.Session,
    order: rank.Order,
    wanted: NDArray[np.int64],
    rows: NDArray[np.int64],
    cut: list[shards.Shard],
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], pool.Listed | None]:
    """Samples and rows to take by `order`, and what a selector picks beside them.

    A selector picks where a stratum is not wanted whole. What is beyond whole epochs of a stratum
    goes by `order`, for every row of it is there already.

    Raises:
      PlanError: a selector should pick rows that are bought to be repeated.
    """
    if not run.config.select.selector:
        return (wanted, rows), None
    supply = np.array(order.groups.supply)[:, None]
    if (rows < np.minimum(wanted, supply)).any():
        raise errors.PlanError(
            "the plan repeats a part of a stratum that it buys",
            why=f"select.selector {run.config.select.selector} picks rows to be seen once",
            remedy="leave select.selector out, or plan in another unit than money",
        )
    some = np.where(wanted < supply, wanted, 0)
    return (wanted - some, np.where(some > 0, 0, rows)), pick.pick(run, order.groups, some, cut)


class Wanted(NamedTuple):
    """A kind of manifest: samples and distinct rows of every group, shapes (groups, budgets)."""

    kind: str
    order: rank.Order
    samples: NDArray[np.int64]
    rows: NDArray[np.int64]


def _quotas(
    run: session.Session, kinds: list[Wanted], cut: list[shards.Shard]
) -> tuple[Quotas, ...]:
    """Quotas over the first rows of each group, repeated as evenly as can be."""
    splits = [
        [repeats.split(*of_budget) for of_budget in zip(k.samples.T, k.rows.T, strict=True)]
        for k in kinds
    ]
    # In one order: the rows with one repeat more are the first of the distinct rows.
    extra = [np.column_stack([s.extra for s in split]) for split in splits]
    counts = [np.concatenate([k.rows, e], axis=1) for k, e in zip(kinds, extra, strict=True)]
    wanted = [(k.order, c) for k, c in zip(kinds, counts, strict=True)]
    found = rank.cuts(run, NAME, wanted, cut)
    n = kinds[0].rows.shape[1]
    return tuple(
        Quotas(
            k.kind, c.part(slice(n)), c.part(slice(n, None)), np.column_stack([s.base for s in x])
        )
        for k, c, x in zip(kinds, found, splits, strict=True)
    )


class Write(beam.DoFn):
    """Span to the rows of its shards in every manifest."""

    def __init__(
        self, seen: view.View, inputs: str, kinds: tuple[Quotas, ...], budgets: tuple[int, ...]
    ) -> None:
        self._view, self._inputs, self._kinds, self._budgets = seen, inputs, kinds, budgets

    def process(self, span: shards.Span) -> Iterable[str]:
        kept = {index.ROW, index.CONTENT}
        reads = kept.union(*(kind.among.order.reads for kind in self._kinds))
        with engine.carried():
            for shard in span.shards:
                times = {q.kind: q.times(self._view.root, shard.name) for q in self._kinds}
                parts: dict[tuple[str, int], list[pa.RecordBatch]] = {}
                for _, batch in self._view.batches(shards.Span((shard,)), tuple(sorted(reads))):
                    for key, part in self._chosen(shard, batch, times):
                        parts.setdefault(key, []).append(part)
                for (kind, samples), found in parts.items():
                    where = folder(self._view.root, kind, samples)
                    table = pa.Table.from_batches(found, manifest.SCHEMA)
                    stamp = sidecars.Stamp("", self._inputs)
                    sidecars.commit(where, "", shard.name, table, stamp)
                yield shard.name

    def _chosen(
        self, shard: shards.Shard, batch: pa.RecordBatch, times: dict[str, Times]
    ) -> Iterator[tuple[tuple[str, int], pa.RecordBatch]]:
        cells = self._kinds[0].among.order.groups
        names = pa.array(cells.names, pa.string())
        stratum = cells.of(batch)
        for kind, of in times.items():
            repeated = of(batch)
            for j, samples in enumerate(self._budgets):
                rows = np.flatnonzero(repeated[:, j])
                if not len(rows):
                    continue
                arrays = [
                    batch.column(columns.UID).take(pa.array(rows)),
                    pa.repeat(pa.scalar(shard.source, pa.string()), len(rows)),
                    pa.repeat(pa.scalar(shard.file.path, pa.string()), len(rows)),
                    batch.column(index.ROW).take(pa.array(rows)),
                    names.take(pa.array(stratum[rows])),
                    batch.column(tiers.TIER).take(pa.array(rows)),
                    pa.array(repeated[rows, j]),
                    batch.column(index.CONTENT).take(pa.array(rows)),
                ]
                yield (
                    (kind, samples),
                    pa.RecordBatch.from_arrays(arrays, schema=manifest.SCHEMA),
                )


def _inputs(run: session.Session, cut: list[shards.Shard]) -> dict[str, dict]:
    """What a manifest says of the inputs; a file is hashed once, and again if it is written to.

    The ledger keeps the hashes with its entry of ingest, which says when each file was written.
    Those of the run that this one takes over hold for its files too.
    """
    entries = [run.earlier.entry("ingest")] if run.earlier else []
    known: dict[str, str] = {}
    for entry in (*entries, run.entry("ingest")):
        then, hashed = entry.get("modified", {}), entry.get(SHA256, {})
        now = {path: storage.modified(path) for path in hashed}
        known |= {p: h for p, h in hashed.items() if then.get(p) == now[p] != ""}
    found = writing.inputs(cut, known)
    run.entry("ingest")[SHA256] = {path: file["sha256"] for path, file in found.items()}
    run.save()
    return found


def _document(
    run: session.Session,
    kind: str,
    budget: plan_schema.Budget,
    inputs: str,
    supply: tuple[list[shards.Shard], dict[str, dict]],
) -> dict:
    """Write a manifest's documents, and check that its parts add up to the budget."""
    chosen = kind == manifest.FOLDER
    facts = {
        "kind": kind,
        "samples": budget.samples,
        "seed": run.seed,
        "config": run.config.model_dump(mode="json", exclude={"run", "runner"}),
        "inputs": inputs,
        "allocation": [a.model_dump() for a in budget.allocation] if chosen else [],
        "predicted_error": budget.predicted_error if chosen else None,
        "interval": list(budget.interval) if chosen else None,
        "law": budget.law,
        lineage.KEY: run.entry("ingest").get(lineage.KEY),
    }
    return writing.write(folder(run.root, kind, budget.samples), *supply, facts)
