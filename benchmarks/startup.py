"""What several local workers cost before they work: seconds until all are at it, and memory.

    python -m benchmarks.startup [--workers 1,2] [--repeats 3]

A pipeline of one small element for each worker, which tells its process and when it began; beside
the clock the processor seconds of all processes, since the machine may be shared. Memory is that of
the whole tree while the workers wait for each other.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

from benchmarks import chain, processes
from tamis.pipelines import engine
from tamis.schemas import config


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"commit {chain.commit()}, load {chain.load():.1f}")
    print(f"{'workers':>7}{'s':>8}{'cpu s':>8}{'at work':>9}{'MB':>8}")
    for workers in map(int, args.workers.split(",")):
        for _ in range(args.repeats):
            print(line(workers), flush=True)


def line(workers: int) -> str:
    """One pipeline."""
    import apache_beam as beam

    with tempfile.TemporaryDirectory(prefix="tamis-startup-") as folder:
        watch = processes.Watch(os.getpid())
        watch.start()
        started, busy = time.time(), used()
        engine.run(
            config.Runner(workers=workers),
            (),
            lambda p: p | beam.Create(range(64)) | beam.Reshuffle() | beam.Map(tell, folder),
        )
        busy = used() - busy
        watch.over.set()
        watch.join()
        told = {path.name: json.loads(path.read_text()) for path in Path(folder).iterdir()}
    seconds = max(told.values()) - started
    return f"{workers:>7}{seconds:>8.2f}{busy:>8.2f}{len(told):>9}{watch.peak / 1e6:>8,.0f}"


def tell(element: int, folder: str) -> None:
    """The first time, write when this process began to work."""
    path = Path(folder) / str(os.getpid())
    if not path.exists():
        path.write_text(json.dumps(time.time()))
    time.sleep(0.01)


def used() -> float:
    """Processor seconds of this process and of those that have ended."""
    both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in both)


if __name__ == "__main__":
    main()
