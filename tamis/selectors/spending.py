"""Budgets in samples, tokens or FLOPs: every sample of a stratum takes the same from them.

Shares here are of the budget. Of a budget in samples they are shares of the samples too; of one in
tokens, a stratum of long rows gives fewer samples for its share. In shares of the budget all limits
are boxes, whatever the mixture: s_i amount / c_i samples of stratum i, of which there are only so
many.
"""

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tamis.selectors import bounds as bounds_
from tamis.selectors import costs as costs_
from tamis.selectors import quotas, search
from tamis.selectors.forecast import Training

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Objective = Callable[[Training], Floats]  # trainings to their expected errors

SMALLEST = 0.01  # a share below this is dropped: less than any prediction can tell


class Market(Protocol):
    """What a budget can be turned into.

    Attributes:
      costs: Of samples and rows.
      bounds: Of the shares.
    """

    @property
    def costs(self) -> costs_.Costs: ...

    @property
    def bounds(self) -> bounds_.Bounds: ...

    def allowed(self, amount: float) -> bounds_.Bounds:
        """Bounds of the shares, of the budget or of the samples, as the market counts them."""
        ...

    def counted(self, shares: Floats) -> Floats:
        """Shares of samples (..., k) as the market counts them."""
        ...

    def fits(self, amount: float) -> bool:
        """Whether a budget can be trained on at all."""
        ...

    def training(self, shares: Floats, objective: Objective, amount: float) -> Training | None:
        """The best training with shares (k,) that are allowed; None where it cannot be paid."""
        ...

    def best(self, objective: Objective, offered: Floats, amount: float, *, seed: int) -> Training:
        """The best training of all; `offered` (s, k) are shares worth trying."""
        ...

    def polished(self, objective: Objective, near: Training, amount: float) -> Training:
        """The best training near another."""
        ...

    def supplied(self, supply: Floats) -> "Market":
        """The same with other unique rows, shape (k,)."""
        ...

    def whole(self, training: Training, amount: float) -> tuple[Integers, Integers]:
        """Quotas and unique rows, shapes (k,), that never take more than the budget."""
        ...


@dataclasses.dataclass(frozen=True)
class Spending:
    """A `Market` where the budget says how long to train.

    Attributes:
      costs: Of samples.
      bounds: Of the shares of the budget.
    """

    costs: costs_.Costs
    bounds: bounds_.Bounds

    def allowed(self, amount: float) -> bounds_.Bounds:
        return self.bounds.capped(self.costs.limits * self.costs.per_sample / amount)

    def counted(self, shares: Floats) -> Floats:
        taken = shares * self.costs.per_sample
        return taken / taken.sum(-1, keepdims=True)

    def fits(self, amount: float) -> bool:
        return not self.allowed(amount).empty

    def training(self, shares: Floats, objective: Objective, amount: float) -> Training | None:
        return self._offer(shares, amount)

    def best(self, objective: Objective, offered: Floats, amount: float, *, seed: int) -> Training:
        allowed = self.allowed(amount)
        found = search.minimise(
            lambda s: objective(self._offer(s, amount)), offered, allowed, seed=seed
        )
        kept = np.where((found >= SMALLEST) | (allowed.low > 0), found, 0.0)
        return self._offer(allowed.nearest(kept), amount)

    def polished(self, objective: Objective, near: Training, amount: float) -> Training:
        found = search.polish(
            lambda s: objective(self._offer(s, amount)),
            self.counted(near.shares),
            self.allowed(amount),
        )
        return self._offer(found, amount)

    def supplied(self, supply: Floats) -> "Spending":
        return dataclasses.replace(self, costs=self.costs.supplied(supply))

    def whole(self, training: Training, amount: float) -> tuple[Integers, Integers]:
        limits, each = self.costs.limits, self.costs.per_sample
        if self.costs.unit == "samples":
            most = np.minimum(limits, amount).astype(np.int64)
            quota = quotas.largest_remainder(training.shares, int(amount), limits=most)
        else:
            quota = quotas.affordable(
                training.shares * training.samples, each, amount, limits=limits
            )
        return quota, np.minimum(quota, self.costs.supply)

    def _offer(self, shares: Floats, amount: float) -> Training:
        quota = shares * (amount / self.costs.per_sample)
        samples = quota.sum(-1)
        return Training(quota / samples[..., None], samples, self.costs.supply.astype(np.float64))
