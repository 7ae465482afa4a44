"""Memorization and influence against leaving out each row for real."""

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from tamis import errors, seeding, testing
from tamis.pilots import linear_probe, subsets
from tamis.schemas import embeddings
from tamis.scorers import influence, memorization, ridge

LABELS = ["a", "b", "c"]


def rows(n, d=5, seed=0, noisy=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = np.eye(d)[y] + 0.5 * rng.standard_normal((n, d))
    y[:noisy] = (y[:noisy] + 1) % 3
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


def batch_of(x, y):
    labels = pa.array(LABELS).take(pa.array(y))
    return pa.record_batch({"embedding": embeddings.column(x), "label": labels})


def fitted(batch):
    fold = ridge.Moments()
    return ridge.solve(fold.result(fold.add(fold.zero(), batch)))


def paths(folder, batch):
    inverse, coefficients = fitted(batch)
    np.save(folder / "inverse.npy", inverse)
    np.save(folder / "coefficients.npy", coefficients)
    (folder / "labels.json").write_text(json.dumps(LABELS))
    return tuple(str(folder / f) for f in ("inverse.npy", "coefficients.npy", "labels.json"))


def left_out(x, y, penalty):
    """Ridge coefficients without each row in turn, by solving again: shape (n, d + 1, 3)."""
    wide, onehot = ridge.fixed(x), np.eye(3)[y]
    for i in range(len(x)):
        keep = np.arange(len(x)) != i
        gram = wide[keep].T @ wide[keep] + penalty * np.eye(wide.shape[1])
        yield np.linalg.solve(gram, wide[keep].T @ onehot[keep])


def strength(x):
    wide = ridge.fixed(x)
    return ridge.PENALTY * np.trace(wide.T @ wide) / wide.shape[1]


def test_the_moments_keep_the_laws_of_folds():
    x, y = rows(150)
    batch = batch_of(x.astype(np.float16), y)
    labels = pa.array([None if i % 7 == 0 else v.as_py() for i, v in enumerate(batch["label"])])
    batch = batch.set_column(1, "label", labels)
    testing.check_fold(ridge.Moments(), batch)
    got = ridge.Moments().result(ridge.Moments().add(ridge.Moments().zero(), batch))
    known = np.arange(150) % 7 > 0
    wide = ridge.fixed(x.astype(np.float16))[known]
    np.testing.assert_array_equal(got.second, wide.T @ wide)
    np.testing.assert_allclose(got.first, wide.T @ np.eye(3)[y[known]], rtol=1e-12)
    assert ridge.Moments().result(ridge.Moments().zero()).labels == ()


def test_ridge_memorization_is_real_leave_one_out(tmp_path):
    x, y = rows(60, noisy=5)
    batch = batch_of(x, y)
    scorer = memorization.Memorization(*paths(tmp_path, batch), keep="hard")
    _, coefficients = fitted(batch)
    wide = ridge.fixed(x)
    without = np.array([wide[i] @ b for i, b in enumerate(left_out(x, y, strength(x)))])
    own = np.arange(60), y
    want = (wide @ coefficients)[own] - without[own]
    np.testing.assert_allclose(scorer.score(batch), want, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("over", ["max", "sum_abs"])
def test_ridge_influence_is_real_leave_one_out(tmp_path, over):
    x, y = rows(40, noisy=3)
    target, classes = rows(9, seed=5)
    batch = batch_of(x, y)
    np.save(tmp_path / "target.npy", target)
    np.save(tmp_path / "classes.npy", classes)
    scorer = influence.Influence(
        *paths(tmp_path, batch),
        keep="hard",
        target=str(tmp_path / "target.npy"),
        target_classes=str(tmp_path / "classes.npy"),
        over=over,
    )
    wide, own = ridge.fixed(target), (np.arange(9), classes)
    all_rows = (wide @ fitted(batch)[1])[own]
    want = [np.abs(all_rows - (wide @ b)[own]) for b in left_out(x, y, strength(x))]
    want = np.max(want, axis=1) if over == "max" else np.sum(want, axis=1)
    np.testing.assert_allclose(scorer.score(batch), want, rtol=1e-5, atol=1e-8)


def test_subset_estimates_are_differences_of_means():
    rng = np.random.default_rng(0)
    seen, right = rng.random((50, 8)) < 0.7, rng.random((50, 6)) < 0.5
    got = subsets.influence(seen, right)
    for i in range(8):
        for j in range(6):
            want = right[seen[:, i], j].mean() - right[~seen[:, i], j].mean()
            assert got[i, j] == pytest.approx(want)
    both = rng.random((50, 8)) < 0.5
    want = np.diag(subsets.influence(seen, both))
    np.testing.assert_allclose(subsets.memorization(seen, both), want, atol=1e-12)


def test_subsets_are_of_the_size_asked_and_need_both_kinds():
    seen = subsets.members(10, 30, seed=1)
    assert (seen.sum(1) == 7).all()
    assert len(np.unique(seen, axis=0)) > 20
    assert np.array_equal(seen[:5], subsets.members(10, 5, seed=1))
    for estimate in (subsets.influence, subsets.memorization):
        with pytest.raises(ValueError, match="models are too few"):
            estimate(seen[:1], seen[:1])


def test_subset_estimates_of_ridge_agree_with_its_closed_form(tmp_path):
    """3,000 classifiers of random subsets, really solved, and one leave-one-out formula."""
    x, y = rows(60, noisy=8, seed=8)
    wide, onehot, own = ridge.fixed(x), np.eye(3)[y], (np.arange(60), y)
    seen = subsets.members(60, 3000, seed=0, fraction=0.9)
    gram = np.einsum("ti,ia,ib->tab", seen, wide, wide, optimize=True)
    moments = np.einsum("ti,ia,ic->tac", seen, wide, onehot, optimize=True)
    solved = np.linalg.solve(gram + strength(x) * np.eye(wide.shape[1]), moments)
    score = np.stack([(wide @ b)[own] for b in solved])
    estimate = subsets.memorization(seen, score)
    batch = batch_of(x, y)
    closed = memorization.Memorization(*paths(tmp_path, batch), keep="hard").score(batch)
    assert stats.pearsonr(estimate, closed).statistic > 0.95
    assert np.median(estimate / closed) == pytest.approx(1 / 0.9, rel=0.1)


def test_probes_of_subsets_are_single_probes():
    x, y = rows(50)
    target = rows(20, seed=3)
    seen = subsets.members(50, 3, seed=4)
    right = subsets.correct(x, y, seen, target, seed=4, classes=3, epochs=5)
    for i, mine in enumerate(seen):
        alone = np.flatnonzero(mine)
        order = linear_probe.order(35, 5 * 35, seeding.generator(4, "subset order", i))
        (w,) = linear_probe.train(x[alone], y[alone], order[None], classes=3)
        predicted = (target[0] @ w[:, :-1].T + w[:, -1]).argmax(1)
        assert np.array_equal(right[i], predicted == target[1])


def test_options_are_checked():
    with pytest.raises(errors.ConfigError, match="over is 'mean'"):
        influence.Influence("", "", "", over="mean")
    with pytest.raises(errors.ConfigError, match="keep is 'all'"):
        memorization.Memorization("", "", "", keep="all")


def test_artifacts_must_agree(tmp_path):
    x, y = rows(30)
    inverse, coefficients, labels = paths(tmp_path, batch_of(x, y))
    (tmp_path / "labels.json").write_text('["a"]')
    with pytest.raises(errors.ArtifactError, match="1 labels for coefficients"):
        memorization.Memorization(inverse, coefficients, labels).setup()


def test_rows_that_are_not_unit_vectors_are_errors():
    for value in (np.nan, 2.0):
        with pytest.raises(ValueError, match="not a finite unit vector"):
            ridge.fixed(np.full((1, 3), value))
