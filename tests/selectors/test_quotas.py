import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamis import errors
from tamis.selectors import quotas

shares = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda p: sum(p) > 1e-3)


@given(shares, st.integers(0, 10**7))
def test_quotas_sum_exactly_and_are_within_one(p, budget):
    found = quotas.largest_remainder(p, budget)
    assert found.sum() == budget
    assert (found >= 0).all()
    assert np.all(abs(found - budget * np.array(p) / sum(p)) < 1 + 1e-6)


@given(shares, st.integers(0, 5000), st.data())
def test_limits_hold(p, budget, data):
    limits = data.draw(st.lists(st.integers(0, 3000), min_size=len(p), max_size=len(p)))
    if sum(limits) < budget:
        with pytest.raises(errors.PlanError, match="does not fit"):
            quotas.largest_remainder(p, budget, limits=limits)
        return
    found = quotas.largest_remainder(p, budget, limits=limits)
    assert found.sum() == budget
    assert (found <= limits).all()


def test_ties_go_to_the_first():
    assert quotas.largest_remainder([1, 1, 1], 2).tolist() == [1, 1, 0]


def test_a_full_stratum_hands_on_in_proportion():
    assert quotas.largest_remainder([0.5, 0.3, 0.2], 100, limits=[20, 99, 99]).tolist() == [
        20,
        48,
        32,
    ]


def test_nothing_for_a_share_of_zero():
    assert quotas.largest_remainder([0, 1e-9, 0], 7).tolist() == [0, 7, 0]


@pytest.mark.parametrize("p", [[], [0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0]])
def test_bad_shares_are_named(p):
    with pytest.raises(errors.PlanError, match="cannot be turned into quotas"):
        quotas.largest_remainder(p, 3)
