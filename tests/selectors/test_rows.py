import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import errors, testing
from tamis.schemas import uids
from tamis.selectors import repeats, top_k, uniform

N = 90


def pool(n=N, ties=True):
    rng = np.random.default_rng(0)
    score = rng.integers(0, 5, n) if ties else rng.standard_normal(n)
    return pa.record_batch(
        {
            "uid": uids.of("s", pa.array([str(i) for i in range(n)])),
            "score": pa.array(score.astype(np.float32)),
        }
    )


@pytest.mark.parametrize("kind", [top_k.TopK, uniform.Uniform])
@pytest.mark.parametrize("n", [1, 2, N])
def test_simple_selectors_keep_the_laws(kind, n):
    testing.check_selector(kind(), pool(n), prefix=True)


def test_top_k_takes_the_highest_ties_by_uid():
    batch = pool()
    picked = top_k.TopK().select(batch, 30, np.random.default_rng(0))
    rows = zip(batch["score"].to_pylist(), batch["uid"].to_numpy(False), strict=True)
    order = sorted(
        range(N), key=lambda i, r=list(rows): (-r[i][0], *uids.from_hex(pa.array([r[i][1]]))[0])
    )
    assert picked.tolist() == order[:30]


def test_a_nan_score_is_an_error():
    batch = pool().set_column(1, "score", pa.array([np.nan] * N, pa.float32()))
    with pytest.raises(ValueError, match="score of row 0 is NaN"):
        top_k.TopK().select(batch, 3, np.random.default_rng(0))


def test_uniform_takes_every_row_equally_often():
    counts = np.zeros(N)
    batch = pool()
    for seed in range(600):
        counts[uniform.Uniform().select(batch, 30, np.random.default_rng(seed))] += 1
    # Binomial(600, 1/3): mean 200, standard deviation 11.5.
    assert abs(counts - 200).max() < 5 * 11.6


class Unstable:
    """Depends on where a row stands."""

    reads = ("uid",)

    def select(self, pool, budget, rng):
        return np.arange(min(budget, pool.num_rows))


class Repeating(Unstable):
    def select(self, pool, budget, rng):
        return np.zeros(min(budget, pool.num_rows), np.int64)


def test_the_laws_catch_a_positional_selector():
    with pytest.raises(AssertionError, match="do not depend on the order"):
        testing.check_selector(Unstable(), pool())


def test_the_laws_catch_a_repeated_row():
    with pytest.raises(AssertionError, match="distinct"):
        testing.check_selector(Repeating(), pool())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=4))
def test_repeats_are_handed_out_one_by_one(strata):
    quota, supply = (np.array(column) for column in zip(*strata, strict=True))
    base, extra = repeats.split(quota, supply)
    for s, (q, m) in enumerate(strata):
        times = np.bincount(np.arange(q) % m, minlength=m)
        assert times.tolist() == [base[s] + 1] * extra[s] + [base[s]] * (m - extra[s])


def test_a_whole_number_of_epochs_needs_no_extra():
    base, extra = repeats.split(np.array([12, 0, 0]), np.array([4, 9, 0]))
    assert base.tolist() == [3, 0, 0]
    assert extra.tolist() == [0, 0, 0]


def test_a_quota_without_rows_is_an_error():
    with pytest.raises(errors.PlanError, match="stratum 1 has a quota of 3 and no rows"):
        repeats.split(np.array([1, 3]), np.array([1, 0]))


def test_a_negative_quota_is_an_error():
    with pytest.raises(errors.PlanError, match="stratum 1 has a negative quota"):
        repeats.split(np.array([1, -3]), np.array([1, 5]))
