import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tamis import errors, seeding
from tamis.selectors.laws import mixture_kernels, mixture_regression, mixture_runs, warped_process

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
fit = mixture_regression.MixtureRegression.fit


def mixtures(n, k=5, name="w"):
    return seeding.generator(0, name, n, k).dirichlet(np.full(k, 0.5), n)


def truth(weights):
    t = np.array([3, 1, 0.4, 0.1, 0.02])
    return 4 - 0.8 * np.log(0.05 + np.sqrt(weights) @ t)


def noisy(n, sd=0.03, name="w"):
    w = mixtures(n, name=name)
    return w, truth(w) + sd * seeding.generator(1, name, n).normal(size=n)


def table(name):
    with (DATA / name).open() as file:
        _, *rows = csv.reader(file)
    return np.array(rows, np.float64)[:, 1:]


def test_interpolates_what_it_was_built_for():
    w, held = mixtures(40), mixtures(300, name="held")
    predicted = fit(w, truth(w)).predict(held)
    assert stats.spearmanr(predicted, truth(held))[0] > 0.995
    assert np.sqrt(np.mean((predicted - truth(held)) ** 2)) < 0.1 * truth(held).std()


def test_recovers_what_matters():
    draws = [p.parameters for p in fit(*noisy(120)).processes[0]]
    relevance = np.mean([p.relevance * p.exponent for p in draws], axis=0)
    noise = np.mean([p.noise for p in draws])
    assert relevance[0] == relevance.max()
    assert relevance[4] < relevance[0] / 3
    assert noise * truth(mixtures(120)).std() == pytest.approx(0.03, rel=0.5)


@pytest.mark.parametrize("kernel", [mixture_kernels.MATERN, mixture_kernels.ANOVA])
def test_gradient_is_that_of_the_objective(kernel):
    w, e = noisy(25)
    u = (e - e.mean()) / e.std()
    v = seeding.generator(0, "v").normal(size=23) / 2
    _, gradient = warped_process.objective(kernel, v, w, u)
    values = [
        [warped_process.objective(kernel, v + sign * step, w, u)[0] for sign in (1, -1)]
        for step in 1e-5 * np.eye(23)
    ]
    slope = -np.diff(values)[:, 0] / 2e-5
    np.testing.assert_allclose(gradient, slope, atol=1e-5 * np.abs(gradient).max())


@pytest.mark.parametrize("kernel", [mixture_kernels.MATERN, mixture_kernels.ANOVA])
def test_kernels_are_correlations(kernel):
    x = 3 * seeding.generator(0, "x").normal(size=(40, 5))
    k = kernel.correlation(x, x, 0.3)
    np.testing.assert_allclose(np.diag(k), 1, atol=1e-6)
    assert (np.linalg.eigvalsh(k) > -1e-9).all()


def test_a_small_interaction_is_additive():
    x, t = seeding.generator(0, "x").normal(size=(6, 5)), 1e-5
    k = mixture_kernels.ANOVA.correlation(x, x, t)
    alone = 1 / (1 + 0.5 * (x[:, None] - x) ** 2)
    np.testing.assert_allclose((k - 1) / t, (alone - 1).sum(2), rtol=1e-3, atol=1e-8)


def test_neither_the_order_of_domains_nor_of_runs_matters():
    w, e = noisy(40)
    held, domains, runs = mixtures(20, name="held"), [3, 0, 4, 1, 2], np.arange(40)[::-1]
    expected = fit(w, e).predict(held)
    permuted = fit(w[:, domains], e).predict(held[:, domains])
    np.testing.assert_allclose(permuted, expected, atol=0.01)  # other draws: a third of the noise
    np.testing.assert_array_equal(fit(w[runs], e[runs]).predict(held), expected)


def test_units_of_error_do_not_matter():
    w, e = noisy(40)
    held = mixtures(20, name="held")
    np.testing.assert_allclose(
        fit(w, 7 + 100 * e).predict(held), 7 + 100 * fit(w, e).predict(held), rtol=1e-3
    )


def test_rounded_weights_are_put_back_on_the_simplex():
    w, e = noisy(40)
    model = fit(w, e)
    np.testing.assert_allclose(model.predict(w * 1.004), model.predict(w), rtol=1e-12)
    np.testing.assert_allclose(fit(w * 0.996, e).predict(w), model.predict(w), rtol=1e-4)


def test_any_leading_shape():
    model, w = fit(*noisy(30)), mixtures(6, name="held")
    np.testing.assert_allclose(model.predict(w.reshape(2, 3, 5)).ravel(), model.predict(w))
    assert model.predict(w[0]).shape == ()
    assert model.interval(w.reshape(2, 3, 5))[1].shape == (2, 3)


def test_intervals_cover():
    inside = {0.5: [], 0.9: []}
    for name in "abcdef":
        model = fit(*noisy(60, 0.1, name))
        w, e = noisy(300, 0.1, f"held {name}")
        for level, shares in inside.items():
            low, high = model.interval(w, level=level)
            shares.append(((low <= e) & (e <= high)).mean())
    for level, shares in inside.items():
        assert np.mean(shares) == pytest.approx(level, abs=0.06)


def test_intervals_hold_the_prediction_and_nest():
    model, w = fit(*noisy(40)), mixtures(50, name="held")
    (low, high), (lower, higher) = model.interval(w, level=0.8), model.interval(w, level=0.95)
    assert np.all((lower <= low) & (low < high) & (high <= higher))
    assert np.all((lower < model.predict(w)) & (model.predict(w) < higher))
    with pytest.raises(errors.PlanError, match="level 90"):
        model.interval(w, level=90)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, e: (w, np.where(np.arange(20) == 7, np.nan, e)), "row 7: 1 of 20 errors"),
        (lambda w, e: (np.where(w == w[3, 0], np.nan, w), e), "row 3: 1 of 20 mixtures"),
        (lambda w, e: (w * 0.9, e), r"row 0: 20 of 20 mixtures.*here 0\.9"),
        (lambda w, e: (w - 0.3 * (w == w[5, 0]), e), "row 5: 1 of 20"),
        (lambda w, e: (w[:1], e[:1]), "1 distinct runs"),
        (lambda w, e: (w[[0] * 20], e[[0] * 20]), "1 distinct runs"),
        (lambda w, e: (w[:0], e[:0]), "no runs"),
        (lambda w, e: (w, np.full(20, 2.0)), "errors from 2 to 2"),
        (lambda w, e: (w, e[:7]), r"errors of shape \(7,\)"),
    ],
)
def test_runs_that_cannot_carry_a_regression(change, message):
    with pytest.raises(errors.PlanError, match=message):
        fit(*change(*noisy(20)))


def test_mixtures_of_other_domains_are_refused():
    with pytest.raises(errors.PlanError, match=r"shape \(4,\)"):
        fit(*noisy(20)).predict(np.full(4, 0.25))


def test_runs_that_repeat_or_contradict_are_named():
    w, e = noisy(20)
    model = fit(np.r_[w, w[:3]], np.r_[e, e[:3]])
    assert model.warnings == ("3 runs repeat another exactly and are counted once",)
    np.testing.assert_array_equal(model.predict(w), fit(w, e).predict(w))
    torn = fit(np.r_[w, w[:1]], np.r_[e, e[:1] + 3])
    assert any("differ by up to 3" in text for text in torn.warnings)
    assert np.isfinite(torn.predict(w)).all()


def test_what_runs_cannot_tell_is_said():
    w, e = noisy(20)
    still = fit(np.c_[w * 0.9, np.full(20, 0.1)], e)
    assert any("domains [5] never vary" in text for text in still.warnings)
    assert any("4 runs for 5 domains" in text for text in fit(w[:4], e[:4]).warnings)


def test_many_runs_are_thinned(monkeypatch):
    monkeypatch.setattr(mixture_runs, "_KEPT", 60)
    monkeypatch.setattr(mixture_regression, "_TUNED", 40)
    w, e = noisy(100)
    model = fit(w, e)
    assert model.processes[0][0].runs.shape == (60, 5)
    assert any("thinned to 60" in text for text in model.warnings)
    assert stats.spearmanr(model.predict(w), truth(w))[0] > 0.98


def test_the_same_seed_draws_the_same():
    w, e = noisy(30)
    held = mixtures(20, name="held")
    np.testing.assert_array_equal(fit(w, e).predict(held), fit(w, e).predict(held))
    other = fit(w, e, seed=1).predict(held)
    assert 0 < np.abs(other - fit(w, e).predict(held)).max() < 0.02


def test_what_is_left_out_was_not_known():
    """Against whole fits to the other folds; the fit itself misses far less of what it knows."""
    w, e = noisy(25)
    order = np.lexsort(w.T[::-1])
    w, e = w[order], e[order]
    model = fit(w, e)
    blind = np.empty(25)
    for held in (np.arange(25) % 5 == fold for fold in range(5)):
        blind[held] = fit(w[~held], e[~held]).predict(w[held]) - e[held]
    assert np.corrcoef(model.left_out, blind)[0, 1] > 0.8  # a tenth of the draws
    assert np.std(model.left_out) == pytest.approx(np.std(blind), rel=0.3)
    assert np.std(model.predict(w) - e) < 0.7 * np.std(blind)


def test_many_runs_need_no_draws():
    model = fit(*noisy(130))
    assert [len(draws) for draws in model.processes] == [1, 1]
    w, e = noisy(300, name="held")
    low, high = model.interval(w)
    assert ((low <= e) & (e <= high)).mean() == pytest.approx(0.9, abs=0.08)


@needs_data
@pytest.mark.parametrize(("n", "floor"), [(32, 0.98), (64, 0.99)])
def test_ranks_published_runs_from_few(n, floor):
    loss = "regmix_{}_loss_1m.csv"
    w, e = table("regmix_train_mixture_1m.csv")[:n], table(loss.format("train"))[:n, 8]
    predicted = fit(w, e).predict(table("regmix_test_mixture_1m.csv"))
    assert stats.spearmanr(predicted, table(loss.format("test"))[:, 8])[0] > floor
