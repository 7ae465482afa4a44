"""How much each stratum, and each source, may give: floors, caps and fixed shares.

Sources hold strata and the whole holds sources, so the shares that are allowed are the bases of a
generalised polymatroid: any two of them are joined by transfers between two strata that stay
allowed (Murota 2003, Discrete convex analysis, §4), which is how `search` moves.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis import errors
from tamis.schemas import plan as plan_

T = TypeVar("T")
Floats = NDArray[np.float64]

_CLOSE = 1e-9


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Shares that sum to 1, each and each group's sum between a floor and a cap.

    Attributes:
      low: Shape (k,).
      high: Shape (k,).
      group: Shape (k,), 0 to g - 1.
      group_low: Shape (g,).
      group_high: Shape (g,).
    """

    low: Floats
    high: Floats
    group: NDArray[np.int64]
    group_low: Floats
    group_high: Floats

    @classmethod
    def upto(cls, caps: ArrayLike) -> Self:
        """Caps (k,) and nothing else."""
        high = np.asarray(caps, np.float64)
        alone = np.zeros(len(high), np.int64)
        return cls(np.zeros(len(high)), high, alone, np.zeros(1), np.ones(1))

    def capped(self, caps: Floats) -> Self:
        """With further caps (k,)."""
        return dataclasses.replace(self, high=np.minimum(self.high, caps))

    @property
    def totals(self) -> tuple[Floats, Floats]:
        """Least and most that each group can have, its members' ends minded: shapes (g,)."""
        low = np.maximum(self.group_low, self._sums(self.low))
        return low, np.minimum(self.group_high, self._sums(self.high))

    @property
    def empty(self) -> bool:
        """Whether no shares are allowed."""
        low, high = self.totals
        crossed = (self.low > self.high + _CLOSE).any() or (low > high + _CLOSE).any()
        return bool(crossed or low.sum() > 1 + _CLOSE or high.sum() < 1 - _CLOSE)

    def nearest(self, shares: Floats) -> Floats:
        """Allowed shares in the proportions of others as far as they go: shape (k,).

        What a stratum may not give, the others of its source give, then other sources.
        """
        low, high = self.totals
        totals = _fill(self._sums(shares), low, high, 1.0)
        out = np.empty(len(shares))
        for g, total in enumerate(totals):
            of = self.group == g
            out[of] = _fill(shares[of], self.low[of], self.high[of], total)
        return out

    def holds(self, shares: Floats) -> bool:
        """Whether strata with a share, and what others must give, can make up a whole."""
        can = np.where(shares > 0, self.high, self.low)
        return float(np.minimum(self._sums(can), self.totals[1]).sum()) >= 1 - 1e-12

    def room(self, shares: Floats, giver: NDArray[np.int64], taker: NDArray[np.int64]) -> Floats:
        """Most that each giver can hand to its taker, shapes (t,)."""
        own = np.minimum(shares[giver] - self.low[giver], self.high[taker] - shares[taker])
        out, into = self.group[giver], self.group[taker]
        sums = self._sums(shares)
        across = np.minimum(sums[out] - self.group_low[out], self.group_high[into] - sums[into])
        return np.where(out == into, own, np.minimum(own, across))

    def _sums(self, values: Floats) -> Floats:
        return np.bincount(self.group, values, len(self.group_low)).astype(np.float64)


def of(strata: Sequence[plan_.Stratum], shares: Mapping[str, tuple[float, float]]) -> Bounds:
    """The bounds of named strata and sources.

    Args:
      strata: In order.
      shares: Least and most share by name.

    Raises:
      PlanError: a name is unknown, or no shares keep to all of them.
    """
    k = len(strata)
    sources = list(dict.fromkeys(s.source for s in strata))
    low, high = np.zeros(k), np.ones(k)
    group = np.array([sources.index(s.source) for s in strata])
    group_low, group_high = np.zeros(len(sources)), np.ones(len(sources))
    grouped = False
    for rows, (least, most) in named(strata, shares, "plan.shares"):
        if len(rows) == 1:
            low[rows], high[rows] = np.maximum(low[rows], least), np.minimum(high[rows], most)
        else:
            group_low[group[rows[0]]], group_high[group[rows[0]]] = least, most
            grouped = True
    if not grouped:  # one group: what a stratum may not give, all others share
        group, group_low, group_high = np.zeros(k, np.int64), np.zeros(1), np.ones(1)
    found = Bounds(low, high, group, group_low, group_high)
    if found.empty:
        raise _impossible(found, shares)
    return found


def named(
    strata: Sequence[plan_.Stratum], values: Mapping[str, T], key: str
) -> Iterator[tuple[list[int], T]]:
    """Strata and value of each name: all strata of a source, then single ones.

    Raises:
      PlanError: there is neither a stratum nor a source of that name.
    """
    own = {s.name: [i] for i, s in enumerate(strata)}
    of_source = {
        s.source: [i for i, t in enumerate(strata) if t.source == s.source] for s in strata
    }
    of_source.pop("", None)
    for name in values:
        if name not in own and name not in of_source:
            known = [*own, *(s for s in of_source if s not in own)]
            near = difflib.get_close_matches(name, known, 1)
            raise errors.PlanError(
                f"{key} names '{name}', which is no stratum or source",
                remedy=f"did you mean '{near[0]}'?" if near else f"one of {', '.join(known)}",
            )
    yield from ((of_source[n], v) for n, v in values.items() if n not in own)
    yield from ((own[n], v) for n, v in values.items() if n in own)


def _impossible(found: Bounds, shares: Mapping[str, tuple[float, float]]) -> errors.PlanError:
    low, high = found.totals
    told = ", ".join(
        f"{name} {a:g}" if a == b else f"{name} {a:g} to {b:g}" for name, (a, b) in shares.items()
    )
    if low.sum() > 1 + _CLOSE:
        what, remedy = f"come to at least {low.sum():g}, more than the whole", "lower some"
    elif high.sum() < 1 - _CLOSE:
        what, remedy = f"come to at most {high.sum():g}, less than the whole", "raise some"
    else:
        what, remedy = "of a source and of its strata contradict each other", "give one of them"
    return errors.PlanError(f"plan.shares {what}", why=told, remedy=f"{remedy} in plan.shares")


def _fill(want: Floats, low: Floats, high: Floats, total: float) -> Floats:
    """Values in proportion to `want` that keep to their ends and sum to `total`: shape (m,)."""
    scale = total / want.sum() if want.sum() > 0 else 0.0
    x = np.clip(want * scale, low, high)
    for _ in range(2 * len(want) + 2):
        left = total - x.sum()
        if abs(left) <= 1e-13:
            break
        room = high - x if left > 0 else x - low
        part = np.where(room > 0, want, 0.0)
        part = part if part.sum() > 0 else np.maximum(room, 0.0)
        if part.sum() <= 0:
            break
        x = np.clip(x + left * part / part.sum(), low, high)
    return x
