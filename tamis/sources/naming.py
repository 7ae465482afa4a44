"""The uid of a row, by its source's own id or else by its content; and the digest of contents."""

import hashlib

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


class Content:
    """Digest of the texts of a shard's accepted rows, the same however they are batched.

    A row with an id keeps its uid when its text is edited; this is what notices.
    """

    def __init__(self) -> None:
        self._bytes = hashlib.blake2b(digest_size=16)
        self._lengths = hashlib.blake2b(digest_size=16)

    def add(self, text: pa.Array) -> None:
        """Add the next rows: large_string without nulls."""
        start, stop = text.offset, text.offset + len(text)
        offsets = np.frombuffer(text.buffers()[1], np.int64)[start : stop + 1]
        self._lengths.update(np.diff(offsets).tobytes())
        if len(text) and offsets[-1] > offsets[0]:
            self._bytes.update(memoryview(text.buffers()[2])[offsets[0] : offsets[-1]])

    def hexdigest(self) -> str:
        """32 hex digits."""
        both = self._bytes.digest() + self._lengths.digest()
        return hashlib.blake2b(both, digest_size=16).hexdigest()
