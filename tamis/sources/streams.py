"""Bytes of a file, decompressed, in chunks of fixed size."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import pyarrow as pa

from tamis import errors, finding, storage
from tamis.schemas import shards

# Batches never span chunks, so this bounds memory and fixes where batches are cut.
CHUNK = 8 << 20
BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip stream",
    b"\x28\xb5\x2f\xfd": "a zstd stream",
    b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes: ...


def chunks(file: shards.File, start: int = 0, stop: int = 0, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes [start, stop) of a line file in pieces of `size`; to its end if stop is 0.

    Offsets count decompressed bytes; a compressed file is read from its beginning.

    Raises:
      SchemaError: the file is missing, or its compressed stream is damaged or ends early.
    """
    with opened(file, start) as stream:
        position = start
        while data := fully(stream, min(size, stop - position) if stop else size):
            yield data
            position += len(data)


@contextlib.contextmanager
def opened(file: shards.File, start: int = 0) -> Iterator[Readable]:
    """The decompressed bytes of a file; from `start` where it can be entered there."""
    with _named(file), storage.open_read(file.path) as raw:
        if file.seekable:
            raw.seek(start)
        yield _decompressed(raw, file)


def head(file: shards.File, size: int) -> bytes:
    """The first `size` decompressed bytes, or all there are."""
    with _named(file), storage.open_read(file.path) as raw:
        return fully(_decompressed(raw, file), size)


def sniff(file: shards.File) -> None:
    """Refuse a file that is empty, or of another kind than its name says.

    Raises:
      SchemaError: naming the file and what it looks like.
    """
    with _named(file):
        size = storage.size(file.path)
    if not size:
        raise errors.SchemaError(
            "the file is empty",
            where=file.path,
            why="0 bytes",
            remedy="remove it, or finish writing it",
        )
    if file.format == "parquet":
        return
    beginning = head(file, 4)
    for magic, kind in _FOREIGN.items():
        if beginning.startswith(magic):
            raise errors.SchemaError(
                f"not {file.format} but {kind}",
                where=file.path,
                remedy="name it after what it is, or write it as what it is named",
            )


@contextlib.contextmanager
def _named(file: shards.File) -> Iterator[None]:
    """Let errors of streams name the file and what to do."""
    try:
        yield
    except FileNotFoundError as error:
        raise finding.absent(file.path) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(file, error) from error
    except OSError as error:
        if error.errno is not None or file.compression != "zstd":
            raise  # the disk or the network, whose own words are best
        raise _damaged(file, error) from error


def _damaged(file: shards.File, error: Exception) -> errors.SchemaError:
    return errors.SchemaError(
        f"the {file.compression} stream is damaged or ends early",
        where=file.path,
        why=str(error),
        remedy="write or download the file again",
    )


def _decompressed(raw: BinaryIO, file: shards.File) -> Readable:
    if file.compression == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if file.compression == "zstd":
        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return raw


def fully(stream: Readable, size: int) -> bytes:
    """`size` bytes, fewer only at the end; a bare `read` may stop anywhere."""
    data = stream.read(size)
    if len(data) == size or not data:
        return data
    parts, missing = [data], size - len(data)
    while missing and (more := stream.read(missing)):
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)
