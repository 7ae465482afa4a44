"""What reading yields: good rows and bad rows."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis.schemas import columns, rejected, shards

STAGE = "ingest"
KINDS = {  # of the canonical columns; those of vectors have a length of their own
    columns.TEXT: pa.large_string(),
    columns.LABEL: pa.string(),
    columns.ID: pa.string(),
    columns.IMAGE: pa.large_binary(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a shard; each is in exactly one of the two batches.

    Attributes:
      shard: Where the rows are.
      batch: `row` (int64, of the file, ascending) and the wanted columns under canonical names:
        text large_string, label and id string, image large_binary (the encoded file), embedding
        fixed_size_list<float32>[d]; no nulls.
      rejected: The bad rows, as `schemas.rejected.SCHEMA`, ascending too.
    """

    shard: shards.Shard
    batch: pa.RecordBatch
    rejected: pa.RecordBatch


class Bad(NamedTuple):
    """A row that cannot be used; `reason` is one of `schemas.rejected.REASONS`."""

    row: int
    reason: str
    error: str
    payload: bytes


class Parsed(NamedTuple):
    """Rows as the format's parser gives them, before their values are looked at.

    Attributes:
      rows: Shape (n,) int64, rows of the file.
      columns: Canonical name to n values; nulls where the file has none.
      bad: Rows that could not be parsed.
      payload: The raw bytes of the i-th of `rows`, or a beginning of them.
    """

    rows: NDArray[np.int64]
    columns: dict[str, pa.Array]
    bad: list[Bad]
    payload: Callable[[int], bytes]


def rejections(file: shards.File, bad: Iterable[Bad]) -> pa.RecordBatch:
    """Bad rows as a batch, ordered by row."""
    ordered = sorted(bad)
    columns = {
        "source": [file.source] * len(ordered),
        "path": [file.path] * len(ordered),
        "row": [b.row for b in ordered],
        "stage": [STAGE] * len(ordered),
        "reason": [b.reason for b in ordered],
        "error": [b.error for b in ordered],
        "payload": [shown(b.payload) for b in ordered],
    }
    return pa.RecordBatch.from_pydict(columns, schema=rejected.SCHEMA)


def shown(payload: bytes) -> str:
    """The first `PAYLOAD_BYTES` of a row as text, bad bytes as the replacement character."""
    text = payload[: rejected.PAYLOAD_BYTES].decode("utf-8", "replace")
    # A replacement character is longer than the byte it stands for.
    return text.encode()[: rejected.PAYLOAD_BYTES].decode("utf-8", "ignore")
