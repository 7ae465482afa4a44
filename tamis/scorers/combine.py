"""Several scorers as one: their weighted sum, computed in one pass.

The scores keep their own scales, so weights carry units. To weigh scores of unlike scales, write
them apart and combine their ranks (`tamis.tiers.combine`).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.scorers import protocol


def weighted_sum(
    scores: Sequence[NDArray[np.float32]], weights: Sequence[float]
) -> NDArray[np.float32]:
    """Sum over i of weight i times score i, in float64 and in this order."""
    total = np.zeros(len(scores[0]))
    for score, weight in zip(scores, weights, strict=True):
        total += weight * score.astype(np.float64)
    return total.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Combine:
    """Costs what its scorers cost.

    Attributes:
      scorers: At least one.
      weights: One for each; a negative weight turns a score around.
      name: Of the sidecar.
    """

    scorers: tuple[protocol.Scorer, ...]
    weights: tuple[float, ...]
    name: str = "combine"

    def __post_init__(self) -> None:
        if not self.scorers or len(self.scorers) != len(self.weights):
            raise errors.ConfigError(
                f"{len(self.weights)} weights for {len(self.scorers)} scorers",
                where=self.name,
                remedy="give at least one scorer, and each a weight",
            )
        if not np.all(np.isfinite(self.weights)):
            raise errors.ConfigError(
                f"weights {list(self.weights)} are not finite", where=self.name
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """What any of them reads."""
        return tuple(dict.fromkeys(c for scorer in self.scorers for c in scorer.reads))

    def setup(self) -> None:
        for scorer in self.scorers:
            scorer.setup()

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        return weighted_sum([scorer.score(batch) for scorer in self.scorers], self.weights)
