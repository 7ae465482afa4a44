"""Several laws that predict together, by hand."""

import dataclasses
import types

import numpy as np
import pytest

from tamis.selectors import forecast as forecast_
from tamis.selectors import laws
from tamis.selectors.forecast import Training

A, B = laws.Power((2.0, 3.0), 0.4, 0.1), laws.Power((1.0, 5.0), 0.3, 0.2)
AT = Training(np.array([0.3, 0.7]), np.asarray(4000.0), np.array([100.0, 100.0]))


def member(law, weight, draws, missed):
    cells = types.SimpleNamespace(noise_at=lambda _: 0.003, samples=np.array([250.0, 1000.0]))
    fit = types.SimpleNamespace(law=law, cells=cells, rmse=0.5)
    entry = types.SimpleNamespace(fit=fit, name="x", held_out=np.array(missed))
    return forecast_.Member(entry, weight, draws)


@pytest.fixture
def together():
    members = (
        member(A, 0.75, (A, B), [0.01, -0.02]),
        member(B, 0.25, (B, B), [0.02, 0.02]),
    )
    return forecast_.Forecast(4000, 4000, (members[0].entry, members[1].entry), members)


def test_predictions_are_weighted(together):
    a, b = float(A.predict(*AT)), float(B.predict(*AT))
    assert together.predict(AT) == pytest.approx(0.75 * a + 0.25 * b)
    drawn = [0.75 * a + 0.25 * b, b]
    np.testing.assert_allclose(together.drawn(AT), drawn)
    assert together.expected(AT) == pytest.approx(np.mean([0.75 * a + 0.25 * b, *drawn]))


def test_disagreement_is_part_of_the_doubt(together):
    a, b = float(A.predict(*AT)), float(B.predict(*AT))
    mean = 0.75 * a + 0.25 * b
    apart = 0.75 * (a - mean) ** 2 + 0.25 * (b - mean) ** 2
    missed = np.mean((0.75 * np.array([0.01, -0.02]) + 0.25 * 0.02) ** 2)
    want = np.sqrt(np.var([mean, b]) + apart + missed + 0.003**2)
    assert together.deviation(AT) == pytest.approx(want)


def test_the_error_on_held_out_lengths_adds_up_with_distance(together):
    """Of one step of four times the longest pilot; sixteen times are two steps, less is one."""
    missed = np.mean((0.75 * np.array([0.01, -0.02]) + 0.25 * 0.02) ** 2)
    for samples, steps in ((500.0, 1), (4000.0, 1), (16_000.0, 2)):
        at = AT._replace(samples=np.asarray(samples))
        a, b, mean = float(A.predict(*at)), float(B.predict(*at)), float(together.predict(at))
        apart = 0.75 * (a - mean) ** 2 + 0.25 * (b - mean) ** 2
        want = np.sqrt(np.var([mean, b]) + apart + steps * missed + 0.003**2)
        assert together.deviation(at) == pytest.approx(want)
    assert together.reach == 4


def test_intervals_and_gaps_of_many_are_those_of_each(together):
    outlook = forecast_.Outlook([together, dataclasses.replace(together, amount=9000)])
    many = Training(np.eye(2), np.array([100.0, 4000.0]), np.array([[100.0, 100], [50, 80]]))
    intervals, gaps = outlook.intervals(many, 6000), outlook.gaps(AT, many, 6000)
    for i in range(2):
        one = Training(*(x[i] for x in many))
        assert outlook.interval(one, 6000) == pytest.approx(intervals[i])
        assert outlook.gap(AT, one, 6000) == pytest.approx(gaps[i])
        middle = outlook.expected(one, 6000) - outlook.expected(AT, 6000)
        assert gaps[i, 0] <= middle <= gaps[i, 1]


def test_many_trainings_are_one_call(together):
    many = Training(np.eye(2), np.array([100.0, 4000.0]), AT.supply)
    assert together.predict(many).shape == (2,)
    assert together.drawn(many).shape == (2, 2)
    for i in range(2):
        one = Training(many.shares[i], many.samples[i], many.supply)
        assert together.predict(one) == pytest.approx(together.predict(many)[i])
