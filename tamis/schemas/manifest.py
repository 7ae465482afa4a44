"""The manifest: which rows of which files, and how often. Training reads this and the inputs."""

import pyarrow as pa

FOLDER = "manifest"
RANDOM = "random"
DOCUMENT = "manifest.json"
SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # the input file, as the config names it
        pa.field("row", pa.int64(), nullable=False),  # row of it, from 0
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("tier", pa.int8(), nullable=False),
        pa.field("repeats", pa.int32(), nullable=False),  # times to train on it, at least 1
        pa.field("content", pa.uint64(), nullable=False),  # hash of its text, else of its vector
    ]
)
