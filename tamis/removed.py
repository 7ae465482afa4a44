"""Rows that are to be gone: a list of uids, and which rows of a table are on it."""

import difflib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import errors, storage
from tamis.schemas import uids

PLACE = "removed/uids.txt"  # of the list that a run folder keeps
_UID = "^[0-9a-f]{32}$"


def read(url: str) -> pa.Array:
    """The uids of a list, one a line, sorted, each once; memory O(list).

    Raises:
      ConfigError: there is no such file, or a line is no uid.
    """
    if not storage.exists(url):
        near = difflib.get_close_matches(
            url,
            [
                storage.join(storage.folder(url), n)
                for n in storage.listing(storage.folder(url) or ".")
            ],
            1,
        )
        raise errors.ConfigError(
            "no such list of uids",
            where=url,
            remedy=f"did you mean {near[0]}?" if near else "give its path",
        )
    lines = pa.array(
        storage.read_bytes(url).decode("utf-8-sig", "replace").splitlines(), pa.string()
    )
    found = pc.utf8_lower(pc.utf8_trim_whitespace(lines))
    wrong = pc.and_(
        pc.invert(pc.match_substring_regex(found, _UID)), pc.greater(pc.utf8_length(found), 0)
    )
    if pc.any(wrong).as_py():
        at = pc.index(wrong, value=True).as_py()
        raise errors.ConfigError(
            f"{lines[at].as_py()!r} is no uid",
            where=f"{url}:{at + 1}",
            why="a uid has 32 hex digits",
            remedy="take them from a manifest's column `uid`",
        )
    named = found.filter(pc.greater(pc.utf8_length(found), 0)).unique()
    return named.take(pc.sort_indices(named))


def write(url: str, names: pa.Array) -> None:
    """A list that `read` gives back."""
    storage.write_atomic(url, "".join(f"{name}\n" for name in names.to_pylist()).encode())


def place(root: str) -> str:
    """Where a run folder keeps its list."""
    return storage.join(root, PLACE)


def sortable(url: str) -> NDArray[np.bytes_]:
    """The list at `url` for `among`: shape (m,), sorted; empty where `url` is."""
    return uids.sortable(uids.from_hex(read(url))) if url else np.zeros(0, "S16")


def among(names: pa.Array | pa.ChunkedArray, listed: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which uids are on a list, shape (n,).

    Args:
      names: N uids.
      listed: `uids.sortable` of the list.
    """
    if not len(listed) or not len(names):
        return np.zeros(len(names), bool)
    return np.isin(uids.sortable(uids.from_hex(names)), listed)


def nearest(names: pa.Array | pa.ChunkedArray, uid: str) -> tuple[int, str]:
    """The uid among some that begins most like another, after the bytes that it has in common."""
    if not len(names):
        return -1, ""
    wanted = uids.from_hex(pa.array([uid])).view(np.uint8)
    same = uids.from_hex(names).view(np.uint8) == wanted
    begins = np.cumprod(same, axis=1).sum(axis=1)
    at = int(begins.argmax())
    return int(begins[at]), names[at].as_py()
