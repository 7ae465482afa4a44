"""A training killed again and again, against one that was not: are the weights the same?

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb data/fashion
    python -m benchmarks.resume [--fashion data/fashion] [--vader data/vader] [--kills 3]

`examples/train_torch.py` on the 60,000 images of Fashion-MNIST as vectors, and on the texts of the
four domains of VADER, each for one epoch, with and without workers.
"""

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import fashion, loader
from tamis import demo
from tamis.schemas import shards

SCRIPT = Path(__file__).parents[1] / "examples" / "train_torch.py"
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fashion", type=Path, default=Path("data/fashion"))
    parser.add_argument("--vader", type=Path, default=Path("data/vader"))
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    print("| data | workers | samples | killed at step | weights |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        made = {
            "Fashion-MNIST": images(options.fashion, Path(folder)),
            "VADER": texts(options.vader, Path(folder)),
        }
        for name, listed in made.items():
            for workers in (0, 2):
                out = Path(folder) / f"{name}-{workers}"
                print(f"| {name} | {workers} |", compared(listed, out, workers, options.kills))


def images(unpacked: Path, folder: Path) -> str:
    """A manifest of the training images."""
    found = next(unpacked.rglob("train-images-idx3-ubyte.gz")).parent
    x = fashion._idx(found / "train-images-idx3-ubyte.gz").reshape(-1, 784) / np.float32(255)
    y = fashion._idx(found / "train-labels-idx1-ubyte.gz")
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.astype(np.float32).ravel()), 784)
    table = pa.table({"x": vectors, "label": pa.array(y.astype(str))})
    pq.write_table(table, folder / "fashion.parquet", row_group_size=10_000)
    columns = shards.Columns(label="label", embedding="x")
    return loader.whole(folder / "fashion", folder / "fashion.parquet", columns)


def texts(fetched: Path, folder: Path) -> str:
    """A manifest of the texts of all four domains."""
    demo.fetch(fetched)
    named = [fetched / f"{domain}.jsonl" for domain in demo.DOMAINS]
    (folder / "vader.jsonl").write_bytes(b"".join(path.read_bytes() for path in named))
    return loader.whole(folder / "vader", folder / "vader.jsonl", loader.COLUMNS)


def compared(listed: str, out: Path, workers: int, kills: int) -> str:
    """What became of a training with kills, and whether it is the one without."""
    samples = json.loads((Path(listed) / "manifest.json").read_text())["samples"]
    options = ["--batch", str(BATCH), "--every", "5", "--workers", str(workers)]
    started = [sys.executable, str(SCRIPT), listed]
    subprocess.run([*started, str(out / "whole"), *options], check=True, env=_environment())
    at = [samples * (k + 1) // BATCH // (kills + 1) for k in range(kills)]
    killed = [_killed([*started, str(out / "parts"), *options], out / "parts", s) for s in at]
    subprocess.run([*started, str(out / "parts"), *options], check=True, env=_environment())
    one, two = (
        hashlib.sha256((out / kind / "weights.pt").read_bytes()).hexdigest()
        for kind in ("whole", "parts")
    )
    same = f"the same ({one[:12]})" if one == two else "OTHERS"
    return f"{samples:,} | {', '.join(map(str, killed))} | {same} |"


def _killed(command: list[str], out: Path, step: int) -> int:
    """Kill when a checkpoint of at least `step` is there; the step it has."""
    import torch

    process, found = subprocess.Popen(command, env=_environment(), stderr=subprocess.DEVNULL), 0
    while process.poll() is None:
        time.sleep(0.05)
        with contextlib.suppress(FileNotFoundError):
            found = torch.load(out / "checkpoint.pt", weights_only=True)["step"]
        if found >= step:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return int(found)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[1])}


if __name__ == "__main__":
    main()
