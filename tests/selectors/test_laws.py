"""Predictions: published values, closed forms and limits."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from tamis import errors
from tamis.selectors import laws

POOL = 12_800_000
TOY = {"b": (-0.18, -0.15, -0.13, -0.11), "tau": (2.5, 3.5, 4.5, 6), "a": 0.022, "d": 0.1}
PREFIXES = np.array([[1, 0, 0, 0], [1 / 2, 1 / 2, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], [1 / 4] * 4])


@pytest.mark.parametrize(
    ("irreducible", "want"),
    [("inside", [0.973114, 0.888891, 0.832353]), ("outside", [0.973114, 0.897546, 0.846818])],
)
def test_single_pool_values(irreducible, want):
    law = laws.RepetitionUtility(
        b=[-0.13106060606], tau=[3], a=0.022, d=0.1, normaliser=1e5, irreducible=irreducible
    )
    got = law.predict(weights=[1], samples=[12.8e6, 32e6, 128e6], supply=[POOL])
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "want"),
    [
        (32e6, [0.826777, 0.824509, 0.841377, 0.857218]),
        (128e6, [0.766713, 0.690575, 0.695536, 0.714728]),
    ],
)
def test_toy_mixture_values(samples, want):
    law = laws.RepetitionUtility(**TOY, irreducible="inside")
    got = law.predict(PREFIXES, samples, [POOL] * 4)
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert got.argmin() == 1


def test_effective_data_values():
    got = laws.EffectiveData(**TOY).predict(PREFIXES, 128e6, [POOL] * 4)
    np.testing.assert_allclose(got, [0.750495, 0.698563, 0.707277, 0.724985], atol=1e-6)
    assert got.argmin() == 1


def moment_by_moment(law, w, n, m):
    """The effective-data form of one training, walked through from start to start of an epoch."""
    w, m = np.array(w), np.array(m, float)
    used = w > 0
    b, tau = np.array([law.b, law.tau])[:, used]
    w, epoch = w[used], m[used] / w[used]
    starts = {j * e for e in epoch for j in range(1, int(n / e) + 1) if j * e < n}
    effective, log, moments = 0.0, 0.0, sorted({0.0, n, *starts})
    for begin, end in itertools.pairwise(moments):
        count = w * 0.5 ** (np.floor((begin + end) / 2 / epoch) * w / tau)
        grown = effective + law.a / law.normaliser * (end - begin) * count.sum()
        log += (count @ b / count.sum()) * np.log(grown / effective if effective else grown)
        effective = grown
    return np.exp(log) + law.d


@given(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    st.integers(10, 6000),
    st.lists(st.integers(100, 10**4), min_size=3, max_size=3),
    st.sampled_from([0, 1]),
)
def test_effective_data_is_walked_through_from_moment_to_moment(w, n, supply, unused):
    w = np.array(w) * [1, unused, 1]
    w /= w.sum()
    law = laws.EffectiveData((-0.3, -0.1, -0.2), (2.0, 0.7, np.inf), 900.0, 0.1)
    many = law.predict([[1, 0, 0], w, [0, 0.5, 0.5], w], [1e5, n, 17, n], supply)
    np.testing.assert_allclose(many[1], moment_by_moment(law, w, n, supply), rtol=1e-9)
    assert many[3] == pytest.approx(many[1], rel=1e-12)


def test_effective_data_of_thousands_of_epochs_is_nearly_exact():
    """Blocks of epochs share their mean beyond the 64th."""
    law = laws.EffectiveData((-0.3, -0.2), (40.0, 90.0), 900.0, 0.1)
    want = moment_by_moment(law, [0.9, 0.1], 4e5, [300, 40])
    assert float(law.predict([0.9, 0.1], 4e5, [300, 40])) == pytest.approx(want, rel=2e-4)


def naive_utility(b, tau, a, d, m, n, irreducible, z=1e5):
    """Their code, one pool, epoch by epoch."""
    error, last = None, int(n // m)
    for j in range(last + 1):
        s, before = a * min(m * (j + 1), n) / z, a * m * j / z
        if j == 0:
            error = s**b + (d if irreducible == "inside" else 0)
        else:
            error *= (s / before) ** (b * 0.5 ** (j / tau))
    return error if irreducible == "inside" else error + d


@given(
    st.floats(-0.5, -0.005),
    st.floats(0.5, 50),
    st.floats(1, 300),
    st.sampled_from(["inside", "outside"]),
)
def test_single_pool_is_the_published_recursion(b, tau, epochs, irreducible):
    m, n = 1000, 1000 * epochs
    law = laws.RepetitionUtility([b], [tau], 0.1, 0.1, irreducible=irreducible)
    want = naive_utility(b, tau, 0.1, 0.1, m, n, irreducible)
    # Beyond 64 epochs the law sums blocks; the share of those is what is left of the utility.
    assert float(law.predict([1], n, [m])) == pytest.approx(want, rel=2e-4)


@given(st.floats(-0.5, -0.005), st.floats(1, 20), st.floats(0.1, 30))
def test_a_mixture_of_one_is_the_single_pool(b, tau, epochs):
    one = laws.RepetitionUtility([b], [tau], 0.1, 0.1)
    four = laws.RepetitionUtility([-0.3, b, -0.2, -0.1], [1, tau, 2, 3], 0.1, 0.1)
    want = one.predict([1], epochs * 500, [500])
    np.testing.assert_allclose(four.predict([0, 1, 0, 0], epochs * 500, [9, 500, 9, 9]), want)
    first = laws.EffectiveData([b], [tau], 0.1, 0.1).predict([1], epochs * 500, [500])
    mixed = laws.EffectiveData([-0.3, b], [1, tau], 0.1, 0.1)
    np.testing.assert_allclose(mixed.predict([0, 1], epochs * 500, [9, 500]), first)


@given(st.integers(1, 8), st.floats(0.01, 1))
def test_identical_pools_without_repetition_are_one_power_law(p, part):
    n = part * p * 700
    law = laws.RepetitionUtility([-0.2] * p, [3] * p, 5.0, 0.1)
    np.testing.assert_allclose(
        law.predict([1 / p] * p, n, [700] * p), (5.0 * n / 1e5) ** -0.2 + 0.1
    )


GOYAL = [
    laws.RepetitionUtility,
    functools.partial(laws.RepetitionUtility, irreducible="inside"),
    laws.EffectiveData,
]
utilities = st.floats(-0.5, -0.005)


@pytest.mark.parametrize("law", GOYAL, ids=["outside", "inside", "effective"])
@given(utilities, st.floats(1, 1e9), st.integers(1, 10**6))
def test_infinite_half_life_removes_decay(law, b, n, supply):
    got = law([b], [np.inf], 5.0, 0.0).predict([1], n, [supply])
    assert float(got) == pytest.approx((5.0 * n / 1e5) ** b, rel=1e-6)


@pytest.mark.parametrize("law", GOYAL, ids=["outside", "inside", "effective"])
@given(utilities, st.floats(0, 1), st.floats(1, 1e6))
def test_a_useless_pool_dilutes_linearly(law, b, share, n):
    got = law([b, 0.0], [3, 3], 5.0, 0.0).predict([share, 1 - share], n, [2e6, 2e6])
    assert float(got) == pytest.approx((5.0 * n / 1e5) ** (share * b))


def test_unequal_pools_step_where_each_starts_over():
    """d log y / d log n by finite differences is the sum of what every stratum is worth now."""
    law = laws.RepetitionUtility([-0.3, -0.1], [2, 4], 50.0, 0.0)
    w, supply, n = np.array([0.8, 0.2]), [100, 1000], 437.0
    log = np.log(law.predict(w, [n * 0.999, n * 1.001], supply))
    want = 0.8 * -0.3 * 0.5 ** (3 * 0.8 / 2) + 0.2 * -0.1
    assert np.diff(log)[0] / np.log(1.001 / 0.999) == pytest.approx(want, rel=1e-6)


SIGNAL = laws.SignalNoise(
    alignment=(0.9, 0.5, 0.3),
    correlation=0.4,
    signal=0.9,
    samples_needed=300,
    alpha=1.1,
    rows_needed=400,
    kappa=0.3,
    strength=(0.8, 1.5, 1.0),
)
simplex = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 0.1)
supplies = st.lists(st.integers(1, 10**6), min_size=3, max_size=3)


@given(
    simplex, st.floats(1, 1e7), supplies, st.lists(st.integers(0, 10**6), min_size=3, max_size=3)
)
def test_more_supply_never_hurts(w, n, supply, more):
    w = np.array(w) / sum(w)
    poor = SIGNAL.predict(w, n, supply)
    assert SIGNAL.predict(w, n, np.add(supply, more)) <= poor + 1e-12


@given(simplex, st.floats(1, 1e7), supplies)
def test_error_stays_between_none_and_chance(w, n, supply):
    w = np.array(w) / sum(w)
    assert 0 < SIGNAL.predict(w, n, supply) <= 0.5


def test_unlimited_supply_falls_to_the_direction_error():
    n = np.array([10.0, 1e3, 1e5, 1e12])
    got = SIGNAL.predict([1, 0, 0], n, [1e15] * 3)
    assert (np.diff(got) < 0).all()
    assert got[-1] == pytest.approx(special.ndtr(-0.9 * 0.9), abs=1e-4)


def test_nearest_mean_classifier_is_the_closed_form():
    """With alpha = 1 and one aligned stratum: H(s / sqrt(1 + needed / n)), LDA's curve."""
    law = laws.SignalNoise((1 - 1e-15,), 0.5, 1.2, 50, 1.0, 0.0, 0.5)
    n = np.array([10.0, 100.0, 1e4])
    np.testing.assert_allclose(
        law.predict([1], n, [7]), special.ndtr(-1.2 / np.sqrt(1 + 50 / n)), rtol=1e-6
    )


def test_error_of_a_scarce_stratum_falls_then_rises_and_mixing_helps():
    law = dataclasses.replace(SIGNAL, strength=None)
    n = np.geomspace(10, 1e6, 40)
    alone = law.predict([1, 0, 0], n, [600, 5000, 5000])
    turn = alone.argmin()
    assert 0 < turn < 39
    assert (np.diff(alone[:turn]) < 0).all()
    assert (np.diff(alone[turn:]) > 0).all()
    mixed = law.predict([0.5, 0.5, 0], n, [600, 5000, 5000])
    assert mixed[0] > alone[0]
    assert mixed[-1] < alone[-1]


def test_strength_speeds_learning_up():
    slow, fast = (dataclasses.replace(SIGNAL, strength=(g, 1, 1)) for g in (1.0, 2.0))
    n = np.geomspace(10, 1e5, 9)
    one = fast.predict([1, 0, 0], n, [1e9] * 3)
    np.testing.assert_allclose(one, slow.predict([1, 0, 0], 4 * n, [1e9] * 3))


def test_kish_is_the_variance_of_a_weighted_mean():
    """Row noise with kappa 0, by simulation: shares spread evenly over distinct rows."""
    w, n, m = np.array([0.7, 0.3]), 1000.0, np.array([50.0, 10_000.0])
    got = laws.signal_noise.row_noise(w, np.array([n]), m, 0.0)
    rows = np.concatenate([np.full(50, 0.7 / 50), np.full(300, 0.3 / 300)])
    assert float(got) == pytest.approx((rows**2).sum())


@pytest.mark.parametrize(
    "law",
    [
        SIGNAL,
        laws.Power((0.9, 0.8, 0.7), 0.2, 0.1),
        laws.EffectiveData((-0.2,) * 3, (3,) * 3, 9.0, 0.1),
    ],
)
def test_predictions_broadcast(law):
    w = np.full((5, 1, 3), 1 / 3)
    got = law.predict(w, np.array([10.0, 20.0]), [100, 200, 300])
    assert got.shape == (5, 2)
    assert law.predict([1, 0, 0], 10, [100, 200, 300]).shape == ()
    np.testing.assert_allclose(got[2, 1], law.predict([1 / 3] * 3, 20, [100, 200, 300]))


FIVE = [
    laws.Power((0.5, 0.4), 0.3, 0.1),
    laws.RepetitionUtility((-0.1, -0.2), (3.0, 4.0), 1e3, 0.1),
    laws.EffectiveData((-0.1, -0.2), (3.0, 4.0), 1e3, 0.1),
    laws.SignalNoise((0.9, 0.5), 0.5, 1.0, 100, 1.0, 200, 0.3),
    laws.Rational(np.array([[1.0, 0.5], [0.5, 1.0]]), 0.3, 0.1),
]


@pytest.mark.parametrize("law", FIVE, ids=lambda law: law.name)
@pytest.mark.parametrize(
    ("weights", "samples", "supply", "said"),
    [
        ([0.5, 0.6], 100, [10, 10], r"shares \[0.5, 0.6\] are no mixture"),
        ([1.5, -0.5], 100, [10, 10], "are no mixture"),
        ([[0.5, 0.5], [np.nan, 1]], 100, [10, 10], r"\[nan, 1.0\] are no mixture"),
        ([0.2, 0.3, 0.5], 100, [10, 10, 10], "for 2 strata"),
        (1.0, 100, [10, 10], "for 2 strata"),
        ([0.5, 0.5], 0, [10, 10], "samples must be positive"),
        ([0.5, 0.5], np.nan, [10, 10], "samples must be positive"),
        ([0.5, 0.5], 100, [0, 10], "needs a supply"),
        ([0.5, 0.5], 100, [np.nan, 10], "needs a supply"),
    ],
)
def test_no_law_predicts_what_is_no_training(law, weights, samples, supply, said):
    with pytest.raises(errors.PlanError, match=said):
        law.predict(weights, samples, supply)


@pytest.mark.parametrize("law", FIVE, ids=lambda law: law.name)
def test_a_stratum_without_rows_and_share_is_nothing_at_all(law):
    with np.errstate(all="raise", under="ignore"):
        got = law.predict([1, 0], 100, [10, 0])
    assert got == pytest.approx(law.predict([1, 0], 100, [10, 10]))


@pytest.mark.parametrize("law", [laws.RepetitionUtility, laws.EffectiveData])
@pytest.mark.parametrize("change", [{"b": [np.nan]}, {"tau": [0]}, {"a": -1}, {"d": np.nan}])
def test_no_law_is_made_of_nonsense(law, change):
    with pytest.raises(errors.ConfigError):
        law(**{"b": [-0.1], "tau": [3], "a": 1e3, "d": 0.1, **change})
