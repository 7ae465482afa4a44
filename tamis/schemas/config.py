"""The run file: one YAML document is one run.

Every default that is a choice says where it comes from. Unknown keys are errors; `tamis.runfile`
turns a validation error into file:line:column and the nearest valid key.
"""

import difflib
import math
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tamis.schemas import choosing, intake, lineage, planning
from tamis.schemas.parts import Name, Part, Positive

MAX_TIERS = 127  # int8 in the sidecar


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


class Dedup(Part):
    """Near-copies: rows whose vectors or texts are alike. Off until one of both is asked for."""

    threshold: Annotated[float, Field(gt=0, le=0.9999)] | None = Field(
        None, description="Cosine from which a row is a copy of another; none: vectors do not tell"
    )
    minhash: Annotated[float, Field(ge=0.1, le=1)] | None = Field(
        None,
        description="Share of their word 5-grams in common (Jaccard) from which texts are copies, "
        "found by MinHash; none: texts do not tell",
    )
    floor: Annotated[float, Field(gt=0, le=0.9999)] | None = Field(
        None,
        description="Lowest cosine kept to try thresholds on; default a multiple of 0.05 below it",
    )
    probes: Positive = Field(
        16, description="Clusters a row is compared in beside its own, where their border is near"
    )
    block_rows: Positive = Field(
        8_192, description="Rows of a cluster that one worker compares with as many others"
    )

    @pydantic.model_validator(mode="after")
    def _below(self) -> "Dedup":
        if self.floor is not None and self.floor > (self.threshold or 0):
            raise ValueError("dedup.floor may not be above dedup.threshold")
        return self

    @property
    def near(self) -> bool:
        """Whether any but exact copies are sought."""
        return self.threshold is not None or self.minhash is not None

    @property
    def lowest(self) -> float:
        """The cosine down to which pairs are kept."""
        if self.floor is not None:
            return self.floor
        below = round(20 * ((self.threshold or 1.0) - 0.04), 9)
        return max(math.floor(below) / 20, 0.05)


class Runner(Part):
    """Where Beam runs. Options after `--` on the command line are Beam's own."""

    kind: Literal["local", "dataflow"] = Field(
        "local", description="Beam's in-process FnApiRunner, or Google's service"
    )
    workers: Positive = Field(
        1, description="Above 1: that many worker processes; of Dataflow the most machines"
    )
    project: str = Field("", description="Of Dataflow: who pays")
    region: str = Field("", description="Of Dataflow, e.g. europe-west4")
    temp_location: str = Field("", description="Of Dataflow: gs:// folder for staging and shuffles")
    machine_type: str = Field("", description="Of Dataflow's workers, e.g. n1-standard-8")
    container: str = Field("", description="Of Dataflow's workers: an image with tamis in it")

    @pydantic.model_validator(mode="after")
    def _placed(self) -> "Runner":
        terms = {name: getattr(self, name) for name in ("project", "region", "temp_location")}
        lacking = [name for name, value in terms.items() if not value]
        if self.kind == "dataflow" and lacking:
            raise ValueError(f"runner: dataflow needs {', '.join(lacking)}")
        if self.temp_location and not self.temp_location.startswith("gs://"):
            raise ValueError("runner.temp_location is a gs:// folder")
        return self


class Run(Part):
    """One run."""

    version: Literal[1] = Field(description="Of this format")
    run: str = Field(min_length=1, description="Folder or URL everything is written to")
    seed: int = Field(0, ge=0, lt=2**63, description="Of every random choice")
    sources: dict[Name, intake.Source] = Field(
        min_length=1, description="What may be chosen, by name"
    )
    target: intake.Source | None = Field(
        None, description="A sample of what training should be good at"
    )
    frozen: str = Field(
        "", description="Run folder whose centroids, scorers, tiers and pilots stay"
    )
    removed: lineage.Removed = lineage.Removed()
    offers: dict[Name, intake.Source] = Field(
        {}, description="Samples of sources that `tamis acquire` may buy and the run has not"
    )
    ingest: intake.Ingest = intake.Ingest()
    embed: intake.Embed = intake.Embed()
    cluster: Cluster = Cluster()
    score: dict[str, dict] = Field(
        {"prototypes": {}, "lexical": {}}, description="Scorers by name, with their options"
    )
    dedup: Dedup = Dedup()
    tier: Tier = Tier()
    pilot: planning.Pilot = planning.Pilot()
    plan: planning.Plan
    select: choosing.Select = choosing.Select()
    check: choosing.Check = choosing.Check()
    runner: Runner = Runner()

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> "Run":
        self._can_name()
        unscored = set(scorers(self.tier.by)) - set(self.score)
        if unscored:
            raise ValueError(
                f"tier.by names {sorted(unscored)}, not among score: {list(self.score)}"
            )
        self._can_dedup()
        self._can_embed()
        self._can_plan()
        if self.check.guard and self.target is None:
            raise ValueError("check.guard needs a `target` to guard")
        if self.plan.predictor == "transport" and self.target is None:
            raise ValueError("plan.predictor: transport needs a `target` to be near to")
        if not self.plan.measurements:
            self._can_pilot()
        return self

    def _can_name(self) -> None:
        if "target" in self.sources:
            raise ValueError("a source may not be called 'target'")
        if self.frozen and self.frozen.rstrip("/") == self.run.rstrip("/"):
            raise ValueError("frozen: a run cannot take over itself; give it another folder")
        back = set(self.removed.sources) & set(self.sources)
        if back:
            raise ValueError(f"removed.sources and sources both name {sorted(back)}")
        both = sorted(set(self.offers) & {"target", *self.sources})
        if both:
            raise ValueError(f"offers are of sources that the run has not, and it has {both}")

    def _can_dedup(self) -> None:
        if self.dedup.near and self.ingest.duplicates == "keep":
            raise ValueError("dedup drops near-copies, ingest.duplicates keeps exact ones")
        for name, source in self.sources.items():
            if self.dedup.minhash is not None and not source.text:
                raise ValueError(f"dedup.minhash compares texts, and {name} names no `text`")

    def _can_embed(self) -> None:
        everyone = {**self.sources, **({"target": self.target} if self.target else {})}
        precomputed = self.embed.backend == "precomputed"
        for name, source in everyone.items():
            if precomputed and not (source.embedding or source.vectors):
                raise ValueError(f"backend precomputed: {name} names no `embedding` or `vectors`")
            wanted = {"pair": ("image", "text")}.get(self.embed.content, (self.embed.content,))
            missing = [w for w in wanted if not getattr(source, w)]
            if not precomputed and missing:
                raise ValueError(
                    f"{name} names no `{missing[0]}` to embed; or use backend: precomputed"
                )

    def _can_plan(self) -> None:
        """Names of sources, before anything is run; of strata the planner knows all."""
        for key, given in (("prices", self.plan.prices), ("shares", self.plan.shares)):
            for name in given:
                source = name.partition("/")[0]
                if "source" in self.plan.strata and source not in self.sources:
                    near = difflib.get_close_matches(source, self.sources, 1)
                    known = f"did you mean '{near[0]}'?" if near else ", ".join(self.sources)
                    raise ValueError(f"plan.{key}: '{name}' is of no source; {known}")
        floors = {n: e[0] for n, e in planning.ends(self.plan.shares).items() if n in self.sources}
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
        if self.pilot.kind == "command" and self.check.guard:
            raise ValueError("check.guard needs a pilot that tamis trains, not a command")
        everyone = {**self.sources, "target": self.target}
        silent = [n for n, s in everyone.items() if not s.text]
        if self.pilot.kind == "tiny-lm" and silent:
            raise ValueError(f"tiny-lm needs a `text` column in: {', '.join(silent)}")
        if not self.pilot.labelled:
            return
        unlabelled = [n for n, s in everyone.items() if not s.label]
        if unlabelled:
            raise ValueError(
                f"{self.pilot.kind} needs a `label` column in: {', '.join(unlabelled)}"
            )


def scorers(by: str | dict[str, float]) -> dict[str, float]:
    """Scorer names and weights of `tier.by`, whichever way it is written."""
    return {by: 1.0} if isinstance(by, str) else dict(by)
