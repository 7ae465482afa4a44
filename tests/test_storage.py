import errno
import hashlib
import os
import pathlib
import threading

import pytest

from tamis import errors, finding, storage


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "run")
    return f"memory://storage/{tmp_path.name}"


def test_a_file_is_written_read_listed_and_removed(root):
    url = storage.join(root, "index", "part-0.parquet")
    assert not storage.exists(url)
    assert storage.listing(storage.join(root, "index")) == []
    for data in (b"first", b"second", b"second"):
        storage.write_atomic(url, data)
        assert storage.read_bytes(url) == data
    with storage.open_read(url) as stream:
        stream.seek(3)
        assert stream.read() == b"ond"
    assert storage.size(url) == 6
    assert storage.listing(storage.join(root, "index")) == ["part-0.parquet"]
    assert storage.listing(storage.join(root, "index"), ".json") == []
    assert finding.glob(storage.join(root, "*", "*.parquet")) == [url]
    assert finding.tree(root) == [url]
    storage.remove_tree(root)
    storage.remove_tree(root)
    assert not storage.exists(url)


def test_a_copy_is_a_file_of_its_own_that_leaves_what_is_there(root):
    url, to = (storage.join(root, name, "part-0.parquet") for name in ("old", "new"))
    storage.write_atomic(url, b"first")
    storage.copy(url, to)
    written = storage.modified(url)
    assert (storage.read_bytes(to), bool(written)) == (b"first", True)
    if storage.is_local(url):
        assert pathlib.Path(url).samefile(to)
    storage.write_atomic(to, b"other")
    storage.copy(url, to)
    assert (storage.read_bytes(url), storage.read_bytes(to)) == (b"first", b"other")
    assert storage.modified(url) == written
    assert storage.modified(storage.join(root, "nothing")) == ""


def test_a_copy_goes_from_one_store_to_another(tmp_path):
    url, to = str(tmp_path / "a"), f"memory://storage/{tmp_path.name}/b"
    storage.write_atomic(url, b"first")
    storage.copy(url, to)
    assert storage.read_bytes(to) == b"first"


def test_folders_can_be_made_twice(root):
    storage.makedirs(root)
    storage.makedirs(root)
    assert storage.is_folder(root)


def test_nothing_is_left_beside_a_file_after_success_or_failure(tmp_path, monkeypatch):
    url = str(tmp_path / "a.json")
    storage.write_atomic(url, b"old")
    monkeypatch.setattr(storage.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        storage.write_atomic(url, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert storage.read_bytes(url) == b"old"


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (
            "ENOSPC",
            errors.CapacityError,
            r"the disk is full \(No space left on device, writing a\)",
        ),
        ("EDQUOT", errors.CapacityError, "run the same command again: what is committed stays"),
        ("EROFS", errors.ConfigError, "cannot be written to .*Read-only file system"),
        ("EACCES", errors.ConfigError, "make it writable, or name another folder"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named_with_the_remedy(
    tmp_path, monkeypatch, number, kind, message
):
    def refuse(handle):
        code = getattr(errno, number)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(storage.os, "fsync", refuse)
    with pytest.raises(kind, match=message) as raised:
        storage.write_atomic(str(tmp_path / "a"), b"new")
    assert raised.value.where == str(tmp_path)
    assert not list(tmp_path.iterdir())


def test_of_two_who_make_a_file_one_succeeds(root):
    storage.makedirs(root)
    url = storage.join(root, "lock")
    assert storage.write_new(url, b"first")
    assert not storage.write_new(url, b"second")
    assert storage.read_bytes(url) == b"first"


def test_the_identity_of_a_file_changes_when_it_is_written_again(root):
    url = storage.join(root, "a")
    storage.write_atomic(url, b"1")
    before = storage.identity(url)
    storage.write_atomic(url, b"2")
    assert storage.identity(url) != before


def test_writers_at_once_leave_one_whole_file(tmp_path):
    url = str(tmp_path / "a")
    blobs = [bytes([65 + i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=storage.write_atomic, args=(url, b)) for b in blobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_bytes(url) in blobs
    assert storage.listing(str(tmp_path)) == ["a"]


def test_a_file_system_without_atomic_put_is_renamed_into_place(root, monkeypatch):
    monkeypatch.setattr(storage, "_is_local", lambda fs: False)
    monkeypatch.setattr(storage, "_ATOMIC_PUT", frozenset())
    url = storage.join(root, "a")
    for data in (b"1", b"2"):
        storage.write_atomic(url, data)
    assert storage.read_bytes(url) == b"2"
    assert storage.listing(root) == ["a"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/a.parquet", r"s3:// needs s3fs\n  -> pip install 'tamis\[s3\]'"),
        ("gs://bucket/a.parquet", r"gs:// needs gcsfs\n  -> pip install 'tamis\[gcp\]'"),
        ("nosuch://a", "nosuch://a: unknown kind of path"),
    ],
)
def test_a_missing_driver_names_the_install_line(url, message, monkeypatch):
    def unavailable(url):
        if url.startswith("nosuch"):
            raise ValueError("Protocol not known: nosuch")
        raise ImportError("Install it")

    monkeypatch.setattr(storage.fsspec.core, "url_to_fs", unavailable)
    with pytest.raises(errors.ConfigError, match=message):
        storage.size(url)


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("a", "b"), "a/b"),
        (("a/", "b", "c"), "a/b/c"),
        (("/", "b"), "/b"),
        (("", "b"), "b"),
        (("memory://", "b"), "memory://b"),
        (("s3://x", "b"), "s3://x/b"),
    ],
)
def test_join(parts, joined):
    assert storage.join(*parts) == joined


def test_the_digest_of_a_folder_is_that_of_its_files_and_their_names(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"1")
    (tmp_path / "y.png").write_bytes(b"22")
    listed = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in (("a/x.png", b"1"), ("y.png", b"22"))
    )
    assert finding.sha256(str(tmp_path)) == hashlib.sha256(listed.encode()).hexdigest()
    assert finding.sha256(str(tmp_path / "y.png")) == hashlib.sha256(b"22").hexdigest()
