"""A manifest that a run has written and its inputs give the rows of training."""

import collections

import pytest

import tamis
from tamis import errors
from tamis.loaders import manifest


@pytest.fixture
def folder(finished):
    return str(finished / "manifest" / "samples-400")


def test_every_row_comes_as_often_as_it_is_listed(folder):
    listed = manifest.table(folder).to_pylist()
    got = collections.Counter(sample["uid"] for sample in tamis.load(folder))
    assert got == {row["uid"]: row["repeats"] for row in listed}
    assert sum(got.values()) == 400


def test_every_row_has_its_own_content(folder, paragraphs):
    texts = {row["id"]: row for kind in paragraphs.values() for row in kind}
    for row in tamis.load(folder):
        assert {k: row[k] for k in ("text", "label", "id")} == texts[row["id"]]


def test_the_document_is_read_and_a_folder_without_one_is_told(folder, tmp_path):
    assert manifest.document(folder)["samples"] == 400
    with pytest.raises(errors.ManifestError, match=r"not a manifest \(no manifest\.json\)"):
        manifest.document(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": '])
def test_a_damaged_document_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(errors.ManifestError, match=r"manifest\.json: .*damaged"):
        tamis.load(str(tmp_path))


def test_a_damaged_part_is_named(copied):
    folder = copied / "manifest" / "samples-400"
    part = next(folder.glob("part-*.parquet"))
    data = bytearray(part.read_bytes())
    data[20] ^= 1  # in a page of uids, which are not looked at before rows are read
    part.write_bytes(data)
    with pytest.raises(errors.ManifestError, match=rf"{part.name}: manifest part is damaged"):
        list(tamis.load(str(folder)))
