"""A fault campaign: runs hurt at a random time, run again, and held to the run nobody hurt.

    python -m benchmarks.faults [--runs 200] [--start 0] [--json FIGURES]

Four kinds of fault in turn, everything about them drawn from the number of the run:

- kill: SIGKILL of a random process of the run's tree; every 24th run has two worker processes;
- truncate: the run is killed, and a random file that it left is cut at a random byte;
- full: the run folder is a tmpfs with room for a random part of the run;
- read-only: after some stages the folder is a read-only mount.

Then the same command is run again until it ends; where it ends in an error that says what to do
(`delete FILE`, `copy FILE over it`), that is done first, and counted. At the end `verify` must be
content, the outputs must be those of the whole run byte for byte, and the rows of the inputs must
be in the index or among the rejected ones, each once. The plan is fitted by one law: what is hurt
are files and processes. Needs Linux; mounting needs root.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import processes
from tamis import errors, runfile, seeding
from tamis.pipelines import chain, verify
from tamis.selectors import laws

KINDS = ("kill", "truncate", "full", "read-only")
STAGES = tuple(name for name in chain.STAGES if name != "check")
TRIES = 6
OUTPUTS = "index embeddings clusters scores duplicates tiers plan manifest random everything"
ROWS = {"near": 150, "far": 250, "target": 60}
BAD = 7  # every so many rows of `far` a vector is not finite
RUN = """
version: 1
run: {run}
seed: 17
sources:
  near: {{path: {data}/near.parquet, id: id, label: label, embedding: x}}
  far: {{path: {data}/far.parquet, id: id, label: label, embedding: x}}
target: {{path: {data}/target.parquet, id: id, label: label, embedding: x}}
embed: {{backend: precomputed}}
ingest: {{shard_rows: 100, max_rejected_fraction: 0.5}}
cluster: {{k: 4, iterations: 3}}
score: {{prototypes: {{}}}}
tier: {{by: prototypes, tiers: 2}}
plan: {{budgets: [200], strata: [source, tier]{measurements}}}
runner: {{workers: {workers}}}
"""
fork = multiprocessing.get_context("fork")


def main() -> None:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--start", type=int, default=0, help="number of the first run")
    parser.add_argument("--seconds", type=float, default=1e9, help="start none after so long")
    parser.add_argument("--json", type=Path, help="write what became of every run here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tamis-faults-") as folder:
        found = campaign(Path(folder), args.start, args.runs, args.seconds)
    table(found)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    raise SystemExit(any(not good(run) for run in found))


def campaign(folder: Path, start: int, runs: int, limit: float = 1e9) -> list[dict]:
    """Hurt `runs` runs; what became of each."""
    began = time.monotonic()
    generate(folder)
    whole = Whole(folder)
    found = []
    for number in range(start, start + runs):
        if time.monotonic() - began > limit:
            break
        found.append(one(folder, whole, number))
        print(json.dumps(found[-1]), flush=True)
    return found


class Whole:
    """The run nobody hurts.

    Attributes:
      contents: Its outputs, by path.
      seconds: It took.
      size: Bytes of its folder.
    """

    def __init__(self, folder: Path) -> None:
        attempt(folder / "first", folder, STAGES[: STAGES.index("pilot") + 1], 1)
        shutil.copy(folder / "first" / "pilots" / "measurements.parquet", folder)
        started = time.monotonic()
        error = attempt(folder / "whole", folder, STAGES, 1)
        assert error is None, error
        self.seconds = time.monotonic() - started
        self.contents = contents(folder / "whole")
        self.size = sum(p.stat().st_size for p in (folder / "whole").rglob("*") if p.is_file())


def one(folder: Path, whole: Whole, number: int) -> dict:
    """Hurt run `number`, run it to its end, and look at it."""
    rng, kind = seeding.generator(6, "fault", number), KINDS[number % len(KINDS)]
    root, started = folder / f"run-{number}", time.monotonic()
    root.mkdir()
    try:
        struck = FAULTS[kind](root, folder, whole, rng, number)
    except Unable as reason:
        return {"run": number, "kind": kind, "skipped": str(reason)}
    found = {"run": number, "kind": kind, **struck, **heal(root, folder)}
    found |= judged(root, folder, whole.contents)
    unmount(root)
    shutil.rmtree(root)
    return found | {"seconds": round(time.monotonic() - started, 1)}


class Unable(Exception):
    """A fault that cannot be made here."""


def kill(root: Path, folder: Path, whole: Whole, rng, number: int) -> dict:
    workers = 2 if number % 24 == 0 else 1
    process, _ = begin(root, folder, STAGES, workers)
    process.join(rng.random() * whole.seconds * (3 if workers > 1 else 1))
    alive = [pid for pid in processes.tree(process.pid) if processes.resident(pid)]
    struck = process.is_alive() and bool(alive)
    if struck:  # alone, or a worker or the launcher: the other must end by itself
        victim = int(alive[rng.integers(len(alive))])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    process.join(60 + 10 * whole.seconds)  # in the machine's own seconds: it may be a busy one
    hung = process.is_alive()
    finish(process)
    return {"struck": struck, "workers": workers, **({"wrong": "hung"} if hung else {})}


def truncate(root: Path, folder: Path, whole: Whole, rng, number: int) -> dict:
    kill(root, folder, whole, rng, 1)
    files = sorted(
        p
        for p in root.rglob("*")
        if p.is_file() and p.name[0] != "." and p.stat().st_size and "ledger" not in p.parts
    )
    if not files:
        return {"struck": False}
    victim = files[rng.integers(len(files))]
    os.truncate(victim, int(rng.integers(victim.stat().st_size)))
    return {"struck": True, "file": str(victim.relative_to(root))}


def full(root: Path, folder: Path, whole: Whole, rng, number: int) -> dict:
    size = max(int(whole.size * rng.random() * 1.2), 65_536)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(root))
    error = attempt(root, folder, STAGES, 1)
    mount("-o", "remount,size=64m", str(root))
    if error is not None and error["kind"] != "CapacityError":
        return {"struck": True, "wrong": error}
    return {"struck": error is not None, "room": size}


def read_only(root: Path, folder: Path, whole: Whole, rng, number: int) -> dict:
    done = STAGES[: int(rng.integers(len(STAGES)))]
    if done:
        attempt(root, folder, done, 1)
    mount("--bind", str(root), str(root))
    mount("-o", "remount,ro,bind", str(root))
    error = attempt(root, folder, STAGES, 1)
    unmount(root)
    if error is None or error["kind"] != "ConfigError":
        return {"struck": True, "wrong": error or "no error"}
    return {"struck": True, "after": len(done)}


FAULTS: dict[str, Callable[..., dict]] = {
    "kill": kill,
    "truncate": truncate,
    "full": full,
    "read-only": read_only,
}


def mount(*args: str) -> None:
    done = subprocess.run(["mount", *args], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unable(done.stderr.strip())


def unmount(root: Path) -> None:
    mounts = Path("/proc/mounts").read_text().splitlines()
    if str(root) in (line.split()[1] for line in mounts):  # `is_mount` does not see a bind mount
        subprocess.run(["umount", str(root)], check=True)


def begin(root: Path, folder: Path, stages: tuple[str, ...], workers: int):
    """The run in a process of its own, and the end of a pipe that says how it went."""
    here, there = fork.Pipe(duplex=False)
    process = fork.Process(target=work, args=(root, folder, stages, workers, there))
    process.start()
    there.close()
    return process, here


def work(root: Path, folder: Path, stages: tuple[str, ...], workers: int, said) -> None:
    os.setsid()
    laws.LAWS = (laws.Power,)
    try:
        chain.run(document(root, folder, workers), stages=stages)
        if stages == STAGES:
            with chain.opened(document(root, folder, workers)) as here:
                verify.verify(here, lambda line: None)
                verify.described(here, lambda line: None)
        said.send(None)
    except errors.TamisError as error:
        what = {"kind": type(error).__name__, "what": error.what}
        said.send({**what, "where": error.where, "why": error.why, "remedy": error.remedy})


def attempt(root: Path, folder: Path, stages: tuple[str, ...], workers: int) -> dict | None:
    """Run to the end: None, or the typed error. Anything else says so as a `crash`."""
    process, said = begin(root, folder, stages, workers)
    try:
        found = said.recv()
    except EOFError:
        found = {"kind": "crash", "what": "untyped", "where": "", "remedy": ""}
    finish(process)
    return found


def finish(process) -> None:
    """End a run with all it started, as on a machine that goes down."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


def document(root: Path, folder: Path, workers: int):
    own = folder / "measurements.parquet"
    measured = f", measurements: {own}" if own.exists() else ""
    text = RUN.format(run=root, data=folder, measurements=measured, workers=workers)
    return runfile.parse(text)


def heal(root: Path, folder: Path) -> dict:
    """The same command again and again, doing what its errors say."""
    told = []
    for _ in range(TRIES):
        error = attempt(root, folder, STAGES, 1)
        if error is None:
            return {"healed": True, "told": told}
        told.append(f"{error['kind']}: {error['what']} {error['where'].removeprefix(str(root))}")
        if not obey(error):
            return {"healed": False, "told": told, "error": error}
    return {"healed": False, "told": told}


def obey(error: dict) -> bool:
    """Do what a remedy says; whether it said anything that can be done."""
    remedy, where = error["remedy"], error["where"]
    if copied := re.match(r"copy (\S+) over it", remedy):
        shutil.copy(copied[1], where)
    elif deleted := re.match(r"delete (\S+) and run", remedy):
        named = Path(where if deleted[1] == "it" else deleted[1])
        shutil.rmtree(named) if named.is_dir() else named.unlink(missing_ok=True)
    else:
        return False
    return True


def contents(root: Path) -> dict[str, bytes]:
    found = (p for name in OUTPUTS.split() for p in (root / name).rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.name[0] != "."}


def judged(root: Path, folder: Path, wanted: dict[str, bytes]) -> dict:
    """Held to the whole run, and the rows counted in the files themselves."""
    have = contents(root)
    other = sorted(p for p in {*have, *wanted} if have.get(p) != wanted.get(p))
    seen = collections.Counter()
    for path in [*root.glob("index/*.parquet"), *root.glob("rejected/*.parquet")]:
        part = path.name.split("-")[1]
        rows = pq.read_table(path, columns=["row"])["row"].to_pylist()
        seen.update((part, row) for row in rows)
    lost = sum(ROWS.values()) - len(seen)
    return {"other": other, "lost": lost, "twice": sum(seen.values()) - len(seen)}


def good(run: dict) -> bool:
    if "skipped" in run:
        return True
    whole = run["healed"] and not run["other"] and not run["lost"] and not run["twice"]
    return whole and "wrong" not in run


def table(found: list[dict]) -> None:
    """By kind of fault."""
    print(
        f"\n{'fault':<10}{'runs':>6}{'struck':>8}{'told':>6}{'verified':>10}{'identical':>11}"
        f"{'rows lost':>11}{'rows twice':>12}{'skipped':>9}"
    )
    for kind in KINDS:
        runs = [r for r in found if r["kind"] == kind]
        done = [r for r in runs if "skipped" not in r]
        print(
            f"{kind:<10}{len(runs):>6}{sum(r['struck'] for r in done):>8}"
            f"{sum(bool(r['told']) for r in done):>6}"
            f"{sum(r['healed'] and 'wrong' not in r for r in done):>10}"
            f"{sum(not r['other'] for r in done):>11}{sum(r['lost'] for r in done):>11}"
            f"{sum(r['twice'] for r in done):>12}{len(runs) - len(done):>9}"
        )
    for run in found:
        if not good(run):
            print(json.dumps(run))


def generate(folder: Path) -> None:
    """Two sources, one of them with bad rows, and a target."""
    for name, rows in ROWS.items():
        rng = seeding.generator(6, name)
        own = rng.integers(0, 4, rows)
        x = np.eye(4, 8, dtype=np.float32)[own] + 0.3 * rng.standard_normal((rows, 8), np.float32)
        if name == "far":
            x[::BAD, 0] = np.nan
        table = {"id": np.arange(rows), "label": [str(c % 2) for c in own], "x": list(x)}
        pq.write_table(pa.table(table), folder / f"{name}.parquet")


if __name__ == "__main__":
    main()
