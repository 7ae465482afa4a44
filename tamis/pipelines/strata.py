"""Strata: the cells (source, tier) that a quota is given to, and which row is in which."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.pipelines import folding, session
from tamis.schemas import columns, duplicates, index, plan, tiers

READS = (columns.SOURCE, tiers.TIER, duplicates.DUP_OF)
COUNTED = (*READS, index.N_UNITS)


@dataclasses.dataclass(frozen=True)
class Strata:
    """The strata of a run, and how to find a row's.

    Attributes:
      cells: In the order of the sources and tiers; only those with rows.
      by: What tells strata apart.
      drop: Whether copies of a row are in none.
    """

    cells: tuple[plan.Stratum, ...]
    by: tuple[str, ...]
    drop: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.cells)

    @property
    def supply(self) -> tuple[int, ...]:
        return tuple(c.supply for c in self.cells)

    def of(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        """The stratum of each row, shape (n,); -1 for a copy of another row."""
        if not batch.num_rows:
            return np.zeros(0, np.int64)
        source = batch.column(columns.SOURCE)[0].as_py()  # a batch is of one source
        tier = batch.column(tiers.TIER).to_numpy()
        known = np.full(128, -1, np.int64)
        for i, cell in enumerate(self.cells):
            if "source" not in self.by or cell.source == source:
                known[slice(None) if "tier" not in self.by else cell.tier] = i
        found = known[tier]
        if self.drop:
            copy = batch.column(duplicates.DUP_OF).is_valid().to_numpy(zero_copy_only=False)
            found = np.where(copy, -1, found)
        return found


def find(run: session.Session) -> Strata:
    """Count the rows of every stratum.

    Raises:
      PlanError: there is no row in any.
    """
    by, drop = tuple(run.config.plan.strata), run.config.ingest.duplicates == "drop"
    cut = run.cut("supply")
    spoken = {name for name, source in run.config.sources.items() if source.text}
    counted = folding.fold(run, "strata", Cells(drop), COUNTED, cut)
    counted = {cell: (n, w if cell[0] in spoken else 0) for cell, (n, w) in counted.items()}
    rows: dict[tuple[str, int], tuple[int, int]] = {}
    for (source, tier), (n, words) in counted.items():
        cell = (source if "source" in by else "", tier if "tier" in by else -1)
        before = rows.get(cell, (0, 0))
        rows[cell] = (before[0] + n, before[1] + words)
    if not rows:
        raise errors.PlanError("no row was accepted from any source", where=run.root)
    order = {name: i for i, name in enumerate(["", *run.config.sources])}
    tiered = len({tier for _, tier in rows}) > 1
    cells = [
        plan.Stratum(name=_name(s, t, tiered=tiered), source=s, tier=t, supply=n, words=words)
        for (s, t), (n, words) in sorted(
            rows.items(), key=lambda item: (order[item[0][0]], item[0][1])
        )
    ]
    return Strata(tuple(cells), by, drop)


def _name(source: str, tier: int, *, tiered: bool) -> str:
    """`source/tier-0`; the part that does not tell strata apart is left out."""
    parts = [source] if source else []
    if tier >= 0 and (tiered or not source):
        parts.append(f"tier-{tier}")
    return "/".join(parts) or "pool"


Counts = dict[tuple, tuple[int, int]]  # (source, tier) to rows and words


@dataclasses.dataclass(frozen=True)
class Cells:
    """Rows and words by source and tier, of the rows that may be chosen.

    Attributes:
      drop: Whether copies of a row are left out.
    """

    drop: bool

    def zero(self) -> Counts:
        return {}

    def add(self, state: Counts, batch: pa.RecordBatch) -> Counts:
        if self.drop:
            batch = batch.filter(batch.column(duplicates.DUP_OF).is_null())
        by = [columns.SOURCE, tiers.TIER]
        table = pa.Table.from_batches([batch.select([*by, index.N_UNITS])])
        sums = [([], "count_all"), (index.N_UNITS, "sum")]
        found = table.group_by(by, use_threads=False).aggregate(sums)
        source, tier = (found.column(name).to_pylist() for name in by)
        counts = (found.column(i).to_pylist() for i in ("count_all", f"{index.N_UNITS}_sum"))
        return self.merge(
            state, dict(zip(zip(source, tier, strict=True), zip(*counts, strict=True), strict=True))
        )

    def merge(self, a: Counts, b: Counts) -> Counts:
        both = {key: (a.get(key, (0, 0)), b.get(key, (0, 0))) for key in {**a, **b}}
        return {key: (x[0] + y[0], x[1] + y[1]) for key, (x, y) in both.items()}

    def result(self, state: Counts) -> Counts:
        return dict(sorted(state.items()))
