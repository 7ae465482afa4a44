"""Unregularised transport against scipy's linear program and POT, and its certificates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from tamis import errors
from tamis.selectors import transport
from tamis.selectors.transport import nearly, simplex


def problem(n, m, seed=0, zeros=False):
    rng = np.random.default_rng(seed)
    a, b = rng.random(n) + 0.05, rng.random(m) + 0.05
    if zeros:
        a[n // 2] = b[m // 3] = 0
    return a / a.sum(), b / b.sum(), rng.random((n, m))


def program(a, b, cost):
    """The definition, by scipy's LP."""
    n, m = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    ends = np.concatenate([a, b])
    solved = optimize.linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=ends)
    assert solved.status == 0
    return solved.fun


def check(found, a, b, cost):
    """Optimality by duality: feasible both ways, and equal."""
    p = found.coupling.toarray()
    np.testing.assert_allclose(p.sum(axis=1), a, atol=1e-9)
    np.testing.assert_allclose(p.sum(axis=0), b, atol=1e-9)
    assert p.min() >= 0
    slack = cost - found.f[:, None] - found.g
    assert slack.min() >= -1e-12
    assert a @ found.f + b @ found.g == pytest.approx(found.value, abs=1e-9)
    assert np.sum(slack * p) == pytest.approx(0, abs=1e-9)
    assert found.value == pytest.approx(np.sum(cost * p))


SOLVERS = {"POT": simplex._network, "HiGHS": simplex._generated, "scipy": simplex._assignment}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("n", [1, 7, 40])
def test_every_solver_agrees_with_the_linear_program(name, n, monkeypatch):
    if name == "POT":
        pytest.importorskip("ot")
    a, b, cost = problem(n, n, n)
    if name == "scipy":
        a = b = np.full(n, 1 / n)
    monkeypatch.setattr(simplex, "_solved", SOLVERS[name])
    found = transport.exact(a, b, cost)
    check(found, a, b, cost)
    assert found.value == pytest.approx(program(a, b, cost), abs=1e-9)


@pytest.mark.parametrize("name", ["POT", "HiGHS"])
def test_rows_without_mass_have_potentials(name, monkeypatch):
    if name == "POT":
        pytest.importorskip("ot")
    monkeypatch.setattr(simplex, "_solved", SOLVERS[name])
    a, b, cost = problem(30, 64, zeros=True)
    found = transport.exact(a, b, cost)
    check(found, a, b, cost)
    assert found.coupling.shape == (30, 64)
    more = a.copy()
    more[15], more[0] = 1e-6, a[0] - 1e-6  # the price of the first grain of a new row
    slope = (transport.exact(more, b, cost).value - found.value) / 1e-6
    assert slope == pytest.approx(found.f[15] - found.f[0], abs=1e-5)


def test_without_pot_scipy_is_chosen_by_the_problem(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    a, b, cost = problem(12, 12)
    u = np.full(12, 1 / 12)
    assert transport.exact(a, b, cost).method == "HiGHS"
    assert transport.exact(u, u, cost).method == "scipy.optimize.linear_sum_assignment"


def test_an_assignment_with_ties_has_duals():
    cost = np.random.default_rng(0).integers(0, 4, (60, 60)).astype(float)
    u = np.full(60, 1 / 60)
    check(transport.exact(u, u, cost), u, u, cost)
    check(transport.exact(u, u, np.zeros((60, 60))), u, u, np.zeros((60, 60)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_highs_on_few_cells_is_optimal_on_all(n, m, seed):
    a, b, cost = problem(n, m, seed)
    cost = np.round(cost, 1)  # ties and degenerate vertices
    coupling, _, _ = simplex._generated(a, b, cost)
    assert np.sum(coupling.toarray() * cost) == pytest.approx(program(a, b, cost), abs=1e-9)


def test_a_value_is_found_by_the_method_for_its_size(monkeypatch):
    pytest.importorskip("ot")
    from tamis.selectors.transport import dispatch

    a, b, cost = problem(30, 40, zeros=True)
    u = np.full(30, 1 / 30)
    asked = transport.distance(a, b, cost)
    assert asked.method == "ot.emd2"
    assert asked.value == pytest.approx(program(a, b, cost), abs=1e-9)
    assert asked.lower == asked.value
    equal = transport.distance(2 * u, 2 * u, cost[:, :30])
    assert equal.method == "scipy.optimize.linear_sum_assignment"
    assert equal.value == pytest.approx(2 * program(u, u, cost[:, :30]), abs=1e-9)
    monkeypatch.setattr(dispatch, "_EXACT", 100)
    large = transport.distance(a, b, cost)
    assert large.method == "approximate"
    assert large.lower <= asked.value + 1e-9 <= large.value + 2e-9
    assert large.value - large.lower <= 0.01 * large.lower
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(dispatch, "_EXACT", 10**6)
    assert transport.distance(a, b, cost).value == pytest.approx(asked.value)


def test_bad_input_is_named():
    with pytest.raises(errors.SchemaError, match="balanced transport moves all"):
        transport.exact([1.0], [2.0], [[1.0]])
    with pytest.raises(errors.SchemaError, match="is nan"):
        transport.exact([1.0], [1.0], [[np.nan]])


def clouds(n, m, d=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((6, d))
    x = centres[rng.choice(6, n, p=np.arange(1, 7) / 21)] + rng.standard_normal((n, d))
    y = centres[rng.choice(6, m)] + rng.standard_normal((m, d))
    return x, y


@pytest.mark.parametrize("tolerance", [0.05, 0.01])
@pytest.mark.parametrize("kind", ["points", "matrix", "labels"])
def test_the_bracket_holds_the_exact_value(kind, tolerance):
    x, y = clouds(700, 600)
    a, b, _ = problem(700, 600, 3, zeros=True)
    cost = transport.points(x, y)
    if kind == "labels":
        between = np.array([[0.0, 3.0], [3.0, 0.0]])
        cost = transport.Labelled(cost, between, np.arange(700) % 2, np.arange(600) % 2)
    if kind == "matrix":
        cost = transport.costs.of(cost.rows(slice(None)))
    found = transport.approximate(a, b, cost, tolerance=tolerance)
    true = transport.exact(a, b, cost).value
    assert found.lower <= true + 1e-9 <= found.upper + 2e-9
    assert found.upper - found.lower <= tolerance * found.lower
    slack = cost.rows(slice(None)) - found.f[:, None] - found.g
    assert slack.min() >= -1e-9
    assert a @ found.f + b @ found.g == pytest.approx(found.lower)


def test_the_bracket_holds_however_bad_the_guess(monkeypatch):
    x, y = clouds(100, 80)
    a, b, _ = problem(100, 80, 3)
    cost = transport.points(x, y)
    true = transport.exact(a, b, cost).value
    rng = np.random.default_rng(0)
    monkeypatch.setattr(nearly, "_guess", lambda _: 20 * rng.standard_normal(80))
    for rounds in (1, 4):
        monkeypatch.setattr(nearly, "_ROUNDS", rounds)
        found = transport.approximate(a, b, cost, tolerance=1e-3)
        assert found.lower <= true <= found.upper


def test_the_bracket_of_equal_sets_and_of_one_row():
    x, _ = clouds(50, 10)
    u = np.full(50, 0.02)
    same = transport.approximate(u, u, transport.points(x, x))
    assert same.lower <= 1e-9
    assert 0 <= same.upper < 1e-3
    one = transport.approximate([2.0], [2.0], [[3.0]])
    assert (one.lower, one.upper) == (pytest.approx(6.0), pytest.approx(6.0))
    flat = transport.approximate(u, u, np.full((50, 50), 2.0))
    assert (flat.lower, flat.upper) == (pytest.approx(2.0), pytest.approx(2.0))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6), st.sampled_from([1, 2, 3.5]))
def test_the_line_is_the_linear_program(n, m, seed, power):
    a, b, _ = problem(n, m, seed)
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-5, 5, n).astype(float), rng.integers(-5, 5, m).astype(float)
    found = transport.line_cost(x, y, a=a, b=b, power=power)
    assert found == pytest.approx(program(a, b, np.abs(x[:, None] - y) ** power), abs=1e-7)
    if power == 1:
        assert found == pytest.approx(stats.wasserstein_distance(x, y, a, b), abs=1e-9)


def test_the_line_refuses_what_it_cannot():
    with pytest.raises(errors.ConfigError, match="concave"):
        transport.line_cost([0.0], [1.0], power=0.5)
    with pytest.raises(errors.SchemaError, match="is nan"):
        transport.line_cost([np.nan], [1.0])
