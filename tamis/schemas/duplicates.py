"""The duplicate sidecar. Two rows with one uid are exact copies; near ones have like vectors."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

DUP_OF = "dup_of"
DUP_COUNT = "dup_count"
DUP_COSINE = "dup_cosine"
FOLDER = "duplicates"
EXACT = "exact"  # folder of the same table with exact copies alone, where near ones are sought too
# Keys of the footer: rows that are copies, and those of them that are not exact ones.
COPIES, NEAR = "tamis.duplicates", "tamis.near-duplicates"
SCHEMA = pa.schema(
    [
        pa.field(DUP_OF, pa.string()),  # `shard:i` of the copy that is kept; null for that copy
        pa.field(DUP_COUNT, pa.int32(), nullable=False),  # rows of its group, 1 when unique
        pa.field(DUP_COSINE, pa.float32()),  # to the row that is kept, -1..1; null for that row
    ]
)


def table(
    count: NDArray[np.integer],
    copies: NDArray[np.int64],
    kept: tuple[NDArray[np.int64], NDArray[np.int64]],
    cosine: NDArray[np.float32],
    names: Sequence[str],
) -> pa.Table:
    """The sidecar of one shard.

    Args:
      count: Shape (n,), rows of each row's group.
      copies: Shape (c,), the rows that are copies.
      kept: Ordinal of the shard and row of what is kept for each, shape (c,) both.
      cosine: Shape (c,), of each to that row.
      names: Shards by ordinal.
    """
    of, alike = np.full(len(count), None, object), np.zeros(len(count), np.float32)
    of[copies] = [f"{names[s]}:{r}" for s, r in zip(*kept, strict=True)]
    alike[copies] = cosine
    single = np.ones(len(count), bool)
    single[copies] = False
    arrays = [
        pa.array(of, pa.string()),
        pa.array(count.astype(np.int32)),
        pa.array(alike, mask=single),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
