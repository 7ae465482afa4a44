"""Budgets in tokens, FLOPs and money, prices and given shares, against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis import errors
from tamis.pilots import design
from tamis.schemas import measurements
from tamis.schemas import plan as plan_
from tamis.selectors import allocation, bounds, costs, laws, purchase, quotas, spending
from tamis.selectors.forecast import Training

SUPPLY = (400, 3000, 4000)
WORDS = (9, 60, 15)  # of a row, so that a token budget buys 9 to 60 words a sample
TRUTH = laws.SignalNoise((0.97, 0.45, 0.4), 0.6, 1.0, 150, 1.0, 250, 0.3)
STRATA = [
    plan_.Stratum(name=n, source=n, tier=-1, supply=m, words=m * w)
    for n, m, w in zip(("near", "far", "wide"), SUPPLY, WORDS, strict=True)
]
TOKENS = np.array(WORDS) * plan_.WORDS_TO_TOKENS


def measured(budgets=(8000,)):
    runs = [r for r in design.runs(SUPPLY, budgets, max_cost=2_000_000) if r.seed < 2]
    w, n, m = (np.array([getattr(r, a) for r in runs]) for a in ("weights", "samples", "supply"))
    return measurements.table(
        [s.name for s in STRATA],
        samples=n,
        errors=TRUTH.predict(w, n, m),
        weights=w,
        supply=m,
        seeds=[r.seed for r in runs],
    )


TABLE = measured()


def planned(budgets, max_epochs=None, **terms):
    return allocation.plan(
        TABLE, STRATA, budgets, terms=plan_.Terms(**terms), max_epochs=max_epochs
    )


def simplex(steps):
    cells = itertools.product(range(steps + 1), repeat=2)
    return np.array([(a, b, steps - a - b) for a, b in cells if a + b <= steps]) / steps


amounts = st.floats(1, 1e7)
positive = st.floats(0.1, 500)


@given(st.lists(st.tuples(st.floats(0, 1), positive), min_size=1, max_size=8), amounts, st.data())
def test_whole_quotas_never_take_more_than_the_budget(cells, amount, data):
    shares, each = map(np.array, zip(*cells, strict=True))
    if shares.sum() < 1e-3:
        return
    limits = np.array(
        data.draw(st.lists(st.integers(0, 10**6), min_size=len(each), max_size=len(each)))
    )
    wanted = np.minimum(shares / shares.sum() * amount / each, limits)
    found = quotas.affordable(wanted, each, amount, limits=limits)
    assert found @ each <= amount
    assert (found <= limits).all()
    assert (abs(found - wanted) < 1 + 1e-6).all()
    assert (found >= 0).all()


def test_a_token_budget_is_a_sample_budget_when_all_rows_are_alike():
    alike = [s.model_copy(update={"words": 10 * s.supply}) for s in STRATA]
    each = 10 * plan_.WORDS_TO_TOKENS
    table, terms = measured((8000,)), plan_.Terms(unit="tokens")
    tokens = allocation.plan(table, alike, [8000 * each], terms=terms).budgets[0]
    samples = allocation.plan(table, STRATA, [8000]).budgets[0]
    assert tokens.samples == pytest.approx(8000, abs=3)
    share = {a.stratum: a.share for a in samples.allocation}
    for a in tokens.allocation:
        assert a.share == pytest.approx(share[a.stratum], abs=0.02)


def test_a_pilot_of_exactly_the_allowed_part_counts():
    (budget,) = planned([8000]).budgets
    assert budget.largest_pilot == 2000
    (budget,) = planned([8000 * 12.5], unit="tokens", tokens_per_word=12.5 / max(WORDS)).budgets
    assert budget.largest_pilot >= 2000


def test_tokens_buy_the_best_mixture_of_all_that_they_can():
    amount = 400_000.0
    made = planned([amount], unit="tokens")
    (budget,) = made.budgets
    quota = np.array(
        [{a.stratum: a.quota for a in budget.allocation}.get(s.name, 0) for s in STRATA]
    )
    assert budget.spent == pytest.approx(quota @ TOKENS)
    assert budget.spent <= amount
    assert budget.spent >= amount - TOKENS.sum()
    taken = simplex(40) * amount / TOKENS  # shares of the tokens
    n = taken.sum(1)
    best = TRUTH.predict(taken / n[:, None], n, SUPPLY).min()
    assert TRUTH.predict(quota / quota.sum(), quota.sum(), SUPPLY) <= best + 0.004
    assert budget.largest_pilot <= amount / 4 / TOKENS.min()
    assert budget.amount == amount
    assert "400,000 tokens" in budget.summary


def test_flops_are_six_for_each_parameter_and_token():
    tokens = planned([400_000], unit="tokens").budgets[0]
    flops = planned([400_000 * 6 * 1e6], unit="flops", params=1e6).budgets[0]
    assert flops.allocation == tokens.allocation
    assert flops.spent == pytest.approx(6e6 * tokens.spent)
    with pytest.raises(errors.PlanError, match=r"needs plan\.params"):
        planned([1e9], unit="flops")


def test_rows_without_text_have_no_tokens():
    silent = [STRATA[0].model_copy(update={"words": 0}), *STRATA[1:]]
    with pytest.raises(errors.PlanError, match="a budget in tokens needs the words of near"):
        allocation.plan(TABLE, silent, [1e5], terms=plan_.Terms(unit="tokens"))


def test_prices_are_told_and_paid_once_a_row():
    made = planned([8000], prices={"near": 0.5, "far": 0.01}, training_price=0.001)
    (budget,) = made.budgets
    free = planned([8000]).budgets[0]
    assert [(a.stratum, a.quota) for a in budget.allocation] == [
        (a.stratum, a.quota) for a in free.allocation
    ]
    rows = {a.stratum: a.rows for a in budget.allocation}
    paid = 0.5 * rows.get("near", 0) + 0.01 * rows.get("far", 0)
    assert budget.cost.rows == pytest.approx(paid)
    assert budget.cost.training == pytest.approx(8.0)
    assert budget.cost.total == pytest.approx(paid + 8)
    assert sum(a.price for a in budget.allocation) == pytest.approx(paid)
    assert rows["near"] == 400  # repeated, paid once
    assert free.cost is None


@pytest.mark.parametrize("shares", [{"near": (0.3, 0.3)}, {"near": (0.0, 0.2), "wide": (0.5, 1)}])
def test_given_shares_are_kept_by_every_allocation(shares):
    made = planned([2000, 8000], shares=shares)
    for budget in made.budgets:
        for allocated in (budget.allocation, *(a.allocation for a in budget.runners_up)):
            share = {a.stratum: a.share for a in allocated}
            for name, (least, most) in shares.items():
                slack = 1 / budget.samples
                assert least - slack <= share.get(name, 0.0) <= most + slack
    assert all(shares["near"][1] + 1e-9 >= p.shares[0] for p in made.frontier)


def test_given_shares_of_a_token_budget_are_of_its_tokens():
    (budget,) = planned([400_000], unit="tokens", shares={"near": (0.3, 0.3)}).budgets
    (quota,) = [a.quota for a in budget.allocation if a.stratum == "near"]
    assert quota * TOKENS[0] / 400_000 == pytest.approx(0.3, abs=1e-3)


def market(prices, training, amount, supply=(300, 2000), max_epochs=None):
    strata = [
        plan_.Stratum(name=n, source=n, tier=-1, supply=m)
        for n, m in zip("ab", supply, strict=True)
    ]
    terms = plan_.Terms(
        unit="money", prices=dict(zip("ab", prices, strict=True)), training_price=training
    )
    cost = costs.Costs.of(strata, terms, max_epochs)
    return purchase.Purchase(cost, bounds.of(strata, {})), amount


PAIR = laws.SignalNoise((0.97, 0.45), 0.6, 1.0, 150, 1.0, 250, 0.3)


def bought(shop, amount):
    found = shop.best(lambda t: PAIR.predict(*t), np.eye(2), amount, seed=0)
    return found, float(PAIR.predict(*found))


@pytest.mark.parametrize(
    ("prices", "training", "amount"),
    [
        ((0.1, 0.01), 0.002, 20.0),
        ((0.1, 0.0), 0.0005, 5.0),
        ((0.02, 0.02), 0.01, 30.0),
        ((1.0, 0.05), 0.0001, 60.0),
    ],
)
def test_money_buys_the_best_of_a_grid_of_everything(prices, training, amount):
    shop, _ = market(prices, training, amount)
    found, value = bought(shop, amount)
    part = np.linspace(0, 1, 41)
    lengths = np.geomspace(16, amount / training, 50)
    n, w, a = (x.ravel() for x in np.meshgrid(lengths, part, part, indexing="ij"))
    want = np.column_stack([w * n, (1 - w) * n])
    rows = np.empty_like(want)
    rows[:, 0] = np.minimum(want[:, 0], 300) * a
    left = amount - training * n - prices[0] * rows[:, 0]
    most = np.minimum(want[:, 1], 2000)
    rows[:, 1] = np.minimum(most, np.maximum(left, 0) / prices[1]) if prices[1] else most
    can = (left >= 0) & ((rows >= 1) | (want == 0)).all(1)
    grid = PAIR.predict(want[can] / n[can, None], n[can], np.maximum(rows[can], 1))
    assert value <= grid.min() + 5e-4
    quota, used = shop.whole(found, amount)
    assert training * quota.sum() + used @ np.array(prices) <= amount * (1 + 1e-9)
    assert (used <= np.minimum(quota, (300, 2000))).all()


def test_a_free_market_is_a_budget_in_samples():
    shop, amount = market((0.0, 0.0), 0.01, 20.0)
    _, value = bought(shop, amount)
    w = np.linspace(0, 1, 201)
    lengths = np.geomspace(16, 2000, 200)[:, None]
    grid = PAIR.predict(np.column_stack([w, 1 - w]), lengths, (300, 2000))
    assert value == pytest.approx(grid.min(), abs=1e-4)


def test_a_dearer_stratum_is_bought_less():
    rows = []
    for price in (0.001, 0.05, 1.0):
        shop, amount = market((price, 0.001), 0.001, 10.0)
        rows.append(shop.whole(bought(shop, amount)[0], amount)[1][0])
    assert rows[0] > rows[1] > rows[2]


@given(st.floats(1, 200), st.floats(0, 1), st.floats(0, 1), st.floats(1e-3, 0.1))
def test_no_purchase_costs_more_than_the_budget(amount, a, b, training):
    shop, _ = market((a, b), training, amount)
    lengths = shop._lengths(amount)
    starts = shop._along(np.array([[1, 0], [0.5, 0.5], [0, 1.0]]), lengths)
    training_, can = shop._offer(starts, amount)
    for i in np.flatnonzero(can):
        quota, used = shop.whole(Training(*(x[i] for x in training_)), amount)
        assert training * quota.sum() + used @ (a, b) <= amount * (1 + 1e-9)


def test_max_epochs_limits_what_is_bought_too():
    shop, amount = market((0.1, 0.1), 0.0, 30.0, max_epochs=4)
    found, _ = bought(shop, amount)
    quota, used = shop.whole(found, amount)
    assert (quota <= 4 * used).all()
    assert used.sum() <= 300


def test_a_plan_in_money_says_what_it_buys():
    made = planned([20, 100], unit="money", prices={"near": 0.1}, training_price=0.01)
    for budget in made.budgets:
        assert budget.cost.total <= budget.amount
        assert budget.spent == pytest.approx(budget.cost.total)
        assert budget.samples == sum(a.quota for a in budget.allocation)
        for a in budget.allocation:
            assert a.epochs == pytest.approx(a.quota / a.rows)
        others = [sum(s.price for s in o.allocation) for o in budget.runners_up]
        assert max(others) <= budget.amount
    assert "of money" in made.budgets[0].summary
    assert made.terms.unit == "money"


@pytest.mark.parametrize(
    ("terms", "budgets", "message"),
    [
        ({"prices": {"naer": 1}}, [8000], r"plan\.prices names 'naer'.*\n  -> did you mean 'near'"),
        ({"unit": "money"}, [10], r"can train for ever .*\n  -> set plan\.training_price"),
        ({"unit": "money", "training_price": 3.0}, [2], "trains on nothing"),
        ({"unit": "tokens"}, [20], "a budget of 20 tokens trains on nothing"),
        ({"shares": {"near": (0.9, 0.9)}}, [80_000], None),
    ],
)
def test_terms_that_cannot_be_met_are_named(terms, budgets, message):
    if message is None:  # 72,000 samples of 400 rows, at most 10 times each
        with pytest.raises(errors.PlanError, match="does not fit max_epochs 10"):
            planned(budgets, max_epochs=10, **terms)
        return
    with pytest.raises(errors.PlanError, match=message):
        planned(budgets, **terms)


def test_spending_keeps_to_its_limits():
    cost = costs.Costs.of(STRATA, plan_.Terms(unit="tokens"), 2.0)
    shop = spending.Spending(cost, bounds.of(STRATA, {}))
    amount = float(2 * TOKENS @ SUPPLY) * 0.99
    found = shop.best(lambda t: TRUTH.predict(*t), simplex(3), amount, seed=0)
    quota, _ = shop.whole(found, amount)
    assert (quota <= 2 * np.array(SUPPLY)).all()
