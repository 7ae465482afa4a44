"""Area under the margin: by how much the own class leads over training.

Pleiss et al. (2020), Identifying mislabeled data using the area under the margin ranking, Eqs. 1-2:
the mean over epochs of the logit of the label minus the largest other logit. Low = hard, and far
below zero = probably mislabelled, which the paper drops.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis.scorers import probe


def margin(logits: NDArray, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logit of the label minus the largest other.

    Args:
      logits: Shape (..., c), c at least 2.
      labels: Shape (...), 0..c-1.

    Returns:
      Shape (...), positive where the row is classified correctly.

    >>> margin(np.array([[3.0, 1.0, 2.0]]), np.array([1]))
    array([-2.])
    """
    others = logits.astype(np.float64)
    own = np.take_along_axis(others, labels[..., None], -1)[..., 0]
    np.put_along_axis(others, labels[..., None], -np.inf, axis=-1)
    return own - others.max(-1, initial=-np.inf)


@dataclasses.dataclass(frozen=True)
class Margin(probe.Probe):
    """The negative area under the margin of the probe: mean over checkpoints and runs."""

    name: str = "margin"

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        own = probe.repeat(classes, logits.shape[1:3])
        return -margin(logits, own).reshape(len(logits), -1).mean(1)
