"""What to acquire next: which source, how many rows, for how much less error.

A market is what is held, what is offered and what a predictor believes of a training of given
size. Rows of a source raise its supply, so it can be seen more before it repeats, and the shares of
the training are planned again for every supply. The gain is what the expected error falls by.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.schemas import plan as plan_
from tamis.selectors import bounds, information, search

LOTS = 8  # of the budget: what the greedy basket buys at a time

Floats = NDArray[np.float64]


class Predicts(Protocol):
    """A law, whatever it was fitted by."""

    def predict(self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike) -> Floats: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Market:
    """What is held, offered and believed.

    Attributes:
      names: Of the k sources.
      supply: Shape (k,), unique rows held; 0 for a source that only shows itself.
      offered: Shape (k,), rows that can be had beside them.
      price: Shape (k,), of a row, above 0, in the units of the budget.
      budget: What may be spent.
      samples: Of the training that is planned.
      laws: Equally likely predictors: the fit and draws of what its measurements leave open.
      max_epochs: Most often that a row may be seen on average within its source.
      given: Shares that the training must keep to anyhow.
      seed: Of the search.
    """

    names: tuple[str, ...]
    supply: Floats
    offered: Floats
    price: Floats
    budget: float
    samples: int
    laws: Sequence[Predicts]
    max_epochs: float | None = None
    given: bounds.Bounds | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        k = len(self.names)
        columns = {"supply": self.supply, "offered": self.offered, "price": self.price}
        for what, values in columns.items():
            if values.shape != (k,) or not (np.isfinite(values) & (values >= 0)).all():
                raise errors.PlanError(f"{what} {values.tolist()} of {k} sources, each at least 0")
        free = np.array(self.names)[(self.offered > 0) & (self.price == 0)].tolist()
        if free or not (self.budget > 0 and np.isfinite(self.budget)) or self.samples < 1:
            raise errors.PlanError(
                f"budget {self.budget:g} for a training of {self.samples} samples; free: {free}",
                why="gain per unit of cost needs a price and a budget above 0",
                remedy="count rows that cost nothing as held",
            )

    @property
    def nothing(self) -> Floats:
        """The basket without rows."""
        return np.zeros(len(self.names))

    def affordable(self, i: int, rows: Floats, most: float) -> float:
        """Whole rows of source i that can be had beside a basket, for at most an amount."""
        left = self.budget - float(rows @ self.price)
        can = min(left, most) / self.price[i] if self.offered[i] else 0.0
        return float(np.floor(min(can + 1e-9, self.offered[i] - rows[i])))

    def errors(self, shares: Floats, rows: Floats) -> Floats:
        """What each law says of shares (..., k) after buying: shape (l, ...)."""
        held = np.maximum(self.supply + rows, 1)  # a source without rows has no share
        return np.array([law.predict(shares, self.samples, held) for law in self.laws])

    def allowed(self, rows: Floats) -> bounds.Bounds:
        """Shares that a training may have after buying.

        Raises:
          PlanError: all rows together do not make a training.
        """
        held = self.supply + rows
        caps = np.where(held > 0, 1.0, 0.0)
        if self.max_epochs is not None:
            caps = np.minimum(caps, held * self.max_epochs / self.samples)
        allowed = self.given.capped(caps) if self.given else bounds.Bounds.upto(caps)
        if allowed.empty:
            raise errors.PlanError(
                f"a training of {self.samples:,} samples does not fit the rows held",
                why=f"there are {held.sum():,.0f}, max_epochs is {self.max_epochs}, and shares may "
                "be given",
                remedy="raise max_epochs, plan for fewer samples or free the shares",
            )
        return allowed

    def plan(self, rows: Floats, near: Floats | None = None) -> Floats:
        """Shares with the least expected error after buying: shape (k,).

        Args:
          rows: Shape (k,), the basket.
          near: Shares to start from; without them from everywhere.
        """
        allowed = self.allowed(rows)

        def expected(w: Floats) -> Floats:
            return np.asarray(self.errors(w, rows).mean(0))

        if near is not None:
            return search.polish(expected, allowed.nearest(near), allowed)
        held = self.supply + rows
        starts = [held / held.sum(), *np.eye(len(held))[allowed.high > 0]]
        named = np.array([allowed.nearest(w) for w in starts])
        return search.minimise(expected, named, allowed, seed=self.seed)


@dataclasses.dataclass(frozen=True, eq=False)
class Basket:
    """Rows to buy and what a training is then expected to be.

    Attributes:
      rows: Shape (k,), bought of each source.
      shares: Shape (k,), of the training, planned for them.
      errors: Shape (l,), what each law says of it.
    """

    rows: Floats
    shares: Floats
    errors: Floats

    @property
    def error(self) -> float:
        return float(self.errors.mean())


@dataclasses.dataclass(frozen=True)
class Offer:
    """One source bought as far as budget and offer go.

    Attributes:
      name: Of the source.
      rows: How many.
      cost: Of them.
      before: Expected error without them.
      after: With them, shares planned again.
      gain: before - after, at least 0: rows need not be used.
      per_cost: Gain per unit of the budget.
      interval: Of `per_cost`, over the laws; its low end may be below 0.
      pilot: Rows of it that a pilot would reveal.
      pilot_value: What that pilot is worth for the choice, in error (see `Acquisition`).
    """

    name: str
    rows: int
    cost: float
    before: float
    after: float
    gain: float
    per_cost: float
    interval: tuple[float, float]
    pilot: int
    pilot_value: float


@dataclasses.dataclass(frozen=True, eq=False)
class Acquisition:
    """The answer.

    Attributes:
      names: Of the k sources.
      offers: By gain per cost, best first; ties in the order of the sources.
      basket: The best use of the whole budget.
      before: The basket of nothing.
      interval: Of the basket's gain, over the laws.
      knowing: EVPI: what perfect knowledge of the laws were worth for choosing among nothing, each
        source alone and the basket. No pilot of any size is worth more.
    """

    names: tuple[str, ...]
    offers: tuple[Offer, ...]
    basket: Basket
    before: Basket
    interval: tuple[float, float]
    knowing: float


def acquire(market: Market, *, pilot: float = 0.1, noise: float = 0.01) -> Acquisition:
    """Rank the offers, fill the basket, and value a pilot before either.

    A pilot reveals rows of a source and trains on them alone, each seen once; its error tells the
    laws apart by Bayes' rule, from equal odds (`information.sample`, preposterior). It is valued
    for the purchase alone: shares stay those planned for each basket.

    Args:
      market: See there.
      pilot: Part of an offer that a pilot would reveal.
      noise: Standard deviation of the error of one such training about a law's prediction.

    Time: about k LOTS searches of O(k^2) predictions a round by every law.
    """
    before = _basket(market, market.nothing, market.plan(market.nothing))
    able = [i for i in range(len(market.names)) if market.affordable(i, market.nothing, np.inf) > 0]
    alone = {i: _more(market, before, i, np.inf) for i in able}
    best = _best(market, before, list(alone.values()))
    losses = np.array([b.errors for b in (before, *alone.values(), best)])
    offers = [
        _offer(market, before, bought, i, losses, pilot=pilot, noise=noise)
        for i, bought in alone.items()
    ]
    return Acquisition(
        market.names,
        tuple(sorted(offers, key=lambda o: -o.per_cost)),
        best,
        before,
        _interval(before, best),
        information.perfect(losses),
    )


def _basket(market: Market, rows: Floats, shares: Floats) -> Basket:
    return Basket(rows, shares, market.errors(shares, rows))


def _more(market: Market, held: Basket, i: int, most: float) -> Basket:
    """A basket with source i added for at most an amount, and its shares planned again.

    Starts from the shares so far and from half of the source, for one that had no share.
    """
    axis = np.eye(len(held.rows))[i]
    rows = held.rows + market.affordable(i, held.rows, most) * axis
    starts = (held.shares, (held.shares + axis) / 2)
    found = [_basket(market, rows, market.plan(rows, near=w)) for w in starts]
    return min(found, key=lambda b: b.error)


def _best(market: Market, before: Basket, alone: list[Basket]) -> Basket:
    """Greedy by gain per cost, a lot at a time, or one source alone, whichever is better.

    The better of the two is within (1 - 1/e)/2 of the best where gains diminish (Khuller, Moss &
    Naor 1999); alone, greedy may pass over what pays only at once.
    """
    held = before
    while True:
        lots = [
            _more(market, held, i, market.budget / LOTS)
            for i in range(len(market.names))
            if market.affordable(i, held.rows, market.budget / LOTS) > 0
        ]
        better = [b for b in lots if b.error < held.error - 1e-12]
        if not better:
            break
        cost = held.rows @ market.price
        held = max(better, key=lambda b: (held.error - b.error) / (b.rows @ market.price - cost))
    return min([held, *alone], key=lambda b: b.error)


def _offer(
    market: Market,
    before: Basket,
    bought: Basket,
    i: int,
    losses: Floats,
    *,
    pilot: float,
    noise: float,
) -> Offer:
    rows, cost = float(bought.rows[i]), float(bought.rows @ market.price)
    gain = max(before.error - bought.error, 0.0)
    low, high = _interval(before, bought)
    revealed = max(1, round(pilot * float(market.offered[i])))
    axis = np.eye(len(before.rows))[i]
    held = np.maximum(revealed * axis, 1)
    shown = [float(law.predict(axis, revealed, held)) for law in market.laws]
    return Offer(
        market.names[i],
        int(rows),
        cost,
        before.error,
        before.error - gain,
        gain,
        gain / cost,
        (low / cost, high / cost),
        revealed,
        information.sample(losses, shown, noise),
    )


def _interval(before: Basket, after: Basket) -> tuple[float, float]:
    """Of the gain: quantiles over the laws, each at the shares planned for all of them."""
    tail = (1 - plan_.LEVEL) / 2
    low, high = np.quantile(before.errors - after.errors, [tail, 1 - tail]).tolist()
    return low, high
