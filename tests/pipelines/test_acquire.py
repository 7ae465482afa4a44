"""Buying for a run: the market is the run's own supply, budget, bounds and law."""

import dataclasses

import numpy as np
import pytest

from tamis import errors
from tamis.pipelines import acquire as acquiring
from tamis.pipelines import chain, plan
from tests.pipelines.test_mix import TRANSPORT, UNITS, plain, planned

OFFER = {"near": 300, "far": 1_000}
PRICE = {"near": 0.1, "far": 0.02}


def told(found):
    return [plain(found.basket), plain(found.before), *map(dataclasses.asdict, found.offers)]


@pytest.mark.parametrize("unit", UNITS)
def test_transport_buys_within_the_budget_in_any_unit(configured, copied, unit):
    here = planned(configured, copied, **TRANSPORT, **UNITS[unit])
    found = acquiring.acquire(here, OFFER, money=20, price=PRICE)
    price, offered = (np.array([d[n] for n in found.names]) for d in (PRICE, OFFER))
    assert found.basket.rows @ price <= 20 + 1e-9
    assert (found.basket.rows <= offered).all()
    assert found.basket.error <= min(o.after for o in found.offers)
    assert {o.name: o.rows for o in found.offers} == {"near": 200, "far": 1_000}
    for o in found.offers:
        assert o.cost == pytest.approx(o.rows * PRICE[o.name])
        assert o.gain >= 0
        assert o.per_cost == pytest.approx(o.gain / o.cost)


def test_the_basket_of_nothing_is_the_plan(configured, copied):
    here = planned(configured, copied)
    found = acquiring.acquire(here, OFFER, rows=100)
    largest = plan.read(here).budgets[-1]
    assert found.before.error == pytest.approx(largest.predicted_error, abs=0.01)
    smallest = acquiring.acquire(here, OFFER, rows=100, samples=100)
    assert smallest.before.error == pytest.approx(
        plan.read(here).budgets[0].predicted_error, abs=0.01
    )


@pytest.mark.parametrize("section", [{}, TRANSPORT])
def test_shares_that_are_given_hold_after_buying(configured, copied, section):
    here = planned(configured, copied, **section, shares={"far": 0.4, "near": [0.1, 0.6]})
    found = acquiring.acquire(here, OFFER, rows=200)
    at = dict(zip(found.names, found.basket.shares, strict=True))
    assert at["far"] == pytest.approx(0.4, abs=1e-6)
    assert found.before.shares[found.names.index("far")] == pytest.approx(0.4, abs=1e-6)


def test_the_same_is_bought_twice(configured, copied):
    here = planned(configured, copied, **TRANSPORT)
    first = acquiring.acquire(here, OFFER, money=20, price=PRICE)
    again = acquiring.acquire(
        chain.reading(str(copied)), dict(reversed(OFFER.items())), money=20, price=PRICE
    )
    assert told(first) == told(again)


@pytest.mark.parametrize(
    ("offer", "terms", "message"),
    [
        ({}, {"rows": 3}, "nothing is on offer"),
        (OFFER, {}, "neither is given"),
        (OFFER, {"money": 3, "rows": 3}, "both are given"),
        (OFFER, {"money": 3, "price": {"near": 1}}, "no price of far"),
        ({"near": 3}, {"money": 3, "price": PRICE}, "no rows of far are on offer"),
        (OFFER, {"rows": 3, "price": PRICE}, "with --rows"),
        ({"nearr": 3}, {"rows": 3}, "did you mean near"),
        (OFFER, {"rows": 3, "samples": 7}, "--budget 7 is not planned"),
    ],
)
def test_a_market_without_sense_is_refused(finished, offer, terms, message):
    with pytest.raises(errors.ConfigError, match=message):
        acquiring.acquire(chain.reading(str(finished)), offer, **terms)
