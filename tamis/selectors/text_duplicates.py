"""Duplicates of text before any embedding: exact ones, and near ones by MinHash.

Two texts are near when their sets of word n-grams have a Jaccard similarity |A n B| / |A u B| of at
least the threshold (Broder 1997). MinHash signatures, cut into bands, propose; the sets decide, so
no pair below the threshold is returned. A pair of similarity s shares a band with probability
1 - (1 - s^r)^b (Leskovec et al. 2020, §3.4): with the defaults, datatrove's, .71 at .7, .93 at .8
and .9996 at .9. The signatures are the rensa library's.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse
from numpy.typing import NDArray

from tamis import errors, seeding
from tamis.selectors import near_pairs

WORDS, BANDS, ROWS = 5, 14, 8
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


def signatures(sets: Shingles, size: int, seed: int) -> NDArray[np.uint32]:
    """MinHash signatures, shape (n, size)."""
    try:
        import rensa
    except ImportError as error:
        raise errors.ConfigError(
            "MinHash needs rensa", why=str(error), remedy="pip install 'tamis[minhash]'"
        ) from error
    named = int.from_bytes(seeding.digest(seed, "minhash")[:4], "little")
    found = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        sets.hash, sets.bounds.astype(np.uint64), size, named
    )
    return np.array(found.to_rows(), np.uint32).reshape(-1, size)


def minhash_pairs(
    texts: pa.Array | pa.ChunkedArray,
    threshold: float,
    *,
    seed: int,
    bands: int = BANDS,
    rows: int = ROWS,
) -> near_pairs.Pairs:
    """Pairs of texts with a Jaccard similarity of at least `threshold`, most of them.

    Time O(words + n bands log n); memory O(words + n bands rows). In a bucket of more than 64 rows
    each is compared with the next 64, which joins a family without squaring it.

    Args:
      texts: n strings.
      threshold: Of the Jaccard similarity, above 0.
      seed: The run's.
      bands: Chances to meet.
      rows: Signature entries that must agree for it.

    Returns:
      a < b, ascending.
    """
    sets = shingles(texts)
    signature = signatures(sets, bands * rows, seed)
    n = len(signature)
    keys = np.unique(np.concatenate([np.zeros(0, np.int64), *_meetings(signature, bands)]))
    a, b = np.divmod(keys, max(n, 1))
    similarity = jaccard(sets, a, b)
    near = similarity >= np.float32(threshold)
    return near_pairs.Pairs(a[near], b[near], similarity[near])


def _meetings(signature: NDArray[np.uint32], bands: int) -> Iterator[NDArray[np.int64]]:
    """`a n + b` of the rows that share a band."""
    n = len(signature)
    for band in np.split(signature, bands, axis=1):
        _, bucket = np.unique(band, axis=0, return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        for apart in range(1, min(_NEIGHBOURS, n - 1) + 1):
            same = np.flatnonzero(bucket[order[apart:]] == bucket[order[:-apart]])
            if not len(same):
                break
            yield order[same] * n + order[same + apart]


def jaccard(sets: Shingles, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
    """|A n B| / |A u B| of rows a[i] and b[i], exactly."""
    _, column = np.unique(sets.hash, return_inverse=True)
    ones = np.ones(len(column), np.int32)
    held = scipy.sparse.csr_array(
        (ones, column, sets.bounds), (len(sets.bounds) - 1, column.max(initial=0) + 1)
    )
    size, out = np.diff(sets.bounds), np.empty(len(a), np.float32)
    for start in range(0, len(a), _MEASURED):
        part = slice(start, start + _MEASURED)
        both = held[a[part]].multiply(held[b[part]]).sum(axis=1)
        out[part] = both / (size[a[part]] + size[b[part]] - both)
    return out
