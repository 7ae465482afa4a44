"""Acquire: what a run's pilots say of rows on offer. The thinking is `selectors.acquisition`'s."""

import difflib
from collections.abc import Mapping

import numpy as np

from tamis import errors
from tamis.pipelines import mix, plan, session
from tamis.selectors import acquisition, bounds

_PILOT = 0.1  # of an offer: what a pilot would reveal


def acquire(
    run: session.Session,
    offer: Mapping[str, int],
    *,
    money: float | None = None,
    rows: int | None = None,
    price: Mapping[str, float] | None = None,
    samples: int | None = None,
) -> acquisition.Acquisition:
    """What to buy for a training of `samples`, judged by the laws that predict the run's plan.

    The training is as long as the planned one, and keeps to the shares that the run file gives.

    Args:
      run: With a plan. What is held is the supply of its strata.
      offer: Rows on offer by stratum.
      money: What may be spent, at a price for every offer.
      rows: Or how many rows may be had, whatever they cost.
      price: Of a row by stratum, with `money`.
      samples: One of the planned budgets; by default the largest.

    Raises:
      ConfigError: neither or both of money and rows, a stratum that is unknown, a price missing,
        of nothing on offer, or given with rows.
      PlanError: the numbers make no market.
    """
    limit = money if rows is None else rows
    if limit is None or (money is not None and rows is not None):
        raise errors.ConfigError(
            "give what may be spent: --money X or --rows N",
            why="both are given" if money is not None else "neither is given",
            remedy="one of them is the limit",
        )
    made = plan.read(run)
    budget, names = mix.planned_budget(made, samples), [s.name for s in made.strata]
    _check(names, offer)
    asked = _prices(offer, price or {}) if rows is None else _no_prices(offer, price or {})
    forecast = plan.forecast(run, budget.amount)
    market = acquisition.Market(
        tuple(names),
        np.array([s.supply for s in made.strata], np.float64),
        np.array([float(offer.get(n, 0)) for n in names]),
        np.array([asked.get(n, 0.0) for n in names]),
        limit,
        budget.samples,
        forecast.blends,
        run.config.plan.max_epochs,
        bounds.of(made.strata, made.terms.shares),
        run.seed,
    )
    noise = float(np.hypot(forecast.cells.noise_at(1), forecast.missed))
    return acquisition.acquire(market, pilot=_PILOT, noise=noise)


def _check(names: list[str], offer: Mapping[str, int]) -> None:
    unknown = [n for n in offer if n not in names]
    if unknown:
        near = difflib.get_close_matches(unknown[0], names, 1)
        raise errors.ConfigError(
            f"--offer {unknown[0]}={offer[unknown[0]]}: no stratum is called {unknown[0]}",
            why="rows are offered by stratum, and a stratum needs pilots of its own",
            remedy=f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}",
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
