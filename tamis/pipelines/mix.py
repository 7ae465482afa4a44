"""Mix: how far each stratum is from the target, and which mixture is nearest, untrained."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tamis import errors
from tamis.pipelines import measures, plan, session
from tamis.schemas import mix as schema
from tamis.schemas import plan as plan_
from tamis.selectors import forecast as forecast_
from tamis.selectors import projektor, transport


def mix(run: session.Session, *, budget: int | None = None) -> schema.Mix:
    """Measure, mix and, where there is a plan, predict.

    Args:
      run: With embeddings at least.
      budget: Samples to predict for, one of those planned; by default the largest.

    Raises:
      ConfigError: there is no target, or the budget is not planned.
    """
    planned = _planned(run, budget)
    found = measures.find(run, texts=True)
    where, names = found.geometry, found.names
    itself = dataclasses.replace(where, sources={"": where.target})
    epsilon = where.epsilon * where.unit
    alone = where.distance(names, np.eye(len(names)))[0]
    best = transport.best_mixture(where.mixture(names), None, epsilon)
    reached = float(where.distance(names, best.weights)[0])  # its value is a bound, and coarser
    weights, cost = _no_worse(best.weights, reached, alone)
    return schema.Mix(
        names,
        alone,
        float(itself.distance([""], [1.0])[0]),
        weights,
        cost,
        cost - (best.value - best.gap) / where.unit,
        planned.samples if planned else 0,
        _predicted(run, planned, found, weights) if planned else None,
        schema.Predicted(planned.predicted_error, planned.interval) if planned else None,
        unserved(found),
    )


def _planned(run: session.Session, budget: int | None) -> plan_.Budget | None:
    if plan.NAME in run.ledger["stages"]:
        return planned_budget(plan.read(run), budget)
    if budget is not None:
        raise errors.ConfigError(
            f"--budget {budget:,}: the run has no plan",
            why="only a plan predicts",
            remedy="`tamis plan FILE` first, or leave it out",
        )
    return None


def _no_worse(
    weights: NDArray[np.float64], cost: float, alone: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The mixture, or the stratum that is nearer by itself: the search ends within its gap."""
    i = int(alone.argmin())
    return (np.eye(len(alone))[i], float(alone[i])) if alone[i] <= cost else (weights, cost)


def planned_budget(made: plan_.Plan, samples: int | None) -> plan_.Budget:
    """The budget of a plan that has so many samples; without a number the largest.

    Raises:
      ConfigError: it is not planned.
    """
    by_size = {b.samples: b for b in made.budgets}
    if samples is not None and samples not in by_size:
        raise errors.ConfigError(
            f"--budget {samples:,} is not planned",
            why=f"the plan has trainings of {', '.join(f'{n:,}' for n in by_size)} samples",
            remedy="one of these, or plan it first: `tamis plan FILE --budget N --save`",
        )
    return by_size[max(by_size) if samples is None else samples]


def _predicted(
    run: session.Session, budget: plan_.Budget, found: measures.Places, weights: NDArray[np.float64]
) -> schema.Predicted:
    """Of a training as long as the plan's, on all rows of the strata."""
    strata = plan.read(run).strata
    shares = np.array([weights[found.names.index(s.name)] for s in strata])
    supply = np.array([s.supply for s in strata], np.float64)
    training = forecast_.Training(shares, np.asarray(budget.samples, np.float64), supply)
    outlook = forecast_.Outlook([plan.forecast(run, budget.amount, found.geometry)])
    return schema.Predicted(
        float(outlook.expected(training, budget.amount)),
        outlook.interval(training, budget.amount),
    )


def unserved(found: measures.Places) -> tuple[schema.Unserved, ...]:
    """Clusters of the target that no stratum has rows about, the largest first."""
    mass = found.geometry.target.mass
    at = projektor.unserved(found.geometry, found.names)
    ranked = sorted(at.tolist(), key=lambda z: (-mass[z], z))
    return tuple(
        schema.Unserved(z, float(mass[z]), found.examples[z], found.called[z] or str(z))
        for z in ranked
    )
