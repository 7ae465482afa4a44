"""Curves of the fitted laws: Goyal's utility is found again, and a rise is below 0."""

import types

import numpy as np
import pytest

from tamis.schemas import plan as plan_
from tamis.selectors import fitted, laws
from tamis.selectors import forecast as forecast_

STRATA = [plan_.Stratum(name=n, source=n, tier=-1, supply=m) for n, m in (("a", 500), ("b", 10**7))]


def curves(law, draws=None):
    cells = types.SimpleNamespace(samples=np.array([50.0, 400.0]))
    entry = types.SimpleNamespace(fit=types.SimpleNamespace(law=law, cells=cells), name="x")
    member = forecast_.Member(entry, 1.0, draws or (law,))
    return fitted.curves(forecast_.Forecast(8000, 8000, (entry,), (member,)), STRATA)


def test_utility_before_any_repeat_is_the_law_s_b():
    law = laws.RepetitionUtility((-0.3, -0.2), (2.0, 6.0), 3e6, 0.0)
    for curve, b in zip(curves(law), law.b, strict=True):
        fresh = np.array(curve.samples) <= curve.supply / 1.3
        np.testing.assert_allclose(np.array(curve.utility)[fresh], -b, rtol=1e-3)
        assert curve.samples[0] == 50
        assert curve.samples[-1] == pytest.approx(8000)


def test_utility_decays_with_repetition_and_is_negative_where_error_rises():
    law = laws.SignalNoise((0.97, 0.45), 0.6, 1.0, 150, 1.0, 250, 0.3)
    scarce, plenty = curves(law)
    assert scarce.utility[0] > 0 > scarce.utility[-1]
    assert min(plenty.utility) > 0
    error = law.predict([1, 0], scarce.samples, [500, 10**7])
    np.testing.assert_allclose(scarce.error, error)


def test_the_band_holds_the_draws():
    middle, wide = (laws.Power((2.0, 3.0), a, 0.1) for a in (0.4, 0.3))
    curve, _ = curves(middle, (wide, middle))
    low, high = np.array(curve.error_ends).T
    assert (low <= curve.error).all()
    assert (high >= curve.error).all()
    assert (high - low)[0] > 0
