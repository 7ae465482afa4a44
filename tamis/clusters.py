"""Spherical k-means, with the same centroids and assignments on any number of threads.

maximise sum_i <x_i, c_{a(i)}>,  |c_j| = 1      (Dhillon & Modha 2001)
"""

import contextlib
import math
from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from tamis import errors, nearest, seeding

# Rows to fit on, per centroid: faiss reads no more than the first and warns below the second.
SAMPLE_PER_CENTROID, MIN_PER_CENTROID = 256, 39
SAMPLE_ROWS = 65_536
_ROWS = 8_192
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
    """Unit centroids of `x` by faiss spherical k-means, random rows to start from.

    The same `x` gives the same bytes on a machine with any number of cores, because it runs on
    one thread: a threaded product is cut by the number of threads, which moves its last bits and
    with them near-ties (seen with 4 threads on 65,536 x 256 rows with copies). The order of the
    rows matters, so sort them first. Time O(n k d iterations); memory O(n d).

    Args:
      x: Shape (n, d), unit rows, n at least k; a sample of `default_sample(k)` is enough.
      k: Clusters, at least 1.
      iterations: Passes over `x`; faiss stops early when nothing moves. Its own default is 25, and
        the objective gains less than 0.1 % after 20.
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
    training = faiss.Clustering(x.shape[1], k, _parameters(len(x), iterations, seed))
    with _one_thread():
        training.train(rows, faiss.IndexFlatIP(x.shape[1]))
    centroids = faiss.vector_float_to_array(training.centroids).reshape(k, -1)
    return nearest.unit(centroids).astype(np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """OpenMP's setting belongs to the calling thread, so no other worker slows down."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def assign(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> nearest.Nearest:
    """The nearest centroid of every row and the cosine to it, independent of the batch.

    Args:
      x: Shape (n, d), about unit norm.
      centroids: Shape (k, d), unit rows.

    Returns:
      `(neighbour, cosine)`, int32 and float32 of shape (n,); ties go to the lowest centroid.
    """
    return nearest.nearest(x, centroids)


def _parameters(n: int, iterations: int, seed: int) -> faiss.ClusteringParameters:
    parameters = faiss.ClusteringParameters()
    parameters.niter = iterations
    parameters.spherical = True
    # A C int; from the run's seed by name, like every other stream.
    parameters.seed = int(seeding.generator(seed, "k-means").integers(2**31 - 1))
    parameters.min_points_per_centroid = 1  # the caller decides; faiss would warn on stderr
    parameters.max_points_per_centroid = n  # never subsample in silence
    return parameters
