"""Plan: measurements and a budget to quotas. All of the thinking is in `selectors.allocation`."""

import numpy as np
import pyarrow as pa

from tamis import artifacts, progress, seeding, storage
from tamis.pipelines import guard, measures, pilot, session, strata
from tamis.schemas import measurements
from tamis.schemas import plan as schema
from tamis.selectors import allocation, laws, projektor
from tamis.selectors import forecast as forecast_
from tamis.selectors.laws import cells as cells_

VERSION = 3
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


def forecast(run: session.Session, budget: int) -> forecast_.Forecast:
    """What the planner believes of one budget; the strata are those of the plan, in its order.

    Raises:
      PlanError: as `plan`.
    """
    cells = read(run).strata
    return forecast_.forecast(
        cells_.aggregate(_measured(run)).ordered([c.name for c in cells]),
        np.array([c.supply for c in cells], np.float64),
        budget,
        max_fraction=run.config.pilot.max_fraction,
        seed=run.seed,
        competing=_competing(run),
    )


def _measured(run: session.Session) -> pa.Table:
    return measurements.read(run.config.plan.measurements or pilot.url(run))


def _competing(run: session.Session) -> tuple[type[laws.Law], ...]:
    """The laws of `plan.predictor`.

    Transport joins by the two that `projektor.Predictor` averages. Its regressions know no supply
    and need a transport problem for each of the thousands of mixtures that a plan tries.
    """
    if run.config.plan.predictor == "laws":
        return laws.LAWS
    where = measures.find(run).geometry
    return (*laws.LAWS, projektor.Coverage.over(where), laws.Rational)


def _content(own: str) -> str:
    return seeding.digest(storage.read_bytes(own)).hex() if own and storage.exists(own) else own


def _plan(run: session.Session, outcome: progress.Outcome) -> dict:
    section = run.config.plan
    made = allocation.plan(
        _measured(run),
        list(strata.find(run).cells),
        section.budgets,
        max_fraction=run.config.pilot.max_fraction,
        max_epochs=section.max_epochs,
        mode=section.mode,
        seed=run.seed,
        competing=_competing(run),
    )
    storage.write_atomic(url(run), (made.model_dump_json(indent=1) + "\n").encode())
    outcome.note = ", ".join(sorted({b.law for b in made.budgets}))
    return {"summary": made.summary}
