"""The classifier against scikit-learn, and its calibration measured."""

import numpy as np
import pytest
from scipy import special
from sklearn import linear_model

from tamis import errors
from tamis.scorers import quality_classifier


def rows(n, shift, *, d=12, seed):
    x = np.random.default_rng(seed).standard_normal((n, d))
    x[:, 0] += shift
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_the_weights_are_those_of_scikit_learn():
    ones, zeros = rows(300, 1.0, seed=0), rows(900, -0.5, seed=1)
    w, b = quality_classifier.logistic(ones.astype(float), zeros.astype(float), penalty=2.0)
    theirs = linear_model.LogisticRegression(C=0.5, class_weight="balanced", tol=1e-8)
    theirs.fit(np.concatenate([ones, zeros]), np.repeat([1, 0], [300, 900]))
    np.testing.assert_allclose(w, theirs.coef_[0], rtol=2e-3, atol=2e-3)
    assert b == pytest.approx(theirs.intercept_[0], abs=2e-3)


def test_platt_recovers_a_slope_and_an_offset():
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 2, 60_000)
    is_one = rng.random(60_000) < special.expit(0.5 * margin)
    a, c = quality_classifier.platt(margin[is_one], margin[~is_one])
    assert (a, c) == (pytest.approx(0.5, abs=0.03), pytest.approx(0, abs=0.03))


def test_separable_margins_have_a_finite_answer():
    a, c = quality_classifier.platt(np.array([1.0, 2.0]), np.array([-1.0, -2.0]))
    assert 0 < a < 10
    assert abs(c) < 1


def test_probabilities_are_calibrated_on_rows_never_seen():
    ones, zeros = rows(2000, 0.6, seed=2), rows(4000, 0.0, seed=3)
    made = quality_classifier.fit(ones, zeros)
    fresh = [
        quality_classifier.probability(part, made.weights, made.intercept)
        for part in (rows(4000, 0.6, seed=4), rows(4000, 0.0, seed=5))
    ]
    error = quality_classifier.calibration_error(*fresh)
    assert error < 0.03
    assert made.error == pytest.approx(error, abs=0.03)
    right = (np.mean(fresh[0] > 0.5) + np.mean(fresh[1] <= 0.5)) / 2
    assert made.accuracy == pytest.approx(right, abs=0.03)


def test_calibration_pays_where_the_fit_is_overconfident():
    """As many dimensions as rows: the fitted margins are far too wide, the calibrated are not."""
    ones, zeros = rows(150, 3.0, d=200, seed=6), rows(150, 0.0, d=200, seed=7)
    made = quality_classifier.fit(ones, zeros, penalty=1e-3)
    w, b = quality_classifier.logistic(ones.astype(float), zeros.astype(float), penalty=1e-3)
    fresh = rows(2000, 3.0, d=200, seed=8), rows(2000, 0.0, d=200, seed=9)
    errors_ = [
        quality_classifier.calibration_error(
            *(quality_classifier.probability(x, *parts) for x in fresh)
        )
        for parts in ((made.weights, made.intercept), (w, b))
    ]
    assert errors_[0] < 0.75 * errors_[1]


def test_calibration_error_by_hand():
    ones, zeros = np.array([0.95, 0.95, 0.15, 0.95]), np.array([0.15, 0.15])
    expected = abs(3 / 8 - 0.95 * 3 / 8) + abs(1 / 8 - 0.15 * (1 / 8 + 1 / 2))
    assert quality_classifier.calibration_error(ones, zeros) == pytest.approx(expected)


def test_too_few_rows_are_an_error():
    with pytest.raises(errors.ConfigError, match="7 reference rows and 9 of the pool"):
        quality_classifier.fit(rows(7, 0, seed=0), rows(9, 0, seed=1))
