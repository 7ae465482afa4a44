"""Sinkhorn and Sinkhorn-Newton-Sparse against POT, each other, and the equations."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import errors
from tamis.selectors import transport
from tamis.selectors.transport import scaling


def problem(n=40, m=30, seed=0, zeros=True):
    rng = np.random.default_rng(seed)
    a, b, cost = rng.random(n), rng.random(m), rng.random((n, m))
    if zeros:
        a[3] = b[5] = 0
    return a / a.sum(), b / b.sum(), cost


SOLVERS = [transport.sinkhorn, transport.sinkhorn_newton]


@pytest.fixture(scope="module")
def ot():
    return pytest.importorskip("ot")


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("epsilon", [0.3, 0.03])
def test_it_agrees_with_pot(solve, epsilon, ot):
    a, b, cost = problem(zeros=False)
    found = solve(a, b, cost, epsilon, tolerance=1e-11)
    p, log = ot.sinkhorn(
        a, b, cost, epsilon, "sinkhorn_log", stopThr=1e-12, numItermax=100_000, log=True
    )
    np.testing.assert_allclose(found.coupling(), p, atol=1e-10)
    assert found.transport == pytest.approx((p * cost).sum(), abs=1e-9)
    # POT's potentials are of sum P log P; ours of KL(P | ab^T), which adds the logs of the masses.
    ours = found.f + epsilon * np.log(a)
    theirs = epsilon * log["log_u"]
    np.testing.assert_allclose(np.diff(ours), np.diff(theirs), atol=1e-8)


@pytest.mark.parametrize("solve", SOLVERS)
def test_the_three_values_are_what_they_say(solve):
    a, b, cost = problem()
    found = solve(a, b, cost, 0.05, tolerance=1e-11)
    p = found.coupling()
    some = p > 0
    independent = np.outer(a, b)
    kl = np.sum(p[some] * np.log(p[some] / independent[some]))
    logs = np.sum(p[some] * (np.log(p[some]) - 1))
    assert found.value == pytest.approx((p * cost).sum() + 0.05 * kl, abs=1e-9)
    assert found.transport == pytest.approx((p * cost).sum(), abs=1e-12)
    assert found.entropy == pytest.approx((p * cost).sum() + 0.05 * logs, abs=1e-9)
    assert found.value == pytest.approx(a @ found.f + b @ found.g, abs=1e-12)
    np.testing.assert_allclose(p.sum(axis=1), a, atol=1e-13)
    assert np.abs(p.sum(axis=0) - b).sum() == pytest.approx(found.marginal_error, abs=1e-13)


@pytest.mark.parametrize("solve", SOLVERS)
def test_potentials_are_the_gradient_in_the_masses(solve):
    a, b, cost = problem(20, 15)
    found = solve(a, b, cost, 0.1, tolerance=1e-12)
    step = 1e-5
    for i, j in ((0, 1), (3, 7)):  # row 3 has no mass, so one side only
        moved = a.copy()
        moved[i], moved[j] = a[i] + step, a[j] - step
        other = solve(moved, b, cost, 0.1, tolerance=1e-12)
        slope = (other.value - found.value) / step
        assert slope == pytest.approx(found.f[i] - found.f[j], abs=2e-3)
    moved = b.copy()
    moved[5], moved[6] = b[5] + step, b[6] - step
    slope = (solve(a, moved, cost, 0.1, tolerance=1e-12).value - found.value) / step
    assert slope == pytest.approx(found.g[5] - found.g[6], abs=2e-3)


def test_newton_meets_the_published_assignment():
    """Methods §14.8: LAP n = 500, eta = 1,200, at most 10 Newton steps to 1e-13, under 1 s."""
    rng = np.random.default_rng(0)
    u = np.full(500, 1 / 500)
    start = time.process_time()
    found = transport.sinkhorn_newton(u, u, rng.random((500, 500)), 1 / 1_200, tolerance=1e-13)
    assert found.marginal_error <= 1e-13
    assert found.newton <= 10
    assert time.process_time() - start < 5  # 0.2 s of one core when nothing else runs


@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
def test_newton_reaches_small_epsilons_where_sinkhorn_crawls(epsilon):
    a, b, cost = problem(64, 50)
    found = transport.sinkhorn_newton(a, b, cost, epsilon, tolerance=1e-11)
    assert found.converged
    assert found.iterations < 400
    exact = transport.exact(a, b, cost)
    assert exact.value - 1e-12 <= found.transport <= exact.value + epsilon * np.log(64 * 50)


def test_large_systems_go_by_conjugate_gradients(monkeypatch):
    a, b, cost = problem(60, 50)
    direct = transport.sinkhorn_newton(a, b, cost, 0.01, tolerance=1e-10)
    monkeypatch.setattr(scaling.Problem, "direct", 10)
    found = transport.sinkhorn_newton(a, b, cost, 0.01, tolerance=1e-10)
    assert found.converged
    assert found.value == pytest.approx(direct.value, abs=1e-10)


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_warm_start_saves_passes(solve):
    a, b, cost = problem()
    cold = solve(a, b, cost, 0.02, tolerance=1e-9)
    warm = solve(a, b, cost, 0.02, tolerance=1e-9, g=cold.g)
    assert warm.iterations <= 2
    by_f = solve(a, b, cost, 0.02, tolerance=1e-9, f=cold.f)
    assert by_f.iterations <= 3
    assert warm.value == pytest.approx(cold.value, abs=1e-10)


@pytest.mark.parametrize("solve", SOLVERS)
def test_masses_scale_and_need_not_sum_to_one(solve):
    a, b, cost = problem()
    one, ten = (solve(k * a, k * b, cost, 0.05, tolerance=1e-10) for k in (1, 10))
    assert ten.value == pytest.approx(10 * one.value, rel=1e-9)
    assert ten.transport == pytest.approx(10 * one.transport, rel=1e-9)
    assert ten.coupling().sum() == pytest.approx(10)
    np.testing.assert_allclose(ten.f, one.f, atol=1e-9)


def test_columns_without_mass_change_nothing():
    a, b, cost = problem()
    has = b > 0
    found = transport.sinkhorn_newton(a, b, cost, 0.05, tolerance=1e-12)
    less = transport.sinkhorn_newton(a, b[has], cost[:, has], 0.05, tolerance=1e-12)
    offset = found.f.mean() - less.f.mean()  # potentials are known up to a constant
    np.testing.assert_allclose(found.f - offset, less.f, atol=1e-12)
    np.testing.assert_allclose(found.g[has] + offset, less.g, atol=1e-12)


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("epsilon", [1.0, 1e-4])
def test_extremes(solve, epsilon):
    one = solve([1.0], [1.0], [[2.5]], epsilon)
    assert (one.value, one.transport) == (pytest.approx(2.5), pytest.approx(2.5))
    x = np.repeat([[1.0, 2.0]], 7, axis=0)
    same = solve(np.full(7, 1 / 7), np.full(5, 0.2), transport.points(x, x[:5]), epsilon)
    assert same.value == pytest.approx(0, abs=1e-12)
    mostly = solve([1.0, 0.0, 0.0], [0.0, 1.0], [[3.0, 1.0]] * 3, epsilon)
    assert mostly.transport == pytest.approx(1.0)
    assert np.all(np.isfinite(mostly.f))
    assert np.all(np.isfinite(mostly.g))
    far = solve([0.5, 0.5], [0.5, 0.5], [[0.0, 1e6], [1e6, 0.0]], epsilon)
    assert far.transport == pytest.approx(0, abs=1e-9)


BAD = [
    ({"a": [0.5, 0.6]}, "a sums to 1.1 and b to 1"),
    ({"a": [0.5, -0.5]}, "masses are finite"),
    ({"a": [0.5, np.nan]}, "masses are finite"),
    ({"a": [0.0, 0.0]}, "not all 0"),
    ({"a": [1.0]}, "a has shape"),
    ({"cost": [[0.0, np.nan], [1.0, 0.0]]}, "cost.*is nan"),
    ({"cost": [[0.0, np.inf], [1.0, 0.0]]}, "cost.*is inf"),
    ({"cost": [0.0, 1.0]}, "a cost of shape"),
    ({"epsilon": 0.0}, "epsilon is 0"),
    ({"epsilon": np.nan}, "epsilon is nan"),
    ({"g": [0.0]}, "g has shape"),
    ({"g": [0.0, np.nan]}, "g.*is nan"),
]


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_named(solve, change, message):
    good = {"a": [0.5, 0.5], "b": [0.5, 0.5], "cost": [[0.0, 1.0], [1.0, 0.0]], "epsilon": 0.1}
    with pytest.raises(errors.TamisError, match=message):
        solve(**(good | change))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10_000), st.floats(0.005, 3))
def test_both_solvers_find_one_optimum(n, m, seed, epsilon):
    a, b, cost = problem(n, m, seed, zeros=False)
    newton = transport.sinkhorn_newton(a, b, cost, epsilon, tolerance=1e-11)
    plain = transport.sinkhorn(a, b, cost, epsilon, tolerance=1e-7, max_iterations=50_000)
    assert newton.converged
    assert plain.value <= newton.value + 1e-12  # every potential is a lower bound
    assert plain.value == pytest.approx(newton.value, abs=1e-6)
    constant = transport.sinkhorn_newton(a, b, cost + 2, epsilon, tolerance=1e-11)
    assert constant.value == pytest.approx(newton.value + 2, abs=1e-9)


def test_the_same_bytes_on_any_number_of_threads(monkeypatch):
    from tamis.selectors.transport import sweeps

    rng = np.random.default_rng(3)
    cost = transport.costs.Dense(rng.random((700, 900), np.float32))
    b, weights = np.full(900, 1 / 900), rng.random(700)
    monkeypatch.setattr(sweeps, "_THREADED", 0)
    monkeypatch.setattr(sweeps, "_RUN", 1)
    found = []
    for count in (1, 2, 7):
        monkeypatch.setattr("os.cpu_count", lambda count=count: count)
        found.append(sweeps.sweep(cost, np.zeros(900), b=b, epsilon=0.1, weights=weights))
    assert all(np.array_equal(found[0].columns, other.columns) for other in found)
    assert all(np.array_equal(found[0].f, other.f) for other in found)


@pytest.mark.parametrize("share", [1e-2, 1e-5])
@pytest.mark.parametrize("shift", [0.0, 100.0])
@pytest.mark.parametrize("scale", [1e-36, 1.0, 1e36])
def test_where_float32_ends_nothing_is_lost(scale, shift, share):
    """Steps that look for a start are in float32, where it holds the exponents."""
    a, b, cost = problem(12, 9)
    found = transport.sinkhorn_newton(a, b, scale * (cost + shift), scale * share, tolerance=1e-8)
    plain = transport.sinkhorn_newton(a, b, cost, share, tolerance=1e-10)
    assert found.converged
    assert found.value / scale - shift == pytest.approx(plain.value, abs=1e-6)
