"""Input files to Arrow batches: what a source is, where it is cut, which rows are bad.

`expand` finds the files of a source, `check` looks at their columns before anything runs, `shards`
cuts a file into row ranges, `spans` groups those that must be read together, and `read` yields
per batch the good rows and the rejected ones. Nothing here knows of Beam.

    Source -> expand -> File -> shards -> Shard -> spans -> Span -> read -> Block

A *row* is a physical row of the file, counted from 0: a row of a Parquet file, a line of a JSONL
file, a record of a CSV file (a quoted cell may hold line breaks). Blank lines, the header and a
byte order mark are not rows. Every row is in exactly one of a block's `batch` and `rejected`.
"""

from tamis.sources.blocks import Block
from tamis.sources.cut import shards, spans
from tamis.sources.declared import Source, expand
from tamis.sources.fitting import check, column_names, dimension
from tamis.sources.naming import contents, naming, uids
from tamis.sources.reader import MAX_TEXT_BYTES, lookup, read

__all__ = [
    "MAX_TEXT_BYTES",
    "Block",
    "Source",
    "check",
    "column_names",
    "contents",
    "dimension",
    "expand",
    "lookup",
    "naming",
    "read",
    "shards",
    "spans",
    "uids",
]
