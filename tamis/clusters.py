"""Spherical k-means, with the same centroids and assignments on any number of threads.

maximise sum_i <x_i, c_{a(i)}>,  |c_j| = 1      (Dhillon & Modha 2001)
"""

import math

import faiss
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from tamis import errors, nearest, seeding

# Rows to fit on, per centroid: faiss reads no more than the first and warns below the second.
SAMPLE_PER_CENTROID, MIN_PER_CENTROID = 256, 39
SAMPLE_ROWS = 65_536
_ROWS = 8_192
_APART = 1 / 1024
MAX_DEFAULT_K = 10_000


def default_k(n: int) -> int:
    """Clusters for a pool of `n` rows: the square root, at least 1, at most 10,000.

    Sorscher et al. (2022, §4.3) use 1,000 for the 1.28 M images of ImageNet, which is close to the
    root (1,131), and find the metric robust to one order of magnitude either way; the cap is the
    upper end of that range.

    >>> default_k(1_281_167), default_k(2)
    (1131, 1)
    """
    return min(max(1, math.isqrt(max(n, 0))), MAX_DEFAULT_K)


def default_sample(k: int) -> int:
    """Rows to fit `k` centroids on: 256 each, but no more than 65,536 while that is 39 each.

    Memory and time of the fit would otherwise grow with the pool through `default_k`: at a million
    rows and k = 1,000, 2.5 GB instead of 0.6, for 0.6 % of the mean cosine of unseen rows.

    >>> default_sample(100), default_sample(1_000), default_sample(10_000)
    (25600, 65536, 390000)
    """
    return max(min(SAMPLE_PER_CENTROID * k, SAMPLE_ROWS), MIN_PER_CENTROID * k)


def fit(x: NDArray[np.float32], k: int, *, iterations: int = 20, seed: int) -> NDArray[np.float32]:
    """Unit centroids of `x` by Lloyd's iterations on the sphere, random rows to start from.

    The same `x` gives the same bytes on a machine with any number of cores: rows are cut into
    fixed blocks, each searched (by faiss) and summed on one thread, and the sums are added in the
    blocks' order. faiss's own k-means threads one product instead, which moves its last bits and
    with them near-ties (seen with 4 threads on 65,536 x 256 rows with copies). The order of the
    rows matters, so sort them first. Time O(n k d iterations); memory O(n d).

    Args:
      x: Shape (n, d), unit rows, n at least k; a sample of `default_sample(k)` is enough.
      k: Clusters, at least 1.
      iterations: Passes over `x`, fewer when nothing moves. faiss's default is 25, and the
        objective gains less than 0.1 % after 20.
      seed: The run's seed.

    Returns:
      Shape (k, d), unit rows.

    Raises:
      ConfigError: there are fewer rows than clusters.
      ValueError: `x` holds a zero or non-finite row.
    """
    if not 1 <= k <= len(x):
        raise errors.ConfigError(
            f"cannot make {k} clusters of {len(x)} rows",
            why="every cluster needs at least one row, and there must be at least one cluster",
            remedy=f"set k between 1 and {len(x)}; the default here is {default_k(len(x))}",
        )
    rows = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _ROWS):  # so that float64 is only ever a block
        rows[start : start + _ROWS] = nearest.unit(x[start : start + _ROWS])
    centroids = rows[seeding.generator(seed, "k-means").permutation(len(x))[:k]]
    for _ in range(iterations):
        moved = _moved(rows, centroids)
        if np.array_equal(moved, centroids):
            break
        centroids = moved
    return centroids


def _moved(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """One iteration: the direction of the mean of the rows nearest to each centroid."""
    k, d = centroids.shape
    index = faiss.IndexFlatIP(d)
    index.add(centroids)
    total, count = np.zeros((k, d)), np.zeros(k, np.int64)

    def block(part: slice) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        label = index.search(x[part], 1)[1][:, 0]
        member = scipy.sparse.csr_array(
            (np.ones(len(label)), (label, np.arange(len(label)))), (k, len(label))
        )
        return member @ x[part], np.bincount(label, minlength=k)

    for added, rows in nearest.in_blocks(block, len(x), _ROWS):
        total += added
        count += rows
    return nearest.unit(_split(total, count)).astype(np.float32)


def _split(total: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums in which every empty cluster has taken half of the largest, as faiss does.

    The two halves are moved apart by 1/1024 in every coordinate, in alternating directions.
    """
    count = count.copy()
    apart = np.where(np.arange(total.shape[1]) % 2, 1 - _APART, 1 + _APART)
    for empty in np.flatnonzero(count == 0):
        largest = int(np.argmax(count))
        total[empty], total[largest] = total[largest] * apart, total[largest] * (2 - apart)
        count[empty] = count[largest] // 2
        count[largest] -= count[empty]
    # Opposite rows may cancel out: such a cluster has no direction, and any will do.
    total[np.linalg.norm(total, axis=1) < 1e-9, 0] = 1.0
    return total


def assign(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> nearest.Nearest:
    """The nearest centroid of every row and the cosine to it, independent of the batch.

    Args:
      x: Shape (n, d), about unit norm.
      centroids: Shape (k, d), unit rows.

    Returns:
      `(neighbour, cosine)`, int32 and float32 of shape (n,); ties go to the lowest centroid.
    """
    return nearest.nearest(x, centroids)
