"""Rows that were rejected and mended since come into the pool; nothing else moves."""

import json
import pathlib
import shutil

import pyarrow.parquet as pq
import pytest

from tamis import errors
from tamis.pipelines import chain, retry, verify

STAGES = tuple(chain.STAGES)[:-1]
BAD = {7: b'{"id": "b7", "text": "cut sho', 250: b'{"id": "b250", "text": null, "label": "tasks"}'}
GOOD = {
    7: b'{"id": "b7", "text": "cut short no more, whole again", "label": "tasks"}',
    250: b'{"id": "b250", "text": "a text at last, of a few words", "label": "network"}',
}


@pytest.fixture
def lines(corpus):
    return (corpus / "far.jsonl").read_bytes().splitlines()


@pytest.fixture
def written(tmp_path, configured, lines):
    """Writes the source with some lines in the place of others; the run that reads it."""

    def write(changes, run="run", compress=None):
        path = tmp_path / "web.jsonl"
        rows = [changes.get(i, line) for i, line in enumerate(lines)]
        path.write_bytes(b"\n".join(rows) + b"\n")
        source = {"path": str(path), "text": "text", "label": "label", "id": "id"}
        return configured(
            tmp_path / run,
            sources={"near": None, "far": None, "web": source},
            plan={"budgets": [400]},
            ingest={"max_rejected_fraction": 1},
        )

    return write


def again(document):
    with chain.opened(document) as here:
        return retry.retry(here)


def selected(root):
    parts = sorted(pathlib.Path(root).glob("manifest/*/part-*.parquet"))
    return [row for p in parts for row in pq.read_table(p).to_pylist()]


def times(root, folder):
    return {p.name: p.stat().st_mtime_ns for p in pathlib.Path(root, folder).glob("*.parquet")}


def test_mended_rows_are_read_again_and_the_run_ends_as_if_they_had_been_good(written):
    document = written(BAD)
    chain.run(document, stages=STAGES)
    before = times(document.run, "embeddings")
    assert again(written(BAD)) == (2, 0)
    assert times(document.run, "embeddings") == before
    mended = written({**BAD, 7: GOOD[7]})
    assert again(mended) == (2, 1)
    chain.run(mended, stages=STAGES)
    after = times(document.run, "embeddings")
    assert {n for n in before if before[n] != after[n]} == {"part-00000-00000.parquet"}
    both = written(GOOD)
    assert again(both) == (1, 1)
    chain.run(both, stages=STAGES)
    with chain.opened(both) as here:
        (balance,) = verify.verify(here, lambda line: None)
    assert (balance.rows, sum(balance.rejected.values())) == (480, 0)
    fresh = written(GOOD, "fresh")
    chain.run(fresh, stages=STAGES)
    assert selected(both.run) == selected(fresh.run)


def test_a_row_that_was_accepted_and_is_another_now_is_named_and_nothing_is_touched(written):
    document = written(BAD)
    chain.run(document, stages=("ingest", "embed"))
    files = {p: p.read_bytes() for p in pathlib.Path(document.run).rglob("*") if p.is_file()}
    other = b'{"id": "other", "text": "somebody else stands here now", "label": "tasks"}'
    with pytest.raises(errors.ArtifactError, match=r"web\.jsonl:3: the input has changed"):
        again(written({**GOOD, 3: other}))
    assert {p: p.read_bytes() for p in files} == files


def test_a_damaged_file_of_rejected_rows_is_made_again_with_its_shard(written):
    document = written(BAD)
    chain.run(document, stages=STAGES)
    before, kept = selected(document.run), times(document.run, "embeddings")
    damaged = min(pathlib.Path(document.run, "rejected").glob("*.parquet"))
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-9])
    with chain.opened(document) as here, pytest.raises(errors.ArtifactError) as raised:
        verify.verify(here, lambda line: None)
    assert raised.value.where == str(damaged)
    named = raised.value.remedy.split()[1]
    pathlib.Path(named).unlink()
    chain.run(document, stages=STAGES)
    assert damaged.read_bytes() == whole
    assert (selected(document.run), times(document.run, "embeddings")) == (before, kept)
    with chain.opened(document) as here:
        verify.verify(here, lambda line: None)


def test_a_damaged_croissant_is_made_again_with_its_manifest(written):
    document = written(GOOD)
    chain.run(document, stages=STAGES)
    (damaged,) = pathlib.Path(document.run, "everything").glob("*/croissant.json")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-9])
    with chain.opened(document) as here, pytest.raises(errors.ManifestError) as raised:
        verify.described(here, lambda line: None)
    assert raised.value.where == str(damaged)
    shutil.rmtree(raised.value.remedy.split()[1])
    chain.run(document, stages=STAGES)
    assert damaged.read_bytes() == whole


def test_rows_that_were_added_are_not_a_retry(written):
    chain.run(written(BAD), stages=("ingest",))
    with pytest.raises(errors.SchemaError, match="rows were added to the inputs, or taken out"):
        again(written({**GOOD, 9: b'{"id": "x"}\n{"id": "y"}'}))


@pytest.mark.parametrize("moment", ["before the shards", "before the reading"])
def test_a_retry_that_was_killed_is_finished_by_a_retry_and_a_run(written, monkeypatch, moment):
    chain.run(written(BAD), stages=("ingest", "embed", "cluster"))
    document = written(GOOD)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "before the shards":
            patch.setattr(chain.session.Session, "save_shards", killed)
        else:
            patch.setattr(retry.ingest, "read", killed)
        with pytest.raises(KeyboardInterrupt):
            again(document)
    again(document)
    chain.run(document, stages=STAGES)
    fresh = written(GOOD, "fresh")
    chain.run(fresh, stages=STAGES)
    assert selected(document.run) == selected(fresh.run)
    ledger = json.loads(pathlib.Path(document.run, "run.json").read_text())
    assert ledger["stages"]["ingest"]["sources"]["web"]["accepted"] == 480
