"""Rows that did not enter the index: data, not exceptions."""

import pyarrow as pa

FOLDER = "rejected"
PAYLOAD_BYTES = 512
REMOVED = "removed"  # the reason of a row that was taken out by its uid
SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # the input file
        pa.field("row", pa.int64(), nullable=False),  # row of it, from 0
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # one of REASONS
        pa.field("error", pa.string(), nullable=False),  # what exactly, for a person
        pa.field("payload", pa.string(), nullable=False),  # the row's first bytes, lossy
    ]
)

REASONS = (
    "malformed",  # the line is not JSON, or has another number of cells than the header
    "wrong_type",  # a declared column holds something else here
    "invalid_utf8",
    "missing_text",  # null or absent
    "empty_text",  # nothing but white space
    "text_too_long",
    "missing_label",
    "missing_id",
    "missing_embedding",
    "wrong_dimension",
    "not_finite",  # NaN or infinite embedding
    "zero_norm",  # an embedding without direction
    REMOVED,  # by its uid, with `removed.uids`
    "missing_image",
    "empty_image",  # 0 bytes
    "not_an_image",  # of no format that is read
    "damaged_image",  # truncated, or what a decoder cannot make sense of
    "image_too_large",  # more pixels than allowed, by its header, or bytes
    "decoder_failed",  # it crashed, or took more time or memory than it may
)
