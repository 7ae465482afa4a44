"""Near-copies in the chain, against a plain flood over all pairs, however the work is cut."""

import dataclasses
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from tamis import errors
from tamis.pipelines import chain, extend, meet, near, select, verify
from tamis.schemas import embeddings
from tamis.selectors import near_pairs
from tests.pipelines import copies

THRESHOLD = 0.8
SMALL = {"block_rows": 30, "threshold": THRESHOLD, "floor": 0.7}
STAGES = ("ingest", "embed", "cluster", "score", "dedup")
ALL = tuple(chain.STAGES)[:-1]  # what check measures is no concern of this file


@pytest.fixture(scope="module")
def copied_corpus(tmp_path_factory, paragraphs):
    """Near copies are one row in five, of one word less."""
    return copies.corpus(tmp_path_factory.mktemp("near"), paragraphs, 1 / 5, lambda _: 1)


@pytest.fixture(scope="module")
def settled(copied_corpus, configured):
    def settle(run, folder=copied_corpus, **changes):
        base = {
            "sources": copies.sources(folder),
            "dedup": SMALL,
            "cluster": {"k": 4},
            "plan": {"budgets": [100]},
        }
        return configured(run, **{**base, **changes})

    return settle


@pytest.fixture(scope="module")
def done(tmp_path_factory, settled):
    root = tmp_path_factory.mktemp("done") / "run"
    chain.run(settled(root), stages=ALL)
    return root


def table(root):
    """Every supply row in input order, with its vector."""
    names = [path.name for path in sorted((root / "duplicates").glob("part-*.parquet"))]
    parts = [pq.read_table(root / "embeddings" / name)["embedding"] for name in names]
    x = [vector for part in parts for vector in embeddings.matrix(part)]
    return [{**row, "x": vector} for row, vector in zip(copies.table(root), x, strict=True)]


def flood(x, threshold):
    x = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    label, near_by = np.arange(len(x)), (x @ x.T >= threshold) | np.eye(len(x), dtype=bool)
    while True:
        lowest = np.min(np.where(near_by, label[None, :], len(x)), axis=1)
        if np.array_equal(lowest, label):
            return label
        label = np.minimum(lowest, label)


def test_groups_are_those_of_a_flood_over_all_pairs(done):
    rows = table(done)
    x = np.stack([r["x"] for r in rows])
    label = flood(x, THRESHOLD)
    place = {r["place"]: i for i, r in enumerate(rows)}
    several = 0
    for group in np.unique(label):
        mine = [rows[i] for i in np.flatnonzero(label == group)]
        best = min(
            mine,
            key=lambda r: (-r["score"], np.frombuffer(bytes.fromhex(r["uid"]), "<u8").tolist()),
        )
        several += len({r["uid"] for r in mine}) > 1
        kept = [r for r in mine if r["dup_of"] is None]
        assert [r["uid"] for r in kept] == [best["uid"]]
        for r in mine:
            assert r["dup_count"] == len(mine)
            if r["dup_of"]:
                assert r["dup_of"] == kept[0]["place"]
                wide = [x[place[p]].astype(np.float64) for p in (r["place"], r["dup_of"])]
                cosine = wide[0] @ wide[1] / np.linalg.norm(wide[0]) / np.linalg.norm(wide[1])
                assert r["dup_cosine"] == pytest.approx(cosine, abs=1e-6)
            else:
                assert r["dup_cosine"] is None
    assert several > 30


def test_the_work_was_cut_into_blocks(done):
    """Or this file shows nothing: some cells are above the cap."""
    sizes = np.zeros(4, int)
    for path in (done / "duplicates").glob("*.parquet"):
        sizes += np.bincount(pq.read_table(done / "clusters" / path.name)["cluster"], minlength=4)
    assert sizes.max() > 2 * SMALL["block_rows"]


def test_other_shards_keep_the_same_rows(done, settled, tmp_path):
    chain.run(settled(tmp_path / "run", ingest={"shard_rows": 37}), stages=STAGES)
    assert copies.by_uid(tmp_path / "run") == copies.by_uid(done)


def test_another_order_of_the_input_keeps_the_same_rows(done, settled, copied_corpus, tmp_path):
    for name in ("near", "far"):
        lines = (copied_corpus / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / f"{name}.jsonl").write_text("".join(reversed(lines)))
    chain.run(settled(tmp_path / "run", tmp_path), stages=STAGES)
    assert copies.by_uid(tmp_path / "run") == copies.by_uid(done)


def outputs(root):
    found = [*(root / "duplicates").glob("*.parquet"), *(root / "near").glob("*.parquet")]
    return {p.name: p.read_bytes() for p in found}


@pytest.fixture
def undone(done, tmp_path):
    """A copy of the run as it was before dedup."""
    root = tmp_path / "run"
    shutil.copytree(done, root)
    for folder in ("duplicates", "exact", "near"):
        shutil.rmtree(root / folder)
    ledger = json.loads((root / "run.json").read_text())
    del ledger["stages"]["dedup"]
    (root / "run.json").write_text(json.dumps(ledger))
    return root


def test_many_rounds_and_threads_give_the_same_bytes(done, undone, settled, monkeypatch):
    monkeypatch.setattr(near, "ROUND_BYTES", 300_000)
    monkeypatch.setattr(meet, "_OPEN_PAIRS", 5)
    args = ("--direct_num_workers=5", "--direct_running_mode=multi_threading")
    chain.run(settled(undone), stages=("dedup",), args=args)
    assert outputs(undone) == outputs(done)


def test_two_processes_give_the_same_bytes(done, undone, settled):
    chain.run(settled(undone, runner={"workers": 2}), stages=("dedup",))
    assert outputs(undone) == outputs(done)


def test_larger_blocks_and_other_caps_give_the_same_rows(done, undone, settled):
    chain.run(settled(undone, dedup={**SMALL, "block_rows": 10_000}), stages=("dedup",))
    assert copies.by_uid(undone) == copies.by_uid(done)


def test_copies_are_in_no_manifest_and_rows_balance(done, settled):
    rows = table(done)
    dropped = {r["uid"] for r in rows} - {r["uid"] for r in rows if r["dup_of"] is None}
    for kind in select.KINDS:
        for path in (done / kind).glob("*/part-*.parquet"):
            assert not dropped & set(pq.read_table(path)["uid"].to_pylist())
    with chain.opened(settled(done)) as here:
        for b in verify.balance(here):
            assert b.duplicate == sum(r["dup_of"] is not None for r in rows)
        said = []
        verify.verify(here, said.append)
        assert any(line.startswith("dedup: 8 sidecars") for line in said)
        assert "dedup: 1 files are as they were written" in said


def test_the_ledger_tells_what_every_threshold_merges(done):
    entry = json.loads((done / "run.json").read_text())["stages"]["dedup"]
    rows = table(done)
    unique = list({r["uid"]: r["x"] for r in rows}.values())
    for t, merged in zip(entry["thresholds"], entry["merged"], strict=True):
        assert merged == len(unique) - len(np.unique(flood(np.stack(unique), t)))
    assert entry["duplicates"] == sum(r["dup_of"] is not None for r in rows)
    assert entry["near"] == entry["merged"][entry["thresholds"].index(THRESHOLD)]
    assert entry["capped"] >= 0


def test_another_threshold_compares_nothing_again(done, tmp_path, settled, monkeypatch):
    root = tmp_path / "run"
    shutil.copytree(done, root)
    edges = outputs(root)
    monkeypatch.setattr(meet, "Meet", None)
    again = {**SMALL, "threshold": 0.9}
    with pytest.raises(errors.ArtifactError, match="stage 'dedup' is stale"):
        chain.run(settled(root, dedup=again), stages=("dedup",))
    chain.run(settled(root, dedup=again), stages=("dedup",), redo=True)
    rows = table(root)
    label = flood(np.stack([r["x"] for r in rows]), 0.9)
    assert sum(r["dup_of"] is None for r in rows) == len(np.unique(label))
    assert {n: b for n, b in edges.items() if n.startswith("edges")}.items() <= outputs(
        root
    ).items()


def test_a_lost_sidecar_is_made_again_the_same(done, tmp_path, settled):
    root = tmp_path / "run"
    shutil.copytree(done, root)
    next((root / "duplicates").glob("*.parquet")).unlink()
    chain.run(settled(root), stages=("dedup",))
    assert outputs(root) == outputs(done)


def test_no_scratch_is_left(done):
    assert not list((done / "scratch").rglob("*.parquet"))


def test_a_pool_without_near_copies_and_an_empty_shard(configured, tmp_path, corpus):
    bad = '{"id": "%s", "text": ""}\n'
    lines = "".join(bad % f"bad{i}" for i in range(100)) + (corpus / "near.jsonl").read_text()
    (tmp_path / "near.jsonl").write_text(lines)
    names = {"near": {"path": str(tmp_path / "near.jsonl")}, "far": None}
    document = configured(
        tmp_path / "run",
        sources=names,
        ingest={"max_rejected_fraction": 0.9},
        dedup={"threshold": 0.9999},
    )
    chain.run(document, stages=STAGES)
    rows = table(tmp_path / "run")
    assert len(rows) == 120
    assert all(r["dup_of"] is None and r["dup_count"] == 1 for r in rows)


@pytest.mark.parametrize(
    ("threshold", "lowest"), [(0.99, 0.95), (0.95, 0.9), (0.94, 0.9), (0.93, 0.85), (0.06, 0.05)]
)
def test_the_floor_is_a_round_number_some_way_below(configured, tmp_path, threshold, lowest):
    assert configured(tmp_path / "run", dedup={"threshold": threshold}).dedup.lowest == lowest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dedup": {"threshold": 1.5}}, "dedup.threshold"),
        ({"dedup": {"threshold": 0.9, "floor": 0.95}}, "floor may not be above"),
        ({"dedup": {"treshold": 0.9}}, "did you mean 'threshold'"),
        ({"dedup": {"threshold": 0.9}, "ingest": {"duplicates": "keep"}}, "keeps exact ones"),
    ],
)
def test_what_cannot_be_meant_is_refused(configured, tmp_path, changes, message):
    with pytest.raises(errors.ConfigError, match=message):
        configured(tmp_path / "run", **changes)


@pytest.fixture
def products(monkeypatch):
    """How many pairs are compared, by sides."""
    found, plain = [], near_pairs.between

    def counted(left, right, threshold):
        found.append(len(left) * len(right))
        return plain(left, right, threshold)

    monkeypatch.setattr(near_pairs, "between", counted)
    return found


def test_an_extended_run_compares_what_is_new_and_has_the_edges_of_all(
    done, settled, copied_corpus, tmp_path, products
):
    """New rows: near and exact copies of old ones and of each other."""
    lines = (copied_corpus / "far.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines[20:45]]
    again = [{**r, "id": f"n{i}-{r['id']}"} for i in range(2) for r in rows]
    for i, row in enumerate(again):
        row["text"] += " indeed" * (i % 3)
    copies.write_jsonl(tmp_path / "later.jsonl", [*again, *map(json.loads, lines[3:6])])
    asked = extend.more(
        chain.reading(str(done)),
        str(tmp_path / "extended"),
        files={"far": [str(tmp_path / "later.jsonl")]},
    )
    here = chain.run(asked, stages=STAGES)
    extended = sum(products)
    products.clear()
    fresh = asked.model_copy(update={"run": str(tmp_path / "fresh")})
    chain.run(fresh, stages=STAGES, adopt=False)
    assert extended < sum(products) / 2
    both = [outputs(tmp_path / name) for name in ("extended", "fresh")]
    assert sum(name.startswith("edges") for name in both[0]) == 1
    assert both[0] == both[1]
    # The old edges may be gone: then all is compared.
    assert near._known(here, tuple(s.name for s in here.cut("supply"))) is not None
    lost = dataclasses.replace(here.earlier, root=str(tmp_path / "nowhere"))
    here.__dict__["earlier"] = lost
    assert near._known(here, tuple(s.name for s in here.cut("supply"))) is None
