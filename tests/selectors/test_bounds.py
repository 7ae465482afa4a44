"""Shares that are given: nearest allowed shares against a linear program, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from tamis import errors
from tamis.schemas import plan as plan_
from tamis.selectors import bounds, search

STRATA = [
    plan_.Stratum(name=n, source=n.partition("/")[0], tier=t, supply=100)
    for n, t in (("news/tier-0", 0), ("news/tier-1", 1), ("web", -1), ("books", -1))
]
NEWS, WEB = [0, 1], 2


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.data())
def test_shares_under_caps(w, data):
    caps = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(w), max_size=len(w))))
    w = np.array(w)
    if caps.sum() < 1 or w.sum() < 1e-3:
        return
    got = bounds.Bounds.upto(caps).nearest(w / w.sum())
    assert got.sum() == pytest.approx(1)
    assert (got <= caps + 1e-6).all()


ends = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda e: tuple(sorted(e)))


@given(
    st.dictionaries(st.sampled_from(["news", "news/tier-1", "web", "books"]), ends, max_size=4),
    st.lists(st.floats(0.01, 1), min_size=4, max_size=4),
)
def test_an_allowed_point_is_found_whenever_there_is_one(given_, want):
    """Feasibility as scipy's linear program sees it."""
    rows = {"news": NEWS, "news/tier-1": [1], "web": [WEB], "books": [3]}
    sums = np.array([np.isin(np.arange(4), rows[name]) for name in given_]).reshape(-1, 4) * 1.0
    low, high = (np.array([e[i] for e in given_.values()]) for i in (0, 1))
    program = optimize.linprog(
        np.zeros(4),
        A_ub=np.concatenate([sums, -sums]) if given_ else None,
        b_ub=np.concatenate([high, -low]) if given_ else None,
        A_eq=np.ones((1, 4)),
        b_eq=[1],
        bounds=(0, 1),
    )
    if program.status == 2:
        with pytest.raises(errors.PlanError, match=r"plan\.shares"):
            bounds.of(STRATA, given_)
        return
    got = bounds.of(STRATA, given_).nearest(np.array(want) / sum(want))
    assert got.sum() == pytest.approx(1)
    assert (got >= -1e-9).all()
    assert (sums @ got >= low - 1e-6).all()
    assert (sums @ got <= high + 1e-6).all()


def test_given_shares_stand_and_the_rest_keeps_its_proportions():
    got = bounds.of(STRATA, {"news": (0.3, 0.3)}).nearest(np.array([0.1, 0.3, 0.4, 0.2]))
    np.testing.assert_allclose(got, [0.075, 0.225, 0.7 * 2 / 3, 0.7 / 3])


@pytest.mark.parametrize("seed", range(5))
def test_transfers_reach_the_constrained_optimum(seed):
    """A convex bowl, whose constrained minimum scipy finds by another road."""
    rng = np.random.default_rng(seed)
    want = rng.dirichlet(np.full(4, 0.4))
    held = bounds.of(STRATA, {"news": (0.2, 0.5), "news/tier-1": (0.1, 1), "web": (0, 0.3)})
    found = search.minimise(lambda w: ((w - want) ** 2).sum(-1), np.eye(4)[:0], held, seed=0)
    other = optimize.minimize(
        lambda w: ((w - want) ** 2).sum(),
        held.nearest(np.full(4, 0.25)),
        bounds=[(0, 1), (0.1, 1), (0, 0.3), (0, 1)],
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1},
            {"type": "ineq", "fun": lambda w: w[:2].sum() - 0.2},
            {"type": "ineq", "fun": lambda w: 0.5 - w[:2].sum()},
        ],
        method="SLSQP",
        tol=1e-12,
    )
    assert ((found - want) ** 2).sum() <= other.fun + 1e-5
    assert 0.2 - 1e-9 <= found[:2].sum() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"nwes": (0.3, 0.3)}, r"plan\.shares names 'nwes'.*\n  -> did you mean 'news'\?"),
        ({"web": (0.8, 0.8), "news": (0.4, 1)}, r"at least 1\.2, more than the whole \(web 0\.8"),
        (
            {"web": (0, 0.2), "news": (0, 0.3), "books": (0.1, 0.1)},
            r"at most 0\.6, less than the whole .*\n  -> raise some",
        ),
        ({"news": (0, 0.2), "news/tier-0": (0.5, 1)}, "contradict each other"),
    ],
)
def test_what_cannot_be_is_named(shares, message):
    with pytest.raises(errors.PlanError, match=message):
        bounds.of(STRATA, shares)
