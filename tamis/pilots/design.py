"""Which pilots to train: mixtures, lengths, supplies and replicates."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis import errors

MAX_FRACTION = 0.25  # of a budget its pilots may use
MAX_COST = 10_000_000  # samples trained by all pilots together
MIN_SAMPLES = 16
SEEDS = (2, 200)  # fewest and most replicates of a cell


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """One pilot training.

    Attributes:
      weights: Share of each stratum in what the run sees; they sum to 1.
      samples: Samples seen.
      supply: Unique rows of each stratum the run may draw from.
      seed: Number of the replicate, from 0.
    """

    weights: tuple[float, ...]
    samples: int
    supply: tuple[int, ...]
    seed: int

    @property
    def cost(self) -> int:
        """Samples trained."""
        return self.samples


def mixtures(supply: Sequence[int]) -> NDArray[np.float64]:
    """Shares to try: shape (about 3 k, k), no row twice.

    Each stratum alone (what it is worth by itself), equal shares, natural proportions, each stratum
    as one half with the others sharing the rest (what it adds), and the scarcest half and half with
    each other: the mixtures between which a budget usually decides.
    """
    k = len(supply)
    eye = np.eye(k)
    natural = np.asarray(supply, np.float64) / np.sum(supply)
    rows = [*eye, np.full(k, 1 / k), natural]
    if k > 1:
        scarce = int(np.argmin(supply))
        rows += [*(0.5 * eye + 0.5 * (1 - eye) / (k - 1))]
        rows += [*(0.5 * eye[scarce] + 0.5 * np.delete(eye, scarce, axis=0))]
    return np.unique(np.round(rows, 12), axis=0)[::-1]


def sizes(budgets: Sequence[int], *, max_fraction: float, cap: int) -> list[int]:
    """Lengths of pilots: max_fraction of each budget, half and a quarter of that; ascending.

    Raises:
      PlanError: there are none.
    """
    largest = [min(int(b * max_fraction), cap) for b in budgets]
    lengths = sorted({n >> shift for n in largest for shift in range(3)})
    if lengths[-1] < MIN_SAMPLES:
        raise errors.PlanError(
            f"no pilot fits budgets {list(budgets)}",
            why=f"a pilot needs {MIN_SAMPLES} samples, and {max_fraction:g} of a budget and its "
            f"part of pilot.budget are {lengths[-1]} at most",
            remedy="raise the budget, max_fraction or pilot.budget",
        )
    return [n for n in lengths if n >= MIN_SAMPLES]


def runs(
    supply: Sequence[int],
    budgets: Sequence[int],
    *,
    max_fraction: float = MAX_FRACTION,
    max_cost: int = MAX_COST,
    most_seeds: int = SEEDS[1],
) -> list[Run]:
    """The pilots of a plan.

    Every mixture is trained at every length with the supply there is, and where rows would repeat,
    again with all supply scaled down by max_fraction, so that a row comes round as often as it will
    at full budget (Zhou et al. 2026, 2606.07597). Short runs are noisy and cheap, so they get more
    replicates: each length may cost the same.

    Args:
      supply: Unique rows of each stratum.
      budgets: Samples of each planned training.
      max_fraction: Of a budget its pilots may use.
      max_cost: Samples trained by all pilots together. Where the shortest allowed design costs
        more, pilots are made shorter.
      most_seeds: Replicates of a cell at most.

    Returns:
      Runs, shortest first.

    Raises:
      PlanError: there is no supply, or the budgets are too small for any pilot.
    """
    if not supply or min(supply) < 1:
        raise errors.PlanError(f"supply {list(supply)} has a stratum without rows")
    cap = max_cost // (4 * SEEDS[0] * 2 * len(mixtures(supply)))
    lengths = sizes(budgets, max_fraction=max_fraction, cap=cap)
    found = []
    for n in lengths:
        alike = cells(supply, n, max_fraction=max_fraction)
        seeds = int(
            np.clip(max_cost // (len(lengths) * n * len(alike)), *SEEDS).clip(1, most_seeds)
        )
        found += [dataclasses.replace(run, seed=s) for run in alike for s in range(seeds)]
    return found


def cells(supply: Sequence[int], samples: int, *, max_fraction: float) -> list[Run]:
    """Every mixture at one length, again with matched supply where rows repeat; seed 0."""
    matched = tuple(max(1, round(m * max_fraction)) for m in supply)
    shares = mixtures(supply)
    found = [(tuple(supply), w) for w in shares]
    found += [(matched, w) for w in shares if (samples * w > matched).any()]
    return [Run(tuple(w.tolist()), samples, m, 0) for m, w in found]
