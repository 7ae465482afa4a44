"""Is a benchmark's score the score of all its parts?

Uzunoglu, Li & Khashabi (2025, arXiv 2509.25671). Parts are groups of items on which a model's
predictions are alike. With w_i the share of part i, f_i the accuracy on it and f the mean accuracy,
p_i is in proportion to w_i K((f_i - f) / b), and

    harmony = -(1 / log k) sum_i p_i log p_i,

1 where equal parts score alike, near 0 where one part makes the score.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from tamis import errors
from tamis.selectors import anchors

_LEAST = 1e-12
BANDWIDTH = (
    0.1  # accuracies that differ by it are still rather alike; the paper's is not known to us
)


class Parts(NamedTuple):
    """A partition of the items.

    Attributes:
      part: Of each item, shape (n,), 0..k-1.
      silhouette: How well apart the parts are, -1..1.
    """

    part: NDArray[np.int64]
    silhouette: float


def harmony(accuracy: NDArray, share: NDArray, *, bandwidth: float = BANDWIDTH) -> float:
    """The entropy of the parts that score near the mean, over its largest value; [0, 1].

    Args:
      accuracy: Of each part, shape (k,), k at least 2.
      share: Of the items in each, shape (k,), positive.
      bandwidth: b, of the Gaussian kernel K.

    Raises:
      PlanError: there is one part, or a share is not positive.
    """
    f, w = np.asarray(accuracy, np.float64), np.asarray(share, np.float64)
    if len(f) < 2 or len(f) != len(w) or not (np.all(w > 0) and bandwidth > 0):
        raise errors.PlanError(
            f"harmony of {len(f)} parts with {len(w)} shares",
            why="it compares at least two parts that hold something",
            remedy="give an accuracy and a positive share for each of two parts or more",
        )
    w = w / w.sum()
    log_p = np.log(w) - ((f - w @ f) / bandwidth) ** 2 / 2
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    return float(-np.sum(p * np.log(np.maximum(p, _LEAST))) / np.log(len(f)))


def predictive_similarity(probability: NDArray) -> NDArray[np.float64]:
    """exp(-(KL(p_i, p_j) + KL(p_j, p_i)) / 2) of a model's answers to every two items, (n, n).

    Args:
      probability: Of every option of every item, shape (n, c), rows summing to 1, options in an
        order that means the same for every item, such as by probability.

    Time and memory O(n^2) beside O(n^2 c) for the product.
    """
    p = np.maximum(anchors.finite(probability), _LEAST)
    log_p = np.log(p)
    cross = p @ log_p.T  # sum of p_i log p_j
    own = np.einsum("nc,nc->n", p, log_p)
    return np.exp(-np.maximum(own[:, None] + own - cross - cross.T, 0) / 2)


def parts(similarity: NDArray[np.float64], rng: np.random.Generator, *, most: int = 20) -> Parts:
    """Spectral clustering of the items, with as many parts as have the best silhouette.

    Ng, Jordan & Weiss (2001): k-means of the rows, over their norms, of the leading eigenvectors of
    D^-1/2 S D^-1/2; the silhouette (Rousseeuw 1987) is of the distance 1 - S.

    Args:
      similarity: Shape (n, n), symmetric, 0..1.
      rng: Of k-means.
      most: Parts tried, from 2.

    Raises:
      PlanError: there are fewer than three items.

    Time O(n^3) for the eigenvectors, memory O(n^2): for benchmarks of some thousand items.
    """
    n = len(similarity)
    if n < 3:
        raise errors.PlanError(f"{n} items have no parts", remedy="give at least three items")
    root = 1 / np.sqrt(np.maximum(similarity.sum(axis=1), _LEAST))
    most = min(most, n - 1)
    _, vectors = linalg.eigh(
        similarity * root[:, None] * root, subset_by_index=[max(n - most, 0), n - 1]
    )
    best = Parts(np.zeros(n, np.int64), -np.inf)
    for k in range(2, most + 1):
        lead = vectors[:, -k:]
        unit = lead / np.maximum(np.linalg.norm(lead, axis=1, keepdims=True), _LEAST)
        part = anchors.clustered(unit, k, rng)[0]
        found = Parts(np.unique(part, return_inverse=True)[1], silhouette(1 - similarity, part))
        best = found if found.silhouette > best.silhouette else best
    return best


def silhouette(distance: NDArray[np.float64], part: NDArray[np.int64]) -> float:
    """How well apart the parts are (Rousseeuw 1987): the mean of (b - a) / max(a, b) over items.

    Here a is an item's mean distance to its own part, b to the nearest other.
    An item alone in its part counts 0. Shape (n, n) and (n,); -1..1; -1 for a single part.
    """
    names, own = np.unique(part, return_inverse=True)
    if len(names) < 2:
        return -1.0
    member = np.eye(len(names))[own]
    total, size = distance @ member, member.sum(axis=0)
    at = np.arange(len(part))
    a = total[at, own] / np.maximum(size[own] - 1, 1)
    others = total / size
    others[at, own] = np.inf
    b = others.min(axis=1)
    top = np.maximum(np.maximum(a, b), _LEAST)
    return float(np.where(size[own] > 1, (b - a) / top, 0).mean())
