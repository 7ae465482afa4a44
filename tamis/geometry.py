"""What a cloud of vectors and its labels are like: facts for the report, none of them a decision.

All work on a sample: O(m^2 d) time for m rows, and O(m) memory beside the vectors.
"""

import numpy as np
from numpy.typing import NDArray

from tamis import linalg

_BLOCK_BYTES = 32 << 20


def intrinsic_dimension(x: NDArray, k: int = 20) -> float | None:
    """How many coordinates would do near each row: maximum likelihood from k neighbours.

    Levina & Bickel (2005): 1 / m(x) is the mean over j < k of log(T_k / T_j), with T_j the distance
    of row x to its j-th neighbour; averaged as MacKay & Ghahramani (2005) corrected it,
    d = 1 / mean of 1 / m(x). Copies of a row have no distance and are counted once.

    Args:
      x: Shape (n, d), rows of norm at most 2.
      k: Neighbours. Konz & Mazurowski (2024) take 20; fewer look nearer and are noisier.

    Returns:
      At least 0; None with fewer than three distinct rows. It is low by a fifth or so in 10
      dimensions with some thousand rows and worse above, for neighbours are then far away.
    """
    rows = np.unique(linalg.fixed_point(x), axis=0)
    near = min(k, len(rows) - 1)
    if near < 2:
        return None
    inverse = np.concatenate([_log_ratios(squares) for squares in _neighbours(rows, near)])
    mean = float(inverse.mean())
    return 1 / mean if mean > 0 else None


def _neighbours(rows: NDArray[np.float64], k: int) -> list[NDArray[np.float64]]:
    """Squared distances to the k nearest other rows, ascending, block by block."""
    square, found = linalg.squares(rows), []
    step = max(1, _BLOCK_BYTES // (8 * len(rows)))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        away = linalg.square_distances(rows, square, part)
        mine = np.arange(start, start + len(away))
        away[mine - start, mine] = np.inf
        found.append(np.sort(np.partition(away, k - 1, axis=1)[:, :k], axis=1))
    return found


def _log_ratios(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / m of every row: squared distances, so half their logarithms."""
    return 0.5 * np.log(squares[:, -1:] / squares[:, :-1]).mean(axis=1)


def nearest_other_label(x: NDArray, label: NDArray[np.int64]) -> float | None:
    """The least distance of two rows with different labels; its inverse is the label sharpness.

    Konz & Mazurowski (2024), The effect of intrinsic dataset properties, Eq. 2:
    K_F = max of 1[y_j != y_k] / |x_j - x_k| over a sample. (The published code has the indicator
    the other way round, so its printed values are of rows with one label.)

    Args:
      x: Shape (n, d), rows of norm at most 2. They take n = 1,000; a maximum grows with n.
      label: Shape (n,).

    Returns:
      At least 0, where 0 is one vector with two labels; None with fewer than two labels.
    """
    if len(np.unique(label)) < 2:
        return None
    rows = linalg.fixed_point(x)
    square, least = linalg.squares(rows), np.inf
    step = max(1, _BLOCK_BYTES // (8 * len(rows)))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        away = linalg.square_distances(rows, square, part)
        other = label[part, None] != label
        least = min(least, float(away[other].min(initial=np.inf)))
    return float(np.sqrt(least))


def imbalance_factor(sizes: NDArray[np.int64]) -> float:
    """How uneven groups are, k sum n_j^2 / n^2: 1 for equal sizes, k for all in one.

    As faiss has it (Jegou et al. 2011). n^2 / sum n_j^2 is Kish's effective number of groups.

    >>> imbalance_factor(np.array([5, 5])), imbalance_factor(np.array([10, 0]))
    (1.0, 2.0)
    """
    n = int(sizes.sum())
    return float(len(sizes) * np.sum(sizes.astype(np.float64) ** 2) / n**2) if n else 1.0


def vendi_score(x: NDArray) -> float:
    """The effective number of distinct rows: n if all are orthogonal, 1 if all are one direction.

    Friedman & Dieng (2023), Def. 1, with the cosine kernel: the exponential of the entropy of the
    eigenvalues of K / n. The d by d matrix x'x / n has the same ones other than 0, so the time is
    O(n d^2), and the score is at most min(n, d): of vectors with 256 components it is the effective
    number of directions.

    Args:
      x: Shape (n, d), unit rows, n at least 1.
    """
    wide = np.asarray(x, np.float64)
    value = np.linalg.eigvalsh(wide.T @ wide / len(wide))
    value = value[value > 1e-12] / value[value > 1e-12].sum()
    return float(np.exp(-np.sum(value * np.log(value))))
