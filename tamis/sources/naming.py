"""The uid of a row, by its source's own id or else by its content; and the hash of its content."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis.schemas import columns, embeddings, shards
from tamis.schemas import uids as names


def uids(file: shards.File, batch: pa.RecordBatch) -> pa.Array:
    """Name rows, 32 hex digits each.

    Args:
      file: Whose rows they are: a source with ids is named by (source, id), so that text may be
        mended without a new name; one without by its image, its text or both, else its embedding,
        whatever the source, so that copies are found across sources.
      batch: With the column that names, no nulls.
    """
    if file.columns.id:
        return names.of(file.source, batch.column(columns.ID))
    return names.to_hex(_hashed(file, batch))


def _hashed(file: shards.File, batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """Hashes of what each row is, shape (n, 2)."""
    content = [names.numbers("", batch.column(k)) for k in _content(file) if k != columns.EMBEDDING]
    if len(content) == 2:
        both = pc.binary_join_element_wise(*map(names.to_hex, content), "")
        return names.numbers("", both)
    if content:
        return content[0]
    x = np.ascontiguousarray(embeddings.matrix(batch.column(columns.EMBEDDING)))
    width = pa.binary(x.shape[1] * x.itemsize)
    raw = pa.FixedSizeBinaryArray.from_buffers(width, len(x), [None, pa.py_buffer(x)])
    return names.numbers("", raw.cast(pa.large_binary()))


def naming(file: shards.File) -> tuple[str, ...]:
    """The input columns that `uids` and `contents` read."""
    return (columns.ID, *_content(file)) if file.columns.id else _content(file)


def _content(file: shards.File) -> tuple[str, ...]:
    """What a row is, of whatever its source has."""
    held = file.columns.named()
    return tuple(k for k in (columns.IMAGE, columns.TEXT) if k in held) or (columns.EMBEDDING,)


def contents(file: shards.File, batch: pa.RecordBatch, named: pa.Array | None) -> pa.Array:
    """64 bits of a hash of each row's image and text, else of its vector: uint64.

    Tells whether a row is still what it was, and whether two rows with one id are one row. Where
    the content names the row it is the first half of its uid, at no cost.

    Args:
      file: Whose rows they are.
      batch: With what `naming` lists.
      named: Their uids, which save a hash where the source has no ids.
    """
    known = named is not None and not file.columns.id
    return pa.array((names.from_hex(named) if known else _hashed(file, batch))[:, 0])
