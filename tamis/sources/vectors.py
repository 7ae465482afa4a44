"""Rows of an `.npy` file by position, local or remote, never unpickled.

`FILE.npz#b32_img` is an array of an archive, as DataComp ships the features of CLIP beside its
Parquet files, and `FILE.npz#b32_img+b32_txt` two of them side by side, for pairs. A compressed
archive is decompressed up to the rows that are read, once for each shard.
"""

import contextlib
import tokenize
import warnings
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tamis import artifacts, errors, finding, storage


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
        or is shorter than it says; or arrays side by side have other numbers of rows.
    """
    with opened(path) as parts:
        found = [_layout(part) for part in parts]
    if len({f.rows for f in found}) > 1:
        counts = " and ".join(f"{f.rows:,}" for f in found)
        raise errors.SchemaError(f"arrays of {counts} rows", where=path)
    return found[0]._replace(dimension=sum(f.dimension for f in found))


class Part(NamedTuple):
    """An array in a file: its stream, and how many bytes that is."""

    path: str
    stream: BinaryIO
    size: int


@contextlib.contextmanager
def opened(path: str) -> Iterator[list[Part]]:
    """The array of a file, or the named ones of an archive; with a missing one named.

    Raises:
      SchemaError: there is no such file or array, or it is no archive.
    """
    file, _, names = path.partition("#")
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(storage.open_read(file))
            if not names:
                yield [Part(path, stream, storage.size(file))]
                return
            archive = stack.enter_context(zipfile.ZipFile(stream))
        except FileNotFoundError as error:
            raise finding.absent(file, "file of vectors") from error
        except zipfile.BadZipFile as error:
            raise errors.SchemaError("not an .npz file", where=file, why=str(error)) from error
        held = [n.removesuffix(".npy") for n in archive.namelist()]
        missing = [n for n in names.split("+") if n not in held]
        if missing:
            raise errors.SchemaError(
                f"no array {missing[0]!r}", where=file, why=f"it holds {', '.join(held)}"
            )
        infos = [archive.getinfo(f"{n}.npy") for n in names.split("+")]
        yield [Part(path, stack.enter_context(archive.open(i)), i.file_size) for i in infos]  # type: ignore[arg-type]


def _layout(part: Part) -> Layout:
    path, stream = part.path, part.stream
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
    _check_length(part, found)
    return found


def _check_length(part: Part, found: Layout) -> None:
    size = found.offset + found.rows * found.dimension * found.dtype.itemsize
    if part.size != size:
        raise errors.SchemaError(
            f"holds {part.size:,} bytes",
            where=part.path,
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
    """Reads runs of rows from an open file; several arrays side by side.

    A seek and a read where a memory map would do the same for local files only.
    """

    def __init__(self, parts: list[Part]) -> None:
        self._parts = [(_layout(part), part.stream) for part in parts]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of ascending rows that lie close together, shape (n, d)."""
        return np.concatenate([_take(*part, rows) for part in self._parts], axis=1)


def _take(found: Layout, stream: BinaryIO, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    d, dtype = found.dimension, found.dtype
    if not len(rows):
        return np.zeros((0, d), np.float32)
    first, stop = int(rows[0]), int(rows[-1]) + 1
    stream.seek(found.offset + first * d * dtype.itemsize)
    data = stream.read((stop - first) * d * dtype.itemsize)
    block = np.frombuffer(data, dtype).reshape(-1, d)
    with np.errstate(over="ignore"):  # becomes inf, and is rejected for it
        return block[rows - first].astype(np.float32)
