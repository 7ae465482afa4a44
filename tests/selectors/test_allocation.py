"""The planner against brute force, and the plan document."""

import itertools
import json

import numpy as np
import pytest

from tamis import errors
from tamis.pilots import design
from tamis.schemas import measurements
from tamis.schemas import plan as plan_
from tamis.selectors import allocation, bounds, crossings, laws, search, strategies

SUPPLY = (400, 3000, 4000)
BUDGETS = (2000, 32_000, 256_000)
STRATA = [
    plan_.Stratum(name=n, source=n, tier=t, supply=m)
    for n, t, m in zip(("near", "far", "wide"), (0, 1, 2), SUPPLY, strict=True)
]
TRUTH = laws.SignalNoise((0.97, 0.45, 0.4), 0.6, 1.0, 150, 1.0, 250, 0.3)
UTILITY = laws.RepetitionUtility((-0.3, -0.2, -0.15), (2.0, 6.0, 4.0), 3e6, 0.05)


def measured(law=TRUTH, supply=SUPPLY, budgets=BUDGETS):
    runs = design.runs(supply, budgets, max_cost=2_000_000)
    runs = [r for r in runs if r.seed < 3]
    w, n, m = (np.array([getattr(r, a) for r in runs]) for a in ("weights", "samples", "supply"))
    noise = 0.003 * np.random.default_rng(5).standard_normal(len(runs))
    names = [s.name for s in STRATA][: len(supply)]
    return measurements.table(
        names,
        samples=n,
        errors=law.predict(w, n, m) + noise,
        weights=w,
        supply=m,
        seeds=[r.seed for r in runs],
    )


TABLE = measured()
PLAN = allocation.plan(TABLE, STRATA, BUDGETS)


def grid(k, steps):
    cells = itertools.product(range(steps + 1), repeat=k - 1)
    rows = [(*c, steps - sum(c)) for c in cells if sum(c) <= steps]
    return np.array(rows) / steps


@pytest.mark.parametrize("law", [TRUTH, UTILITY], ids=["SignalNoise", "RepetitionUtility"])
@pytest.mark.parametrize("samples", [100, 3000, 30_000, 300_000])
@pytest.mark.parametrize("cap", [None, 20.0])
def test_search_is_no_worse_than_every_point_of_a_grid(law, samples, cap):
    caps = np.ones(3) if cap is None else np.minimum(np.array(SUPPLY) * cap / samples, 1)
    if caps.sum() < 1:
        return

    def objective(w):
        return law.predict(w, samples, SUPPLY)

    found = search.minimise(objective, np.eye(3)[:0], bounds.Bounds.upto(caps), seed=0)
    allowed = grid(3, 40)
    allowed = allowed[(allowed <= caps + 1e-12).all(1)]
    assert found.sum() == pytest.approx(1)
    assert (found <= caps + 1e-9).all()
    if len(allowed):
        assert objective(found) <= objective(allowed).min() + 1e-6


def test_search_handles_many_strata():
    want = np.random.default_rng(0).dirichlet(np.ones(20))
    free = bounds.Bounds.upto(np.ones(20))
    found = search.minimise(lambda w: ((w - want) ** 2).sum(-1), np.eye(20), free, seed=0)
    assert abs(found - want).max() < 0.02


@pytest.mark.parametrize("budget", PLAN.budgets, ids=lambda b: str(b.samples))
def test_a_budget_adds_up(budget):
    assert sum(s.quota for s in budget.allocation) == budget.samples
    supply = {s.name: s.supply for s in STRATA}
    for s in budget.allocation:
        assert s.rows == min(s.quota, supply[s.stratum])
        assert s.epochs == s.quota / s.rows
        assert s.share == s.quota / budget.samples
    lo, hi = budget.interval
    assert lo < budget.predicted_error < hi
    assert budget.largest_pilot <= budget.samples / 4
    assert budget.runner_up == budget.runners_up[0]
    gaps = [a.gap for a in budget.runners_up]
    assert gaps == sorted(gaps)
    assert all(sum(s.quota for s in a.allocation) == budget.samples for a in budget.runners_up)


@pytest.mark.parametrize("budget", PLAN.budgets, ids=lambda b: str(b.samples))
def test_the_choice_is_nearly_the_best_and_foreseen(budget):
    share = {s.stratum: s.share for s in budget.allocation}
    w = np.array([share.get(s.name, 0.0) for s in STRATA])
    truth = TRUTH.predict(w, budget.samples, SUPPLY)
    best = TRUTH.predict(grid(3, 40), budget.samples, SUPPLY).min()
    assert truth <= best + 0.004
    assert abs(budget.predicted_error - truth) < 0.02
    assert budget.interval[0] <= truth <= budget.interval[1]


def test_the_scarce_stratum_first_and_then_a_mixture():
    first, *_, last = PLAN.budgets
    assert first.allocation[0].stratum == "near"
    assert first.allocation[0].share > 0.6
    assert last.strategy == "mixture"
    chosen = [c for c in PLAN.crossings if c.kind == "chosen"]
    assert chosen
    assert all(c.sentence in PLAN.summary for c in chosen)
    assert "Below about" in PLAN.summary
    [named] = [c for c in PLAN.crossings if c.kind == "named" and c.before == "near alone"]
    n = named.samples
    alone, after = TRUTH.predict([[1, 0, 0], [1 / 3] * 3], n, SUPPLY)
    assert abs(alone - after) < 0.03


def test_how_rising_error_is_handled_is_said():
    assert PLAN.notes[0].startswith("Error rises with repetition: near alone goes from")
    assert "can only fall" in PLAN.notes[0]
    winners = {s.budget: s.law for s in PLAN.laws if s.chosen}
    assert winners[256_000] == "SignalNoise"
    assert "256,000" in PLAN.notes[0].split("SignalNoise for ")[1]
    scores = {s.law: s.held_out_error for s in PLAN.laws if s.budget == 256_000}
    assert scores["SignalNoise"] < scores["RepetitionUtility"] < scores["Power"]


def test_falling_error_is_said_too():
    plan = allocation.plan(measured(UTILITY), STRATA, [32_000])
    assert plan.notes[0].startswith("No measured error rises with repetition")
    share = {s.stratum: s.share for s in plan.budgets[0].allocation}
    w = [share.get(s.name, 0.0) for s in STRATA]
    best = UTILITY.predict(grid(3, 40), 32_000, SUPPLY).min()
    assert UTILITY.predict(w, 32_000, SUPPLY) <= best + 0.005


def test_a_budget_sees_only_short_enough_runs():
    alone = allocation.plan(TABLE, STRATA, [2000])
    [two] = [b for b in PLAN.budgets if b.samples == 2000]
    assert alone.budgets[0] == two
    assert two.measurements < PLAN.budgets[-1].measurements


def test_frontier_has_every_budget_and_falls_below_every_strategy():
    assert set(BUDGETS) <= {p.samples for p in PLAN.frontier}
    assert [p.samples for p in PLAN.frontier] == sorted(p.samples for p in PLAN.frontier)
    for p in PLAN.frontier:
        assert sum(p.shares) == pytest.approx(1)
        assert p.predicted_error <= min(p.alternatives.values()) + 1e-3
        assert p.alternatives.keys() == p.alternative_intervals.keys() == p.gap_intervals.keys()
        for name, error in p.alternatives.items():
            low, high = p.alternative_intervals[name]
            assert low < error < high
            low, high = p.gap_intervals[name]
            assert low <= error - p.predicted_error <= high


def test_max_epochs_is_kept_by_every_allocation():
    plan = allocation.plan(TABLE, STRATA, [32_000], max_epochs=6)
    budget = plan.budgets[0]
    supply = {s.name: s.supply for s in STRATA}
    for shares in (budget.allocation, *(a.allocation for a in budget.runners_up)):
        assert all(s.quota <= 6 * supply[s.stratum] for s in shares)
        assert sum(s.quota for s in shares) == 32_000


def test_prefix_mode_offers_prefixes_of_the_tiers():
    plan = allocation.plan(TABLE, STRATA, BUDGETS, mode="prefix")
    names = {b.strategy for b in plan.budgets} | {
        a.name for b in plan.budgets for a in b.runners_up
    }
    assert names == {"top 1 tier", "top 2 tiers", "natural proportions"}
    second = strategies.named(STRATA)["top 2 tiers"]
    np.testing.assert_allclose(second, [400 / 3400, 3000 / 3400, 0])


def test_prefix_mode_without_tiers_ranks_the_strata():
    flat = [s.model_copy(update={"tier": -1}) for s in STRATA]
    plan = allocation.plan(TABLE, flat, [2000], mode="prefix")
    names = {plan.budgets[0].strategy} | {a.name for a in plan.budgets[0].runners_up}
    assert names == {"top 1 stratum", "top 2 strata", "natural proportions"}
    [first] = [
        a
        for a in (plan.budgets[0], *plan.budgets[0].runners_up)
        if getattr(a, "name", getattr(a, "strategy", "")) == "top 1 stratum"
    ]
    assert [s.stratum for s in first.allocation] == ["near"]


@pytest.mark.parametrize("order", [(2, 0, 1)])
def test_the_order_of_strata_does_not_matter(order):
    plan = allocation.plan(TABLE, [STRATA[i] for i in order], [32_000])
    [want] = [b for b in PLAN.budgets if b.samples == 32_000]
    share = {s.stratum: s.share for s in plan.budgets[0].allocation}
    for s in want.allocation:
        assert share.get(s.stratum, 0) == pytest.approx(s.share, abs=0.05)
    assert plan.budgets[0].predicted_error == pytest.approx(want.predicted_error, abs=2e-3)


def test_one_stratum_is_a_plan_too():
    plan = allocation.plan(
        measured(laws.SignalNoise((0.9,), 0.5, 0.9, 100, 1.0, 300, 0.3), (400,)), STRATA[:1], [2000]
    )
    assert plan.budgets[0].strategy == "near alone"
    assert plan.budgets[0].runner_up is None
    assert plan.crossings == []
    assert plan.summary == "Use near alone at every budget."


def test_the_document_survives_json_and_is_deterministic():
    text = PLAN.model_dump_json()
    assert plan_.Plan.model_validate_json(text) == PLAN
    assert allocation.plan(TABLE, STRATA, BUDGETS).model_dump_json() == text
    first = json.loads(text)["budgets"][0]
    assert {"samples", "allocation", "predicted_error", "interval", "runner_up"} <= first.keys()
    assert {"stratum", "quota", "epochs", "share"} <= first["allocation"][0].keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strata": STRATA[:2]}, r"measurements are about strata \['far', 'near', 'wide'\]"),
        ({"budgets": []}, "must be one or more positive numbers"),
        ({"budgets": [0]}, "must be one or more positive numbers"),
        ({"budgets": [100]}, "budget 100: fewer than two measurements it may use"),
        ({"max_epochs": 2.0}, "a budget of 256,000 samples does not fit max_epochs 2"),
        (
            {"strata": [STRATA[0].model_copy(update={"supply": 0}), *STRATA[1:]]},
            r"strata \['near'\] have no supply",
        ),
    ],
)
def test_what_cannot_be_planned_is_said(change, message):
    given = {"strata": STRATA, "budgets": BUDGETS, **change}
    with pytest.raises(errors.PlanError, match=message):
        allocation.plan(TABLE, **given)


def test_a_name_that_flips_within_an_octave_is_no_crossing():
    def strategy(samples):
        if samples < 700:
            return "a alone"
        return "mostly a" if samples < 900 or 1400 <= samples < 2500 else "mixture"

    points = [
        plan_.Point(
            amount=n,
            samples=n,
            strategy=strategy(n),
            shares=[1.0],
            rows=[1],
            predicted_error=0.1,
            interval=(0, 1),
            alternatives={},
        )
        for n in (500, 800, 1200, 2000, 4000)
    ]
    found = crossings.chosen(points, strategy, lambda at: (at / 2, None))
    assert [(c.before, c.after) for c in found] == [
        ("a alone", "mostly a"),
        ("mostly a", "mixture"),
    ]
    assert found[1].samples == pytest.approx(2500, rel=0.05)
    assert found[1].interval == (pytest.approx(1250, rel=0.05), None)
    assert "(1,200 or more)" in found[1].sentence or "(1,300 or more)" in found[1].sentence
