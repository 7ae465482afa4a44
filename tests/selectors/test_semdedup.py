"""SemDeDup as published, against its definition in plain loops."""

import numpy as np
import pytest

from tamis.selectors import semdedup


def rows(n=120, d=6, clusters=4, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[n // 2 :] = x[rng.integers(0, n // 2, n - n // 2)] + 0.2 * rng.standard_normal(
        (n - n // 2, d)
    )
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    centroids = x[:clusters]
    product = x @ centroids.T
    return x, product.argmax(axis=1).astype(np.int32), product.max(axis=1)


def published(x, own, cosine, epsilon, keep):
    """Kept rows, one row at a time."""
    kept = set()
    for cluster in np.unique(own):
        mine = np.flatnonzero(own == cluster)
        order = sorted(mine, key=lambda i: cosine[i] if keep == "hard" else -cosine[i])
        for place, j in enumerate(order):
            if all(float(x[i] @ x[j]) <= 1 - epsilon for i in order[:place]):
                kept.add(int(j))
    return kept


@pytest.mark.parametrize("keep", ["hard", "easy"])
@pytest.mark.parametrize("epsilon", [0.001, 0.01, 0.05, 0.3])
def test_it_keeps_what_the_paper_keeps(keep, epsilon, monkeypatch):
    monkeypatch.setattr(semdedup, "_TILE", 50)
    x, own, cosine = rows()
    found = semdedup.similarity(x, own, cosine, keep=keep)
    assert set(np.flatnonzero(found <= 1 - epsilon)) == published(x, own, cosine, epsilon, keep)


def test_increasing_epsilon_never_keeps_more():
    found = semdedup.similarity(*rows())
    kept = [int(np.sum(found <= 1 - epsilon)) for epsilon in np.linspace(0, 2, 50)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] > kept[-1] > 0


def test_of_two_duplicates_the_one_less_like_the_centroid_survives():
    x = np.array([[1, 0.0, 0], [0.8, 0.6, 0], [0.79, 0.6131, 0]], np.float32)
    own, cosine = np.zeros(3, np.int32), x[:, 0]
    assert (semdedup.similarity(x, own, cosine) <= 0.99).tolist() == [True, False, True]
    easy = semdedup.similarity(x, own, cosine, keep="easy")
    assert (easy <= 0.99).tolist() == [True, True, False]


def test_no_rows_have_no_similarity():
    none = np.zeros(0, np.float32)
    assert semdedup.similarity(np.zeros((0, 3), np.float32), none.astype(np.int32), none).shape == (
        0,
    )
