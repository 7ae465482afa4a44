"""Choosing the law: who predicts the longest runs from the shorter ones?"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import fitting
from tamis.selectors.laws.power import Power
from tamis.selectors.laws.protocol import Law
from tamis.selectors.laws.repetition_utility import RepetitionUtility
from tamis.selectors.laws.signal_noise import SignalNoise

LAWS: tuple[type[Law], ...] = (SignalNoise, RepetitionUtility, Power)

_CLEAR = 2.0  # standard errors by which a law must be beaten to lose its place


@dataclasses.dataclass(frozen=True)
class Entry:
    """One law in the competition.

    Attributes:
      fit: On all measurements.
      held_out: Predicted minus measured on the longest runs, fitted without them; empty when all
        runs have one length.
    """

    fit: fitting.Fit
    held_out: NDArray[np.float64]

    @property
    def name(self) -> str:
        return self.fit.law.name

    @property
    def held_out_error(self) -> float:
        """Root mean square; NaN when nothing could be held out."""
        return float(np.sqrt(np.mean(self.held_out**2))) if self.held_out.size else float("nan")


def compete(
    measurements: pa.Table | cells_.Cells,
    *,
    laws: tuple[type[Law], ...] = LAWS,
    seed: int = 0,
) -> list[Entry]:
    """Fit every law twice, without the longest runs and with them.

    Returns:
      Entries, the winner first, the others by held-out error (by misfit where nothing can be held
      out). The winner is the first in `laws` that no other beats by more than two standard errors
      of the difference of squared misses, pair by pair: with few runs held out the least error is
      often luck, and `laws` begins with the law that can both fall and rise.
    """
    cells = cells_.of(measurements)
    entries = [_entry(cells, law, seed) for law in laws]
    ranked = sorted(entries, key=_rank)
    winner = next(e for e in entries if not _beaten(e, ranked[0]))
    return [winner, *(e for e in ranked if e is not winner)]


def compare(measurements: pa.Table, *, laws: tuple[type[Law], ...] = LAWS) -> pa.Table:
    """The competition as a table, best first.

    Columns: law, held_out_error, fitted_error, parameters (how many), warnings.
    """
    entries = compete(measurements, laws=laws)
    return pa.table(
        {
            "law": [e.name for e in entries],
            "held_out_error": [e.held_out_error for e in entries],
            "fitted_error": [e.fit.rmse for e in entries],
            "parameters": [len(e.fit.parameters) for e in entries],
            "warnings": [list(e.fit.warnings) for e in entries],
        }
    )


def _entry(cells: cells_.Cells, law: type[Law], seed: int) -> Entry:
    longest = cells.samples == cells.samples.max()
    fit = fitting.fit(cells, law=law, seed=seed)
    if (~longest).sum() < 2:
        return Entry(fit, np.empty(0))
    blind = fitting.fit(cells.where(~longest), law=law, near=fit.vector).law
    seen = cells.where(longest)
    return Entry(fit, blind.predict(seen.weights, seen.samples, seen.supply) - seen.error)


def _rank(entry: Entry) -> float:
    return entry.held_out_error if entry.held_out.size else entry.fit.rmse


def _beaten(entry: Entry, best: Entry) -> bool:
    """Whether the best law's misses are smaller by more than chance would have them."""
    if entry is best:
        return False
    if entry.held_out.size < 3:
        return True
    worse = entry.held_out**2 - best.held_out**2
    return float(worse.mean()) > _CLEAR * float(worse.std(ddof=1)) / np.sqrt(worse.size)
