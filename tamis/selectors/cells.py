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

import faiss
import numpy as np
from numpy.typing import NDArray

from tamis import nearest

PROBES = 16
_ROWS = 8_192
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

    Memory O(k (k + d)). Visiting costs n k d, one matrix product.
    """

    def __init__(self, centroids: NDArray[np.float32]) -> None:
        d = centroids.shape[1]
        if d > MAX_DIMENSION:
            raise ValueError(f"at most {MAX_DIMENSION} dimensions, got {d}")
        self._gap = np.sqrt(np.maximum(2.0 - 2.0 * (centroids @ centroids.T), 0))  # (k, k)
        self._index = faiss.IndexFlatIP(d)
        self._index.add(_grid(centroids))
        # Rounding moves a row and a centroid by at most sqrt(d) / 2 grid steps each.
        self._slack = 4.0 * math.sqrt(d) / 2 / _GRID + 1e-5

    def visits(
        self,
        x: NDArray[np.float32],
        threshold: float,
        *,
        own: NDArray[np.int32] | None = None,
        probes: int = PROBES,
    ) -> Visits:
        """Where the rows of `x` must be compared.

        Args:
          x: Shape (n, d), unit rows.
          threshold: The cosine of a near pair, above -1.
          own: Shape (n,), the nearest centroid of each, where that is known.
          probes: Cells a row may visit beside its own; the nearest centroids first.
        """

        def block(part: slice) -> Visits:
            return self._block(x[part], threshold, None if own is None else own[part], probes)

        none = Visits(*(np.zeros(0, t) for t in (np.int32, np.int64, np.int32, bool)))
        parts = [none, *nearest.in_blocks(block, len(x), _ROWS)]
        row = [p.row + max(i - 1, 0) * _ROWS for i, p in enumerate(parts)]
        home, _, cell, capped = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Visits(home, np.concatenate(row), cell, capped)

    def _block(
        self,
        x: NDArray[np.float32],
        threshold: float,
        own: NDArray[np.int32] | None,
        probes: int,
    ) -> Visits:
        k = self._index.ntotal
        asked = min(probes + 2, k)  # its own, and one to see whether there are more
        score, cell = self._index.search(_grid(x), asked)
        home = cell[:, 0].astype(np.int32) if own is None else own
        short = (score[:, :1] - score) / _GRID**2  # of the best, which may be a hair off `own`
        near = short <= radius(threshold) * self._gap[home[:, None], cell] + self._slack
        near &= cell != home[:, None]
        capped = near.sum(axis=1) > probes
        near &= np.cumsum(near, axis=1) <= probes
        row, place = np.nonzero(near)
        return Visits(home, row, cell[row, place].astype(np.int32), capped)


def _grid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.rint(np.ascontiguousarray(x, np.float32) * np.float32(_GRID))
