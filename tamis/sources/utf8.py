"""Whether bytes are UTF-8, found at memory speed."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def valid(data: bytes | memoryview) -> bool:
    """Whether all of `data` is UTF-8."""
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64))
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)]
    )
    return _casts(whole)


def invalid(values: pa.Array) -> NDArray[np.bool_]:
    """Which of n (large_)strings are not UTF-8, shape (n,); nulls are."""
    large = pa.types.is_large_string(values.type)
    raw = values.cast(pa.large_binary() if large else pa.binary())
    if _casts(raw):
        return np.zeros(len(values), bool)
    return np.array([not _decodes(value) for value in raw.to_pylist()])


def problem(data: bytes) -> str:
    """What is wrong with bytes that are not UTF-8, or "" if nothing is."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start} is 0x{data[error.start]:02x}, not UTF-8"
    return ""


def _decodes(data: bytes | None) -> bool:
    return data is None or not problem(data)


def _casts(values: pa.Array) -> bool:
    try:
        values.cast(pa.large_string() if pa.types.is_large_binary(values.type) else pa.string())
    except pa.ArrowInvalid:
        return False
    return True
