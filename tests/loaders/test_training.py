"""A real training, really killed, ends in the weights of one that was not."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn import datasets

from tests.loaders import listing

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "train_torch.py"
HERE = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def digits(folder):
    """Images as vectors, in Parquet."""
    x, y = datasets.load_digits(return_X_y=True)
    vectors = pa.array((x / 16).astype(np.float32).tolist(), pa.list_(pa.float32(), 64))
    table = pa.table({"pixels": vectors, "label": pa.array(y.astype(str))})
    pq.write_table(table, folder / "digits.parquet", row_group_size=500)
    columns = listing.shards.Columns("", "label", "", "pixels")
    yield listing.sources.Source("digits", "supply", (str(folder / "digits.parquet"),), columns)


def paragraphs_of(folder, rows):
    """Texts, in JSON lines."""
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = listing.shards.Columns("text", "label", "id", "")
    yield listing.sources.Source("texts", "supply", (str(folder / "texts.jsonl"),), columns)


@pytest.fixture
def folder(request, tmp_path, paragraphs):
    if request.param == "digits":
        found = digits(tmp_path)
    else:
        found = paragraphs_of(tmp_path, paragraphs["doc"][:900])
    return listing.write(tmp_path, found, {"digits": (1, 2), "texts": (2, 1)}, 400)


def command(folder, out, workers):
    options = ["--epochs", "2", "--batch", "32", "--every", "3", "--workers", str(workers)]
    return [sys.executable, str(SCRIPT), folder, str(out), *options]


def killed(arguments, out, step):
    """Run until a checkpoint of at least `step` is there, and kill."""
    process = subprocess.Popen(arguments, start_new_session=True, env=HERE)
    while process.poll() is None:
        time.sleep(0.02)
        with contextlib.suppress(FileNotFoundError):
            if torch.load(out / "checkpoint.pt", weights_only=True)["step"] >= step:
                process.send_signal(signal.SIGKILL)
    return process.wait()


@pytest.mark.parametrize(("folder", "workers"), [("digits", 0), ("texts", 2)], indirect=["folder"])
def test_killed_and_resumed_training_ends_in_the_same_weights(folder, workers, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run(command(folder, whole, workers), check=True, env=HERE)
    assert killed(command(folder, parts, workers), parts, 9) == -signal.SIGKILL
    assert not (parts / "weights.pt").exists()
    subprocess.run(command(folder, parts, workers), check=True, env=HERE)
    assert (parts / "weights.pt").read_bytes() == (whole / "weights.pt").read_bytes()
    state = torch.load(parts / "checkpoint.pt", weights_only=True)
    steps = -(-sum(listing.listed(folder).values()) // 32)
    assert (state["step"], state["data"]["epoch"]) == (2 * steps, 2)
