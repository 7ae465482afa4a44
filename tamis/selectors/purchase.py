"""Budgets in money: which rows to buy, how often to repeat them, and how long to train.

A row is paid once and may be repeated; every sample trained costs as well. So for shares w of n
samples the training takes t n, and what is left buys u_i <= min(m_i, n w_i) rows of stratum i at
p_i each. Nothing says that all must be spent: where errors rise with repetition, the best training
may be shorter than the longest that can be paid.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import errors, seeding
from tamis.selectors import bounds as bounds_
from tamis.selectors import costs as costs_
from tamis.selectors import quotas
from tamis.selectors.forecast import Training
from tamis.selectors.spending import SMALLEST, Floats, Integers, Objective

_LENGTHS = 21  # of trainings tried for each start, log-spaced
_SHORTEST = 16  # samples
_DRAWN = 12  # random starts
_POLISHED = 4  # starts, all of different shares
_SPARED = 16.0  # visits of a row in starts that spare the money of one stratum
_STEPS = (1 / 4, 1 / 512)  # of shares; of log2 samples and visits, four times that
_ROUNDS = 300


class _Point(NamedTuple):
    """Shapes (s, k), (s,) and (s, k)."""

    shares: Floats
    samples: Floats
    visits: Floats  # how often each row that is bought should at least be seen

    def take(self, rows: NDArray[np.int64]) -> "_Point":
        return _Point(self.shares[rows], self.samples[rows], self.visits[rows])


@dataclasses.dataclass(frozen=True)
class Purchase:
    """A `spending.Market` where rows and training are paid from one purse.

    Attributes:
      costs: Of rows and samples.
      bounds: Of the shares of the samples.
    """

    costs: costs_.Costs
    bounds: bounds_.Bounds

    def allowed(self, amount: float) -> bounds_.Bounds:
        return self.bounds

    def counted(self, shares: Floats) -> Floats:
        return shares

    def fits(self, amount: float) -> bool:
        shares, lengths = self.bounds.nearest(np.ones(len(self.bounds.low))), self._lengths(amount)
        return bool(self._offer(self._along(shares[None], lengths), amount)[1].any())

    def training(self, shares: Floats, objective: Objective, amount: float) -> Training | None:
        start = self._along(shares[None], self._lengths(amount))
        return self._found(objective, start, amount, moves=np.zeros((0, 2), np.int64))

    def best(self, objective: Objective, offered: Floats, amount: float, *, seed: int) -> Training:
        k, lengths = offered.shape[-1], self._lengths(amount)
        drawn = seeding.generator(seed, "purchase", k).dirichlet(np.full(k, 0.5), _DRAWN)
        shares = np.concatenate([offered, [self.bounds.nearest(w) for w in drawn]])
        found = self._found(objective, self._along(shares, lengths), amount, moves=_pairs(k))
        if found is None:
            raise errors.PlanError(
                f"a budget of {amount:,.12g} buys no training",
                why="what the shares and max_epochs ask for costs more",
                remedy="raise the budget or max_epochs, or lower prices or the floors of shares",
            )
        small = (found.shares < SMALLEST) & (self.bounds.low <= 0) & (found.shares > 0)
        kept = self.bounds.nearest(np.where(small, 0.0, found.shares))
        return (self.training(kept, objective, amount) if small.any() else None) or found

    def polished(self, objective: Objective, near: Training, amount: float) -> Training:
        start = self._along(near.shares[None], np.append(self._lengths(amount), near.samples))
        return self._found(objective, start, amount, moves=_pairs(len(near.shares))) or near

    def supplied(self, supply: Floats) -> "Purchase":
        return dataclasses.replace(self, costs=self.costs.supplied(supply))

    def whole(self, training: Training, amount: float) -> tuple[Integers, Integers]:
        rows = np.floor(training.supply + 1e-9).astype(np.int64)
        samples = int(training.samples + 1e-9)
        most = np.minimum(rows * self.costs.max_epochs, samples).astype(np.int64)
        used = np.where(training.shares > 0, most, 0)
        quota = quotas.largest_remainder(
            training.shares, min(samples, int(used.sum())), limits=used
        )
        return quota, np.minimum(rows, quota)

    def _lengths(self, amount: float) -> Floats:
        most = self.costs.samples(amount)
        if most < 1:
            raise errors.PlanError(
                f"a budget of {amount:,.12g} trains on nothing",
                why=f"one sample costs {self.costs.training:g}",
                remedy="raise the budget, or look at plan.training_price",
            )
        # The end itself leaves nothing for rows; two more points lie near it.
        near_end = most * np.array([0.9, 0.97, 1.0])
        inner = np.geomspace(min(_SHORTEST, most), most, _LENGTHS)
        return np.unique(np.concatenate([inner, np.maximum(near_end, 1)]))

    def _along(self, shares: Floats, lengths: Floats) -> _Point:
        """Every length of each of the shares (s, k), with all rows that there is money for.

        And again with the rows of each stratum spared, where several have a price.
        """
        priced = np.flatnonzero(self.costs.row > 0)
        spared = np.eye(shares.shape[1])[priced if len(priced) > 1 else []]
        visits = np.concatenate([np.ones((1, shares.shape[1])), 1 + (_SPARED - 1) * spared])
        cells = len(shares), len(lengths), len(visits)
        i, j, v = (x.ravel() for x in np.indices(cells))
        return _Point(shares[i], lengths[j], visits[v])

    def _offer(self, point: _Point, amount: float) -> tuple[Training, NDArray[np.bool_]]:
        """What each point trains on, and whether it can be had: shape (s,)."""
        c = self.costs
        want = point.shares * point.samples[:, None]
        rows = np.minimum(c.supply, want / np.where(c.row > 0, point.visits, 1.0))
        rows = np.where(want > 0, np.maximum(rows, 1.0), rows)
        left = amount - c.training * point.samples
        price = (rows * c.row).sum(1)
        part = np.divide(np.maximum(left, 0), price, out=np.ones(len(left)), where=price > left)
        rows = np.where(c.row > 0, rows * part[:, None], rows)
        seen = want > 0
        paid = (left >= -1e-9 * amount) & (rows >= np.where(seen, 1 - 1e-9, 0)).all(1)
        worn = (want > np.maximum(rows, 1e-9) * c.max_epochs * (1 + 1e-9)).any(1)
        held = np.where(seen, np.maximum(rows, 1.0), c.supply)
        return Training(point.shares, point.samples, held), paid & ~worn

    def _values(self, objective: Objective, point: _Point, amount: float) -> Floats:
        training, can = self._offer(point, amount)
        found = np.full(len(can), np.inf)
        if can.any():
            found[can] = objective(Training(*(x[can] for x in training)))
        return found

    def _found(
        self, objective: Objective, start: _Point, amount: float, *, moves: NDArray[np.int64]
    ) -> Training | None:
        """From the best of many points, the best near them; None where none can be had."""
        values = self._values(objective, start, amount)
        # The best of each shares, or all that go on would come from one basin.
        kinds = np.unique(start.shares, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.argsort(values, kind="stable")
        first = order[np.sort(np.unique(kinds[order], return_index=True)[1])[:_POLISHED]]
        first = first[np.isfinite(values[first])]
        if not first.size:
            return None
        ends = [self._polish(objective, start.take(i[None]), amount, moves) for i in first]
        best = ends[int(np.argmin([self._values(objective, p, amount)[0] for p in ends]))]
        return Training(*(x[0] for x in self._offer(best, amount)[0]))

    def _polish(
        self, objective: Objective, at: _Point, amount: float, moves: NDArray[np.int64]
    ) -> _Point:
        """Pattern search: shares by transfers, samples and visits by factors; halving steps."""
        step, least = _STEPS
        best, most = float(self._values(objective, at, amount)[0]), self.costs.samples(amount)
        for _ in range(_ROUNDS):
            tried = self._around(at, moves, step, most)
            values = self._values(objective, tried, amount)
            pick = int(np.argmin(values))
            if values[pick] < best - 1e-9:
                best, at = float(values[pick]), tried.take(np.array([pick]))
            elif (step := step / 2) < least:
                break
        return at

    def _around(self, at: _Point, moves: NDArray[np.int64], step: float, most: int) -> _Point:
        """Neighbours of one point."""
        w, n, r = at.shares[0], float(at.samples[0]), at.visits[0]
        factor = 2 ** (4 * step)
        giver, taker = moves.T
        moved = np.clip(self.bounds.room(w, giver, taker), 0, step)
        shares = np.repeat(w[None], len(moves), axis=0)
        rows = np.arange(len(moves))
        shares[rows, giver] -= moved
        shares[rows, taker] += moved
        lengths = np.clip([n * factor, n / factor], 1, most)
        paid = np.flatnonzero((self.costs.row > 0) & (w > 0))
        visits = np.repeat(r[None], 2 * len(paid), axis=0)
        change = np.repeat([factor, 1 / factor], len(paid))
        visits[np.arange(len(visits)), np.tile(paid, 2)] *= change
        count = len(moves), 2, len(visits)
        return _Point(
            np.concatenate([shares, np.repeat(w[None], count[1] + count[2], axis=0)]),
            np.concatenate([np.full(count[0], n), lengths, np.full(count[2], n)]),
            np.concatenate([np.repeat(r[None], count[0] + 2, axis=0), np.maximum(visits, 1.0)]),
        )


def _pairs(k: int) -> NDArray[np.int64]:
    """Every (giver, taker): shape (k (k - 1), 2)."""
    return np.argwhere(~np.eye(k, dtype=bool))
