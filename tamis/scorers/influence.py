"""Influence of a row on the target: how far leaving it out moves the target's predictions.

Feldman & Zhang (2020), Eq. 2: infl(i, j) = P[right on j, trained on S] - P[right on j, trained on S
without i]. Sorscher et al. (2022) prune by its largest and by its summed size over j. High = the
target leans on the row; the paper keeps those. `tamis.pilots.subsets` estimates it by models of
random subsets; for ridge regression onto one-hot labels it is exact: leaving out row i moves the
prediction of class y_j on target row j by (x_j' G x_i) (y_i - f_i)[y_j] / (1 - h_i), with
G = (X'X + lambda I)^-1.
"""

import dataclasses
import functools
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg
from tamis.scorers import ridge

Over = Literal["max", "sum_abs"]


def reduced(influence: NDArray[np.float64], over: Over) -> NDArray[np.float64]:
    """Influences (n, m) on m target rows as one size (n,): the largest, or their sum."""
    size = np.abs(influence)
    return size.max(1, initial=0) if over == "max" else size.sum(1)


class Target(NamedTuple):
    """What the target contributes.

    Attributes:
      response: Shape (d + 1, m), G times the target's rows.
      classes: Shape (m,).
    """

    response: NDArray[np.float64]
    classes: NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Influence(ridge.Classifier):
    """Of a row of the supply on the target, through a ridge classifier; O((d + m) d) a row.

    Attributes:
      target: Path of an `.npy`, shape (m, d), the target's rows.
      target_classes: Path of an `.npy`, shape (m,), their positions among `labels`.
      over: The largest influence, or the sum of their sizes.
    """

    target: str = ""
    target_classes: str = ""
    over: Over = "sum_abs"
    name: str = "influence"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.over not in get_args(Over):
            raise errors.ConfigError(
                f"over is {self.over!r}", where=self.name, remedy="set over to max or sum_abs"
            )

    @functools.cached_property
    def _target(self) -> Target:
        rows = ridge.fixed(artifacts.read(self.target)).astype(np.float64)
        response = linalg.product(rows, self._artifact.inverse).T
        return Target(response, np.array(artifacts.read(self.target_classes)))

    def setup(self) -> None:
        super().setup()
        _ = self._target

    def hardness(self, rows: ridge.Rows) -> NDArray[np.float64]:
        response, classes = self._target
        moved = rows.residual / (1 - rows.leverage)[:, None]
        return reduced(linalg.product(rows.x, response) * moved[:, classes], self.over)
