"""Multinomial logistic regression by SGD on frozen embeddings, many runs at once.

The cheapest training that still has real repetition: a run sees `samples` rows one batch after the
other, a scarce stratum comes round again in a new order, and its error on the target can fall and
then rise. Weights start at zero and the learning rate falls linearly to zero.

The bias is the weight of a constant feature of size 1/sqrt(d), the typical coordinate of a
unit-norm row (liblinear's `intercept_scaling`). A constant of 1 would learn d times faster than
any other feature, and runs of up to a few hundred samples would mostly show their class counts.

Runs are one stacked array, so Python pays for a step once and not once per run. Every run is its
own slice of every product: what it learns does not depend on which runs it shares a chunk with.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tamis import seeding
from tamis.pilots import design, protocol
from tamis.selectors import quotas

LEARNING_RATE = 4.0  # of unit-norm rows; on the demo, errors are about the same from 3 to 10
BATCH = 8
CHUNK_BYTES = 64 << 20  # orders of the runs trained together
CACHE_BYTES = 512 << 20  # rows held as float32 while their runs train
_SEEN_TOGETHER = 16 << 20  # samples of the runs trained at once


def order(rows: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Whole shuffled epochs of `rows` rows, the last one cut: shape (count,)."""
    if count and not rows:
        raise ValueError(f"{count} samples from a pool without rows")
    epochs, rest = divmod(count, rows) if count else (0, 0)
    whole = [rng.permutation(rows) for _ in range(epochs)]
    return np.concatenate([np.zeros(0, np.int64), *whole, rng.choice(rows, rest, replace=False)])


def stream(
    pools: Sequence[NDArray[np.int64]], counts: Sequence[int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The order in which one run sees its rows.

    Sample j of the q from one pool stands at (j + u) / q of the run, u uniform, so every pool is
    spread evenly over the whole run and its epochs stay whole.

    Args:
      pools: Row numbers of each stratum.
      counts: Samples of each stratum.
      rng: Shuffles epochs and breaks the rhythm of the interleaving.

    Returns:
      Shape (sum(counts),) row numbers.
    """
    rows = [p[order(len(p), c, rng)] for p, c in zip(pools, counts, strict=True)]
    place = [(np.arange(c) + rng.random(c)) / max(c, 1) for c in counts]
    return np.concatenate(rows)[np.argsort(np.concatenate(place), kind="stable")]


def repeated(
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    stratum: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The order in which a training sees the rows of a manifest.

    Like `stream`, with exact repeats: epoch e of a stratum is a shuffle of its rows that are to be
    seen more than e times.

    Args:
      rows: Shape (n,) row numbers.
      times: Shape (n,), how often each is seen.
      stratum: Shape (n,), what is spread evenly over the run.
      rng: Shuffles and interleaves.

    Returns:
      Shape (sum(times),) row numbers.
    """
    seen, place = [], []
    for s in np.unique(stratum):
        mine, left = rows[stratum == s], times[stratum == s]
        seen += [rng.permutation(mine[left > e]) for e in range(int(left.max()))]
        count = int(left.sum())
        place.append((np.arange(count) + rng.random(count)) / count)
    return np.concatenate(seen)[np.argsort(np.concatenate(place), kind="stable")]


def run_stream(run: design.Run, pools: Sequence[NDArray[np.int64]], seed: int) -> NDArray[np.int64]:
    """The stream of one pilot: a random part of each pool if the run caps its supply.

    Args:
      run: Mixture, length, supply and replicate.
      pools: Row numbers of each stratum.
      seed: Of the whole plan; every run draws from a generator of its own.

    Returns:
      Shape (run.samples,) row numbers.
    """
    rng = seeding.generator(seed, "linear-probe", run.samples, run.weights, run.supply, run.seed)
    capped = [
        p if cap >= len(p) else rng.choice(p, cap, replace=False)
        for p, cap in zip(pools, run.supply, strict=True)
    ]
    return stream(capped, quotas.largest_remainder(run.weights, run.samples).tolist(), rng)


def train(
    x: NDArray,
    labels: NDArray[np.int64],
    orders: NDArray[np.int64],
    *,
    classes: int,
    learning_rate: float = LEARNING_RATE,
    batch: int = BATCH,
) -> NDArray[np.float32]:
    """Train every run from zero.

    Args:
      x: Shape (n, d) float16 or float32, rows of about unit norm; only the rows a run sees are
        read, so a memory map is fine.
      labels: Shape (n,), 0..classes-1.
      orders: Shape (runs, samples), row numbers in the order they are seen.
      classes: How many classes there are.
      learning_rate: Of the first step; it falls linearly to zero.
      batch: Rows a step; the last step takes what is left.

    Returns:
      Shape (runs, classes, d + 1), the bias last.

    Time is samples x classes x d per run; memory is runs x classes x d, and the rows seen as
    float32 where they fit in `CACHE_BYTES`.
    """
    *_, (_, w, bias) = _descent(x, labels, orders, classes, learning_rate, batch)
    return np.concatenate([w, bias], axis=2)


def checkpoints(
    x: NDArray,
    labels: NDArray[np.int64],
    orders: NDArray[np.int64],
    *,
    classes: int,
    count: int,
    learning_rate: float = LEARNING_RATE,
    batch: int = BATCH,
) -> NDArray[np.float32]:
    """Train every run from zero and keep what it knew on the way.

    Args:
      x: As for `train`, like all others.
      labels: Shape (n,).
      orders: Shape (runs, samples).
      classes: How many classes there are.
      count: Checkpoints, evenly spaced over the steps; at most as many as there are steps. The
        last is the trained run.
      learning_rate: Of the first step.
      batch: Rows a step.

    Returns:
      Shape (runs, count, classes, d + 1), the bias last.
    """
    steps = -(-orders.shape[1] // batch)
    if not 1 <= count <= steps:
        raise ValueError(f"{count} checkpoints of {steps} steps")
    marks = {steps * (i + 1) // count for i in range(count)}
    descent = _descent(x, labels, orders, classes, learning_rate, batch)
    kept = [np.concatenate([w, bias], axis=2) for i, w, bias in descent if i in marks]
    return np.stack(kept, axis=1)


def _descent(
    x: NDArray,
    labels: NDArray[np.int64],
    orders: NDArray[np.int64],
    classes: int,
    learning_rate: float,
    batch: int,
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Steps done, weights (runs, classes, d) and biases, from none done; updated in place."""
    x, labels, orders = _compact(x, labels, orders)
    runs, samples = orders.shape
    w = np.zeros((runs, classes, x.shape[1]), np.float32)
    bias = np.zeros((runs, classes, 1), np.float32)
    eye = np.eye(classes, dtype=np.float32)
    scale = np.float32(1 / x.shape[1])
    steps = -(-samples // batch)
    yield 0, w, bias
    for i in range(steps):
        rows = orders[:, i * batch : (i + 1) * batch]
        seen = x[rows].astype(np.float32, copy=False)  # (runs, batch, d)
        p = _softmax(seen @ w.transpose(0, 2, 1) + bias.transpose(0, 2, 1))
        p -= eye[labels[rows]]
        p *= np.float32(learning_rate * (1 - i / steps) / rows.shape[1])
        slope = p.transpose(0, 2, 1)  # (runs, classes, batch)
        w -= slope @ seen
        bias -= slope.sum(2, keepdims=True) * scale
        yield i + 1, w, bias


def error(
    weights: NDArray[np.float32], x: NDArray, labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of the target rows each run gets wrong: shape (runs,).

    Args:
      weights: Shape (runs, classes, d + 1), as `train` returns them.
      x: Shape (n, d), the target.
      labels: Shape (n,).
    """
    rows = np.asarray(x, np.float32)
    wrong = [
        np.mean((rows @ w[:, :-1].T + w[:, -1]).argmax(1) != labels, dtype=np.float64)
        for w in weights
    ]
    return np.array(wrong)


def measure(
    runs: Sequence[design.Run],
    pools: Sequence[NDArray[np.int64]],
    train_set: tuple[NDArray, NDArray[np.int64]],
    target_set: tuple[NDArray, NDArray[np.int64]],
    *,
    seed: int,
    classes: int,
    learning_rate: float = LEARNING_RATE,
    batch: int = BATCH,
) -> NDArray[np.float64]:
    """Target error of every run, in their order.

    Args:
      runs: What to train; runs of one length are trained together.
      pools: Row numbers of each stratum in the training set.
      train_set: Rows (n, d) and their labels (n,).
      target_set: Rows (m, d) and their labels (m,).
      seed: Of the plan.
      classes: How many classes there are.
      learning_rate: Of `train`.
      batch: Of `train`.

    Returns:
      Shape (runs,).
    """
    errors = np.empty(len(runs))
    for members in chunks(runs):
        orders = np.stack([run_stream(runs[i], pools, seed) for i in members])
        learned = train(
            *train_set, orders, classes=classes, learning_rate=learning_rate, batch=batch
        )
        errors[members] = error(learned, *target_set)
    return errors


def chunks(runs: Sequence[design.Run]) -> Iterator[list[int]]:
    """Indices of runs of one length, as many as fit in `CHUNK_BYTES`."""
    lengths = sorted({run.samples for run in runs})
    for samples in lengths:
        members = [i for i, run in enumerate(runs) if run.samples == samples]
        size = max(1, min(256, CHUNK_BYTES // (8 * samples)))
        for start in range(0, len(members), size):
            yield members[start : start + size]


@dataclasses.dataclass(frozen=True)
class Probe:
    """Share of the target that a trained probe gets wrong.

    Attributes:
      classes: How many there are.
      learning_rate: Of `train`.
      batch: Of `train`.
    """

    classes: int
    learning_rate: float = LEARNING_RATE
    batch: int = BATCH

    def errors(
        self,
        rows: protocol.Rows,
        orders: NDArray[np.int64],
        targets: Sequence[protocol.Rows],
        *,
        seeds: Sequence[int],
    ) -> NDArray[np.float64]:
        """Shape (targets, runs); as many runs at once as see `_SEEN_TOGETHER` samples."""
        together = max(1, _SEEN_TOGETHER // orders.shape[1])
        found = []
        for start in range(0, len(orders), together):
            part = orders[start : start + together]
            learned = train(
                *rows,
                part,
                classes=self.classes,
                learning_rate=self.learning_rate,
                batch=self.batch,
            )
            found.append(np.stack([error(learned, *target) for target in targets]))
        return np.concatenate(found, axis=1)


def _compact(
    x: NDArray, labels: NDArray[np.int64], orders: NDArray[np.int64]
) -> tuple[NDArray, NDArray[np.int64], NDArray[np.int64]]:
    """Only the rows that are seen, as float32, if they fit; otherwise everything as it is."""
    seen = np.zeros(len(x), bool)
    seen[orders] = True
    rows = np.flatnonzero(seen)
    if rows.size * x.shape[1] * 4 > CACHE_BYTES:
        return x, labels, orders
    place = np.cumsum(seen) - 1  # of each row among those that are seen
    return x[rows].astype(np.float32, copy=False), labels[rows], place[orders]


def _softmax(z: NDArray[np.float32]) -> NDArray[np.float32]:
    z -= z.max(2, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(2, keepdims=True)
    return z
