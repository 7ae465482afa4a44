"""A score sidecar: one finite float32 per row, higher = keep, in `scores/<scorer>/`."""

import pyarrow as pa

SCORE = "score"
FOLDER = "scores"
SCHEMA = pa.schema([pa.field(SCORE, pa.float32(), nullable=False)])


def folder(name: str) -> str:
    """The sidecar folder of the scorer named `name`."""
    return f"{FOLDER}/{name}"
