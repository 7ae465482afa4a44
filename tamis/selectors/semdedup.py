"""SemDeDup as published (Abbas et al. 2023), to compare with and to read its results.

In each cluster rows are ordered by their similarity to the centroid, the least alike first
("hard", §3) or last ("easy"); M_j = max_{i<j} <x_i, x_j>, and row j is removed if M_j exceeds
1 - epsilon. M compares with removed rows too, so a chain leaves one row; and nothing is compared
across clusters.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

_TILE = 1 << 22  # products at a time, 16 MiB


def earlier_similarity(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """M of rows in order, shape (n,); -inf for the first.

    Time n^2 d / 2, memory `_TILE` products.

    >>> earlier_similarity(np.array([[1, 0], [0, 1], [0, 1]], np.float32)).tolist()
    [-inf, 0.0, 1.0]
    """
    found = np.full(len(x), -np.inf, np.float32)
    start = 0
    while start < len(x):
        stop = min(start + max(1, _TILE // len(x)), len(x))
        product = x[start:stop] @ x[:stop].T
        earlier = np.arange(stop) < np.arange(start, stop)[:, None]
        found[start:stop] = np.max(product, axis=1, where=earlier, initial=-np.inf)
        start = stop
    return found


def similarity(
    x: NDArray[np.float32],
    own: NDArray[np.int32],
    cosine: NDArray[np.float32],
    *,
    keep: Literal["hard", "easy"] = "hard",
) -> NDArray[np.float32]:
    """M of every row, in the order its cluster is read; `M <= 1 - epsilon` are the rows kept.

    One pass serves every epsilon. Time sum over clusters of size^2 d / 2.

    Args:
      x: Shape (n, d), unit rows.
      own: Shape (n,), the cluster of each.
      cosine: Shape (n,), to its centroid; ties keep the order of the rows.
      keep: Which of two duplicates survives: the one further from the centroid, or the nearer.
    """
    order = np.lexsort((np.arange(len(x)), cosine if keep == "hard" else -cosine, own))
    found = np.empty(len(x), np.float32)
    for rows in np.split(order, np.flatnonzero(np.diff(own[order])) + 1):
        found[rows] = earlier_similarity(x[rows])
    return found
