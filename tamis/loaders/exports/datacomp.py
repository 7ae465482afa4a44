"""DataComp's subset files: an `.npy` of 128-bit uids, sorted, 16 bytes each (Gadre et al. 2023).

A uid's first 16 hex digits are the first number, as in its baselines. A uid that stands in the file
several times is a row that is to be seen so often, as its resharder takes it.
"""

import io

import numpy as np
from numpy.typing import NDArray

from tamis import artifacts, errors, storage
from tamis.loaders import manifest
from tamis.schemas import uids

DTYPE = np.dtype("u8,u8")


def export(folder: str, out: str) -> None:
    """Write the uids of a manifest, each as often as its row is to be seen."""
    rows = manifest.table(folder)
    # Hex digits are read as a number from the left; our halves are little-endian.
    halves = uids.from_hex(rows["uid"]).byteswap()
    pairs = np.ascontiguousarray(np.repeat(halves, rows["repeats"].to_numpy(), axis=0))
    sink = io.BytesIO()
    np.save(sink, np.sort(pairs.view(DTYPE).ravel()))
    storage.write_atomic(out, sink.getvalue())


def read(path: str) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """The uids of a subset file, whoever wrote it.

    Returns:
      Distinct uids as `schemas.uids` has them, shape (n, 2), and how often each stands there.

    Raises:
      SchemaError: it is no such file.
    """
    try:
        with artifacts.HEADER:
            pairs = np.load(io.BytesIO(storage.read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise errors.SchemaError("not an .npy file", where=path, why=str(error)) from error
    if pairs.dtype != DTYPE or pairs.ndim != 1:
        raise errors.SchemaError(
            f"holds {pairs.dtype} of shape {pairs.shape}",
            where=path,
            remedy="a list of uids is of dtype u8,u8 and shape (n,)",
        )
    found, counts = np.unique(pairs, return_counts=True)
    halves = np.ascontiguousarray(found).view(np.uint64).reshape(-1, 2)
    return halves.byteswap(), counts.astype(np.int32)
