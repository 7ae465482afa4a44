"""Forgetting: how often a row that was classified correctly was later classified wrongly.

Toneva et al. (2019), An empirical study of example forgetting, Definition 1. High = hard; the paper
drops the rows never forgotten first. It gives rows that are never learned infinity, and a score is
finite: here they get the number of times they were looked at. A row looked at t times is forgotten
at most t / 2 times, so they still stand above all others.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis.scorers import probe


def forgetting(correct: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Events of forgetting, t for what was never learned.

    Args:
      correct: Shape (..., t), whether the row was classified correctly at each look, in order.

    Returns:
      Shape (...), 0..t.

    >>> forgetting(np.array([[True, False, True, False], [True] * 4, [False] * 4]))
    array([2, 0, 4])
    """
    events = np.count_nonzero(correct[..., :-1] & ~correct[..., 1:], axis=-1)
    return np.where(correct.any(-1), events, correct.shape[-1])


@dataclasses.dataclass(frozen=True)
class Forgetting(probe.Probe):
    """Forgetting over the probe's checkpoints, the mean over its runs."""

    name: str = "forgetting"

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return forgetting(probe.correct(logits, classes)).mean(1)
