"""A trainer of one's own as a pilot: a small convolutional network on the images of a manifest.

    pilot:
      kind: command
      options:
        command: python -m examples.pilot_torch --manifest {manifest} --samples {samples}
                 --seed {seed} --output {output} --target data/fashion/target.parquet

What tamis asks of a trainer: to read the manifest, each row as often as it says, and to write its
error on the target as JSON. The same command trains at the full budget, on
`runs/images/manifest/samples-8000`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import nn

import tamis
from tamis import decoding

SIDE, BATCH, RATE = 28, 32, 2e-3


def pixels(images):
    """Encoded images as (n, 1, 28, 28) in 0..1."""
    decoded = (decoding.picture(image).convert("L").resize((SIDE, SIDE)) for image in images)
    return torch.from_numpy(np.stack([np.asarray(d) for d in decoded])[:, None] / np.float32(255))


def network(classes):
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, classes),
    )


def main(given):
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    target = pq.read_table(given.target, columns=["image", "label"]).slice(0, given.rows)
    names = sorted(set(target["label"].to_pylist()))
    model = network(len(names))
    adam = torch.optim.Adam(model.parameters(), RATE)
    steps = -(-given.samples // BATCH)
    seen = list(tamis.load(given.manifest, seed=given.seed))
    for i in range(steps):
        batch = seen[i * BATCH : (i + 1) * BATCH]
        adam.param_groups[0]["lr"] = RATE * (1 - i / steps)
        labels = torch.tensor([names.index(row["label"]) for row in batch])
        loss = nn.functional.cross_entropy(model(pixels([row["image"] for row in batch])), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
    with torch.no_grad():
        found = model(pixels(target["image"].to_pylist())).argmax(1)
    wrong = [names[k] != label for k, label in zip(found, target["label"].to_pylist(), strict=True)]
    result = {"error": float(np.mean(wrong)), "samples": len(seen)}
    Path(given.output).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("manifest", "output", "target"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=1000, help="of the target")
    main(parser.parse_args())
