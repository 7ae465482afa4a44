"""Rows of an `.npy` file by position, local or remote, never unpickled."""

import contextlib
import tokenize
import warnings
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tamis import artifacts, errors, storage


class Layout(NamedTuple):
    """Where an `.npy` file of shape (rows, dimension) holds what."""

    rows: int
    dimension: int
    dtype: np.dtype
    offset: int


def layout(path: str) -> Layout:
    """The shape of a file of vectors.

    Raises:
      SchemaError: it is no `.npy` file of shape (n, d) of float16, float32 or float64 in C order,
        or is shorter than it says.
    """
    with opened(path) as stream:
        return _layout(path, stream)


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The file, with a missing one named."""
    try:
        with storage.open_read(path) as stream:
            yield stream
    except FileNotFoundError as error:
        raise errors.SchemaError("no such file of vectors", where=path) from error


def _layout(path: str, stream: BinaryIO) -> Layout:
    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        with artifacts.HEADER, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a header that looks like Python 2's
            shape, fortran, dtype = read(stream)
    except (ValueError, tokenize.TokenError) as error:
        raise errors.SchemaError("not an .npy file", where=path, why=str(error)) from error
    if len(shape) != 2 or fortran or dtype.kind != "f" or dtype.itemsize > 8:
        order = "Fortran" if fortran else "C"
        raise errors.SchemaError(
            f"holds {dtype} of shape {shape} in {order} order",
            where=path,
            remedy="save float16, float32 or float64 of shape (rows, dimension) in C order",
        )
    found = Layout(*shape, dtype, stream.tell())
    _check_length(path, found)
    return found


def _check_length(path: str, found: Layout) -> None:
    size = found.offset + found.rows * found.dimension * found.dtype.itemsize
    if storage.size(path) != size:
        raise errors.SchemaError(
            f"holds {storage.size(path):,} bytes",
            where=path,
            why=f"shape ({found.rows}, {found.dimension}) of {found.dtype} takes {size:,}",
            remedy="the file is truncated or damaged: write it again",
        )


def check(path: str, rows: int, of: str) -> None:
    """Whether there is one vector per row.

    Raises:
      SchemaError: naming both counts.
    """
    found = layout(path).rows
    if found != rows:
        raise errors.SchemaError(
            f"{found:,} vectors for the {rows:,} rows of {of}",
            where=path,
            remedy="write one vector per row, in the file's order, bad rows included",
        )


class Reader:
    """Reads runs of rows from an open file.

    A seek and a read where a memory map would do the same for local files only.
    """

    def __init__(self, path: str, stream: BinaryIO) -> None:
        self._layout = _layout(path, stream)
        self._stream = stream

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of ascending rows that lie close together, shape (n, d)."""
        d, dtype = self._layout.dimension, self._layout.dtype
        if not len(rows):
            return np.zeros((0, d), np.float32)
        first, stop = int(rows[0]), int(rows[-1]) + 1
        self._stream.seek(self._layout.offset + first * d * dtype.itemsize)
        data = self._stream.read((stop - first) * d * dtype.itemsize)
        block = np.frombuffer(data, dtype).reshape(-1, d)
        with np.errstate(over="ignore"):  # becomes inf, and is rejected for it
            return block[rows - first].astype(np.float32)
