"""What is believed about one budget: the laws that predict it, and their doubt."""

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tamis import errors, seeding
from tamis.schemas import plan as plan_
from tamis.selectors import costs as costs_
from tamis.selectors import laws
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import competition

Floats = NDArray[np.float64]

_DRAWS = 12
_STEP = 4.0  # times the longest pilot: what a budget is planned from by default
_ROUNDING = 1e-9  # shares of a run sum to 1 only nearly
_REACH = float(stats.norm.ppf(0.5 + plan_.LEVEL / 2))
_TAIL = (1 - plan_.LEVEL) / 2


class Training(NamedTuple):
    """What a law predicts: one training, or several along leading axes.

    Attributes:
      shares: Shape (..., k), of each stratum in what is seen.
      samples: Shape (...,), repeats counted.
      supply: Shape (..., k), unique rows it draws from.
    """

    shares: Floats
    samples: Floats
    supply: Floats


class Member(NamedTuple):
    """A law that predicts, alone or with others.

    Attributes:
      entry: Of the competition.
      weight: In (0, 1].
      draws: The law with parameters drawn from what the pilots leave open.
    """

    entry: laws.Entry
    weight: float
    draws: tuple[laws.Law, ...]


class Blend(NamedTuple):
    """Laws that predict together: one opinion.

    Attributes:
      weights: Of the laws, summing to 1.
      laws: As many.
    """

    weights: tuple[float, ...]
    laws: tuple[laws.Law, ...]

    def predict(self, weights: ArrayLike, samples: ArrayLike, supply: ArrayLike) -> Floats:
        """Their weighted mean; arguments as of a law."""
        pairs = zip(self.weights, self.laws, strict=True)
        return np.sum([p * law.predict(weights, samples, supply) for p, law in pairs], axis=0)


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Predictions for trainings of about one length.

    Attributes:
      amount: The budget it was made for.
      samples: That any mixture can have of it, or the most that money can train.
      entries: The competition, the winner first.
      members: The laws that predict; weights sum to 1.
    """

    amount: float
    samples: int
    entries: tuple[laws.Entry, ...]
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """Of the law, or of all of them."""
        return " + ".join(m.entry.name for m in self.members)

    @property
    def weights(self) -> dict[str, float]:
        """By name."""
        return {m.entry.name: m.weight for m in self.members}

    @property
    def cells(self) -> cells_.Cells:
        """The measurements it was made from."""
        return self.entries[0].fit.cells

    @property
    def blends(self) -> tuple[Blend, ...]:
        """The members together: as fitted, then each round of draws."""
        weights = tuple(m.weight for m in self.members)
        rounds = zip(*((m.entry.fit.law, *m.draws) for m in self.members), strict=True)
        return tuple(Blend(weights, each) for each in rounds)

    @property
    def missed(self) -> float:
        """Error of the members together on lengths that they had not seen."""
        weights = np.array([m.weight for m in self.members])
        return competition.missed([m.entry for m in self.members], weights)

    def predict(self, training: Training) -> Floats:
        """Predicted error: shape (...,)."""
        return self.blends[0].predict(*training)

    def drawn(self, training: Training) -> Floats:
        """What each draw predicts: shape (draws, ...)."""
        return np.array([blend.predict(*training) for blend in self.blends[1:]])

    def every(self, training: Training) -> Floats:
        """What the fitted laws and each draw predict: shape (1 + draws, ...)."""
        return np.array([blend.predict(*training) for blend in self.blends])

    def expected(self, training: Training) -> Floats:
        """Predicted error averaged over what the pilots leave open: what a choice minimises.

        A choice made on the single best fit chases its noise; averaged over the draws, only what
        the pilots agree on counts, and shares whose worth is unsure are hedged.
        """
        return np.mean(self.every(training), axis=0)

    def deviation(self, training: Training) -> Floats:
        """Standard deviation of one training run around its prediction.

        Parameters (over the draws), disagreement of the laws, their error on held-out lengths, and
        the seed. The held-out error is of a step of about `_STEP` in length; further out it adds up
        like a random walk in log samples.
        """
        longest = float(self.cells.samples.max())
        steps = np.log(np.maximum(training.samples / longest, _STEP)) / np.log(_STEP)
        own = np.array([m.entry.fit.law.predict(*training) for m in self.members])
        weight = np.array([m.weight for m in self.members])
        apart = np.tensordot(weight, (own - self.predict(training)) ** 2, 1)
        seed = self.cells.noise_at(training.samples)
        return np.sqrt(
            np.var(self.drawn(training), axis=0) + apart + steps * self.missed**2 + seed**2
        )

    @property
    def reach(self) -> float:
        """How many times the longest pilot its trainings are."""
        return self.samples / float(self.cells.samples.max())


def forecast(
    cells: cells_.Cells,
    amount: float,
    costs: costs_.Costs,
    *,
    max_fraction: float,
    seed: int,
    competing: tuple[type[laws.Law], ...] = laws.LAWS,
) -> Forecast:
    """Hold the competition on the runs that a budget may use.

    Raises:
      PlanError: no run is short enough.
    """
    part = costs.part(cells.weights, cells.samples, amount)
    allowed = part <= max_fraction * (1 + _ROUNDING)
    if allowed.sum() < 2:
        raise errors.PlanError(
            f"budget {amount:,.12g}: fewer than two measurements it may use",
            why=f"only runs of at most {max_fraction:g} x {amount:,.12g} {costs.unit} count, and "
            f"the shortest has {int(cells.samples.min()):,} samples",
            remedy="measure shorter runs, raise max_fraction or drop this budget",
        )
    entries = laws.compete(cells.where(allowed), laws=competing, seed=seed)
    members = []
    for entry, weight in competition.predictors(entries):
        rng = seeding.generator(seed, "draws", costs.samples(amount))
        members.append(Member(entry, weight, tuple(entry.fit.draws(_DRAWS, rng))))
    return Forecast(amount, costs.samples(amount), tuple(entries), tuple(members))


@dataclasses.dataclass(frozen=True)
class Outlook:
    """Forecasts for planned budgets, blended in log budget in between, so no curve has steps.

    Attributes:
      forecasts: Ascending in amount.
    """

    forecasts: Sequence[Forecast]

    def expected(self, training: Training, amount: float) -> Floats:
        """Of trainings for a budget: shape (...,)."""
        return np.sum([p * f.expected(training) for f, p in self._near(amount)], axis=0)

    def intervals(self, trainings: Training, amount: float) -> Floats:
        """Of one training run each: shape (..., 2)."""
        middle = self.expected(trainings, amount)
        reach = _REACH * np.sum([p * f.deviation(trainings) for f, p in self._near(amount)], axis=0)
        return np.stack([np.maximum(middle - reach, 0), middle + reach], axis=-1)

    def interval(self, training: Training, amount: float) -> plan_.Interval:
        """Of one run of one training."""
        low, high = self.intervals(training, amount).tolist()
        return low, high

    def gaps(self, training: Training, others: Training, amount: float) -> Floats:
        """Of the error of each of `others` (s,) above that of `training`, for a budget: (s, 2).

        The laws agree on most of what they get wrong, so the gap is asked of each draw. Between two
        forecasts the ends are blended, since their draws are not the same ones.
        """
        return self._ends(training, others, amount, lambda error: error.reshape(len(error), -1))

    def gap(self, training: Training, other: Training, amount: float) -> plan_.Interval:
        """As `gaps`; either may be several trainings, of which each draw takes the best."""
        ((low, high),) = self._ends(training, other, amount, _least).tolist()
        return low, high

    def _ends(
        self, training: Training, other: Training, amount: float, kept: Callable[[Floats], Floats]
    ) -> Floats:
        """Of the gaps between what is `kept` of the errors (draws, ...): shape (s, 2)."""
        found = []
        for f, p in self._near(amount):
            first, second = f.every(training), f.every(other)
            middle = kept(second.mean(0)[None]) - kept(first.mean(0)[None])
            found.append(p * ends(kept(second) - kept(first), middle[0]))
        return np.sum(found, axis=0)

    def _near(self, amount: float) -> list[tuple[Forecast, float]]:
        amounts = [f.amount for f in self.forecasts]
        above = bisect.bisect_left(amounts, amount)
        if above == 0:
            return [(self.forecasts[0], 1.0)]
        if above == len(amounts):
            return [(self.forecasts[-1], 1.0)]
        low, high = self.forecasts[above - 1], self.forecasts[above]
        part = float(np.log(amount / low.amount) / np.log(high.amount / low.amount))
        return [(low, 1 - part), (high, part)]


def ends(values: Floats, middle: Floats) -> Floats:
    """The 90 % of values (n, ...) and what is told of them (...,): shape (..., 2)."""
    low, high = np.quantile(values, [_TAIL, 1 - _TAIL], axis=0)
    return np.stack([np.minimum(low, middle), np.maximum(high, middle)], axis=-1)


def stacked(trainings: Iterable[Training]) -> Training:
    """Several as one, along a first axis."""
    return Training(*(np.stack(x) for x in zip(*trainings, strict=True)))


def _least(values: Floats) -> Floats:
    """Shape (draws, 1)."""
    return values.reshape(len(values), -1).min(-1, keepdims=True)
