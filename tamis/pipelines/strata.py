"""Strata: the cells (source, tier) that a quota is given to, and which row is in which."""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors, folds
from tamis.pipelines import folding, session
from tamis.schemas import columns, duplicates, plan, tiers

READS = (columns.SOURCE, tiers.TIER, duplicates.DUP_OF)


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
    counted = folding.fold(run, "strata", Cells(drop), READS, run.cut("supply"))
    rows: dict[tuple[str, int], int] = {}
    for (source, tier), n in counted.items():
        cell = (source if "source" in by else "", tier if "tier" in by else -1)
        rows[cell] = rows.get(cell, 0) + n
    if not rows:
        raise errors.PlanError("no row was accepted from any source", where=run.root)
    order = {name: i for i, name in enumerate(["", *run.config.sources])}
    tiered = len({tier for _, tier in rows}) > 1
    cells = [
        plan.Stratum(name=_name(s, t, tiered=tiered), source=s, tier=t, supply=n)
        for (s, t), n in sorted(rows.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    ]
    return Strata(tuple(cells), by, drop)


def _name(source: str, tier: int, *, tiered: bool) -> str:
    """`source/tier-0`; the part that does not tell strata apart is left out."""
    parts = [source] if source else []
    if tier >= 0 and (tiered or not source):
        parts.append(f"tier-{tier}")
    return "/".join(parts) or "pool"


@dataclasses.dataclass(frozen=True)
class Cells:
    """`folds.Count` by source and tier of the rows that may be chosen."""

    drop: bool

    def zero(self) -> dict[tuple, int]:
        return {}

    def add(self, state: dict[tuple, int], batch: pa.RecordBatch) -> dict[tuple, int]:
        if self.drop:
            batch = batch.filter(batch.column(duplicates.DUP_OF).is_null())
        return folds.Count((columns.SOURCE, tiers.TIER)).add(state, batch)

    def merge(self, a: dict[tuple, int], b: dict[tuple, int]) -> dict[tuple, int]:
        return folds.Count(()).merge(a, b)

    def result(self, state: dict[tuple, int]) -> dict[tuple, int]:
        return folds.Count(()).result(state)
