"""One plan's standing facts, and what follows from them for any budget."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tamis.schemas import plan as plan_
from tamis.selectors import doubt, spending, strategies
from tamis.selectors import forecast as forecast_
from tamis.selectors.forecast import Training
from tamis.selectors.spending import Floats, Integers, Objective


@dataclasses.dataclass(frozen=True)
class Planner:
    """What stays the same for all budgets of a plan.

    Attributes:
      strata: What can be trained on.
      outlook: What is believed.
      market: What budgets can be turned into.
      mode: `mixture` for any shares, `prefix` for the best j tiers in natural proportions.
      seed: Of random starts.
    """

    strata: tuple[plan_.Stratum, ...]
    outlook: forecast_.Outlook
    market: spending.Market
    mode: plan_.Mode
    seed: int

    def objective(self, amount: float) -> Objective:
        """Expected error of trainings for a budget."""
        return lambda training: self.outlook.expected(training, amount)

    def fits(self, amount: float) -> bool:
        """Whether the limits can hold a budget."""
        return self.market.fits(amount)

    def candidates(self, amount: float) -> dict[str, Training]:
        """Named strategies that the limits allow, and money can buy; shares that were given stand.

        With news fixed at 0.3, `movie alone` is all the rest from movie.
        """
        allowed = self.market.allowed(amount)
        natural = np.array([s.supply for s in self.strata], np.float64)
        offered = strategies.named(self.strata)
        if self.mode == "prefix":
            offered = {**self._prefixes(amount), "natural proportions": natural}
        counted = {name: self.market.counted(w / w.sum()) for name, w in offered.items()}
        held = {name: w for name, w in counted.items() if allowed.holds(w)} or {
            "natural proportions": self.market.counted(natural / natural.sum())
        }
        found = {
            name: self.market.training(allowed.nearest(w), self.objective(amount), amount)
            for name, w in held.items()
        }
        return {name: training for name, training in found.items() if training is not None}

    def best(self, amount: float, known: dict[str, Training] | None = None) -> Training:
        """The training with the least expected error; `known` are its candidates, if at hand."""
        offered = list((known or self.candidates(amount)).values())
        objective = self.objective(amount)
        if self.mode == "prefix":
            return min(offered, key=lambda t: float(objective(t)))
        shares = np.array([self.market.counted(t.shares) for t in offered])
        return self.market.best(objective, shares, amount, seed=self.seed)

    def standing(self, amount: float) -> doubt.Standing:
        """The best training for a budget, and those it has to be better than."""
        known = self.candidates(amount)
        return doubt.Standing(amount, self.best(amount, known), known)

    def again(self, forecast: forecast_.Forecast, near: Training, supply: Floats) -> Training:
        """The best training near another, for another supply: shape (k,)."""
        strata = tuple(
            s.model_copy(update={"supply": int(m)})
            for s, m in zip(self.strata, supply, strict=True)
        )
        planner = dataclasses.replace(
            self,
            strata=strata,
            outlook=forecast_.Outlook([forecast]),
            market=self.market.supplied(supply),
        )
        if self.mode == "prefix":
            return planner.best(forecast.amount)
        return planner.market.polished(forecast.expected, near, forecast.amount)

    def label(self, training: Training, offered: dict[str, Training]) -> str:
        """What a person would call it, among the candidates of its budget."""
        if self.mode == "mixture":
            return strategies.label(training.shares, self.strata)
        return min(offered, key=lambda n: float(abs(offered[n].shares - training.shares).sum()))

    def strategy(self, frontier: Sequence[doubt.Standing], amount: float) -> str:
        """What a person would call the best training for a budget between two of the frontier.

        The best is sought near both their choices: it is where one of them gives way to the other.
        """
        if self.mode == "prefix":
            known = self.candidates(amount)
            return self.label(self.best(amount, known), known)
        above = int(np.searchsorted([s.amount for s in frontier], amount))
        near = [s.chosen for s in frontier[max(above - 1, 0) : above + 1]]
        objective = self.objective(amount)
        found = [self.market.polished(objective, training, amount) for training in near]
        best = min(found, key=lambda t: float(objective(t)))
        return strategies.label(best.shares, self.strata)

    def whole(self, training: Training, amount: float) -> tuple[Training, Integers, Integers]:
        """The training in whole samples, its quotas and its rows: shapes (k,)."""
        quota, rows = self.market.whole(training, amount)
        samples = quota.sum()
        supply = training.supply
        if self.market.costs.unit == "money":
            supply = np.where(quota > 0, rows, supply).astype(np.float64)
        return Training(quota / samples, np.asarray(samples, np.float64), supply), quota, rows

    def allocation(self, quota: Integers, rows: Integers) -> list[plan_.Share]:
        """Quotas and rows (k,) by stratum, without empty ones."""
        samples, price = int(quota.sum()), self.market.costs.row * rows
        cells = zip(self.strata, quota.tolist(), rows.tolist(), price.tolist(), strict=True)
        return [
            plan_.Share(
                stratum=s.name, quota=q, epochs=q / m, share=q / samples, rows=m, price=paid
            )
            for s, q, m, paid in cells
            if q
        ]

    def _prefixes(self, amount: float) -> dict[str, Floats]:
        """By tier; where there is one tier only, by predicted error of each stratum alone."""
        found = strategies.prefixes(self.strata)
        if found:
            return found
        allowed, objective = self.market.allowed(amount), self.objective(amount)
        trainings = [
            self.market.training(allowed.nearest(w), objective, amount)
            for w in np.eye(len(self.strata))
        ]
        alone = [np.inf if t is None else float(objective(t)) for t in trainings]
        rank = np.argsort(np.argsort(alone, kind="stable"), kind="stable")
        return strategies.prefixes(self.strata, rank.tolist())
