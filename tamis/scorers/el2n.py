"""EL2N: the length of the error of a row's predicted probabilities, early in training.

Paul, Ganguli & Dziugaite (2021), Deep learning on a data diet, Eq. 2: the mean over trainings of
||softmax(f(x)) - onehot(y)||_2. High = hard. The paper keeps the highest of clean data, and, where
labels are noisy, drops the very highest too (section 3.3).
"""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tamis import linalg
from tamis.scorers import probe


def el2n(logits: NDArray, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The error's length, 0..sqrt(2).

    Args:
      logits: Shape (..., c).
      labels: Shape (...), 0..c-1.

    Returns:
      Shape (...).
    """
    wrong = linalg.softmax(logits)
    np.put_along_axis(wrong, labels[..., None], 0, axis=-1)
    # The own class misses what the others have: no cancellation where it is nearly 1.
    return np.sqrt(np.square(wrong).sum(-1) + np.square(wrong.sum(-1)))


@dataclasses.dataclass(frozen=True)
class EL2N(probe.Probe):
    """EL2N at the probe's first checkpoint, a tenth of its training, the mean over its runs."""

    name: str = "el2n"
    used: ClassVar[slice] = slice(0, 1)

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return el2n(logits[:, :, 0], probe.repeat(classes, logits.shape[1:2])).mean(1)
