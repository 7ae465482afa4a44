"""Uncertainty sampling: how unsure a trained model is of a row. Needs no label.

Settles (2009), Active learning literature survey, section 3.1:

===================  ==================================================
least_confidence     one minus the largest probability
margin               one minus the lead of the largest over the second
entropy              -sum p log p, nats
===================  ==================================================

High = hard: active learning asks for the labels of the most uncertain. With two classes the three
rank alike.
"""

import dataclasses
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tamis import errors, linalg
from tamis.schemas import columns
from tamis.scorers import probe

Measure = Literal["entropy", "margin", "least_confidence"]


def uncertainty(p: NDArray[np.float64], measure: Measure) -> NDArray[np.float64]:
    """How unsure a prediction is.

    Args:
      p: Shape (..., c) probabilities, c at least 2.
      measure: In the module's table.

    Returns:
      Shape (...): entropy 0..log c, the others 0..1.
    """
    if measure == "entropy":
        return special.entr(p).sum(-1)
    if measure == "least_confidence":
        return 1 - p.max(-1)
    top = np.sort(p, axis=-1)
    return 1 - (top[..., -1] - top[..., -2])


@dataclasses.dataclass(frozen=True)
class Uncertainty(probe.Probe):
    """Of the trained probe, its probabilities averaged over its runs.

    Attributes:
      measure: In the module's table.
    """

    name: str = "uncertainty"
    measure: Measure = "entropy"
    reads: ClassVar[tuple[str, ...]] = (columns.EMBEDDING,)
    used: ClassVar[slice] = slice(-1, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.measure not in get_args(Measure):
            raise errors.ConfigError(
                f"measure is {self.measure!r}",
                where=self.name,
                remedy=f"choose one of {', '.join(get_args(Measure))}",
            )

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return uncertainty(linalg.softmax(logits[:, :, -1]).mean(1), self.measure)
