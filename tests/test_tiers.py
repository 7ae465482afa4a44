import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import errors, radix, tiers


def of(scores, fractions):
    scores = np.asarray(scores, np.float32)
    batch = pa.record_batch({"score": scores})
    found = radix.select([batch], [tiers.ranks(len(scores), fractions)], keys=("score",))
    return tiers.tier(scores, found), found


def test_equal_tiers_of_distinct_scores():
    tier, _ = of(np.arange(12), tiers.equal(4))
    assert tier.dtype == np.int8
    assert tier.tolist() == [3] * 3 + [2] * 3 + [1] * 3 + [0] * 3


@pytest.mark.parametrize(
    ("rows", "fractions", "ranks"),
    [(10, [1.0], []), (10, [0.2, 0.5, 0.3], [2, 7]), (3, [0.5, 0.5], [2]), (0, [0.5, 0.5], [0])],
)
def test_ranks(rows, fractions, ranks):
    assert tiers.ranks(rows, fractions) == ranks


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
def test_a_row_is_in_tier_t_when_t_boundaries_have_better_scores(scores, shares):
    fractions = [s / sum(shares) for s in shares]
    tier, _ = of(scores, fractions)
    best_first = np.sort(np.asarray(scores))[::-1]
    ranks = tiers.ranks(len(scores), fractions)
    for score, t in zip(scores, tier, strict=True):
        assert t == sum(q == 0 or score < best_first[q - 1] for q in ranks)


def test_ties_stay_in_the_better_tier():
    tier, _ = of([1, 1, 1, 1, 0], [0.4, 0.6])
    assert tier.tolist() == [0, 0, 0, 0, 1]


def test_tiers_within_groups():
    scores = np.array([1, 2, 10, 20], np.float32)
    group = np.array([0, 0, 1, 1])
    batch = pa.record_batch({"score": scores, "group": group})
    found = radix.select([batch], [[1], [1]], keys=("score",), group="group")
    assert tiers.tier(scores, found, group).tolist() == [1, 0, 1, 0]


def test_boundary_scores_separate_the_tiers():
    scores = np.random.default_rng(0).standard_normal(500).astype(np.float32)
    tier, found = of(scores, [0.2, 0.5, 0.3])
    lowest = tiers.lowest_scores(found)
    np.testing.assert_array_equal(tier, (scores[:, None] < lowest).sum(axis=1))
    assert np.all(np.isfinite(lowest))


@pytest.mark.parametrize(
    "fractions", [[], [0.5], [0.5, 0.6], [1.2, -0.2], [0.0, 1.0], [1 / 128] * 128]
)
def test_bad_fractions_are_an_error(fractions):
    with pytest.raises(errors.ConfigError, match="tier fractions"):
        tiers.ranks(10, fractions)


def rank_table(scores, cuts=()):
    fold = tiers.rank_pass("score")
    state = fold.zero()
    for part in np.split(scores, cuts):
        state = fold.add(state, pa.record_batch({"score": part}))
    return tiers.rank_table(fold.result(state))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_rank_fractions_are_the_ranks_to_within_a_bin(scale):
    scores = (scale * np.random.default_rng(1).standard_normal(5000)).astype(np.float32)
    table = rank_table(scores, (10, 700))
    assert table.rows.sum() == 5000
    fraction = tiers.rank_fraction(scores, table)
    exact = (np.argsort(np.argsort(scores)) + 0.5) / 5000
    assert np.abs(fraction - exact).max() <= table.rows.max() / 5000
    # No two scores change their order.
    assert np.all(np.diff(fraction[np.argsort(scores)])[np.diff(np.sort(scores)) > 0] > 0)


def test_equal_scores_have_equal_rank_fractions_in_the_middle():
    fraction = tiers.rank_fraction(np.ones(4, np.float32), rank_table(np.ones(4, np.float32)))
    assert len(np.unique(fraction)) == 1
    assert 0 < fraction[0] <= 1


def test_a_score_that_was_not_ranked_is_an_error():
    table = rank_table(np.array([1, 2], np.float32))
    with pytest.raises(ValueError, match=r"score 8\.0 of row 1 is not among those ranked"):
        tiers.rank_fraction(np.array([1, 8], np.float32), table)


def test_no_rows_have_no_rank_fractions():
    none = np.empty(0, np.float32)
    assert tiers.rank_fraction(none, rank_table(none)).shape == (0,)


def test_combined_scores_are_weighted_means():
    combined = tiers.combine([np.array([0.0, 1.0]), np.array([1.0, 0.5])], [3, 1])
    assert combined.dtype == np.float32
    assert combined.tolist() == [0.25, 0.875]


@pytest.mark.parametrize("weights", [[], [1], [0, 0], [1, -1]])
def test_bad_weights_are_an_error(weights):
    with pytest.raises(errors.ConfigError, match="weights"):
        tiers.combine([np.zeros(1), np.zeros(1)], weights)
