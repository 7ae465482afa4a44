"""Files by URL: local paths, memory://, s3:// and gs:// look alike, through fsspec.

Every path tamis takes or writes passes here, so that the rest of the code never asks where a file
lives. A path keeps the spelling it was given: what the config calls `data/a.parquet` is called so
in the manifest.
"""

import contextlib
import errno
import hashlib
import os
import pathlib
import uuid
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import fsspec

from tamis import errors

_EXTRAS = {
    "s3": ("s3fs", "tamis[s3]"),
    "s3a": ("s3fs", "tamis[s3]"),
    "gs": ("gcsfs", "tamis[gcp]"),
    "gcs": ("gcsfs", "tamis[gcp]"),
    "abfs": ("adlfs", "adlfs"),
    "az": ("adlfs", "adlfs"),
}
# Where a put is atomic already: readers see the old object or the new one, never half of it.
_ATOMIC_PUT = frozenset({"memory", "abfs", "az", *_EXTRAS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_PIECE = 8 << 20


def filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of `url`, and the path within it.

    Raises:
      ConfigError: the protocol is unknown, or its driver is not installed.
    """
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        scheme = url.partition("://")[0]
        driver, package = _EXTRAS.get(scheme, ("a driver that is not installed", ""))
        remedy = f"pip install '{package}'" if package else str(error)
        raise errors.ConfigError(f"{scheme}:// needs {driver}", where=url, remedy=remedy) from error
    except ValueError as error:
        known = ", ".join(sorted({"memory", *_EXTRAS}))
        raise errors.ConfigError(
            "unknown kind of path", where=url, why=str(error), remedy=f"use a local path, {known}"
        ) from error


def join(url: str, *parts: str) -> str:
    """`url` with `parts` under it.

    >>> join("s3://bucket/run/", "index", "part-0.parquet")
    's3://bucket/run/index/part-0.parquet'
    """
    if not url or url.endswith("://"):
        return url + "/".join(parts)
    return "/".join((url.rstrip("/"), *parts))


def exists(url: str) -> bool:
    """Whether a file or folder is there."""
    fs, path = filesystem(url)
    return bool(fs.exists(path))


def is_folder(url: str) -> bool:
    """Whether `url` is a folder, or a prefix with objects under it."""
    fs, path = filesystem(url)
    return bool(fs.isdir(path))


def size(url: str) -> int:
    """Bytes of a file.

    Raises:
      FileNotFoundError: there is none.
    """
    fs, path = filesystem(url)
    return int(fs.size(path))


def listing(url: str, suffix: str = "") -> list[str]:
    """Sorted names (not paths) of the visible files right under a folder; none if it is missing.

    Names that start with a dot are being written or are not ours.
    """
    fs, path = filesystem(url)
    fs.invalidate_cache(path)  # another worker may have written since
    try:
        entries = fs.ls(path, detail=True)
    except FileNotFoundError:
        return []
    names = (e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "file")
    return sorted(n for n in names if n.endswith(suffix) and not n.startswith("."))


def relative(path: str, root: str) -> str:
    """`path` below `root`, both as the file system spells them."""
    return path[len(root) :].lstrip("/") if path.startswith(root) else path


def folder(url: str) -> str:
    """The folder a file or pattern is in: "" for a bare name."""
    head, slash, _ = url.rpartition("/")
    return head + slash if head.endswith(":/") or not head else head


def modified(url: str) -> str:
    """When a file was last written, as its store says; empty where it does not."""
    fs, path = filesystem(url)
    try:
        return fs.modified(path).isoformat()
    except (NotImplementedError, FileNotFoundError, KeyError):
        return ""


def open_read(url: str) -> BinaryIO:
    """A seekable binary file."""
    fs, path = filesystem(url)
    return fs.open(path, "rb")


def read_bytes(url: str) -> bytes:
    """All of a small file."""
    fs, path = filesystem(url)
    return fs.cat_file(path)


def read_many(urls: Sequence[str]) -> list[bytes]:
    """All of some small files of one file system, at once where it can."""
    if not urls:
        return []
    fs, _ = filesystem(urls[0])
    paths = [filesystem(url)[1] for url in urls]
    found = fs.cat(paths, on_error="raise")
    return [found] if isinstance(found, bytes) else [found[path] for path in paths]


def sha256(url: str) -> str:
    """SHA-256 of a file, hex; it is read once, in pieces.

    Raises:
      FileNotFoundError: there is none.
    """
    hasher = hashlib.sha256()
    with open_read(url) as stream:
        while data := stream.read(_PIECE):
            hasher.update(data)
    return hasher.hexdigest()


def makedirs(url: str) -> None:
    """Make a folder and those above it; an existing one is fine."""
    fs, path = filesystem(url)
    fs.makedirs(path, exist_ok=True)


def remove_tree(url: str) -> None:
    """Remove a file or a folder with all in it; a missing one is fine."""
    fs, path = filesystem(url)
    fs.invalidate_cache(path)
    with writing(url), contextlib.suppress(FileNotFoundError):
        fs.rm(path, recursive=True)


def copy(url: str, to: str) -> None:
    """A file under another name too: a second link to it on one disk, a copy elsewhere.

    Files are replaced and never changed, so neither name sees what is written to the other. What
    is at `to` already stays.
    """
    if not exists(to) and not _linked(url, to):
        write_atomic(to, read_bytes(url))


def _linked(url: str, to: str) -> bool:
    if not (is_local(url) and is_local(to)):
        return False
    target = pathlib.Path(filesystem(to)[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(filesystem(url)[1], target)
    except OSError:  # another disk, or one without links
        return False
    return True


def write_atomic(url: str, data: bytes) -> None:
    """Write a file that others see whole or not at all, even through a crash.

    Two workers may write the same file at once, as Beam runs backups of slow ones: each has its
    own hidden temporary name, and the last rename wins.

    Raises:
      CapacityError: the disk, or somebody's share of it, is full; what was there is left as it was.
      ConfigError: nobody may write there.
    """
    fs, path = filesystem(url)
    with writing(url):
        if _is_local(fs):
            _write_local(pathlib.Path(path), data)
        elif _ATOMIC_PUT.intersection(_protocols(fs)):
            fs.pipe_file(path, data)
        else:
            _write_moved(fs, path, data)


def write_new(url: str, data: bytes) -> bool:
    """Write a file unless it is there; of two who try at once one succeeds. False if it was there.

    Object stores decide by a conditional put, where their driver has one.
    """
    fs, path = filesystem(url)
    with writing(url):
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
    return True


@contextlib.contextmanager
def writing(url: str) -> Iterator[None]:
    """Say in our words what the system says of a place that cannot be written to.

    Raises:
      CapacityError: the disk is full.
      ConfigError: it is read-only, or not ours to write.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise errors.CapacityError(
                "the disk is full",
                where=folder(url) or url,
                why=f"{os.strerror(error.errno)}, writing {url.rpartition('/')[2]}",
                remedy="free some space, then run the same command again: what is committed stays",
            ) from error
        if error.errno in _CLOSED:
            raise errors.ConfigError(
                "the folder cannot be written to",
                where=folder(url) or url,
                why=os.strerror(error.errno),
                remedy="make it writable, or name another folder in `run:`",
            ) from error
        raise


def _write_local(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path) as temporary:
        with temporary.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())  # a rename may reach the disk before the data does
        temporary.replace(path)
    _sync_folder(path.parent)


@contextlib.contextmanager
def _temporary(path: pathlib.Path) -> Iterator[pathlib.Path]:
    temporary = path.with_name(_hidden_name(path.name))
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(path: pathlib.Path) -> None:
    """Make the rename itself last."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_moved(fs: fsspec.AbstractFileSystem, path: str, data: bytes) -> None:
    head, _, name = path.rpartition("/")
    fs.makedirs(head, exist_ok=True)
    temporary = f"{head}/{_hidden_name(name)}"
    try:
        fs.pipe_file(temporary, data)
        fs.mv(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            fs.rm(temporary)
        raise


def _hidden_name(name: str) -> str:
    return f".{name[:200]}.{uuid.uuid4().hex}.tmp"


def is_local(url: str) -> bool:
    """Whether `url` is on this machine's disks."""
    return _is_local(filesystem(url)[0])


def identity(url: str) -> tuple[int, ...]:
    """What changes when a file is written again: of a local one its number, size and time.

    Elsewhere asking costs as much as reading, so that no two answers are the same.
    """
    path = local_path(url)
    if not path:
        return (uuid.uuid4().int,)
    with contextlib.suppress(FileNotFoundError):
        found = pathlib.Path(path).stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return ()


def local_path(url: str) -> str:
    """The path of a file on this machine's disks; "" elsewhere."""
    fs, path = filesystem(url)
    return path if _is_local(fs) else ""


def _is_local(fs: fsspec.AbstractFileSystem) -> bool:
    return "file" in _protocols(fs)


def _protocols(fs: fsspec.AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
