"""The index: one row per accepted input row, in the input's order.

Every sidecar has the same shard names, the same number of rows and the same order, so column i of
any sidecar describes row i here and joins never happen.
"""

import pyarrow as pa

UID = "uid"
ROW = "row"
N_UNITS = "n_units"
LABEL = "label"
CONTENT = "content"

FOLDER = "index"
SCHEMA = pa.schema(
    [
        pa.field(UID, pa.string(), nullable=False),  # 32 hex digits
        pa.field(
            ROW, pa.int64(), nullable=False
        ),  # row of the input file, from 0, bad rows counted
        pa.field(N_UNITS, pa.int32(), nullable=False),  # words of the text; 1 where there is none
        pa.field(
            CONTENT, pa.uint64(), nullable=False
        ),  # hash of image and text, else of the vector
        pa.field(LABEL, pa.string()),  # class, where the source has labels
    ]
)
