"""Measurements with their replicates averaged, and how uncertain each average is.

Fitting sees cells, so its cost does not grow with the number of seeds.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import measurements as measurements_

# In units of the chance level, so that 0.001 and 0.006 of error for two balanced classes.
FLOOR = 0.002  # no law is more right than this at any length
DRIFT = 0.012  # nor than this per step away from the longest run: what is near counts more
ASSUMED_NOISE = 0.02  # of one run, where there are no replicates


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
        """The same with the strata in another order.

        Raises:
          PlanError: they are other strata.
        """
        measured, given = sorted(self.names), sorted(names)
        if measured != given:
            raise errors.PlanError(
                f"measurements are about strata {measured}, the plan about {given}",
                remedy="plan with the strata that were measured, or run the pilots again",
            )
        order = [self.names.index(n) for n in names]
        weights, supply = self.weights[:, order], self.supply[:, order]
        return dataclasses.replace(self, names=tuple(names), weights=weights, supply=supply)

    def noise_at(self, samples: float) -> float:
        """Standard deviation of one run at a length: the nearest measured one, in logs."""
        return float(self.seed_noise[np.argmin(abs(np.log(self.samples / samples)))])


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
    """Average the replicates of a validated table."""
    table = measurements_.validate(measurements)
    weights = measurements_.matrix(table, measurements_.WEIGHTS)
    samples = measurements_.vector(table, measurements_.SAMPLES)
    supply = measurements_.matrix(table, measurements_.SUPPLY)
    error = measurements_.vector(table, measurements_.ERROR)
    names, chance = measurements_.strata(table), measurements_.chance(table)
    k = len(names)
    design = np.column_stack([samples, weights, supply])
    keys, cell = np.unique(design, axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    count: NDArray[np.float64] = np.bincount(cell).astype(np.float64)
    mean = np.bincount(cell, error) / count
    squares = np.bincount(cell, (error - mean[cell]) ** 2)
    noise = _pooled(keys[:, 0], squares, count, ASSUMED_NOISE * chance)
    return Cells(
        names=names,
        chance=chance,
        weights=keys[:, 1 : k + 1],
        samples=keys[:, 0],
        supply=keys[:, k + 1 :],
        error=mean,
        seed_noise=noise,
        count=count,
        replicated=bool((count > 1).any()),
    )


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
