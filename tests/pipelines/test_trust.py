"""A run folder that somebody has damaged or half changed is an error, never a silent mismatch."""

import json
import re
import shutil

import pytest

from tamis import errors
from tamis.pipelines import chain, verify

PART = "part-00001-00002.parquet"


def verified(document):
    with chain.opened(document) as here:
        verify.verify(here, lambda line: None)


def forget(root, *stages):
    """What a kill leaves: sidecars without a line in the ledger."""
    ledger = json.loads((root / "run.json").read_text())
    for stage in stages:
        del ledger["stages"][stage]
    (root / "run.json").write_text(json.dumps(ledger))


def contents(root, *folders):
    found = (p for f in folders for p in (root / f).rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in found}


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)


def swap(path):
    shutil.copy(path.with_name("part-00001-00003.parquet"), path)


FOLDERS = ("index", "embeddings", "clusters", "scores/lexical", "duplicates", "tiers")
DAMAGE = [(cut, "truncated or damaged"), (swap, "misaligned"), (lambda p: p.unlink(), "missing")]


@pytest.mark.parametrize("folder", FOLDERS[1:])
@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=["cut", "swapped", "missing"])
def test_a_bad_sidecar_is_named_by_verify(copied, configured, folder, damage, message):
    damage(copied / folder / PART)
    with pytest.raises(errors.ArtifactError, match=rf"{folder}/{PART}: sidecar is {message}"):
        verified(configured(copied))


@pytest.mark.parametrize("folder", FOLDERS[1:])
def test_a_flipped_bit_is_named_by_verify(copied, configured, folder):
    flip(copied / folder / PART)
    with pytest.raises(errors.ArtifactError, match=rf"{folder}/{PART}: sidecar is .*damaged"):
        verified(configured(copied))


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=["cut", "swapped", "missing"])
def test_a_bad_index_shard_is_an_error(copied, configured, damage, message):
    damage(copied / "index" / PART)
    with pytest.raises(errors.TamisError, match=r"sidecar is (truncated|misaligned|missing)"):
        verified(configured(copied))


def test_a_deleted_sidecar_is_made_again_the_same(copied, finished, configured):
    """As the error messages tell people to."""
    for folder in FOLDERS:
        (copied / folder / PART).unlink()
    shutil.rmtree(copied / "manifest")
    chain.run(configured(copied))
    verified(configured(copied))
    folders = (*FOLDERS, "manifest", "random", "everything")
    assert contents(copied, *folders) == contents(finished, *folders)


def test_a_truncated_sidecar_of_a_killed_stage_is_named(copied, finished, configured):
    forget(copied, "embed")
    cut(copied / "embeddings" / PART)
    message = (
        rf"embeddings/{PART}: sidecar is truncated .*\n  -> delete it and run the same command"
    )
    with pytest.raises(errors.ArtifactError, match=message):
        chain.run(configured(copied), stages=("embed",))
    (copied / "embeddings" / PART).unlink()
    chain.run(configured(copied), stages=("embed",))
    assert contents(copied, "embeddings") == contents(finished, "embeddings")


def test_a_misaligned_sidecar_of_a_killed_stage_is_named(copied, configured):
    forget(copied, "embed")
    swap(copied / "embeddings" / PART)
    with pytest.raises(errors.ArtifactError, match=rf"embeddings/{PART}: sidecar is misaligned"):
        chain.run(configured(copied), stages=("embed",))


def test_a_stage_that_reads_a_flipped_bit_stops(copied, configured):
    forget(copied, "cluster")
    shutil.rmtree(copied / "clusters")
    flip(copied / "embeddings" / PART)
    with pytest.raises(errors.ArtifactError, match=rf"embeddings/{PART}: sidecar is .*damaged"):
        chain.run(configured(copied), stages=("cluster",))


def test_another_config_is_stale_and_redo_replaces_it(copied, configured):
    changed = configured(copied, cluster={"k": 5})
    message = r"stage 'cluster' is stale .*\n  -> run with --redo to replace it"
    with pytest.raises(errors.ArtifactError, match=message):
        chain.run(changed)
    chain.run(changed, stages=("cluster", "score", "tier"), redo=True)
    fresh = configured(copied.with_name("fresh"), cluster={"k": 5})
    chain.run(fresh, stages=("ingest", "embed", "cluster", "score", "tier"))
    assert contents(copied, *FOLDERS[:4]) == contents(copied.with_name("fresh"), *FOLDERS[:4])


def test_half_of_a_stage_from_another_config_is_stale(copied, configured):
    forget(copied, "cluster")
    with pytest.raises(errors.ArtifactError, match=r"clusters/part-.*: sidecar is stale"):
        chain.run(configured(copied, cluster={"k": 5}), stages=("cluster",))
    chain.run(configured(copied, cluster={"k": 5}), stages=("cluster",), redo=True)


def test_another_budget_needs_no_redo(copied, configured, finished):
    """Pilots and plans are cheap; what they read is kept."""
    chain.run(configured(copied, plan={"budgets": [200]}))
    verified(configured(copied, plan={"budgets": [200]}))
    assert [p.name for p in (copied / "manifest").iterdir()] == ["samples-200"]
    assert contents(copied, *FOLDERS) == contents(finished, *FOLDERS)


def test_what_a_killed_selection_of_another_plan_left_is_cleared(copied, configured):
    forget(copied, "plan", "select")
    changed = configured(copied, plan={"budgets": [100, 200]})
    chain.run(changed)
    verified(changed)
    assert {p.name for p in (copied / "manifest").iterdir()} == {"samples-100", "samples-200"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plan/plan.json", r"plan\.json: not a Plan document"),
        ("check/check.json", r"check\.json: not a Check document"),
        ("shards.json", r"shards\.json: the list of shards is missing or damaged"),
        ("run.json", r"run\.json: the ledger is damaged"),
        ("manifest/samples-400/manifest.json", r"manifest\.json: .*damaged"),
    ],
)
def test_a_truncated_document_is_named(copied, configured, name, message):
    cut(copied / name)
    with pytest.raises(errors.TamisError, match=message):
        verified(configured(copied))


@pytest.mark.parametrize("kind", ["manifest", "random", "everything"])
@pytest.mark.parametrize("damage", [cut, lambda p: p.unlink()], ids=["cut", "missing"])
def test_a_bad_manifest_part_is_named(copied, configured, kind, damage):
    damage(copied / kind / "samples-400" / PART)
    message = rf"{kind}/samples-400/{PART}: manifest part is (damaged|missing)"
    with pytest.raises(errors.ManifestError, match=message):
        verified(configured(copied))


@pytest.fixture
def own(corpus, tmp_path, configured):
    """Own copies of the inputs, without ids, so that content names a row."""
    names = ("near", "far", "target")
    for name in names:
        shutil.copy(corpus / f"{name}.jsonl", tmp_path)
    paths = {n: {"path": str(tmp_path / f"{n}.jsonl"), "id": None} for n in names}
    sources = {n: paths[n] for n in names[:2]}
    return configured(tmp_path / "run", sources=sources, target=paths["target"])


def test_an_edited_text_is_named_by_path_and_row(own, tmp_path):
    chain.run(own, stages=("ingest",))
    lines = (tmp_path / "far.jsonl").read_text().splitlines(keepends=True)
    lines[233] = re.sub(r"e", "x", lines[233].replace("text", "\0")).replace("\0", "text")
    lines[233] = lines[233].replace("labxl", "label").replace("nxtwork", "network")
    (tmp_path / "far.jsonl").write_text("".join(lines))
    message = r"far\.jsonl:233: the input has changed since it was ingested"
    with pytest.raises(errors.ArtifactError, match=message):
        chain.run(own, stages=("embed",))


def test_an_edited_text_is_noticed_where_an_id_names_the_row(corpus, tmp_path, configured):
    shutil.copy(corpus / "far.jsonl", tmp_path)
    far = {"path": str(tmp_path / "far.jsonl")}
    document = configured(tmp_path / "run", sources={"far": far})
    chain.run(document, stages=("ingest",))
    text = (tmp_path / "far.jsonl").read_text()
    (tmp_path / "far.jsonl").write_text(text.replace(" the ", " teh ", 1))
    message = r"far\.jsonl:\d+: the input has changed since it was ingested"
    with pytest.raises(errors.ArtifactError, match=message):
        chain.run(document, stages=("embed",))


def test_a_file_of_another_size_is_stale(own, tmp_path):
    chain.run(own, stages=("ingest",))
    with (tmp_path / "far.jsonl").open("a") as out:
        out.write('{"text": "one more", "label": "tasks"}\n')
    with pytest.raises(errors.ArtifactError, match=r"stage 'ingest' is stale .*other inputs"):
        chain.run(own)
    chain.run(own, stages=("ingest",), redo=True)
    verified(own)


@pytest.mark.parametrize(
    "name", ["plan/plan.json", "pilots/measurements.parquet", "check/check.json", "centroids"]
)
def test_verify_notices_an_edited_file_of_any_stage(copied, configured, name):
    path = next(copied.glob("clusters/*.npy")) if name == "centroids" else copied / name
    data = bytearray(path.read_bytes())
    if path.suffix == ".json":  # another number, and still the document it was
        data = bytearray(data.replace(b": 0.", b": 0.0", 1))
    else:
        data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(errors.ArtifactError, match=rf"{path.name}: the file is not what its stage"):
        verified(configured(copied))
