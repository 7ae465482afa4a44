"""The sections of the run file that the planner reads: its pilots, its budgets and their terms."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tamis.schemas import plan
from tamis.schemas.parts import Fraction, Part, Positive, Price


class Pilot(Part):
    """Cheap trainings that measure what each stratum is worth."""

    kind: Literal["linear-probe", "knn", "tiny-lm", "command"] = Field(
        "linear-probe",
        description="What is trained: linear-probe and knn on vectors and labels, tiny-lm on texts "
        "without labels; command is any trainer of yours",
    )
    options: dict = Field({}, description="Of the kind; the probe's are learning_rate and batch")
    seeds: Positive | None = Field(
        None, description="Replicates of a pilot at most; default 200, of tiny-lm and command 2"
    )
    max_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="A budget is planned from pilots of at most this part of it"
    )
    design: Literal["grid", "optimal"] = Field(
        "grid", description="Every mixture at every length, or those that tell most for their price"
    )
    budget: Positive | None = Field(
        None,
        description="Samples trained by all pilots together; default 10 million, of knn 1 million, "
        "of tiny-lm and command 100,000",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        4.0, description="Of the probe's SGD on unit vectors, decayed linearly to 0"
    )
    batch: Positive = Field(8, description="Examples per SGD step")

    @property
    def labelled(self) -> bool:
        """Whether it needs labels."""
        return self.kind in ("linear-probe", "knn")

    @property
    def cost(self) -> int:
        """Samples trained by all pilots together."""
        usual = {"linear-probe": 10_000_000, "knn": 1_000_000}
        return self.budget or usual.get(self.kind, 100_000)

    @property
    def most_seeds(self) -> int:
        """Replicates of a pilot at most."""
        return self.seeds or (200 if self.labelled else 2)

    @pydantic.model_validator(mode="after")
    def _of_kind(self) -> "Pilot":
        if self.kind == "command" and not self.options.get("command"):
            raise ValueError("pilot.kind: command needs options: {command: ...}")
        return self


class Plan(Part):
    """The budget, and what may be done with it."""

    budgets: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        min_length=1, description="What each planned training may take, in `unit`"
    )
    unit: plan.Unit = Field("samples", description="Of the budgets; samples are samples seen")
    params: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Parameters N of the model, for FLOPs: 6 N for each token"
    )
    tokens_per_word: Annotated[float, Field(gt=0)] = Field(
        plan.WORDS_TO_TOKENS, description="Of the model's tokenizer; tamis counts words"
    )
    prices: dict[str, Price] = Field(
        {}, description="Money for each unique row used, by source or stratum; repeats are free"
    )
    training_price: Price = Field(0.0, description="Money for each sample trained")
    shares: dict[str, Fraction | tuple[Fraction, Fraction]] = Field(
        {}, description="By source or stratum: a share that is given, or its [least, most]"
    )
    strata: list[Literal["source", "tier"]] = Field(
        ["source", "tier"], min_length=1, description="What a quota is given to"
    )
    max_epochs: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Never repeat a row more often"
    )
    mode: Literal["mixture", "prefix"] = Field(
        "mixture", description="Any shares, or the published 'top k strata', as they come"
    )
    measurements: str = Field("", description="Your own runs (csv, parquet) instead of pilots")
    predictor: Literal["laws", "transport"] = Field(
        "laws",
        description="transport: laws that know where the sources and the target lie compete too",
    )

    @pydantic.field_validator("budgets")
    @classmethod
    def _ascending(cls, value: list[float]) -> list[float]:
        return sorted({int(b) if b.is_integer() else b for b in value})

    @pydantic.field_serializer("budgets")
    def _plain(self, value: list[float]) -> list:
        return value  # whole numbers stay whole, as they were written

    @pydantic.field_validator("shares", mode="before")
    @classmethod
    def _in_order(cls, value: object) -> object:
        for name, ends in (value if isinstance(value, dict) else {}).items():
            pair = list(ends) if isinstance(ends, list | tuple) else [ends, ends]
            numbers = all(isinstance(x, int | float) and 0 <= x <= 1 for x in pair)
            if not numbers or len(pair) != 2 or pair[0] > pair[1]:
                raise ValueError(
                    f"{name}: {ends}: give a share from 0 to 1, or its [least, most], such as "
                    f"{{{name}: 0.3}} or {{{name}: [0, 0.5]}}"
                )
        return value

    @pydantic.model_validator(mode="after")
    def _counted(self) -> "Plan":
        if self.unit == "samples" and any(b % 1 for b in self.budgets):
            raise ValueError(f"budgets in samples are whole numbers, not {self.budgets}")
        if self.unit == "flops" and self.params is None:
            raise ValueError("unit: flops needs `params`, the parameters of the model")
        if self.unit == "money" and not self.training_price and self.max_epochs is None:
            raise ValueError("unit: money needs `training_price` or `max_epochs`, or never ends")
        return self

    @property
    def terms(self) -> plan.Terms:
        """The same as the planner reads it."""
        names = ("unit", "params", "tokens_per_word", "prices", "training_price")
        given = {name: getattr(self, name) for name in names}
        return plan.Terms(**given, shares=ends(self.shares))


def ends(shares: dict[str, float | tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Least and most share by name: of a share that is given, twice the same."""
    return {name: v if isinstance(v, tuple) else (v, v) for name, v in shares.items()}
