"""Costs, divergences, unbalanced transport, labels, scales and values of rows."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from tamis import errors
from tamis.selectors import transport
from tamis.selectors.transport import costs, holding, labels, sweeps


def rows(n, d=5, seed=0, shift=0.0):
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_are_scipys_distances(metric, dtype):
    x, y = rows(30, shift=100), rows(20, seed=1, shift=100)  # far from 0, where rounding is worst
    found = transport.points(x, y, metric=metric, dtype=dtype)
    expected = distance.cdist(x, y, metric)
    tolerance = 2e-5 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(found.rows(slice(None)), expected, atol=tolerance)
    np.testing.assert_allclose(found.rows(slice(3, 9), -2.0), -2 * expected[3:9], atol=2e-4)
    np.testing.assert_allclose(found.transposed().rows(slice(None)), expected.T, atol=tolerance)
    few = found.take(np.array([4, 2])).rows(slice(None))
    np.testing.assert_allclose(few, expected[[4, 2]], atol=tolerance)
    low, high = found.range
    assert low <= expected.min()
    assert high >= expected.max()
    v = np.random.default_rng(0).random(20)
    np.testing.assert_allclose(costs.product(found, v), expected @ v, atol=1e-3)


def test_rounded_costs_are_as_near_as_they_say():
    found = transport.points(rows(300), rows(200, seed=1))
    exact, rough = found.rows(slice(None)), holding.quantised(found)
    assert np.abs(rough.rows(slice(None)) - exact).max() <= rough.error * 1.01
    assert rough.levels.dtype == np.uint16
    shifted = holding.quantised(costs.Dense(exact - 7))
    assert np.abs(shifted.rows(slice(None)) - exact + 7).max() <= shifted.error * 1.01
    assert isinstance(holding.held(found, 10**9), costs.Dense)
    assert isinstance(holding.held(found, 2 * 300 * 200), holding.Quantised)
    assert holding.held(found, 10) is found


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_torch_makes_the_same_pass(metric):
    pytest.importorskip("torch")
    x, y = rows(64), rows(48, seed=1)
    b, g, bounds = np.full(48, 1 / 48), rows(1, 48)[0], np.array([0, 20, 64])
    known = transport.points(x, y, metric=metric)
    ask = {
        "b": b, "epsilon": 0.3, "weights": np.random.default_rng(0).random(64), "bounds": bounds,
        "values": np.arange(48.0), "moved": True,
    }  # fmt: skip
    ours = sweeps.sweep(known, g, **ask)
    theirs = sweeps.sweep(dataclasses.replace(known, device="cpu"), g, **ask)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11)


def test_torch_solves_the_same_mixture():
    pytest.importorskip("torch")
    parts = [rows(30), rows(40, seed=1, shift=1)]
    plain = transport.mixture_cost(parts, rows(50, seed=2), [0.3, 0.7], 0.5)
    device = transport.mixture(parts, rows(50, seed=2), device="cpu")
    found = transport.mixture_cost(device, None, [0.3, 0.7], 0.5)
    assert found.value == pytest.approx(plain.value, abs=1e-9)
    np.testing.assert_allclose(found.gradient, plain.gradient, atol=1e-7)
    best = transport.best_mixture(device, None, 0.5)
    again = transport.best_mixture(parts, rows(50, seed=2), 0.5)
    np.testing.assert_allclose(best.weights, again.weights, atol=1e-3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (rows(3), rows(3, 4), "points of shapes"),
        (rows(3), np.empty((0, 5)), "points of shapes"),
        (rows(3) * np.nan, rows(3), r"x\[0, 0\] is nan"),
    ],
)
def test_points_that_cannot_be_compared(x, y, message):
    with pytest.raises(errors.SchemaError, match=message):
        transport.points(x, y)


def test_the_divergence_is_its_definition_and_debiased():
    x, y = rows(40, 3), rows(30, 3, seed=1, shift=0.5)
    epsilon, u, v = 0.8, np.full(40, 1 / 40), np.full(30, 1 / 30)
    found = transport.sinkhorn_divergence(x, y, epsilon, tolerance=1e-10)
    parts = [
        transport.sinkhorn_newton(a, b, transport.points(p, q), epsilon, tolerance=1e-11).value
        for a, b, p, q in ((u, v, x, y), (u, u, x, x), (v, v, y, y))
    ]
    assert found.value == pytest.approx(parts[0] - parts[1] / 2 - parts[2] / 2, abs=1e-7)
    assert found.value > 0
    assert transport.sinkhorn_divergence(x, x, epsilon).value == pytest.approx(0, abs=1e-6)


def test_the_divergence_has_the_gradient_it_says():
    x, y = rows(12, 3), rows(9, 3, seed=1)
    a, step = np.full(12, 1 / 12), 1e-4
    found = transport.sinkhorn_divergence(x, y, 1.0, a=a, tolerance=1e-12)
    move = np.zeros(12)
    move[2], move[7] = step, -step
    ends = [
        transport.sinkhorn_divergence(x, y, 1.0, a=a + s * move, tolerance=1e-12).value
        for s in (1, -1)
    ]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(found.f[2] - found.f[7], abs=1e-5)


def test_the_divergence_agrees_with_geomloss():
    geomloss, torch = pytest.importorskip("geomloss"), pytest.importorskip("torch")
    x, y = rows(40, 3), rows(30, 3, seed=1, shift=0.5)
    loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=0.5**0.5, debias=True, scaling=0.99)
    theirs = loss(torch.tensor(x), torch.tensor(y)).item()  # on the halved cost
    assert transport.sinkhorn_divergence(x, y, 1.0).value / 2 == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("rho", [0.3, 3.0, 300.0])
def test_unbalanced_agrees_with_pot_and_is_optimal(rho):
    ot = pytest.importorskip("ot")
    rng = np.random.default_rng(0)
    a, b, cost = rng.random(20), 2 * rng.random(15), rng.random((20, 15))
    epsilon = 0.1
    found = transport.unbalanced(a, b, cost, epsilon, rho, tolerance=1e-12)
    p = a[:, None] * b * np.exp((found.f[:, None] + found.g - cost) / epsilon)
    np.testing.assert_allclose(p.sum(axis=1), found.rows, rtol=1e-9)
    np.testing.assert_allclose(p.sum(axis=0), found.columns, rtol=1e-9)

    def kl(q, r):
        return np.sum(q * np.log(q / r)) - q.sum() + r.sum()

    primal = np.sum(p * cost) + epsilon * kl(p, np.outer(a, b))
    primal += rho * (kl(p.sum(axis=1), a) + kl(p.sum(axis=0), b))
    assert found.value == pytest.approx(primal, rel=1e-9)  # dual = primal: both are optimal
    theirs = ot.unbalanced.sinkhorn_unbalanced(
        a, b, cost, epsilon, rho, method="sinkhorn_stabilized", reg_type="kl",
        numItermax=200_000, stopThr=1e-13,
    )  # fmt: skip
    if rho < 100:
        np.testing.assert_allclose(p, theirs, atol=1e-6)


def test_unbalanced_leaves_the_dirt_behind():
    clean, dirt = rows(50), rows(5, seed=2, shift=30)
    x, y = np.concatenate([clean, dirt]), rows(40, seed=1)
    found = transport.unbalanced(
        np.full(55, 1 / 55), np.full(40, 1 / 40), transport.points(x, y), 0.5, 20.0
    )
    moved = found.rows * 55
    assert moved[50:].max() < 1e-3
    assert moved[:50].min() > 0.3
    with pytest.raises(errors.ConfigError, match="rho is -1"):
        transport.unbalanced([1.0], [1.0], [[1.0]], 0.1, -1)


def labelled(seed, classes=3):
    y = np.random.default_rng(seed).integers(0, classes, 40)
    return rows(40, 3, seed) + 2 * y[:, None], y


@pytest.mark.parametrize("factors", ["published", "released"])
def test_label_costs_are_the_papers_and_the_codes(factors):
    (x, kx), (y, ky) = labelled(0), labelled(1)
    found = transport.label_cost(x, kx, y, ky, factors=factors)
    square = distance.cdist(x, y, "sqeuclidean")
    expected = np.empty_like(square)
    for k in range(3):
        for m in range(3):
            inside = np.ix_(kx == k, ky == m)
            part = square[inside]
            a, b = (np.full(size, 1 / size) for size in part.shape)
            w = transport.exact(a, b, part).value
            if factors == "published":
                expected[inside] = part + w
            else:  # FeatureCost halves, its transport is taken with that, and W is halved again
                half = transport.exact(a, b, part / 2).value
                expected[inside] = part / 2 + half / 2
    np.testing.assert_allclose(found.rows(slice(None)), expected, atol=1e-9)
    np.testing.assert_allclose(found.rows(slice(5, 9), -2), -2 * expected[5:9], atol=1e-9)
    np.testing.assert_allclose(found.transposed().rows(slice(None)), expected.T, atol=1e-9)
    low, high = found.range
    assert low <= expected.min()
    assert high >= expected.max()


def test_label_costs_are_solved_once(monkeypatch):
    (x, kx), (y, ky) = labelled(0), labelled(1)
    cache = {}
    first = transport.label_cost(x, kx, y, ky.astype(str), cache=cache)
    assert len(cache) == 9
    monkeypatch.setattr(labels.simplex, "exact", lambda *_: pytest.fail("solved again"))
    again = transport.label_cost(y[:, ::1], ky, x, kx, cache=cache)
    np.testing.assert_array_equal(again.between, first.between.T)


def test_label_costs_with_entropy_and_bad_labels():
    (x, kx), (y, ky) = labelled(0), labelled(1)
    found = transport.label_cost(x, kx, y, ky, epsilon=0.2)
    exact = transport.label_cost(x, kx, y, ky)
    assert np.all(found.between >= exact.between - 1e-9)
    solved = transport.sinkhorn_newton(np.full(40, 1 / 40), np.full(40, 1 / 40), found, 0.5)
    assert solved.converged
    with pytest.raises(errors.SchemaError, match="labels of x have shape"):
        transport.label_cost(x, kx[:3], y, ky)


def test_two_scales_are_methods_2_2():
    """Methods §14.3: weights 5.678874 and -4.678874 from 1,000 and 1,500 to 10,000."""
    assert transport.project_scales(0, 1, 1_000, 1_500, 10_000) == pytest.approx(5.678874, abs=1e-6)
    assert transport.project_scales(1, 0, 1_000, 1_500, 10_000) == pytest.approx(
        -4.678874, abs=1e-6
    )
    ends = [transport.project_scales(0.3, 0.5, 1_000, 1_500, n) for n in (1_000, 1_500)]
    np.testing.assert_allclose(ends, [0.3, 0.5])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=6, unique=True), st.floats(1, 1e9))
def test_more_scales_are_a_least_squares_line(sizes, n):
    values = np.random.default_rng(0).random((len(sizes), 3))
    slope, level = np.polyfit(np.log(sizes), values, 1) if np.ptp(sizes) > 1e-3 else (None, None)
    if slope is not None:
        found = transport.project(values, sizes, n)
        np.testing.assert_allclose(found, level + slope * np.log(n), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [[1_000], [1_000, 1_000], [0, 5], [1, np.nan]])
def test_a_line_needs_two_scales(sizes):
    with pytest.raises(errors.PlanError, match="two different scales"):
        transport.project(np.ones(len(sizes)), sizes, 10)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=20), st.floats(-100, 100))
def test_calibrated_values_are_lava(f, constant):
    f = np.array(f)
    others = np.array([np.delete(f, i).mean() for i in range(len(f))])
    np.testing.assert_allclose(transport.calibrated(f), f - others, atol=1e-9)
    np.testing.assert_allclose(transport.calibrated(f + constant), f - others, atol=1e-9)
    a = np.random.default_rng(0).dirichlet(np.ones(len(f)))
    assert np.sum(a * (1 - a) * transport.calibrated(f, a)) == pytest.approx(0, abs=1e-9)


def test_the_value_of_a_row_finds_the_bad_ones():
    x = np.concatenate([rows(60), rows(6, seed=3, shift=4)])
    solved = transport.sinkhorn(np.full(66, 1 / 66), np.full(50, 0.02), transport.points(
        x, rows(50, seed=1)), 0.5)  # fmt: skip
    worst = np.argsort(transport.calibrated(solved.f))[-6:]
    assert set(worst) == set(range(60, 66))
