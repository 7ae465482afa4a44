import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
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
    batches = [pa.record_batch({"score": part}) for part in np.split(scores, cuts)]
    found = radix.select(batches, [tiers.wanted_ranks(len(scores))], keys=("score",))
    return tiers.rank_table(found, len(scores))


def exact(scores):
    """One minus the mid-rank, best first, ties averaged."""
    return 1 - (scipy.stats.rankdata(-scores.astype(np.float64)) - 0.5) / len(scores)


@given(
    st.lists(
        st.sampled_from([0.5, 1.0, 0.99, 0.7501, 0.75, -0.0, 0.0, -3.0, 1e-30, 0.8, 0.8001]),
        min_size=1,
        max_size=60,
    )
)
def test_rank_fractions_of_few_rows_are_exact_ties_and_all(values):
    scores = np.array(values, np.float32)
    np.testing.assert_allclose(tiers.rank_fraction(scores, rank_table(scores)), exact(scores))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_rank_fractions_are_exact_to_a_quantile_also_in_a_narrow_band(scale):
    scores = (0.8 + scale * np.random.default_rng(1).standard_normal(20_000)).astype(np.float32)
    fraction = tiers.rank_fraction(scores, rank_table(scores, (10, 700)))
    assert np.abs(fraction - exact(scores)).max() <= 1 / tiers.RANKS
    assert np.all(np.diff(fraction[np.argsort(scores)]) >= 0)


def test_mostly_tied_scores_keep_their_middle_rank():
    scores = np.repeat(np.array([1.0, 0.5], np.float32), [70_000, 30_000])
    fraction = tiers.rank_fraction(scores, rank_table(scores))
    np.testing.assert_allclose(fraction, exact(scores), atol=1 / tiers.RANKS)


def test_no_rows_have_no_rank_fractions():
    none = np.empty(0, np.float32)
    table = tiers.RankTable(np.empty(0, np.uint32), np.empty(0, np.int64), 0)
    assert tiers.rank_fraction(none, table).shape == (0,)


def test_combined_scores_are_weighted_means():
    combined = tiers.combine([np.array([0.0, 1.0]), np.array([1.0, 0.5])], [3, 1])
    assert combined.dtype == np.float32
    assert combined.tolist() == [0.25, 0.875]


@pytest.mark.parametrize("weights", [[], [1], [0, 0], [1, -1]])
def test_bad_weights_are_an_error(weights):
    with pytest.raises(errors.ConfigError, match="weights"):
        tiers.combine([np.zeros(1), np.zeros(1)], weights)
