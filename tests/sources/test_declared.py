import os

import fsspec
import pytest

from tamis import errors, sources
from tamis.schemas import shards


@pytest.fixture
def data(tmp_path, monkeypatch):
    for name in (
        "b.jsonl",
        "a.jsonl.gz",
        "sub/c.parquet",
        "t.TSV",
        "x.csv",
        "notes.md",
        "_temporary/d.jsonl",
        ".git/e.jsonl",
        "odd[1].jsonl",
    ):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expand(*paths, **options):
    source = sources.Source("news", "supply", paths, shards.Columns("text"), **options)
    return sources.expand(source)


def test_patterns_keep_the_spelling_of_the_config_and_sort(data):
    paths = [f.path for f in expand("data/b.jsonl", "data/*.jsonl*")]
    assert paths == ["data/a.jsonl.gz", "data/b.jsonl", "data/odd[1].jsonl"]
    assert [f.path for f in expand(f"{data}/data/b*")] == [f"{data}/data/b.jsonl"]
    assert [f.path for f in expand("./data/b*", "../*/data/b*")] == [
        f"../{data.name}/data/b.jsonl",
        "./data/b.jsonl",
    ]
    os.chdir("data")
    assert [f.path for f in expand("b*")] == ["b.jsonl"]


def test_a_folder_stands_for_its_known_files_at_any_depth(data):
    assert [f.path for f in expand("data")] == [
        "data/a.jsonl.gz",
        "data/b.jsonl",
        "data/odd[1].jsonl",
        "data/sub/c.parquet",
        "data/t.TSV",
        "data/x.csv",
    ]


def test_a_name_with_brackets_is_that_file(data):
    assert [f.path for f in expand("data/odd[1].jsonl")] == ["data/odd[1].jsonl"]


def test_formats_come_from_extensions(data):
    found = {f.path: f for f in expand("data")}
    kinds = {p: (f.format, f.compression, f.delimiter, f.quote) for p, f in found.items()}
    assert kinds["data/a.jsonl.gz"][:2] == ("jsonl", "gzip")
    assert kinds["data/sub/c.parquet"][:2] == ("parquet", "none")
    assert kinds["data/t.TSV"] == ("csv", "none", "\t", "")
    assert kinds["data/x.csv"] == ("csv", "none", ",", '"')
    assert found["data/x.csv"].size == 2
    (given,) = expand("data/notes.md", format="csv", delimiter="|", quote="")
    assert (given.format, given.delimiter, given.quote) == ("csv", "|", "")


def test_memory_paths_look_alike():
    with fsspec.open("memory://declared/x/a.jsonl", "wb") as out:
        out.write(b"{}")
    for pattern in (
        "memory://declared/*/a.jsonl",
        "memory://declared/x/a.jsonl",
        "memory://declared",
    ):
        assert [f.path for f in expand(pattern)] == ["memory://declared/x/a.jsonl"]


@pytest.mark.parametrize(
    ("paths", "options", "message"),
    [
        (
            ["data/bb.jsonl"],
            {},
            r"data/bb\.jsonl: no file matches .*news.*\n.*nearest there: b\.jso",
        ),
        (["data/*.zip"], {}, "no file matches"),
        (["nowhere/*.csv"], {}, "the folder is missing or empty"),
        (["data/notes.md"], {}, r"unknown extension '.md' .*\n.*\.parquet \.pq \.jsonl"),
        (["data/.git/../../data/_temporary"], {}, None),
        (["data"], {"vectors": "data/*.npy"}, r"0 files of vectors for 6 files of rows"),
        (["data/x.csv"], {"delimiter": "::"}, "delimiter '::' is not one ASCII character"),
        (["data/x.csv"], {"delimiter": ""}, "delimiter is empty"),
    ],
)
def test_what_cannot_be_is_told(data, paths, options, message):
    if message is None:
        assert [f.path for f in expand(*paths, **options)]
        return
    with pytest.raises(errors.SchemaError, match=message):
        expand(*paths, **options)


def test_a_folder_of_unknown_files(data):
    (data / "empty").mkdir()
    with pytest.raises(errors.SchemaError, match="no file of a known kind in this folder"):
        expand("empty")


def test_vectors_and_an_embedding_column_exclude_each_other(data):
    source = sources.Source(
        "s", "supply", ("data/b.jsonl",), shards.Columns(embedding="e"), vectors="v.npy"
    )
    with pytest.raises(errors.SchemaError, match="both vectors and an embedding column"):
        sources.expand(source)
