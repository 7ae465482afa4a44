"""The plan document, `plan/plan.json`: what to train on at each budget, and why.

Errors are on the target, in the units of the measurements (0 to 1 for a classifier). An interval is
`[lo, hi]` and should hold the error of one training run nine times out of ten.
"""

from typing import Literal

import pydantic

FOLDER = "plan"
FILE = "plan.json"
LEVEL = 0.9  # of every interval

Mode = Literal["mixture", "prefix"]
Interval = tuple[float, float]
CrossingKind = Literal["chosen", "named"]


class Document(pydantic.BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Stratum(Document):
    """A cell that can have a quota.

    Attributes:
      name: Contains the source's name.
      source: Where its rows come from.
      tier: 0 = best; -1 where the source has no tiers.
      supply: Unique rows.
    """

    name: str
    source: str
    tier: int
    supply: int


class Share(Document):
    """What one stratum gives to one training.

    Attributes:
      stratum: Its name.
      quota: Samples seen from it.
      epochs: quota / rows: how often each row used is seen, on average.
      share: quota / budget.
      rows: Unique rows used, min(quota, supply).
    """

    stratum: str
    quota: int
    epochs: float
    share: float
    rows: int


class Alternative(Document):
    """The best allocation of another strategy.

    Attributes:
      name: `<stratum> alone`, `equal shares`, `natural proportions`, `top <j> tiers`, `mixture`.
      predicted_error: Of training on it at this budget.
      gap: Its predicted error minus the chosen one's; negative if it was passed over on purpose.
      allocation: In the order of the strata, without empty ones.
    """

    name: str
    predicted_error: float
    gap: float
    allocation: list[Share]


class Marginal(Document):
    """What more unique rows of a stratum would change about the predicted error.

    Attributes:
      stratum: Its name.
      per_row: Of one more row; negative is better.
      per_1000_rows: Of a thousand more, with the shares planned again.
      interval: Of `per_1000_rows`, over what the pilots leave open about the law.
    """

    stratum: str
    per_row: float
    per_1000_rows: float
    interval: Interval


class Budget(Document):
    """The plan for one budget.

    Attributes:
      samples: Samples seen in training, repeats counted.
      strategy: Name of the chosen strategy.
      allocation: What to train on, in the order of the strata, without empty ones; quotas sum to
        `samples`.
      predicted_error: Of training on it.
      interval: For one training run: the law's parameters, its misfit on held-out lengths, and the
        seed.
      runner_up: The best other strategy; null when there is none.
      runners_up: All other strategies, best first.
      marginal: What to collect next, one per stratum.
      law: Which law predicted.
      measurements: How many runs it was fitted to.
      largest_pilot: Samples of the longest of them.
      summary: The plan in one sentence.
    """

    samples: int
    strategy: str
    allocation: list[Share]
    predicted_error: float
    interval: Interval
    runner_up: Alternative | None
    runners_up: list[Alternative]
    marginal: list[Marginal] = []
    law: str
    measurements: int
    largest_pilot: int
    summary: str


class Point(Document):
    """One budget of the frontier: the best that any allocation is predicted to reach.

    Attributes:
      samples: The budget.
      strategy: Name of the best strategy.
      shares: One per stratum.
      predicted_error: Of the best allocation.
      interval: For one training run.
      alternatives: Predicted error of each other strategy by name.
    """

    samples: int
    strategy: str
    shares: list[float]
    predicted_error: float
    interval: Interval
    alternatives: dict[str, float]


class Crossing(Document):
    """A budget where the best strategy changes.

    Attributes:
      kind: `chosen` for the best allocation, `named` among the strategies people would try by name
        (one stratum alone, equal shares, natural proportions, prefixes).
      samples: About where.
      before: Strategy below it.
      after: Strategy above it.
      sentence: The same in words.
    """

    kind: CrossingKind
    samples: int
    before: str
    after: str
    sentence: str


class LawScore(Document):
    """One law in the competition for one budget.

    Attributes:
      budget: Which budget.
      law: Its name.
      held_out_error: Root mean squared error on the longest pilots, fitted without them; null when
        there is only one length.
      mixture_error: Root mean squared error on every mixture at all its lengths, fitted without
        it; to hold against `fitted_error`. Null with fewer than three mixtures.
      fitted_error: The same on the measurements it was fitted to.
      chosen: Whether it predicts this budget.
      parameters: Value and interval of each parameter.
      warnings: What the measurements could not tell.
    """

    budget: int
    law: str
    held_out_error: float | None
    mixture_error: float | None = None
    fitted_error: float
    chosen: bool
    parameters: dict[str, tuple[float, float, float]]
    warnings: list[str]


class Plan(Document):
    """The whole document.

    Attributes:
      mode: `mixture` = any shares; `prefix` = the best j tiers in natural proportions.
      max_epochs: Cap on how often a row is seen; null = none.
      max_fraction: Of a budget that its pilots may use.
      seed: Of the search.
      chance: Error of a model that has learned nothing.
    """

    version: Literal[1] = 1
    summary: str
    mode: Mode
    max_epochs: float | None
    max_fraction: float
    seed: int
    chance: float
    strata: list[Stratum]
    budgets: list[Budget]
    crossings: list[Crossing]
    frontier: list[Point]
    laws: list[LawScore]
    notes: list[str]
