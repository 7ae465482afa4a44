"""The best rows, with a floor for every class or cluster (Sorscher et al. 2022, §5 and App. H).

Every pruning score they tried makes classes more uneven. They keep at least half of the images
that each class would keep if all classes were cut equally, and fill the rest by score.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import columns, scores
from tamis.selectors import pools


def floors(sizes: NDArray[np.int64], budget: int, floor: float) -> NDArray[np.int64]:
    """Rows each class keeps at least: floor x sizes x budget / n, rounded down.

    The paper gives no formula; rounding down keeps the sum at most the budget.

    Args:
      sizes: Rows of each class, shape (k,).
      budget: Rows wanted, at most the sum of `sizes`.
      floor: Share of an equal cut, 0..1.

    >>> floors(np.array([90, 10]), 20, 0.5)
    array([9, 1])
    """
    return np.floor(sizes * (floor * budget / max(int(sizes.sum()), 1)) + 1e-9).astype(np.int64)


def best_with_floors(
    score: NDArray[np.float64], group: NDArray[np.int64], budget: int, floor: float
) -> NDArray[np.int64]:
    """The highest scores after every group has the floor of its own highest.

    Args:
      score: Shape (n,).
      group: Shape (n,), 0..k-1.
      budget: Rows wanted; more than n means n.
      floor: Share of an equal cut that each group keeps, 0..1.

    Returns:
      Distinct rows, highest score first, ties to the lowest row; shape (min(budget, n),).

    Time O(n log n), memory O(n). A larger budget may drop a row of a smaller one: floors grow.
    """
    n, k = len(score), pools.wanted(budget, len(score))
    order = np.lexsort((np.arange(n), -score))
    sizes = np.bincount(group)
    inside = np.lexsort((np.arange(n), group[order]))  # by group, then by score
    place = np.empty(n, np.int64)  # of a row in its group, in the order of scores
    starts = np.cumsum(sizes) - sizes
    place[inside] = np.arange(n) - starts[group[order][inside]]
    kept = place < floors(sizes, k, floor)[group[order]]
    rest = np.flatnonzero(~kept)[: k - int(kept.sum())]
    kept[rest] = True
    return order[kept]


@dataclasses.dataclass(frozen=True)
class Stratified:
    """Top-k by score in which no class or cluster falls below a floor. No randomness.

    Attributes:
      score: Column to rank by, higher = keep.
      by: Column of the groups: `label` or `cluster`. Null is a group.
      floor: Of an equal cut; 0 is top-k, 1 an equal cut of every group. Half, as in the paper.
    """

    score: str = scores.SCORE
    by: str = columns.CLUSTER
    floor: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= 1:
            raise errors.ConfigError(
                f"floor is {self.floor}", where="stratified", remedy="set it between 0 and 1"
            )

    reads = pools.Reads("score", "by")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        score, group = pools.numbers(pool, self.score, rows), pools.codes(pool, self.by, rows)
        return rows[best_with_floors(score, group, budget, self.floor)]
