"""Where a crossing may lie, against the crossings of the draws themselves."""

import functools
import types

import numpy as np
import pytest

from tamis.schemas import plan as plan_
from tamis.selectors import bounds, costs, doubt, laws, spending
from tamis.selectors import forecast as forecast_

SUPPLY = np.array([300.0, 5000.0])
STRATA = [
    plan_.Stratum(name=n, source=n, tier=-1, supply=int(m))
    for n, m in zip("xy", SUPPLY, strict=True)
]
MARKET = spending.Spending(
    costs.Costs.of(STRATA, plan_.Terms(), None), bounds.Bounds.upto(np.ones(2))
)
AMOUNTS = np.geomspace(100, 100_000, 25)


def world(row):
    return laws.SignalNoise((0.97, 0.6), 0.6, 1.0, 150, 1.0, row, 0.3)


# `row` is what repeats of the small good stratum cost, so each draw crosses elsewhere.
ROWS = np.linspace(150, 400, 21)


def forecast(rows=ROWS):
    entry = types.SimpleNamespace(fit=types.SimpleNamespace(law=world(rows[0])))
    draws = tuple(world(r) for r in rows[1:])
    return forecast_.Forecast(1000, 1000, (entry,), (forecast_.Member(entry, 1.0, draws),))


def alone(i, n):
    return forecast_.Training(np.eye(2)[i], np.float64(n), SUPPLY)


def crossing(law):
    """Where y alone overtakes x alone, on a fine grid."""
    n = np.geomspace(100, 100_000, 4001)
    x, y = (law.predict(np.eye(2)[i], n, SUPPLY) for i in (0, 1))
    return n[np.argmax(y < x)]


def frontier(rows=ROWS):
    outlook = forecast_.Outlook([forecast(rows)])
    found = []
    for n in AMOUNTS:
        named = {name: alone(i, n) for i, name in enumerate(("x alone", "y alone"))}
        chosen = min(named.values(), key=lambda t: float(outlook.expected(t, n)))
        found.append(doubt.Standing(float(n), chosen, named))
    return found, outlook


def test_a_named_crossing_is_doubted_between_the_draws_own_quantiles():
    standing, outlook = frontier()
    own = [crossing(world(r)) for r in ROWS]
    at = float(np.median(own))
    low, high = doubt.of_named(standing, outlook, at, "x alone", "y alone")
    want = np.quantile(own, [0.05, 0.95])
    assert max(own) > 1.5 * min(own)
    np.testing.assert_allclose([low, high], want, rtol=0.1)


def test_the_choice_is_doubted_where_the_draws_choose_otherwise():
    """Only two allocations are ever chosen here, so both ways to ask are one question."""
    standing, outlook = frontier()
    last = max(s.amount for s in standing if s.chosen.shares[0] == 1)
    at = 1.1 * last
    named = doubt.of_named(standing, outlook, at, "x alone", "y alone")
    had = functools.partial(doubt.had, standing, outlook, MARKET)
    np.testing.assert_allclose(doubt.of_choice(standing, outlook, had, at), named, rtol=0.02)


def test_what_is_sure_is_not_asked_again():
    """From the crossing outwards, every shares once, and no budget beyond the first sure ones."""
    standing, outlook = frontier()
    at = 1.1 * max(s.amount for s in standing if s.chosen.shares[0] == 1)
    asked = []

    def had(choice, budget):
        asked.append((choice, budget))
        return doubt.had(standing, outlook, MARKET, choice, budget)

    low, high = doubt.of_choice(standing, outlook, had, at)
    budgets = {standing[budget].amount for _, budget in asked}
    assert len(asked) == 2 * len(budgets)
    assert sum(b < low for b in budgets) == 1
    assert sum(b > high for b in budgets) == 1


def test_draws_that_agree_leave_no_doubt_but_the_grid_s():
    standing, outlook = frontier(np.full(5, 200.0))
    at = float(crossing(world(200.0)))
    low, high = doubt.of_named(standing, outlook, at, "x alone", "y alone")
    assert low == pytest.approx(at, rel=0.05)
    assert high == pytest.approx(at, rel=0.05)


def test_an_end_beyond_the_frontier_is_open():
    assert doubt.unsure([1, 10, 100], [(-1, 3), (-2, 2), (-3, -1)], 10)[0] is None
    assert doubt.unsure([1, 10, 100], [(1, 3), (-2, 2), (-3, 1)], 10)[1] is None
    assert doubt.unsure([10, 100], [(-1, 1), (-1, 1)], 30) == (None, None)


def test_a_gap_is_doubted_less_than_what_it_is_between():
    """Draws that move both strategies alike say nothing against the order."""
    known = forecast(np.full(2, 200.0))
    entry = known.members[0].entry
    lifted = [laws.Power((2.0, 3.0), 0.5, d) for d in (0.05, 0.1, 0.2)]
    entry.fit.law = lifted[0]
    both = forecast_.Forecast(
        1000, 1000, (entry,), (forecast_.Member(entry, 1.0, tuple(lifted[1:])),)
    )
    low, high = forecast_.Outlook([both]).gap(alone(0, 1000), alone(1, 1000), 1000)
    assert high - low < 1e-12
    assert np.ptp(both.every(alone(0, 1000))) > 0.1
