import json

import numpy as np
import pyarrow as pa
import pytest

from tamis import clusters, errors
from tamis.schemas import embeddings
from tamis.scorers import combine, prototypes, supervised_prototypes, target_similarity


def unit_rows(n, d=8, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_easy_is_near_and_hard_is_far():
    batch = pa.record_batch({"cosine": np.array([1.0, 0.5, -1.0], np.float32)})
    assert prototypes.SelfSupervisedPrototypes("hard").score(batch).tolist() == [0, 0.5, 2]
    assert prototypes.SelfSupervisedPrototypes("easy").score(batch).tolist() == [0, -0.5, -2]


def test_the_hardest_row_is_the_one_far_from_every_cluster():
    centres = unit_rows(3, 16)
    x = np.repeat(centres, 20, axis=0)
    x = np.concatenate([x, unit_rows(1, 16, seed=9)])
    cosine = clusters.assign(x, centres).cosine
    hard = prototypes.SelfSupervisedPrototypes("hard").score(pa.record_batch({"cosine": cosine}))
    assert hard.argmax() == 60


@pytest.mark.parametrize("keep", ["Easy", "", "both"])
def test_keep_is_easy_or_hard(keep):
    with pytest.raises(errors.ConfigError, match=f"keep is {keep!r}") as caught:
        prototypes.SelfSupervisedPrototypes(keep)
    assert "easy or hard" in str(caught.value)
    with pytest.raises(errors.ConfigError, match=f"keep is {keep!r}"):
        supervised_prototypes.SupervisedPrototypes("a", "b", keep)


def supervised(folder, means, labels, **settings):
    np.save(folder / "means.npy", means)
    (folder / "labels.json").write_text(json.dumps(labels))
    return supervised_prototypes.SupervisedPrototypes(
        str(folder / "means.npy"), str(folder / "labels.json"), **settings
    )


def rows(x, labels):
    return pa.record_batch(
        {"embedding": embeddings.column(x), "label": pa.array(labels, pa.string())}
    )


def test_supervised_prototypes_measure_the_own_class(tmp_path):
    means, x = unit_rows(2), unit_rows(6, seed=1)
    labels = ["b", "a", "a", "b", "b", "a"]
    scorer = supervised(tmp_path, means, ["b", "a"], keep="hard")
    expected = [1 - x[i] @ means[0 if labels[i] == "b" else 1] for i in range(6)]
    np.testing.assert_allclose(scorer.score(rows(x, labels)), expected, atol=1e-6)
    easy = supervised(tmp_path, means, ["b", "a"]).score(rows(x, labels))
    np.testing.assert_allclose(easy, -np.array(expected), atol=1e-6)


@pytest.mark.parametrize("label", ["z", None])
def test_a_label_without_a_mean_is_an_error(tmp_path, label):
    scorer = supervised(tmp_path, unit_rows(2), ["a", "b"])
    with pytest.raises(errors.SchemaError, match=f"label {label!r} of row 1 of a batch"):
        scorer.score(rows(unit_rows(2), ["a", label]))


def test_means_and_labels_must_agree(tmp_path):
    scorer = supervised(tmp_path, unit_rows(2), ["a"])
    with pytest.raises(errors.ArtifactError, match=r"1 labels for means of shape \(2, 8\)"):
        scorer.setup()


def test_target_similarity_is_the_largest_cosine(tmp_path):
    x, target = unit_rows(50), unit_rows(9, seed=3)
    np.save(tmp_path / "t.npy", target.astype(np.float16))
    scorer = target_similarity.TargetSimilarity(str(tmp_path / "t.npy"))
    scorer.setup()
    batch = pa.record_batch({"embedding": embeddings.column(x)})
    np.testing.assert_allclose(scorer.score(batch), (x @ target.T).max(axis=1), atol=1e-3)


def test_an_empty_target_is_an_error(tmp_path):
    np.save(tmp_path / "t.npy", np.empty((0, 4), np.float32))
    with pytest.raises(errors.ArtifactError, match=r"target embeddings of shape \(0, 4\)"):
        target_similarity.TargetSimilarity(str(tmp_path / "t.npy")).setup()


def test_combine_is_the_weighted_sum():
    easy = prototypes.SelfSupervisedPrototypes("easy")
    hard = prototypes.SelfSupervisedPrototypes("hard", name="hard")
    batch = pa.record_batch({"cosine": np.array([1.0, 0.5, -1.0], np.float32)})
    both = combine.Combine((easy, hard), (1.0, 3.0))
    assert both.reads == ("cosine",)
    assert both.score(batch).tolist() == [0, 1, 4]


@pytest.mark.parametrize("name", combine.TRANSFORMS)
def test_transforms_rise(name):
    x = np.linspace(0, 1, 999) if name == "logit" else np.linspace(-9, 9, 999)
    found = combine.TRANSFORMS[name](x)
    assert np.all(np.isfinite(found))
    assert np.all(np.diff(found) > 0)


def test_transforms_by_hand():
    x = np.array([-3, 0.25, 4], np.float32)
    found = [combine.weighted_sum([x], [1], [name]).tolist() for name in ("log", "root")]
    np.testing.assert_allclose(found[0], [-np.log(4), np.log(1.25), np.log(5)], rtol=1e-6)
    np.testing.assert_allclose(found[1], [-np.sqrt(3), 0.5, 2], rtol=1e-6)
    p = np.array([0.25, 0.5], np.float32)
    np.testing.assert_allclose(
        combine.weighted_sum([p], [1], ["logit"]), [-np.log(3), 0], atol=1e-6
    )


def test_a_blend_reads_the_scores_of_the_run():
    rows = pa.record_batch(
        {"score:a": np.array([1, 2], np.float32), "score:b": np.array([4, 9], np.float32)}
    )
    blend = combine.Blend({"a": 2, "b": -1}, {"b": "root"})
    assert blend.reads == ("score:a", "score:b")
    assert blend.score(rows).tolist() == [0, 1]
    with pytest.raises(errors.ConfigError, match="a transform for 'c', which has no weight"):
        combine.Blend({"a": 1}, {"c": "log"})
    with pytest.raises(errors.ConfigError, match="there is no transform 'square'"):
        combine.Blend({"a": 1}, {"a": "square"})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((), "0 weights and 0 transforms for 1 scorers"),
        ((1, 2), "2 weights and 0"),
        ((np.nan,), "not finite"),
    ],
)
def test_combine_needs_a_finite_weight_each(weights, message):
    with pytest.raises(errors.ConfigError, match=message):
        combine.Combine((prototypes.SelfSupervisedPrototypes(),), weights)
