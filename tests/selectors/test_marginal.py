"""The value of more rows against the law's own derivative and against a grid of plans."""

import itertools
import types

import numpy as np
import pytest

from tamis.schemas import plan as plan_
from tamis.selectors import bounds, laws, marginal, purchase, search, wording
from tamis.selectors import costs as costs_
from tamis.selectors import forecast as forecast_

SUPPLY = np.array([400.0, 3000.0, 4000.0])
TRUTH = laws.SignalNoise((0.97, 0.45, 0.4), 0.6, 1.0, 150, 1.0, 250, 0.3)
OTHER = laws.SignalNoise((0.97, 0.5, 0.4), 0.6, 1.0, 150, 1.0, 200, 0.3)
FREE = bounds.Bounds.upto(np.ones(3))
STRATA = [
    plan_.Stratum(name=n, source=n, tier=-1, supply=int(m))
    for n, m in zip("xyz", SUPPLY, strict=True)
]


def forecast(samples, draws=(TRUTH,)):
    entry = types.SimpleNamespace(fit=types.SimpleNamespace(law=TRUTH))
    return forecast_.Forecast(samples, samples, (entry,), (forecast_.Member(entry, 1.0, draws),))


COSTS = costs_.Costs.of(STRATA, plan_.Terms(prices={"x": 0.5}), None)


def replan(known, near, supply):
    def objective(w):
        return known.expected(near._replace(shares=w, supply=supply))

    return near._replace(shares=search.polish(objective, near.shares, FREE), supply=supply)


def training(shares, samples):
    return forecast_.Training(shares, np.float64(samples), SUPPLY)


def best(samples):
    f = forecast(samples)
    return search.minimise(lambda w: f.expected(training(w, samples)), np.eye(3), FREE, seed=0)


def derivative(w, n):
    """d error / d supply of SignalNoise: only the row noise sum_i w_i r_i^(1 + kappa) / n moves."""
    c = np.array(TRUTH.alignment)
    visits = np.maximum(n * w / SUPPLY, 1)
    beside = w * np.sqrt(1 - c**2)
    q = 0.4 * (beside**2).sum() + 0.6 * beside.sum() ** 2
    spread = (w @ c) ** 2 + q + 150 / n + 250 * (w * visits**1.3).sum() / n
    z = TRUTH.signal * (w @ c) / np.sqrt(spread)
    slope = np.where(visits > 1, -1.3 * 250 * w * visits**1.3 / n / SUPPLY, 0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return density * z / spread / 2 * slope


@pytest.mark.parametrize("samples", [300, 8000, 128_000])
def test_one_more_row_is_worth_the_derivative(samples):
    w = best(samples)
    found = marginal.values(forecast(samples), STRATA, training(w, samples), COSTS, replan)
    got = [m.per_row for m in found]
    np.testing.assert_allclose(got, derivative(w, samples), rtol=0.01, atol=1e-12)
    assert [m.stratum for m in found] == ["x", "y", "z"]


@pytest.mark.parametrize("samples", [8000, 128_000])
def test_a_thousand_more_are_worth_what_a_grid_of_plans_says(samples):
    w = best(samples)
    steps = 60
    grid = np.array(
        [
            (a, b, steps - a - b)
            for a, b in itertools.product(range(steps + 1), repeat=2)
            if a + b <= steps
        ]
    )
    before = TRUTH.predict(w, samples, SUPPLY)
    for i, found in enumerate(
        marginal.values(forecast(samples), STRATA, training(w, samples), COSTS, replan)
    ):
        more = SUPPLY + 1000 * np.eye(3)[i]
        want = TRUTH.predict(grid / steps, samples, more).min() - before
        assert found.per_1000_rows == pytest.approx(want, abs=3e-4)
        assert found.per_1000_rows <= want + 1e-6  # the grid is coarse, the plan may be better
        assert found.per_1000_rows <= 0


def test_doubt_about_the_law_is_the_interval():
    w = best(8000)
    sure = marginal.values(forecast(8000), STRATA, training(w, 8000), COSTS, replan)[0]
    assert sure.interval == pytest.approx((sure.per_1000_rows,) * 2)
    low, high = marginal.values(
        forecast(8000, (TRUTH, OTHER)), STRATA, training(w, 8000), COSTS, replan
    )[0].interval
    assert low < high <= 0


def test_the_note_names_the_stratum_worth_most():
    def planned(*values):
        rows = [
            plan_.Marginal(
                stratum=s,
                per_row=v / 1e3,
                per_row_interval=(v / 500, v / 2000),
                per_1000_rows=v,
                interval=(2 * v, v / 2),
            )
            for s, v in zip("xy", values, strict=True)
        ]
        return types.SimpleNamespace(amount=8000, marginal=rows)

    said = wording.collect(planned(-0.002, -0.01))
    assert "1,000 more unique rows of y" in said
    assert "0.0100 (0.0050 to 0.0200)" in said
    assert "of no stratum" in wording.collect(planned(-0.0001, 0.0))


def test_a_row_over_its_price_is_what_money_for_it_brings():
    first, *rest = marginal.values(
        forecast(8000, (TRUTH, OTHER)), STRATA, training(best(8000), 8000), COSTS, replan
    )
    assert first.per_money == pytest.approx(2 * first.per_row)
    assert first.per_money_interval == pytest.approx([2 * end for end in first.per_row_interval])
    assert first.per_row_interval[0] < first.per_row < first.per_row_interval[1] <= 0
    assert all(m.per_money is None for m in rest)


BUDGET = 100.0
PRICES = np.array([0.1, 0.2, 0.1])


def bought(supply):
    """The best purchase from rows on offer (k,), and its market."""
    terms = plan_.Terms(
        unit="money", prices=dict(zip("xyz", PRICES.tolist(), strict=True)), training_price=0.05
    )
    market = purchase.Purchase(costs_.Costs.of(STRATA, terms, None).supplied(supply), FREE)
    known = forecast(BUDGET)
    starts = np.array([[1, 0, 0], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3]])
    return market.best(known.expected, starts, BUDGET, seed=0), market


def test_in_money_a_row_on_offer_is_worth_what_a_new_purchase_gains():
    """Against purchases planned from nothing, 40 rows apart, so that differences are clear."""
    known, (chosen, market) = forecast(BUDGET), bought(SUPPLY)
    scarce, *rest = marginal.values(
        known,
        STRATA,
        chosen,
        market.costs,
        lambda f, near, supply: market.supplied(supply).polished(f.expected, near, BUDGET),
    )
    assert chosen.supply[0] == SUPPLY[0]  # bought out
    before = float(known.expected(chosen))
    many = float(known.expected(bought(SUPPLY + np.array([1000, 0, 0]))[0])) - before
    assert scarce.per_1000_rows == pytest.approx(many, abs=2e-4)
    assert scarce.per_1000_rows < -1e-3
    few = float(known.expected(bought(SUPPLY + np.array([40, 0, 0]))[0])) - before
    assert scarce.per_row == pytest.approx(few / 40, rel=0.2)
    assert scarce.per_money * PRICES[0] < scarce.per_row < 0  # paid from the budget it brings less
    left = [
        m for m, have, can in zip(rest, chosen.supply[1:], SUPPLY[1:], strict=True) if have < can
    ]
    assert left
    assert all(m.per_row == 0 == m.per_1000_rows for m in left)
    assert all(m.per_money < 0 for m in left if m.per_money)
