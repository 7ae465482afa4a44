"""Scorers that are fitted to the labelled supply, through Beam, on a real corpus."""

import json
import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import errors, report, scorers, sidecars
from tamis.pilots import linear_probe
from tamis.pipelines import chain, fits
from tamis.schemas import columns, embeddings, shards
from tamis.scorers import collector, el2n, ridge
from tamis.selectors import pruning

FITTED = {name: {} for name in (*scorers.PROBES, "memorization")} | {"influence": {"over": "max"}}


@pytest.fixture(scope="module")
def scored(finished, configured, tmp_path_factory):
    """A session of a run with every fitted scorer."""
    root = shutil.copytree(finished, tmp_path_factory.mktemp("fits") / "run")
    described = configured(root, score={"prototypes": {}, **FITTED})
    return chain.run(described, stages=("ingest", "score"))


def rows(run, reads):
    parts = [
        batch
        for shard in run.cut("supply")
        for _, batch in run.view().batches(shards.Span((shard,)), reads)
    ]
    return pa.Table.from_batches(parts).combine_chunks()


def column(run, name):
    return rows(run, (f"score:{name}",))[f"score:{name}"].to_numpy()


def test_all_probe_scores_share_one_artifact(scored):
    folders = (pathlib.Path(scored.root) / "artifacts").iterdir()
    assert sorted(p.name.partition("-")[0] for p in folders) == ["influence", "probe", "ridge"]


def artifact(run, name, file):
    (folder,) = (pathlib.Path(run.root) / "artifacts").glob(f"{name}-*")
    return folder / file


def test_every_score_is_of_every_row(scored):
    n = rows(scored, (columns.UID,)).num_rows
    for name in FITTED:
        assert column(scored, name).shape == (n,)
        assert len(np.unique(column(scored, name))) > 5


def test_scores_do_not_depend_on_the_cut(scored, configured, tmp_path):
    finer = configured(tmp_path / "run", ingest={"shard_rows": 37}, score=scored.config.score)
    other = chain.run(finer, stages=("ingest", "embed", "cluster", "score"))
    reads = (columns.UID, *(f"score:{name}" for name in FITTED))
    by_uid = [rows(run, reads).sort_by(columns.UID) for run in (scored, other)]
    assert by_uid[0].equals(by_uid[1])


def test_the_probe_learned_the_sample(scored):
    """All rows are in the sample here, so the trained probe is right on most of them."""
    table = rows(scored, (columns.LABEL, columns.EMBEDDING))
    weights = np.load(artifact(scored, "probe", "weights.npy"))
    labels = json.loads(artifact(scored, "probe", "labels.json").read_text())
    assert weights.shape[:3] == (fits.RUNS, fits.EPOCHS, 2)
    x = embeddings.matrix(table[columns.EMBEDDING])
    y = np.array([labels.index(v) for v in table[columns.LABEL].to_pylist()])
    errors_ = [linear_probe.error(run, x, y).tolist() for run in weights.transpose(1, 0, 2, 3)]
    assert np.mean(errors_[-1]) < min(0.2, np.mean(errors_[0]))
    z = np.einsum("nd,mcd->nmc", x, weights[:, 0, :, :-1]) + weights[:, 0, :, -1]
    want = el2n.el2n(z, np.broadcast_to(y[:, None], z.shape[:2])).mean(1)
    np.testing.assert_allclose(column(scored, "el2n"), -want, rtol=1e-4, atol=1e-6)


def test_the_ridge_classifier_saw_every_labelled_row(scored):
    table = rows(scored, ridge.Moments.reads)
    fold = ridge.Moments()
    whole = fold.result(fold.add(fold.zero(), table.to_batches()[0]))
    inverse, coefficients = ridge.solve(whole)
    assert np.array_equal(np.load(artifact(scored, "ridge", "inverse.npy")), inverse)
    assert np.array_equal(np.load(artifact(scored, "ridge", "coefficients.npy")), coefficients)


@pytest.mark.parametrize(("budget", "share"), [(60, 0.1), (480, 0.8)])
def test_theory_decides_which_end_to_keep(copied, configured, budget, share):
    """600 rows; the ledger has the reason, which the report shows."""
    options = {"score": {"el2n": {"keep": "theory"}}, "plan": {"budgets": [30, budget]}}
    run = chain.run(configured(copied, tier={"by": "el2n"}, **options), stages=("ingest", "score"))
    table = rows(run, (columns.EMBEDDING,))
    assert table.num_rows == 600
    advice = pruning.advise(600 / table[columns.EMBEDDING].type.list_size, share)
    entry = run.entry("score:el2n")
    assert (entry["keep"], entry["reason"]) == (advice.strategy, advice.reason)
    assert (column(run, "el2n") >= 0).all() == (advice.strategy == "hard")


def test_the_report_says_which_end_is_kept_and_why(finished, configured):
    with chain.opened(configured(finished)) as run:
        page = report.build(report.gather(run))
    assert "prototypes: easy first" in page
    assert "The default; pilots try every tier all the same." in page


def test_recorded_scores_become_sidecars(copied, configured, tmp_path):
    run = chain.run(configured(copied), stages=("ingest",))
    uid = rows(run, (columns.UID,))[columns.UID]
    taken = collector.Collector()
    z = np.random.default_rng(0).standard_normal((len(uid), 2))
    taken.record(uid, z, np.zeros(len(uid), int))
    path = tmp_path / "dynamics.parquet"
    taken.write(str(path))
    options = {"recorded": {"path": str(path), "metric": "el2n", "keep": "high"}}
    described = configured(copied, score={"prototypes": {}, "lexical": {}, **options})
    found = column(chain.run(described, stages=("ingest", "score")), "recorded")
    assert found.tolist() == taken.result()[1]["el2n"].astype(np.float32).tolist()

    table = pq.read_table(path)
    path.write_bytes(sidecars.encode(table.slice(2), {}))
    with pytest.raises(errors.ArtifactError, match="'score:recorded' is stale"):
        chain.run(described, stages=("ingest", "score"))
    with pytest.raises(errors.SchemaError, match="1 rows of a batch were never recorded"):
        chain.run(described, stages=("ingest", "score"), redo=True)
    path.unlink()
    with pytest.raises(errors.ConfigError, match="there is no file"):
        chain.run(described, stages=("ingest", "score"))


@pytest.fixture
def unpiloted(tmp_path):
    """A plan that needs no pilots, and so neither labels nor a target."""
    path = tmp_path / "runs.csv"
    path.write_text("samples,error,weight:near,supply:near\n10,0.5,1,100\n")
    return {"measurements": str(path)}


def test_a_supply_without_labels_is_an_error(configured, unpiloted, tmp_path):
    described = configured(
        tmp_path / "run",
        sources={"near": {"label": None}, "far": None},
        target=None,
        score={"prototypes": {}, "el2n": {}},
        plan=unpiloted,
    )
    with pytest.raises(errors.PlanError, match="the supply has 0 labels"):
        chain.run(described, stages=("ingest", "embed", "cluster", "score"))


def test_influence_needs_a_target(configured, unpiloted, tmp_path):
    described = configured(
        tmp_path / "run",
        sources={"far": None},
        target=None,
        score={"prototypes": {}, "influence": {}},
        plan=unpiloted,
    )
    with pytest.raises(errors.ConfigError, match="influence needs a target"):
        chain.run(described, stages=("ingest", "embed", "cluster", "score"))
