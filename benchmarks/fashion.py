"""Fashion-MNIST as three sources of different classes, and a classifier trained on mixtures.

The construction of Kang et al. (2023, arXiv 2307.02460; the released code's class fractions), with
Fashion-MNIST's classes in place of CIFAR-10's: each source has a group of classes and a trace of
the others. Sources share no row. Each shows its first `SHOWN` rows; what is trained at a small
scale is drawn from those, what is trained at full size from all rows, never one twice.

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb data/fashion
"""

import gzip
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import seeding
from tamis.selectors import quotas

FOLDER = "usr/share/datasets/fashion-mnist"  # inside the Debian package
CLASSES = 10
FRACTIONS = np.repeat(  # of each class in each source; the groups are classes 0-3, 4-6 and 7-9
    [[0.2425, 0.0050, 0.0050], [0.0057, 0.3200, 0.0057], [0.0014, 0.0014, 0.3300]],
    [4, 3, 3],
    axis=1,
)
ROWS = 17_000  # of each source: the most that 6,000 rows a class can give all three
SHOWN = 1_500
TARGET = 2_000  # test rows that transport may see; errors are measured on the other 8,000
INPUTS, HIDDEN = 64, 100  # principal components, units
EPOCHS, BATCH, RATE = 30, 100, 3e-3
TOGETHER = 132  # models trained as one array

Floats = NDArray[np.float64]


class Data(NamedTuple):
    """Rows as principal components of the pixels, fitted on what the sources show.

    Attributes:
      x: Shape (n, INPUTS) float32, of the training set; unit variance on average.
      labels: Shape (n,).
      pools: Row numbers of each source, what it shows first.
      target: Rows and labels that transport may see.
      test: Rows and labels that errors are measured on.
    """

    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    pools: list[NDArray[np.int64]]
    target: tuple[NDArray[np.float32], NDArray[np.int64]]
    test: tuple[NDArray[np.float32], NDArray[np.int64]]


def load(folder: Path, seed: int = 0) -> Data:
    """Read the files of the Debian package, unpacked under `folder`."""
    found = next((p.parent for p in folder.rglob("train-images-idx3-ubyte.gz")), None)
    if found is None:
        raise SystemExit(f"no Fashion-MNIST under {folder}:\n{__doc__.splitlines()[-1]}")
    images, labels = (
        _idx(found / "train-images-idx3-ubyte.gz"),
        _idx(found / "train-labels-idx1-ubyte.gz"),
    )
    other, answers = (
        _idx(found / "t10k-images-idx3-ubyte.gz"),
        _idx(found / "t10k-labels-idx1-ubyte.gz"),
    )
    pools = sources(labels, seed)
    shown = np.sort(np.concatenate([p[:SHOWN] for p in pools]))
    x, y = components(images, other, shown)
    order = seeding.generator(seed, "fashion", "target").permutation(len(y))
    mine, theirs = order[:TARGET], order[TARGET:]
    return Data(x, labels, pools, (y[mine], answers[mine]), (y[theirs], answers[theirs]))


def sources(labels: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Disjoint row numbers of each source, in an order drawn once."""
    rng = seeding.generator(seed, "fashion", "sources")
    left = [rng.permutation(np.flatnonzero(labels == c)) for c in range(CLASSES)]
    pools = []
    for fractions in FRACTIONS:
        counts = quotas.largest_remainder(fractions / fractions.sum(), ROWS)
        pools.append(
            rng.permutation(np.concatenate([r[:n] for r, n in zip(left, counts, strict=True)]))
        )
        left = [r[n:] for r, n in zip(left, counts, strict=True)]
    return pools


def components(
    images: NDArray, other: NDArray, shown: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Principal components of the shown rows, for all rows of both sets."""
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    centre = flat[shown].mean(0)
    seen = flat[shown] - centre
    _, vectors = np.linalg.eigh(seen.T.astype(np.float64) @ seen)
    basis = vectors[:, ::-1][:, :INPUTS].astype(np.float32)
    basis /= (seen @ basis).std()
    rest = other.reshape(len(other), -1).astype(np.float32) / 255
    return (flat - centre) @ basis, (rest - centre) @ basis


def errors(
    data: Data, weights: Floats, samples: int, seeds: Sequence[int], *, shown: bool
) -> Floats:
    """Test error of a two-layer perceptron for every mixture and seed: shape (mixtures, seeds).

    Args:
      data: What to train on.
      weights: Shape (mixtures, sources).
      samples: Rows a training sees in each of its epochs.
      seeds: Each is another sample, start and order.
      shown: Draw only from what the sources show.
    """
    pools = [p[:SHOWN] if shown else p for p in data.pools]
    runs = [(w, s) for w in weights for s in seeds]
    found = []
    for first in range(0, len(runs), TOGETHER):
        part = runs[first : first + TOGETHER]
        rngs = [seeding.generator(s, "fashion", samples, shown, w.tolist()) for w, s in part]
        rows = [_draw(pools, w, samples, rng) for (w, _), rng in zip(part, rngs, strict=True)]
        found.append(train(data, np.stack(rows), rngs))
    return np.concatenate(found).reshape(len(weights), len(seeds))


def train(data: Data, rows: NDArray[np.int64], rngs: Sequence[np.random.Generator]) -> Floats:
    """Adam on the cross-entropy of many perceptrons at once; their test errors.

    Args:
      data: What to train on.
      rows: Shape (models, samples), the rows of each model.
      rngs: One per model, of its start and the order of its epochs.
    """
    import torch

    models, samples = rows.shape
    x, labels = torch.from_numpy(data.x), torch.from_numpy(data.labels)
    shapes = [(INPUTS, HIDDEN), (1, HIDDEN), (HIDDEN, CLASSES), (1, CLASSES)]
    start = [
        np.stack([r.standard_normal(s) * (s[0] > 1) / s[0] ** 0.5 for r in rngs]) for s in shapes
    ]
    start[0] *= 2**0.5  # He et al. (2015)
    parameters = [torch.from_numpy(p.astype(np.float32)).requires_grad_() for p in start]
    adam = torch.optim.Adam(parameters, RATE, foreach=True)
    for _ in range(EPOCHS):
        order = torch.from_numpy(
            np.stack([r[g.permutation(samples)] for r, g in zip(rows, rngs, strict=True)])
        )
        for first in range(0, samples, BATCH):
            batch = order[:, first : first + BATCH]
            scores = _scores(parameters, x[batch])
            loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels[batch].flatten())
            adam.zero_grad()
            (loss * models).backward()
            adam.step()
    y, answers = (torch.from_numpy(a) for a in data.test)
    with torch.no_grad():
        wrong = [
            (_scores([p[m] for p in parameters], y).argmax(-1) != answers).double().mean().item()
            for m in range(models)
        ]
    return np.array(wrong)


def cached(path: Path, measure) -> tuple[Floats, float]:
    """What `measure()` returns and its processor seconds, trained once and kept in a file."""
    if not path.exists():
        start = time.process_time()
        found = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, errors=found, seconds=time.process_time() - start)
    kept = np.load(path)
    return kept["errors"], float(kept["seconds"])


def _scores(parameters, x):
    first, bias, second, shift = parameters
    return (x @ first + bias).relu() @ second + shift


def _draw(
    pools: Sequence[NDArray[np.int64]], w: Floats, samples: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    counts = quotas.largest_remainder(w, samples)
    return np.concatenate(
        [rng.choice(p, n, replace=False) for p, n in zip(pools, counts, strict=True)]
    )


def _idx(path: Path) -> NDArray:
    """LeCun's IDX format: two zero bytes, type, number of dimensions, their sizes, the data."""
    data = gzip.decompress(path.read_bytes())
    dimensions = data[3]
    sizes = np.frombuffer(data, ">i4", dimensions, 4)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(sizes)
    return values.astype(np.int64) if dimensions == 1 else values
