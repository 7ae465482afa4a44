"""Samples of a fixed size in which every row is with a wanted probability, and known weights.

Rows are lined up in the order of their hashes, each as long as its probability, and read off one
apart from a random start: probability-proportional-to-size systematic sampling (Madow 1949) in
random order (Hartley & Rao 1962). A sum that is proportional to the probabilities is estimated
without error; the order-free keys of `weighted`, whose sample of 40 from equal weights estimates
even the number of rows only to 16 %, cannot do that. In return no prefix is a smaller sample.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.selectors import pools, weighted


def inclusion(size: NDArray[np.float64], budget: int) -> NDArray[np.float64]:
    """Probabilities min(1, c size) that sum to the budget, shape (n,).

    Args:
      size: Shape (n,), at least 0, finite.
      budget: At most the number of rows of positive size.

    >>> inclusion(np.array([1.0, 1, 2, 100]), 3)
    array([0.5, 0.5, 1. , 1. ])
    """
    order = np.argsort(-size, kind="stable")
    tail = np.cumsum(size[order][::-1])[::-1]  # of each row and all smaller ones
    certain = np.arange(len(size))
    left = budget - certain
    with np.errstate(divide="ignore", invalid="ignore"):
        most = left * size[order] / tail  # the largest probability after so many certain rows
    t = int(np.argmax((left <= 0) | (most <= 1)))
    probability = np.ones(len(size))
    probability[order[t:]] = left[t] * size[order[t:]] / tail[t] if tail[t] > 0 else 0.0
    return probability


def draw(
    size: NDArray[np.float64], priority: NDArray[np.uint64], budget: int, start: float
) -> weighted.Draw:
    """A sample with probabilities in proportion to size, and the inverse of them as weights.

    Args:
      size: Shape (n,), at least 0, on any scale; rows of size zero are taken, by their hashes, when
        all others are, and are no part of what the weights estimate.
      priority: Shape (n,), `pools.priority` of the rows.
      budget: Rows wanted; more than n means n.
      start: Uniform in [0, 1).

    Returns:
      Distinct rows in the order of their hashes, shape (min(budget, n),).

    Raises:
      ValueError: a size is negative or not finite.

    Time O(n log n), memory O(n).
    """
    weighted.check(size)
    k, some = pools.wanted(budget, len(size)), int(np.count_nonzero(size))
    by_hash = np.argsort(priority, kind="stable")
    if k >= some:
        first = by_hash[size[by_hash] > 0]
        rows = np.concatenate([first, by_hash[size[by_hash] == 0]])[:k]
        return weighted.Draw(rows, np.ones(k))
    probability = inclusion(size / size.max(), k)[by_hash]
    end = np.floor(np.cumsum(probability) + start)
    end[-1] = k  # what rounding may have moved
    hit = np.diff(np.minimum(end, k), prepend=0.0) > 0
    return weighted.Draw(by_hash[hit], 1 / probability[hit])


def of_pool(
    pool: pa.RecordBatch,
    rows: NDArray[np.int64],
    size: NDArray[np.float64],
    budget: int,
    *,
    rng: np.random.Generator,
    purpose: str,
) -> weighted.Draw:
    """`draw` of a pool's `rows`, given their sizes in that order; positions are the pool's."""
    found = draw(size, pools.priority(pool, rows, rng, purpose), budget, rng.random())
    return weighted.Draw(rows[found.rows], found.weights)
