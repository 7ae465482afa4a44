"""Which cells of a clustering a row must be compared in, so that no near pair is missed.

Let x lie in cell b and y in cell a (nearest centroid by inner product), both unit, <x, y> >= t.
The cells meet at the plane through 0 with normal w = (c_b - c_a) / |c_b - c_a|, and <x, w> >= 0 >=
<y, w>. So their distances to it add up to at most |x - y| <= sqrt(2 - 2 t), and one of them is at
most half of that:

    (<x, c_b> - <x, c_a>) / |c_b - c_a|  <=  sqrt((1 - t) / 2)      or the same with x and y swapped

A row that visits every cell whose border is that near therefore meets all its near pairs, with
certainty and whatever the clustering. SemDeDup (Abbas et al. 2023) compares inside cells only.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import nearest

PROBES = 16
_ROWS = 8_192  # at most, at a time
_PRODUCTS = 1 << 20  # at most, 4 MiB
_CROWD = 4  # a row to which one cell in this many is near looks at its nearest alone
# Coordinates are rounded to this grid. Then every sum in a product of two rows is an integer below
# 2^24, which float32 holds exactly (Cauchy-Schwarz; up to d = 16,384): the product is the same
# however BLAS orders it, so visits do not depend on the batch, the threads or the machine.
_GRID = 4_000.0
MAX_DIMENSION = 16_384


class Visits(NamedTuple):
    """Cells other than its own that rows must be compared in.

    Attributes:
      own: Shape (n,) int32, the cell each row is in.
      row: Shape (v,) int64, ascending, the rows that visit.
      cell: Shape (v,) int32.
      capped: Shape (n,) bool: the row has more near borders than it may visit, and some of its
        pairs may be missed. A pair of two rows that are not capped is found with certainty.
    """

    own: NDArray[np.int32]
    row: NDArray[np.int64]
    cell: NDArray[np.int32]
    capped: NDArray[np.bool_]


def radius(threshold: float) -> float:
    """Half the distance of two unit rows whose cosine is `threshold`.

    >>> round(radius(0.95), 4)
    0.1581
    """
    return math.sqrt((1.0 - threshold) / 2.0)


class Cells:
    """The cells of some centroids, ready to be visited.

    Args:
      centroids: Shape (k, d) float32, unit rows.
      threshold: The cosine of a near pair, above -1.

    Memory O(k (k + d)). Visiting costs n k d, one matrix product, and a few passes over its values.
    """

    def __init__(self, centroids: NDArray[np.float32], threshold: float) -> None:
        d = centroids.shape[1]
        if d > MAX_DIMENSION:
            raise ValueError(f"at most {MAX_DIMENSION} dimensions, got {d}")
        self._centroids = _grid(centroids)
        gap = np.sqrt(np.maximum(2.0 - 2.0 * (centroids @ centroids.T), 0))
        # Rounding moves a row and a centroid by at most sqrt(d) / 2 grid steps each.
        slack = 4.0 * math.sqrt(d) / 2 / _GRID + 1e-5
        self._reach = _GRID**2 * (radius(threshold) * gap + slack)  # (k, k), of a row at home
        np.fill_diagonal(self._reach, -np.inf)  # its own cell is no visit

    def visits(
        self,
        x: NDArray[np.float32],
        *,
        own: NDArray[np.int32] | None = None,
        probes: int = PROBES,
    ) -> Visits:
        """Where the rows of `x` must be compared.

        Args:
          x: Shape (n, d), unit rows.
          own: Shape (n,), the nearest centroid of each, where that is known.
          probes: Cells a row may visit beside its own; the nearest centroids first.
        """

        def block(part: slice) -> Visits:
            return self._block(x[part], None if own is None else own[part], probes)

        rows = max(1, min(_ROWS, _PRODUCTS // len(self._centroids)))
        none = Visits(*(np.zeros(0, t) for t in (np.int32, np.int64, np.int32, bool)))
        parts = [none, *nearest.in_blocks(block, len(x), rows)]
        row = [p.row + max(i - 1, 0) * rows for i, p in enumerate(parts)]
        home, _, cell, capped = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Visits(home, np.concatenate(row), cell, capped)

    def _block(self, x: NDArray[np.float32], own: NDArray[np.int32] | None, probes: int) -> Visits:
        score = _grid(x) @ self._centroids.T
        best = score.max(axis=1)  # may be a hair above that of `own`
        home = score.argmax(axis=1).astype(np.int32) if own is None else own
        near = np.flatnonzero(score + self._reach[home] >= best[:, None])
        row, cell = np.divmod(near, score.shape[1])
        count = np.bincount(row, minlength=len(x))
        likely = score[row, cell] >= _least(score, count, probes)[row]
        row, cell = row[likely], cell[likely]
        row, cell = _ranked(row, best[row] - score[row, cell], cell)
        first = np.searchsorted(row, np.arange(len(x)))
        kept = np.arange(len(row)) - first[row] < probes
        return Visits(home, row[kept], cell[kept].astype(np.int32), count > probes)


def _least(
    score: NDArray[np.float32], count: NDArray[np.int64], probes: int
) -> NDArray[np.float32]:
    """Below it no cell is visited; sorting all cells that are near would take too long for some."""
    least = np.full(len(score), -np.inf, np.float32)
    crowded = count > max(probes, score.shape[1] // _CROWD)
    if crowded.any():
        last = -probes - 1  # its own cell too
        least[crowded] = np.partition(score[crowded], last, axis=1)[:, last]
    return least


def _ranked(
    row: NDArray[np.int64], short: NDArray[np.float32], cell: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows ascending, and their cells nearest first."""
    # `short` is a whole number up to 2^25.
    key = np.sort((row << 46) | (short.astype(np.int64) << 20) | cell)
    return key >> 46, key & ((1 << 20) - 1)


def _grid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.rint(np.ascontiguousarray(x, np.float32) * np.float32(_GRID))
