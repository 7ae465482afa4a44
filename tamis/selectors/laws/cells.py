"""Measurements with their replicates averaged, and how uncertain each average is.

Fitting sees cells, so its cost does not grow with the number of seeds.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from tamis.schemas import measurements as measurements_

# In units of the chance level, so that 0.001 and 0.006 of error for two balanced classes.
FLOOR = 0.002  # no law is more right than this at any length
DRIFT = 0.012  # nor than this per step away from the longest run: what is near counts more
ASSUMED_NOISE = 0.02  # of one run, where there are no replicates
MOST = 4096  # cells a fit sees; more are merged, so that it stays a matter of seconds

_FINEST = 0.02  # width of a merged cell in shares and logs, doubled until they fit
_APART = 5.0  # times the usual spread of replicates, from which they contradict each other
_CONTRADICTION = 0.1  # and at least this, in units of the chance level
_FEW = 3  # cells with replicates, below which their usual spread is not known


@dataclasses.dataclass(frozen=True)
class Cells:
    """One row per (weights, samples, supply).

    Attributes:
      names: Strata.
      chance: Error of a model that has learned nothing.
      weights: Shape (c, k).
      samples: Shape (c,).
      supply: Shape (c, k).
      error: Shape (c,), mean over replicates.
      seed_noise: Shape (c,), standard deviation of one run, pooled over cells of one length.
      count: Shape (c,), replicates.
      replicated: Whether any cell has two runs; otherwise the noise is assumed.
      warnings: What is odd about the measurements, in words.
    """

    names: tuple[str, ...]
    chance: float
    weights: NDArray[np.float64]
    samples: NDArray[np.float64]
    supply: NDArray[np.float64]
    error: NDArray[np.float64]
    seed_noise: NDArray[np.float64]
    count: NDArray[np.float64]
    replicated: bool
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def k(self) -> int:
        return len(self.names)

    @functools.cached_property
    def sigma(self) -> NDArray[np.float64]:
        """Shape (c,): what a law may miss each cell by: seeds, its own flaws, and distance."""
        own = drift(self.weights, self.samples, self.supply, self.chance)
        return np.hypot(self.seed_noise / np.sqrt(self.count), own)

    @property
    def epochs(self) -> NDArray[np.float64]:
        """Shape (c, k): how often a row of each stratum was seen."""
        return self.weights * self.samples[:, None] / np.maximum(self.supply, 1)

    def where(self, mask: NDArray[np.bool_]) -> "Cells":
        """Only the cells under a mask of shape (c,)."""
        columns = ("weights", "samples", "supply", "error", "seed_noise", "count")
        return dataclasses.replace(self, **{name: getattr(self, name)[mask] for name in columns})

    def ordered(self, names: Sequence[str]) -> "Cells":
        """The same with the strata in another order."""
        order = [self.names.index(name) for name in names]
        weights, supply = self.weights[:, order], self.supply[:, order]
        return dataclasses.replace(self, names=tuple(names), weights=weights, supply=supply)

    def noise_at(self, samples: ArrayLike) -> NDArray[np.float64]:
        """Standard deviation of one run at each length (...,): the nearest measured, in logs."""
        ratio = self.samples / np.asarray(samples, np.float64)[..., None]
        return self.seed_noise[np.argmin(abs(np.log(ratio)), axis=-1)]


def drift(
    weights: NDArray[np.float64],
    samples: NDArray[np.float64],
    supply: NDArray[np.float64],
    chance: float,
) -> NDArray[np.float64]:
    """What a law may miss each cell by however often it is replicated: shape (c,).

    Its own flaws, and distance: in halvings of the longest length, and in doublings of the visits
    that a row gets only because the cell's supply was cut (twice, by measurement: what was cut is a
    worse stand-in for the real thing than what was stopped early).

    Args:
      weights: Shape (c, k).
      samples: Shape (c,).
      supply: Shape (c, k).
      chance: Error of a model that has learned nothing.
    """
    seen = weights * samples[:, None]
    visits = np.maximum(seen / np.maximum(supply, 1), 1)
    uncut = np.maximum(seen / supply.max(0), 1)
    extra = (weights * np.log2(visits / uncut)).sum(1)
    steps = np.log2(samples.max() / samples) + 2 * extra
    return np.hypot(FLOOR, DRIFT * steps) * chance


def of(measurements: "pa.Table | Cells") -> Cells:
    """The cells themselves, or those of a table."""
    return measurements if isinstance(measurements, Cells) else aggregate(measurements)


def aggregate(measurements: pa.Table) -> Cells:
    """Average the replicates of a validated table.

    A row that repeats another in everything, seed and error included, counts once; more than `MOST`
    settings are merged with those most alike. Time is O(n log n), about 4 s for a million rows.
    """
    table = measurements_.validate(measurements)
    lists = (measurements_.WEIGHTS, measurements_.SUPPLY)
    weights, supply = (measurements_.matrix(table, c) for c in lists)
    plain = (measurements_.SAMPLES, measurements_.ERROR, measurements_.SEED)
    samples, error, seed = (measurements_.vector(table, c) for c in plain)
    names, chance = measurements_.strata(table), measurements_.chance(table)
    design = np.column_stack([samples, weights, supply])
    cell, first = _distinct(design)
    once = _distinct(np.column_stack([cell, seed, error]))[1]
    keys, cell, error = design[first], cell[once], error[once]
    said = [*_idle(table), *_seeds(seed, len(first), len(once)), *_hopeless(error, chance)]
    if len(keys) > MOST:
        cell, keys = _merged(design[once], len(names))
        said.append(f"{len(first):,} settings were merged into {len(keys):,} that are much alike")
    count: NDArray[np.float64] = np.bincount(cell).astype(np.float64)
    mean = np.bincount(cell, error) / count
    squares: NDArray[np.float64] = np.bincount(cell, (error - mean[cell]) ** 2).astype(np.float64)
    k = len(names)
    return Cells(
        names=names,
        chance=chance,
        weights=keys[:, 1 : k + 1],
        samples=keys[:, 0],
        supply=keys[:, k + 1 :],
        error=mean,
        seed_noise=_pooled(keys[:, 0], squares, count, ASSUMED_NOISE * chance),
        count=count,
        replicated=bool((count > 1).any()),
        warnings=(*said, *_contradictions(keys[:, 0], squares, count, chance)),
    )


def _idle(table: pa.Table) -> list[str]:
    unread = measurements_.unread(table)
    return [f"columns that no law reads: {', '.join(unread)}"] if unread else []


def _hopeless(error: NDArray[np.float64], chance: float) -> list[str]:
    """A tenth of the runs worse than guessing by more than noise: chance is probably another."""
    worse = int((error > 1.05 * chance).sum())
    if worse <= 0.1 * len(error):
        return []
    return [f"{worse:,} runs are worse than guessing, which errs by {chance:g}: state `chance`"]


def _distinct(rows: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of each row (n,) among the distinct ones in lexicographic order, and their first.

    What numpy's `unique` of rows does, without comparing rows: a tenth of its time.
    """
    code = np.zeros(len(rows), np.int64)
    for column in rows.T:
        values, own = np.unique(column, return_inverse=True)
        if len(values) > 1:
            code = np.unique(code * len(values) + own, return_inverse=True)[1]
    return code, np.unique(code, return_index=True)[1]


def _merged(design: NDArray[np.float64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cell of each row (n,), and means of the rows of each: at most `MOST`."""
    scaled = np.log1p(design)
    scaled[:, 1 : k + 1] = design[:, 1 : k + 1]
    width = _FINEST
    while len((found := _distinct(np.floor(scaled / width)))[1]) > MOST:
        width *= 2
    cell = found[0]
    count = np.bincount(cell)
    return cell, np.column_stack([np.bincount(cell, c) / count for c in design.T])


def _seeds(seed: NDArray[np.float64], settings: int, rows: int) -> list[str]:
    """What seeds say of rows that share a setting."""
    found = []
    if rows < len(seed):
        found.append(
            f"{len(seed) - rows:,} row(s) repeat another in everything and count once; replicates "
            "need seeds of their own"
        )
    if settings < rows and not seed.any():
        found.append("no seeds are given: rows of one setting are taken for replicates")
    return found


def _contradictions(
    samples: NDArray[np.float64],
    squares: NDArray[np.float64],
    count: NDArray[np.float64],
    chance: float,
) -> list[str]:
    """Settings whose replicates lie much farther apart than others' of that length."""
    again = np.flatnonzero(count > 1)
    spread = np.sqrt(squares[again] / (count[again] - 1))
    length = np.unique(samples[again], return_inverse=True)[1]
    usual = np.full(len(again), ASSUMED_NOISE * chance)
    for each in range(length.max() + 1 if len(again) else 0):
        own = length == each
        if own.sum() >= _FEW:
            usual[own] = np.median(spread[own])
    far = spread > np.maximum(_APART * usual, _CONTRADICTION * chance)
    if not far.any():
        return []
    worst = int(np.argmax(np.where(far, spread, 0)))
    return [
        f"{far.sum()} setting(s) have runs that contradict each other: at "
        f"{samples[again[worst]]:,.0f} samples errors scatter by {spread[worst]:.2g}, usually by "
        f"{usual[worst]:.2g}; a mistake, or another experiment"
    ]


def _pooled(
    samples: NDArray[np.float64],
    squares: NDArray,
    count: NDArray[np.float64],
    assumed: float,
) -> NDArray[np.float64]:
    """Within-cell standard deviation by length; lengths without replicates take the nearest's."""
    lengths, index = np.unique(samples, return_inverse=True)
    freedom = np.bincount(index, count - 1)
    known = freedom > 0
    if not known.any():
        return np.full(len(samples), assumed)
    spread = np.sqrt(np.bincount(index, squares)[known] / freedom[known])
    nearest = abs(np.log(lengths[:, None] / lengths[known])).argmin(1)
    return spread[nearest][index]
