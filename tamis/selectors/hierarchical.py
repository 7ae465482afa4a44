"""Hierarchical k-means and balanced sampling (Vo et al. 2024, arXiv 2405.15613).

k-means puts many centroids where there are many rows. k-means of the centroids, again and again,
with resampling, spreads them more evenly over what there is; a sample that is balanced from the
top of that tree to its leaves covers rare matter and common matter alike.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import clusters, errors
from tamis.schemas import embeddings
from tamis.selectors import pools

Leaf = Literal["random", "closest"]
_ITERATIONS = 20


class Tree(NamedTuple):
    """A hierarchy of clusters.

    Attributes:
      parents: `parents[0]` is the cluster of each row, shape (n,); `parents[l]` that of each
        cluster of level l, shape (k_l,).
      cosine: Of each row to its centroid, shape (n,).
    """

    parents: tuple[NDArray[np.int64], ...]
    cosine: NDArray[np.float32]

    def sizes(self, level: int) -> NDArray[np.int64]:
        """Rows under each cluster of a level, 1 for the clusters of rows."""
        counts = np.ones(len(self.parents[0]), np.int64)
        for parent in self.parents[:level]:
            counts = np.bincount(parent, counts, int(parent.max(initial=-1)) + 1).astype(np.int64)
        return counts


def balanced(sizes: NDArray[np.int64], budget: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A budget over children: min(c, size) each for the largest fitting c, and the rest at random.

    Vo et al. (2024), §3.3: c is found by bisection; what is left after min(c, size) goes, one
    each, to random children with more than c rows.

    Args:
      sizes: Rows of each child, shape (k,).
      budget: Rows wanted; more than there are means all.
      rng: Of the rest.

    Returns:
      Rows of each child, which sum to min(budget, sum of sizes) exactly.

    >>> balanced(np.array([1, 5, 50]), 12, np.random.default_rng(0)).tolist()
    [1, 5, 6]
    """
    k = pools.wanted(budget, int(sizes.sum()))
    low, high = 0, int(sizes.max(initial=0)) + 1  # c is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if np.minimum(middle, sizes).sum() <= k else (low, middle)
    counts = np.minimum(low, sizes)
    more = np.flatnonzero(sizes > low)
    counts[rng.permutation(more)[: k - int(counts.sum())]] += 1
    return counts


def tree(
    x: NDArray[np.float64], levels: tuple[int, ...], resampling: int, rng: np.random.Generator
) -> Tree:
    """Cluster rows, then centroids, then their centroids.

    Args:
      x: Shape (n, d), unit rows; their order matters.
      levels: Clusters of each level, rows first; no more than what they cluster.
      resampling: How often each level is clustered again from the rows nearest its centroids, half
        a mean cluster each; Vo et al. (2024) take 10.
      rng: Of the starts.

    Time O((1 + resampling / 2) n k d) for 20 iterations of k-means, memory O(n d).
    """
    parents, points, cosine = [], np.asarray(x, np.float32), np.zeros(0, np.float32)
    for level, k in enumerate(levels):
        seeds = rng.integers(2**31, size=resampling + 1)
        centroids, found = _level(points, min(k, len(points)), seeds)
        cosine = found.cosine if level == 0 else cosine
        parents.append(found.neighbour.astype(np.int64))
        points = centroids
    return Tree(tuple(parents), cosine)


def _level(x: NDArray[np.float32], k: int, seeds: NDArray[np.int64]) -> tuple:
    """Centroids (k, d) and the `Nearest` of every row."""
    centroids = clusters.fit(x, k, iterations=_ITERATIONS, seed=int(seeds[0]))
    found = clusters.assign(x, centroids)
    size = max(1, len(x) // (2 * k))
    for seed in seeds[1:] if size > 1 else ():
        place = _place(found.neighbour, -found.cosine)
        near = np.flatnonzero(place < size)
        if len(near) < k:
            break
        centroids = clusters.fit(x[near], k, iterations=_ITERATIONS, seed=int(seed))
        found = clusters.assign(x, centroids)
    return centroids, found


def _place(group: NDArray[np.integer], key: NDArray) -> NDArray[np.int64]:
    """Rank of each row in its group, smallest key first, then lowest row; shape (n,)."""
    order = np.lexsort((np.arange(len(key)), key, group))
    sizes = np.bincount(group)
    place = np.empty(len(key), np.int64)
    place[order] = np.arange(len(key)) - (np.cumsum(sizes) - sizes)[group[order]]
    return place


def quotas(made: Tree, budget: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows to take of each cluster of rows, balanced from the top down; shape (k_1,)."""
    top = len(made.parents)
    wanted = balanced(made.sizes(top), budget, rng)
    for level in range(top - 1, 0, -1):
        parent, sizes = made.parents[level], made.sizes(level)
        below = np.zeros(len(sizes), np.int64)
        for j in np.flatnonzero(wanted):
            children = np.flatnonzero(parent == j)
            below[children] = balanced(sizes[children], int(wanted[j]), rng)
        wanted = below
    return wanted


def default_levels(n: int) -> tuple[int, int]:
    """Two levels: the square root of the rows, and the square root of that."""
    return clusters.default_k(n), max(1, math.isqrt(clusters.default_k(n)))


@dataclasses.dataclass(frozen=True)
class Hierarchical:
    """A sample that is balanced over a tree of clusters.

    Time O((1 + resampling / 2) n k d) for 20 iterations of k-means, memory O(n d).

    Attributes:
      levels: Clusters of each level, rows first; empty for `default_levels`. Vo et al. (2024) use
        four for 743 M images, three where there are fewer.
      resampling: Steps at each level.
      leaf: Which rows of a cluster: any, or those nearest to its centroid.
      embedding: Column of vectors.
    """

    levels: tuple[int, ...] = ()
    resampling: int = 10
    leaf: Leaf = "random"
    embedding: str = embeddings.EMBEDDING

    def __post_init__(self) -> None:
        falling = list(self.levels) == sorted(self.levels, reverse=True)
        whole = all(isinstance(k, int) and k > 0 for k in self.levels)
        if not (falling and whole and self.resampling >= 0 and self.leaf in ("random", "closest")):
            raise errors.ConfigError(
                f"levels {list(self.levels)}, resampling {self.resampling}, leaf {self.leaf!r}",
                where="hierarchical",
                remedy="levels fall, resampling is at least 0, leaf is random or closest",
            )

    reads = pools.Reads("embedding")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        if not pools.wanted(budget, len(rows)):
            return rows[:0]
        priority = pools.priority(pool, rows, rng, "hierarchical")
        x = pools.unit(pool, self.embedding, rows)
        made = tree(x, self.levels or default_levels(len(x)), self.resampling, rng)
        key = -made.cosine if self.leaf == "closest" else priority
        place = _place(made.parents[0], key)
        taken = np.flatnonzero(place < quotas(made, budget, rng)[made.parents[0]])
        return rows[taken[np.lexsort((priority[taken], place[taken]))]]
