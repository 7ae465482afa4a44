"""Quantile tiers of a score, and scores combined by rank. Tier 0 is the best.

Tier boundaries are the exact quantiles of `tamis.radix` over the score alone: rows with one score
stay in one tier, the better one, so a tier can be larger than its fraction and the next smaller.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import errors, keys, radix

RANKS = 4_096  # quantiles of a score that is combined with others
MAX_TIERS = 127  # int8 in the sidecar
DIGITS = keys.width(np.dtype(np.float32))


def equal(n_tiers: int) -> list[float]:
    """Fractions of `n_tiers` tiers of one size."""
    return [1 / n_tiers] * n_tiers


def ranks(rows: int, fractions: Sequence[float]) -> list[int]:
    """How many of the best rows lie at or above the lower edge of each tier but the last.

    Args:
      rows: Rows of the group.
      fractions: Share of each tier, best first; positive, sum 1.

    Raises:
      ConfigError: the fractions are not that.

    >>> ranks(10, [0.2, 0.5, 0.3])
    [2, 7]
    """
    total = sum(fractions)
    if not 1 <= len(fractions) <= MAX_TIERS or min(fractions) <= 0 or abs(total - 1) > 1e-6:
        raise errors.ConfigError(
            f"tier fractions {list(fractions)} sum to {total:g}",
            why=f"they must be positive, sum to 1, and be at most {MAX_TIERS}",
            remedy="give shares such as [0.2, 0.5, 0.3], best tier first, or a number of tiers",
        )
    edges = np.cumsum(np.asarray(fractions, np.float64))[:-1] / total
    return [int(edge) for edge in np.floor(edges * rows + 0.5)]


def tier(
    scores: NDArray[np.float32],
    thresholds: radix.Thresholds,
    groups: NDArray | None = None,
) -> NDArray[np.int8]:
    """The tier of every row.

    Args:
      scores: Shape (n,), higher = better.
      thresholds: Of `ranks`, found with the score as the only key column.
      groups: Shape (n,) integers, where tiers are cut within groups; None means one group, 0.
    """
    where = np.zeros(len(scores), np.int64) if groups is None else groups
    return radix.above(thresholds, where, keys.digits(scores)).astype(np.int8)


def lowest_scores(thresholds: radix.Thresholds) -> NDArray[np.float32]:
    """The boundary score of every threshold, for a report: tiers at or above it are better.

    No row lies between a boundary and the next better score, so it need not be any row's own.
    """
    boundary = keys.score(~_words(thresholds.key))
    # The maximal key stands for "all rows" and decodes to NaN.
    return np.where(np.isnan(boundary), np.float32(-np.inf), boundary)


class RankTable(NamedTuple):
    """How many rows are at least as good as some scores.

    Attributes:
      key: Shape (b,) uint32, ascending, best first: the order-preserving key of a score, reversed.
      better: Shape (b,) int64: rows at that key or better, ascending.
      total: Rows in all.
    """

    key: NDArray[np.uint32]
    better: NDArray[np.int64]
    total: int


def wanted_ranks(rows: int) -> list[int]:
    """The ranks whose thresholds make a `rank_table`: all but the last, or `RANKS` of them."""
    steps = min(rows, RANKS)
    return sorted({rows * i // steps for i in range(1, steps)} - {0})


def rank_table(found: radix.Thresholds, rows: int) -> RankTable:
    """The table of one group's thresholds at `wanted_ranks`, found with the score as the key."""
    key, first = np.unique(_words(found.key), return_index=True)
    return RankTable(key, found.rows[first], rows)


def rank_fraction(scores: NDArray[np.float32], table: RankTable) -> NDArray[np.float64]:
    """The share of rows that are worse, ties counting half: 0..1, higher = better.

    Makes scores of any scale comparable. Up to `RANKS` rows it is exact, 1 - (r - 1/2) / n with r
    the average rank of ties, best first; above, exact at `RANKS` quantiles and off by at most the
    1 / `RANKS` between two, whatever the scores' distribution. Integers and one division a row: no
    order of shards changes a bit.

    Args:
      scores: Shape (n,).
      table: Of all rows, `scores` among them.
    """
    at = np.searchsorted(table.key, _words(keys.digits(scores)))
    bounds = np.concatenate([[0], table.better, [table.total]])
    first, last = bounds[at] + 1, bounds[at + 1]
    return 1.0 - ((first + last) / 2 - 0.5) / max(table.total, 1)


def _words(digits: NDArray[np.uint16]) -> NDArray[np.uint32]:
    wide = digits.astype(np.uint32)
    return (wide[:, 0] << np.uint32(16)) | wide[:, 1]


def combine(
    fractions: Sequence[NDArray[np.float64]], weights: Sequence[float]
) -> NDArray[np.float32]:
    """Weighted mean of rank fractions, one array a score: a score again, 0..1, higher = better.

    Raises:
      ConfigError: a weight is negative or all are zero.
    """
    if len(weights) != len(fractions) or min(weights, default=-1) < 0 or sum(weights) <= 0:
        raise errors.ConfigError(
            f"weights {list(weights)} for {len(fractions)} scores",
            why="each score needs a weight of at least 0, and one must be positive",
            remedy="give a positive weight to each score; to reverse a score, say so in its scorer",
        )
    total = np.zeros(len(fractions[0]))
    for fraction, weight in zip(fractions, weights, strict=True):
        total += weight * fraction
    return (total / sum(weights)).astype(np.float32)
