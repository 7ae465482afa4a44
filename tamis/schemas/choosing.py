"""The sections of the run file for what follows the plan: which rows, and how they are checked."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tamis.schemas.parts import Part, Positive


class Select(Part):
    """Which rows of a stratum, when not all are wanted."""

    order: Literal["uniform", "best"] = Field(
        "uniform", description="A uniform sample, or the rows with the best score first"
    )
    selector: str = Field(
        "", description="Instead: a selector by name, which sees the rows together"
    )
    options: dict = Field({}, description="Of the selector")
    block: Positive = Field(
        16_384,
        description="Of the selector: rows it sees at once; a larger stratum is cut into blocks",
    )

    @pydantic.model_validator(mode="after")
    def _one_rule(self) -> "Select":
        if self.selector and self.order != "uniform":
            raise ValueError("give `order` or `selector`, not both")
        if self.options and not self.selector:
            raise ValueError("`options` are of a `selector`; name one")
        return self


class Check(Part):
    """Training at the full budget, to hold the prediction against."""

    seeds: Positive = Field(5, description="Trainings per manifest")
    guard: bool = Field(
        default=False,
        description="Hold half of the target out and answer through Thresholdout (Dwork et al. "
        "2015), for a target that is planned and checked against again and again",
    )
    budget: Positive = Field(
        20, description="Of the guard: answers that may show overfitting before it refuses"
    )
    threshold: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Of the guard: a gap above it is overfitting; default 4 / sqrt(held out)"
    )
    sigma: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Of the guard: scale of its noise; default 1 / sqrt(held out)"
    )
    noise: Literal["laplace", "gaussian"] = Field(
        "gaussian", description="Of the guard: as in its theorem, or as in its authors' experiment"
    )

    def digested(self) -> dict:
        """What a check is made from; the terms of a guard that is off do not matter."""
        return self.model_dump(mode="json") if self.guard else {"seeds": self.seeds}
