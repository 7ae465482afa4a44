"""The guard's entry in the ledger, `run.json` key `guard`: how often the target has been asked."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

KEY = "guard"
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class Guard(pydantic.BaseModel):
    """Terms, which are fixed when the target is first looked at, and state, which only falls.

    Attributes:
      seed: Of the split and the noise; a later seed of the run moves neither.
      target: Digest of the target's uids.
      threshold: T of Thresholdout.
      sigma: Scale of its noise.
      noise: Kind of its noise.
      budget: Answers that the held-out half may give.
      left: Of them.
      noisy_threshold: In force.
      queries: Questions answered.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: Annotated[int, Field(ge=0)]
    target: str
    threshold: Annotated[_Finite, Field(ge=0)]
    sigma: Annotated[_Finite, Field(ge=0)]
    noise: Literal["laplace", "gaussian"]
    budget: Annotated[int, Field(ge=1)]
    left: Annotated[int, Field(ge=0)]
    noisy_threshold: _Finite
    queries: Annotated[int, Field(ge=0)]

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> "Guard":
        if not self.budget - self.queries <= self.left <= self.budget:
            raise ValueError("its budget, what is left of it and its queries do not add up")
        return self
