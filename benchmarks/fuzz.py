"""A fuzz campaign over every reader and the run file.

    python -m benchmarks.fuzz [--inputs 100000] [--start 0] [--seconds S]

An input is a small valid file of one kind, hurt by a few edits: bytes changed, cut, repeated,
taken from elsewhere or from a list of what breaks parsers. Input number n is made from n alone. The
laws, for each: it ends within `LIMIT` seconds of processor time, either with a typed error that
names the file or with every row of the cut in exactly one of good and rejected, and good values are
what schemas promise. An input that nobody hurt gives all its rows.
"""

import argparse
import collections
import gzip
import io
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tamis import errors, runfile, seeding, sources
from tamis.schemas import shards

LIMIT = 20  # seconds of processor time, and ten times that by the clock of a busy machine
TIMERS = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
EDITS = 6
NASTY = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\r",
    b'"', b'""', b"{", b"}", b"[" * 200, b"\\",
    b"\\ud800", b"NaN", b"Infinity", b"1e999", b"-0", b"9" * 400, b"null", b"\xed\xa0\x80", b",",
    b"\t", b"\n\n", b"\x1f\x8b", b"PAR1", b"\x93NUMPY", b"&a", b"*a", b"!!python/object:os.system",
    b"<<: *a", b"../../etc/passwd", b"\x80\x05\x95", b"~", b": ", b"- ", b"#", b"%YAML 1.1",
)  # fmt: skip
WORDS = ["sieve", "of", "a", "drum,", "größer", "筛", "\U0001f9f9", "\\", '"', "'", "\t", "{x: 1}"]
RUN = """
version: 1
run: runs/a
seed: 17
sources:
  near: {path: near.jsonl, id: id, text: text, label: label}
  far: {path: [far.csv, more/*.parquet], text: text, label: label, format: csv}
target: {path: target.jsonl, id: id, text: text, label: label}
ingest: {shard_rows: 100, max_rejected_fraction: 0.5}
cluster: {k: 8, iterations: 5}
score: {prototypes: {}, lexical: {}}
tier: {by: {prototypes: 1, lexical: 2.5}, tiers: [0.2, 0.3, 0.5], within: pool}
dedup: {threshold: 0.95, minhash: 0.8}
plan: {budgets: [100, 4.5e3], strata: [source], max_epochs: 4}
select: {order: uniform}
check: {seeds: 2, guard: true}
runner: {workers: 2}
"""


def main() -> None:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--seconds", type=float, default=1e9, help="start none after so long")
    args = parser.parse_args()
    began, found, done = time.monotonic(), collections.Counter(), args.start
    with tempfile.TemporaryDirectory(prefix="tamis-fuzz-") as folder:
        step = 250  # a process of its own: a crash of native code takes one piece with it
        while done < args.start + args.inputs and time.monotonic() - began < args.seconds:
            stop = min(done + step, args.start + args.inputs)
            found.update(piece(Path(folder), done, stop))
            done = stop
    table(found)
    print(f"inputs {args.start:,} to {done - 1:,} in {time.monotonic() - began:.0f} s")
    raise SystemExit(any(outcome not in ENDS for _, outcome in found))


ENDS = ("all rows", "some rejected", "typed error")


def piece(folder: Path, start: int, stop: int) -> list[tuple[str, str]]:
    """What became of some inputs, tried in another process; a crash names the input."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=several, args=(folder, start, stop, there))
    process.start()
    there.close()
    found = []
    try:
        while (outcome := here.recv()) is not None:
            found.append(outcome)
    except EOFError:
        number = start + len(found)
        print(f"input {number} ({kind_of(number)}) killed the process", file=sys.stderr)
        found.append((kind_of(number), "crash"))
    process.join()
    return found


def several(folder: Path, start: int, stop: int, said) -> None:
    for number in range(start, stop):
        said.send((kind_of(number), one(folder, number)))
    said.send(None)


def kind_of(number: int) -> str:
    return tuple(MAKERS)[number % len(MAKERS)]


def one(folder: Path, number: int) -> str:
    """Make input `number`, read it, and say how it ended."""
    rng, kind = seeding.generator(8, "fuzz", number), kind_of(number)
    data, rows = MAKERS[kind](rng)
    edits = int(rng.integers(EDITS))
    for _ in range(edits):
        data = hurt(data, rng)
    for alarm, seconds in ((signal.SIGPROF, LIMIT), (signal.SIGALRM, 10 * LIMIT)):
        signal.signal(alarm, hang)
        signal.setitimer(TIMERS[alarm], seconds)
    try:
        return tried(folder, kind, data, None if edits else rows)
    except errors.TamisError as error:
        # Values of a wrong type, which JSON lines have unhurt, may be those that tell a column's.
        if not edits and rows is not None and not kind.startswith("jsonl"):
            return told(number, kind, error)
        return "typed error" if str(error) else "an error without words"
    except (Exception, Hang) as error:  # noqa: BLE001 -- whatever it is, it is looked for
        return told(number, kind, error)
    finally:
        for timer in TIMERS.values():
            signal.setitimer(timer, 0)


def told(number: int, kind: str, error: BaseException) -> str:
    print(f"input {number} ({kind}): {type(error).__name__}: {error}", file=sys.stderr)
    return f"untyped: {type(error).__name__}"


class Hang(BaseException):
    """It took longer than `LIMIT`."""


def hang(number: int, frame: object) -> None:
    raise Hang


def hurt(data: bytes, rng: np.random.Generator) -> bytes:
    """One edit."""
    at, stop = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
    stop = min(stop, at + int(rng.integers(1, 64)))
    how = int(rng.integers(6))
    if how == 0:  # another byte
        return data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
    if how == 1:  # cut short
        return data[: at if rng.random() < 0.3 else max(len(data) - at % 64, 0)]
    if how == 2:  # a piece less
        return data[:at] + data[stop:]
    if how == 3:  # a piece again
        return data[:stop] + data[at:]
    if how == 4:  # a piece from elsewhere
        other = int(rng.integers(0, len(data) + 1))
        return data[:other] + data[at:stop] + data[other:]
    return data[:at] + NASTY[int(rng.integers(len(NASTY)))] + data[at:]


def tried(folder: Path, kind: str, data: bytes, rows: int | None) -> str:
    """Read one input; `rows` is how many it has, where that is known."""
    if kind == "run file":
        runfile.parse(data.decode("utf-8", "surrogateescape"))
        return "all rows"
    path = folder / f"input{SUFFIX[kind]}"
    path.write_bytes(data)
    named = {c: c for c in ("text", "label", "id")}
    vectors = ""
    if kind == "vectors":
        vectors, path = str(path), folder / "beside.jsonl"
        lines = [json.dumps({"text": "a", "label": "b", "id": str(i)}) for i in range(rows or 8)]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "parquet":
        named |= {"embedding": "embedding"}
    source = sources.Source("s", "supply", (str(path),), shards.Columns(**named), vectors=vectors)
    return read(source, rows)


def read(source: sources.Source, rows: int | None) -> str:
    """All of a source, held to the laws."""
    (file,) = sources.expand(source)
    sources.check(file)
    wanted = [*file.columns.named()] + (["embedding"] if source.vectors else [])
    d = sources.dimension(file) if "embedding" in wanted else 0
    cut = sources.shards(file, 0, 5)
    seen, good = [], 0
    for span in sources.spans(cut):
        for block in sources.read(span, tuple(wanted), dimension=d):
            seen += block.batch["row"].to_pylist() + block.rejected["row"].to_pylist()
            good += block.batch.num_rows
            block.batch.validate(full=True)
            assert not any(column.null_count for column in block.batch.columns)
            if d:
                x = block.batch["embedding"].flatten().to_numpy()
                assert np.isfinite(x).all()
                assert len(x) == d * block.batch.num_rows
            sources.uids(file, block.batch)
    assert sorted(seen) == list(range(sum(s.rows for s in cut))), "rows were lost or made up"
    assert rows is None or len(seen) == rows, f"{len(seen)} of {rows} rows"
    return "all rows" if good == len(seen) else "some rejected"


def records(rng: np.random.Generator) -> list[dict]:
    """A few rows; some have bad values."""
    made = []
    for i in range(int(rng.integers(1, 24))):
        text = " ".join(rng.choice(WORDS, int(rng.integers(0, 9))))
        made.append({"id": f"r{i}", "text": text, "label": str(rng.integers(3))})
    return made


def jsonl(rng: np.random.Generator) -> tuple[bytes, int]:
    rows = records(rng)
    odd = (None, 7, 1.5, [], {"a": [1]}, "x" * 3000, True)
    for row in rows:
        if rng.random() < 0.2:
            row[str(rng.choice(list(row)))] = odd[int(rng.integers(len(odd)))]
    ascii_ = bool(rng.random() < 0.5)
    end = "\r\n" if rng.random() < 0.3 else "\n"
    return "".join(json.dumps(r, ensure_ascii=ascii_) + end for r in rows).encode(), len(rows)


def csv(rng: np.random.Generator) -> tuple[bytes, int]:
    rows = records(rng)
    lines = ["id,text,label"]
    for row in rows:
        text = row["text"].replace('"', '""') + ("\n" if rng.random() < 0.2 else "")
        lines.append(f'{row["id"]},"{text}",{row["label"]}')
    return ("\n".join(lines) + "\n").encode(), len(rows)


def parquet(rng: np.random.Generator) -> tuple[bytes, int]:
    rows = records(rng)
    x = rng.standard_normal((len(rows), 4)).astype(np.float32)
    x[rng.random(len(rows)) < 0.1, 1] = np.nan
    table = pa.Table.from_pylist(rows).append_column(
        "embedding", pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 4)
    )
    sink = io.BytesIO()
    how = ("none", "snappy", "zstd", "gzip")[int(rng.integers(4))]
    pq.write_table(
        table, sink, compression=how, row_group_size=7, use_dictionary=rng.random() < 0.5
    )
    return sink.getvalue(), len(rows)


def vectors(rng: np.random.Generator) -> tuple[bytes, int]:
    rows, sink = int(rng.integers(1, 24)), io.BytesIO()
    dtype = (np.float16, np.float32, np.float64)[int(rng.integers(3))]
    np.save(sink, rng.standard_normal((rows, 5)).astype(dtype))
    return sink.getvalue(), rows


def packed(make: Callable, pack: Callable[[bytes], bytes]) -> Callable:
    """Compressed rows; now and then the rows are hurt before they are compressed."""

    def made(rng: np.random.Generator) -> tuple[bytes, int | None]:
        data, rows = make(rng)
        if rng.random() < 0.5:
            data, rows = hurt(data, rng), None
        try:
            return pack(data), rows
        except ValueError:
            return b"", None

    return made


def run_file(rng: np.random.Generator) -> tuple[bytes, None]:
    return RUN.encode(), None


MAKERS: dict[str, Callable] = {
    "jsonl": jsonl,
    "csv": csv,
    "parquet": parquet,
    "vectors": vectors,
    "jsonl.gz": packed(jsonl, lambda data: gzip.compress(data, 1, mtime=0)),
    "csv.zst": packed(csv, lambda data: zstandard.ZstdCompressor().compress(data)),
    "run file": run_file,
}
SUFFIX = {
    "jsonl": ".jsonl",
    "csv": ".csv",
    "parquet": ".parquet",
    "vectors": ".npy",
    "jsonl.gz": ".jsonl.gz",
    "csv.zst": ".csv.zst",
}


def table(found: collections.Counter) -> None:
    ends = [*ENDS, *sorted({outcome for _, outcome in found} - set(ENDS))]
    print(f"{'kind':<10}" + "".join(f"{end:>24}" for end in ends))
    for kind in MAKERS:
        print(f"{kind:<10}" + "".join(f"{found[kind, end]:>24,}" for end in ends))


if __name__ == "__main__":
    main()
