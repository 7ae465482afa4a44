"""Fitted arrays and documents by path: arrays never travel inside a DoFn or a closure."""

import io
import os
import threading
import zipfile
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pydantic
from numpy.typing import NDArray

from tamis import errors, storage

Document = TypeVar("Document", bound=pydantic.BaseModel)

# numpy parses a header with `ast`, whose parser in CPython 3.11 counts its depth once for all
# threads and, when two of them meet, raises SystemError (python/cpython#106905). Whoever reads a
# header on a worker holds this.
HEADER = threading.Lock()


def write(url: str, x: NDArray) -> None:
    """Save an array as `.npy`, whole or not at all."""
    sink = io.BytesIO()
    np.save(sink, x, allow_pickle=False)
    storage.write_atomic(url, sink.getvalue())


def read(url: str) -> NDArray:
    """The array at `url`, memory-mapped and read-only where the file is local.

    Raises:
      ArtifactError: it is missing or damaged.
    """
    _exists(url)
    try:
        if storage.is_local(url):
            with HEADER:
                return np.load(storage.filesystem(url)[1], mmap_mode="r", allow_pickle=False)
        body = io.BytesIO(storage.read_bytes(url))
        with HEADER:
            return np.load(body, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise errors.ArtifactError(
            "artifact is damaged", where=url, why=str(error), remedy="delete it and run again"
        ) from error


def write_all(url: str, **arrays: NDArray) -> None:
    """Save arrays by name as one `.npz`, whole or not at all."""
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **arrays)
    storage.write_atomic(url, sink.getvalue())


def read_all(url: str, names: Sequence[str]) -> tuple[NDArray, ...]:
    """The arrays of those names at `url`.

    Raises:
      ArtifactError: the file or one of the arrays is missing or damaged.
    """
    _exists(url)
    try:
        body = io.BytesIO(storage.read_bytes(url))
        with HEADER, np.load(body, allow_pickle=False) as saved:
            return tuple(saved[name] for name in names)
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise errors.ArtifactError(
            "artifact is damaged", where=url, why=str(error), remedy="delete it and run again"
        ) from error


def parse(url: str, model: type[Document]) -> Document:
    """The JSON document at `url`.

    Raises:
      ArtifactError: it is missing, damaged, or of another version of tamis.
    """
    _exists(url)
    try:
        return model.model_validate_json(storage.read_bytes(url))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise errors.ArtifactError(
            f"not a {model.__name__} document of this version",
            where=url,
            why=f"{at}: {first['msg']}" if at else first["msg"],
            remedy=f"delete {storage.folder(url)} and run the same command again",
        ) from error


def _exists(url: str) -> None:
    if not storage.exists(url):
        raise errors.ArtifactError(
            "artifact is missing", where=url, remedy="run the stage that makes it, or `tamis run`"
        )


def scratch(url: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    """A new array to fill: on disk where `url` is local, in memory elsewhere.

    Raises:
      CapacityError: the disk is too full for it.
    """
    path = storage.local_path(url)
    if not path:
        return np.zeros(shape, dtype)
    with storage.writing(url):
        array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with open(path, "r+b") as file:  # noqa: PTH123 -- one handle for both
            # A hole in a file is filled when it is written to, and a full disk is then a SIGBUS.
            size = os.fstat(file.fileno()).st_size
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    return array
