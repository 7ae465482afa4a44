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


def oracle(score, priority, stratum, quota):
    """Give out the quota one sample at a time."""
    times = np.zeros(len(score), int)
    for s, q in enumerate(quota):
        rows = np.flatnonzero(stratum == s)
        if q >= len(rows):
            order = rows[np.argsort(priority[rows])]
        else:
            order = rows[np.lexsort((priority[rows], -score[rows]))]
        for i in range(q):
            times[order[i % len(rows)]] += 1
    return times


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_repeats_are_handed_out_one_by_one(seed, quota):
    rng = np.random.default_rng(seed)
    supply = rng.integers(1, 20, len(quota))
    stratum = rng.permutation(np.repeat(np.arange(len(quota)), supply))
    score = rng.integers(0, 4, len(stratum)).astype(np.float32)
    priority = rng.integers(0, 2**64, len(stratum), np.uint64)
    times = repeats.in_memory(score, priority, stratum, np.array(quota))
    assert times.dtype == np.int32
    np.testing.assert_array_equal(times, oracle(score, priority, stratum, quota))
    np.testing.assert_array_equal(np.bincount(stratum, times, len(quota)), quota)


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
