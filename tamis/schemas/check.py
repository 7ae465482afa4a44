"""The check document, `check/check.json`: predicted against measured error."""

import pydantic

FOLDER = "check"
FILE = "check.json"


class Document(pydantic.BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Measured(Document):
    """Trainings on one manifest.

    Attributes:
      error: Mean over seeds, on the target; with `check.guard`, the guard's answer about it.
      standard_error: Of that mean; null for one seed. The target set is the same for all, so its
        own sampling error, which all share, is not in it.
      errors: One per seed; with `check.guard`, on the half of the target that pilots saw.
    """

    error: float
    standard_error: float | None
    errors: list[float]


class Gain(Document):
    """How much better the choice trains than another manifest, seed by seed.

    Attributes:
      mean: Of the other's error minus the choice's, over seeds: above 0, the choice is better.
      interval: Of 95 % around the mean, by Student's t of paired differences; null for one seed.
    """

    mean: float
    interval: tuple[float, float] | None


class Budget(Document):
    """One budget.

    Attributes:
      samples: Samples seen in training.
      predicted_error: Of the choice, before anything was trained at this budget.
      interval: Around it.
      chosen: The choice.
      random: A random pick with as many distinct rows and samples.
      everything: All rows, each equally often.
      top: The best tenth of all rows by the score that tiers are cut by, each equally often;
        null with `check.guard`, whose answers are too dear for it.
      gains: Of the choice over the others, by `random`, `everything` and `top`; with
        `check.guard`, on the half of the target that pilots saw.
      gain: random minus chosen: above 0, the choice trains better.
    """

    samples: int
    predicted_error: float
    interval: tuple[float, float]
    chosen: Measured
    random: Measured
    everything: Measured
    top: Measured | None
    gains: dict[str, Gain]
    gain: float


class Check(Document):
    """The whole document.

    Attributes:
      seeds: Trainings per manifest.
      chance: Error of always guessing the target's commonest class.
      budgets: Ascending.
    """

    seeds: int
    chance: float
    budgets: list[Budget]
