import numpy as np
from scipy import stats

from tamis import seeding
from tamis.selectors.laws import hamiltonian


def test_draws_follow_a_correlated_normal():
    covariance = np.array([[1, 0.6, 0], [0.6, 2, -0.3], [0, -0.3, 0.5]])
    precision = np.linalg.inv(covariance)
    centre = np.array([1.0, -2.0, 0.5])

    def objective(x):
        slope = precision @ (x - centre)
        return float((x - centre) @ slope / 2), slope

    rng = seeding.generator(0, "draws")
    draws = np.array(hamiltonian.draws(objective, centre, 8000, rng))
    np.testing.assert_allclose(draws.mean(0), centre, atol=0.1)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.15)


def test_draws_follow_a_skew_density():
    """The log of a gamma variable: far from a normal, known in closed form."""

    def objective(x):
        return float(np.exp(x[0]) - 2 * x[0]), np.exp(x) - 2

    draws = hamiltonian.draws(objective, np.zeros(1), 6000, seeding.generator(0, "gamma"))
    thinned = np.exp(np.array(draws)[::10, 0])
    assert stats.kstest(thinned, stats.gamma(2).cdf).pvalue > 0.01


def test_where_there_is_no_density_nothing_is_drawn():
    def objective(x):
        return (float(x @ x / 2), x) if x[0] > 0 else (np.inf, np.zeros_like(x))

    draws = hamiltonian.draws(objective, np.ones(2), 500, seeding.generator(0, "half"))
    assert (np.array(draws)[:, 0] > 0).all()
    assert np.array(draws)[:, 0].std() > 0.4


def test_the_same_rng_draws_the_same():
    def objective(x):
        return float(x @ x / 2), x

    first, again = (
        hamiltonian.draws(objective, np.zeros(2), 5, seeding.generator(3, "x")) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
