"""Plan: measurements and a budget to quotas. All of the thinking is in `selectors.allocation`."""

from collections.abc import Sequence

import pyarrow as pa

from tamis import artifacts, progress, seeding, storage
from tamis.pipelines import guard, measures, pilot, session, strata
from tamis.schemas import measurements, planning
from tamis.schemas import plan as schema
from tamis.selectors import allocation, costs, laws, projektor
from tamis.selectors import forecast as forecast_
from tamis.selectors.laws import cells as cells_

VERSION = 5
NAME = "plan"


def plan(run: session.Session) -> None:
    """Write `plan/plan.json`.

    Raises:
      PlanError: the measurements cannot carry a plan, or the budget does not fit the supply.
    """
    run.whole(NAME, inputs(run), (schema.FOLDER,), lambda outcome: _plan(run, outcome))


def inputs(run: session.Session) -> str:
    """The digest of the plan."""
    own = run.config.plan.measurements
    part = [run.config.plan, run.config.pilot.max_fraction, run.seed, _content(own)]
    part += guard.part(run) if run.config.plan.predictor == "transport" else []
    return run.digest(NAME, VERSION, part, ["tier", "dedup", *([] if own else [pilot.NAME])])


def read(run: session.Session) -> schema.Plan:
    """The plan of the run."""
    run.inputs(NAME)
    return artifacts.parse(url(run), schema.Plan)


def url(run: session.Session) -> str:
    """Where the plan is."""
    return storage.join(run.root, schema.FOLDER, schema.FILE)


def forecast(
    run: session.Session,
    amount: float,
    where: projektor.Geometry | None = None,
    *,
    competing: tuple[type[laws.Law], ...] | None = None,
) -> forecast_.Forecast:
    """What the planner believes of one budget; the strata are those of the plan, in its order.

    Args:
      run: With a plan.
      amount: The budget.
      where: Of strata and target, if they are measured already.
      competing: The laws to ask; without them those of `plan.predictor`.

    Raises:
      PlanError: as `plan`.
    """
    cells, section = read(run).strata, run.config.plan
    return forecast_.forecast(
        cells_.aggregate(_measured(run, section)).ordered([c.name for c in cells]),
        amount,
        costs.Costs.of(cells, section.terms, section.max_epochs),
        max_fraction=run.config.pilot.max_fraction,
        seed=run.seed,
        competing=competing or _competing(run, section, where),
    )


def _measured(run: session.Session, section: planning.Plan) -> pa.Table:
    return measurements.read(section.measurements or pilot.url(run))


def _competing(
    run: session.Session, section: planning.Plan, where: projektor.Geometry | None = None
) -> tuple[type[laws.Law], ...]:
    """The laws of `plan.predictor`.

    Transport joins by the two that `projektor.Predictor` averages. Its regressions know no supply
    and need a transport problem for each of the thousands of mixtures that a plan tries.
    """
    if section.predictor == "laws":
        return laws.LAWS
    known = where or measures.find(run).geometry
    return (*laws.LAWS, projektor.Coverage.over(known), laws.Rational)


def _content(own: str) -> str:
    return seeding.digest(storage.read_bytes(own)).hex() if own and storage.exists(own) else own


def draft(run: session.Session, section: planning.Plan) -> schema.Plan:
    """What the run's measurements say of other budgets or terms; nothing is written.

    Raises:
      ArtifactError: the run has no plan yet.
      PlanError: the measurements cannot carry this plan.
    """
    return _planned(run, section, read(run).strata)


def _plan(run: session.Session, outcome: progress.Outcome) -> dict:
    made = _planned(run, run.config.plan, strata.find(run).cells)
    storage.write_atomic(url(run), (made.model_dump_json(indent=1) + "\n").encode())
    outcome.note = ", ".join(sorted({b.law for b in made.budgets}))
    return {"summary": made.summary}


def _planned(
    run: session.Session, section: planning.Plan, cells: Sequence[schema.Stratum]
) -> schema.Plan:
    return allocation.plan(
        _measured(run, section),
        list(cells),
        section.budgets,
        terms=section.terms,
        max_fraction=run.config.pilot.max_fraction,
        max_epochs=section.max_epochs,
        mode=section.mode,
        seed=run.seed,
        competing=_competing(run, section),
    )
