"""A manifest and its inputs give the rows of training."""

import collections
import json
import subprocess
import sys

import pyarrow as pa
import pytest

from tamis import errors
from tamis.loaders import manifest


@pytest.fixture
def folder(finished):
    return str(finished / "manifest" / "samples-400")


def rows(batches):
    return [row for batch in batches for row in batch.to_pylist()]


def test_every_row_comes_as_often_as_it_is_listed(folder):
    listed = manifest.table(folder).to_pylist()
    got = collections.Counter(row["uid"] for row in rows(manifest.load(folder)))
    assert got == {row["uid"]: row["repeats"] for row in listed}
    assert sum(got.values()) == 400


def test_every_row_has_its_own_content(folder, paragraphs):
    texts = {row["id"]: row for kind in paragraphs.values() for row in kind}
    for row in rows(manifest.load(folder)):
        assert {k: row[k] for k in ("text", "label", "id")} == texts[row["id"]]


def test_an_epoch_shows_no_row_twice(folder):
    seen = collections.Counter()
    for batch in manifest.load(folder):
        names = batch["uid"].to_pylist()
        assert len(set(names)) == len(names)
        seen.update(names)
        assert max(seen.values()) - min(seen[n] for n in names) <= 1


def test_the_order_is_a_function_of_the_seed(folder):
    first, again = (pa.Table.from_batches(manifest.load(folder, seed=3)) for _ in range(2))
    other = pa.Table.from_batches(manifest.load(folder, seed=4))
    assert first.equals(again)
    assert not first.equals(other)
    assert sorted(first["uid"].to_pylist()) == sorted(other["uid"].to_pylist())


def test_the_document_is_read_and_a_folder_without_one_is_told(folder, tmp_path):
    assert manifest.document(folder)["samples"] == 400
    with pytest.raises(errors.ManifestError, match=r"not a manifest \(no manifest\.json\)"):
        manifest.document(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": '])
def test_a_damaged_document_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(errors.ManifestError, match=r"manifest\.json: .*damaged"):
        list(manifest.load(str(tmp_path)))


def test_a_damaged_part_is_named(copied):
    folder = copied / "manifest" / "samples-400"
    part = next(folder.glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(errors.ManifestError, match=rf"{part.name}: manifest part is damaged"):
        rows(manifest.load(str(folder)))


def test_an_input_that_has_changed_is_named(copied, corpus, tmp_path):
    """Its ids are others now."""
    folder = copied / "manifest" / "samples-400"
    changed = tmp_path / "far.jsonl"
    changed.write_text((corpus / "far.jsonl").read_text().replace('"c', '"C'))
    document = json.loads((folder / "manifest.json").read_text())
    for part in document["parts"]:
        if part["shard"]["file"]["source"] == "far":
            part["shard"]["file"]["path"] = str(changed)
    (folder / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(errors.ManifestError, match=r"far\.jsonl: the input has changed since"):
        rows(manifest.load(str(folder)))


def test_an_empty_manifest_gives_nothing(tmp_path):
    (tmp_path / "manifest.json").write_text('{"parts": [], "digest": ""}')
    assert list(manifest.load(str(tmp_path))) == []
    assert manifest.table(str(tmp_path)).num_rows == 0


def test_training_needs_no_beam():
    code = "import sys, tamis.loaders.manifest; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
