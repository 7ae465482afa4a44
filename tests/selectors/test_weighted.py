"""Weighted samples: exact probabilities, unbiased estimates, and the weights behind them."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from scipy import optimize

from tamis import seeding
from tamis.schemas import embeddings, uids
from tamis.selectors import (
    clustering_sensitivity,
    leverage,
    low_rank_sensitivity,
    registry,
    systematic,
    weighted,
)

DRAWS = 4000


def names(n):
    return uids.from_hex(uids.of("s", pa.array([str(i) for i in range(n)])))


def successive(weight, k):
    """Probability of every row being among the first k drawn without replacement, by listing."""
    inside = np.zeros(len(weight))
    for order in itertools.permutations(range(len(weight)), k):
        p, left = 1.0, weight.sum()
        for i in order:
            p *= weight[i] / left
            left -= weight[i]
        inside[list(order)] += p
    return inside


def test_rows_are_drawn_with_the_exact_probabilities():
    weight, uid = np.array([1.0, 2.0, 0.5, 4.0, 0.1]), names(5)
    count = np.zeros(5)
    for seed in range(DRAWS):
        count[weighted.gumbel_top_k(weight, seeding.priority(uid, seed), 2).rows] += 1
    p = successive(weight, 2)
    assert np.all(np.abs(count - DRAWS * p) < 4.5 * np.sqrt(DRAWS * p * (1 - p)))


def test_the_order_is_that_of_efraimidis_and_spirakis():
    rng = np.random.default_rng(0)
    weight, priority = rng.uniform(0.1, 3, 200), rng.integers(0, 2**64, 200, np.uint64)
    u = ((priority >> np.uint64(11)).astype(float) + 0.5) / 2**53
    order = np.argsort(-(u ** (1 / weight)), kind="stable")
    assert weighted.gumbel_top_k(weight, priority, 200).rows.tolist() == order.tolist()


def test_a_row_of_zero_weight_comes_last_and_counts_once():
    weight, priority = np.array([0.0, 3.0, 0.0, 1.0]), np.array([1, 9, 2, 8], np.uint64) << 58
    drawn = weighted.gumbel_top_k(weight, priority, 3)
    assert set(drawn.rows[:2]) == {1, 3}
    assert drawn.rows[2] == 0
    assert drawn.weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_scale_of_weights_does_not_matter(scale):
    rng = np.random.default_rng(3)
    weight, priority = rng.uniform(1, 2, 40), rng.integers(0, 2**64, 40, np.uint64)
    one, other = (weighted.gumbel_top_k(weight * s, priority, 9) for s in (1.0, scale))
    assert one.rows.tolist() == other.rows.tolist()
    np.testing.assert_allclose(one.weights, other.weights)


@pytest.mark.parametrize("k", [1, 3, 4])
def test_systematic_samples_hold_each_row_with_its_probability(k):
    size, uid = np.array([1.0, 2.0, 0.5, 4.0, 0.1, 0.0]), names(6)
    p, count = systematic.inclusion(size, k), np.zeros(6)
    assert p.sum() == pytest.approx(k)
    assert np.all((p == 1) | np.isclose(p, size * p[4] / size[4]))
    for seed in range(DRAWS):
        start = np.random.default_rng(seed).random()
        drawn = systematic.draw(size, seeding.priority(uid, seed), k, start)
        count[drawn.rows] += 1
        np.testing.assert_allclose(drawn.weights, 1 / p[drawn.rows])
        assert len(set(drawn.rows.tolist())) == k
    assert np.all(np.abs(count - DRAWS * p) <= 4.5 * np.sqrt(DRAWS * p * (1 - p)) + 1e-6)


def test_a_sum_in_proportion_to_size_is_estimated_without_error():
    size = np.random.default_rng(0).uniform(1, 3, 500)
    for seed in range(20):
        drawn = systematic.draw(size, seeding.priority(names(500), seed), 40, seed / 20)
        assert drawn.weights @ size[drawn.rows] == pytest.approx(size.sum())


def test_negative_and_missing_weights_are_errors():
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="weight of row 1"):
            weighted.gumbel_top_k(np.array([1.0, bad]), np.zeros(2, np.uint64), 1)


def test_a_temperature_goes_from_top_k_to_uniform():
    score = np.array([3.0, 1.0, 2.0, -5.0])
    cold = weighted.tempered(score, 1e-3)
    assert cold[0] == 1
    assert cold[1:].max() < 1e-300
    np.testing.assert_allclose(weighted.tempered(score, 1e9), 1)


@pytest.fixture(scope="module")
def pool():
    """Clustered vectors whose loss is smooth in them."""
    rng, n = np.random.default_rng(0), 300
    centres = rng.standard_normal((6, 12))
    own = rng.integers(0, 6, n)
    x = centres[own] + 0.3 * rng.standard_normal((n, 12))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    loss = 0.1 + (x @ rng.standard_normal(12)) ** 2 * np.array([9, 1, 1, 1, 0.1, 0.1])[own]
    return pa.record_batch(
        {
            "uid": uids.of("s", pa.array([str(i) for i in range(n)])),
            "loss": pa.array(loss.astype(np.float32)),
            "score": pa.array(loss.astype(np.float32)),
            "embedding": embeddings.column(x.astype(np.float32)),
        }
    )


@pytest.fixture(scope="module")
def axes():
    """Vectors near four axes, and a loss that is quadratic with a weight for each axis."""
    rng, n = np.random.default_rng(0), 300
    x = np.eye(4, 12)[rng.integers(0, 4, n)] + 0.1 * rng.standard_normal((n, 12))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    loss = x[:, :4] ** 2 @ np.array([9, 1, 0.1, 0.1])
    return pa.record_batch(
        {
            "uid": uids.of("s", pa.array([str(i) for i in range(n)])),
            "loss": pa.array(loss.astype(np.float32)),
            "embedding": embeddings.column(x.astype(np.float32)),
        }
    )


def estimates(selector, pool, budget, seeds):
    loss = pool["loss"].to_numpy().astype(float)
    drawn = [selector.draw(pool, budget, np.random.default_rng(s)) for s in range(seeds)]
    return np.array([d.weights @ loss[d.rows] for d in drawn])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("weighted", {"temperature": 0.5}),
        ("leverage", {}),
        ("leverage", {"p": 1.0}),
        ("clustering_sensitivity", {"loss": "loss", "k": 6}),
        ("low_rank_sensitivity", {"loss": "loss", "k": 4}),
    ],
)
def test_weighted_sums_are_unbiased(name, options, pool):
    found = estimates(registry.build(name, options), pool, 40, 400)
    truth = pool["loss"].to_numpy().astype(float).sum()
    assert abs(found.mean() - truth) < 4 * found.std() / 20
    assert found.std() > 0


@pytest.mark.parametrize("name", ["clustering_sensitivity", "low_rank_sensitivity"])
def test_sensitivity_sampling_errs_less_than_a_uniform_sample(name, axes):
    ours = estimates(registry.build(name, {"loss": "loss", "k": 4}), axes, 40, 200)
    loss, rng = axes["loss"].to_numpy().astype(float), np.random.default_rng(1)
    uniform = [loss[rng.choice(len(loss), 40, replace=False)].mean() * 300 for _ in range(200)]
    assert ours.std() < 0.7 * np.std(uniform)


def test_leverage_is_the_diagonal_of_the_hat_matrix():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, 6)) @ np.diag([1, 1, 5, 0.1, 1, 0])
    tau = leverage.leverage_scores(a)
    np.testing.assert_allclose(tau, np.diag(a @ np.linalg.pinv(a)), atol=1e-9)
    assert tau.sum() == pytest.approx(np.linalg.matrix_rank(a))


def sensitivity(a, i):
    """max a_i.x with |a x|_1 <= 1, as a linear programme."""
    n, d = a.shape
    bounds = [(None, None)] * d + [(0, None)] * n
    both = np.block([[a, -np.eye(n)], [-a, -np.eye(n)], [np.zeros((1, d)), np.ones((1, n))]])
    limit = np.r_[np.zeros(2 * n), 1.0]
    cost = np.r_[-a[i], np.zeros(n)]
    return -optimize.linprog(cost, both, limit, bounds=bounds).fun


def test_lewis_weights_bound_the_sensitivities():
    rng = np.random.default_rng(2)
    a = rng.standard_normal((30, 3)) * rng.pareto(1.5, (30, 1))
    w = leverage.lewis_weights(a, 1.0)
    exact = np.array([sensitivity(a, i) for i in range(30)])
    assert np.all(exact <= w * (1 + 1e-6))
    assert w.sum() == pytest.approx(3, rel=1e-5)
    assert exact.sum() <= 3


@pytest.mark.parametrize("p", [1.0, 1.5, 3.0])
def test_lewis_weights_are_their_own_leverage(p):
    a = np.random.default_rng(4).standard_normal((60, 5))
    w = leverage.lewis_weights(a, p)
    again = leverage.leverage_scores(a * w[:, None] ** (0.5 - 1 / p))
    np.testing.assert_allclose(w, again, rtol=1e-6)
    np.testing.assert_allclose(leverage.lewis_weights(a, 2.0), leverage.leverage_scores(a))
    with pytest.raises(ValueError, match="p is 4"):
        leverage.lewis_weights(a, 4.0)


def test_a_zero_row_has_no_lewis_weight():
    a = np.random.default_rng(5).standard_normal((20, 3))
    a[7] = 0
    assert leverage.lewis_weights(a, 1.0)[7] == 0


def test_clustering_sensitivity_is_loss_plus_distance():
    loss, distance = np.array([1.0, 2.0, 0.0]), np.array([0.5, 0.0, 1.0])
    given = clustering_sensitivity.sensitivities(loss, distance, 4.0, 2.0)
    np.testing.assert_allclose(given, [2.0, 2.0, 4.0])
    even = clustering_sensitivity.sensitivities(loss, distance, None, 1.0)
    assert even.sum() == pytest.approx(2 * loss.sum())
    with pytest.raises(ValueError, match="at least 0"):
        clustering_sensitivity.sensitivities(-loss, distance, 1.0, 2.0)


def test_landmarks_and_residuals_make_up_a_row():
    rng = np.random.default_rng(6)
    x, v = rng.standard_normal((20, 5)), rng.standard_normal((3, 5))
    alpha, residual = low_rank_sensitivity.decompose(x, v)
    for i in range(20):
        best, rest, *_ = np.linalg.lstsq(v.T, x[i])
        np.testing.assert_allclose(alpha[i], best)
        assert residual[i] == pytest.approx(rest[0])
    loss = np.array([1.0, 0.0, 3.0])
    bound = low_rank_sensitivity.sensitivities(
        alpha, residual, loss, residual_weight=2.0, gamma=0.5, xi=0.1
    )
    expected = 1.5 * (alpha**2 @ loss) + 0.5 * 3 * 0.1 + 2 * residual
    np.testing.assert_allclose(bound, expected)
