import gzip

import fsspec
import pyarrow as pa
import pytest
import zstandard

from tamis import sources
from tamis.schemas import shards

ALL = ("text", "label", "id", "embedding")


def pack(path, data):
    if path.endswith(".gz"):
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor().compress(data) if path.endswith(".zst") else data


@pytest.fixture(scope="session")
def put(tmp_path_factory):
    """Write bytes, packed as the name says, and return the path; each call has its own folder."""

    def write(name, data):
        path = name if "://" in name else str(tmp_path_factory.mktemp("in") / name)
        with fsspec.open(path, "wb") as out:
            out.write(pack(name, data))
        return path

    return write


@pytest.fixture(scope="session")
def one():
    """The one file of a source."""

    def expand(path, columns=("text",), **options):
        named = columns if isinstance(columns, dict) else {c: c for c in columns}
        source = sources.Source("s", "supply", (path,), shards.Columns(**named), **options)
        (file,) = sources.expand(source)
        return file

    return expand


@pytest.fixture(scope="session")
def load():
    """All rows of a file: good ones and rejected ones as two tables, checked to balance."""

    def read(file, want=None, rows=shards.SHARD_ROWS, **options):
        want = want or tuple(k for k in ALL if k in file.columns.named())
        cut = sources.shards(file, 7, rows)
        blocks = [b for span in sources.spans(cut) for b in sources.read(span, want, **options)]
        for block in blocks:
            seen = block.batch["row"].to_pylist() + block.rejected["row"].to_pylist()
            inside = range(block.shard.row, block.shard.row + block.shard.rows)
            assert set(seen) <= set(inside)
        good = pa.Table.from_batches([b.batch for b in blocks]) if blocks else pa.table({"row": []})
        bad = [row for b in blocks for row in b.rejected.to_pylist()]
        together = sorted(good["row"].to_pylist() + [b["row"] for b in bad])
        assert together == list(range(sum(s.rows for s in cut)))
        return good, bad

    return read
