"""Which end of a difficulty to keep.

Most scores of pruning measure how hard a row is, and the literature disagrees on what to do with
that: with plentiful clean data the hard rows are worth most, with scarce or noisy data the easy
ones (Sorscher et al. 2022, section 2). Each such scorer computes a difficulty, and `keep` turns it
into a score. Easy by default: on uncurated data the hardest rows are mostly noise, and where the
theory says hard, a plan from pilots finds it, for tiers are tried and not believed. In a run file
`keep: theory` asks `tamis.selectors.pruning.advise`, which needs no pilots.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tamis import errors

Keep = Literal["easy", "hard"]
THEORY = "theory"  # in a run file: decided when the size of the pool is known


def check(keep: str, where: str) -> None:
    """Raise ConfigError unless `keep` is easy or hard.

    Args:
      keep: What a user wrote.
      where: Name of the scorer.
    """
    if keep not in get_args(Keep):
        raise errors.ConfigError(
            f"keep is {keep!r}",
            where=where,
            remedy="set keep to easy or hard; a run file may also say theory",
        )


def oriented(difficulty: NDArray, keep: Keep) -> NDArray[np.float32]:
    """Difficulty as a score, higher = keep: itself to keep the hard, negated to keep the easy."""
    score = difficulty.astype(np.float32, copy=False)
    return score if keep == "hard" else -score
