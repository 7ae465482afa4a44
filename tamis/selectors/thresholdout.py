"""Thresholdout, the reusable holdout: a set that may be asked again and again, until it may not.

Dwork, Feldman, Hardt, Pitassi, Reingold & Roth (2015), The reusable holdout: Preserving validity
in adaptive data analysis, Science 349:636; Generalization in adaptive data analysis and holdout
reuse, NeurIPS 2015, Fig. 1. A question is a mean over rows, known on a training set t and on a
holdout set h:

    gap > T' + noise(4 sigma):   B <- B - 1,  T' <- T + noise(2 sigma),  answer h + noise(sigma)
    otherwise:                                                           answer t

While the training set tells the truth, questions are free and tell nothing about the holdout. Each
time it does not, the answer costs 1 of the budget B. When B is spent every question is refused.
"""

import dataclasses
import math
from typing import Literal

import numpy as np

from tamis import errors

Noise = Literal["laplace", "gaussian"]
FRESH = "collect fresh target rows and start a new run folder with them"
# Of the threshold, the gap and the answer, in sigmas. Laplace as in the theorem; Gaussian as in the
# authors' experiment, which uses one scale for all.
_SCALES = {"laplace": (2.0, 4.0, 1.0), "gaussian": (1.0, 1.0, 1.0)}


@dataclasses.dataclass(frozen=True)
class State:
    """What must outlive the process, or the budget means nothing.

    Attributes:
      left: Answers that may still come from the holdout.
      threshold: T', the noisy threshold in force.
      queries: Questions answered.
    """

    left: int
    threshold: float
    queries: int = 0


@dataclasses.dataclass(frozen=True)
class Thresholdout:
    """The terms on which a holdout set answers.

    Attributes:
      threshold: T, the gap between training and holdout set that is taken for overfitting.
      sigma: Scale of the noise; 0 for none, and then no guarantee.
      budget: B, answers from the holdout before it is spent.
      noise: `laplace` as in the theorem, `gaussian` as in the authors' experiment.

    >>> rng = np.random.default_rng(1)
    >>> terms = Thresholdout(threshold=0.1, sigma=0, budget=1)
    >>> answer, state = terms.answer(terms.start(rng), 0.30, 0.35, rng)
    >>> answer, state.left
    (0.3, 1)
    >>> answer, state = terms.answer(state, 0.30, 0.50, rng)
    >>> answer, state.left
    (0.5, 0)
    """

    threshold: float
    sigma: float
    budget: int
    noise: Noise = "laplace"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise ValueError(f"threshold must be finite and at least 0, not {self.threshold}")
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"sigma must be finite and at least 0, not {self.sigma}")
        if self.budget < 1:
            raise ValueError(f"budget must be at least 1, not {self.budget}")
        if self.noise not in _SCALES:
            raise ValueError(f"noise must be one of {', '.join(_SCALES)}, not {self.noise!r}")

    def start(self, rng: np.random.Generator) -> State:
        """The state before the first question."""
        return State(self.budget, self._threshold(rng))

    def answer(
        self, state: State, train_value: float, holdout_value: float, rng: np.random.Generator
    ) -> tuple[float, State]:
        """One question.

        Args:
          state: From `start` or the last answer.
          train_value: The mean on the training set.
          holdout_value: The mean on the holdout set, which only this function may see.
          rng: Of the noise; the same one twice gives the same answer.

        Returns:
          The answer, not cut to the range of the mean, and the state after it.

        Raises:
          PlanError: the budget is spent, the state is not one, or a value is not finite.
        """
        if not (0 <= state.left <= self.budget and math.isfinite(state.threshold)):
            raise errors.PlanError(
                f"not a state of this holdout: {state}",
                why="its budget cannot be told, so it is taken to be spent",
                remedy=FRESH,
            )
        if not (math.isfinite(train_value) and math.isfinite(holdout_value)):
            raise errors.PlanError(
                f"cannot answer from {train_value} and {holdout_value}",
                why="a mean must be finite",
                remedy="mend what measured it",
            )
        if state.left < 1:
            raise exhausted(state.queries, self.budget)
        gap = abs(holdout_value - train_value)
        if gap <= state.threshold + self._draw(1, rng):
            return train_value, dataclasses.replace(state, queries=state.queries + 1)
        after = State(state.left - 1, self._threshold(rng), state.queries + 1)
        return holdout_value + self._draw(2, rng), after

    def _threshold(self, rng: np.random.Generator) -> float:
        return self.threshold + self._draw(0, rng)

    def _draw(self, which: int, rng: np.random.Generator) -> float:
        scale = self.sigma * _SCALES[self.noise][which]
        return float(rng.laplace(0, scale) if self.noise == "laplace" else rng.normal(0, scale))


def exhausted(queries: int, budget: int, where: str = "") -> errors.PlanError:
    """The refusal."""
    return errors.PlanError(
        "the target has been asked too often",
        where=where,
        why=f"{queries} questions, of which {budget} showed overfitting: its budget is spent",
        remedy=FRESH,
    )


def theorem(*, tolerance: float, queries: int, failure: float, budget: int) -> Thresholdout:
    """Constants of the theorem (Dwork et al. 2015, NeurIPS; our notes, §10).

    With them all answers are within `tolerance` of the truth with probability 1 - `failure`, if the
    holdout has O(ln(queries / failure) / tolerance^2) * min(budget,
    sqrt(budget ln(ln(queries / failure) / tolerance))) rows. The constant in O is not given.

    Args:
      tolerance: tau, in (0, 1).
      queries: m, how many questions will be asked at most.
      failure: beta, in (0, 1).
      budget: B.

    >>> round(theorem(tolerance=0.04, queries=100, failure=0.05, budget=8).threshold, 6)
    0.03
    """
    if not (0 < tolerance < 1 and 0 < failure < 1 and queries >= 1):
        raise ValueError("tolerance and failure must be in (0, 1), queries at least 1")
    sigma = tolerance / (96 * math.log(4 * queries / failure))
    return Thresholdout(3 * tolerance / 4, sigma, budget, "laplace")


def practical(rows: int, budget: int) -> Thresholdout:
    """Constants of the authors' experiment (Dwork et al. 2015, Science): no guarantee, but usable.

    Threshold 4 / sqrt(rows) and Gaussian noise of 1 / sqrt(rows): 4 and 1 standard deviations of
    the mean of `rows` values of variance 1. For a fraction, whose variance is at most 1/4, they are
    twice as cautious.

    >>> practical(10_000, 8)
    Thresholdout(threshold=0.04, sigma=0.01, budget=8, noise='gaussian')
    """
    if rows < 1:
        raise ValueError(f"a holdout of {rows} rows answers nothing")
    return Thresholdout(4 / math.sqrt(rows), 1 / math.sqrt(rows), budget, "gaussian")
