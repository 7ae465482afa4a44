"""Choosing the law: who predicts the longest runs from the shorter ones?"""

import dataclasses

import numpy as np
import pyarrow as pa

from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import fitting
from tamis.selectors.laws.power import Power
from tamis.selectors.laws.protocol import Law
from tamis.selectors.laws.repetition_utility import RepetitionUtility
from tamis.selectors.laws.signal_noise import SignalNoise

LAWS: tuple[type[Law], ...] = (SignalNoise, RepetitionUtility, Power)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One law in the competition.

    Attributes:
      fit: On all measurements.
      held_out_error: Root mean squared error on the longest runs, fitted without them; NaN when
        all runs have one length.
      held_out_bias: Mean of predicted minus measured there.
    """

    fit: fitting.Fit
    held_out_error: float
    held_out_bias: float

    @property
    def name(self) -> str:
        return self.fit.law.name


def compete(
    measurements: pa.Table | cells_.Cells,
    *,
    laws: tuple[type[Law], ...] = LAWS,
    seed: int = 0,
) -> list[Entry]:
    """Fit every law twice, without the longest runs and with them.

    Returns:
      Entries, the winner first: least held-out error, or least misfit where nothing can be held
      out. Ties go to the law that comes first in `laws`.
    """
    cells = (
        measurements if isinstance(measurements, cells_.Cells) else cells_.aggregate(measurements)
    )
    entries = [_entry(cells, law, seed) for law in laws]
    return sorted(entries, key=_rank)


def compare(measurements: pa.Table, *, laws: tuple[type[Law], ...] = LAWS) -> pa.Table:
    """The competition as a table, best first.

    Columns: law, held_out_error, held_out_bias, fitted_error, parameters (how many), warnings.
    """
    entries = compete(measurements, laws=laws)
    return pa.table(
        {
            "law": [e.name for e in entries],
            "held_out_error": [e.held_out_error for e in entries],
            "held_out_bias": [e.held_out_bias for e in entries],
            "fitted_error": [e.fit.rmse for e in entries],
            "parameters": [len(e.fit.parameters) for e in entries],
            "warnings": [list(e.fit.warnings) for e in entries],
        }
    )


def _entry(cells: cells_.Cells, law: type[Law], seed: int) -> Entry:
    longest = cells.samples == cells.samples.max()
    fit = fitting.fit(cells, law=law, seed=seed)
    if longest.all() or (~longest).sum() < 2:
        return Entry(fit, float("nan"), float("nan"))
    blind = fitting.fit(cells.where(~longest), law=law, seed=seed).law
    seen = cells.where(longest)
    miss = blind.predict(seen.weights, seen.samples, seen.supply) - seen.error
    return Entry(fit, float(np.sqrt(np.mean(miss**2))), float(miss.mean()))


def _rank(entry: Entry) -> float:
    return entry.fit.rmse if np.isnan(entry.held_out_error) else entry.held_out_error
