"""Every registered scorer keeps the laws, and the laws notice those that do not."""

import dataclasses
import importlib.util
import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tamis import artifacts, errors, scorers, testing
from tamis.schemas import embeddings, uids
from tamis.scorers import (
    cluster_size,
    combine,
    concepts,
    contamination,
    ddd,
    el2n,
    forgetting,
    grand,
    image_rules,
    image_text,
    importance,
    influence,
    kernel_density,
    language,
    lexical,
    mahalanobis,
    margin,
    memorization,
    near_contamination,
    nearest_neighbours,
    ngram_model,
    perplexity,
    prototypes,
    quality_classifier,
    race,
    recorded,
    ridge,
    supervised_prototypes,
    target_similarity,
    transport_potential,
    uncertainty,
)

N, D = 120, 24
_NEEDS_KENLM = pytest.mark.skipif(not importlib.util.find_spec("kenlm"), reason="needs kenlm")
NAMES = [pytest.param(n, marks=[_NEEDS_KENLM] * (n == "perplexity")) for n in scorers.SCORERS]
WORDS = ["the", "of", "and", "cat", "dog", "#x", "...", "http://a.b", "12", "über", "東京", "tree"]


def unit_rows(n, d=D, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def encoded(seed):
    """A little picture, some of them damaged."""
    sink, rng = io.BytesIO(), np.random.default_rng(seed)
    grey = rng.integers(0, 1 + seed, (2 + seed % 5, 2 + seed % 7))
    Image.fromarray(grey.astype(np.uint8)).save(sink, "PNG")
    return sink.getvalue()[: None if seed % 4 else 50]


def texts():
    rng = np.random.default_rng(2)
    return [
        "\n".join(
            " ".join(rng.choice(WORDS, rng.integers(0, 40))) for _ in range(rng.integers(0, 5))
        )
        for _ in range(N)
    ]


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    return pa.record_batch(
        {
            "uid": uids.of("s", pa.array([str(i) for i in range(N)])),
            "text": pa.array(texts(), pa.large_string()),
            "label": pa.array(["a", "b", "c"]).take(pa.array(rng.integers(0, 3, N))),
            "cosine": pa.array(rng.uniform(-1, 1, N).astype(np.float32)),
            "image": pa.array([encoded(i) for i in range(N)], pa.binary()),
            "image_embedding": embeddings.column(unit_rows(N, seed=3)),
            "text_embedding": embeddings.column(unit_rows(N, seed=4)),
            "score:lexical": pa.array(rng.standard_normal(N).astype(np.float32)),
            "score:prototypes": pa.array(rng.uniform(0, 1, N).astype(np.float32)),
            "cluster": pa.array(rng.integers(0, 5, N).astype(np.int32)),
            "embedding": embeddings.column(unit_rows(N).astype(np.float16)),
        }
    )


def save(folder, name, x):
    np.save(folder / f"{name}.npy", x)
    return str(folder / f"{name}.npy")


def looked_up(batch):
    return np.sort(uids.sortable(uids.from_hex(batch.column("uid"))))


@pytest.fixture(scope="module")
def made(tmp_path_factory, batch, arpa):
    """One of each registered scorer."""
    folder = tmp_path_factory.mktemp("artifacts")
    np.save(folder / "means.npy", unit_rows(3, seed=5))
    np.save(folder / "target.npy", np.repeat(unit_rows(7, seed=6), 6, axis=0))
    np.save(folder / "potential.npy", np.random.default_rng(7).normal(0, 0.1, 42))
    (folder / "labels.json").write_text(json.dumps(["c", "a", "b"]))
    means, labels = str(folder / "means.npy"), str(folder / "labels.json")
    probe = save(folder, "weights", 9 * unit_rows(24, D + 1).reshape(2, 4, 3, D + 1)), labels
    fold = ridge.Moments()
    inverse, coefficients = ridge.solve(fold.result(fold.add(fold.zero(), batch)))
    classifier = (
        save(folder, "inverse", inverse),
        save(folder, "coefficients", coefficients),
        labels,
    )
    target = save(folder, "rows", unit_rows(7, seed=6)), save(folder, "classes", np.arange(7) % 3)
    values = save(folder, "uid", looked_up(batch)), save(folder, "value", np.arange(N, dtype="f4"))
    plain = {
        "el2n": el2n.EL2N(*probe),
        "grand": grand.GraNd(*probe),
        "forgetting": forgetting.Forgetting(*probe),
        "margin": margin.Margin(*probe),
        "ddd": ddd.DichotomousDifficulty(*probe, keep="hard"),
        "uncertainty": uncertainty.Uncertainty(*probe),
        "memorization": memorization.Memorization(*classifier),
        "influence": influence.Influence(*classifier, target=target[0], target_classes=target[1]),
        "recorded": recorded.Recorded(*values, path="", metric=""),
        "prototypes": prototypes.SelfSupervisedPrototypes(),
        "supervised_prototypes": supervised_prototypes.SupervisedPrototypes(means, labels),
        "lexical": lexical.Lexical(),
        "image_rules": image_rules.ImageRules(min_side=3),
        "image_text": image_text.ImageText(),
        "blend": combine.Blend(
            {"lexical": 2.0, "prototypes": -0.1}, {"lexical": "log", "prototypes": "logit"}
        ),
        "target_similarity": target_similarity.TargetSimilarity(str(folder / "target.npy")),
        "transport_potential": transport_potential.TransportPotential(
            str(folder / "target.npy"), str(folder / "potential.npy")
        ),
    }
    plain |= fitted_on_embeddings(folder) | fitted_on_texts(folder, arpa)
    weights = (1.0, 0.1, -0.3, 2.0)
    return plain | {"combine": combine.Combine(tuple(plain.values())[-4:], weights)}


def fitted_on_embeddings(folder):
    rng, x = np.random.default_rng(7), unit_rows(60, seed=8)
    w = kernel_density.frequencies(70, D, h=0.7, seed=1)
    whitener = mahalanobis.whitening(mahalanobis.shrunk(np.cov(x.T), len(x)))
    arrays = {
        "reference": x,
        "names": rng.integers(0, 2**63, (60, 2)).astype(np.uint64),
        "frequencies": w,
        "sketch": kernel_density.phases(x, w).mean(axis=0),
        "planes": race.planes(30, 3, D, seed=2),
        "cells": rng.integers(0, 50, (30, 8)),
        "moments": np.concatenate([x.mean(axis=0)[None], whitener]),
        "classifier": 5 * rng.standard_normal(D + 1),
        "sizes": np.array([1, 900, 3, 40, 0]),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    at = {name: str(folder / f"{name}.npy") for name in arrays}
    return {
        "nearest_neighbours": nearest_neighbours.NearestNeighbours(at["reference"], at["names"]),
        "kernel_density": kernel_density.KernelDensity(at["frequencies"], at["sketch"]),
        "race": race.Race(at["planes"], at["cells"], keep="hard"),
        "mahalanobis": mahalanobis.Mahalanobis(at["moments"], keep="hard"),
        "quality_classifier": quality_classifier.QualityClassifier(at["classifier"]),
        "cluster_size": cluster_size.ClusterSize(at["sizes"]),
        "near_contamination": near_contamination.NearContamination(at["reference"], "tests.csv"),
    }


def fitted_on_texts(folder, arpa):
    rng = np.random.default_rng(9)
    artifacts.write(f"{folder}/ratio.npy", rng.integers(-(2**34), 2**34, 50))
    evaluated = contamination.evaluation(pa.array(texts()[:9]), 3)
    artifacts.write_all(f"{folder}/grams.npz", **evaluated._asdict())
    known = concepts.entries(pa.array(["cat", "cat dog", "the", "tree and the"]))
    artifacts.write_all(f"{folder}/entries.npz", **known._asdict())
    artifacts.write(f"{folder}/counts.npy", np.array([5, 900, 31, 3]))
    counted = ngram_model.count(pa.array(texts()[:9]), 3)
    artifacts.write_all(f"{folder}/counts.npz", **counted._asdict())
    return {
        "language": language.Language(("en", "zh")),
        "ngram_model": ngram_model.NgramModel(f"{folder}/counts.npz"),
        "perplexity": perplexity.Perplexity(arpa, keep="hard"),
        "importance": importance.Importance(f"{folder}/ratio.npy", buckets=50),
        "contamination": contamination.Contamination(f"{folder}/grams.npz", "evaluation.csv"),
        "concept_frequency": concepts.ConceptFrequency(
            f"{folder}/entries.npz", f"{folder}/counts.npy", "concepts.txt"
        ),
        "concept_balance": concepts.ConceptBalance(
            f"{folder}/entries.npz", f"{folder}/counts.npy", "concepts.txt", t=20
        ),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_scorer_keeps_the_laws(name, made, batch):
    assert isinstance(made[name], scorers.find(name))
    testing.check_scorer(made[name], batch)


@pytest.mark.parametrize("name", NAMES)
def test_one_row_is_enough(name, made, batch):
    testing.check_scorer(made[name], batch.slice(5, 1))


def test_the_names_of_columns_are_unique(made):
    assert len({s.name for s in made.values()}) == len(scorers.SCORERS)


def test_an_unknown_scorer_names_the_nearest():
    with pytest.raises(errors.ConfigError, match="no scorer 'lexcal'") as caught:
        scorers.find("lexcal")
    assert "did you mean lexical?" in str(caught.value)
    with pytest.raises(errors.ConfigError, match="choose one, or install its package"):
        scorers.find("zzzz")


@dataclasses.dataclass(frozen=True)
class Broken:
    """Length of the text, wrong in one way."""

    fault: str
    reads: tuple[str, ...] = ("text",)
    name: str = "broken"

    def setup(self):
        pass

    def score(self, batch):
        column = "label" if self.fault == "reads" else "text"
        x = pa.compute.utf8_length(batch.column(column)).to_numpy(zero_copy_only=False)
        x = x.astype(np.float64 if self.fault == "dtype" else np.float32)
        if self.fault == "batch":
            x = x - x.sum(dtype=np.float32)
        if self.fault == "order":
            x = x + np.arange(len(x), dtype=np.float32)
        if self.fault == "finite" and len(x):
            x[0] = np.nan
        return x[1:] if self.fault == "shape" else x


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("dtype", "scores are float32"),
        ("shape", r"\(119,\) scores of 120 rows"),
        ("finite", "scores are finite"),
        ("batch", "score the same"),
        ("order", "same"),
    ],
)
def test_the_laws_name_what_is_broken(fault, law, batch):
    with pytest.raises(AssertionError, match=law):
        testing.check_scorer(Broken(fault), batch)


def test_the_laws_catch_an_undeclared_column(batch):
    with pytest.raises(KeyError):
        testing.check_scorer(Broken("reads"), batch)


def test_the_laws_need_the_declared_columns(batch):
    with pytest.raises(AssertionError, match="lack the columns"):
        testing.check_scorer(Broken(""), batch.select(["label"]))


def test_a_correct_scorer_passes(batch):
    testing.check_scorer(Broken(""), batch)


def test_a_pickled_scorer_leaves_its_artifact_behind(made):
    scorer = made["target_similarity"]
    scorer.setup()
    assert len(pickle.dumps(scorer)) < 1000
