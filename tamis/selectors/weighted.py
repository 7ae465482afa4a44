"""Weighted sampling without replacement, by a hash: exact, free of order, unbiased.

Every row gets the key log w_i + g_i with g_i a standard Gumbel number, a function of the hash of
its uid; the rows with the k highest keys are a sample in which the next row is always drawn with
probability proportional to its weight among those left (Kool et al. 2019, Stochastic beams and
where to find them, §2.3). Up to a monotone transform the keys are u_i^(1/w_i) of Efraimidis &
Spirakis (2006, Weighted random sampling with a reservoir).
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import scores
from tamis.selectors import pools

_SURE = 50.0  # exp(-exp(50)) is 0


class Draw(NamedTuple):
    """A weighted sample.

    Attributes:
      rows: Distinct positions, highest key first, shape (min(budget, n),).
      weights: Shape (min(budget, n),), at least 1: sum_i weight_i f(row_i) has the mean sum of f
        over all rows, for any f.
    """

    rows: NDArray[np.int64]
    weights: NDArray[np.float64]


def gumbel(priority: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Standard Gumbel numbers, -log(-log u), from the hashes of rows; shape (n,)."""
    u = ((priority >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return -np.log(-np.log(u))


def gumbel_top_k(weight: NDArray[np.float64], priority: NDArray[np.uint64], budget: int) -> Draw:
    """Sample without replacement in proportion to weights, with unbiased estimates.

    Given kappa, the highest key that is not taken, row i is in with probability
    q_i = 1 - exp(-w_i exp(-kappa)), and 1 / q_i is its weight (Kool et al. 2019, §4.1; rank
    conditioning of Cohen & Kaplan 2007). A weight of zero means: only when all others are taken.
    A row of zero weight has no part in what the weights estimate.

    Args:
      weight: Shape (n,), at least 0, on any scale.
      priority: Shape (n,), `pools.priority` of the rows.
      budget: Rows wanted; more than n means n.

    Raises:
      ValueError: a weight is negative or not finite.

    Time O(n log n), memory O(n). Ties, of probability 2^-53 a pair, go to the lowest row; rows of
    zero weight come in the order of their hashes.
    """
    check(weight)
    n, k = len(weight), pools.wanted(budget, len(weight))
    with np.errstate(divide="ignore"):
        log_weight = np.log(weight)
    key = log_weight + gumbel(priority)
    order = np.lexsort((priority, -key))
    kappa = key[order[k]] if k < n else -np.inf
    rows = order[:k]
    # Where a row of zero weight is taken, all others are, and nothing is uncertain.
    above = np.full(k, _SURE)
    above[weight[rows] > 0] = log_weight[rows[weight[rows] > 0]] - kappa
    return Draw(rows, -1 / np.expm1(-np.exp(np.minimum(above, _SURE))))


def check(weight: NDArray[np.float64]) -> None:
    """Raise ValueError for the first weight that is negative or not finite."""
    bad = np.flatnonzero(~((weight >= 0) & np.isfinite(weight)))
    if len(bad):
        raise ValueError(f"weight of row {bad[0]} is {weight[bad[0]]}; at least 0 and finite")


def tempered(score: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Weights exp(score / temperature) over their largest (Wettig et al. 2024, QuRating, §2.3)."""
    return np.exp((score - score.max(initial=-np.inf)) / temperature) if len(score) else score


@dataclasses.dataclass(frozen=True)
class Weighted:
    """A sample in proportion to a score or to its exponential; a prefix is the smaller sample.

    Time O(n log n), memory O(n).

    Attributes:
      score: Column of numbers.
      temperature: Rows weigh exp(score / temperature): near 0 this is top-k, large is uniform. 0
        for the score itself as weight, at least 0 then. In Wettig et al. (2024) 2 was best on
        scores of unit variance; scores here have any scale, so the default is no recommendation.
    """

    score: str = scores.SCORE
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < np.inf:
            raise errors.ConfigError(
                f"temperature is {self.temperature}",
                where="weighted",
                remedy="set it above 0, or to 0 to use the score itself as weight",
            )

    reads = pools.Reads("score")

    def draw(self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator) -> Draw:
        """The rows, and weights that make sums over them unbiased."""
        rows = pools.by_uid(pool)
        weight = pools.numbers(pool, self.score, rows)
        if self.temperature:
            weight = tempered(weight, self.temperature)
        priority = pools.priority(pool, rows, rng, "weighted")
        found = gumbel_top_k(weight, priority, budget)
        return Draw(rows[found.rows], found.weights)

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        return self.draw(pool, budget, rng).rows
