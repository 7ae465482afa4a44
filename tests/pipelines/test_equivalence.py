"""The same rows and bytes, however the work is cut, ordered, spread or stored."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import finding, storage
from tamis.pipelines import chain

STAGES = tuple(chain.STAGES)[:-1]
SAME = ("index", "tiers", "manifest")
MORE = ("embeddings", "clusters", "scores", "duplicates", "random", "everything")


def contents(root, *folders):
    """Path below the run folder to bytes."""
    root = str(root)
    urls = [u for folder in folders or SAME + MORE for u in finding.tree(f"{root}/{folder}")]
    return {u[len(root) :]: storage.read_bytes(u) for u in urls}


def selected(root):
    """(budget, uid) to repeats."""
    found = {}
    for path in sorted(root.glob("manifest/*/part-*.parquet")):
        for row in pq.read_table(path, columns=["uid", "repeats"]).to_pylist():
            found[path.parent.name, row["uid"]] = row["repeats"]
    return found


@pytest.fixture(scope="module")
def measured(finished):
    """The finished run's measurements stand in for pilots of its own."""
    return {"measurements": str(finished / "pilots" / "measurements.parquet")}


def test_seven_workers_in_another_folder_give_the_same_bytes(finished, configured, tmp_path):
    args = ("--direct_num_workers=7", "--direct_running_mode=multi_threading")
    chain.run(configured(tmp_path / "run"), stages=STAGES, args=args)
    assert contents(tmp_path / "run") == contents(finished)


def test_seven_processes_give_the_same_index(finished, configured, tmp_path):
    chain.run(configured(tmp_path / "run", runner={"workers": 7}), stages=("ingest",))
    assert contents(tmp_path / "run", "index") == contents(finished, "index")


def test_two_processes_give_the_same_tiers_and_manifests_in_silence(
    finished, copied, configured, capfd
):
    ledger = json.loads((copied / "run.json").read_text())
    for stage in ("tier", "select"):
        del ledger["stages"][stage]
    (copied / "run.json").write_text(json.dumps(ledger))
    shutil.rmtree(copied / "tiers")
    chain.run(configured(copied, runner={"workers": 2}), stages=("tier", "select"))
    folders = ("tiers", "manifest", "random", "everything")
    assert contents(copied, *folders) == contents(finished, *folders)
    assert capfd.readouterr() == ("", "")


def test_a_run_in_an_object_store_gives_the_same_bytes(finished, configured):
    root = "memory://equivalence/run"
    chain.run(configured(root))
    assert contents(root) == contents(finished)


def test_other_shards_keep_the_selected_rows(finished, configured, tmp_path):
    chain.run(configured(tmp_path / "run", ingest={"shard_rows": 37}), stages=STAGES)
    assert selected(tmp_path / "run") == selected(finished)


def test_the_order_of_the_input_keeps_the_selected_rows(
    corpus, configured, measured, finished, tmp_path
):
    for name in ("near", "far"):
        lines = (corpus / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / f"{name}.jsonl").write_text("".join(reversed(lines)))
    turned = {n: {"path": str(tmp_path / f"{n}.jsonl")} for n in ("near", "far")}
    chain.run(configured(tmp_path / "run", sources=turned, plan=measured), stages=STAGES)
    assert selected(tmp_path / "run") == selected(finished)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Four planted clusters a source, with labels and ids."""
    folder, rng = tmp_path_factory.mktemp("vectors"), np.random.default_rng(2)
    centres = rng.standard_normal((4, 16))
    for name, n in (("near", 300), ("far", 900), ("target", 80)):
        own = rng.integers(0, 4, n)
        x = (centres[own] + 0.3 * rng.standard_normal((n, 16))).astype(np.float32)
        table = {
            "x": list(x),
            "y": [str(c % 2) for c in own],
            "k": [f"{name}{i}" for i in range(n)],
        }
        pq.write_table(pa.table(table), folder / f"{name}.parquet", row_group_size=256)
    return folder


def test_other_shards_of_precomputed_vectors_keep_the_selected_rows(
    vectors, configured, measured, tmp_path
):
    named = {"text": None, "label": "y", "id": "k", "embedding": "x"}
    paths = {n: {"path": str(vectors / f"{n}.parquet"), **named} for n in ("near", "far", "target")}
    found = []
    for rows in (64, 1000):
        document = configured(
            tmp_path / str(rows),
            sources={n: paths[n] for n in ("near", "far")},
            target=paths["target"],
            embed={"backend": "precomputed"},
            ingest={"shard_rows": rows},
            score={"prototypes": {}, "target_similarity": {}},
            tier={"by": {"prototypes": 1, "target_similarity": 2}, "tiers": 3, "within": "pool"},
            plan={**measured, "budgets": [400]},
        )
        chain.run(document, stages=STAGES)
        found.append(selected(tmp_path / str(rows)))
    assert found[0] == found[1]
