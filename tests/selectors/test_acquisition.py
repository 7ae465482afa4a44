"""What to acquire, against every basket there is and closed forms of the value of information."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tamis import errors
from tamis.selectors import acquisition, information


@dataclasses.dataclass(frozen=True)
class Parts:
    """Each source tells of one part of the target, error falls with its fresh rows, a power law."""

    worth: tuple[float, ...]
    alpha: float = 0.3

    def predict(self, weights, samples, supply):
        seen = np.minimum(np.asarray(weights) * np.asarray(samples)[..., None], supply)
        return 0.5 * ((1 + np.array(self.worth) * seen) ** -self.alpha).mean(-1)


def market(laws=(Parts((1.0, 1.0, 1.0)),), **changes):
    base = {
        "names": ("a", "b", "c"),
        "supply": np.array([500.0, 50.0, 5.0]),
        "offered": np.array([2_000.0, 400.0, 300.0]),
        "price": np.array([0.1, 0.5, 0.25]),
        "budget": 80.0,
        "samples": 2_000,
        "laws": laws,
    }
    return acquisition.Market(**{**base, **changes})


def every_basket(here, lots):
    """Least error over all baskets of whole lots, shares searched from everywhere."""
    lot = here.budget / lots / here.price
    least = np.inf
    for counts in itertools.product(range(lots + 1), repeat=len(here.names)):
        rows = np.floor(np.array(counts) * lot)
        if sum(counts) <= lots and (rows <= here.offered).all():
            least = min(least, float(here.errors(here.plan(rows), rows).mean()))
    return least


@pytest.mark.parametrize("seed", range(3))
def test_the_basket_is_as_good_as_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    here = market(
        (Parts(tuple(rng.uniform(0.2, 2, 3).tolist())),), supply=rng.integers(1, 400, 3) * 1.0
    )
    found = acquisition.acquire(here)
    before, least = found.before.error, every_basket(here, acquisition.LOTS)
    assert found.basket.rows @ here.price <= here.budget + 1e-9
    assert (found.basket.rows <= here.offered).all()
    assert before - found.basket.error >= 0.97 * (before - least) > 0


def test_an_offer_tells_its_own_gain():
    here = market((Parts((1.0, 1.0, 1.0)), Parts((1.0, 0.3, 2.0))))
    found = acquisition.acquire(here)
    assert [o.per_cost for o in found.offers] == sorted([o.per_cost for o in found.offers])[::-1]
    by_name = {o.name: o for o in found.offers}
    assert {n: o.rows for n, o in by_name.items()} == {"a": 800, "b": 160, "c": 300}
    for i, name in enumerate(here.names):
        offer, rows = by_name[name], by_name[name].rows * np.eye(3)[i]
        after = float(here.errors(here.plan(rows), rows).mean())
        assert offer.after == pytest.approx(after, abs=2e-4)
        assert offer.gain == pytest.approx(offer.before - offer.after)
        assert offer.cost == pytest.approx(offer.rows * here.price[i])
        assert offer.interval[0] <= offer.per_cost <= offer.interval[1]
        assert found.basket.error <= offer.after
    assert found.offers[0].name == "c"  # held least of, and not the dearest


def test_the_gain_of_one_source_is_the_law_s_own():
    """With one source there is nothing to plan: the closed form of the power law."""
    law = Parts((1.0,))
    here = acquisition.Market(
        ("a",), np.array([100.0]), np.array([200.0]), np.array([2.0]), 300.0, 1_000, (law,)
    )
    (offer,) = acquisition.acquire(here).offers
    assert offer.rows == 150
    assert offer.gain == pytest.approx(0.5 * (101**-0.3 - 251**-0.3))
    assert offer.per_cost == pytest.approx(offer.gain / 300)


def test_a_source_that_is_only_shown_can_be_bought():
    found = acquisition.acquire(market(supply=np.array([500.0, 50.0, 0.0])))
    assert found.before.shares[2] == 0
    assert found.basket.rows[2] > 0
    assert found.basket.shares[2] > 0


def test_rows_that_help_nobody_gain_nothing():
    found = acquisition.acquire(market((Parts((1.0, 1.0, 0.0)),)))
    useless = next(o for o in found.offers if o.name == "c")
    assert useless.gain == pytest.approx(0, abs=1e-12)
    assert found.basket.rows[2] == 0


def test_a_pilot_is_worth_nothing_when_all_laws_agree():
    found = acquisition.acquire(market((Parts((1.0, 1.0, 1.0)), Parts((1.1, 1.1, 1.1)))))
    assert found.knowing == pytest.approx(0, abs=1e-9)
    assert all(o.pilot_value == pytest.approx(0, abs=1e-9) for o in found.offers)


def test_a_pilot_is_worth_something_when_they_do_not():
    doubt = (Parts((1.0, 0.0, 5.0)), Parts((1.0, 5.0, 0.0)))
    held, price = np.array([500.0, 20.0, 20.0]), np.array([0.1, 0.25, 0.25])
    found = acquisition.acquire(market(doubt, supply=held, price=price), noise=0.01)
    values = {o.name: o.pilot_value for o in found.offers}
    assert values["b"] > 0
    assert values["a"] == pytest.approx(0, abs=1e-9)  # the laws say the same of it
    assert max(values.values()) <= found.knowing


@pytest.mark.parametrize(
    "change",
    [
        {"price": np.array([0.1, 0.0, 0.1])},
        {"budget": 0.0},
        {"supply": np.array([1.0, np.nan, 1.0])},
        {"offered": np.array([1.0, -1.0, 1.0])},
        {"samples": 0},
    ],
)
def test_a_market_that_makes_no_sense_is_refused(change):
    with pytest.raises(errors.PlanError):
        market(**change)


def test_a_training_that_does_not_fit_is_refused():
    with pytest.raises(errors.PlanError, match="max_epochs"):
        acquisition.acquire(market(max_epochs=1.0))


# Information

losses = st.integers(1, 4).flatmap(
    lambda a: st.integers(1, 5).flatmap(
        lambda s: st.lists(
            st.lists(st.floats(-2, 2), min_size=s, max_size=s), min_size=a, max_size=a
        )
    )
)


@given(losses, st.data(), st.floats(0.01, 10))
@settings(max_examples=60, deadline=None)
def test_no_information_is_worth_less_than_nothing_or_more_than_all(loss, data, noise):
    states = len(loss[0])
    shown = data.draw(st.lists(st.floats(-2, 2), min_size=states, max_size=states))
    evpi = information.perfect(loss)
    assert 0 <= information.sample(loss, shown, noise) <= evpi
    best = np.argmin(np.mean(loss, 1))
    if (np.array(loss)[best] <= np.min(loss, 0)).all():
        assert evpi == pytest.approx(0, abs=1e-12)


def test_linear_losses_with_a_normal_prior_have_the_closed_form():
    """Raiffa & Schlaifer (1961, §5.4): tau (phi(u) - u (1 - Phi(u))), u = |mean| / tau."""
    mean, prior, noise = 0.3, 1.0, 0.7
    theta = mean + prior * stats.norm.ppf((np.arange(800) + 0.5) / 800)
    loss = np.array([np.zeros(800), theta])

    def unit_loss(scale):
        u = mean / scale
        return scale * (stats.norm.pdf(u) - u * stats.norm.sf(u))

    told = prior**2 / np.hypot(prior, noise)
    assert information.perfect(loss) == pytest.approx(unit_loss(prior), rel=0.005)
    assert information.sample(loss, theta, noise) == pytest.approx(unit_loss(told), rel=0.005)


def test_a_sharp_measurement_tells_all_and_a_blurred_one_nothing():
    loss = np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.6]])
    assert information.perfect(loss) == 0.5
    assert information.sample(loss, [0, 1], 1e-3) == pytest.approx(0.5)
    assert information.sample(loss, [0, 1], 1e3) == pytest.approx(0, abs=1e-3)
    assert information.sample(loss, [1, 1], 1e-3) == pytest.approx(0, abs=1e-12)


def test_information_of_nonsense_is_refused():
    with pytest.raises(errors.PlanError):
        information.perfect([[np.nan]])
    with pytest.raises(errors.PlanError):
        information.sample([[1.0, 2.0]], [0.0, 1.0], 0.0)
    with pytest.raises(errors.PlanError):
        information.sample([[1.0, 2.0]], [0.0], 1.0)
