import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import keys, radix

FLOATS = st.floats(width=32, allow_nan=False)


@given(st.lists(FLOATS, min_size=1, max_size=50))
def test_keys_have_the_order_of_their_floats_and_come_back(values):
    x = np.array(values, np.float32)
    k = keys.key(x)
    assert k.dtype == np.uint32
    np.testing.assert_array_equal(np.less.outer(x, x), np.less.outer(k, k))
    np.testing.assert_array_equal(np.equal.outer(x, x), np.equal.outer(k, k))
    np.testing.assert_array_equal(keys.score(k), x)


def test_the_two_zeros_share_a_key():
    assert len(np.unique(keys.key(np.array([0.0, -0.0], np.float32)))) == 1


def test_nan_is_an_error_that_names_the_row():
    with pytest.raises(ValueError, match=r"score of row 1 is NaN \(2 rows\)"):
        keys.key(np.array([1, np.nan, np.nan], np.float32))


def test_a_key_of_another_type_is_an_error():
    with pytest.raises(ValueError, match="float32, uint32 or uint64, not float64"):
        keys.digits(np.zeros(2))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_digits_sort_like_the_columns(seed):
    rng = np.random.default_rng(seed)
    score = rng.integers(-3, 3, 60).astype(np.float32)
    priority = rng.integers(0, 2**64, 60, np.uint64)
    order = np.lexsort((priority, -score))
    digits = keys.digits(score, priority)
    assert digits.shape == (60, keys.width(score.dtype, priority.dtype)) == (60, 6)
    np.testing.assert_array_equal(np.lexsort(digits.T[::-1]), order)
    bound = keys.words(digits)[order[20]]
    np.testing.assert_array_equal(
        np.flatnonzero(keys.greater(keys.words(digits), bound)), np.sort(order[21:])
    )


def table(score, priority, group):
    return pa.record_batch({"score": score, "priority": priority, "group": group})


def batches(whole, cuts):
    edges = [0, *sorted(c % (whole.num_rows + 1) for c in cuts), whole.num_rows]
    return [whole.slice(a, b - a) for a, b in itertools.pairwise(edges)]


def draw(rng, n, groups):
    kind = rng.integers(3)
    score = [
        rng.standard_normal(n),
        rng.integers(0, 4, n),  # ties
        1 + 1e-6 * rng.integers(0, 9, n),  # one first digit for all
    ][kind].astype(np.float32)
    return table(score, rng.integers(0, 2**64, n, np.uint64), rng.integers(0, groups, n))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 300), max_size=3))
def test_exactly_the_best_rows_of_every_group_are_taken(seed, cuts):
    rng = np.random.default_rng(seed)
    groups = int(rng.integers(1, 5))
    whole = draw(rng, int(rng.integers(1, 200)), groups)
    ranks = [sorted(rng.integers(0, 60, rng.integers(0, 4)).tolist()) for _ in range(groups)]
    found = radix.select(batches(whole, cuts), ranks, keys=("score", "priority"), group="group")
    band = radix.above(found, *radix.read(whole, ("score", "priority"), "group"))

    score, priority, group = (whole.column(c).to_numpy() for c in whole.schema.names)
    for g in range(groups):
        rows = np.flatnonzero(group == g)
        order = rows[np.lexsort((priority[rows], -score[rows]))]  # the oracle
        for j, q in enumerate(ranks[g]):
            np.testing.assert_array_equal(np.sort(order[:q]), np.sort(rows[band[rows] <= j]))
        taken = found.rows[found.group == g]
        np.testing.assert_array_equal(taken, np.minimum(ranks[g], len(rows)).astype(int))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rows_with_one_key_are_taken_together(seed):
    rng = np.random.default_rng(seed)
    whole = draw(rng, 100, 1)
    q = int(rng.integers(1, 101))
    found = radix.select([whole], [[q]], keys=("score",))
    score = whole.column("score").to_numpy()
    edge = np.sort(score)[::-1][q - 1]
    taken = radix.above(found, *radix.read(whole, ("score",))) == 0
    np.testing.assert_array_equal(taken, score >= edge)
    assert found.rows[0] == taken.sum() >= q


def test_a_boundary_between_bins_stops_early():
    score = np.array([8, 4, 2, 1], np.float32)
    state = radix.start([[2]], 6)
    counts = radix.histogram(state, np.zeros(4, int), keys.digits(score, np.zeros(4, np.uint64)))
    assert radix.refine(state, counts).done


def test_an_unfinished_state_has_no_thresholds():
    with pytest.raises(ValueError, match="2 ranks need another pass"):
        radix.thresholds(radix.start([[1, 2]], 2))


def test_a_negative_rank_is_an_error():
    with pytest.raises(ValueError, match="rank -1 is negative"):
        radix.start([[3, -1]], 2)


@pytest.mark.parametrize("ranks", [[], [[]], [[0]], [[0], [0, 0]]])
def test_nothing_wanted_needs_no_pass(ranks):
    state = radix.start(ranks, 2)
    assert state.done
    found = radix.thresholds(state)
    wanted = sum(map(len, ranks))
    assert radix.above(found, np.zeros(1, int), np.zeros((1, 2), np.uint16))[0] == (
        len(ranks[0]) if ranks else 0
    )
    assert found.rows.shape == (wanted,)


def test_no_rows_at_all_are_fewer_than_wanted():
    state = radix.start([[5]], 2)
    state = radix.refine(state, radix.Pass(state, ("score",)).zero())
    assert radix.thresholds(state).rows.tolist() == [0]


def test_a_row_of_a_group_nobody_asked_about_is_let_through():
    whole = table(np.ones(3, np.float32), np.arange(3, dtype=np.uint64), np.array([0, 7, 7]))
    found = radix.select([whole], [[1]], keys=("score",), group="group")
    assert radix.above(found, *radix.read(whole, ("score",), "group")).tolist() == [0, 0, 0]


def test_the_histogram_of_real_scores_is_small():
    score = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    state = radix.start([[100]], 2)
    counts = radix.histogram(state, np.zeros(len(score), int), keys.digits(score))
    assert counts.counts.sum() == len(score)
    assert len(counts.bins) < 6000
