"""`keep: auto`: the decision is the theory's for this run's numbers, and is told."""

import json
import pathlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from tamis import errors, linalg
from tamis.pipelines import chain, plan
from tamis.schemas import embeddings
from tamis.scorers import prototypes
from tamis.selectors import pruning

BEFORE = ("ingest", "embed", "cluster", "score")


def scored(configured, root, budget, stages=BEFORE, measurements="", **changes):
    score = {"prototypes": {"keep": "auto"}}
    planned = {"budgets": [budget], "measurements": measurements}
    document = configured(root, score=score, plan=planned, **changes)
    return chain.run(document, stages=stages)


def column(root, folder, name):
    parts = sorted((pathlib.Path(root) / folder).glob("part-*.parquet"))
    return np.concatenate([pq.read_table(p)[name].to_numpy() for p in parts])


def test_the_decision_is_the_theory_s_and_stands_in_the_ledger(configured, tmp_path):
    run = scored(configured, tmp_path / "run", 100)
    entry = run.entry("score:prototypes")
    x = [
        embeddings.matrix(pq.read_table(p)["embedding"])
        for p in sorted((tmp_path / "run" / "embeddings").glob("part-*.parquet"))
    ]
    supply = np.concatenate(x)[:600]  # 120 near, 480 far, then the target
    dimension = linalg.effective_dimension(supply)
    advice = pruning.advise(600 / dimension, 100 / 600)
    assert entry["keep"] == advice.strategy
    assert advice.reason in entry["reason"]
    assert f"600 rows, {dimension:.0f} effective dimensions, at most 100 samples" in entry["reason"]
    sign = 1 if entry["keep"] == "hard" else -1
    cosine = column(run.root, "clusters", "cosine")
    np.testing.assert_allclose(
        column(run.root, "scores/prototypes", "score"), sign * (1 - cosine), atol=1e-6
    )


def test_a_budget_that_sees_every_row_prunes_nothing(configured, tmp_path):
    run = scored(configured, tmp_path / "run", 5000)
    assert "Nothing is pruned" in run.entry("score:prototypes")["reason"]


def test_the_plan_tells_the_reason(configured, tmp_path, finished):
    own = str(finished / "pilots" / "measurements.parquet")
    stages = (*BEFORE, "dedup", "tier", "plan")
    tier = {"by": "prototypes"}
    run = scored(configured, tmp_path / "run", 400, stages, tier=tier, measurements=own)
    [note] = [n for n in plan.read(run).notes if n.startswith("Score prototypes keeps the")]
    assert "effective dimensions" in note
    assert note in json.loads((tmp_path / "run" / "plan" / "plan.json").read_text())["notes"]


def test_outside_of_a_run_nobody_has_decided():
    scorer = prototypes.SelfSupervisedPrototypes("auto")
    with pytest.raises(errors.ConfigError, match="keep: auto is decided by a run"):
        scorer.setup()


@pytest.mark.parametrize("d", [1, 3, 8])
def test_the_effective_dimension_of_a_ball_is_its_dimension(d):
    x = np.random.default_rng(0).standard_normal((20_000, d))
    assert linalg.effective_dimension(x) == pytest.approx(d, rel=0.01)
    padded = np.concatenate([x, np.zeros((len(x), 4))], axis=1) + 7
    assert linalg.effective_dimension(padded) == pytest.approx(d, rel=0.01)


def test_the_effective_dimension_is_that_of_the_eigenvalues():
    x = np.random.default_rng(1).standard_normal((500, 6)) * [5, 2, 1, 1, 0.5, 0.1]
    values = np.linalg.eigvalsh(np.cov(x.T))
    want = values.sum() ** 2 / (values**2).sum()
    assert linalg.effective_dimension(x) == pytest.approx(want)
    assert linalg.effective_dimension(np.ones((5, 3))) == 1.0
