"""V(w): its gradient, its convexity, its minimum and the certificate of it."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from tamis import errors
from tamis.selectors import transport
from tamis.selectors.transport import ascent, limits, metric

K, D = 4, 3


def sources(seed=0, sizes=(12, 9, 15, 7), d=D):
    rng = np.random.default_rng(seed)
    side = rng.standard_normal(d)
    places = [side, -side, 1.5 * rng.standard_normal(d), 0.5 * rng.standard_normal(d)]
    return [rng.standard_normal((n, d)) + c for n, c in zip(sizes, places, strict=True)]


def target(seed=1, m=20, d=D):
    return np.random.default_rng(seed).standard_normal((m, d))


def cost_of(w, epsilon=0.5, seed=0):
    return transport.mixture_cost(sources(seed), target(), w, epsilon, tolerance=1e-11)


weights = st.lists(st.floats(0.0, 1.0), min_size=K, max_size=K).filter(lambda w: sum(w) > 0.1)


def share(w):
    return np.array(w) / np.sum(w)


def test_it_is_the_transport_of_the_mixture_of_all_rows():
    w = np.array([0.1, 0.2, 0.3, 0.4])
    a = np.concatenate([np.full(len(s), v / len(s)) for s, v in zip(sources(), w, strict=True)])
    b = np.full(20, 1 / 20)
    cost = transport.points(np.concatenate(sources()), target())
    whole = transport.sinkhorn_newton(a, b, cost, 0.5, tolerance=1e-12)
    found = cost_of(w)
    assert found.value == pytest.approx(whole.value, abs=1e-9)
    assert w @ found.gradient + b @ found.g == pytest.approx(found.value, abs=1e-9)
    by_matrix = transport.mixture_cost(sources(), None, w, 0.5, cost=cost.rows(slice(None)))
    assert by_matrix.value == pytest.approx(whole.value, abs=1e-7)


@pytest.mark.parametrize("epsilon", [2.0, 0.2])
def test_the_gradient_is_that_of_finite_differences(epsilon):
    w, step = np.array([0.4, 0.3, 0.2, 0.1]), 1e-4
    found = cost_of(w, epsilon)
    for i in range(K):
        for j in range(i):
            move = np.zeros(K)
            move[i], move[j] = step, -step
            rise = cost_of(w + move, epsilon).value - cost_of(w - move, epsilon).value
            slope = rise / (2 * step)
            assert slope == pytest.approx(found.gradient[i] - found.gradient[j], abs=1e-4)


def test_a_source_of_weight_nothing_has_a_gradient_too():
    w, step = np.array([0.5, 0.5, 0.0, 0.0]), 1e-5
    found = cost_of(w)
    for i in (2, 3):
        move = np.array([-step, 0, 0, 0])
        move[i] = step
        slope = (cost_of(w + move).value - found.value) / step
        assert slope == pytest.approx(found.gradient[i] - found.gradient[0], abs=1e-3)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(weights, weights, st.floats(0.05, 0.95))
def test_it_is_convex_and_above_its_tangents(v, w, t):
    v, w = share(v), share(w)
    one, other, between = cost_of(v), cost_of(w), cost_of(t * v + (1 - t) * w)
    assert between.value <= t * one.value + (1 - t) * other.value + 1e-8
    assert other.value >= one.value + one.gradient @ (w - v) - 1e-8


@settings(max_examples=15, deadline=None, derandomize=True)
@given(weights)
def test_the_relative_derivatives_cancel(w):
    """Methods §2.3 and §14.3: sum w_i (1 - w_i) d_i = 0, and a constant changes nothing."""
    w = share(w)
    found = cost_of(w)
    assert np.sum(w * (1 - w) * found.relative) == pytest.approx(0, abs=1e-12)
    moved = transport.calibrated(found.gradient + 7, w)
    np.testing.assert_allclose(moved, found.relative, atol=1e-9)


def test_the_relative_derivative_is_that_of_growing_in_proportion():
    w, step = np.array([0.4, 0.3, 0.2, 0.1]), 1e-4
    found = cost_of(w)
    for i in range(K):
        ends = []
        for sign in (1, -1):
            grown = w.copy()
            grown *= (1 - w[i] - sign * step) / (1 - w[i])
            grown[i] = w[i] + sign * step
            ends.append(cost_of(grown).value)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(found.relative[i], abs=1e-4)


def test_exact_duals_predict_the_change_of_the_exact_cost():
    """Methods §2.3: finite differences with exact LP duals, away from degeneracy (1e-3)."""
    rng = np.random.default_rng(5)
    rows, b = np.concatenate(sources()), share(rng.random(20))
    cost = transport.points(rows, target())
    inside = np.concatenate([rng.random(len(s)) for s in sources()])
    bounds = np.cumsum([0, *(len(s) for s in sources())])
    parts = [share(inside[i:j]) for i, j in itertools.pairwise(bounds)]

    def solved(w):
        a = np.concatenate([v * p for v, p in zip(w, parts, strict=True)])
        return transport.exact(a, b, cost)

    w, step = np.array([0.31, 0.27, 0.23, 0.19]), 1e-7
    means = [p @ f for p, f in zip(parts, np.split(solved(w).f, bounds[1:-1]), strict=True)]
    ours = transport.calibrated(means, w)
    for i in range(K):
        ends = []
        for sign in (1, -1):
            grown = w * (1 - w[i] - sign * step) / (1 - w[i])
            grown[i] = w[i] + sign * step
            ends.append(solved(grown).value)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(ours[i], abs=1e-3)


@pytest.mark.parametrize("epsilon", [2.0, 0.3])
def test_the_best_mixture_is_that_of_a_general_solver(epsilon):
    found = transport.best_mixture(sources(), target(), epsilon, tolerance=1e-6)

    def value(w):
        v = cost_of(w / w.sum(), epsilon)
        return v.value, v.gradient - (w / w.sum()) @ v.gradient

    general = optimize.minimize(
        value, np.full(K, 1 / K), jac=True, method="SLSQP", bounds=[(0, 1)] * K,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, options={"ftol": 1e-12},
    )  # fmt: skip
    assert found.value <= general.fun * (1 + 2e-6)
    assert found.value - found.gap <= general.fun + 1e-9
    assert 0 <= found.gap <= 1e-6 * found.value
    np.testing.assert_allclose(found.weights, general.x, atol=2e-2)


def test_the_certificate_holds_however_early_the_search_stops():
    problem = transport.mixture(sources(), target())
    allowed = limits.weights(0.0, 1.0, K)
    rng = np.random.default_rng(0)
    for _ in range(10):
        w, g = share(rng.random(K)), rng.standard_normal(20)
        search = ascent.Ascent(problem, allowed, 0.5)
        point = search.at(g, w)
        upper, lower = search.upper(point), search.lower(point)
        assert upper >= cost_of(w).value - 1e-9
        assert lower <= transport.best_mixture(sources(), target(), 0.5).value + 1e-9


def test_without_a_regularisation_it_is_a_twentieth_of_the_median_cost():
    apart = transport.points(np.concatenate(sources()), target()).rows(slice(None))
    found = transport.best_mixture(sources(), target())
    asked = transport.best_mixture(sources(), target(), 0.05 * float(np.median(apart)))
    assert found.value == asked.value


def test_floors_and_caps_hold_and_bind():
    free = transport.best_mixture(sources(), target(), 0.5)
    caps = np.full(K, 0.4)
    bound = transport.best_mixture(sources(), target(), 0.5, floors=0.15, caps=caps, tolerance=1e-5)
    assert np.all(bound.weights >= 0.15 - 1e-12)
    assert np.all(bound.weights <= 0.4 + 1e-12)
    assert bound.weights.sum() == pytest.approx(1)
    assert bound.value >= free.value - free.gap
    for v in np.random.default_rng(0).random((20, K)):  # none is better than promised
        w = limits.weights(0.15, caps, K).nearest(v)
        assert cost_of(w).value >= bound.value - bound.gap - 1e-9
    only = transport.best_mixture(sources(), target(), 0.5, floors=[0.25] * K)
    np.testing.assert_allclose(only.weights, 0.25)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.floats(0, 0.3), st.floats(0.4, 1))
def test_the_projection_is_the_nearest_point(v, floor, cap):
    allowed = limits.weights(floor, cap, 3)
    near = allowed.nearest(np.array(v))
    assert near.sum() == pytest.approx(1)
    assert np.all((near >= floor - 1e-12) & (near <= cap + 1e-12))
    for other in np.random.default_rng(0).dirichlet(np.ones(3), 50):
        if np.all((other >= floor) & (other <= cap)):
            assert np.sum((near - v) ** 2) <= np.sum((other - v) ** 2) + 1e-9
    h = np.array(v)
    by_program = optimize.linprog(h, A_eq=np.ones((1, 3)), b_eq=[1], bounds=[(floor, cap)] * 3)
    assert allowed.least(h) == pytest.approx(by_program.fun, abs=1e-9)


def test_large_problems_search_on_samples_and_end_on_all_rows():
    many = sources(3, (6_000, 7_000, 8_000, 4_000))
    found = transport.best_mixture(many, target(), 0.5)
    assert found.gap <= 1e-3 * found.value
    checked = transport.mixture_cost(many, target(), found.weights, 0.5)
    assert checked.value <= found.value <= checked.value + found.gap + 1e-6
    rough = transport.best_mixture(many, target(), 0.5, memory=0)  # every pass computes the cost
    assert rough.value == pytest.approx(found.value, rel=1e-3)


def test_rounded_costs_are_paid_for_in_the_gap():
    many = sources(3, (6_000, 7_000, 8_000, 4_000))
    problem = transport.mixture(many, target())
    rough = dataclasses.replace(problem, cost=transport.holding.quantised(problem.cost))
    found = transport.best_mixture(rough, None, 0.5)
    true = transport.mixture_cost(problem, None, found.weights, 0.5)
    assert rough.cost.error > 0
    assert true.value <= found.value
    assert found.value - found.gap <= transport.best_mixture(problem, None, 0.5).value


def test_equal_sources_and_one_source():
    x = sources()[0]
    assert transport.best_mixture([x], target(), 0.5).weights.tolist() == [1.0]
    same = transport.best_mixture([x, x, x], target(), 0.5)
    alone = transport.mixture_cost([x], target(), [1.0], 0.5)
    assert same.value == pytest.approx(alone.value, rel=1e-3)
    itself = transport.best_mixture([x, x + 50], x, 1e-3)
    np.testing.assert_allclose(itself.weights, [1, 0], atol=1e-6)


BAD = [
    ({"weights": [0.5, 0.6, 0, 0]}, "weights sum to 1.1"),
    ({"weights": [np.nan, 1, 0, 0]}, "masses are finite"),
    ({"weights": [1.0]}, "weights has shape"),
    ({"epsilon": -1}, "epsilon is -1"),
    ({"sources": []}, "needs a source"),
    ({"sources": [np.empty((0, 3))]}, "every source a row"),
    ({"sources": [np.ones((2, 3)), np.ones((2, 4))]}, "widths"),
    ({"sources": [np.ones((2, 3)) * np.nan]}, "is nan"),
    ({"target": None}, "no target and no cost"),
    ({"cost": np.ones((3, 20))}, "sources have 43 rows and the cost 3"),
    ({"cost": "euclid"}, "no cost 'euclid'"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_named(change, message):
    good = {"sources": sources(), "target": target(), "weights": [0.25] * 4, "epsilon": 0.5}
    with pytest.raises(errors.TamisError, match=message):
        transport.mixture_cost(**(good | change))


@pytest.mark.parametrize("limits", [{"floors": 0.3}, {"caps": 0.2}, {"floors": 0.2, "caps": 0.1}])
def test_limits_that_leave_nothing_are_named(limits):
    with pytest.raises(errors.ConfigError, match="no mixture of 4 sources"):
        transport.best_mixture(sources(), target(), 0.5, **limits)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(0, 10**6), st.integers(-9, 2))
def test_the_cheapest_mixture_of_a_quadratic_is_optimal(k, seed, size):
    """By its Frank-Wolfe gap, from any allowed start, however little the quadratic matters."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((rng.integers(1, k + 1), k))
    a, h = 10.0**size * root.T @ root, rng.standard_normal(k)
    low = np.where(rng.random(k) < 0.3, 0.9 * rng.random(k) / k, 0)
    high = np.clip(low + np.where(rng.random(k) < 0.3, 1 / k, 1), 0, 1)
    allowed = limits.weights(low, high, k)
    w = allowed.nearest(rng.random(k) if seed % 2 else 1e6 * rng.random(k))
    for _ in range(3):
        w = allowed.cheapest(h, a, w)
    slope = h + a @ w
    assert w.sum() == pytest.approx(1)
    assert slope @ w - allowed.least(slope) <= 1e-6 * (1 + np.abs(slope).max())


@pytest.mark.parametrize("m", [30, 90])
def test_the_metric_is_the_hessian_of_the_semi_dual(m):
    """By differences of the marginal; 90 columns go by Woodbury, 30 by their own system."""
    rng = np.random.default_rng(0)
    a, b, g = rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(m)), 0.1 * rng.standard_normal(m)
    cost = transport.costs.Dense(rng.random((60, m)))
    known = metric.metric(cost, a, b, g, 0.3)
    v = rng.standard_normal(m)
    v -= v.mean()

    def marginal(g):
        swept = transport.sweeps.sweep(cost, g, b=b, epsilon=0.3, weights=a)
        return swept.columns[0]

    change = (marginal(g + 1e-5 * v) - marginal(g - 1e-5 * v)) / 2e-5
    back = known.solve(change[:, None])[:, 0]
    np.testing.assert_allclose(back - back.mean(), v, atol=0.02 * np.abs(v).max())


def test_a_search_takes_few_passes():
    """It took 234 (56 of 50,000 rows) before Newton's method; see benchmarks/README.md."""
    many = sources(3, (6_000, 7_000, 8_000, 4_000))
    assert transport.best_mixture(many, target(), 0.5).iterations < 15
