"""The uid of a row: by its source's own id, else by its content."""

import numpy as np
import pyarrow as pa

from tamis.schemas import columns, embeddings, shards
from tamis.schemas import uids as names


def uids(file: shards.File, batch: pa.RecordBatch) -> pa.Array:
    """Name rows, 32 hex digits each.

    Args:
      file: Whose rows they are: a source with ids is named by (source, id), so that text may be
        mended without a new name; one without by its text, else its embedding, whatever the
        source, so that copies are found across sources.
      batch: With the column that names, no nulls.
    """
    if file.columns.id:
        return names.of(file.source, batch.column(columns.ID))
    if file.columns.text:
        return names.of("", batch.column(columns.TEXT))
    x = np.ascontiguousarray(embeddings.matrix(batch.column(columns.EMBEDDING)))
    width = pa.binary(x.shape[1] * x.itemsize)
    raw = pa.FixedSizeBinaryArray.from_buffers(width, len(x), [None, pa.py_buffer(x)])
    return names.of("", raw.cast(pa.large_binary()))


def naming(file: shards.File) -> tuple[str, ...]:
    """The input columns that `uids` reads."""
    if file.columns.id:
        return (columns.ID,)
    return (columns.TEXT,) if file.columns.text else (columns.EMBEDDING,)
