import itertools

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamis import clusters, errors, nearest


def unit_rows(n, d, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def planted(n, k, d, noise=0.3):
    rng = np.random.default_rng(7)
    centres = unit_rows(k, d, seed=1)
    truth = rng.integers(0, k, n)
    x = centres[truth] + noise * rng.standard_normal((n, d)) / np.sqrt(d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), truth


@pytest.mark.parametrize(("n", "k"), [(0, 1), (1, 1), (100, 10), (10**6, 1000), (10**12, 10_000)])
def test_the_default_k_is_the_root_of_n_capped(n, k):
    assert clusters.default_k(n) == k


def test_fit_finds_planted_clusters():
    x, truth = planted(3000, 12, 32)
    found = clusters.assign(x, clusters.fit(x, 60, seed=3)).neighbour
    # With five centroids for every planted cluster, each found cluster is pure.
    for j in np.unique(found):
        assert len(np.unique(truth[found == j])) == 1


def test_fit_reaches_the_objective_of_faiss():
    x = unit_rows(4000, 24)
    reference = faiss.Kmeans(24, 40, niter=20, spherical=True, seed=1, min_points_per_centroid=1)
    reference.train(x)
    ours = clusters.assign(x, clusters.fit(x, 40, seed=1)).cosine.sum()
    theirs = (x @ reference.centroids.T).max(axis=1).sum()
    assert ours >= 0.99 * theirs


@pytest.mark.parametrize(("n", "d", "k"), [(3001, 7, 40), (2000, 256, 257), (20_000, 256, 100)])
def test_fit_gives_the_same_bytes_on_any_number_of_threads(n, d, k):
    x = unit_rows(n, d)
    x[n // 2 :] = x[np.random.default_rng(1).integers(0, n // 20, n - n // 2)]  # copies
    before = faiss.omp_get_max_threads()
    try:
        fitted = []
        for threads in (1, 2, 4, 7):
            faiss.omp_set_num_threads(threads)
            fitted.append(clusters.fit(x, k, seed=5).tobytes())
            assert faiss.omp_get_max_threads() == threads
    finally:
        faiss.omp_set_num_threads(before)
    assert len(set(fitted)) == 1


def test_another_seed_gives_other_centroids():
    x = unit_rows(500, 8)
    assert clusters.fit(x, 20, seed=1).tobytes() != clusters.fit(x, 20, seed=2).tobytes()


def test_centroids_are_unit_even_when_rows_are_copies_of_few():
    x = np.repeat(unit_rows(3, 8), 10, axis=0)
    centroids = clusters.fit(x, 10, seed=0)
    assert centroids.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-6)


def test_fit_says_nothing_on_a_small_sample(capfd):
    clusters.fit(unit_rows(50, 8), 40, seed=0)
    clusters.fit(unit_rows(40, 8), 40, seed=0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("k", [0, 6])
def test_fit_refuses_more_clusters_than_rows(k):
    with pytest.raises(errors.ConfigError, match=rf"cannot make {k} clusters of 5 rows") as caught:
        clusters.fit(unit_rows(5, 4), k, seed=0)
    assert "set k between 1 and 5" in str(caught.value)


def scan(x, y):
    """The naive double loop, in float64."""
    y = y.astype(np.float64)
    index, cosine = [], []
    for row in x.astype(np.float64):
        values = [float((row * c).sum() / np.linalg.norm(row) / np.linalg.norm(c)) for c in y]
        index.append(int(np.argmax(values)))
        cosine.append(max(values))
    return np.array(index), np.array(cosine)


@pytest.mark.parametrize(("m", "d"), [(1, 3), (2, 1), (3, 5), (50, 16)])
def test_assign_is_the_naive_scan(m, d):
    x, y = unit_rows(80, d), unit_rows(m, d, seed=9)
    index, cosine = scan(x, y)
    found = clusters.assign(x, y)
    assert found.neighbour.dtype == np.int32
    assert found.cosine.dtype == np.float32
    np.testing.assert_array_equal(found.neighbour, index)
    np.testing.assert_allclose(found.cosine, cosine, atol=1e-7)


def test_assign_agrees_with_faiss_flat_search():
    x, y = unit_rows(2000, 64), unit_rows(300, 64, seed=2)
    flat = faiss.IndexFlatIP(64)
    flat.add(y)
    score, index = flat.search(x, 1)
    found = clusters.assign(x, y)
    assert np.mean(found.neighbour == index[:, 0]) > 0.999
    np.testing.assert_allclose(found.cosine, score[:, 0], atol=1e-6)


def near_ties():
    """Centroids in bunches closer than the rounding of a float32 product."""
    rng = np.random.default_rng(3)
    centres = unit_rows(9, 40, seed=4)
    y = np.repeat(centres, 8, axis=0) + 1e-8 * rng.standard_normal((72, 40))
    x = np.repeat(centres, 30, axis=0) + 0.05 * rng.standard_normal((270, 40))
    return x.astype(np.float32), y.astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 270), max_size=6), st.booleans())
def test_assign_is_the_same_wherever_a_batch_is_cut(cuts, crowded):
    x, y = near_ties() if crowded else (unit_rows(270, 40), unit_rows(72, 40, seed=5))
    whole = clusters.assign(x, y)
    edges = [0, *sorted(cuts), 270]
    parts = [clusters.assign(x[a:b], y) for a, b in itertools.pairwise(edges)]
    assert np.concatenate([p.neighbour for p in parts]).tobytes() == whole.neighbour.tobytes()
    assert np.concatenate([p.cosine for p in parts]).tobytes() == whole.cosine.tobytes()


def test_every_row_alone_is_the_row_in_a_block():
    x, y = unit_rows(9000, 33), unit_rows(50, 33, seed=6)  # more rows than a block
    whole = clusters.assign(x, y)
    for i in (0, 1, 8190, 8191, 8192, 8999):
        one = clusters.assign(x[i : i + 1], y)
        assert (one.neighbour[0], one.cosine[0]) == (whole.neighbour[i], whole.cosine[i])


@pytest.mark.parametrize("copies", [2, 4, 5, 30])
def test_ties_go_to_the_lowest_centroid(copies):
    y = np.tile(unit_rows(6, 12), (copies, 1))
    found = clusters.assign(unit_rows(200, 12, seed=8), y)
    assert found.neighbour.max() < 6


def test_half_precision_rows_have_a_cosine_of_at_most_one():
    y = unit_rows(20, 64)
    found = clusters.assign(y.astype(np.float16).astype(np.float32), y)
    assert found.cosine.max() <= 1
    np.testing.assert_array_equal(found.neighbour, np.arange(20))


def test_no_rows_give_no_assignments():
    found = clusters.assign(np.empty((0, 4), np.float32), unit_rows(3, 4))
    assert found.neighbour.shape == found.cosine.shape == (0,)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_row_without_direction_is_an_error(value):
    x = unit_rows(5, 4)
    x[3] = value
    with pytest.raises(ValueError, match="row 3 has norm"):
        nearest.nearest(x, unit_rows(2, 4))


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"got \(5, 4\) and \(2, 3\)"):
        nearest.nearest(unit_rows(5, 4), unit_rows(2, 3))


def test_an_iteration_is_lloyd_s():
    x, centroids = unit_rows(500, 12), unit_rows(9, 12, seed=3)
    label = np.argmax(x.astype(np.float64) @ centroids.T.astype(np.float64), axis=1)
    total = np.stack([x[label == j].astype(np.float64).sum(axis=0) for j in range(9)])
    expected = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(clusters._moved(x, centroids), expected, atol=1e-7)


def test_an_empty_cluster_takes_half_of_the_largest():
    total = np.array([[4.0, 4.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    found = clusters._split(total.copy(), np.array([8, 0, 1, 0]))
    for i in (0, 1, 3):
        np.testing.assert_allclose(found[i], [4, 4], rtol=3e-3)
    assert len(np.unique(found, axis=0)) == 4
    assert found[2].tolist() == [1, 0]


def test_rows_that_cancel_out_leave_a_direction_all_the_same():
    found = clusters._moved(
        np.array([[1, 0], [-1, 0]], np.float32), np.eye(2, dtype=np.float32)[1:]
    )
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
