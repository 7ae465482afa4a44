"""The chain without embedding: rows a second and peak memory of every stage.

    python -m benchmarks.chain [--rows 100000,1000000] [--dimension 256]

The rows are made up and the same on every machine: 64 Gaussians on a sphere, two sources, labels
with 10 % noise, eight words of text. Each size runs in a fresh process, so that its memory is its
own, and after each stage a second process does the bare minimum of the same work (see `bare.py`):
the two alternate, and the ratio is of processor seconds, which other work on the machine changes
less than it does the clock.
"""

import argparse
import contextlib
import json
import multiprocessing
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import bare

CLUSTERS = 64  # of the made-up rows
TARGET_ROWS = 2_000
CHUNK = 65_536
SOURCES = ("near", "far")
GROWTH = 1.15  # of peak memory from the first size to the last, noise included
WORDS = np.array(
    ["the", "a", "of", "and", "with", "that", "data", "model", "rows", "tests", "sorted"]
)

RUN = """
version: 1
run: {folder}/run
seed: 17
sources:
  near: {{path: {folder}/near.parquet, id: id, text: text, label: label, embedding: x}}
  far: {{path: {folder}/far.parquet, id: id, text: text, label: label, embedding: x}}
target: {{path: {folder}/target.parquet, id: id, text: text, label: label, embedding: x}}
embed: {{backend: precomputed}}
score: {{prototypes: {{}}, lexical: {{}}}}
tier: {{by: prototypes, tiers: 2}}
plan: {{budgets: [500, 2000], strata: [source, tier]}}
check: {{seeds: 2}}
"""


def main() -> None:
    """Run every size, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="100000,1000000", help="sizes, ascending")
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--no-bare", action="store_true", help="leave the comparison out")
    parser.add_argument("--until", default="check", help="last stage to run")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    sizes = [int(n) for n in args.rows.split(",")]
    print(f"commit {commit()}, {multiprocessing.cpu_count()} cores, load {load():.1f}")
    figures = {n: measure(n, args.dimension, args.until, compare=not args.no_bare) for n in sizes}
    if len(sizes) > 1:
        say_growth(figures[sizes[0]], figures[sizes[-1]])
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(rows: int, dimension: int, until: str, *, compare: bool) -> list[dict]:
    """The stages at one size, as a list of figures."""
    with tempfile.TemporaryDirectory(prefix="tamis-bench-") as folder:
        started = time.perf_counter()
        call(generate, folder, rows, dimension)
        print(f"\n{rows:,} rows of {dimension}, made in {time.perf_counter() - started:.0f} s")
        print(
            f"{'stage':<18}{'rows/s':>10}{'s':>8}{'cpu s':>8}"
            f"{'peak MB':>9}{'bare cpu':>9}{'ratio':>7}"
        )
        with server(stages, folder) as ours, server(bare.steps, folder) as theirs:
            there = theirs if compare else None
            wanted = ours.steps[: ours.steps.index(until) + 1]
            found = [one(ours, there, name, rows) for name in wanted]
    peak = max(f["peak_mb"] for f in found)
    seconds = sum(f["seconds"] for f in found)
    print(f"{'all':<18}{rows / seconds:>10,.0f}{seconds:>8.2f}{'':>8}{peak:>9,.0f}")
    return found


def one(ours: "Server", theirs: "Server | None", name: str, rows: int) -> dict:
    """Figures of one stage, printed."""
    found = {"stage": name, "rows": rows, **ours.ask(name)}
    shown = f"{name:<18}{rows / found['seconds']:>10,.0f}{found['seconds']:>8.2f}"
    shown += f"{found['cpu']:>8.2f}{found['peak_mb']:>9,.0f}"
    if theirs is not None and name in theirs.steps:
        found["bare_cpu"] = theirs.ask(name)["cpu"]
        shown += f"{found['bare_cpu']:>9.2f}{found['bare_cpu'] / found['cpu']:>7.2f}"
    print(shown, flush=True)
    return found


def say_growth(first: list[dict], last: list[dict]) -> None:
    """Peak memory of the largest size against the smallest, by stage."""
    print(f"\npeak memory, {last[0]['rows']:,} rows over {first[0]['rows']:,}:")
    for a, b in zip(first, last, strict=True):
        print(
            f"  {a['stage']:<16}{a['peak_mb']:>7,.0f} -> {b['peak_mb']:>6,.0f} MB  "
            f"x {b['peak_mb'] / a['peak_mb']:.2f}"
        )
    ratio = max(f["peak_mb"] for f in last) / max(f["peak_mb"] for f in first)
    print(
        f"  {'all':<16}x {ratio:.2f}, wanted at most {GROWTH}: "
        f"{'kept' if ratio <= GROWTH else 'BROKEN'}"
    )


def stages(folder: str) -> dict[str, Callable[[], None]]:
    """The stages of the chain, on one open session. Imports here: a process imports its own."""
    from tamis import ledger, runfile
    from tamis.pipelines import chain, score, session

    path = Path(folder) / "run.yaml"
    path.write_text(RUN.format(folder=folder))
    document = runfile.load(str(path))
    here = session.Session(document)
    held = contextlib.ExitStack()
    held.enter_context(ledger.lock(document.run))
    here.start()

    def parts(name: str) -> dict[str, Callable[[], None]]:
        if name != "score":
            return {name: lambda: chain.STAGES[name](here)}
        return {f"score:{s}": lambda s=s: score._score(here, s) for s in document.score}

    return {label: work for name in chain.STAGES for label, work in parts(name).items()}


class Server(NamedTuple):
    """A process that does the steps it is asked for."""

    steps: list[str]
    pipe: connection.Connection

    def ask(self, step: str) -> dict:
        """Do a step: seconds, processor seconds and peak memory."""
        self.pipe.send(step)
        return self.pipe.recv()


@contextlib.contextmanager
def server(steps: Callable[[str], dict[str, Callable[[], None]]], folder: str) -> Iterator[Server]:
    """A fresh process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, steps, folder))
    process.start()
    there.close()
    try:
        yield Server(here.recv(), here)
        here.send(None)
    finally:
        here.close()
        process.join()


def serve(
    pipe: connection.Connection, steps: Callable[[str], dict[str, Callable[[], None]]], folder: str
) -> None:
    """Send the names of the steps, then the figures of each that is asked for."""
    known = steps(folder)
    pipe.send(list(known))
    while (name := pipe.recv()) is not None:
        forget_peak()
        started, busy = time.perf_counter(), cpu()
        known[name]()
        pipe.send(
            {
                "seconds": time.perf_counter() - started,
                "cpu": cpu() - busy,
                "peak_mb": peak() / 1e6,
            }
        )


def call(function: Callable, *args) -> None:
    """Run in a process of its own, which gives its memory back."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=args)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed")


def forget_peak() -> None:
    """Start a new peak; where the system cannot (not Linux), peaks are of the process so far."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Largest resident size since `forget_peak`, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def generate(folder: str, rows: int, dimension: int) -> None:
    """Write the sources and the target, a chunk at a time; chunk i never depends on the others."""
    sizes = {name: rows // len(SOURCES) for name in SOURCES} | {"target": TARGET_ROWS}
    for name, size in sizes.items():
        sink = Path(folder) / f"{name}.parquet"
        with pq.ParquetWriter(sink, schema(dimension), compression="none") as writer:
            for start in range(0, size, CHUNK):
                writer.write_table(chunk(name, start, min(CHUNK, size - start), dimension))


def schema(dimension: int) -> pa.Schema:
    vector = pa.list_(pa.float32(), dimension)
    return pa.schema({"id": pa.int64(), "text": pa.string(), "label": pa.string(), "x": vector})


def chunk(name: str, start: int, rows: int, dimension: int) -> pa.Table:
    """Rows of one source: nearer Gaussians for `near` and the target."""
    part = 0 if name == "target" else 1 + SOURCES.index(name)
    rng = np.random.default_rng([7, part, start])
    centres = np.random.default_rng(7).standard_normal((CLUSTERS, dimension), np.float32)
    which = rng.integers(0, CLUSTERS, rows)
    spread = 3.0 if name == "far" else 1.5
    x = centres[which] + np.float32(spread) * rng.standard_normal((rows, dimension), np.float32)
    label = (which + (rng.random(rows) < 0.1)) % 2
    words = WORDS[rng.integers(0, len(WORDS), (rows, 8))]
    return pa.table(
        {
            "id": np.arange(start, start + rows),
            "text": [" ".join(w) for w in words],
            "label": np.array(["odd", "even"])[label],
            "x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), dimension),
        },
        schema(dimension),
    )


def commit() -> str:
    """The commit measured, marked when the tree has changes."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def load() -> float:
    """Processes that wanted a core in the last minute, this one included."""
    return float(Path("/proc/loadavg").read_text().split()[0])


if __name__ == "__main__":
    main()
