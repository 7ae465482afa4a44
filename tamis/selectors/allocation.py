"""The planner: measurements, supply and budgets in, a plan out.

For every budget the law that predicts held-out pilots best is found on the pilots that budget may
use, and its expected error is minimised over the shares; then shares become whole quotas.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import plan as plan_
from tamis.selectors import crossings, laws, marginal, quotas, search, strategies, wording
from tamis.selectors import forecast as forecast_
from tamis.selectors.laws import cells as cells_

MAX_FRACTION = 0.25
_SMALLEST = 0.01  # a share below this is dropped: less than any prediction can tell
_POINTS = 4  # of the frontier between two planned budgets


@dataclasses.dataclass(frozen=True)
class _Planner:
    """What stays the same for all budgets of a plan."""

    strata: tuple[plan_.Stratum, ...]
    outlook: forecast_.Outlook
    max_epochs: float | None
    mode: plan_.Mode
    seed: int

    @property
    def supply(self) -> NDArray[np.int64]:
        return np.array([s.supply for s in self.strata], np.int64)

    def limits(self, samples: int) -> NDArray[np.int64]:
        """Most samples each stratum can give: shape (k,)."""
        if self.max_epochs is None:
            return np.full(len(self.strata), samples)
        return np.floor(self.supply * self.max_epochs).astype(np.int64)

    def fits(self, samples: int) -> bool:
        return int(self.limits(samples).sum()) >= samples

    def quotas(self, shares: NDArray[np.float64], samples: int) -> NDArray[np.int64]:
        return quotas.largest_remainder(shares, samples, limits=self.limits(samples))

    def candidates(self, samples: int) -> dict[str, NDArray[np.float64]]:
        """Named strategies that the limits allow, as shares they can really have."""
        caps = self.limits(samples) / samples
        offered = strategies.named(self.strata)
        if self.mode == "prefix":
            offered = self._prefixes(samples)
        return {
            name: search.within(w, caps)
            for name, w in offered.items()
            if caps[w > 0].sum() >= 1 - 1e-12
        } or {"natural proportions": search.within(self.supply / self.supply.sum(), caps)}

    def best(self, samples: int) -> NDArray[np.float64]:
        """Shares with the least expected error: shape (k,)."""
        offered = np.array(list(self.candidates(samples).values()))
        if self.mode == "prefix":
            return offered[np.argmin(self.outlook.expected(offered, samples))]
        caps = np.minimum(self.limits(samples) / samples, 1.0)
        found = search.minimise(
            lambda w: self.outlook.expected(w, samples), offered, caps, seed=self.seed
        )
        kept = np.where(found >= _SMALLEST, found, 0.0)
        return search.within(kept / kept.sum(), caps)

    def again(
        self, forecast: forecast_.Forecast, shares: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The best shares near others, for a forecast of another supply: shape (k,)."""
        n = forecast.budget
        supply = forecast.supply.astype(np.int64).tolist()
        strata = tuple(
            s.model_copy(update={"supply": m}) for s, m in zip(self.strata, supply, strict=True)
        )
        planner = dataclasses.replace(self, strata=strata, outlook=forecast_.Outlook([forecast]))
        if self.mode == "prefix":
            return planner.best(n)
        caps = np.minimum(planner.limits(n) / n, 1.0)
        return search.polish(lambda w: forecast.expected(w, n), shares, caps)

    def label(self, shares: NDArray[np.float64], samples: int) -> str:
        if self.mode == "mixture":
            return strategies.label(shares, self.strata)
        offered = self.candidates(samples)
        return min(offered, key=lambda name: float(abs(offered[name] - shares).sum()))

    def allocation(self, shares: NDArray[np.float64], samples: int) -> list[plan_.Share]:
        rows = zip(self.strata, self.quotas(shares, samples).tolist(), strict=True)
        return [_share(s, quota, samples) for s, quota in rows if quota]

    def _prefixes(self, samples: int) -> dict[str, NDArray[np.float64]]:
        """By tier; where there is one tier only, by predicted error of each stratum alone."""
        natural = self.supply / self.supply.sum()
        found = strategies.prefixes(self.strata)
        if not found:
            alone = self.outlook.expected(np.eye(len(self.strata)), samples)
            rank = np.argsort(np.argsort(alone, kind="stable"), kind="stable")
            found = strategies.prefixes(self.strata, rank.tolist())
        return {**found, "natural proportions": natural}


def plan(
    measurements: pa.Table,
    strata: Sequence[plan_.Stratum],
    budgets: Sequence[int],
    *,
    max_fraction: float = MAX_FRACTION,
    max_epochs: float | None = None,
    mode: plan_.Mode = "mixture",
    seed: int = 0,
    competing: tuple[type[laws.Law], ...] = laws.LAWS,
) -> plan_.Plan:
    """Plan every budget.

    Args:
      measurements: As in `tamis.schemas.measurements`; its strata must be those of `strata`.
      strata: What can be trained on.
      budgets: Samples seen in each planned training.
      max_fraction: A budget B is planned from runs of at most max_fraction x B samples.
      max_epochs: Most often that a row may be seen on average within its stratum.
      mode: `mixture` for any shares, `prefix` for the best j tiers in natural proportions.
      seed: Of random starts and parameter draws.
      competing: The laws, e.g. also those of `projektor` that know where the sources lie.

    Raises:
      PlanError: measurements, strata or budgets do not fit each other.
    """
    cells = cells_.aggregate(measurements).ordered([s.name for s in strata])
    _check(strata, budgets, max_epochs)
    supply = np.array([s.supply for s in strata], np.float64)
    lengths = sorted(set(budgets))
    forecasts = [
        forecast_.forecast(
            cells, supply, b, max_fraction=max_fraction, seed=seed, competing=competing
        )
        for b in lengths
    ]
    planner = _Planner(tuple(strata), forecast_.Outlook(forecasts), max_epochs, mode, seed)
    planned = [_budget(planner, f) for f in forecasts]
    frontier = [_point(planner, b) for b in _grid(lengths) if planner.fits(b)]
    changes = crossings.chosen(frontier, lambda b: planner.label(planner.best(b), b))
    return plan_.Plan(
        summary=wording.whole(planned, changes),
        mode=mode,
        max_epochs=max_epochs,
        max_fraction=max_fraction,
        seed=seed,
        chance=cells.chance,
        strata=list(strata),
        budgets=planned,
        crossings=[*changes, *crossings.named(frontier)],
        frontier=frontier,
        laws=[_score(f.budget, e, f.winner) for f in forecasts for e in f.entries],
        notes=[*wording.notes(cells, forecasts), *map(wording.collect, planned)],
    )


def _budget(planner: _Planner, forecast: forecast_.Forecast) -> plan_.Budget:
    samples = forecast.budget
    shares = planner.quotas(planner.best(samples), samples) / samples
    error = float(planner.outlook.expected(shares, samples))
    interval = planner.outlook.interval(shares, samples)
    allocation = planner.allocation(shares, samples)
    others = _others(planner, shares, error, samples)
    sentence = wording.budget(samples, allocation, others[0] if others else None)
    return plan_.Budget(
        samples=samples,
        strategy=planner.label(shares, samples),
        allocation=allocation,
        predicted_error=error,
        interval=interval,
        runner_up=others[0] if others else None,
        runners_up=others,
        marginal=marginal.values(forecast, planner.strata, shares, planner.again),
        law=forecast.winner.name,
        measurements=int(forecast.winner.fit.cells.count.sum()),
        largest_pilot=int(forecast.winner.fit.cells.samples.max()),
        summary=f"{sentence}; {wording.predicted(error, interval)}.",
    )


def _others(
    planner: _Planner, chosen: NDArray[np.float64], error: float, samples: int
) -> list[plan_.Alternative]:
    """Every other named strategy, best first."""
    own = planner.label(chosen, samples)
    found = []
    for name, shares in planner.candidates(samples).items():
        if name == own or abs(shares - chosen).sum() < 2 * _SMALLEST:
            continue
        value = float(planner.outlook.expected(shares, samples))
        found.append(
            plan_.Alternative(
                name=name,
                predicted_error=value,
                gap=value - error,
                allocation=planner.allocation(shares, samples),
            )
        )
    return sorted(found, key=lambda a: a.predicted_error)


def _point(planner: _Planner, samples: int) -> plan_.Point:
    shares = planner.best(samples)
    others = planner.candidates(samples)
    return plan_.Point(
        samples=samples,
        strategy=planner.label(shares, samples),
        shares=shares.tolist(),
        predicted_error=float(planner.outlook.expected(shares, samples)),
        interval=planner.outlook.interval(shares, samples),
        alternatives={k: float(planner.outlook.expected(w, samples)) for k, w in others.items()},
    )


def _grid(budgets: Sequence[int]) -> list[int]:
    """Planned budgets, points between them, and one octave to either side; log-spaced."""
    ends = [budgets[0] // 2, *budgets, budgets[-1] * 2]
    inner = [np.geomspace(low, high, _POINTS + 1)[:-1] for low, high in itertools.pairwise(ends)]
    return sorted({max(1, round(float(b))) for b in np.concatenate([*inner, [ends[-1]]])})


def _score(budget: int, entry: laws.Entry, winner: laws.Entry) -> plan_.LawScore:
    ends, values = entry.fit.interval, entry.fit.parameters
    return plan_.LawScore(
        budget=budget,
        law=entry.name,
        held_out_error=_or_none(entry.held_out_error),
        mixture_error=_or_none(entry.mixture_error),
        fitted_error=entry.fit.rmse,
        chosen=entry is winner,
        parameters={name: (value, *ends[name]) for name, value in values.items()},
        warnings=list(entry.fit.warnings),
    )


def _or_none(error: float) -> float | None:
    return None if np.isnan(error) else error


def _share(stratum: plan_.Stratum, quota: int, samples: int) -> plan_.Share:
    rows = min(quota, stratum.supply)
    return plan_.Share(
        stratum=stratum.name,
        quota=quota,
        epochs=quota / rows,
        share=quota / samples,
        rows=rows,
    )


def _check(
    strata: Sequence[plan_.Stratum], budgets: Sequence[int], max_epochs: float | None
) -> None:
    if not budgets or min(budgets) < 1:
        raise errors.PlanError(f"budgets {list(budgets)} must be one or more positive numbers")
    empty = [s.name for s in strata if s.supply < 1]
    if empty:
        raise errors.PlanError(f"strata {empty} have no supply", remedy="leave them out")
    total = sum(s.supply for s in strata)
    if max_epochs is not None and total * max_epochs < max(budgets):
        raise errors.PlanError(
            f"a budget of {max(budgets):,} samples does not fit max_epochs {max_epochs:g}",
            why=f"all strata together have {total:,} rows",
            remedy="raise max_epochs, add sources or lower the budget",
        )
