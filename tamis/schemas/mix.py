"""What `tamis mix` tells: distances of the strata to the target, and the nearest mixture."""

import dataclasses

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True)
class Predicted:
    """What the planner's law says of a mixture.

    Attributes:
      error: Expected.
      interval: Of one training.
    """

    error: float
    interval: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Unserved:
    """A cluster of the target that no stratum has rows about.

    Attributes:
      cluster: Its number.
      share: Of the target's rows.
      example: Beginning of a text of it.
      name: Its label or typical words; else its number.
    """

    cluster: int
    share: float
    example: str
    name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Mix:
    """The nearest mixture beside each stratum. Costs are entropic, in units of the median distance.

    Attributes:
      names: Of the strata.
      costs: Shape (k,), of each alone.
      least: Cost of the target to itself.
      weights: Shape (k,), of the nearest mixture.
      cost: Of it.
      gap: No mixture costs less than cost - gap.
      samples: The budget predicted for; 0 without a plan.
      nearest: What is predicted of the nearest mixture; None without a plan.
      planned: What is predicted of the plan's.
      unserved: Largest first.
    """

    names: tuple[str, ...]
    costs: NDArray[np.float64]
    least: float
    weights: NDArray[np.float64]
    cost: float
    gap: float
    samples: int
    nearest: Predicted | None
    planned: Predicted | None
    unserved: tuple[Unserved, ...]
