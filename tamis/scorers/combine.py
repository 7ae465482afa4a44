"""Several scores as one: the weighted sum of monotone transforms of them.

==========  ==========================  ========================================================
transform   t(x)                        for
==========  ==========================  ========================================================
identity    x                           scores of one scale
log         sign(x) log(1 + abs x)      heavy tails, such as counts and log weights
root        sign(x) sqrt(abs x)         lighter ones
logistic    1 / (1 + exp(-x))           margins, to bound what one score can do
logit       log(x / (1 - x))            probabilities; x is held within 2^-24 of 0 and 1
==========  ==========================  ========================================================

All rise with x, so one scorer alone keeps its order. Weights carry units. To weigh scores of unlike
scales without thinking, combine their ranks: `tier: {by: {a: 1, b: 2}}` is the weighted rank
average over the pool (`tamis.tiers.combine`), which no function of a row alone can be.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from tamis import errors
from tamis.scorers import protocol

_EDGE = 2.0**-24

TRANSFORMS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "identity": lambda x: x,
    "log": lambda x: np.sign(x) * np.log1p(np.abs(x)),
    "root": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
    "logistic": special.expit,
    "logit": lambda x: special.logit(np.clip(x, _EDGE, 1 - _EDGE)),
}


def weighted_sum(
    scores: Sequence[NDArray[np.float32]],
    weights: Sequence[float],
    transforms: Sequence[str] = (),
) -> NDArray[np.float32]:
    """Sum over i of weight i times transform i of score i, in float64 and in this order.

    Args:
      scores: Each of shape (n,).
      weights: One for each.
      transforms: One for each, of `TRANSFORMS`; none means the identity.
    """
    total = np.zeros(len(scores[0]))
    named = transforms or ["identity"] * len(scores)
    for score, weight, name in zip(scores, weights, named, strict=True):
        total += weight * TRANSFORMS[name](score.astype(np.float64))
    return total.astype(np.float32)


def _check(names: Sequence[object], weights: Sequence[float], transforms: Sequence[str]) -> None:
    if not names or len(names) != len(weights) or len(transforms) not in (0, len(names)):
        raise errors.ConfigError(
            f"{len(weights)} weights and {len(transforms)} transforms for {len(names)} scorers",
            remedy="give at least one scorer, each a weight, and each or none a transform",
        )
    unknown = [name for name in transforms if name not in TRANSFORMS]
    if unknown:
        raise errors.ConfigError(
            f"there is no transform {unknown[0]!r}", remedy=f"choose of {', '.join(TRANSFORMS)}"
        )
    if not np.all(np.isfinite(weights)):
        raise errors.ConfigError(f"weights {list(weights)} are not finite")


@dataclasses.dataclass(frozen=True)
class Combine:
    """Scorers as one, computed in one pass, for Python. Costs what its scorers cost.

    Attributes:
      scorers: At least one.
      weights: One for each; a negative weight turns a score around.
      transforms: One for each, or none.
      name: Of the sidecar.
    """

    scorers: tuple[protocol.Scorer, ...]
    weights: tuple[float, ...]
    transforms: tuple[str, ...] = ()
    name: str = "combine"

    def __post_init__(self) -> None:
        _check(self.scorers, self.weights, self.transforms)

    @property
    def reads(self) -> tuple[str, ...]:
        """What any of them reads."""
        return tuple(dict.fromkeys(c for scorer in self.scorers for c in scorer.reads))

    def setup(self) -> None:
        for scorer in self.scorers:
            scorer.setup()

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        scores = [scorer.score(batch) for scorer in self.scorers]
        return weighted_sum(scores, self.weights, self.transforms)


@dataclasses.dataclass(frozen=True)
class Blend:
    """Scores that the same run has written, for run files. O(1) a row and score.

    Attributes:
      weights: Scorer to weight, scorers of the run file; a negative weight turns a score around.
      transforms: Scorer to transform, where it is not the identity.
      name: Of the sidecar.
    """

    weights: dict[str, float]
    transforms: dict[str, str] = dataclasses.field(default_factory=dict)
    name: str = "blend"

    def __post_init__(self) -> None:
        stray = sorted(set(self.transforms) - set(self.weights))
        if stray:
            raise errors.ConfigError(
                f"a transform for {stray[0]!r}, which has no weight",
                remedy=f"weighted are {', '.join(self.weights)}",
            )
        _check(list(self.weights), list(self.weights.values()), self._transforms)

    @property
    def _transforms(self) -> list[str]:
        return [self.transforms.get(name, "identity") for name in self.weights]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the scores."""
        return tuple(f"score:{name}" for name in self.weights)

    def setup(self) -> None:
        pass

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        scores = [batch.column(name).to_numpy(zero_copy_only=False) for name in self.reads]
        return weighted_sum(scores, list(self.weights.values()), self._transforms)
