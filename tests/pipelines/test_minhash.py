"""Near-copies by their texts in the chain, against sets in plain Python, however work is cut."""

import itertools
import json
import shutil
import sys

import numpy as np
import pyarrow as pa
import pytest
import yaml

from tamis import errors, runfile
from tamis.pipelines import chain, minhash, verify
from tamis.report import near_copies
from tamis.schemas import shards
from tamis.selectors import duplicate_groups, text_duplicates
from tests.pipelines import copies

pytest.importorskip("rensa")

THRESHOLD = 0.6
STAGES = ("ingest", "embed", "cluster", "score", "dedup")


@pytest.fixture(scope="module")
def copied_corpus(tmp_path_factory, paragraphs):
    """Near copies are two rows in five, of a word or two less."""
    return copies.corpus(tmp_path_factory.mktemp("minhash"), paragraphs, 2 / 5, lambda i: 1 + i % 2)


@pytest.fixture(scope="module")
def settled(copied_corpus, configured):
    def settle(run, folder=copied_corpus, **changes):
        base = {
            "sources": copies.sources(folder),
            "dedup": {"minhash": THRESHOLD},
            "cluster": {"k": 4},
        }
        return configured(run, **{**base, **changes})

    return settle


@pytest.fixture(scope="module")
def done(tmp_path_factory, settled):
    root = tmp_path_factory.mktemp("done") / "run"
    chain.run(settled(root), stages=STAGES)
    return root


@pytest.fixture(scope="module")
def texts(done, settled):
    """uid to text, in the order of the uids' halves."""
    found = {}
    with chain.opened(settled(done)) as here:
        for shard in here.cut("supply"):
            for _, batch in here.view().batches(shards.Span((shard,)), ("uid", "text")):
                found |= zip(batch["uid"].to_pylist(), batch["text"].to_pylist(), strict=True)
    order = sorted(found, key=lambda uid: np.frombuffer(bytes.fromhex(uid), "<u8").tolist())
    return {uid: found[uid] for uid in order}


def flood(texts):
    """The uids that a chain of near pairs joins each to, by sets of plain Python."""
    sets = {}
    for uid, text in texts.items():
        words = text.lower().split()
        sets[uid] = {tuple(words[i : i + 5]) for i in range(max(len(words) - 4, 1))}
    group = {uid: {uid} for uid in sets}
    for a, b in itertools.combinations(sets, 2):
        both = len(sets[a] & sets[b])
        near = both >= THRESHOLD * (len(sets[a]) + len(sets[b]) - both)
        if near and group[a] is not group[b]:
            group[a] |= group[b]
            group.update(dict.fromkeys(group[b], group[a]))
    return group


def test_groups_are_those_of_all_pairs_of_sets(done, texts):
    rows, truth = copies.table(done), flood(texts)
    at = {r["place"]: r["uid"] for r in rows}
    joined = sum(len(g) > 1 for g in truth.values())
    lost = 0
    for r in rows:
        other = at[r["dup_of"] or r["place"]]
        assert other in truth[r["uid"]]  # nothing is joined that sets do not join
        best = {x["uid"]: x["score"] for x in rows if at[x["dup_of"] or x["place"]] == other}
        assert best[other] == max(best.values())
        lost += set(best) != truth[r["uid"]]
    assert joined > 30
    assert lost <= 0.1 * joined  # a pair at the threshold meets at .95, and chains help


def test_groups_are_those_of_the_function_on_all_rows(done, texts):
    pairs = text_duplicates.minhash_pairs(pa.array(texts.values()), THRESHOLD, seed=17)
    group = duplicate_groups.groups(pairs, len(texts), THRESHOLD)
    kept = copies.by_uid(done)
    found = np.unique([kept[uid][0] for uid in texts], return_inverse=True)[1]
    assert (
        len({*zip(group.tolist(), found.tolist(), strict=True)}) == len({*group}) == len({*found})
    )


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


def test_threads_give_the_same_bytes(done, undone, settled):
    args = ("--direct_num_workers=5", "--direct_running_mode=multi_threading")
    chain.run(settled(undone), stages=("dedup",), args=args)
    assert outputs(undone) == outputs(done)


def test_two_processes_give_the_same_bytes(done, undone, settled):
    chain.run(settled(undone, runner={"workers": 2}), stages=("dedup",))
    assert outputs(undone) == outputs(done)


def test_a_round_for_each_band_keeps_the_same_rows(done, undone, settled, monkeypatch):
    monkeypatch.setattr(minhash, "ROUND_KEYS", 1)
    chain.run(settled(undone), stages=("dedup",))
    assert copies.by_uid(undone) == copies.by_uid(done)


def test_other_shards_keep_the_same_rows(done, settled, tmp_path):
    chain.run(settled(tmp_path / "run", ingest={"shard_rows": 37}), stages=STAGES)
    assert copies.by_uid(tmp_path / "run") == copies.by_uid(done)


def test_another_order_of_the_input_keeps_the_same_rows(done, settled, copied_corpus, tmp_path):
    for name in ("near", "far"):
        lines = (copied_corpus / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / f"{name}.jsonl").write_text("".join(reversed(lines)))
    chain.run(settled(tmp_path / "run", tmp_path), stages=STAGES)
    assert copies.by_uid(tmp_path / "run") == copies.by_uid(done)


def test_vectors_and_texts_together_join_what_either_joins(undone, done, settled):
    both = {"minhash": THRESHOLD, "threshold": 0.99}
    chain.run(settled(undone, dedup=both), stages=("dedup",))
    rows = {"texts": copies.by_uid(done), "both": copies.by_uid(undone)}
    for uid, (kept, _) in rows["texts"].items():
        assert rows["both"][uid][0] == rows["both"][kept][0]
    entry = json.loads((undone / "run.json").read_text())["stages"]["dedup"]
    merged = entry["merged"][entry["thresholds"].index(0.99)]
    assert entry["texts"] <= entry["near"] <= merged + entry["texts"]
    assert merged < entry["near"]
    assert len(entry["files"]) == 2


def test_the_report_says_what_was_merged(done, settled):
    with chain.opened(settled(done)) as here:
        found = near_copies.find(here)
        said = []
        verify.verify(here, said.append)
    kept = {uid for uid, _ in copies.by_uid(done).values()}
    assert found.near == len(copies.by_uid(done)) - len(kept)
    assert "with 60% of their word 5-grams in common (MinHash)" in near_copies.note(found)
    assert "cosine" not in near_copies.note(found)
    assert not near_copies.table(found)
    assert "dedup: 1 files are as they were written" in said


def test_a_shard_without_good_rows_has_its_sidecar(configured, corpus, tmp_path):
    bad = '{"id": "%s", "text": ""}\n'
    lines = "".join(bad % f"bad{i}" for i in range(100)) + (corpus / "near.jsonl").read_text()
    (tmp_path / "near.jsonl").write_text(lines)
    document = configured(
        tmp_path / "run",
        sources={"near": {"path": str(tmp_path / "near.jsonl")}, "far": None},
        ingest={"max_rejected_fraction": 0.9},
        dedup={"minhash": 1.0},
    )
    chain.run(document, stages=STAGES)
    assert len(copies.table(tmp_path / "run")) == 120


def test_no_scratch_is_left(done):
    assert not [p for p in (done / "scratch" / "minhash").rglob("*") if p.is_file()]


def test_a_source_without_text_cannot_be_asked(described, tmp_path):
    document = described(tmp_path / "run", dedup={"minhash": 0.8}, embed=None)
    document["embed"] = {"backend": "precomputed"}
    for source in (*document["sources"].values(), document["target"]):
        del source["text"]
        source["embedding"] = "vector"
    with pytest.raises(
        errors.ConfigError, match=r"dedup.minhash compares texts, and (near|far) names"
    ):
        runfile.parse(yaml.safe_dump(document))


def test_copies_cannot_be_kept_and_dropped(configured, tmp_path):
    with pytest.raises(errors.ConfigError, match="dedup drops near-copies"):
        configured(tmp_path, dedup={"minhash": 0.8}, ingest={"duplicates": "keep"})


def test_a_missing_library_is_told_before_any_stage(settled, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(errors.ConfigError, match=r"MinHash needs rensa.*\n.*tamis\[minhash\]"):
        chain.run(settled(tmp_path / "run"), stages=STAGES)
    assert not (tmp_path / "run" / "index").exists()
