"""k-means against the matrix products it cannot do without, and against faiss's own.

    python -m benchmarks.kmeans [--rows 1000000] [--k 1000] [--repeats 3]

Raw: sample @ centroids' once an iteration, and rows @ centroids' once, in blocks, by numpy's BLAS
on all cores, results thrown away. Ours: `clusters.fit` on the same sample, then `clusters.assign`
of all rows, with float64 decisions. Sides alternate every two iterations and every 100,000 rows, so
that other work on the machine slows both; the clock and the processor are told apart. Wanted: at
most 1.3 times raw, and an inertia (the sum of |x - c|^2) within 0.5 % of faiss's. Assignments are
made again on 1, 2 and 7 threads and in other batches, and must be the same bytes.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks import chain, near_copies
from tamis import clusters, seeding

ITERATIONS = 20
_BLOCK = 8_192
_AT_ONCE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--k", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    cores = multiprocessing.cpu_count()
    print(f"commit {chain.commit()}, {cores} cores, load {chain.load():.1f}")
    x = near_copies.planted(args.rows, args.dimension, lowest=0.9).x
    sample = x[: clusters.default_sample(args.k)]
    print(f"{len(x):,} x {x.shape[1]}, k = {args.k:,}, fitted on {len(sample):,}")
    say(fitting(sample, args.k, args.repeats), assigning(sample, x, args.k))
    compare(sample, x[:200_000], args.k, args.seeds)
    same(x, clusters.fit(sample, args.k, seed=0))


class Spent(NamedTuple):
    """Seconds by the clock and of the processor."""

    clock: float
    cpu: float


def spent(work: Callable[[], object]) -> Spent:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - clock, time.process_time() - cpu)


def fitting(sample: NDArray, k: int, repeats: int) -> dict[str, list[Spent]]:
    """`ITERATIONS` iterations of every side, `repeats` times, two at a time."""
    centroids, took = sample[:k].copy(), {"raw fit": [], "our fit": [], "faiss fit": []}
    for seed in range(repeats * ITERATIONS // _AT_ONCE):
        took["raw fit"] += [spent(lambda: [products(sample, centroids) for _ in range(_AT_ONCE)])]
        took["our fit"] += [
            spent(lambda s=seed: clusters.fit(sample, k, iterations=_AT_ONCE, seed=s))
        ]
        took["faiss fit"] += [spent(lambda s=seed: faiss_fit(sample, k, s, _AT_ONCE))]
    return {name: scaled(spends, 1 / repeats) for name, spends in took.items()}


def assigning(sample: NDArray, x: NDArray, k: int) -> dict[str, list[Spent]]:
    """All rows on every side, 100,000 at a time."""
    centroids = clusters.fit(sample, k, iterations=2, seed=0)
    took: dict[str, list[Spent]] = {"raw assign": [], "our assign": []}
    for start in range(0, len(x), 100_000):
        part = x[start : start + 100_000]
        took["raw assign"] += [spent(lambda p=part: products(p, centroids))]
        took["our assign"] += [spent(lambda p=part: clusters.assign(p, centroids))]
    return took


def scaled(spends: list[Spent], by: float) -> list[Spent]:
    return [Spent(s.clock * by, s.cpu * by) for s in spends]


def products(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> None:
    for start in range(0, len(x), _BLOCK):
        x[start : start + _BLOCK] @ centroids.T


def faiss_fit(
    x: NDArray[np.float32], k: int, seed: int, iterations: int = ITERATIONS
) -> NDArray[np.float32]:
    """On all cores, as it comes; its bytes may depend on their number."""
    training = faiss.Kmeans(
        x.shape[1],
        k,
        niter=iterations,
        spherical=True,
        seed=1 + seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(x),
    )
    training.train(x)
    return training.centroids


def say(fit: dict[str, list[Spent]], assign: dict[str, list[Spent]]) -> None:
    total = {name: np.sum(spends, axis=0) for name, spends in {**fit, **assign}.items()}
    for name, (clock, cpu) in total.items():
        print(f"  {name:<12}{clock:>8.2f} s   cpu {cpu:>8.2f} s")
    for i, unit in enumerate(("clock", "cpu")):
        both = sum(total[f"our {p}"][i] for p in ("fit", "assign")) / sum(
            total[f"raw {p}"][i] for p in ("fit", "assign")
        )
        parts = [
            f"{p} {total[f'our {p}'][i] / total[f'raw {p}'][i]:.2f}" for p in ("fit", "assign")
        ]
        print(f"  by {unit}: {both:.2f} x raw, wanted at most 1.3 ({', '.join(parts)})")


def compare(sample: NDArray, x: NDArray, k: int, seeds: int) -> None:
    """Inertia of 200,000 rows, for a few seeds of either."""
    ours = [
        inertia(x, clusters.fit(sample, k, iterations=ITERATIONS, seed=s)) for s in range(seeds)
    ]
    theirs = [inertia(x, faiss_fit(sample, k, s)) for s in range(seeds)]
    ratio = statistics.mean(ours) / statistics.mean(theirs)
    print(f"  inertia: ours {spread(ours)}, faiss {spread(theirs)}; ratio {ratio:.4f}")


def inertia(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> float:
    found = clusters.assign(x, np.ascontiguousarray(centroids))
    return float(np.sum(2.0 - 2.0 * found.cosine.astype(np.float64)))


def spread(values: list[float]) -> str:
    return " ".join(f"{v:,.0f}" for v in values)


def same(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> None:
    """Assignments on several numbers of threads, in batches of several sizes."""
    digests, before = set(), faiss.omp_get_max_threads()
    for threads, batch in ((1, 8_192), (2, 8_192), (7, 8_192), (2, 3_001)):
        faiss.omp_set_num_threads(threads)
        parts = [clusters.assign(x[i : i + batch], centroids) for i in range(0, 100_000, batch)]
        parts = [np.concatenate(column)[:100_000].tobytes() for column in zip(*parts, strict=True)]
        digests.add(seeding.digest(*parts))
    faiss.omp_set_num_threads(before)
    print(f"  assignments of 100,000 rows, 4 ways to cut and thread: {len(digests)} outcome(s)")


if __name__ == "__main__":
    main()
