"""Image folders, WebDataset archives and Parquet: the same rows, wherever images lie."""

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import decoding, errors, isolation, sources
from tamis.schemas import shards
from tests import dirty

LIMITS = isolation.Limits()
NAMES = {"image": "image", "label": "cls", "id": "__key__"}
ALL = dirty.GOOD | {name: data for name, (data, _) in dirty.BAD.items()}
REASONS = {name: reason for name, (_, reason) in dirty.BAD.items()}


def tar(members, *, links=()):
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as out:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        for name, to in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, to
            out.addfile(info)
    return sink.getvalue()


def samples(count):
    for i in range(count):
        yield f"./d/{i:03d}.png", dirty.GOOD["grey.png"] if i % 2 else dirty.GOOD["plain.png"]
        yield f"./d/{i:03d}.cls", f"{i % 3}\n".encode()
        yield f"./d/{i:03d}.json", json.dumps({"caption": f"number {i}", "n": i}).encode()


@pytest.fixture
def folder(tmp_path):
    for i, (name, data) in enumerate(ALL.items()):
        below = tmp_path / "photos" / ("even" if i % 2 else "odd")
        below.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(data)
    return tmp_path / "photos"


def test_dirty_images_are_rejected_with_their_reason(folder, one, load):
    columns = {"image": "image", "label": "folder", "id": "path"}
    file = one(str(folder), columns, format="images")
    sources.check(file)
    good, bad = load(file, ("image", "label", "id"), images=LIMITS)
    paths = [f"{'even' if i % 2 else 'odd'}/{name}" for i, name in enumerate(ALL)]
    kept = sorted(p for p in paths if p.partition("/")[2] in dirty.GOOD)
    assert good["id"].to_pylist() == kept
    assert good["label"].to_pylist() == [p.partition("/")[0] for p in kept]
    assert [ALL[p.partition("/")[2]] for p in kept] == good["image"].to_pylist()
    lost = {sorted(paths)[b["row"]].partition("/")[2]: b["reason"] for b in bad}
    assert lost == REASONS


def test_a_label_may_come_from_the_metadata(folder, one, load):
    (folder / "metadata.csv").write_text("file_name,kind\neven/grey.png,9\nodd/plain.png,7\n")
    file = one(str(folder), {"image": "image", "label": "kind"}, format="images")
    sources.check(file)
    good, bad = load(file, ("image", "label"))
    assert good["label"].to_pylist() == ["9", "7"]
    assert {b["reason"] for b in bad} == {"missing_label"}


def test_a_link_is_not_followed(folder, tmp_path, one, load):
    (tmp_path / "secret.png").write_bytes(dirty.GOOD["plain.png"])
    (folder / "odd" / "a.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    _, bad = load(one(str(folder), {"image": "image"}, format="images"), ("image",), images=LIMITS)
    assert sum("a link" in b["error"] for b in bad) == 2


def test_a_folder_that_changes_is_an_error(folder, one):
    file = one(str(folder), {"image": "image"}, format="images")
    cut = sources.shards(file, 0)
    (folder / "odd" / "new.png").write_bytes(b"x")
    with pytest.raises(errors.SchemaError, match="it has changed since it was listed"):
        list(sources.read(shards.Span(tuple(cut)), ("image",)))


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.zst", "memory://tars/a.tar"])
def test_samples_of_any_archive_cut_anywhere(put, one, load, name, rows):
    file = one(put(name, tar(samples(10))), NAMES | {"text": "json.caption"})
    sources.check(file)
    good, bad = load(file, ("text", "label", "id", "image"), rows=rows, images=LIMITS)
    assert bad == []
    assert good["id"].to_pylist() == [f"d/{i:03d}" for i in range(10)]
    assert good["label"].to_pylist() == [str(i % 3) for i in range(10)]
    assert good["text"].to_pylist() == [f"number {i}" for i in range(10)]
    pngs = [data for name, data in samples(10) if name.endswith("png")]
    assert good["image"].to_pylist() == pngs


def test_an_uncompressed_archive_is_entered_at_the_sample(put, one):
    data = tar([("x" * 150 + ".png", b"1"), *samples(10)])  # a long name has headers of its own
    file = one(put("a.tar", data), {"image": "image"})
    cut = sources.shards(file, 0, 1)
    with tarfile.open(fileobj=io.BytesIO(data)) as members:
        starts = [member.offset for member in members]
    assert [s.start for s in cut] == [starts[0], *starts[1::3]]
    table = sources.lookup(cut[7], [7], ("image",))
    assert table["image"][0].as_py() == dict(samples(10))["./d/006.png"]


def test_samples_that_are_not_whole_are_rejected(put, one, load):
    members = [
        ("a.png", dirty.GOOD["plain.png"]),
        ("a.json", b'{"caption": "fine"}'),
        ("b.png", dirty.GOOD["plain.png"]),  # no json
        ("c.json", b'{"caption": "no image"}'),
        ("d.png", dirty.GOOD["plain.png"]),
        ("d.json", b"{"),
        ("e.png", b"1"),
        ("e.png", b"2"),
        ("._a.png", b"left by a system"),
        ("../../f.png", dirty.GOOD["plain.png"]),  # only a name: nothing is extracted
        ("../../f.json", b'{"caption": "outside"}'),
    ]
    data = tar(members, links=[("g.png", "/etc/passwd")])
    columns = {"image": "png", "text": "json.caption", "id": "__key__"}
    file = one(put("a.tar", data), columns)
    good, bad = load(file, ("text", "id", "image"), images=LIMITS)
    assert good["id"].to_pylist() == ["a", "../../f"]
    assert [b["reason"] for b in bad] == [
        "missing_text",
        "missing_image",
        "malformed",
        "malformed",
        "malformed",
    ]
    assert "two members are e.png" in bad[3]["error"]
    assert "is a link" in bad[4]["error"]


def _longer(data):
    """The first member's length raised beyond the file, with the checksum that goes with it."""
    info = tarfile.TarInfo.frombuf(data[:512], "utf-8", "strict")
    info.size = 1 << 40
    return info.tobuf(tarfile.GNU_FORMAT) + data[512:]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:5000],  # inside a member
        lambda data: data[: 512 * 7],  # between two
        lambda data: data[:3072] + b"\xff" * 512 + data[3584:],  # a header overwritten
        _longer,
    ],
)
def test_a_damaged_archive_is_named(put, one, load, name, damage):
    small = [(f"{i}.txt", b"some text") for i in range(40)]
    file = one(put(name, damage(tar(small))), {"text": "txt"})
    with pytest.raises(errors.SchemaError, match=r"a\.tar.*damaged or ends early"):
        load(file, ("text",))


def test_a_member_too_large_to_hold_is_rejected_unread(put, one, load, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    file = one(put("a.tar.gz", tar([("a.txt", bytes(2000)), ("b.txt", b"small")])), {"text": "txt"})
    good, bad = load(file, ("text",))
    assert good["text"].to_pylist() == ["small"]
    assert "2,000 bytes" in bad[0]["error"]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("struct", [False, True])
def test_parquet_holds_bytes_or_the_struct_of_hf_datasets(tmp_path, one, load, struct, large):
    kind = pa.large_binary() if large else pa.binary()
    images = pa.array([*ALL.values(), None], kind)
    if struct:  # whose path is never opened
        paths = pa.array(["/etc/passwd"] * len(images))
        images = pa.StructArray.from_arrays([images, paths], ["bytes", "path"])
    table = pa.table({"picture": images, "y": list(range(len(images)))})
    pq.write_table(table, tmp_path / "a.parquet")
    file = one(str(tmp_path / "a.parquet"), {"image": "picture", "label": "y"})
    sources.check(file)
    good, bad = load(file, ("image", "label"), images=LIMITS)
    assert good["image"].to_pylist() == list(dirty.GOOD.values())
    assert [b["reason"] for b in bad] == [*REASONS.values(), "missing_image"]


def test_an_image_names_a_row_and_a_pair_needs_both(one, put):
    def named(columns, **values):
        file = one(put("a.tar", tar(samples(1))), {c: c for c in columns})
        kinds = {"image": pa.large_binary(), "text": pa.large_string(), "id": pa.string()}
        batch = pa.record_batch({k: pa.array(v, kinds[k]) for k, v in values.items()})
        uid = sources.uids(file, batch)
        return uid.to_pylist(), sources.contents(file, batch, uid).to_pylist()

    images, texts = [b"1", b"1", b"2"], ["a", "b", "a"]
    alone, _ = named(("image",), image=images)
    assert alone[0] == alone[1] != alone[2]
    pairs, seen = named(("image", "text"), image=images, text=texts)
    assert len({*pairs}) == len({*seen}) == 3
    ids, same = named(("image", "text", "id"), image=images, text=texts, id=["x", "y", "z"])
    assert len({*ids, *pairs, *alone}) == 8
    assert same == seen


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("a.jsonl", {"image": "x"}, "JSON lines cannot hold images"),
        ("a.csv", {"image": "x"}, "a csv file cannot hold images"),
        ("a.tar", {"image": "jpeg"}, "column 'jpeg' not found .*did you mean 'png'"),
        ("a.tar", {"embedding": "x"}, "an archive cannot hold embeddings"),
    ],
)
def test_what_a_format_cannot_hold_is_told(put, one, name, columns, message):
    data = tar(samples(2)) if name.endswith("tar") else b'{"x": 1}\n'
    with pytest.raises(errors.SchemaError, match=f"(?s){message}"):
        sources.check(one(put(name, data), columns))


def test_format_images_is_of_a_folder(put, one):
    with pytest.raises(errors.SchemaError, match="format: images is of a folder"):
        one(put("a.png", b"1"), {"image": "image"}, format="images")
