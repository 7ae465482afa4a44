"""Fitting: known laws are found again, unknowns are said, the right law wins."""

import time
import types

import numpy as np
import pytest

from tamis import errors
from tamis.pilots import design
from tamis.schemas import measurements
from tamis.selectors import laws
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import competition

NAMES = ("x", "y", "z")
SUPPLY = (400, 3000, 4000)
BUDGETS = (2000, 16_000, 128_000)
SIGNAL = laws.SignalNoise((0.85, 0.5, 0.45), 0.8, 0.85, 150, 1.0, 350, 0.25)
UTILITY = laws.RepetitionUtility((-0.12, -0.09, -0.07), (2.0, 6.0, 4.0), 3e6, 0.12)
EFFECTIVE = laws.EffectiveData((-0.12, -0.09, -0.07), (2.0, 6.0, 4.0), 3e6, 0.12)
POWER = laws.Power((0.5, 0.7, 0.9), 0.22, 0.15)


def synthetic(law, *, noise=0.004, seeds=3, budgets=BUDGETS):
    rng = np.random.default_rng(7)
    runs = design.runs(SUPPLY, budgets, max_cost=3_000_000)
    cells = sorted({(r.weights, r.samples, r.supply) for r in runs}, key=str)
    w, n, m = (np.array([c[i] for c in cells for _ in range(seeds)]) for i in range(3))
    y = law.predict(w, n, m) + noise * rng.standard_normal(len(n))
    return measurements.table(
        NAMES, samples=n, errors=y, weights=w, supply=m, seeds=np.arange(len(n)) % seeds
    )


TABLES = {law.name: synthetic(law) for law in (SIGNAL, UTILITY, EFFECTIVE, POWER)}
GRID = np.random.default_rng(1).dirichlet([0.7] * 3, 60)


@pytest.mark.parametrize("truth", [SIGNAL, UTILITY, EFFECTIVE, POWER], ids=lambda law: law.name)
def test_the_generating_law_is_recovered_and_extrapolates(truth):
    fit = laws.fit(TABLES[truth.name], law=type(truth))
    for samples in (8000, 32_000, 128_000):
        got = fit.law.predict(GRID, samples, SUPPLY)
        assert np.sqrt(np.mean((got - truth.predict(GRID, samples, SUPPLY)) ** 2)) < 0.006


def test_parameters_lie_in_their_intervals():
    fit = laws.fit(TABLES["SignalNoise"], law=laws.SignalNoise)
    truth = dict(zip(("x", "y", "z"), SIGNAL.alignment, strict=True))
    inside = [lo <= truth[s] <= hi for s in truth for lo, hi in [fit.interval[f"alignment[{s}]"]]]
    lo, hi = fit.interval["signal"]
    assert all(inside)
    assert lo <= 0.85 <= hi
    assert fit.parameters.keys() == fit.interval.keys()


@pytest.mark.parametrize("truth", ["SignalNoise", "RepetitionUtility"])
def test_the_generating_law_wins(truth):
    entries = laws.compete(TABLES[truth])
    least = min(entries, key=lambda e: e.held_out_error)
    assert least.name == truth
    if truth == "SignalNoise":
        assert entries[0].name == truth


def test_compare_is_a_table():
    table = laws.compare(TABLES["SignalNoise"])
    assert table["law"][0].as_py() == "SignalNoise"
    assert set(table["law"].to_pylist()) == {
        "SignalNoise",
        "RepetitionUtility",
        "EffectiveData",
        "Power",
        "Rational",
    }
    assert table["held_out_error"][0].as_py() < 0.01


def test_fits_are_deterministic_and_ignore_row_order():
    table = TABLES["SignalNoise"]
    order = np.random.default_rng(0).permutation(len(table))
    one, two = (laws.fit(t, law=laws.SignalNoise) for t in (table, table.take(order)))
    assert one.parameters == pytest.approx(two.parameters, rel=1e-6)
    assert laws.fit(table, law=laws.SignalNoise).parameters == one.parameters


def test_spread_matches_the_bootstrap():
    fit = laws.fit(TABLES["SignalNoise"], law=laws.SignalNoise)
    drawn = fit.draws(40, np.random.default_rng(0))
    want = np.std([d.predict([0.5, 0.5, 0], 16_000, SUPPLY) for d in drawn])
    got = fit.spread([0.5, 0.5, 0], 16_000, SUPPLY)
    assert got == pytest.approx(want, rel=0.6)


def test_cost_does_not_grow_with_seeds():
    many = synthetic(SIGNAL, seeds=40, budgets=(16_000,))
    cells = cells_.aggregate(many)
    assert len(cells) == len(many) // 40
    assert cells.seed_noise == pytest.approx(np.full(len(cells), 0.004), rel=0.2)
    np.testing.assert_allclose(
        cells.error, SIGNAL.predict(cells.weights, cells.samples, cells.supply), atol=0.003
    )


def test_five_hundred_measurements_take_seconds():
    start = time.perf_counter()
    laws.compete(synthetic(SIGNAL, seeds=3))
    assert time.perf_counter() - start < 20  # ten times what it takes; a hang is what this is for


def rows(n, w, m, y=None):
    y = np.full(len(n), 0.4) if y is None else y
    return measurements.table(NAMES, samples=n, errors=y, weights=w, supply=m)


def test_what_cannot_be_known_is_said():
    eye = np.eye(3)[:2]
    fit = laws.fit(rows([100, 100], eye, SUPPLY), law=laws.SignalNoise)
    said = " | ".join(fit.warnings)
    assert "only one length of training" in said
    assert "no run repeats a row: what repetition costs is unknown" in said
    assert "never trained on z" in said
    assert "no run was replicated" in said
    assert "the measurements hardly tell" in said


def test_one_cell_carries_no_law():
    with pytest.raises(errors.PlanError, match="one point carries no law"):
        laws.fit(rows([100, 100], [[1, 0, 0]] * 2, SUPPLY), law=laws.Power)


def test_contradictory_measurements_are_reported():
    table = TABLES["SignalNoise"]
    y = measurements.vector(table, "error") + np.where(np.arange(len(table)) // 3 % 2, 0.15, -0.15)
    bad = measurements.table(
        NAMES,
        samples=measurements.vector(table, "samples"),
        errors=y,
        weights=measurements.matrix(table, "weights"),
        supply=measurements.matrix(table, "supply"),
        seeds=measurements.vector(table, "seed"),
    )
    assert any("misses the measurements by" in w for w in laws.fit(bad, law=laws.Power).warnings)


def test_nothing_to_hold_out_is_not_an_error():
    w = np.concatenate([np.eye(3), [[0.5, 0.5, 0]]])
    entries = laws.compete(rows([100] * 4, w, SUPPLY, [0.3, 0.4, 0.45, 0.33]))
    assert np.isnan(entries[0].held_out_error)
    assert entries[0].mixture_error == min(e.mixture_error for e in entries)
    two = laws.compete(rows([100] * 2, w[:2], SUPPLY, [0.3, 0.4]))  # nor any mixture
    assert two[0].fit.rmse == min(e.fit.rmse for e in two)
    assert [weight for _, weight in competition.predictors(two)] == [1.0]


def test_one_law_that_clearly_wins_predicts_alone():
    for name in ("SignalNoise", "Power"):
        [(entry, weight)] = competition.predictors(laws.compete(TABLES[name]))
        assert (entry.name, weight) == (name, 1.0)


def entry(name, held_out, left_out):
    fit = types.SimpleNamespace(law=types.SimpleNamespace(name=name), rmse=0.01)
    return competition.Entry(fit, held_out=np.array(held_out), left_out=np.array(left_out))


def test_laws_share_by_their_misses_when_none_wins():
    """Pseudo-BMA by hand: mse ratios 1 and 1.44 held out, 1.21 and 1 left out, 4 misses each."""
    a = entry("a", [0.01, -0.01, 0.01, -0.01], [0.011] * 4)
    b = entry("b", [0.012, 0.012, -0.012, 0.012], [0.01] * 4)
    (first, w), (second, v) = competition.predictors([b, a])
    assert (first.name, second.name) == ("a", "b")
    odds = np.exp(-4 / 2 * (0.21 - 0.44))
    assert w == pytest.approx(odds / (1 + odds))
    assert w + v == pytest.approx(1)
    both = competition.missed([a, b], np.array([w, v]))
    assert both == pytest.approx(np.sqrt(np.mean((w * a.held_out + v * b.held_out) ** 2)))
    assert both < min(a.held_out_error, b.held_out_error)


def test_a_law_of_next_to_no_weight_does_not_predict():
    a = entry("a", [0.01] * 8, [0.01] * 8)
    b = entry("b", [0.013] * 8, [0.013] * 8)
    assert [(e.name, w) for e, w in competition.predictors([b, a])] == [("a", 1.0)]
