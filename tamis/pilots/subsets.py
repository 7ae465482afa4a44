"""Memorization and influence by models of random subsets, hundreds of linear probes at once.

Feldman & Zhang (2020), What neural networks memorize and why, section 2.2: train T models, each on
a random 70 % of the rows; a row's memorization is the share of models right on it among those that
saw it, minus that among those that did not, and likewise for its influence on a target row. The
error of an estimate is at most 1 / sqrt(4 T p (1 - p)), p the share of rows a model sees; the paper
trains 2,000 to 4,000.
"""

import numpy as np
from numpy.typing import NDArray

from tamis import seeding
from tamis.pilots import linear_probe

FRACTION = 0.7
_CHUNK = 64  # models trained together


def members(n: int, models: int, seed: int, fraction: float = FRACTION) -> NDArray[np.bool_]:
    """Which rows each model sees, the same number each: shape (models, n)."""
    seen = np.zeros((models, n), bool)
    for i, row in enumerate(seen):
        rng = seeding.generator(seed, "subsets", i)
        row[rng.choice(n, round(fraction * n), replace=False)] = True
    return seen


def correct(
    x: NDArray,
    labels: NDArray[np.int64],
    seen: NDArray[np.bool_],
    targets: tuple[NDArray, NDArray[np.int64]],
    *,
    seed: int,
    classes: int,
    epochs: int = 10,
) -> NDArray[np.bool_]:
    """Whether the model of each subset is right on each target row.

    Args:
      x: Shape (n, d), as `linear_probe.train` takes them.
      labels: Shape (n,).
      seen: Shape (models, n), see `members`.
      targets: Rows (m, d) and labels (m,); the training rows themselves for memorization.
      seed: Of the order of each training.
      classes: How many there are.
      epochs: Of each training.

    Returns:
      Shape (models, m). Time O(models epochs n d classes), memory O(models m) bits and a chunk of
      models.
    """
    found = []
    for start in range(0, len(seen), _CHUNK):
        orders = [
            rows[linear_probe.order(len(rows), epochs * len(rows), rng)]
            for i in range(start, min(start + _CHUNK, len(seen)))
            for rows in [np.flatnonzero(seen[i])]
            for rng in [seeding.generator(seed, "subset order", i)]
        ]
        weights = linear_probe.train(x, labels, np.stack(orders), classes=classes)
        wide = np.asarray(targets[0], np.float32)
        found += [(wide @ w[:, :-1].T + w[:, -1]).argmax(1) == targets[1] for w in weights]
    return np.stack(found)


def influence(seen: NDArray[np.bool_], right: NDArray) -> NDArray[np.float64]:
    """Influence of every row on every target row.

    Args:
      seen: Shape (models, n); every row is seen by some model and not by another.
      right: Shape (models, m), whether each model is right, or any other measure of how good it is.

    Returns:
      Shape (n, m), -1..1 for booleans.

    Raises:
      ValueError: a row is seen by all models, or by none.
    """
    inside = seen.T.astype(np.float64) @ right.astype(np.float64)
    return _difference(seen, inside, right)


def memorization(seen: NDArray[np.bool_], right: NDArray) -> NDArray[np.float64]:
    """Influence of every row on itself, the diagonal of `influence`: shape (n,).

    Args:
      seen: Shape (models, n).
      right: Shape (models, n), on the same rows.
    """
    return _difference(seen, (seen * right).sum(0), right)


def _difference(seen: NDArray[np.bool_], inside: NDArray, right: NDArray) -> NDArray[np.float64]:
    """Mean over the models that saw a row minus that over the others; `inside` is the sum."""
    times = np.count_nonzero(seen, axis=0)
    if not len(seen) or not np.all((times > 0) & (times < len(seen))):
        raise ValueError(f"{len(seen)} models are too few: some row is seen by all or by none")
    outside = right.sum(0) - inside
    count = times.reshape(-1, *(1 for _ in inside.shape[1:]))
    return inside / count - outside / (len(seen) - count)
