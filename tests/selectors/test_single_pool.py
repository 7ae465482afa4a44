"""One pool's fit: exact where it can be, never worse than the published grid search."""

import itertools

import numpy as np
import pytest

from benchmarks import fit_speed
from tamis import errors
from tamis.selectors import laws
from tamis.selectors.laws import single_pool

POOL = 12_800_000
SAMPLES = POOL * np.arange(2, 11, 2)


def law(irreducible="inside", b=-0.131, tau=3.0, a=0.022, d=0.1):
    return laws.RepetitionUtility((b,), (tau,), a, d, irreducible=irreducible)


def predicted(law, samples=SAMPLES):
    return law.predict(np.ones((len(samples), 1)), samples, np.full((len(samples), 1), POOL))


@pytest.mark.parametrize("irreducible", ["inside", "outside"])
@pytest.mark.parametrize(("b", "tau"), [*itertools.product((-0.05, -0.131, -0.3), (1.2, 3, 9))])
def test_the_generating_law_is_recovered(irreducible, b, tau):
    truth = law(irreducible, b, tau)
    pool = single_pool.fit(SAMPLES, predicted(truth), POOL, d=0.1, irreducible=irreducible)
    assert pool.residual < 1e-20
    assert pool.law.b[0] == pytest.approx(b, rel=1e-4)
    assert pool.law.tau[0] == pytest.approx(tau, rel=1e-4)
    assert pool.law.a == pytest.approx(0.022, rel=1e-3)
    assert pool.warnings == ()


@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_residual_is_never_above_the_published_search_s(noise):
    """On 2,000 of its 100,000 points: more of them could not go below the minimum either."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        error = predicted(law()) + noise * rng.standard_normal(len(SAMPLES))
        pool = single_pool.fit(SAMPLES, error, POOL, d=0.1)
        assert pool.residual <= fit_speed.search(SAMPLES, error, fit_speed.floats, 2_000)
        assert pool.residual == pytest.approx(((predicted(pool.law) - error) ** 2).sum())


@pytest.mark.parametrize("irreducible", ["inside", "outside"])
def test_it_is_a_minimum(irreducible):
    error = predicted(law(irreducible)) + 0.002 * np.array([1, -1, 0.5, 1, -1])
    pool = single_pool.fit(SAMPLES, error, POOL, d=0.1, irreducible=irreducible)
    b, tau, a = pool.law.b[0], pool.law.tau[0], pool.law.a
    for up in itertools.product((0.99, 1, 1.01), repeat=3):
        near = law(irreducible, b * up[0], tau * up[1], a * up[2])
        assert ((predicted(near) - error) ** 2).sum() >= pool.residual * (1 - 1e-9)


def test_a_shared_among_pools_stays_as_given():
    error = predicted(law()) + 0.002 * np.array([1, -1, 0.5, 1, -1])
    pool = single_pool.fit(SAMPLES, error, POOL, d=0.1, a=0.03)
    free = single_pool.fit(SAMPLES, error, POOL, d=0.1)
    assert pool.law.a == 0.03
    assert pool.residual >= free.residual
    assert single_pool.fit(SAMPLES, error, POOL, d=0.1, a=free.law.a).residual == pytest.approx(
        free.residual, rel=1e-6
    )


def test_the_two_objectives_of_the_benchmark_are_the_law():
    point = (0.022, -0.131, 3.0)
    for n, y in zip(SAMPLES, predicted(law()), strict=True):
        assert fit_speed.arrays(n, point, POOL) == pytest.approx(y, rel=1e-12)
        assert fit_speed.floats(n, point, POOL) == pytest.approx(y, rel=1e-12)


def test_first_epochs_may_be_unequal():
    samples = POOL * np.array([0.25, 0.5, 1, 2.5, 5])
    truth = law("outside")
    pool = single_pool.fit(samples, predicted(truth, samples), POOL, d=0.1, irreducible="outside")
    assert pool.law.tau[0] == pytest.approx(3, rel=1e-4)


def test_what_runs_cannot_tell_is_said():
    samples = POOL * np.array([0.25, 0.5, 0.75, 1])
    pool = single_pool.fit(samples, predicted(law(), samples), POOL, d=0.1)
    assert any("half-life is unknown" in text for text in pool.warnings)
    endless = predicted(law("outside", tau=np.inf))
    pool = single_pool.fit(SAMPLES, endless, POOL, d=0.1, irreducible="outside")
    assert any("end of its range" in text for text in pool.warnings)
    rising = np.linspace(0.5, 0.7, 5)
    assert single_pool.fit(SAMPLES, rising, POOL, d=0.1).warnings


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (SAMPLES[:2], [0.9, 0.8], "3 parameters need runs of 3 lengths"),
        (SAMPLES[[0] * 5], [0.9] * 5, "3 parameters need runs of 3 lengths"),
        (SAMPLES, [0.9] * 4, r"errors of shape \(4,\)"),
        (SAMPLES, [0.9, 0.8, np.nan, 0.7, 0.6], "finite"),
        (SAMPLES, [0.9, 0.8, 0.05, 0.7, 0.6], "above d"),
        (-SAMPLES, [0.9, 0.8, 0.75, 0.7, 0.6], "positive"),
    ],
)
def test_runs_that_cannot_carry_a_fit(samples, error, message):
    with pytest.raises(errors.PlanError, match=message):
        single_pool.fit(samples, error, POOL, d=0.1)
