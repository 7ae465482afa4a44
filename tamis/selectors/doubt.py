"""How far the budget where the best strategy changes could lie from where it is told.

A crossing at b is doubted at every budget where the interval of the gap between both sides holds 0:
the confidence set of a root (Fieller 1954, J. R. Stat. Soc. B 16). Where each draw crosses once its
ends are the 5 % and 95 % quantiles of the draws' own crossings.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from tamis.schemas import plan as plan_
from tamis.selectors import forecast as forecast_
from tamis.selectors import spending
from tamis.selectors.forecast import Training

_DIGITS = 3  # of shares: finer than a quota is worth


class Standing(NamedTuple):
    """One budget of the frontier.

    Attributes:
      amount: The budget.
      chosen: The best training for it.
      named: The best training of every strategy with a name.
    """

    amount: float
    chosen: Training
    named: dict[str, Training]


def of_named(
    frontier: Sequence[Standing],
    outlook: forecast_.Outlook,
    at: float,
    before: str,
    after: str,
) -> plan_.OpenInterval:
    """Where two named strategies may change places.

    Args:
      frontier: Ascending in amount.
      outlook: What is believed.
      at: Where they are told to.
      before: The better one below.
      after: The better one above.
    """
    both = [s for s in frontier if before in s.named and after in s.named]
    gaps = [outlook.gap(s.named[before], s.named[after], s.amount) for s in both]
    return unsure([s.amount for s in both], gaps, at)


def of_choice(
    frontier: Sequence[Standing],
    outlook: forecast_.Outlook,
    had: Callable[[int, int], Training | None],
    at: float,
) -> plan_.OpenInterval:
    """Where the choice may change from the allocations below a budget to those above it.

    Every draw takes the best allocation of either side at each budget, from the crossing outwards
    as far as it leaves anything open: at most O(points^2) predictions a draw.

    Args:
      frontier: Ascending in amount.
      outlook: What is believed.
      had: The shares of one choice for the budget of another, as `had` below; better remembered,
        since crossings ask for the same ones.
      at: Where the choice is told to change.
    """
    middle = sum(s.amount < at for s in frontier)
    sides = range(middle), range(middle, len(frontier))
    outwards: tuple[tuple[Iterable[int], Callable[[plan_.Interval], bool]], ...] = (
        (reversed(sides[0]), lambda gap: gap[0] > 0),
        (sides[1], lambda gap: gap[1] < 0),
    )
    found: dict[int, plan_.Interval] = {}
    for budgets, sure in outwards:
        for budget in budgets:
            below, above = (_offered(frontier, side, had, budget) for side in sides)
            if below is None or above is None:
                continue
            found[budget] = outlook.gap(below, above, frontier[budget].amount)
            if sure(found[budget]):
                break
    order = sorted(found)
    return unsure([frontier[i].amount for i in order], [found[i] for i in order], at)


def had(
    frontier: Sequence[Standing],
    outlook: forecast_.Outlook,
    market: spending.Market,
    choice: int,
    budget: int,
) -> Training | None:
    """The shares chosen for one budget of the frontier, for another; None where it has none."""
    standing, amount = frontier[choice], frontier[budget].amount
    if choice == budget:
        return standing.chosen
    shares = market.allowed(amount).nearest(market.counted(standing.chosen.shares))
    return market.training(shares, lambda t: outlook.expected(t, amount), amount)


def unsure(
    amounts: Sequence[float], gaps: Sequence[plan_.Interval], at: float
) -> plan_.OpenInterval:
    """The budgets around a crossing where the interval of the gap holds 0.

    Args:
      amounts: Ascending.
      gaps: Of the upper side's error above the lower side's at each: positive below the crossing.
      at: The crossing.

    Returns:
      Its ends, log-linear between two amounts; None where the gap is unsure up to the last.

    >>> low, high = unsure([1, 10, 100], [(1, 3), (-1, 1), (-3, -1)], 10)
    >>> round(low, 2), round(high, 2)
    (3.16, 31.62)
    """
    x, (low, high) = np.log(amounts), np.reshape(gaps, (-1, 2)).T
    below, above = (
        np.flatnonzero((x < np.log(at)) & (low > 0)),
        np.flatnonzero((x >= np.log(at)) & (high < 0)),
    )
    first = None if below.size == 0 else _root(x, low, below[-1], below[-1] + 1)
    last = None if above.size == 0 else _root(x, high, above[0] - 1, above[0])
    return (
        None if first is None else min(first, at),
        None if last is None else max(last, at),
    )


def _root(x: spending.Floats, y: spending.Floats, i: int, j: int) -> float | None:
    """Where y crosses 0 between two neighbours; None where the second one is missing."""
    if i < 0 or j >= len(x):
        return None
    part = y[i] / (y[i] - y[j]) if y[i] != y[j] and y[i] * y[j] < 0 else 0.5
    return float(np.exp(x[i] + np.clip(part, 0, 1) * (x[j] - x[i])))


def _offered(
    frontier: Sequence[Standing],
    side: Iterable[int],
    had: Callable[[int, int], Training | None],
    budget: int,
) -> Training | None:
    """What a side's choices come to for a budget, stacked; None where none can be had.

    Of choices with the same shares one is enough: the budget's own, if it is among them.
    """
    distinct = {
        np.round(frontier[i].chosen.shares, _DIGITS).tobytes(): i
        for i in sorted(side, key=lambda i: i == budget)
    }
    found = [t for t in (had(i, budget) for i in distinct.values()) if t is not None]
    return forecast_.stacked(found) if found else None
