"""Every registered scorer keeps the laws, and the laws notice those that do not."""

import dataclasses
import json
import pickle
from importlib import metadata

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors, scorers, testing
from tamis.schemas import embeddings, uids
from tamis.scorers import (
    combine,
    lexical,
    prototypes,
    supervised_prototypes,
    target_similarity,
    transport_potential,
)

N, D = 120, 24
WORDS = ["the", "of", "and", "cat", "dog", "#x", "...", "http://a.b", "12", "über", "東京", "tree"]


def unit_rows(n, d=D, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


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
            "embedding": embeddings.column(unit_rows(N).astype(np.float16)),
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One of each registered scorer."""
    folder = tmp_path_factory.mktemp("artifacts")
    np.save(folder / "means.npy", unit_rows(3, seed=5))
    np.save(folder / "target.npy", np.repeat(unit_rows(7, seed=6), 6, axis=0))
    np.save(folder / "potential.npy", np.random.default_rng(7).normal(0, 0.1, 42))
    (folder / "labels.json").write_text(json.dumps(["c", "a", "b"]))
    means, labels = str(folder / "means.npy"), str(folder / "labels.json")
    plain = {
        "prototypes": prototypes.SelfSupervisedPrototypes(),
        "supervised_prototypes": supervised_prototypes.SupervisedPrototypes(means, labels),
        "lexical": lexical.Lexical(),
        "target_similarity": target_similarity.TargetSimilarity(str(folder / "target.npy")),
        "transport_potential": transport_potential.TransportPotential(
            str(folder / "target.npy"), str(folder / "potential.npy")
        ),
    }
    return plain | {"combine": combine.Combine(tuple(plain.values()), (1.0, 0.1, -0.3, 2.0, 0.5))}


@pytest.mark.parametrize("name", scorers.SCORERS)
def test_every_scorer_keeps_the_laws(name, made, batch):
    assert isinstance(made[name], scorers.find(name))
    testing.check_scorer(made[name], batch)


@pytest.mark.parametrize("name", scorers.SCORERS)
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


def test_a_plug_in_is_found_by_its_entry_point(monkeypatch):
    point = metadata.EntryPoint("mine", "tamis.scorers.combine:Combine", scorers.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: metadata.EntryPoints([point]))
    assert scorers.find("mine") is combine.Combine
    with pytest.raises(errors.ConfigError, match="did you mean mine"):
        scorers.find("mines")


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
