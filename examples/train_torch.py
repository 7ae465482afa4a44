"""Train on a manifest with torch, and lose nothing when killed: the same weights, bit for bit.

    python examples/train_torch.py MANIFEST OUT [--epochs 2] [--batch 64] [--workers 0]

The same command again goes on where the last checkpoint is. The net is small; the loop is what to
copy: the place in the data is saved in one file with the weights, the optimiser and torch's
generator, written whole or not at all. `MANIFEST` has labels, and vectors or texts.

With several GPUs, one process each: give `tamis.load` its rank and world size, and let rank 0 save.
The number of processes may change in the middle.
"""

import argparse
import os
import pathlib
import zlib

import numpy as np
import torch

import tamis

BUCKETS = 4_096  # words are hashed into these, where there are no vectors
Batch = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("manifest")
    parser.add_argument("out", type=pathlib.Path)
    for name, value in {"epochs": 1, "batch": 64, "workers": 0, "every": 10, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    train(parser.parse_args())


def train(options: argparse.Namespace) -> None:
    """Train for some epochs of the manifest, saving every `every` steps."""
    torch.manual_seed(options.seed)
    stream = tamis.load(options.manifest, seed=options.seed)
    batches = stream.dataloader(options.batch, workers=options.workers, collate_fn=collate)
    probe = next(iter(tamis.load(options.manifest)))
    width = BUCKETS if probe.get("embedding") is None else len(probe["embedding"])
    model = torch.nn.Sequential(
        torch.nn.Linear(width, 64), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(64, 16)
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    parts = {"model": model, "optimiser": optimiser, "data": batches}
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / "checkpoint.pt"
    step = restore(checkpoint, parts) if checkpoint.exists() else 0
    while stream.epoch < options.epochs:
        for x, y in batches:
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
            if step % options.every == 0:
                save(checkpoint, parts, step)
        stream.set_epoch(stream.epoch + 1)
    save(checkpoint, parts, step)
    torch.save(model.state_dict(), options.out / "weights.pt")


def collate(samples: list[dict]) -> Batch:
    """Vectors as they are, or counts of hashed words; labels as the residues of their hash."""
    if samples[0].get("embedding") is None:
        x = np.zeros((len(samples), BUCKETS), np.float32)
        for row, sample in zip(x, samples, strict=True):
            words = sample["text"].lower().split()
            np.add.at(row, [zlib.crc32(w.encode()) % BUCKETS for w in words], 1)
    else:
        x = np.stack([sample["embedding"] for sample in samples])
    y = [zlib.crc32(sample["label"].encode()) % 16 for sample in samples]
    return torch.from_numpy(x), torch.tensor(y)


def save(path: pathlib.Path, parts: dict, step: int) -> None:
    """One file for all that training is a function of; a kill leaves the old one or the new one."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"step": step, "rng": torch.get_rng_state()}
    torch.save(state, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)  # noqa: PTH105 - of one folder, so it is atomic


def restore(path: pathlib.Path, parts: dict) -> int:
    """Go to a checkpoint; its step."""
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["rng"])
    return int(state["step"])


if __name__ == "__main__":
    main()
