"""Dichotomous difficulty: the share of a diverse set of models that get a row wrong.

Meding et al. (2022), Trivial or impossible: dichotomous data difficulty masks model differences.
High = hard: 0 is trivial, 1 impossible, and the paper's point is that both tell models apart badly.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis.scorers import probe


def misclassified(correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of models that are wrong, 0..1.

    Args:
      correct: Shape (..., m), whether each model classifies the row correctly.

    Returns:
      Shape (...).
    """
    return 1 - correct.mean(-1)


@dataclasses.dataclass(frozen=True)
class DichotomousDifficulty(probe.Probe):
    """Over the probe at every checkpoint of every run.

    The probe has one optimum, so its trained runs nearly agree; checkpoints make the set diverse.
    The paper has diverse architectures; so has a `Collector` that is shown several models.
    """

    name: str = "ddd"

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return misclassified(probe.correct(logits, classes).reshape(len(logits), -1))
