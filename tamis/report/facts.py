"""What the report says, as plain values: `build` needs nothing else."""

import dataclasses

from tamis.schemas import balance as balance_schema
from tamis.schemas import check as check_schema
from tamis.schemas import geometry as geometry_schema
from tamis.schemas import plan as plan_schema
from tamis.selectors import wording

Triple = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Pilot trainings on one stratum alone, means over seeds.

    Attributes:
      stratum: Its name.
      supply: Unique rows they could draw from.
      samples: Rows seen, ascending.
      errors: Mean error at each.
    """

    stratum: str
    supply: int
    samples: tuple[float, ...]
    errors: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Example:
    """One row, shown to a person.

    Attributes:
      text: Its beginning; empty where the source has no text.
      score: What placed it here.
      uid: Its name, for `tamis inspect`.
    """

    text: str
    score: float
    uid: str


@dataclasses.dataclass(frozen=True)
class Contrast:
    """Rows from two sides: of a tier's threshold, or of a scorer's range.

    Attributes:
      title: Where, e.g. `amazon: between tier 0 and tier 1`.
      upper: Heading of the better rows.
      lower: Heading of the others.
      above: The better rows, best first.
      below: The others, best first.
    """

    title: str
    upper: str
    lower: str
    above: tuple[Example, ...]
    below: tuple[Example, ...]


@dataclasses.dataclass(frozen=True)
class NearCopies:
    """Rows that are like another, where the run looked for them.

    Attributes:
      threshold: The cosine it merges at, if vectors tell.
      rows: Of the supply.
      near: Those left out, exact copies not counted.
      capped: Rows that could not be compared everywhere.
      merged: Threshold and how many rows it would leave out, ascending.
      pairs: Pairs just above some thresholds, one row on either side.
      minhash: The Jaccard similarity it merges at, if texts tell.
    """

    threshold: float | None
    rows: int
    near: int
    capped: int
    merged: tuple[tuple[float, int], ...]
    pairs: tuple[Contrast, ...] = ()
    minhash: float | None = None


@dataclasses.dataclass(frozen=True)
class Intake:
    """What ingest took from one source.

    Attributes:
      source: Its name.
      rows: Rows of its files.
      accepted: Those that entered the index.
      rejected: The others, by reason.
    """

    source: str
    rows: int
    accepted: int
    rejected: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A part of the target, and who serves it under the plan's largest budget.

    Attributes:
      name: Its label or typical words; else the beginning of a text of it, or its number.
      share: Of the target's rows.
      served: One per stratum: the part of its rows that optimal transport brings from there.
      nobody: Whether no stratum has rows about it, so that what is brought comes from afar.
    """

    name: str
    share: float
    served: tuple[float, ...]
    nobody: bool


@dataclasses.dataclass(frozen=True)
class Surface:
    """Predicted error over the mixtures of three strata, the others as planned.

    Attributes:
      strata: Their numbers, by what the plan takes of them.
      rest: Share of the others.
      mixtures: Shares of the three, summing to 1: centres of the cells of `cells`.
      errors: Predicted at each.
      cells: The corners of each, likewise mixtures.
      planned: The plan's.
      laws: Which predicted.
    """

    strata: tuple[int, int, int]
    rest: float
    mixtures: tuple[Triple, ...]
    errors: tuple[float, ...]
    cells: tuple[tuple[Triple, Triple, Triple], ...]
    planned: Triple
    laws: str


@dataclasses.dataclass(frozen=True)
class Held:
    """What the transport law predicted of trainings that it was fitted without.

    Attributes:
      title: Which trainings.
      settings: How many there were.
      error: Root mean square of what was missed, over all of them.
      measured: Mean error of those to draw.
      predicted: Of each.
    """

    title: str
    settings: int
    error: float
    measured: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Transport:
    """What a plan with `predictor: transport` knows, at its largest budget.

    Attributes:
      amount: The budget.
      clusters: All parts of the target, the largest first.
      held: One per kind of trainings left out, none where none could be.
      surface: None with fewer than three strata.
    """

    amount: float
    clusters: tuple[Cluster, ...]
    held: tuple[Held, ...] = ()
    surface: Surface | None = None


@dataclasses.dataclass(frozen=True)
class Facts:
    """Everything on the page.

    Attributes:
      name: Of the run.
      plan: The plan document.
      check: Predicted against measured; None before `tamis check`.
      pilots: Pilots on single strata, in the order of the strata, larger supply first.
      contrasts: Examples.
      sampled: Whether examples come from a part of the shards.
      near: Near-copies; None where only exact ones were sought.
      balance: One per budget; empty before `tamis select`.
      intake: One per source.
      continues: The run that this one continues, what it adds and what it takes out; else empty.
      ends: Scorer of the tiers, which end of its difficulty is kept, and why.
      transport: None unless the plan's predictor is that.
      geometry: What the rows are like; None where the clusters were made by an older version.
      seconds: Stage and how long it took, in flow order.
      versions: Package and version.
      seed: Of the run.
      git: Commit of the working directory, or empty.
      config: The resolved run file, as YAML.
    """

    name: str
    plan: plan_schema.Plan
    check: check_schema.Check | None = None
    pilots: tuple[Curve, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    sampled: bool = False
    near: NearCopies | None = None
    balance: tuple[balance_schema.Balance, ...] = ()
    intake: tuple[Intake, ...] = ()
    continues: str = ""
    ends: tuple[tuple[str, str, str], ...] = ()
    transport: Transport | None = None
    geometry: geometry_schema.Geometry | None = None
    seconds: tuple[tuple[str, float], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    seed: int = 0
    git: str = ""
    config: str = ""

    def told(self, amount: float) -> str:
        """A budget with its unit: `8,000 samples`."""
        return wording.amount(amount, self.plan.terms.unit)
