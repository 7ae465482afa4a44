"""Files by pattern, and what to say of one that is not there."""

import difflib
import hashlib
import pathlib
from typing import NamedTuple

from tamis import errors, storage

_MAGIC = "*?["


def absent(url: str, what: str = "file") -> errors.SchemaError:
    """The error of a file that was listed and is not there: which, why, and what to do."""
    relative = storage.is_local(url) and not pathlib.PurePath(url).is_absolute()
    return errors.SchemaError(
        f"no such {what}",
        where=url,
        why=f"the path is relative, and looked for from {pathlib.Path.cwd()}"
        if relative
        else "inputs are read where they lie, and it was moved or removed",
        remedy="start in the folder that the run was started in, or put the file back"
        if relative
        else "put it back, or run again from where it is, with a new run folder",
    )


def glob(pattern: str) -> list[str]:
    """Sorted URLs of the files a pattern matches, spelled as the pattern is.

    A file whose name is the pattern itself, brackets included, is that file.
    """
    fs, path = storage.filesystem(pattern)
    if fs.isfile(path):
        return [pattern]
    if not any(c in pattern for c in _MAGIC):
        return []
    base = _static_folder(pattern)
    root = storage.filesystem(base)[1] if base else str(pathlib.Path.cwd())
    found = [p for p, e in fs.glob(path, detail=True).items() if e["type"] == "file"]
    return sorted(storage.join(base, storage.relative(p, root)) for p in found)


def nearest(url: str, count: int = 3) -> list[str]:
    """The files beside a missing one whose names are most like it."""
    name = url.rpartition("/")[2]
    beside = storage.listing(storage.folder(_static(url)) or ".")
    return difflib.get_close_matches(name, beside, count, 0.5) or beside[:count]


def _static(pattern: str) -> str:
    """The pattern up to the first folder with a wildcard."""
    parts = pattern.split("/")
    stop = next((i for i, p in enumerate(parts) if any(c in p for c in _MAGIC)), len(parts))
    return "/".join(parts[: stop + 1])


def _static_folder(pattern: str) -> str:
    return storage.folder(_static(pattern))


def tree(url: str) -> list[str]:
    """Sorted URLs of all files at any depth under a folder, spelled as `url` is.

    Names that start with `.` or `_` are skipped with all beneath them: they are the marks that
    Spark, git and download tools leave.
    """
    return [entry.url for entry in entries(url)]


class Entry(NamedTuple):
    """A file under a folder.

    Attributes:
      url: Spelled as the folder was.
      size: Bytes.
      link: Whether it is a link, to whatever.
    """

    url: str
    size: int
    link: bool


def entries(url: str) -> list[Entry]:
    """The files of `tree` with their sizes, sorted by URL."""
    fs, path = storage.filesystem(url)
    fs.invalidate_cache(path)
    below = (
        (storage.relative(name, path), info) for name, info in fs.find(path, detail=True).items()
    )
    found = [
        Entry(storage.join(url, b), int(info.get("size") or 0), bool(info.get("islink")))
        for b, info in below
        if not _hidden(b)
    ]
    return sorted(found)


def _hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/"))


def sha256(url: str) -> str:
    """SHA-256 of a file; of a folder, that of a list with the SHA-256 and name of each file in it.

    The list is what `sha256sum` prints of the names below the folder, sorted.
    """
    if not storage.is_folder(url):
        return storage.sha256(url)
    hasher = hashlib.sha256()
    for entry in entries(url):
        if not entry.link:  # which is a bad row, and may lead out of the folder
            name = entry.url.removeprefix(url.rstrip("/") + "/")
            hasher.update(f"{storage.sha256(entry.url)}  {name}\n".encode())
    return hasher.hexdigest()
