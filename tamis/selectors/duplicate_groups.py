"""From near pairs to groups of duplicates, at every threshold at once.

Rows are in one group at threshold t when a chain of pairs with cosines of at least t joins them
(connected components; single linkage). All of that, for every t, is in the maximum spanning forest
of the pairs: at most n - 1 of them, and the forest of a union is the forest of the forests' union.
So blocks hand over forests, whose size does not depend on how many pairs a clique has, and a
threshold is changed without comparing a row again.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from numpy.typing import NDArray

from tamis import keys
from tamis.selectors import near_pairs


def forest(pairs: near_pairs.Pairs, n: int) -> near_pairs.Pairs:
    """A maximum spanning forest: the pairs that join what no better pair joins.

    Pairs of one cosine go by (a, b), so that it is the same for any order of the pairs. Time
    O(p log p), memory O(p).

    Args:
      pairs: Of rows below `n`; may hold a pair twice.
      n: Rows.

    Returns:
      Pairs with a < b, best first.
    """
    low, high = np.minimum(pairs.a, pairs.b), np.maximum(pairs.a, pairs.b)
    order = np.lexsort((high, low, -pairs.similarity))
    low, high, best = low[order], high[order], pairs.similarity[order]
    # A sparse matrix would add up a pair that is there twice.
    _, first = np.unique(low * n + high, return_index=True)
    first.sort()
    place = np.arange(1, len(first) + 1, dtype=np.float64)  # no ties, so one tree is the smallest
    graph = scipy.sparse.coo_array((place, (low[first], high[first])), (n, n))
    tree = scipy.sparse.csgraph.minimum_spanning_tree(graph.tocsr())
    kept = first[np.sort(tree.data).astype(np.int64) - 1]
    return near_pairs.Pairs(low[kept], high[kept], best[kept])


def groups(pairs: near_pairs.Pairs, n: int, threshold: float) -> NDArray[np.int64]:
    """The group of every row at a threshold, shape (n,), numbered by its lowest row.

    Args:
      pairs: Near pairs or their forest.
      n: Rows.
      threshold: At least the one the pairs were found at.
    """
    near = pairs.similarity >= np.float32(threshold)
    joined = scipy.sparse.coo_array(
        (np.ones(int(near.sum()), np.int8), (pairs.a[near], pairs.b[near])), (n, n)
    )
    _, label = scipy.sparse.csgraph.connected_components(joined.tocsr(), directed=False)
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group]


def representatives(
    group: NDArray[np.int64], score: NDArray[np.float32], uid: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The row that stands for each row: of its group the best score, ties to the lowest uid.

    Args:
      group: Shape (n,), 0 to the number of groups.
      score: Shape (n,), higher = keep, no NaN.
      uid: Shape (n, 2).

    Returns:
      Shape (n,) int64; a row that is kept stands for itself.
    """
    order = np.lexsort((uid[:, 1], uid[:, 0], ~keys.key(score), group))
    _, first = np.unique(group[order], return_index=True)
    return order[first][group]


def weights(representative: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows each kept row stands for, shape (n,); 0 for the others.

    Args:
      representative: Of each row.
      count: Rows that each stood for already, 1 where there are no exact copies.
    """
    total = np.zeros(len(count), np.int64)
    np.add.at(total, representative, count)
    return total


class Sweep(NamedTuple):
    """What each threshold would keep.

    Attributes:
      threshold: Shape (t,), as asked.
      kept: Shape (t,) int64, rows: one of each group, and those in none.
      example: Shape (t, e) int64: positions of the pairs just above each, the least alike first;
        -1 where there are fewer.
    """

    threshold: NDArray[np.float64]
    kept: NDArray[np.int64]
    example: NDArray[np.int64]


def sweep(
    tree: near_pairs.Pairs, n: int, thresholds: NDArray[np.float64], examples: int = 3
) -> Sweep:
    """How many rows each threshold keeps, with pairs to judge it by.

    Args:
      tree: The forest (each of its pairs at or above t makes the groups one fewer).
      n: Rows, of which `tree` joins some.
      thresholds: At least the one the pairs were found at.
      examples: Pairs for each.
    """
    asked = np.asarray(thresholds, np.float64)
    joined = np.searchsorted(-tree.similarity, -asked.astype(np.float32), side="right")
    example = joined[:, None] - 1 - np.arange(examples)
    return Sweep(asked, n - joined, np.maximum(example, -1))


class Chains(NamedTuple):
    """How far groups reach beyond pairs: a ~ b ~ c does not make a ~ c.

    Attributes:
      size: Shape (g,) int64, rows of each group of two or more, largest first.
      lowest: Shape (g,) float32, the lowest cosine of one of its rows to the row that is kept.
      representative: Shape (g,) int64, that row.
    """

    size: NDArray[np.int64]
    lowest: NDArray[np.float32]
    representative: NDArray[np.int64]


def chains(representative: NDArray[np.int64], cosine: NDArray[np.float32]) -> Chains:
    """Groups by size, with their reach.

    Args:
      representative: Of each row, shape (n,).
      cosine: To it, shape (n,); `near_pairs.cosine`.
    """
    kept, group, size = np.unique(representative, return_inverse=True, return_counts=True)
    lowest = np.full(len(kept), np.inf, np.float32)
    np.minimum.at(lowest, group, cosine)
    several = np.flatnonzero(size > 1)
    order = several[np.lexsort((kept[several], -size[several]))]
    return Chains(size[order], lowest[order], kept[order])
