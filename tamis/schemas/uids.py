"""The 128-bit name of a row: hex in Parquet, two u64 in numpy.

It names *what* a row is, never where: the hash of (source, the source's own id), or of the
content where the source has no ids.
"""

import hashlib
import itertools

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

TYPE = pa.string()
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_NIBBLE = np.zeros(256, np.uint8)
_NIBBLE[_HEX] = np.arange(16, dtype=np.uint8)


def of(source: str, values: pa.Array) -> pa.Array:
    """Name rows.

    Args:
      source: What the values are unique in: the source's name for ids, "" for contents.
      values: The ids or contents, as (large_)string or (large_)binary without nulls.

    Returns:
      32 hex digits per row.
    """
    return to_hex(numbers(source, values))


def numbers(source: str, values: pa.Array) -> NDArray[np.uint64]:
    """The names as `of` has them, shape (n, 2) u64.

    A cryptographic hash, because two rows with one uid are taken for the same row and inputs are
    not trusted. It is the one loop over rows in tamis: hashlib has no columnar form.
    """
    fresh = hashlib.blake2b(source.encode() + b"\0", digest_size=16).copy
    data = memoryview(_bytes(values))
    out = []
    for start, stop in itertools.pairwise(_offsets(values).tolist()):
        hasher = fresh()
        hasher.update(data[start:stop])
        out.append(hasher.digest())
    return np.frombuffer(b"".join(out), np.uint64).reshape(-1, 2)


def to_hex(uids: NDArray[np.uint64]) -> pa.Array:
    """Shape (n, 2) u64 to n strings of 32 hex digits."""
    raw = np.ascontiguousarray(uids).view(np.uint8).reshape(-1, 16)
    digits = np.empty((len(raw), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = _HEX[raw >> 4], _HEX[raw & 15]
    offsets = np.arange(len(raw) + 1, dtype=np.int32) * np.int32(32)
    return pa.StringArray.from_buffers(len(raw), pa.py_buffer(offsets), pa.py_buffer(digits))


def from_hex(values: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
    """N strings of 32 hex digits to shape (n, 2) u64.

    Raises:
      ValueError: a value is null or not 32 long.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    offsets = _offsets(values)
    if values.null_count or np.any(np.diff(offsets) != 32):
        raise ValueError("a uid is null or not 32 hex digits")
    digits = np.frombuffer(_bytes(values), np.uint8)[offsets[0] : offsets[-1]].reshape(-1, 32)
    nibbles = _NIBBLE[digits]
    return ((nibbles[:, 0::2] << 4) | nibbles[:, 1::2]).view(np.uint64).reshape(-1, 2)


def sortable(uids: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Uids (n, 2) as 16 bytes each, which numpy can sort and search: shape (n,)."""
    return np.ascontiguousarray(uids).view("S16").reshape(-1)


def _bytes(values: pa.Array) -> bytes | pa.Buffer:
    return values.buffers()[2] or b""


def _offsets(values: pa.Array) -> NDArray[np.int64]:
    large = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    raw = np.frombuffer(values.buffers()[1], np.int64 if large else np.int32)
    return raw[values.offset : values.offset + len(values) + 1].astype(np.int64)
