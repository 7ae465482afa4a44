"""A manifest of known repeats over four sources of four formats."""

import gzip
import itertools
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tamis import sidecars, sources
from tamis.loaders import manifest as manifests
from tamis.loaders import writing
from tamis.schemas import manifest, shards

REPEATS = {"table": (1,), "lines": (1, 2), "cells": (5,), "packed": (2, 3, 1)}


def _write(folder, rows):
    """Rows of each source, and the sources."""
    texts = {n: [f"{n} row {i} é" for i in range(k)] for n, k in rows.items()}
    x = np.random.default_rng(3).normal(size=(max(rows.values()), 4)).astype(np.float32)
    table = pa.table({"body": texts["table"], "n": list(range(rows["table"]))})
    pq.write_table(table, folder / "table.parquet", row_group_size=7)
    lines = [
        json.dumps({"id": f"l{i}", "text": t, "label": i % 3}) for i, t in enumerate(texts["lines"])
    ]
    (folder / "lines.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    cells = "text,label\n" + "".join(f'"{t}",c{i % 2}\n' for i, t in enumerate(texts["cells"]))
    (folder / "cells.csv").write_text(cells, encoding="utf-8")
    np.save(folder / "cells.npy", x[: rows["cells"]])
    packed = "".join(json.dumps({"text": t}) + "\n" for t in texts["packed"])
    (folder / "packed.jsonl.gz").write_bytes(gzip.compress(packed.encode(), mtime=0))
    files = {
        "table": ("table.parquet", shards.Columns("body", "", "n", ""), ""),
        "lines": ("lines.jsonl", shards.Columns("text", "label", "id", ""), ""),
        "cells": ("cells.csv", shards.Columns("text", "label", "", ""), str(folder / "cells.npy")),
        "packed": ("packed.jsonl.gz", shards.Columns("text", "", "", ""), ""),
    }
    for name, (path, columns, vectors) in files.items():
        if rows[name]:
            yield sources.Source(name, "supply", (str(folder / path),), columns, vectors=vectors)


def _part(shard, times):
    """The listed rows of a shard."""
    named = sources.naming(shard.file)
    blocks = [b.batch for b in sources.read(shards.Span((shard,)), named)]
    (batch,) = pa.Table.from_batches(blocks).combine_chunks().to_batches()
    uids = sources.uids(shard.file, batch)
    rows = batch.column("row")
    found = {
        "uid": uids.cast(pa.string()),
        "source": [shard.source] * len(rows),
        "path": [shard.file.path] * len(rows),
        "row": rows,
        "stratum": [shard.source] * len(rows),
        "tier": [r % 3 for r in rows.to_pylist()],
        "repeats": [times[r % len(times)] for r in rows.to_pylist()],
        "content": sources.contents(shard.file, batch, uids),
    }
    return pa.table(found, schema=manifest.SCHEMA)


def make(folder, rows, repeats=REPEATS, shard_rows=10):
    """A manifest in `folder/manifest`; `rows` is how many rows each source has."""
    return write(folder, _write(pathlib.Path(folder), rows), repeats, shard_rows)


def write(folder, declared, repeats, shard_rows):
    """A manifest of sources; `repeats` is what each source's rows have in turn."""
    where, samples = str(pathlib.Path(folder) / "manifest"), 0
    files = [f for s in declared for f in sources.expand(s)]
    cut = [s for i, f in enumerate(files) for s in sources.shards(f, i, shard_rows)]
    for shard in cut:
        table = _part(shard, repeats[shard.source])
        samples += sum(table["repeats"].to_pylist())
        sidecars.commit(where, "", shard.name, table, sidecars.Stamp("", ""))
    facts = {"kind": "manifest", "samples": samples, "inputs": "0" * 32}
    writing.write(where, cut, writing.inputs(cut), facts)
    return where


def listed(folder):
    """Uid to repeats."""
    rows = manifests.table(folder)
    pairs = zip(rows["uid"].to_pylist(), rows["repeats"].to_pylist(), strict=True)
    return dict(pairs)


def side_by_side(shares):
    """What training sees of ranks' sequences: one of each in turn."""
    turns = itertools.zip_longest(*shares)
    return [s for turn in turns for s in turn if s is not None]
