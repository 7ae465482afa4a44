"""Does it stay linear and flat? Ingest to manifest at three sizes, and a query against engines.

    python -m benchmarks.scale [--rows 100000,1000000,10000000] [--workers 1] [--query 10000000]

The chain runs on precomputed vectors of 64 made by `chain.py`, in a process of its own whose whole
tree is watched: rows a second, peak memory, and what `tamis explain` had said of it. The query is
`query.py`: each engine answers it in a fresh process, one after another on the same files. Seconds
are those of the query; processor seconds beside them, since the machine is shared; memory is that
of the tree, imports included.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import chain, processes, query

DIMENSION = 64
TIME, MEMORY = 1.1, 1.3  # wanted: growth of time over that of rows, and of memory
ENGINES = ("duckdb", "polars", "tamis", "bare")
LIMIT_MB = 300  # of the query


def main() -> None:
    """Print both tables; with a folder, be the process that is watched."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="of one size, made already")
    parser.add_argument("--rows", default="100000,1000000,10000000")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--query", type=int, default=10_000_000, help="rows; 0 leaves it out")
    parser.add_argument("--scratch", help="where files go")
    args = parser.parse_args()
    if args.folder:
        run(args.folder, args.workers)
        return
    print(f"commit {chain.commit()}, load {chain.load():.1f}")
    sizes = [int(n) for n in args.rows.split(",") if n]
    found = {n: size(n, args.workers, args.scratch) for n in sizes}
    for small, large in itertools.pairwise(sizes):
        say_growth(found[small], found[large])
    if args.query:
        compare(args.query, args.scratch)


def size(rows: int, workers: int, scratch: str | None) -> dict:
    """The chain at one size."""
    with tempfile.TemporaryDirectory(prefix="tamis-scale-", dir=scratch) as folder:
        chain.call(chain.generate, folder, rows, DIMENSION)
        arguments = [folder, "--workers", str(workers)]
        cost = processes.measure("benchmarks.scale", *arguments)
        stages = json.loads((Path(folder) / "run" / "run.json").read_text())["stages"]
    said = json.loads(cost.said)
    found = {"rows": rows, "seconds": cost.seconds, "peak": cost.peak, **said}
    found["stages"] = {name: entry["seconds"] for name, entry in stages.items()}
    told = found["told"] / cost.peak
    print(
        f"{rows:>12,} rows{rows / cost.seconds:>10,.0f} rows/s{cost.seconds:>9.1f} s"
        f"{said['cpu']:>9.1f} cpu s{cost.peak / 1e6:>8,.0f} MB, explain said {told:.2f} of it"
    )
    print("   " + ", ".join(f"{name} {s:.1f}" for name, s in found["stages"].items()), flush=True)
    return found


def run(folder: Path, workers: int) -> None:
    """Ingest to manifest, and what was said of its memory beforehand."""
    import time

    from tamis import runfile
    from tamis.pipelines import chain as chain_
    from tamis.pipelines import estimate

    text = chain.RUN.replace("lexical: {{}}", "").replace(
        "check:", "runner: {{workers: %d}}\ncheck:"
    )
    document = runfile.parse(text.format(folder=folder) % workers)
    told = estimate.estimate(document).memory * max(workers, 1)
    chain_.run(document, stages=tuple(name for name in chain_.STAGES if name != "check"))
    print(json.dumps({"told": told, "cpu": time.process_time()}))


def say_growth(small: dict, large: dict) -> None:
    """Time over rows and memory, from one size to the next."""
    more = large["rows"] / small["rows"]
    for what, ratio, limit in (
        ("time", large["seconds"] / small["seconds"], TIME * more),
        ("cpu", large["cpu"] / small["cpu"], TIME * more),
        ("memory", large["peak"] / small["peak"], MEMORY),
    ):
        kept = "kept" if ratio <= limit else "BROKEN"
        print(
            f"{large['rows']:>12,} over {small['rows']:,}: {what} x {ratio:.2f}, {limit:g}: {kept}"
        )


def compare(rows: int, scratch: str | None) -> None:
    """The query by every engine, on the same rows."""
    with tempfile.TemporaryDirectory(prefix="tamis-query-", dir=scratch) as name:
        folder = Path(name) / "made"
        command = [sys.executable, "-m", "benchmarks.query", "make", str(folder), str(rows)]
        subprocess.run(command, check=True)
        files = len(list((folder / "pool").iterdir()))
        print(f"\n{rows:,} rows in {files} files: 4 tiers, the best of 32 strata")
        print(f"{'engine':<8}{'s':>8}{'cpu s':>8}{'peak MB':>9}{'rows':>12}")
        for engine in ENGINES:
            query.reset(folder)
            cost = processes.measure("benchmarks.query", engine, str(folder))
            found = json.loads(cost.said)
            print(
                f"{engine:<8}{found['seconds']:>8.2f}{found['cpu']:>8.2f}{cost.peak / 1e6:>9,.0f}"
                f"{found['rows']:>12,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
