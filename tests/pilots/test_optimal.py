"""Greedy design: near the best on tiny cases, better with more money, better than the default."""

import itertools

import numpy as np
import pytest

from tamis import errors, seeding
from tamis.pilots import design, optimal
from tamis.selectors import laws
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import fitting

SUPPLY = (600, 3132, 3687, 3521)
BUDGETS = (2000, 32_000)


def made_up(c, p, seed=0):
    rng = seeding.generator(seed, "optimal", c, p)
    return optimal.Cells(
        rng.normal(size=(c, p)),
        rng.uniform(0.1, 1, c),
        rng.uniform(0.05, 0.3, c),
        rng.integers(1, 4, c).astype(float),
    )


def log_det(cells, counts, precision):
    return np.linalg.slogdet(precision + cells.information(counts))[1]


@pytest.mark.parametrize("seed", range(8))
def test_close_to_the_best_of_all_designs(seed):
    cells, precision, budget = made_up(4, 2, seed), np.eye(2), 9
    at = seeding.generator(seed, "at").normal(size=(3, 2))
    every = [
        np.array(c) for c in itertools.product(range(10), repeat=4) if cells.cost @ c <= budget
    ]
    nothing = np.zeros(4, np.int64)
    start = log_det(cells, nothing, precision)
    best = max(log_det(cells, c, precision) for c in every) - start
    greedy = optimal.choose(cells, budget, precision)
    assert cells.cost @ greedy <= budget
    assert log_det(cells, greedy, precision) - start >= 0.9 * best
    least = min(optimal.variance(cells, c, precision, at).sum() for c in every)
    greedy = optimal.choose(cells, budget, precision, at=at)
    assert optimal.variance(cells, greedy, precision, at).sum() <= 1.15 * least


def test_more_money_never_makes_it_worse():
    cells, precision = made_up(20, 5), np.eye(5)
    at = seeding.generator(0, "at").normal(size=(3, 5))
    budgets = (0, 1, 3, 10, 30, 100, 300)
    dets = [log_det(cells, optimal.choose(cells, b, precision), precision) for b in budgets]
    assert (np.diff(dets) >= 0).all()
    spreads = [
        optimal.variance(cells, optimal.choose(cells, b, precision, at=at), precision, at).sum()
        for b in budgets
    ]
    assert (np.diff(spreads) <= 0).all()
    assert spreads[0] == pytest.approx((at**2).sum())


def test_the_information_is_that_of_a_regression_on_cell_means():
    cells = made_up(3, 2)
    counts = np.array([2, 0, 5])
    expected = sum(
        np.outer(j, j) / (d**2 + s**2 / r)
        for j, d, s, r in zip(cells.slopes, cells.drift, cells.noise, counts, strict=True)
        if r
    )
    np.testing.assert_allclose(cells.information(counts), expected)


def test_replicates_stop():
    cells = optimal.Cells(np.eye(1), np.ones(1), np.full(1, 0.1), np.ones(1))
    assert optimal.choose(cells, 1e6, np.eye(1)).tolist() == [optimal.MOST]


@pytest.mark.parametrize("law", [laws.SignalNoise, laws.RepetitionUtility])
def test_predictions_are_surer_than_from_the_default_design_at_the_same_price(law):
    default = design.runs(SUPPLY, BUDGETS, max_cost=2_000_000)
    cells = {(r.weights, r.samples, r.supply): 0 for r in default}
    for r in default:
        cells[r.weights, r.samples, r.supply] += 1
    candidates = [design.Run(*cell, 0) for cell in cells]
    price = sum(r.cost for r in default)
    w = np.repeat(design.mixtures(SUPPLY), len(BUDGETS), axis=0)
    n = np.tile(np.array(BUDGETS, float), len(w) // len(BUDGETS))
    target = (w, n, np.tile(np.array(SUPPLY, float), (len(w), 1)))
    chosen = optimal.runs(candidates, law, 0.5, target, budget=price)
    assert sum(r.cost for r in chosen) <= price
    assert len(set(chosen)) == len(chosen)
    assert spread(chosen, law, target) < spread(default, law, target)


def spread(runs, law, target):
    """Mean predicted variance at the targets, from the prior's point of view."""
    distinct = list(dict.fromkeys((r.weights, r.samples, r.supply) for r in runs))
    counts = np.array([sum((r.weights, r.samples, r.supply) == d for r in runs) for d in distinct])
    w, n, m = (np.array(x, float) for x in zip(*distinct, strict=True))
    one = np.ones(len(n))
    known = cells_.Cells(("a", "b", "c", "d"), 0.5, w, n, m, one, one, one, replicated=False)
    reference = law.prior(fixed(known))
    cells = optimal.Cells(
        fitting.slopes(law, reference.mean, known, (w, n, m)),
        0.01 * one,
        cells_.drift(w, n, m, 0.5),
        n,
    )
    at = fitting.slopes(law, reference.mean, known, target)
    return optimal.variance(cells, counts, np.diag(reference.scale**-2.0), at).mean()


def fixed(known):
    """Lengths of the whole default design, so that both designs see one prior."""
    n = np.array(sorted({r.samples for r in design.runs(SUPPLY, BUDGETS, max_cost=2_000_000)}))
    one = np.ones(len(n))
    w = np.tile(known.weights[:1], (len(n), 1))
    return cells_.Cells(known.names, 0.5, w, n * one, w, one, one, one, replicated=False)


@pytest.mark.parametrize("price", [20_000, 200_000])
def test_planned_pilots_keep_to_the_price_and_serve_every_budget(price):
    budgets = (500, 2000, 32_000)
    runs = optimal.planned(SUPPLY, budgets, 0.5, max_cost=price)
    assert sum(r.cost for r in runs) <= price
    assert len(set(runs)) == len(runs)
    assert all(c <= m for r in runs for c, m in zip(r.supply, SUPPLY, strict=True))
    for b in budgets:
        own = {(r.weights, r.samples) for r in runs if r.samples <= b / 4}
        assert len(own) >= 4
    cells = {(r.weights, r.samples, r.supply): r.seed for r in runs}
    assert {s for *_, s in cells} <= {SUPPLY, tuple(round(m / 4) for m in SUPPLY)}


def test_a_price_too_low_for_any_pilot_is_told():
    with pytest.raises(errors.PlanError, match=r"raise the budget, max_fraction or pilot\.budget"):
        optimal.planned(SUPPLY, (500,), 0.5, max_cost=40)
    with pytest.raises(errors.PlanError, match=r"pilot\.budget"):
        design.runs(SUPPLY, (500,), max_cost=1000)
