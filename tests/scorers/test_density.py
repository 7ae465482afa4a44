"""Density, outlier and isolation scores against brute force, scipy and scikit-learn."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance
from sklearn import covariance

from tamis import errors, linalg, testing
from tamis.schemas import embeddings
from tamis.scorers import cluster_size, kernel_density, mahalanobis, nearest_neighbours, race


def clustered(n, d=16, *, centres=4, spread=0.5, seed=0):
    """Unit rows around some centres, which therefore differ in density."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, centres, n)
    x = rng.standard_normal((centres, d))[own]
    x += spread * (1 + own[:, None]) * rng.standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def named(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, (n, 2)).astype(np.uint64)


def batch(x):
    return pa.record_batch({"embedding": embeddings.column(x)})


def exact(x, y, h):
    """Kernel density by all pairs."""
    return np.exp(-distance.cdist(x, y, "sqeuclidean") / (2 * h * h)).mean(axis=1)


def test_products_are_those_of_float64_whatever_the_batch():
    x, y = clustered(300, 40), 50 * np.random.default_rng(1).standard_normal((70, 40))
    whole = linalg.exact_product(x, y)
    np.testing.assert_allclose(whole, x.astype(np.float64) @ y.T, atol=2e-5)
    assert all(
        np.array_equal(linalg.exact_product(x[i : i + 1], y)[0], whole[i]) for i in range(300)
    )
    with pytest.raises(ValueError, match="row 1 has norm nan"):
        linalg.exact_product(np.array([[1.0], [np.nan]]), y[:, :1])
    with pytest.raises(ValueError, match="row 0 has norm 3, above 2"):
        linalg.exact_product(np.array([[3.0]]), y[:, :1])
    with pytest.raises(ValueError, match="right-hand side is not finite"):
        linalg.exact_product(np.array([[1.0]]), np.array([[np.inf]]))


@pytest.mark.parametrize("k", [1, 3, 50])
def test_the_kth_neighbour_is_that_of_all_pairs_without_oneself(k):
    x, names = clustered(80), named(80)
    reference = nearest_neighbours.Reference(x[:60], names[:60])
    cosine = x.astype(np.float64) @ x[:60].T
    cosine[np.arange(60), np.arange(60)] = -np.inf
    found = nearest_neighbours.kth_cosine(x, names, reference, k)
    np.testing.assert_allclose(found, np.sort(cosine, axis=1)[:, -k], atol=1e-6)


def test_a_copy_with_another_uid_is_a_neighbour():
    x = np.repeat(clustered(5), 2, axis=0)
    reference = nearest_neighbours.Reference(x, named(10))
    assert nearest_neighbours.kth_cosine(x, named(10), reference, 1) == pytest.approx(1)


def test_log_density_integrates_to_one_on_a_line():
    """In d = 1 the estimate is a density: k / (m 2 r)."""
    cosine = np.float32(0.5)  # r = 1
    found = nearest_neighbours.log_density(np.array([cosine]), 3, 30, 1)
    assert np.exp(found) == pytest.approx(3 / (30 * 2), rel=1e-6)
    assert np.isposinf(nearest_neighbours.log_density(np.ones(1, np.float32), 3, 30, 256))


def test_a_reference_must_hold_the_kth_neighbour(tmp_path):
    np.save(tmp_path / "x.npy", clustered(4))
    np.save(tmp_path / "n.npy", named(4))
    scorer = nearest_neighbours.NearestNeighbours(
        str(tmp_path / "x.npy"), str(tmp_path / "n.npy"), k=4
    )
    with pytest.raises(errors.ArtifactError, match="4 reference rows for neighbour 4"):
        scorer.setup()
    with pytest.raises(errors.ConfigError, match="k is 9 and sample 9"):
        nearest_neighbours.NearestNeighbours("a", "b", k=9, sample=9)


def sketched(x, h, features=4096):
    w = kernel_density.frequencies(features, x.shape[1], h=h, seed=3)
    return w, kernel_density.phases(x, w).mean(axis=0)


@pytest.mark.parametrize("h", [0.5, 1.0])
def test_the_sketch_estimates_the_density_of_all_pairs(h):
    x = clustered(600, 32)
    expected = exact(x[:200], x, h)
    found = kernel_density.density(x[:200], *sketched(x, h))
    error = np.sqrt(expected.mean() / (2 * 4096))  # the standard error that the module states
    assert np.sqrt(np.mean((found - expected) ** 2)) < 1.5 * error
    assert stats.spearmanr(found, expected).statistic > 0.95


def test_the_error_falls_as_the_root_of_the_features():
    x = clustered(300, 16)
    expected, rms = exact(x, x, 0.7), []
    for features in (128, 2048):
        found = kernel_density.density(x, *sketched(x, 0.7, features))
        rms.append(np.sqrt(np.mean((found - expected) ** 2)))
    assert rms[1] < rms[0] / 2.5  # 4 in the limit


def test_frequencies_have_the_kernel_s_covariance():
    w = kernel_density.frequencies(64 * 300, 64, h=2.0, seed=0)
    np.testing.assert_allclose(w.T @ w / len(w), np.eye(64) / 4, atol=0.02)
    block = w[:64] / np.linalg.norm(w[:64], axis=1, keepdims=True)
    np.testing.assert_allclose(block @ block.T, np.eye(64), atol=1e-5)


def test_the_sketch_is_a_fold(tmp_path):
    x = clustered(90, 12)
    w = kernel_density.frequencies(20, 12, h=0.8, seed=3)
    np.save(tmp_path / "w.npy", w)
    fold = kernel_density.Sketching(str(tmp_path / "w.npy"))
    testing.check_fold(fold, batch(x))
    mean, rows = fold.result(fold.add(fold.zero(), batch(x)))
    np.testing.assert_allclose(mean, kernel_density.phases(x, w).mean(axis=0), atol=1e-9)
    assert rows == [90]


def test_silverman_s_bandwidth_sees_nobody_where_the_rule_sees_neighbours():
    """At d = 256 every row's nearest neighbour is some ten bandwidths of Silverman away."""
    x, names = clustered(2000, 256, spread=1.0), named(2000)
    others = distance.cdist(x, x) + 9 * np.eye(2000)
    narrow, wide = kernel_density.silverman(x), kernel_density.bandwidth(x, names)
    assert np.median(others.min(axis=1)) > 10 * narrow
    within = np.median((others <= 2 * wide + 1e-6).sum(axis=1))
    assert within == pytest.approx(np.ceil(np.sqrt(2000)), abs=1)
    kernel = np.exp(-(others**2) / (2 * narrow**2))
    assert np.mean(kernel.sum(axis=1) < 1e-12) > 0.9


def test_silverman_is_the_textbook_s_rule():
    """scipy's factor times the spread, on round data."""
    x = np.random.default_rng(0).standard_normal((500, 3))
    factor = stats.gaussian_kde(x.T, "silverman").factor
    assert kernel_density.silverman(x) == pytest.approx(factor * np.sqrt(x.var(axis=0).mean()))


@pytest.mark.parametrize("bits", [2, 6])
def test_race_estimates_the_collisions_of_all_pairs(bits):
    """Charikar's (2002) collision probability, to the power of the planes."""
    x = clustered(400, 24)
    planes = race.planes(3000, bits, 24, seed=5)
    counts = np.stack([np.bincount(c, minlength=1 << bits) for c in race.cells(x, planes).T])
    cosine = np.clip(x.astype(np.float64) @ x.T, -1, 1)
    expected = ((1 - np.arccos(cosine) / np.pi) ** bits).mean(axis=1)
    found = race.density(x, planes, counts)
    np.testing.assert_allclose(found, expected, rtol=0.05)
    assert stats.spearmanr(found, expected).statistic > 0.98


def test_race_is_a_fold(tmp_path):
    x = clustered(90, 12)
    np.save(tmp_path / "p.npy", race.planes(7, 3, 12, seed=1))
    fold = race.Sketching(str(tmp_path / "p.npy"))
    testing.check_fold(fold, batch(x))
    assert fold.add(fold.zero(), batch(x)).sum(axis=1).tolist() == [90] * 7
    np.save(tmp_path / "c.npy", np.zeros((7, 4), np.int64))
    with pytest.raises(errors.ArtifactError, match=r"\(7, 4\) for planes \(7, 3, 12\)"):
        race.Race(str(tmp_path / "p.npy"), str(tmp_path / "c.npy")).setup()
    with pytest.raises(errors.ConfigError, match="repeats 256 and bits 17"):
        race.Race("p", "c", bits=17)


def test_moments_are_a_fold_and_those_of_numpy():
    x = clustered(200)
    testing.check_fold(mahalanobis.Moment(), batch(x))
    fold = mahalanobis.Moment()
    rows, mean, found = fold.result(fold.add(fold.zero(), batch(x)))
    assert rows == 200
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found, np.cov(x.T, bias=True), atol=1e-5)


def test_the_shrunk_covariance_is_that_of_scikit_learn():
    """Which leaves out the terms in 2 / d of the paper; at d = 200 they hardly matter."""
    x = clustered(150, 200).astype(np.float64)
    s = np.cov(x.T, bias=True)
    theirs = covariance.OAS().fit(x).covariance_
    np.testing.assert_allclose(mahalanobis.shrunk(s, 150), theirs, atol=2e-2 * np.abs(theirs).max())


def test_the_distance_is_scipy_s():
    x = clustered(60, 5)
    s = mahalanobis.shrunk(np.cov(x.T, bias=True), 60)
    mean = x.mean(axis=0)
    found = mahalanobis.distance(x, mean, mahalanobis.whitening(s))
    expected = [distance.mahalanobis(row, mean, np.linalg.inv(s)) for row in x]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_direction_without_spread_is_left_out():
    x = np.column_stack([clustered(50, 4), np.zeros(50)])
    white = mahalanobis.whitening(np.cov(x.T))
    far = x[:1] + np.array([[0, 0, 0, 0, 1.0]])
    mean = x.mean(axis=0)
    assert mahalanobis.distance(far, mean, white) == mahalanobis.distance(x[:1], mean, white)


def test_the_size_of_one_s_cluster(tmp_path):
    np.save(tmp_path / "s.npy", np.array([1, 1000, 10]))
    rows = pa.record_batch({"cluster": pa.array([0, 2, 1], pa.int32())})
    for keep, sign in (("easy", 1), ("hard", -1)):
        scorer = cluster_size.ClusterSize(str(tmp_path / "s.npy"), keep=keep)
        assert scorer.score(rows).tolist() == [sign * 0.0, sign * 1.0, sign * 3.0]


@pytest.mark.parametrize("kind", [mahalanobis.Mahalanobis, cluster_size.ClusterSize])
def test_keep_is_easy_or_hard(kind):
    with pytest.raises(errors.ConfigError, match="keep is 'both'"):
        kind("path", keep="both")
