"""What a sample takes from a budget, what a row costs, and how much can be had of each."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import plan as plan_
from tamis.selectors import bounds

Floats = NDArray[np.float64]

_WORDS = 20  # of a row, where none has been read
FLOPS = 6  # for each parameter and token: Kaplan et al. (2020), Scaling laws, §2.1


@dataclasses.dataclass(frozen=True)
class Costs:
    """The terms of a plan as numbers, in the order of the strata.

    Attributes:
      unit: Of budgets.
      per_sample: Shape (k,), what a sample of each stratum takes from a budget: 1, its mean
        tokens, or 6 N times those; of a budget in money, the training price.
      row: Shape (k,), money for each unique row used.
      training: Money for each sample.
      supply: Shape (k,), unique rows.
      max_epochs: Most often that a row may be seen, on average; infinity for no limit.
    """

    unit: plan_.Unit
    per_sample: Floats
    row: Floats
    training: float
    supply: NDArray[np.int64]
    max_epochs: float

    @classmethod
    def of(
        cls, strata: Sequence[plan_.Stratum], terms: plan_.Terms, max_epochs: float | None
    ) -> Self:
        """The costs of strata.

        Raises:
          PlanError: a price names no stratum or source, or tokens cannot be told; a price below
            0, or a row that may never be seen.
        """
        _check(terms, max_epochs)
        row = np.zeros(len(strata))
        for rows, price in bounds.named(strata, terms.prices, "plan.prices"):
            row[rows] = price
        supply = np.array([s.supply for s in strata], np.int64)
        most = np.inf if max_epochs is None else max_epochs
        return cls(terms.unit, _per_sample(strata, terms), row, terms.training_price, supply, most)

    def supplied(self, supply: Floats) -> Self:
        """The same with other unique rows, shape (k,)."""
        return dataclasses.replace(self, supply=supply.astype(np.int64))

    @property
    def priced(self) -> bool:
        """Whether anything costs money."""
        return bool(self.row.any() or self.training)

    @property
    def limits(self) -> Floats:
        """Most samples that each stratum can give: shape (k,)."""
        return np.floor(self.supply * self.max_epochs)

    def samples(self, amount: float) -> int:
        """Samples that any mixture can have of a budget; of money, the most that it can train.

        Raises:
          PlanError: nothing limits how long a budget in money can train.
        """
        if self.unit != "money":
            return int(amount / self.per_sample.max())
        bought = amount / self.training if self.training else np.inf
        most = min(bought, float(self.limits.sum()))
        if not np.isfinite(most):
            raise errors.PlanError(
                "a budget in money can train for ever",
                why="training is free and rows may be repeated without end",
                remedy="set plan.training_price or plan.max_epochs",
            )
        return int(most)

    def part(self, shares: Floats, samples: Floats, amount: float) -> Floats:
        """Part of a budget that runs (..., k), (...,) would take: shape (...,)."""
        if self.unit == "money":
            return samples / self.samples(amount)
        return samples * (shares @ self.per_sample) / amount

    def cost(self, quota: NDArray[np.int64], rows: NDArray[np.int64]) -> plan_.Cost | None:
        """Money for quotas (k,) and unique rows (k,); None where nothing has a price."""
        if not self.priced:
            return None
        bought, trained = float(rows @ self.row), float(quota.sum() * self.training)
        return plan_.Cost(rows=bought, training=trained, total=bought + trained)


def about(budget: float, terms: plan_.Terms, supply: int, max_epochs: float | None) -> int:
    """Samples of a budget before any row has been read; exact for budgets in samples."""
    if terms.unit == "samples":
        return int(budget)
    each = terms.training_price if terms.unit == "money" else terms.tokens_per_word * _WORDS
    if terms.unit == "flops":
        each *= FLOPS * (terms.params or 1)
    most = supply * (max_epochs or np.inf)
    return int(min(budget / each if each else np.inf, most))


def _check(terms: plan_.Terms, max_epochs: float | None) -> None:
    """Comparisons are put so that NaN fails them."""
    for name, price in {**terms.prices, "training_price": terms.training_price}.items():
        if not 0 <= price < np.inf:
            raise errors.PlanError(f"a price of {price:g} for {name}", remedy="0 or more")
    if max_epochs is not None and not max_epochs > 0:
        raise errors.PlanError(
            f"max_epochs {max_epochs:g} trains on nothing",
            remedy="a positive number, or leave it out for no limit",
        )


def _per_sample(strata: Sequence[plan_.Stratum], terms: plan_.Terms) -> Floats:
    if terms.unit == "samples":
        return np.ones(len(strata))
    if terms.unit == "money":
        return np.full(len(strata), terms.training_price)
    silent = [s.name for s in strata if s.words < 1]
    if silent:
        raise errors.PlanError(
            f"a budget in {terms.unit} needs the words of {', '.join(silent)}",
            why="its rows have no text, or were counted by an older version",
            remedy="plan in samples, or give the sources a `text` column",
        )
    tokens = np.array([s.words / s.supply for s in strata]) * terms.tokens_per_word
    if terms.unit == "tokens":
        return tokens
    if terms.params is None:
        raise errors.PlanError("a budget in FLOPs needs plan.params", remedy="the model's size")
    return FLOPS * terms.params * tokens
