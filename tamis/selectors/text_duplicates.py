"""Duplicates of text before any embedding: exact ones, and near ones by MinHash.

Two texts are near when their sets of word n-grams have a Jaccard similarity |A n B| / |A u B| of at
least the threshold (Broder 1997). MinHash signatures, cut into bands, propose; the sets decide, so
no pair below the threshold is returned. A pair of similarity s shares one of b bands of r entries
with probability 1 - (1 - s^r)^b (Leskovec et al. 2020, §3.4); `banding` chooses them for the
threshold. The signatures are the rensa library's.
"""

import hashlib
import importlib
import types
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse
from numpy.typing import NDArray

from tamis import errors, seeding
from tamis.selectors import duplicate_groups, near_pairs

WORDS = 5
ENTRIES = 112  # of a signature, as datatrove's: 14 bands of 8
RECALL = 0.95  # the least chance of a pair at the threshold to be proposed
_NEIGHBOURS = 64  # rows of one bucket that each is compared with
_MEASURED = 4_096  # pairs whose sets are gathered at a time
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


class Shingles(NamedTuple):
    """Sets of hashed n-grams, row after row.

    Attributes:
      hash: Shape (s,) uint64, ascending and distinct inside each row.
      bounds: Shape (n + 1,) int64; row i is `hash[bounds[i]:bounds[i + 1]]`.
    """

    hash: NDArray[np.uint64]
    bounds: NDArray[np.int64]

    def at(self, rows: NDArray[np.int64]) -> "Shingles":
        """The sets of some rows, in that order. Reads no others."""
        start, size = self.bounds[rows], self.bounds[rows + 1] - self.bounds[rows]
        bounds = np.r_[0, np.cumsum(size)]
        place = np.arange(bounds[-1]) + np.repeat(start - bounds[:-1], size)
        return Shingles(self.hash[place], bounds)


class Sets(Protocol):
    """Sets of n-grams that can be had by row."""

    def at(self, rows: NDArray[np.int64]) -> Shingles: ...


def joined(parts: Sequence[Shingles]) -> Shingles:
    """The sets of all parts, in order."""
    size = [np.zeros(0, np.int64), *(np.diff(p.bounds) for p in parts)]
    hashes = [np.zeros(0, np.uint64), *(p.hash for p in parts)]
    return Shingles(np.concatenate(hashes), np.r_[0, np.cumsum(np.concatenate(size))])


def banding(threshold: float) -> tuple[int, int]:
    """Bands and entries of each: the longest by which a pair at the threshold meets at .95.

    Longer bands propose fewer pairs that are not near. Of 112 entries:

    >>> [banding(t) for t in (0.5, 0.7, 0.8, 0.9, 1.0)]
    [(37, 3), (22, 5), (16, 7), (10, 11), (1, 112)]
    """
    rows = np.arange(1, ENTRIES + 1)
    bands = ENTRIES // rows
    meets = 1 - (1 - float(threshold) ** rows) ** bands
    best = int(rows[meets >= RECALL].max(initial=1))
    return ENTRIES // best, best


def exact(texts: pa.Array | pa.ChunkedArray) -> near_pairs.Pairs:
    """Every copy of a text with its first row. Time and memory O(bytes)."""
    code = _codes(texts)
    _, first = np.unique(code, return_index=True)
    head = first[code]
    copy = np.flatnonzero(head != np.arange(len(code)))
    return near_pairs.Pairs(head[copy], copy, np.ones(len(copy), np.float32))


def _codes(values: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """A number per distinct value, in order of first appearance."""
    encoded = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return encoded.dictionary_encode().indices.to_numpy().astype(np.int64)


def shingles(texts: pa.Array | pa.ChunkedArray, words: int = WORDS) -> Shingles:
    """The n-grams of lower-cased words of each text; a shorter text is one n-gram.

    Time O(words), and a cryptographic hash for each distinct word.
    """
    lists = pc.split_pattern_regex(pc.utf8_trim_whitespace(pc.utf8_lower(texts)), r"\s+")
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    length = pc.list_value_length(lists).to_numpy().astype(np.int64)
    encoded = lists.flatten().dictionary_encode()
    named = [
        hashlib.blake2b(w.encode(), digest_size=8).digest() for w in encoded.dictionary.to_pylist()
    ]
    hashed = np.frombuffer(b"".join(named), np.uint64)[encoded.indices.to_numpy()]
    start = np.cumsum(length) - length
    grams = np.maximum(length - words + 1, 1)
    row = np.repeat(np.arange(len(length)), grams)
    first = np.arange(len(row)) - np.repeat(np.cumsum(grams) - grams, grams) + start[row]
    rolled = np.zeros(len(row), np.uint64)
    for i in range(words):
        there = i < length[row]
        following = hashed[np.minimum(first + i, len(hashed) - 1)] if len(hashed) else rolled
        rolled = np.where(there, (rolled ^ following) * _MULTIPLIER, rolled)
        rolled ^= rolled >> np.uint64(29)
    return _distinct(row, rolled, len(length))


def _distinct(row: NDArray[np.int64], value: NDArray[np.uint64], n: int) -> Shingles:
    order = np.lexsort((value, row))
    row, value = row[order], value[order]
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    return Shingles(value[new], np.r_[0, np.cumsum(np.bincount(row[new], minlength=n))])


def library() -> types.ModuleType:
    """Rensa.

    Raises:
      ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("rensa")
    except ImportError as error:
        raise errors.ConfigError(
            "MinHash needs rensa", why=str(error), remedy="pip install 'tamis[minhash]'"
        ) from error


def signatures(sets: Shingles, size: int, seed: int) -> NDArray[np.uint32]:
    """MinHash signatures, shape (n, size)."""
    named = int.from_bytes(seeding.digest(seed, "minhash")[:4], "little")
    found = library().RMinHash.digest_matrix_from_flat_token_hashes(
        sets.hash, sets.bounds.astype(np.uint64), size, named
    )
    return np.array(found.to_rows(), np.uint32).reshape(-1, size)


def band_keys(sets: Shingles, banding: tuple[int, int], seed: int) -> NDArray[np.uint64]:
    """A hash of each band of each row's signature, shape (n, bands); other bands hash otherwise.

    Time O(n-grams x entries).

    Args:
      sets: Of n rows.
      banding: Bands, and entries of each.
      seed: The run's.
    """
    bands, rows = banding
    signature = signatures(sets, bands * rows, seed).reshape(-1, bands, rows).astype(np.uint64)
    found = np.broadcast_to(np.arange(bands, dtype=np.uint64), signature.shape[:2])
    for i in range(rows):
        found = seeding.mix(found ^ signature[:, :, i])
    return found


def minhash_pairs(
    texts: pa.Array | pa.ChunkedArray, threshold: float, *, seed: int
) -> near_pairs.Pairs:
    """Pairs of texts with a Jaccard similarity of at least `threshold`, most of them.

    Time O(words + n bands log n); memory O(words + n entries). In a bucket of more than 64 rows
    each is compared with the next 64, which joins a family without squaring it.

    Args:
      texts: n strings.
      threshold: Of the Jaccard similarity, above 0.
      seed: The run's.

    Returns:
      a < b, ascending.
    """
    sets = shingles(texts)
    keys = band_keys(sets, banding(threshold), seed)
    a, b = np.divmod(np.unique(_numbers(keys, len(keys))), max(len(keys), 1))
    similarity = jaccard(sets, a, b)
    near = similarity >= np.float32(threshold)
    return near_pairs.Pairs(a[near], b[near], similarity[near])


def _numbers(keys: NDArray[np.uint64], n: int) -> NDArray[np.int64]:
    """`a n + b` of the rows that share a band."""
    met = [a * n + b for band in keys.T for a, b in meetings(band)]
    return np.concatenate([np.zeros(0, np.int64), *met])


def meetings(key: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places a < b with one key: neighbours in their bucket, then those two apart, up to 64."""
    order = np.argsort(key, kind="stable")
    held = key[order]
    for apart in range(1, min(_NEIGHBOURS, len(key) - 1) + 1):
        same = np.flatnonzero(held[apart:] == held[:-apart])
        if not len(same):
            return
        yield order[same], order[same + apart]


def tree(
    key: NDArray[np.uint64], row: NDArray[np.int64], sets: Sets, n: int, threshold: float
) -> near_pairs.Pairs:
    """Near pairs that join all rows which near pairs of one key join, and not much more.

    What is joined already is measured no more, so a family costs its size and not its square. Time
    O(keys + n) for each of up to 64 steps, and the n-grams of the pairs that are measured.

    Args:
      key: Shape (p,), of a band.
      row: Shape (p,), whose it is; ties between rows go by it.
      sets: Of the rows.
      n: Rows.
      threshold: Of the Jaccard similarity.
    """
    found, group = near_pairs.joined([]), np.arange(n)
    for left, right in meetings(key):
        ends = np.sort(np.stack([row[left], row[right]]), axis=0)
        a, b = np.unique(ends[:, group[ends[0]] != group[ends[1]]], axis=1)
        similarity = jaccard(sets, a, b)
        near = similarity >= np.float32(threshold)
        if near.any():
            more = near_pairs.Pairs(a[near], b[near], similarity[near])
            found = duplicate_groups.forest(near_pairs.joined([found, more]), n)
            group = duplicate_groups.groups(found, n, threshold)
    return found


def jaccard(sets: Sets, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    """|A n B| / |A u B| of rows a[i] and b[i], exactly. Memory that of 4,096 pairs' sets."""
    out = np.empty(len(a), np.float32)
    for start in range(0, len(a), _MEASURED):
        part = slice(start, start + _MEASURED)
        rows, place = np.unique(np.concatenate([a[part], b[part]]), return_inverse=True)
        out[part] = _jaccard(sets.at(rows), *np.split(place, 2))
    return out


def _jaccard(sets: Shingles, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    _, column = np.unique(sets.hash, return_inverse=True)
    ones = np.ones(len(column), np.int32)
    shape = len(sets.bounds) - 1, column.max(initial=0) + 1
    held = scipy.sparse.csr_array((ones, column, sets.bounds), shape)
    size, both = np.diff(sets.bounds), held[a].multiply(held[b]).sum(axis=1)
    return (both / (size[a] + size[b] - both)).astype(np.float32)
