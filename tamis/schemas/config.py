"""The run file: one YAML document is one run.

Every default that is a choice says where it comes from. Unknown keys are errors; `tamis.runfile`
turns a validation error into file:line:column and the nearest valid key.
"""

import difflib
import math
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tamis.schemas import plan, shards

MAX_TIERS = 127  # int8 in the sidecar

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(pydantic.BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """Where rows come from, and what this source calls its columns."""

    path: str | list[str] = Field(description="File, folder, glob or URL; or a list of them")
    text: str = Field("", description="Column of the text to embed")
    label: str = Field("", description="Column of class labels, for pilots that need them")
    id: str = Field(
        "", description="Column of the source's own ids; without it, content names a row"
    )
    embedding: str = Field("", description="Column of precomputed vectors")
    vectors: str = Field(
        "", description=".npy file with one precomputed vector per row of the file"
    )
    format: shards.Format | None = Field(None, description="When the extension does not say")
    delimiter: str | None = Field(None, max_length=1, description="Of csv files; tab in .tsv")
    quote: str | None = Field(None, max_length=1, description="Of csv files; none in .tsv")
    header: list[str] = Field([], description="Names of csv columns when line 1 does not give them")

    @pydantic.model_validator(mode="after")
    def _has_content(self) -> "Source":
        if not (self.text or self.embedding or self.vectors):
            raise ValueError("name at least one of: text, embedding, vectors")
        return self

    def columns(self) -> shards.Columns:
        return shards.Columns(self.text, self.label, self.id, self.embedding)


class Ingest(Part):
    """How inputs are cut and what counts as a bad row."""

    shard_rows: Positive = Field(shards.SHARD_ROWS, description="Rows per shard")
    max_text_bytes: Positive = Field(1 << 20, description="A longer text is rejected")
    max_rejected_fraction: Fraction = Field(0.01, description="Above it the run fails with code 3")
    duplicates: Literal["drop", "keep"] = Field(
        "drop", description="Rows with one uid: train on the first only, or on each"
    )


class Embed(Part):
    """How a row becomes a unit vector."""

    backend: Literal["static", "sentence-transformers", "precomputed"] = Field(
        "static", description="static = WordLlama, no torch; precomputed = a column or .npy"
    )
    model: str = Field("", description="sentence-transformers: a folder or a hub id")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="cuda fails without a GPU")
    allow_cpu: bool = Field(default=False, description="Let device: cuda fall back to the CPU")
    batch: Positive = Field(64, description="Texts per forward pass; halved when out of memory")
    dtype: Literal["float16", "float32"] = Field("float16", description="On disk")
    accelerator: str = Field("", description="Beam resource hint, e.g. type:nvidia-l4;count:1")

    @pydantic.model_validator(mode="after")
    def _has_model(self) -> "Embed":
        if self.backend == "sentence-transformers" and not self.model:
            raise ValueError("backend sentence-transformers needs `model`: a folder or a hub id")
        return self


class Cluster(Part):
    """Spherical k-means on a hash-sampled subset."""

    k: Positive | None = Field(None, description="Clusters; default sqrt(rows), at most 10,000")
    iterations: Positive = Field(20, description="Lloyd iterations; faiss's own default is 25")
    sample: Positive | None = Field(
        None, description="Rows to fit on; default 256 per cluster, see tamis.clusters"
    )


class Tier(Part):
    """Quantile bands of a score, 0 = best."""

    by: str | dict[str, float] = Field(
        "prototypes", description="A scorer, or scorers with weights (of their rank fractions)"
    )
    tiers: int | list[float] = Field(
        1, description="How many equal tiers, or their fractions, best first"
    )
    within: Literal["pool", "source"] = Field(
        "source", description="Quantiles over the whole pool or inside each source"
    )

    @pydantic.field_validator("by")
    @classmethod
    def _weighted(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        weights = list(scorers(value).values())
        if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) <= 0:
            raise ValueError("name a scorer, or scorers with weights of at least 0, one above 0")
        return value

    @pydantic.field_validator("tiers")
    @classmethod
    def _sized(cls, value: int | list[float]) -> int | list[float]:
        if isinstance(value, int):
            fits = 1 <= value <= MAX_TIERS
        else:
            positive = all(math.isfinite(f) and f > 0 for f in value)
            fits = positive and 1 <= len(value) <= MAX_TIERS and abs(sum(value) - 1) <= 1e-6
        if not fits:
            raise ValueError(
                f"1 to {MAX_TIERS} tiers, or their fractions, positive and summing to 1"
            )
        return value


class Pilot(Part):
    """Cheap trainings that measure what each stratum is worth."""

    kind: Literal["linear-probe"] = Field("linear-probe", description="What is trained")
    max_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.25, description="A budget is planned from pilots of at most this part of it"
    )
    design: Literal["grid", "optimal"] = Field(
        "grid", description="Every mixture at every length, or those that tell most for their price"
    )
    budget: Positive | None = Field(
        None, description="Samples trained by all pilots together; default 10 million"
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        4.0, description="Of the probe's SGD on unit vectors, decayed linearly to 0"
    )
    batch: Positive = Field(8, description="Examples per SGD step")


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
        return plan.Terms(**given, shares=_ends(self.shares))


class Select(Part):
    """Which rows of a stratum, when not all are wanted."""

    order: Literal["uniform", "best"] = Field(
        "uniform", description="A uniform sample, or the rows with the best score first"
    )


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


class Runner(Part):
    """Where Beam runs. Options after `--` on the command line are Beam's own."""

    kind: Literal["local"] = Field("local", description="Beam's in-process FnApiRunner")
    workers: Positive = Field(1, description="Above 1: that many worker processes")


class Run(Part):
    """One run."""

    version: Literal[1] = Field(description="Of this format")
    run: str = Field(min_length=1, description="Folder or URL everything is written to")
    seed: int = Field(0, ge=0, lt=2**63, description="Of every random choice")
    sources: dict[Name, Source] = Field(min_length=1, description="What may be chosen, by name")
    target: Source | None = Field(None, description="A sample of what training should be good at")
    ingest: Ingest = Ingest()
    embed: Embed = Embed()
    cluster: Cluster = Cluster()
    score: dict[str, dict] = Field(
        {"prototypes": {}, "lexical": {}}, description="Scorers by name, with their options"
    )
    tier: Tier = Tier()
    pilot: Pilot = Pilot()
    plan: Plan
    select: Select = Select()
    check: Check = Check()
    runner: Runner = Runner()

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Run":
        if "target" in self.sources:
            raise ValueError("a source may not be called 'target'")
        unscored = set(scorers(self.tier.by)) - set(self.score)
        if unscored:
            raise ValueError(
                f"tier.by names {sorted(unscored)}, not among score: {list(self.score)}"
            )
        self._can_embed()
        self._can_plan()
        if self.check.guard and self.target is None:
            raise ValueError("check.guard needs a `target` to guard")
        if not self.plan.measurements:
            self._can_pilot()
        return self

    def _can_embed(self) -> None:
        everyone = {**self.sources, **({"target": self.target} if self.target else {})}
        precomputed = self.embed.backend == "precomputed"
        for name, source in everyone.items():
            if precomputed and not (source.embedding or source.vectors):
                raise ValueError(f"backend precomputed: {name} names no `embedding` or `vectors`")
            if not precomputed and not source.text:
                raise ValueError(f"{name} names no `text` to embed; or use backend: precomputed")

    def _can_plan(self) -> None:
        """Names of sources, before anything is run; of strata the planner knows all."""
        for key, given in (("prices", self.plan.prices), ("shares", self.plan.shares)):
            for name in given:
                source = name.partition("/")[0]
                if "source" in self.plan.strata and source not in self.sources:
                    near = difflib.get_close_matches(source, self.sources, 1)
                    known = f"did you mean '{near[0]}'?" if near else ", ".join(self.sources)
                    raise ValueError(f"plan.{key}: '{name}' is of no source; {known}")
        floors = {n: e[0] for n, e in _ends(self.plan.shares).items() if n in self.sources}
        if sum(floors.values()) > 1 + 1e-9:
            told = ", ".join(f"{n} {v:g}" for n, v in floors.items())
            raise ValueError(f"plan.shares come to more than the whole: {told}; lower some")
        if self.plan.unit in ("tokens", "flops"):
            silent = [name for name, s in self.sources.items() if not s.text]
            if silent:
                raise ValueError(f"unit: {self.plan.unit} counts words; no `text` in {silent}")

    def _can_pilot(self) -> None:
        if self.target is None:
            raise ValueError("pilots need a `target`; or give plan.measurements of your own runs")
        unlabelled = [n for n, s in {**self.sources, "target": self.target}.items() if not s.label]
        if unlabelled:
            raise ValueError(f"linear-probe needs a `label` column in: {', '.join(unlabelled)}")


def _ends(shares: dict[str, float | tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Least and most share by name: of a share that is given, twice the same."""
    return {name: v if isinstance(v, tuple) else (v, v) for name, v in shares.items()}


def scorers(by: str | dict[str, float]) -> dict[str, float]:
    """Scorer names and weights of `tier.by`, whichever way it is written."""
    return {by: 1.0} if isinstance(by, str) else dict(by)
