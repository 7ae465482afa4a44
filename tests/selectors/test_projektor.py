"""The predictor by transport: closed forms, oracles, recovery, coverage and bad input."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import errors
from tamis.schemas import measurements
from tamis.schemas import plan as plan_
from tamis.selectors import allocation, laws, projektor, transport
from tamis.selectors.laws import cells as cells_
from tamis.selectors.projektor import coverage, regression

NAMES = ("a", "b", "c")
SIZES = (1_000, 1_500)
SUPPLY = np.array([50_000, 60_000, 70_000])
LAW = {
    "alpha": 0.35,
    "beta": 1.4,
    "gamma": 0.4,
    "half": 60.0,
    "floor": 0.08,
    "ceiling": 0.97,
    "width": 0.08,
    "repeats": 5.0,
    "strength": (1.0, 0.8, 1.2),
}


def geometry(seed=0, prototypes=24):
    """Three sources, each mostly about a third of the target."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((prototypes, 6))
    cost = ((x[:, None] - x) ** 2).sum(-1)
    third = np.arange(prototypes) * 3 // prototypes
    masses = [rng.dirichlet(np.where(third == i, 5.0, 0.1)) for i in range(3)]
    target = projektor.Measure(rng.dirichlet(np.full(prototypes, 5.0)), 500)
    sources = {n: projektor.Measure(m, 1_000) for n, m in zip(NAMES, masses, strict=True)}
    return projektor.Geometry(sources, target, cost)


def mixtures(count, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(3), count)


def trained(law, weights, *, sizes=SIZES, noise=0.0, seeds=1, seed=0):
    """Measurements that a law would give, with normal noise."""
    rng = np.random.default_rng([7, seed])
    n, i, s = np.array(list(itertools.product(sizes, range(len(weights)), range(seeds)))).T
    error = law.predict(weights[i], n, SUPPLY) + noise * rng.standard_normal(len(n))
    return measurements.table(
        NAMES, samples=n, errors=error, weights=weights[i], supply=SUPPLY, seeds=s, chance=0.9
    )


def naive_coverage(law, where, w, n, supply):
    """The law of the docstring, part by part and source by source."""
    cost, target = where.cost / (law.width * where.unit), where.target.mass
    total = 0.0
    for z in range(len(target)):
        rows = 0.0
        own = sum(target[y] * np.exp(-cost[y, z]) for y in range(len(target)))
        for i, name in enumerate(NAMES):
            seen, mass = n * w[i], where.sources[name].mass
            fresh = min(seen, supply[i])
            again = (seen - fresh) / fresh if fresh else 0
            worth = fresh + fresh * law.repeats * (1 - np.exp(-again / law.repeats))
            reach = sum(mass[y] * np.exp(-cost[y, z]) for y in range(len(target))) / own
            rows += law.strength[i] * reach * worth
        x = np.log(rows / law.half) + law.gamma * np.log(rows / n)
        u = law.alpha * np.log(1 + np.exp(x)) - law.beta * np.log(1 + np.exp(-x))
        total += target[z] * (law.floor + (law.ceiling - law.floor) / (1 + np.exp(u)))
    return total


# Measures


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_merged_sources_are_the_mixture_of_measures_by_size(n, m, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n + m, 5)).astype(np.float32)
    centres = rng.standard_normal((7, 5)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    prototypes = projektor.Prototypes(centres, np.zeros(7, np.int64))
    parts = [projektor.Measure.of(v, prototypes) for v in (x[:n], x[n:])]
    whole, both = projektor.Measure.of(x, prototypes), projektor.merged(parts)
    assert both.rows == whole.rows == n + m
    np.testing.assert_allclose(both.mass, whole.mass, atol=1e-15)
    weighted = (n * parts[0].mass + m * parts[1].mass) / (n + m)
    np.testing.assert_allclose(both.mass, weighted, atol=1e-15)


def test_a_row_counts_for_the_nearest_prototype_of_its_class():
    x = np.array([[1, 0.1], [0.1, 1], [1, 0.2], [-1, 0]], np.float32)
    prototypes = projektor.Prototypes(
        np.array([[1, 0], [0, 1], [0, -1]], np.float32), np.array([0, 0, 1])
    )
    free = projektor.Measure.of(x, prototypes, labels=[0, 0, 0, 0])
    np.testing.assert_allclose(free.mass, [0.5, 0.5, 0])  # the last ties: the lowest
    classed = projektor.Measure.of(x, prototypes, labels=[0, 0, 1, 1])
    np.testing.assert_allclose(classed.mass, [0.25, 0.25, 0.5])


def test_prototypes_are_shared_out_over_classes_and_priced_between_them():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 4)).astype(np.float32), np.repeat([0, 1, 2], 30)
    found = projektor.Prototypes.fit(x, 12, labels=y)
    assert np.bincount(found.label).tolist() == [4, 4, 4]
    between = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0.0]])
    extra = found.cost(between) - found.cost()
    np.testing.assert_allclose(extra, between[np.ix_(found.label, found.label)])
    squared = ((found.x[:, None].astype(float) - found.x) ** 2).sum(-1)
    np.testing.assert_allclose(found.cost(), squared, atol=1e-6)


def test_a_source_cut_in_two_predicts_as_before_without_training():
    where = geometry()
    whole = where.sources["a"]
    share = np.random.default_rng(1).random(len(whole.mass))
    low, high = whole.mass * share, whole.mass * (1 - share)
    cut = {
        "a1": projektor.Measure(low / low.sum(), round(1_000 * low.sum())),
        "a2": projektor.Measure(high / high.sum(), round(1_000 * high.sum())),
    }
    after = projektor.Geometry(
        cut | {n: where.sources[n] for n in ("b", "c")}, where.target, where.cost
    )
    law = projektor.Coverage.over(where)(NAMES, **(LAW | {"strength": (1.0, 0.8, 1.2)}))
    new = projektor.Coverage.over(after)(
        ("a1", "a2", "b", "c"), **(LAW | {"strength": (1.0, 1.0, 0.8, 1.2)})
    )
    part = low.sum()
    w = np.array([0.4, 0.35, 0.25])
    got = new.predict([part * w[0], (1 - part) * w[0], *w[1:]], 5_000, [50_000] * 4)
    np.testing.assert_allclose(got, law.predict(w, 5_000, SUPPLY), rtol=1e-12)


# Coverage


@pytest.mark.parametrize("supply", [SUPPLY, np.array([200, 300, 100])])
def test_coverage_is_what_the_equation_says(supply):
    where = geometry()
    law = projektor.Coverage.over(where)(NAMES, **LAW)
    for w in [*mixtures(3), np.array([1.0, 0, 0])]:
        got = law.predict(w, 2_000, supply)
        np.testing.assert_allclose(got, naive_coverage(law, where, w, 2_000, supply), rtol=1e-5)


def test_reach_of_the_target_itself_is_one():
    where = geometry()
    same = projektor.Geometry({"t": where.target}, where.target, where.cost)
    np.testing.assert_allclose(same.reach(["t"], 0.1), 1, rtol=1e-12)


def test_a_class_without_rows_stays_wrong_however_near_the_others_are():
    cost = np.array([[0, 0.01], [0.01, 0.0]])
    target = projektor.Measure(np.array([0.5, 0.5]), 10)
    sources = {"a": projektor.Measure(np.array([1.0, 0]), 10), "b": target}
    where = projektor.Geometry(sources, target, cost, np.array([0, 1]))
    np.testing.assert_allclose(where.reach(["a", "b"], 1.0), [[2, 0], [1, 1]])
    law = projektor.Coverage.over(where)(("a", "b"), **(LAW | {"strength": (1.0, 1.0)}))
    alone = float(law.predict([1, 0], 1e9, [1e10, 1e10]))
    assert alone == pytest.approx((LAW["floor"] + LAW["ceiling"]) / 2, abs=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.floats(50, 1e6))
def test_coverage_falls_with_samples_and_stays_between_floor_and_ceiling(seed, n):
    law = projektor.Coverage.over(geometry())(NAMES, **LAW)
    w = mixtures(1, seed)[0]
    near, far = law.predict(w, n, SUPPLY * 100), law.predict(w, 2 * n, SUPPLY * 100)
    assert LAW["floor"] <= far <= near <= LAW["ceiling"]


def test_a_repeated_row_counts_less_and_less():
    seen = np.array([[50.0], [100.0], [200.0], [1e9]])
    got = coverage.effective(seen, np.array([100.0]), 5.0)[:, 0]
    np.testing.assert_allclose(got, [50, 100, 100 + 500 * (1 - np.exp(-0.2)), 600])


# Regression and gradients


def regression_law(where, form="pseudo-quadratic transport", seed=0):
    q = regression.design(form, np.zeros((1, 3)), np.zeros(1)).shape[1]
    rng = np.random.default_rng(seed)
    level, slope = 0.02 * rng.standard_normal((2, q))
    level[0], slope[0] = 0.6, -0.05
    return projektor.Regression.over(where, form, 1e3)(NAMES, level, slope, np.sqrt(1_000 * 1_500))


def test_columns_of_the_released_regression():
    w, cost = np.array([[0.2, 0.5, 0.3]]), np.array([0.7])
    got = regression.design("pseudo-quadratic transport", w, cost)[0]
    want = [1, 0.7, 0.2, 0.5, 0.2 * 0.7, 0.5 * 0.7, 0.04 * 0.7, 0.25 * 0.7]
    np.testing.assert_allclose(got, want)
    np.testing.assert_allclose(regression.design("quadratic", w, cost)[0][3:], [0.04, 0.1, 0.25])


def test_a_quadratic_times_transport_surface_is_recovered_exactly():
    where = geometry()
    truth = regression_law(where)
    table = trained(truth, mixtures(20))
    fit = laws.fit(table, law=type(truth))
    w = mixtures(30, seed=9)
    want = truth.predict(w, 10_000, SUPPLY)
    np.testing.assert_allclose(fit.law.predict(w, 10_000, SUPPLY), want, atol=1e-5)


def test_without_ridge_two_sizes_are_two_fits_projected():
    where, w = geometry(), mixtures(14)
    table = trained(regression_law(where), w, noise=0.01)
    cells = cells_.aggregate(table)
    wanted = mixtures(9, seed=5)
    design = [
        regression.design("centre-scaling", v, where.distance(NAMES, v)[0])
        for v in (*(cells.weights[cells.samples == n] for n in SIZES), wanted)
    ]
    fits = [
        np.linalg.lstsq(x, cells.error[cells.samples == n])[0]
        for x, n in zip(design, SIZES, strict=False)
    ]
    want = transport.project_scales(*(design[2] @ f for f in fits), *SIZES, 10_000)
    law = laws.fit(cells, law=projektor.Regression.over(where, "centre-scaling", 1e4)).law
    np.testing.assert_allclose(law.predict(wanted, 10_000, SUPPLY), want, atol=1e-4)


@pytest.mark.parametrize("form", [*regression.FORMS, "coverage", "rational", "average"])
def test_gradient_is_that_of_finite_differences(form):
    where = geometry()
    law = {
        "coverage": projektor.Coverage.over(where)(NAMES, **LAW),
        "rational": laws.Rational(0.2 + np.eye(3), 0.3, 0.1),
    }
    law["average"] = projektor.Average(tuple(law.values()), np.array([0.7, 0.3]))
    law = law.get(form) or regression_law(where, form)
    supply = np.array([2_000, 60_000, 70_000])  # the first repeats
    for w in mixtures(3, seed=2):
        got = law.gradient(w, 10_000, supply)
        for i, j in ((0, 1), (1, 2)):
            step = 1e-4 * (np.eye(3)[i] - np.eye(3)[j])
            pair = [law.predict(w + s * step, 10_000, supply) for s in (1, -1)]
            want = (pair[0] - pair[1]) / 2e-4
            np.testing.assert_allclose(got[i] - got[j], want, rtol=1e-3, atol=1e-5)


def test_distance_to_itself_is_least_and_gradient_points_there():
    where = geometry()
    blend = sum(w * where.sources[n].mass for n, w in zip(NAMES, (0.5, 0.3, 0.2), strict=True))
    near = projektor.Geometry(where.sources, projektor.Measure(blend, 10), where.cost)
    at = np.array([0.5, 0.3, 0.2])
    value, slope = near.distance(NAMES, np.vstack([at, mixtures(20)]))
    assert value.argmin() == 0
    downhill = (slope[1:] * (at - mixtures(20))).sum(1)
    assert (downhill < 0).all()  # convex, so every gradient points away from the best


# The predictor


def test_interval_covers_at_a_size_not_trained():
    where = geometry()
    truth = projektor.Coverage.over(where)(NAMES, **LAW)
    w, rng = mixtures(40, seed=11), np.random.default_rng(5)
    inside = []
    for seed in range(4):
        table = trained(truth, mixtures(12, seed), noise=0.008, seeds=3, seed=seed)
        found = projektor.Predictor.fit(table, where)
        low, high = found.interval(w, 6_000, SUPPLY)
        run = truth.predict(w, 6_000, SUPPLY) + 0.008 * rng.standard_normal(len(w))
        inside.append(((run >= low) & (run <= high)).mean())
    assert 0.85 <= np.mean(inside) <= 1


def test_few_trainings_choose_the_form_of_low_capacity_and_many_the_other():
    where = geometry()
    truth = regression_law(where, seed=4)
    curved = projektor.Regression.over(where, truth.form, 1e3)(
        NAMES, truth.level + np.array([0, 0, 0, 0, 0.3, -0.2, -0.4, 0.3]), truth.slope, truth.size
    )
    both = projektor.regressions(where)
    few = projektor.rank(trained(truth, mixtures(6, 3), noise=0.01, seeds=3), both)
    many = projektor.rank(trained(curved, mixtures(40, 3), noise=0.01, seeds=3), both)
    assert few[0].fit.law.form == "centre-scaling"
    assert many[0].fit.law.form == "pseudo-quadratic transport"


def test_best_weights_are_those_of_a_fine_grid():
    where = geometry()
    law = projektor.Coverage.over(where)(NAMES, **LAW)
    fine = np.array([(i, j, 100 - i - j) for i in range(101) for j in range(101 - i)]) / 100
    caps = np.array([0.3, 1, 1])
    for allowed in (np.ones(3), caps):
        grid = fine[(fine <= allowed).all(1)]
        least = law.predict(grid, 10_000, SUPPLY).min()
        found = projektor.best_weights([law], 10_000, SUPPLY, caps=allowed)
        assert found.sum() == pytest.approx(1)
        assert (found <= allowed + 1e-9).all()
        assert law.predict(found, 10_000, SUPPLY) <= least + 1e-6


def test_the_planner_judges_transport_beside_its_own_laws():
    where = geometry()
    truth = projektor.Coverage.over(where)(NAMES, **LAW)
    table = trained(truth, mixtures(15), sizes=(500, 1_000, 2_000), noise=0.004, seeds=3)
    strata = [
        plan_.Stratum(name=n, supply=s, source=n, tier=0)
        for n, s in zip(NAMES, SUPPLY.tolist(), strict=True)
    ]
    planned = allocation.plan(
        table, strata, [8_000], competing=(*laws.LAWS, projektor.Coverage.over(where))
    )
    scores = {s.law: s.held_out_error for s in planned.laws}
    assert set(scores) == {"Coverage", *(law.name for law in laws.LAWS)}
    assert min(scores, key=scores.get) == planned.budgets[0].law == "Coverage"
    best = projektor.best_weights([truth], 8_000, SUPPLY)
    shares = np.array(
        [next((a.share for a in planned.budgets[0].allocation if a.stratum == n), 0) for n in NAMES]
    )
    least = float(truth.predict(best, 8_000, SUPPLY))
    assert truth.predict(shares, 8_000, SUPPLY) - least < 0.005


def test_rational_law_is_its_equation_and_comes_back_from_its_values():
    law = laws.Rational(np.array([[2.0, 1.0, 0.1], [0.1, 3.0, 1.0], [1.0, 0.2, 2.0]]), 0.4, 0.1)
    w = np.array([0.2, 0.3, 0.5])
    terms = [1 / sum(v * p for v, p in zip(row, w, strict=True)) for row in law.information]
    np.testing.assert_allclose(law.predict(w, 900, SUPPLY), 0.1 + sum(terms) * 900**-0.4)
    seen = np.concatenate([np.eye(3), mixtures(30)])
    fit = laws.fit(trained(law, seen, sizes=(300, 900, 2_700)), law=laws.Rational)
    fresh = mixtures(20, seed=8)
    want = law.predict(fresh, 2_000, SUPPLY)
    np.testing.assert_allclose(fit.law.predict(fresh, 2_000, SUPPLY), want, rtol=0.03)


# Bad input


def rows(count, value=1.0):
    return np.full((count, 3), value, np.float32)


HALVES, THIRDS = (projektor.Measure(np.full(p, 1 / p), 1) for p in (2, 3))
PROTOTYPES = projektor.Prototypes(np.eye(3, dtype=np.float32), np.zeros(3, np.int64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: projektor.Measure.of(rows(0), PROTOTYPES), "a source without rows"),
        (lambda: projektor.Measure.of(rows(2, np.nan), PROTOTYPES), "row 0: an embedding is NaN"),
        (lambda: projektor.Measure.of(rows(2), PROTOTYPES, labels=[0, 3]), r"classes \[3\]"),
        (lambda: geometry().masses(["a", "z"]), r"strata \['z'\] have no measure"),
        (lambda: geometry().reach(["z"], 0.1), "have no measure"),
        (lambda: projektor.Geometry({"a": HALVES}, THIRDS, np.zeros((3, 3))), "same prototypes"),
        (lambda: projektor.Geometry({"a": HALVES}, HALVES, np.full((2, 2), np.nan)), "NaN"),
        (lambda: projektor.Regression.over(geometry(), "cubic", 1.0), "no form 'cubic'"),
        (lambda: projektor.best_weights([], 10, SUPPLY, caps=[0.2, 0.2, 0.2]), "no mixture"),
    ],
)  # fmt: skip
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(errors.PlanError, match=message):
        call()


def test_trainings_that_carry_no_predictor():
    where = geometry()
    truth = projektor.Coverage.over(where)(NAMES, **LAW)
    with pytest.raises(errors.PlanError, match="only one scale, 1000"):
        projektor.Predictor.fit(trained(truth, mixtures(8), sizes=(1_000,)), where)
    with pytest.raises(errors.PlanError, match="2 mixtures"):
        projektor.Predictor.fit(trained(truth, mixtures(2)), where)
    with pytest.raises(errors.PlanError, match="not a finite number"):
        trained(truth, mixtures(4), noise=np.nan)
