"""Each export is read back by its own library: same rows, same repeats."""

import collections
import hashlib
import json
import pathlib
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import tamis
from tamis import errors, finding
from tamis.loaders import exports, manifest
from tamis.loaders.exports import croissant, datacomp, hf
from tamis.schemas import uids
from tests.loaders import listing

ROWS = {"table": 25, "lines": 31, "cells": 7, "packed": 17}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """141 samples of 80 rows of four sources."""
    return listing.make(tmp_path_factory.mktemp("exports"), ROWS)


@pytest.fixture(scope="module")
def rows(folder):
    """Uid to the sample with its repeats, as the loader has it."""
    return {s["uid"]: s for s in tamis.load(folder, once=True)}


def same(found, rows, names=("text", "label", "id", "source", "tier", "repeats")):
    """Whether rows that were read back are the manifest's."""
    by_uid = {row["uid"]: row for row in found}
    assert by_uid.keys() == rows.keys()
    for uid, row in by_uid.items():
        assert {n: row.get(n) or rows[uid][n] for n in names} == {n: rows[uid][n] for n in names}


def test_parquet(folder, rows, tmp_path, monkeypatch):
    monkeypatch.setattr("tamis.loaders.exports.parquet.ROWS", 30)
    exports.export(folder, "parquet", str(tmp_path / "out"))
    files = sorted((tmp_path / "out").glob("train-*.parquet"))
    assert [pq.read_metadata(f).num_rows for f in files] == [30, 30, 20]
    found = [row for f in files for row in pq.read_table(f).to_pylist()]
    same(found, rows)
    for row in found:
        expected = rows[row["uid"]]["embedding"]
        assert row["embedding"] == (None if expected is None else expected.tolist())
    digest = manifest.document(folder)["digest"].encode()
    assert pq.read_schema(files[0]).metadata[b"tamis.manifest"] == digest


@pytest.mark.filterwarnings("ignore")
def test_hugging_face(folder, rows, tmp_path):
    datasets = pytest.importorskip("datasets")
    exports.export(folder, "hf", str(tmp_path / "out"))
    kept = str(tmp_path / "cache")
    found = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=kept)
    same(found, rows)
    assert found.features["repeats"].dtype == "int32"
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    head = yaml.safe_load(card.split("---\n")[1])
    assert head["size_categories"] == ["n<1K"]
    assert [f["name"] for f in head["dataset_info"]["features"]] == found.column_names
    view = hf.view(folder, seed=4)
    assert [s["uid"] for s in view] == [s["uid"] for s in tamis.load(folder, seed=4)]


@pytest.mark.filterwarnings("ignore")
def test_webdataset(folder, rows, tmp_path):
    from tamis.loaders.exports import webdataset as ours

    webdataset = pytest.importorskip("webdataset")
    out = tmp_path / "out"
    exports.export(folder, "webdataset", str(out))
    stream = webdataset.WebDataset(ours.urls(str(out)), shardshuffle=False).decode()
    found = [{**s["json"], "text": s["txt"], "x": s.get("npy")} for s in stream]
    assert collections.Counter(s["uid"] for s in found) == listing.listed(folder)
    same(found, rows)
    for s in found:
        assert np.array_equal(s["x"], rows[s["uid"]]["embedding"])
    exports.export(folder, "webdataset", str(tmp_path / "again"))
    for tar in out.rglob("*.tar"):
        assert tar.read_bytes() == (tmp_path / "again" / tar.relative_to(out)).read_bytes()


@pytest.mark.filterwarnings("ignore")
def test_mosaic(folder, rows, tmp_path):
    """`make` installs it without what it pins, for it would hold numpy and transformers back."""
    streaming = pytest.importorskip("streaming", exc_type=ImportError)
    from tamis.loaders.exports import mds

    exports.export(folder, "mds", str(tmp_path / "out"))
    found = streaming.StreamingDataset(
        streams=mds.streams(str(tmp_path / "out")), batch_size=1, num_canonical_nodes=1
    )
    samples = list(found)
    assert collections.Counter(s["uid"] for s in samples) == listing.listed(folder)
    same(samples, rows)


@pytest.fixture
def pictures(tmp_path):
    """A manifest of six images in a folder, each twice."""
    for i in range(6):
        path = tmp_path / "in" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (40 * i, 0, 0)).save(path)
    columns = listing.shards.Columns(label="folder", id="path", image="image")
    source = listing.sources.Source("in", "supply", (str(tmp_path / "in"),), columns, "images")
    return listing.write(tmp_path, [source], {"in": (2,)}, 4)


@pytest.mark.filterwarnings("ignore")
def test_images_are_their_files_byte_for_byte(pictures, tmp_path):
    webdataset = pytest.importorskip("webdataset")
    from tamis.loaders.exports import webdataset as ours

    root = tmp_path / "in"
    loaded = list(tamis.load(pictures))
    assert len(loaded) == 12
    assert all(s["image"] == (root / s["id"]).read_bytes() for s in loaded)
    exports.export(pictures, "webdataset", str(tmp_path / "tars"))
    stream = webdataset.WebDataset(ours.urls(str(tmp_path / "tars")), shardshuffle=False)
    found = [(json.loads(s["json"])["id"], s["png"]) for s in stream]
    assert sorted(found) == sorted((s["id"], s["image"]) for s in loaded)
    exports.export(pictures, "parquet", str(tmp_path / "rows"))
    table = pq.read_table(tmp_path / "rows" / "train-00000.parquet")
    images = dict(zip(table["id"].to_pylist(), table["image"].to_pylist(), strict=True))
    assert images == {s["id"]: s["image"] for s in loaded}


@pytest.fixture
def captioned(tmp_path):
    """A manifest of five images with captions, each three times."""
    images = []
    for i in range(5):
        Image.new("RGB", (4, 4), (40 * i, 9, 0)).save(tmp_path / f"{i}.png")
        images.append((tmp_path / f"{i}.png").read_bytes())
    rows = {"id": [f"p{i}" for i in range(5)], "caption": [f"é {i}" for i in range(5)]}
    pq.write_table(pa.table({**rows, "image": images}), tmp_path / "pairs.parquet")
    columns = listing.shards.Columns(text="caption", id="id", image="image")
    source = listing.sources.Source("in", "supply", (str(tmp_path / "pairs.parquet"),), columns)
    expected = {
        (name, said, image) for name, said, image in zip(*rows.values(), images, strict=True)
    }
    return listing.write(tmp_path, [source], {"in": (3,)}, 2), expected


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["webdataset", "hf", "mds"])
def test_pairs_keep_their_image_and_caption(captioned, tmp_path, kind):
    library = {"webdataset": "webdataset", "hf": "datasets", "mds": "streaming"}[kind]
    theirs = pytest.importorskip(library, exc_type=ImportError)
    folder, expected = captioned
    out = str(tmp_path / "out")
    exports.export(folder, kind, out)
    if kind == "webdataset":
        from tamis.loaders.exports import webdataset as ours

        stream = theirs.WebDataset(ours.urls(out), shardshuffle=False)
        found = [(json.loads(s["json"])["id"], s["txt"].decode(), s["png"]) for s in stream]
    elif kind == "mds":
        from tamis.loaders.exports import mds

        stream = theirs.StreamingDataset(streams=mds.streams(out), batch_size=1)
        found = [(s["id"], s["text"], s["image"]) for s in stream]
    else:
        rows = theirs.load_dataset(out, split="train", cache_dir=str(tmp_path / "cache"))
        found = [(s["id"], s["text"], s["image"]) for s in rows for _ in range(s["repeats"])]
    assert collections.Counter(found) == dict.fromkeys(expected, 3)


def test_a_folder_s_digest_is_that_of_its_list(pictures, tmp_path):
    root = tmp_path / "in"
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*.png"))
    lines = [f"{hashlib.sha256((root / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert manifest.document(pictures)["files"][0]["sha256"] == expected
    changed = root / "class0" / "2.png"
    Image.new("RGB", (4, 4), (0, 0, 7)).save(changed)
    assert finding.sha256(str(root)) != expected
    with pytest.raises(errors.ManifestError, match="it has changed since"):
        list(tamis.load(pictures))


def test_datacomp(folder, tmp_path):
    out = tmp_path / "uids.npy"
    exports.export(folder, "datacomp", str(out))
    pairs = np.load(out)
    assert pairs.dtype == np.dtype("u8,u8")
    assert pairs.tolist() == sorted(pairs.tolist())
    # As the baselines write them: int(uid[:16], 16), int(uid[16:32], 16).
    names = collections.Counter(f"{a:016x}{b:016x}" for a, b in pairs.tolist())
    assert names == listing.listed(folder)
    halves, counts = datacomp.read(str(out))
    hexed = uids.to_hex(halves).to_pylist()
    assert dict(zip(hexed, counts.tolist(), strict=True)) == listing.listed(folder)


def test_a_uid_list_that_is_none_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    with pytest.raises(errors.SchemaError, match=r"x\.npy: holds float64"):
        datacomp.read(str(tmp_path / "x.npy"))
    (tmp_path / "y.npy").write_bytes(b"no array")
    with pytest.raises(errors.SchemaError, match=r"y\.npy: not an \.npy file"):
        datacomp.read(str(tmp_path / "y.npy"))


def test_dclm(folder, tmp_path):
    exports.export(folder, "dclm", str(tmp_path / "ref.json"))
    reference = json.loads((tmp_path / "ref.json").read_text())
    names = "uuid name creation_date dataset_url manifest_url sources tokenized tokenizer"
    names += " num_tokens size dcnlp_commit_hash dcnlp_diff data_key sampling_yaml"
    assert set(reference) == set(names.split())
    assert uuid.UUID(reference["uuid"]).hex == manifest.document(folder)["digest"]
    assert [s["name"] for s in reference["sources"]] == sorted(ROWS)
    assert json.loads(pathlib.Path(reference["manifest_url"]).read_text())["samples"] == 141


@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid_and_its_records_are_the_manifest(folder, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    where = pathlib.Path(folder) / croissant.DOCUMENT
    exports.croissant.export(folder, str(where))
    found = mlcroissant.Dataset(str(where))
    issues = found.metadata.ctx.issues
    assert issues.errors == set()
    unknown = {"license", "datePublished", "citeAs"}  # recommended, but tamis cannot know them
    assert {w.split('"')[1].rpartition("/")[2] for w in issues.warnings} == unknown
    records = list(found.records("rows"))
    repeats = {r["rows/uid"].decode(): int(r["rows/repeats"]) for r in records}
    assert repeats == listing.listed(folder)


def test_croissant_has_the_lineage_with_digests(folder):
    described = croissant.describe(folder)
    by_id = {d["@id"]: d for d in described["distribution"]}
    derived = [by_id[s["@id"]] for s in described["prov:wasDerivedFrom"]]
    assert [d["sha256"] for d in derived] == [
        f["sha256"] for f in manifest.document(folder)["files"]
    ]
    assert described["prov:wasGeneratedBy"]["identifier"] == manifest.document(folder)["inputs"]


def test_what_is_there_or_unknown_is_refused(folder, tmp_path):
    with pytest.raises(errors.ConfigError, match=r"--to lance\n  -> one of parquet, hf"):
        exports.export(folder, "lance", str(tmp_path / "out"))
    with pytest.raises(errors.ConfigError, match="something already"):
        exports.export(folder, "parquet", str(tmp_path))


def test_a_missing_library_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(errors.ConfigError, match=r"pip install 'tamis\[webdataset\]'"):
        exports.export(folder, "webdataset", str(tmp_path / "out"))
