"""Nearest neighbours: a pilot without training.

The classifier is the distinct rows that a run has seen (Cover & Hart 1967). How often a row came
round makes no difference to it, so its errors fall with new rows and stand still with repeats: use
it where a training is too dear, and where budgets are below the supply.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis import linalg
from tamis.pilots import protocol

_BLOCK = 1 << 23  # cosines held at once


def predicted(
    x: NDArray, labels: NDArray[np.int64], target: NDArray, *, k: int, classes: int
) -> NDArray[np.int64]:
    """The class most of the k nearest rows have: shape (m,).

    Args:
      x: Shape (n, d), unit rows, at least one.
      labels: Shape (n,), 0..classes-1.
      target: Shape (m, d), unit rows.
      k: Neighbours; all rows where there are fewer.
      classes: How many classes there are.

    Equal votes go to the larger sum of cosines, then to the first class; equal cosines to the first
    row. Products are exact, so the answer does not depend on threads. O(n m d).
    """
    near, there = min(k, len(x)), linalg.fixed_point(x)
    found = np.empty(len(target), np.int64)
    step = max(1, _BLOCK // len(x))
    for start in range(0, len(target), step):
        cosine = linalg.products(linalg.fixed_point(target[start : start + step]), there)
        first = np.argsort(-cosine, axis=1, kind="stable")[:, :near]
        votes = np.zeros((len(cosine), classes))
        at = np.arange(len(cosine))[:, None], labels[first]
        # A vote is worth more than any sum of cosines.
        np.add.at(votes, at, 1 + np.take_along_axis(cosine, first, 1) / (4 * near))
        found[start : start + step] = votes.argmax(1)
    return found


@dataclasses.dataclass(frozen=True)
class Nearest:
    """Share of the target that the nearest rows get wrong.

    Attributes:
      classes: How many there are.
      k: Neighbours that vote.
    """

    classes: int
    k: int = 10

    def errors(
        self,
        rows: protocol.Rows,
        orders: NDArray[np.int64],
        targets: Sequence[protocol.Rows],
        *,
        seeds: Sequence[int],
    ) -> NDArray[np.float64]:
        """Shape (targets, runs)."""
        x, labels = rows
        found = np.empty((len(targets), len(orders)))
        for j, order in enumerate(orders):
            seen = np.unique(order)
            known = np.asarray(x[seen], np.float32), labels[seen]
            for i, (y, answers) in enumerate(targets):
                told = predicted(*known, y, k=self.k, classes=self.classes)
                found[i, j] = np.mean(told != answers)
        return found
