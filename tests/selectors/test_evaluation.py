"""Subsets of benchmarks, on answers simulated by item response theory."""

import numpy as np
import pytest
from sklearn import metrics

from tamis import errors
from tamis.selectors import anchors, harmony, predictable


def irt(models, items, seed, skills=3):
    """Answers by a two-parameter model whose abilities go together, but not all the way."""
    rng = np.random.default_rng(seed)
    ability = rng.standard_normal((models, 1)) + 0.7 * rng.standard_normal((models, skills))
    skill = rng.integers(0, skills, items)
    logit = rng.uniform(1, 3, items) * (ability[:, skill] - 1.2 * rng.standard_normal(items))
    return (rng.uniform(size=logit.shape) < 1 / (1 + np.exp(-logit))).astype(float)


@pytest.mark.parametrize("k", [20, 50])
def test_anchors_estimate_unseen_models_better_than_a_random_subset(k):
    ours, random = [], []
    for seed in range(5):
        answers, rng = irt(90, 800, seed), np.random.default_rng(seed)
        known, new = answers[:60], answers[60:]
        found = anchors.anchors(known.T, k, rng)
        ours.append(np.abs(found.estimate(new[:, found.items]) - new.mean(axis=1)).mean())
        picks = [rng.choice(800, k, replace=False) for _ in range(20)]
        off = [np.abs(new[:, p].mean(axis=1) - new.mean(axis=1)).mean() for p in picks]
        random.append(np.mean(off))
    assert np.mean(ours) < 0.8 * np.mean(random)


def test_anchors_are_distinct_items_and_weigh_what_they_stand_for():
    x = np.repeat(np.eye(4), [5, 3, 1, 1], axis=0)
    found = anchors.anchors(x, 4, np.random.default_rng(0))
    assert found.weights.tolist() == [0.5, 0.3, 0.1, 0.1]
    assert x[found.items].argmax(axis=1).tolist() == [0, 1, 2, 3]
    fewer = anchors.anchors(x, 9, np.random.default_rng(0))
    assert len(fewer.items) == 4
    every = np.random.default_rng(1).uniform(size=(30, 7))
    whole = anchors.anchors(every, 30, np.random.default_rng(0))
    assert whole.items.tolist() == list(range(30))
    np.testing.assert_allclose(whole.weights, 1 / 30)


def test_answers_with_gaps_are_an_error():
    with pytest.raises(errors.PlanError, match="no gaps"):
        anchors.anchors(np.array([[1.0, np.nan]]), 1, np.random.default_rng(0))
    with pytest.raises(errors.PlanError, match="cannot take 3 of 2 items"):
        anchors.anchors(np.ones((2, 2)), 3, np.random.default_rng(0))


def test_the_law_of_a_cluster_is_recovered():
    compute = np.geomspace(1, 1000, 9)
    true = predictable.Law(1.3, 0.4, 0.1, 0.25, float(np.exp(np.log(compute).mean())), 0.0)
    found = predictable.fit(compute, true.accuracy(compute), chance=0.25)
    np.testing.assert_allclose(found[:3], true[:3], rtol=1e-3)
    assert found.misfit < 1e-6
    np.testing.assert_allclose(found.accuracy(1e6), true.accuracy(1e6), rtol=1e-3)
    with pytest.raises(errors.PlanError, match="three constants"):
        predictable.fit(compute[:2], compute[:2] / 1000)


def scaling(seed, items=900, stubborn=300, samples=25):
    """Pass rates by compute, twice: of items that follow one of three laws, and of some others.

    These are flat for small models, and the large one learns half of them at a stroke.
    """
    rng = np.random.default_rng(seed)
    compute = np.r_[np.geomspace(1, 100, 8), 1_000.0]
    laws = [(0.6, 0.5, 0.05), (2.5, 0.5, 0.05), (6.0, 0.45, 0.1)]
    own = np.r_[rng.integers(0, 3, items - stubborn), np.full(stubborn, 3)]
    mean = np.stack([np.exp(-a * (compute / 10) ** -b - c) for a, b, c in laws])[own[own < 3]]
    flat = np.full((stubborn, 9), 0.02)
    flat[: stubborn // 2, -1] = 0.5
    p = np.concatenate([mean, flat])
    return compute, rng.binomial(samples, p) / samples, rng.binomial(samples, p) / samples, own


def test_the_predictable_part_is_found_and_predicted():
    off, middle = [], {"same": [], "again": []}
    for seed in range(6):
        compute, first, second, own = scaling(seed)
        both = (first + second) / 2
        for mode, rates, again in (("same", both, None), ("again", first, second[:, :8])):
            found = predictable.predictable(
                rates[:, :8], compute[:8], 6, np.random.default_rng(seed), again=again
            )
            told = float(found.subset_accuracy(compute[8:])[0])
            off.append(abs(told - both[found.items, 8].mean()))
            assert np.mean(own[found.items] == 3) < 0.08
            assert np.isin(np.flatnonzero(own < 3), found.items).mean() > 0.6
            middle[mode] += [
                float(law.accuracy(1_000.0))
                for j, law in enumerate(found.laws)
                if found.kept[j] and (own[found.cluster == j] == 1).mean() > 0.9
            ]
    assert np.mean(off) < 0.05
    # True are 0.741; on the samples that made the clusters, chance is taken for a slope.
    assert np.std(middle["again"]) < 0.7 * np.std(middle["same"])


def test_the_whole_is_told_better_than_by_one_law_for_all():
    ours, one = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        compute = np.r_[np.geomspace(1, 100, 8), 3_000.0]
        ability = 1.1 * np.log(compute / 30)
        difficulty = np.r_[rng.normal(-1, 0.5, 300), rng.normal(4, 0.7, 300)]  # two bumps
        p = 1 / (1 + np.exp(-(ability - difficulty[:, None])))
        rates = rng.binomial(40, p) / 40
        found = predictable.predictable(rates[:, :8], compute[:8], 8, np.random.default_rng(seed))
        whole = predictable.fit(compute[:8], rates[:, :8].mean(axis=0))
        truth = rates[:, 8].mean()
        subset_truth = rates[found.items, 8].mean()
        ours.append(abs(float(found.subset_accuracy(compute[8:])[0]) - subset_truth))
        one.append(abs(float(whole.accuracy(compute[8:])[0]) - truth))
    assert np.mean(ours) < np.mean(one)


def test_a_benchmark_that_does_not_move_cannot_be_predicted():
    rates = np.random.default_rng(0).binomial(50, 0.1, (60, 6)) / 50
    with pytest.raises(errors.PlanError, match="no part of the benchmark"):
        predictable.predictable(rates, np.geomspace(1, 10, 6), 3, np.random.default_rng(0))


def test_harmony_is_one_for_equal_parts_that_score_alike():
    assert harmony.harmony([0.6, 0.6, 0.6], [1, 1, 1]) == pytest.approx(1)
    assert harmony.harmony([0.6, 0.6], [0.99, 0.01]) == pytest.approx(
        -(0.99 * np.log(0.99) + 0.01 * np.log(0.01)) / np.log(2)
    )
    apart = [harmony.harmony([0.5 - d, 0.5 + d, 0.5], [1, 1, 1]) for d in (0, 0.1, 0.2, 0.4)]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < 0.01
    f, w, b = np.array([0.3, 0.5, 0.9]), np.array([0.5, 0.3, 0.2]), 0.2
    p = w * np.exp(-(((f - w @ f) / b) ** 2) / 2)
    p /= p.sum()
    found = harmony.harmony(f, 10 * w, bandwidth=b)
    assert found == pytest.approx(-(p * np.log(p)).sum() / np.log(3))
    with pytest.raises(errors.PlanError, match="at least two parts"):
        harmony.harmony([0.5], [1.0])


def answers(seed=0):
    """A model that is sure, torn and at a loss on 40, 25 and 15 items."""
    rng = np.random.default_rng(seed)
    means = np.array([[0.9, 0.05, 0.03, 0.02], [0.48, 0.46, 0.04, 0.02], [0.27, 0.25, 0.24, 0.24]])
    own = np.repeat([0, 1, 2], [40, 25, 15])
    return np.stack([rng.dirichlet(200 * means[c]) for c in own]), own


def test_predictive_similarity_is_of_symmetric_divergences():
    p, _ = answers()
    found = harmony.predictive_similarity(p)
    for i, j in [(0, 1), (0, 50), (70, 3)]:
        both = (p[i] * np.log(p[i] / p[j])).sum() + (p[j] * np.log(p[j] / p[i])).sum()
        assert found[i, j] == pytest.approx(np.exp(-both / 2))
    np.testing.assert_allclose(np.diag(found), 1)
    np.testing.assert_allclose(found, found.T)


def test_parts_are_the_groups_of_alike_items():
    p, own = answers()
    similarity = harmony.predictive_similarity(p)
    found = harmony.parts(similarity, np.random.default_rng(0), most=8)
    assert metrics.adjusted_rand_score(own, found.part) > 0.95
    away = 1 - similarity
    np.fill_diagonal(away, 0)
    expected = metrics.silhouette_score(away, found.part, metric="precomputed")
    assert found.silhouette == pytest.approx(expected)
    assert harmony.silhouette(away, np.zeros(len(own), int)) == -1
    with pytest.raises(errors.PlanError, match="2 items have no parts"):
        harmony.parts(np.eye(2), np.random.default_rng(0))
