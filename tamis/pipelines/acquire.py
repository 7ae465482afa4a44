"""Acquire: what a run's pilots say of rows on offer. The thinking is `selectors.acquisition`'s.

A source that the run has not shows a sample. No pilot has seen it, so of the laws only `Coverage`
can say anything of it: by where it lies, and by a strength that is drawn from the law's prior.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from tamis import errors, seeding
from tamis.pipelines import measures, mix, plan, session, shown
from tamis.schemas import intake
from tamis.schemas import plan as plan_
from tamis.selectors import acquisition, bounds, projektor
from tamis.selectors import forecast as forecast_
from tamis.selectors.projektor import coverage

_PILOT = 0.1  # of an offer: what a pilot would reveal


def acquire(
    run: session.Session,
    offer: Mapping[str, int],
    *,
    money: float | None = None,
    rows: int | None = None,
    price: Mapping[str, float] | None = None,
    samples: int | None = None,
    paths: Mapping[str, str] | None = None,
) -> acquisition.Acquisition:
    """What to buy for a training of `samples`, judged by the laws that predict the run's plan.

    The training is as long as the planned one, and keeps to the shares that the run file gives.
    Where a source is offered that the run has not, all offers are judged by `Coverage` alone.

    Args:
      run: With a plan. What is held is the supply of its strata; of other sources nothing is, what
        they show included.
      offer: Rows on offer by stratum, or by source that the run has not.
      money: What may be spent, at a price for every offer.
      rows: Or how many rows may be had, whatever they cost.
      price: Of a row by stratum, with `money`.
      samples: One of the planned budgets; by default the largest.
      paths: Samples of sources that the run has not, whose columns are called as the target's,
        beside those of the run file's `offers`.

    Raises:
      ConfigError: neither or both of money and rows, an offer of what is unknown, a sample of what
        is known or not on offer, a price missing, of nothing on offer, or given with rows; there
        is no target to place a new source by.
      PlanError: the numbers make no market.
      SchemaError: a sample cannot be read.
    """
    limit = money if rows is None else rows
    if limit is None or (money is not None and rows is not None):
        raise errors.ConfigError(
            "give what may be spent: --money X or --rows N",
            why="both are given" if money is not None else "neither is given",
            remedy="one of them is the limit",
        )
    made = plan.read(run)
    budget, held = mix.planned_budget(made, samples), [s.name for s in made.strata]
    new = _samples(run, held, offer, paths or {})
    _check([*held, *new], offer)
    asked = _prices(offer, price or {}) if rows is None else _no_prices(offer, price or {})
    judged = _judged(run, budget.amount, new) if new else _planned(run, budget.amount)
    strata = [*made.strata, *map(_stratum, new)]
    market = acquisition.Market(
        tuple(s.name for s in strata),
        np.array([s.supply for s in strata], np.float64),
        np.array([float(offer.get(s.name, 0)) for s in strata]),
        np.array([asked.get(s.name, 0.0) for s in strata]),
        limit,
        budget.samples,
        judged.laws,
        run.config.plan.max_epochs,
        bounds.of(strata, made.terms.shares),
        run.seed,
    )
    forecast = judged.forecast
    noise = float(np.hypot(forecast.cells.noise_at(1), forecast.missed))
    return acquisition.acquire(market, pilot=_PILOT, noise=noise)


@dataclasses.dataclass(frozen=True, eq=False)
class _Judged:
    """What judges the offers: equally likely predictors, and the forecast they are of."""

    forecast: forecast_.Forecast
    laws: Sequence[acquisition.Predicts]


def _planned(run: session.Session, amount: float) -> _Judged:
    forecast = plan.forecast(run, amount)
    return _Judged(forecast, forecast.blends)


def _judged(run: session.Session, amount: float, new: Mapping[str, intake.Source]) -> _Judged:
    """`Coverage`, fitted to the run's own pilots, with the new sources in its geometry.

    The fit has them at the middle of their prior, and each draw at a strength of its own.
    """
    found = measures.find(run)
    where = shown.placed(run, found, new)
    law = projektor.Coverage.over(found.geometry)
    forecast = plan.forecast(run, amount, competing=(law,))
    rng = seeding.generator(run.seed, "acquire", "strength", *new)
    laws = []
    for i, blend in enumerate(forecast.blends):
        spread = coverage.SPREAD * rng.standard_normal(len(new)) if i else np.zeros(len(new))
        strength = dict(zip(new, np.exp(spread).tolist(), strict=True))
        fitted = cast(projektor.Coverage, blend.laws[0])
        mine = dict(zip(fitted.names, fitted.strength, strict=True))
        laws.append(fitted.about(where, {**mine, **strength}))
    return _Judged(forecast, laws)


def _stratum(name: str) -> plan_.Stratum:
    """Of a source of which nothing is held."""
    return plan_.Stratum(name=name, source=name, tier=-1, supply=0)


def _samples(
    run: session.Session, held: list[str], offer: Mapping[str, int], paths: Mapping[str, str]
) -> dict[str, intake.Source]:
    """What the sources on offer that are no strata show."""
    for name, path in paths.items():
        if name in held or name not in offer:
            raise errors.ConfigError(
                f"--shown {name}={path}: {name} is "
                + ("a stratum of the run" if name in held else "not on offer"),
                remedy="leave it out" if name in held else f"add --offer {name}=ROWS",
            )
    given = _like_target(run, paths) if paths else {}
    every = {**run.config.offers, **given}
    return {n: every[n] for n in offer if n in every and n not in held}


def _like_target(run: session.Session, paths: Mapping[str, str]) -> dict[str, intake.Source]:
    """Files whose columns are called as the target's; rows need no id to be placed."""
    alike = run.config.target
    if alike is None:
        raise errors.ConfigError(
            "--shown: the run has no target",
            why="a source without pilots is judged by how it lies about the target",
            remedy="add a `target` to the run file",
        )
    return {
        n: alike.model_copy(update={"path": p, "id": "", "vectors": ""}) for n, p in paths.items()
    }


def _check(names: list[str], offer: Mapping[str, int]) -> None:
    unknown = [n for n in offer if n not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, 1)
        raise errors.ConfigError(
            f"--offer {unknown[0]}={offer[unknown[0]]}: no stratum is called {unknown[0]}",
            why="rows are offered by stratum, or by a source that shows a sample",
            remedy=f"did you mean {near[0]}?"
            if near
            else f"one of {', '.join(names)}; of a new source --shown {unknown[0]}=FILE",
        )
    if not offer:
        raise errors.ConfigError(
            "nothing is on offer", remedy=f"--offer NAME=ROWS with a name of {', '.join(names)}"
        )


def _prices(offer: Mapping[str, int], price: Mapping[str, float]) -> dict[str, float]:
    stray = [n for n in price if n not in offer]
    if stray:
        raise errors.ConfigError(
            f"--price {stray[0]}={price[stray[0]]:g}: no rows of {stray[0]} are on offer",
            remedy=f"add --offer {stray[0]}=ROWS, or leave the price out",
        )
    missing = [n for n in offer if n not in price]
    if missing:
        raise errors.ConfigError(
            f"no price of {', '.join(missing)}",
            why="--money needs a price for each offer",
            remedy=f"--price {missing[0]}=0.01, or --rows N for a limit in rows",
        )
    return dict(price)


def _no_prices(offer: Mapping[str, int], price: Mapping[str, float]) -> dict[str, float]:
    for name, money in price.items():
        raise errors.ConfigError(
            f"--price {name}={money:g} with --rows",
            why="a limit in rows counts every row alike",
            remedy="leave the price out, or give --money X in place of --rows",
        )
    return dict.fromkeys(offer, 1.0)
