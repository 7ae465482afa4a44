"""Quantile tiers of a score, and scores combined by rank. Tier 0 is the best.

Tier boundaries are the exact quantiles of `tamis.radix` over the score alone: rows with one score
stay in one tier, the better one, so a tier can be larger than its fraction and the next smaller.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import errors, keys, radix

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
    wide = thresholds.key.astype(np.uint32)
    boundary = keys.score(~((wide[:, 0] << np.uint32(16)) | wide[:, 1]))
    # The maximal key stands for "all rows" and decodes to NaN.
    return np.where(np.isnan(boundary), np.float32(-np.inf), boundary)


class RankTable(NamedTuple):
    """Where each bin of the first 16 bits of a score begins, best first.

    Attributes:
      digit: Shape (b,) int64, ascending, best first.
      better: Shape (b,) int64, rows in better bins.
      rows: Shape (b,) int64, rows in the bin.
    """

    digit: NDArray[np.int64]
    better: NDArray[np.int64]
    rows: NDArray[np.int64]


def rank_pass(score: str) -> radix.Pass:
    """The fold whose result `rank_table` takes: one pass over the column named `score`."""
    return radix.Pass(radix.start([[1]], DIGITS), (score,))


def rank_table(counts: radix.Histogram) -> RankTable:
    """The table of one group's first pass (`rank_pass`)."""
    return RankTable(counts.bins, np.cumsum(counts.counts) - counts.counts, counts.counts)


def rank_fraction(scores: NDArray[np.float32], table: RankTable) -> NDArray[np.float64]:
    """The share of rows each score is at least as good as, 0..1; higher = better.

    Makes scores of any scale comparable. Linear in the low 16 bits of the score within a bin, so
    it keeps the order of any two scores exactly; its value is exact at bin edges and off by at
    most the rows of one bin elsewhere. A bin is 1/128 of the score wide or less (8 bits of
    exponent, 7 of mantissa). Integers and one division a row: no order of shards changes a bit.

    Args:
      scores: Shape (n,).
      table: Of all rows, `scores` among them.
    """
    digits = keys.digits(scores).astype(np.int64)
    if not len(table.digit):
        return np.zeros(len(scores))
    place = np.minimum(np.searchsorted(table.digit, digits[:, 0]), len(table.digit) - 1)
    found = table.digit[place] == digits[:, 0]
    if not np.all(found):
        row = int(np.flatnonzero(~found)[0])
        raise ValueError(f"score {scores[row]} of row {row} is not among those ranked")
    total = int(table.better[-1] + table.rows[-1])
    inside = table.rows[place] * ((digits[:, 1] + 0.5) / 65536)
    return 1.0 - (table.better[place] + inside) / total


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
