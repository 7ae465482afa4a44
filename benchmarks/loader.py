"""How fast a manifest is read, against bare loops over the same files, and how well it is mixed.

    python -m benchmarks.loader [--rows 400000] [--repeats 3] [--file parquet,jsonl,vectors]

Texts of about 300 bytes with a label and an id, in Parquet and in JSON lines, and vectors of 256
float32 in Parquet; every row is listed once. Each figure is the best of some repeats, the loops in
turn, by processor time, in which what a thread reads ahead counts as if it were in the loop.
`samples` makes a mapping of every row, `tables` leaves rows in Arrow. What each loop does:

- `tamis.load`: nine columns (the file's, and uid, source, stratum, tier, repeats, weight), shuffled
  in windows of 16,384, each row's content hashed; `unchecked` does not hash.
- `pyarrow, the same`: what tamis yields, by hand: the file's batches with the manifest's columns
  beside them, gathered to 16,384 rows, permuted, `to_pylist`. No hash, no state, one file, one
  rank, and every row listed once in file order.
- `pyarrow, as it lies`: `iter_batches` and `to_pylist`: the file's own columns, in file order.
- `json.loads, as it lies`: likewise, a line at a time.
- `datasets, streamed [and shuffled]`: `load_dataset(streaming=True)`, and its shuffle buffer of
  16,384; the file's own columns.
- `datasets, mapped and shuffled`: the file in memory-mapped Arrow, read in a random order of all
  rows, on a part of them; making that copy is not counted.
"""

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

import tamis
from tamis import sidecars, sources
from tamis.loaders import stream, writing
from tamis.schemas import manifest, shards

BATCH = 1_024
COLUMNS = shards.Columns(text="text", label="label", id="id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--file", default="parquet,jsonl,vectors")
    parser.add_argument("--mixing", action="store_true", help="measure how well it is mixed too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        throughput(Path(folder), options.rows, options.repeats, options.file.split(","))
        if options.mixing:
            quality(Path(folder))


def throughput(folder: Path, rows: int, repeats: int, wanted: list[str]) -> None:
    print(f"load {os.getloadavg()[0]:.1f}\n")
    print("| file | loop | rows/cpu-s | tamis over it | unchecked over it |\n|---|---|---|---|---|")
    for name, path, columns in files(folder, rows):
        if name not in wanted:
            continue
        listed = whole(folder / name, path, columns)
        found = best(loops(listed, path), repeats)
        for loop, speed in found.items():
            kind = loop.rpartition(", ")[2]
            over = [found[f"{ours}, {kind}"] / speed for ours in ("tamis.load", "unchecked")]
            print(f"| {name} | {loop} | {speed:,.0f} | {over[0]:.2f} | {over[1]:.2f} |")


def files(folder: Path, rows: int) -> Iterator[tuple[str, Path, shards.Columns]]:
    """Name, path and columns of each file."""
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghij"), 5)) for _ in range(5_000)])
    text = [" ".join(words[i]) for i in rng.integers(5_000, size=(rows, 50))]
    table = pa.table(
        {"id": [f"r{i}" for i in range(rows)], "label": [str(i % 7) for i in range(rows)]}
    )
    table = table.append_column("text", pa.array(text, pa.large_string()))
    pq.write_table(table, folder / "texts.parquet", row_group_size=65_536)
    yield "parquet", folder / "texts.parquet", COLUMNS
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    (folder / "texts.jsonl").write_text(lines)
    yield "jsonl", folder / "texts.jsonl", COLUMNS
    x = rng.normal(size=(rows // 4, 256)).astype(np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 256)
    labelled = pa.table({"x": vectors, "label": table["label"][: rows // 4]})
    pq.write_table(labelled, folder / "vectors.parquet", row_group_size=16_384)
    yield "vectors", folder / "vectors.parquet", shards.Columns(label="label", embedding="x")


def whole(folder: Path, path: Path, columns: shards.Columns) -> str:
    """A manifest that lists every row of a file once."""
    (file,) = sources.expand(sources.Source("file", "supply", (str(path),), columns))
    cut = sources.shards(file, 0)
    for shard in cut:
        blocks = sources.read(shards.Span((shard,)), sources.naming(file))
        for_uids = pa.Table.from_batches([b.batch for b in blocks]).combine_chunks().to_batches()[0]
        uids, n = sources.uids(file, for_uids), for_uids.num_rows
        found = {
            "uid": uids.cast(pa.string()),
            "source": ["file"] * n,
            "path": [str(path)] * n,
            "row": for_uids["row"],
            "stratum": ["file"] * n,
            "tier": [0] * n,
            "repeats": [1] * n,
            "content": sources.contents(file, for_uids, uids),
        }
        table = pa.table(found, schema=manifest.SCHEMA)
        sidecars.commit(str(folder), "", shard.name, table, sidecars.Stamp("", ""))
    facts = {"kind": "manifest", "samples": sum(s.rows for s in cut), "inputs": "0" * 32}
    writing.write(str(folder), cut, writing.inputs(cut), facts)
    return str(folder)


def loops(listed: str, path: Path) -> dict[str, Callable[[], Iterable]]:
    """Name to what is looped over; tables have rows to be counted."""
    found: dict[str, Callable[[], Iterable]] = {
        "tamis.load, samples": lambda: tamis.load(listed),
        "tamis.load, tables": lambda: tamis.load(listed).batches(BATCH),
        "unchecked, samples": lambda: tamis.load(listed, check=False),
        "unchecked, tables": lambda: tamis.load(listed, check=False).batches(BATCH),
    }
    given = parquet if path.suffix == ".parquet" else lines
    found |= {
        "pyarrow, the same, samples": lambda: (r for t in by_hand(listed, path) for r in rows(t)),
        "pyarrow, the same, tables": lambda: by_hand(listed, path),
        "pyarrow, as it lies, samples": lambda: (r for b in given(path) for r in rows(b)),
        "pyarrow, as it lies, tables": lambda: given(path),
    }
    if path.suffix == ".jsonl":
        found["json.loads, as it lies, samples"] = lambda: map(
            json.loads, path.open(encoding="utf-8")
        )
    return found | hugging_face(path)


def rows(table: pa.Table | pa.RecordBatch) -> list[dict]:
    return table.to_pylist()


def parquet(path: Path) -> Iterator[pa.RecordBatch]:
    return pq.ParquetFile(path).iter_batches(8_192)


def lines(path: Path) -> Iterator[pa.RecordBatch]:
    return pa.json.open_json(path, pa.json.ReadOptions(block_size=4 << 20))


def by_hand(listed: str, path: Path) -> Iterator[pa.Table]:
    """What `tamis.load` yields, by as little code as does it."""
    columns = ["uid", "source", "stratum", "tier", "repeats"]
    parts = sorted(Path(listed).glob("part-*.parquet"))
    rng, held, at = np.random.default_rng(0), [], 0
    beside = pa.concat_tables(pq.read_table(part, columns=columns) for part in parts)
    beside = beside.append_column("weight", pa.array(np.ones(len(beside), np.float32)))
    for batch in itertools.chain((parquet if path.suffix == ".parquet" else lines)(path), [None]):
        if batch is not None:
            mine = beside.slice(at, batch.num_rows)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                mine = mine.append_column(name, column)
            at += batch.num_rows
            held.append(mine)
        if held and (batch is None or sum(map(len, held)) >= stream.BUFFER):
            window = pa.concat_tables(held)
            yield window.take(pa.array(rng.permutation(len(window))))
            held = []


def hugging_face(path: Path) -> dict[str, Callable[[], Iterable]]:
    """Of `datasets`."""
    import datasets

    datasets.disable_progress_bars()
    kind = "parquet" if path.suffix == ".parquet" else "json"
    given = {"data_files": str(path), "split": "train", "cache_dir": str(path.parent / "cache")}
    opened = datasets.load_dataset(kind, streaming=True, **given)
    shuffled = opened.shuffle(seed=0, buffer_size=stream.BUFFER)
    mapped = datasets.load_dataset(kind, **given).shuffle(seed=0)
    part = mapped.select(range(min(len(mapped), 10_000)))
    return {
        "datasets, streamed, samples": lambda: opened,
        "datasets, streamed and shuffled, samples": lambda: shuffled,
        "datasets, mapped and shuffled, samples": lambda: part,
    }


def best(of: dict[str, Callable[[], Iterable]], repeats: int) -> dict[str, float]:
    """Rows a second of processor time, all threads', of each loop; the best of some."""
    found = dict.fromkeys(of, 0.0)
    for _ in range(repeats):
        for name, made in of.items():
            start, rows = time.process_time(), 0
            for item in made():
                rows += 1 if isinstance(item, dict) else item.num_rows
            found[name] = max(found[name], rows / (time.process_time() - start))
    return found


def quality(folder: Path) -> None:
    """How far rows are moved, and what stands beside what, against a full shuffle (= 1)."""
    print("\n| buffer | displacement | neighbours of one shard | and within 1 % of the file |")
    print("|---|---|---|---|")
    rows = pq.read_metadata(folder / "texts.parquet").num_rows
    listed = str(folder / "parquet")
    number = {f"r{i}": i for i in range(rows)}
    for buffer in (256, 1_024, 4_096, stream.BUFFER, 65_536):
        tables = tamis.load(listed, buffer=buffer).batches(65_536)
        order = np.array([number[i] for t in tables for i in t["id"].to_pylist()])
        moved = np.abs(order - np.arange(rows)).mean() / (rows / 3)
        together, near = beside(order, rows)
        print(f"| {buffer:,} | {moved:.3f} | {together:.2f} | {near:.2f} |")


def beside(order: np.ndarray, rows: int) -> tuple[float, float]:
    """How often neighbours are of one shard, and near in the file, over a full shuffle's."""
    size = shards.SHARD_ROWS
    shard = order // size
    part = np.bincount(shard) / rows
    together = np.mean(shard[1:] == shard[:-1]) / np.sum(part**2)
    near = np.mean(np.abs(np.diff(order)) < rows / 100) / (2 / 100)
    return float(together), float(near)


if __name__ == "__main__":
    main()
