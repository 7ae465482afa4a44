"""The class number of a row's label."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import errors, storage


def read(url: str) -> pa.Array:
    """The labels of an artifact, a JSON list of strings, in the order of its classes."""
    return pa.array(json.loads(storage.read_bytes(url)), pa.string())


def codes(labels: pa.Array, known: pa.Array, where: str) -> NDArray[np.int64]:
    """The position of each label in `known`.

    Args:
      labels: Shape (n,), of any type that casts to strings.
      known: Shape (c,) strings.
      where: The artifact that holds `known`, for the message.

    Raises:
      SchemaError: a label is not known, or is null.
    """
    found = pc.index_in(labels.cast(pa.string()), known)
    if found.null_count:
        row = found.is_null().index(True).as_py()
        raise errors.SchemaError(
            f"label {labels[row].as_py()!r} of row {row} of a batch is not known",
            where=where,
            why=f"it holds {len(known)} labels and this is not one, or the row has none",
            remedy="fit on these sources too, or score unlabelled sources by prototypes",
        )
    return found.to_numpy().astype(np.int64)
