"""Mixture laws: closed forms, limits, and recovery of what made the runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from tamis import errors
from tamis.selectors.laws.info_law import SHARES, InfoLaw
from tamis.selectors.laws.mixture_power import MixturePower
from tamis.selectors.laws.mixture_repetition import MixtureRepetition, effective_tokens

SEDOVA = MixtureRepetition(
    E=1.7, C=300, beta=0.33, B=400, delta=0.05, alpha=0.32, gamma=0.2, r1=9.5, tau=0.2
)


def scarce_runs(count=200, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    table = {
        "params": 10 ** rng.uniform(8, 9, count),
        "tokens": 10 ** rng.uniform(9, 11, count),
        "unique_tokens": 10 ** rng.uniform(7, 9, count),
        "share": rng.uniform(0.01, 0.6, count),
    }
    return table | {"loss": predicted(SEDOVA, table) * np.exp(noise * rng.standard_normal(count))}


def predicted(law, table):
    names = {"params": "params", "tokens": "tokens", "unique": "unique_tokens", "share": "share"}
    return law.predict(**{k: table[v] for k, v in names.items()})


# Sedova


def test_the_first_pass_counts_fully():
    d, u, h = np.array(1e9), np.array(1e9), np.array(0.3)
    assert effective_tokens(d, u, h, 9.5, 0.2) == pytest.approx(0.3e9 + 0.2 * 0.7e9)


@given(st.floats(1, 1e4))
def test_repeats_saturate_at_their_lifetime(repeats):
    found = effective_tokens(np.array(1e9 * repeats), np.array(1e9), np.array(1.0), 9.5, 0.2)
    assert 1e9 * (1 - 1e-12) <= found <= min(repeats, 1 + 9.5) * 1e9 * (1 + 1e-12)


def test_by_hand():
    found = SEDOVA.predict(params=1e8, tokens=1e10, unique=1e8, share=0.1)
    r_eff = 1 + 9.5 * (1 - np.exp(-9 / 9.5))
    data = 1e8 * r_eff + 0.2 * 0.9e10
    want = 1.7 + 300 / 1e8**0.33 + 400 * 1e8**0.05 / data**0.32 + 0.2 * 0.1
    assert found == pytest.approx(want)


def test_some_of_the_target_is_better_than_none_or_all():
    loss = SEDOVA.predict(params=1e8, tokens=2e10, unique=2e8, share=np.linspace(0.001, 1, 1000))
    assert 0 < loss.argmin() < 999


def test_recovers_sedova():
    found = MixtureRepetition.fit(scarce_runs())
    assert not found.warnings
    for name in ("E", "C", "beta", "B", "delta", "alpha", "gamma", "r1", "tau"):
        assert found.parameters[name] == pytest.approx(getattr(SEDOVA, name), rel=1e-2)


def test_predicts_through_noise():
    law = MixtureRepetition.fit(scarce_runs(noise=0.005)).law
    fresh = scarce_runs(seed=1)
    assert predicted(law, fresh) == pytest.approx(fresh["loss"], rel=0.01)


def test_one_share_and_no_repeats_are_said():
    table = scarce_runs()
    table |= {"share": np.full(200, 0.1), "unique_tokens": np.full(200, 1e12)}
    found = " ".join(MixtureRepetition.fit(table | {"loss": predicted(SEDOVA, table)}).warnings)
    assert "only one share" in found
    assert "no run repeats" in found


def test_a_share_above_one_is_refused():
    with pytest.raises(errors.PlanError, match="share is 2"):
        MixtureRepetition.fit(scarce_runs() | {"share": np.full(200, 2.0)})


# InfoLaw


def pools(count=120, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "params": 10 ** rng.uniform(8.4, 9.1, count),
        "tokens": 10 ** rng.uniform(10, 11.5, count),
        "unique_tokens": np.full(count, 5e10),
        "weights": rng.dirichlet([2, 2, 1, 1, 0.5, 0.5], count),
    }


def info_loss(law, table):
    names = {"params": "params", "tokens": "tokens", "unique": "unique_tokens"}
    return law.predict(**{k: table[v] for k, v in names.items()}, weights=table["weights"])


def test_one_bucket_by_hand():
    law = InfoLaw(shares=(1.0,))
    found = law.information(params=1e9, tokens=4e10, unique=1e10, weights=[1.0])
    rate = 0.14 * np.log(1e9) + 0.018
    assert found == pytest.approx(10 * np.log(40) * (1 - np.exp(-rate * 4 / np.log(40))))


def test_published_constants_give_a_credible_loss():
    loss = info_loss(InfoLaw(), pools())
    assert ((loss > 2.8) & (loss < 3.7)).all()


@given(st.floats(1, 50), st.integers(0, 4))
def test_worse_buckets_hold_less(repeats, bucket):
    law = InfoLaw(shares=(1 / 6,) * 6)
    better, worse = np.eye(6)[bucket], np.eye(6)[bucket + 1]
    pool = 1e11
    budget = {"params": 1e9, "tokens": pool / 6 * repeats, "unique": pool}
    assert law.predict(**budget, weights=better) < law.predict(**budget, weights=worse)


def test_recovers_infolaw():
    table = pools()
    found = InfoLaw.fit(table | {"loss": info_loss(InfoLaw(), table)})
    assert not found.warnings
    want = {"theta": 0.922, "a": 0.140, "alpha": 3.7373, "beta": 0.0441}
    for name, value in want.items():
        assert found.parameters[name] == pytest.approx(value, rel=5e-3)


def test_raw_tokens_are_asked_for():
    with pytest.raises(errors.PlanError, match="more than 1e\\+09 tokens"):
        InfoLaw().predict(params=1e9, tokens=300, unique=300, weights=SHARES)


def test_weights_must_fit_the_buckets():
    table = pools()
    with pytest.raises(errors.PlanError, match="weights have shape"):
        InfoLaw.fit(table | {"weights": table["weights"][:, :3], "loss": table["params"]})


# MixturePower


def test_the_joint_fit_recovers_f():
    rng = np.random.default_rng(0)
    shares = np.array([0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 1.0])
    p, n = rng.choice(shares, 150), 10 ** rng.uniform(7.3, 9, 150)
    f = p**0.8  # a little synergy
    loss = 30 * (f * n) ** -0.25 + 1.1
    law = MixturePower.fit({"params": n, "share": p, "loss": loss}).law
    assert law.effective_fraction(shares) == pytest.approx(shares**0.8, rel=1e-2)
    # f does not depend on N: a model of N on the mixture is one of f N on the task alone.
    alone = law.predict(params=n * law.effective_fraction(p), share=1.0)
    assert law.predict(params=n, share=p) == pytest.approx(alone, rel=1e-9)


def test_no_synergy_is_the_share_itself():
    law = MixturePower({p: 30 * p**-0.25 for p in (0.1, 0.5, 1.0)}, 0.25, 1.1)
    assert law.effective_fraction([0.1, 0.3, 1]) == pytest.approx([0.1, 0.3, 1])


def test_unmeasured_mixtures_are_refused():
    law = MixturePower({0.1: 40.0, 1.0: 30.0}, 0.25, 1.1)
    with pytest.raises(errors.PlanError, match=r"outside the measured 0\.1 to 1"):
        law.predict(params=1e8, share=0.01)


def two_tasks(noise):
    rng = np.random.default_rng(2)
    p, n = np.repeat([0.1, 0.5, 1.0], 20), np.tile(10 ** np.linspace(7, 9, 20), 3)
    law = MixturePower({0.1: 60.0, 0.5: 40.0, 1.0: 30.0}, 0.25, 1.1)
    loss = law.predict(params=n, share=p) + noise * rng.standard_normal(60)
    return {"params": n, "share": p, "loss": loss}


def test_intervals_are_as_wide_as_those_of_least_squares():
    table = two_tasks(0.01)
    found = MixturePower.fit(table, resamples=200)
    task = np.unique(table["share"], return_inverse=True)[1]

    def curve(n, alpha, irreducible, *factor):
        return np.take(factor, task) * n**-alpha + irreducible

    start = (0.3, 1.0, 50, 50, 50)
    best, covariance = optimize.curve_fit(curve, table["params"], table["loss"], start)
    names = ("alpha", "irreducible", "factor[0.1]", "factor[0.5]", "factor[1]")
    width = [np.subtract(*found.interval[name][::-1]) for name in names]
    assert [found.parameters[name] for name in names] == pytest.approx(best, rel=1e-3)
    assert width == pytest.approx(2 * 1.645 * np.sqrt(np.diag(covariance)), rel=0.25)


def test_every_parameter_has_an_interval_around_it():
    pool = pools()
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(120))
    for found in (
        MixtureRepetition.fit(scarce_runs(40, noise=0.01), resamples=15),
        InfoLaw.fit(pool | {"loss": info_loss(InfoLaw(), pool) * noise}, resamples=15),
    ):
        assert found.interval.keys() == found.parameters.keys()
        assert all(lo <= found.parameters[p] <= hi for p, (lo, hi) in found.interval.items())


def test_as_many_parameters_as_runs_leave_no_interval():
    runs = {"params": [1e7, 1e8, 1e9, 1e8], "share": [1, 1, 1, 0.5], "loss": [2.1, 1.8, 1.6, 1.9]}
    found = MixturePower.fit(runs)
    assert not found.interval
    assert any("no run is left" in w for w in found.warnings)
