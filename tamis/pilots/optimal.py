"""Which pilots tell most for their price: Bayesian optimal design, greedily.

A law linearised at what is believed now learns from r runs of one cell the information
j j' / (drift^2 + noise^2 / r): j the slope of its prediction, noise what seeds scatter, drift what
no replicate removes. Runs are added one at a time, each time the one that gains most per sample
trained, of the log determinant (D-optimal) or of the variance at given predictions (I-optimal);
Chaloner & Verdinelli (1995), Bayesian experimental design: a review, §2.

Gains in the log determinant only shrink as runs are added (submodularity), so greedy per price is
within a constant of the best (Khuller, Moss & Naor 1999); for the variance there is no such bound,
and in tests it is within 15 percent.

The planner does not use it: on the demo its pilots led to no better choices than `design.runs`, at
about the same price (benchmarks/README.md).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.pilots import design
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import fitting
from tamis.selectors.laws.protocol import Law

Floats = NDArray[np.float64]

MOST = design.SEEDS[1]  # replicates of a cell


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
    found = [
        design.Run(r.weights, r.samples, r.supply, seed)
        for r, count in zip(candidates, counts.tolist(), strict=True)
        for seed in range(count)
    ]
    return sorted(found, key=lambda r: r.samples)
