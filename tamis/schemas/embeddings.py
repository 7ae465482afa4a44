"""The embedding sidecar: one unit vector per row, as fixed_size_list<float16 or float32>[d].

Rows that are embedded as pairs of an image and a text have two more, one for each.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

EMBEDDING = "embedding"
FOLDER = "embeddings"
PAIR = {"image_embedding": "image_embeddings", "text_embedding": "text_embeddings"}  # folders

Dtype = Literal["float16", "float32"]


def schema(dimension: int, dtype: Dtype = "float16", name: str = EMBEDDING) -> pa.Schema:
    """The sidecar's schema for vectors of `dimension`."""
    item = pa.float16() if dtype == "float16" else pa.float32()
    value = pa.list_(pa.field("item", item, nullable=False), dimension)
    return pa.schema([pa.field(name, value, nullable=False)])


def column(x: NDArray) -> pa.FixedSizeListArray:
    """Shape (n, d) float16 or float32 to a column."""
    flat = pa.array(np.ascontiguousarray(x).reshape(-1))
    item = pa.field("item", flat.type, nullable=False)
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, x.shape[1]))


def matrix(values: pa.Array | pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of fixed-size lists to shape (n, d) float32.

    Raises:
      ValueError: the column holds nulls, which `flatten` would drop in silence.
    """
    if values.null_count:
        raise ValueError("an embedding is null")
    d = values.type.list_size
    if isinstance(values, pa.ChunkedArray):
        return np.concatenate([np.zeros((0, d), np.float32), *map(matrix, values.chunks)])
    return (
        values.flatten()
        .to_numpy(zero_copy_only=False)
        .reshape(-1, d)
        .astype(np.float32, copy=False)
    )
