"""Which pilots tell most for their price: Bayesian optimal design, greedily.

A law linearised at what is believed now learns from r runs of one cell the information
j j' / (drift^2 + noise^2 / r): j the slope of its prediction, noise what seeds scatter, drift what
no replicate removes. Runs are added one at a time, each time the one that gains most per sample
trained, of the log determinant (D-optimal) or of the variance at given predictions (I-optimal);
Chaloner & Verdinelli (1995), Bayesian experimental design: a review, §2.

Gains in the log determinant only shrink as runs are added (submodularity), so greedy per price is
within a constant of the best (Khuller, Moss & Naor 1999); for the variance there is no such bound,
and in tests it is within 15 percent.

`pilot.design: optimal` uses it. On the demo it led to no better choices than `design.runs` when
pilots may cost millions of samples, so that is the default; see benchmarks/README.md for when they
may not.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.pilots import design
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import fitting, signal_noise
from tamis.selectors.laws.protocol import Law

Floats = NDArray[np.float64]

MOST = design.SEEDS[1]  # replicates of a cell

_LONGEST = 4  # pilots of the longest length must fit in the budget at least so often
_SOFT = 300  # samples; see `_scatter`


class Cells(NamedTuple):
    """Candidates, one row per cell.

    Attributes:
      slopes: Shape (c, p), of the predicted error along the law's parameters.
      noise: Shape (c,), standard deviation of one run.
      drift: Shape (c,), standard deviation that replicates do not reduce; positive.
      cost: Shape (c,), of one run.
    """

    slopes: Floats
    noise: Floats
    drift: Floats
    cost: Floats

    def information(self, counts: NDArray[np.int64]) -> Floats:
        """Shape (p, p), of that many runs of each cell."""
        weight = self.weight(counts)
        return (self.slopes * weight[:, None]).T @ self.slopes

    def weight(self, counts: NDArray[np.int64]) -> Floats:
        """Shape (c,), inverse variance of each cell's mean; 0 without runs."""
        return counts / (counts * self.drift**2 + self.noise**2)


def choose(
    candidates: Cells, budget: float, precision: Floats, *, at: Floats | None = None
) -> NDArray[np.int64]:
    """How often to run each candidate.

    Args:
      candidates: What could be run.
      budget: Total cost, in the unit of `candidates.cost`.
      precision: Shape (p, p), of what is known before; positive definite.
      at: Shape (t, p), slopes of the predictions that matter, for I-optimality; None for
        D-optimality.

    Returns:
      Shape (c,) counts, at most `MOST` each. Ties go to the first candidate. Time is c p (p + t)
      for each run chosen.
    """
    counts = np.zeros(len(candidates.cost), np.int64)
    covariance, left = np.linalg.inv(precision), float(budget)
    while True:
        open_ = (candidates.cost <= left) & (counts < MOST)
        if not open_.any():
            return counts
        more = candidates.weight(counts + 1) - candidates.weight(counts)
        reach = candidates.slopes @ covariance  # (c, p)
        spread = more * (reach * candidates.slopes).sum(1)
        gain = np.log1p(spread)
        if at is not None:
            gain = more * ((reach @ at.T) ** 2).sum(1) / (1 + spread)
        pick = int(np.argmax(np.where(open_, gain / candidates.cost, -np.inf)))
        fall = more[pick] / (1 + spread[pick])
        covariance = covariance - fall * np.outer(reach[pick], reach[pick])
        counts[pick] += 1
        left -= float(candidates.cost[pick])


def variance(candidates: Cells, counts: NDArray[np.int64], precision: Floats, at: Floats) -> Floats:
    """Variance of the predictions with slopes `at`, (t, p), after the runs: shape (t,)."""
    left = np.linalg.inv(precision + candidates.information(counts))
    return np.asarray(((at @ left) * at).sum(1))


def planned(
    supply: Sequence[int],
    budgets: Sequence[int],
    chance: float,
    *,
    max_fraction: float = design.MAX_FRACTION,
    max_cost: int = design.MAX_COST,
) -> list[design.Run]:
    """The pilots of a plan, in place of `design.runs`; the other arguments are the same.

    Candidates are the mixtures and lengths of the grid, with full and with matched supply, but no
    length is left out because all mixtures at it would be too dear. Every planned budget in turn,
    the smallest first, has its part of the price for pilots that it may use; what matters is the
    error of every mixture at that budget, and pilots that were chosen before are shared.

    Args:
      supply: Unique rows of each stratum.
      budgets: Samples of each planned training.
      chance: Error of a model that has learned nothing.
      max_fraction: Of a budget its pilots may use.
      max_cost: Samples trained by all pilots together.

    Raises:
      PlanError: the budgets are too small for any pilot.
    """
    lengths = design.sizes(budgets, max_fraction=max_fraction, cap=max_cost // _LONGEST)
    candidates = [r for n in lengths for r in design.cells(supply, n, max_fraction=max_fraction)]
    found: collections.Counter[design.Run] = collections.Counter()
    for i, budget in enumerate(sorted(set(budgets))):
        own = [r for r in candidates if r.samples <= budget * max_fraction]
        left = max_cost - sum(r.cost * count for r, count in found.items())
        if own:
            part = left / (len(set(budgets)) - i)
            found |= _for_budget(own, np.array(supply, np.float64), budget, chance, part)
    return _replicated(found)


def _for_budget(
    candidates: Sequence[design.Run], supply: Floats, budget: int, chance: float, price: float
) -> collections.Counter[design.Run]:
    """How often to run each candidate to know one budget."""
    w = design.mixtures(supply.astype(int).tolist())
    target = (w, np.full(len(w), float(budget)), np.tile(supply, (len(w), 1)))
    noise = _scatter(np.array([r.samples for r in candidates], np.float64), chance)
    law = signal_noise.SignalNoise
    chosen = runs(candidates, law, chance, target, budget=price, noise=noise)
    return collections.Counter(dataclasses.replace(r, seed=0) for r in chosen)


def _scatter(samples: Floats, chance: float) -> Floats:
    """About what one linear probe scatters, as measured on the demo from 31 to 4,000 samples."""
    return chance / np.sqrt(samples + _SOFT)


def runs(
    candidates: Sequence[design.Run],
    law: type[Law],
    chance: float,
    target: tuple[Floats, Floats, Floats],
    *,
    budget: float,
    noise: Floats | None = None,
) -> list[design.Run]:
    """The candidates worth running before anything is known, with their replicates.

    Args:
      candidates: Distinct but for `seed`, which is ignored.
      law: Linearised at the mean of its prior.
      chance: Error of a model that has learned nothing.
      target: Weights (t, k), samples (t,) and supply (t, k) of the trainings to be predicted.
      budget: Samples trained by all pilots together.
      noise: Shape (c,), standard deviation of one run; assumed if None.

    Returns:
      Runs, shortest first.
    """
    w, n, m = (
        np.array([getattr(r, name) for r in candidates], np.float64)
        for name in ("weights", "samples", "supply")
    )
    scatter = np.full(len(n), cells_.ASSUMED_NOISE * chance) if noise is None else noise
    names = tuple(str(i) for i in range(w.shape[1]))
    one = np.ones(len(n))
    known = cells_.Cells(
        names, chance, w, n, m, error=one, seed_noise=scatter, count=one, replicated=False
    )
    prior = law.prior(known)
    offered = Cells(
        fitting.slopes(law, prior.mean, known, (w, n, m)),
        scatter,
        cells_.drift(w, n, m, chance),
        np.array([r.cost for r in candidates], np.float64),
    )
    at = fitting.slopes(law, prior.mean, known, target)
    counts = choose(offered, budget, np.diag(prior.scale**-2.0), at=at)
    return _replicated(dict(zip(candidates, counts.tolist(), strict=True)))


def _replicated(counts: Mapping[design.Run, int]) -> list[design.Run]:
    """Every candidate with its replicates, shortest first."""
    found = [
        dataclasses.replace(run, seed=seed)
        for run, count in counts.items()
        for seed in range(count)
    ]
    return sorted(found, key=lambda r: r.samples)
