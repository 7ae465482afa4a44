"""Hierarchical k-means and balanced sampling (methods §14, item 12)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis.selectors import hierarchical


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 200), st.integers(0, 9))
def test_a_budget_is_balanced_over_children(sizes, budget, seed):
    sizes = np.array(sizes)
    counts = hierarchical.balanced(sizes, budget, np.random.default_rng(seed))
    assert counts.sum() == min(budget, sizes.sum())
    fits = [c for c in range(42) if np.minimum(c, sizes).sum() <= budget]
    level = np.minimum(max(fits), sizes)
    assert np.all((counts == level) | (counts == level + 1))
    assert np.all(counts <= sizes)


def test_the_rest_goes_to_any_child_alike():
    counts = sum(
        hierarchical.balanced(np.full(5, 9), 7, np.random.default_rng(s)) for s in range(2000)
    )
    # Each child has 1 and, with probability 2/5, one more: 2800 +- 22.
    assert abs(counts - 2800).max() < 5 * 22


@pytest.fixture(scope="module")
def uneven():
    """Four directions with 1200, 240, 48 and 12 rows."""
    rng = np.random.default_rng(0)
    own = np.repeat(np.arange(4), [1200, 240, 48, 12])
    x = np.eye(4, 16)[own] + 0.15 * rng.standard_normal((1500, 16))
    return x / np.linalg.norm(x, axis=1, keepdims=True), own


def test_a_tree_has_every_row_once_at_every_level(uneven):
    x, _ = uneven
    made = hierarchical.tree(x, (40, 8, 3), 2, np.random.default_rng(0))
    assert [len(p) for p in made.parents] == [1500, 40, 8]
    assert [made.sizes(level).sum() for level in range(4)] == [1500] * 4
    quota = hierarchical.quotas(made, 200, np.random.default_rng(1))
    assert quota.sum() == 200
    assert np.all(quota <= made.sizes(1))


def test_rare_matter_is_sampled_more_often_than_at_random(uneven):
    x, own = uneven
    taken = np.zeros(4)
    for seed in range(6):  # one start may put a rare direction with another at the top
        made = hierarchical.tree(x, (38, 6), 10, np.random.default_rng(seed))
        quota = hierarchical.quotas(made, 100, np.random.default_rng(1))
        place = hierarchical._place(made.parents[0], -made.cosine)
        taken += np.bincount(own[place < quota[made.parents[0]]], minlength=4) / 6
    assert taken.sum() == pytest.approx(100)
    assert taken[2] > 3 * 100 * 48 / 1500
    assert taken[3] > 3 * 100 * 12 / 1500


def test_resampling_spreads_the_centroids():
    rng = np.random.default_rng(0)
    dense = np.array([1.0, 0, 0]) + 0.2 * rng.standard_normal((2700, 3))
    x = np.concatenate([dense, rng.standard_normal((300, 3))])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    far = []
    for steps in (0, 10):
        made = hierarchical.tree(x, (100,), steps, np.random.default_rng(0))
        home = [x[made.parents[0] == j].mean(axis=0) for j in np.unique(made.parents[0])]
        far.append(np.mean([h[0] / np.linalg.norm(h) < 0.8 for h in home]))
    # A tenth of the rows; on a surface k-means puts about the square root of the density there.
    assert 0.1 < far[0] < far[1]


def test_defaults_are_roots():
    assert hierarchical.default_levels(10_000) == (100, 10)
    assert hierarchical.default_levels(1) == (1, 1)
