"""The duplicate sidecar. Two rows with one uid are exact duplicates."""

import pyarrow as pa

DUP_OF = "dup_of"
DUP_COUNT = "dup_count"
FOLDER = "duplicates"
SCHEMA = pa.schema(
    [
        pa.field(DUP_OF, pa.string()),  # `shard:i` of the copy that is kept; null for that copy
        pa.field(DUP_COUNT, pa.int32(), nullable=False),  # rows with this uid, 1 when unique
    ]
)
