"""The plan document, `plan/plan.json`: what to train on at each budget, and why.

Errors are on the target, in the units of the measurements (0 to 1 for a classifier). An interval is
`[lo, hi]` and should hold the error of one training run nine times out of ten.
"""

from typing import Literal

import pydantic

FOLDER = "plan"
FILE = "plan.json"
LEVEL = 0.9  # of every interval

WORDS_TO_TOKENS = 4 / 3  # the usual rule of thumb for English: 100 tokens are about 75 words

Mode = Literal["mixture", "prefix"]
Unit = Literal["samples", "tokens", "flops", "money"]
Interval = tuple[float, float]
OpenInterval = tuple[float | None, float | None]
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
      words: Of their texts, all together; 0 where there are none.
    """

    name: str
    source: str
    tier: int
    supply: int
    words: int = 0


class Terms(Document):
    """What a budget is counted in, what things cost, and what is settled beforehand.

    Names are of strata, or of sources for all of their strata.

    Attributes:
      unit: Of the budgets: samples seen, tokens seen, FLOPs of training, or money.
      params: Parameters of the model, N in 6 N D (Kaplan et al. 2020), for FLOPs.
      tokens_per_word: Of the model's tokenizer: the index counts words.
      prices: Money for each unique row used, paid once however often it is repeated.
      training_price: Money for each sample trained, repeats counted.
      shares: Least and most share of what is trained on, in samples; of a budget in tokens or
        FLOPs, in tokens. Equal ends fix it.
    """

    unit: Unit = "samples"
    params: float | None = None
    tokens_per_word: float = WORDS_TO_TOKENS
    prices: dict[str, float] = {}
    training_price: float = 0.0
    shares: dict[str, tuple[float, float]] = {}


class Share(Document):
    """What one stratum gives to one training.

    Attributes:
      stratum: Its name.
      quota: Samples seen from it.
      epochs: quota / rows: how often each row used is seen, on average.
      share: quota / samples of the whole training.
      rows: Unique rows used: min(quota, supply), or fewer where rows have to be bought.
      price: Money for those rows.
    """

    stratum: str
    quota: int
    epochs: float
    share: float
    rows: int
    price: float = 0.0


class Cost(Document):
    """What a plan costs, in the money of its prices.

    Attributes:
      rows: Unique rows, each paid once.
      training: Samples trained.
      total: Both.
    """

    rows: float
    training: float
    total: float


class Alternative(Document):
    """The best allocation of another strategy.

    Attributes:
      name: `<stratum> alone`, `equal shares`, `natural proportions`, `top <j> tiers`, `mixture`.
      predicted_error: Of training on it at this budget.
      interval: For one training run, as that of the choice.
      gap: Its predicted error minus the chosen one's; negative if it was passed over on purpose.
      gap_interval: Of the gap, over what the pilots leave open about the laws; the doubt that both
        share is not in it, nor is the seed.
      allocation: In the order of the strata, without empty ones.
    """

    name: str
    predicted_error: float
    interval: Interval
    gap: float
    gap_interval: Interval
    allocation: list[Share]


class Marginal(Document):
    """What more unique rows of a stratum would change of the predicted error; less is better.

    The budget stays. In one of money more rows are only on offer and have to be paid like the
    others, so those of a stratum that is not bought out are worth nothing.

    Attributes:
      stratum: Its name.
      per_row: Of one more row.
      per_row_interval: Over what the pilots leave open about the laws.
      per_1000_rows: Of a thousand more, with the shares planned again.
      interval: Of `per_1000_rows`, likewise.
      per_money: Of money beyond the budget, one unit of it, that buys rows of the stratum at its
        price; null where it has none.
      per_money_interval: Likewise.
    """

    stratum: str
    per_row: float
    per_row_interval: Interval
    per_1000_rows: float
    interval: Interval
    per_money: float | None = None
    per_money_interval: Interval | None = None


class Budget(Document):
    """The plan for one budget.

    Attributes:
      samples: Samples seen in training, repeats counted.
      amount: The budget, in the plan's unit.
      spent: What the quotas take of it, never more; in tokens by the mean row of each stratum.
      cost: In money, where anything has a price.
      strategy: Name of the chosen strategy.
      allocation: What to train on, in the order of the strata, without empty ones; quotas sum to
        `samples`.
      predicted_error: Of training on it.
      interval: For one training run: the law's parameters, its misfit on held-out lengths, and the
        seed.
      runner_up: The best other strategy; null when there is none.
      runners_up: All other strategies, best first.
      marginal: What to collect next, one per stratum.
      law: Which law predicted; several are joined by ` + `.
      weights: Of each law in the prediction, by name.
      measurements: How many runs it was fitted to.
      largest_pilot: Samples of the longest of them.
      summary: The plan in one sentence.
    """

    samples: int
    amount: float
    spent: float
    cost: Cost | None = None
    strategy: str
    allocation: list[Share]
    predicted_error: float
    interval: Interval
    runner_up: Alternative | None
    runners_up: list[Alternative]
    marginal: list[Marginal] = []
    law: str
    weights: dict[str, float] = {}
    measurements: int
    largest_pilot: int
    summary: str


class Point(Document):
    """One budget of the frontier: the best that any allocation is predicted to reach.

    Attributes:
      amount: The budget, in the plan's unit.
      samples: Samples that the best allocation trains on.
      strategy: Name of the best strategy.
      shares: One per stratum.
      rows: Unique rows of each that it uses.
      predicted_error: Of the best allocation.
      interval: For one training run.
      alternatives: Predicted error of each other strategy by name.
      alternative_intervals: Of each, for one training run.
      gap_intervals: Of each's error above that of the best allocation, over what the pilots leave
        open about the laws.
    """

    amount: float
    samples: int
    strategy: str
    shares: list[float]
    rows: list[int]
    predicted_error: float
    interval: Interval
    alternatives: dict[str, float]
    alternative_intervals: dict[str, Interval] = {}
    gap_intervals: dict[str, Interval] = {}


class Crossing(Document):
    """A budget where the best strategy changes.

    Attributes:
      kind: `chosen` for the best allocation, `named` among the strategies people would try by name
        (one stratum alone, equal shares, natural proportions, prefixes).
      amount: About where, in the plan's unit.
      interval: Budgets between which the pilots leave open which side is better, 90 % for each end;
        null where that is beyond the frontier.
      samples: Samples trained there.
      before: Strategy below it.
      after: Strategy above it.
      sentence: The same in words.
    """

    kind: CrossingKind
    amount: float
    interval: OpenInterval
    samples: int
    before: str
    after: str
    sentence: str


class LawScore(Document):
    """One law in the competition for one budget.

    Attributes:
      budget: Which budget, in the plan's unit.
      law: Its name.
      held_out_error: Root mean squared error on the longest pilots, fitted without them; null when
        there is only one length.
      mixture_error: Root mean squared error on every mixture at all its lengths, fitted without
        it; to hold against `fitted_error`. Null with fewer than three mixtures.
      fitted_error: The same on the measurements it was fitted to.
      weight: Of its prediction in that of the plan.
      chosen: Whether it predicts this budget, alone or with others.
      parameters: Value and interval of each parameter.
      warnings: What the measurements could not tell.
    """

    budget: float
    law: str
    held_out_error: float | None
    mixture_error: float | None = None
    fitted_error: float
    weight: float
    chosen: bool
    parameters: dict[str, tuple[float, float, float]]
    warnings: list[str]


class Fitted(Document):
    """What the laws of the largest budget say of training on one stratum alone.

    Attributes:
      stratum: Its name.
      supply: Its unique rows; samples beyond them repeat.
      samples: Ascending.
      error: Predicted, at each.
      error_ends: 90 % of what the pilots leave open about the laws.
      utility: -d log error / d log samples; below 0 the error rises.
      utility_ends: The same 90 %.
    """

    stratum: str
    supply: int
    samples: list[float]
    error: list[float]
    error_ends: list[Interval]
    utility: list[float]
    utility_ends: list[Interval]


class Plan(Document):
    """The whole document.

    Attributes:
      mode: `mixture` = any shares; `prefix` = the best j tiers in natural proportions.
      terms: What budgets are counted in, prices, and shares that were given.
      max_epochs: Cap on how often a row is seen; null = none.
      max_fraction: Of a budget that its pilots may use.
      seed: Of the search.
      chance: Error of a model that has learned nothing.
      fitted: One per stratum.
    """

    version: Literal[1] = 1
    summary: str
    mode: Mode
    terms: Terms = Terms()
    max_epochs: float | None
    max_fraction: float
    seed: int
    chance: float
    strata: list[Stratum]
    budgets: list[Budget]
    crossings: list[Crossing]
    frontier: list[Point]
    laws: list[LawScore]
    fitted: list[Fitted] = []
    notes: list[str]
