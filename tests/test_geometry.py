"""Facts of clouds whose shape is known."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance

from tamis import clusters, geometry
from tamis.pipelines import cluster
from tamis.schemas import embeddings


def ball(n, d, ambient, seed=0):
    """Uniform in a ball of d dimensions, turned into a larger space."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x *= (rng.uniform(size=(n, 1)) ** (1 / d)) / np.linalg.norm(x, axis=1, keepdims=True)
    turn, _ = np.linalg.qr(rng.standard_normal((ambient, d)))
    return x @ turn.T


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_the_dimension_of_a_flat_ball_is_found(d):
    found = geometry.intrinsic_dimension(ball(3000, d, 40))
    assert abs(found - d) < 0.08 * d


@pytest.mark.parametrize(("d", "at_least"), [(1, 1), (2, 2), (4, 4)])
def test_the_dimension_of_a_sphere_is_one_less_than_that_of_its_space(d, at_least):
    x = np.random.default_rng(1).standard_normal((3000, d + 1))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert abs(geometry.intrinsic_dimension(x) - d) < 0.08 * at_least


def test_many_dimensions_are_underestimated_but_more_are_more():
    found = [geometry.intrinsic_dimension(ball(2000, d, 40)) for d in (5, 10, 20)]
    assert found == sorted(found)
    assert 0.75 * 10 < found[1] < 10


def test_the_dimension_is_the_formula():
    x = ball(60, 3, 5)
    away = np.sort(distance.cdist(x, x), axis=1)[:, 1:9]
    inverse = np.log(away[:, -1:] / away[:, :-1]).mean(axis=1)
    assert geometry.intrinsic_dimension(x, k=8) == pytest.approx(1 / inverse.mean(), rel=1e-4)


def test_copies_do_not_count_and_few_rows_have_no_dimension():
    x = ball(300, 2, 6)
    assert geometry.intrinsic_dimension(np.repeat(x, 3, axis=0)) == pytest.approx(
        geometry.intrinsic_dimension(x)
    )
    assert geometry.intrinsic_dimension(np.repeat(x[:2], 9, axis=0)) is None
    assert geometry.intrinsic_dimension(x[:0]) is None


def test_blocks_do_not_change_a_fact(monkeypatch):
    x, label = ball(200, 3, 8), np.arange(200) % 7
    before = geometry.intrinsic_dimension(x), geometry.nearest_other_label(x, label)
    monkeypatch.setattr(geometry, "_BLOCK_BYTES", 8 * 200 * 9)
    assert (geometry.intrinsic_dimension(x), geometry.nearest_other_label(x, label)) == before


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sharpness_looks_at_pairs_of_different_labels(seed):
    rng = np.random.default_rng(seed)
    x, label = ball(30, 3, 6, seed), rng.integers(0, 3, 30)
    pairs = [math.dist(x[i], x[j]) for i in range(30) for j in range(i) if label[i] != label[j]]
    assert geometry.nearest_other_label(x, label) == pytest.approx(min(pairs), abs=1e-6)


def test_one_vector_with_two_labels_is_as_sharp_as_can_be():
    x = ball(5, 2, 3)
    x[4] = x[0]
    assert geometry.nearest_other_label(x, np.array([0, 0, 0, 0, 1])) == 0
    assert geometry.nearest_other_label(x, np.zeros(5, int)) is None
    assert geometry.nearest_other_label(x[:0], np.zeros(0, int)) is None


def test_the_vendi_score_counts_distinct_directions():
    eye = np.eye(7, 20)
    assert geometry.vendi_score(eye) == pytest.approx(7)
    assert geometry.vendi_score(np.repeat(eye[:3], 5, axis=0)) == pytest.approx(3)
    assert geometry.vendi_score(eye[:1]) == pytest.approx(1)
    x = np.random.default_rng(0).standard_normal((40, 60))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    value = np.linalg.eigvalsh(x @ x.T / 40)  # as defined, from the n by n kernel
    assert geometry.vendi_score(x) == pytest.approx(np.exp(-(value * np.log(value)).sum()))


def test_imbalance_is_one_for_equal_groups():
    sizes = np.array([30, 10, 0, 0])
    assert geometry.imbalance_factor(sizes) == pytest.approx(4 * 1000 / 1600)
    assert geometry.imbalance_factor(np.zeros(3, int)) == 1


def test_a_sample_is_described():
    rng = np.random.default_rng(3)
    own = np.repeat([0, 1, 2], [60, 30, 10])
    x = np.eye(3, 8)[own] + 0.05 * rng.standard_normal((100, 8))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)
    label = pa.array(["a", "b", None]).take(pa.array(own))
    table = pa.table({"embedding": embeddings.column(x), "label": label})
    centroids = clusters.fit(x.astype(np.float32), 3, seed=0)
    found = cluster.describe(table, centroids)
    assert found.classes == {"a": 60, "b": 30}
    assert found.cluster_imbalance == pytest.approx(3 * (3600 + 900 + 100) / 10_000)
    assert 2 < found.distinct < 3.5
    assert found.nearest_other_label == pytest.approx(
        distance.cdist(x[:60].astype(float), x[60:90].astype(float)).min(), abs=1e-6
    )
    alone = cluster.describe(table.slice(99), centroids)
    assert (alone.intrinsic_dimension, alone.classes, alone.nearest_other_label) == (None, {}, None)
