"""k-means against the matrix products it cannot do without, and against faiss's own.

    python -m benchmarks.kmeans [--rows 1000000] [--k 1000] [--repeats 3]

Raw: sample @ centroids' once an iteration, and rows @ centroids' once, in blocks, by numpy's BLAS
on all cores, results thrown away. Ours: `clusters.fit` on the same sample, then `clusters.assign`
of all rows, with float64 decisions. Sides alternate; medians are compared. Wanted: at most 1.3
times raw, and an inertia (the sum of |x - c|^2) within 0.5 % of faiss's. Assignments are made again
on 1, 2 and 7 threads and in other batches, and must be the same bytes.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks import chain, near_copies
from tamis import clusters, seeding

ITERATIONS = 20
_BLOCK = 8_192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--k", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    cores = multiprocessing.cpu_count()
    print(f"commit {chain.commit()}, {cores} cores, load {chain.load():.1f}")
    x = near_copies.planted(args.rows, args.dimension, lowest=0.9).x
    sample = x[: clusters.default_sample(args.k)]
    print(f"{len(x):,} x {x.shape[1]}, k = {args.k:,}, fitted on {len(sample):,}")
    took: dict[str, list[float]] = {}
    for repeat in range(args.repeats):
        measure(took, sample, x, args.k, repeat)
    say(took)
    compare(sample, x, args.k)
    same(x, clusters.fit(sample, args.k, seed=0))


def measure(took: dict[str, list[float]], sample: NDArray, x: NDArray, k: int, seed: int) -> None:
    """One repeat of every side."""
    centroids = sample[:k].copy()

    def timed(name: str, work: Callable[[], object]) -> object:
        started = time.perf_counter()
        found = work()
        took.setdefault(name, []).append(time.perf_counter() - started)
        return found

    timed("raw fit", lambda: [products(sample, centroids) for _ in range(ITERATIONS)])
    timed("raw assign", lambda: products(x, centroids))
    fitted = timed("our fit", lambda: clusters.fit(sample, k, iterations=ITERATIONS, seed=seed))
    timed("our assign", lambda: clusters.assign(x, fitted))
    timed("faiss fit", lambda: faiss_fit(sample, k, seed))


def products(x: NDArray[np.float32], centroids: NDArray[np.float32]) -> None:
    for start in range(0, len(x), _BLOCK):
        x[start : start + _BLOCK] @ centroids.T


def faiss_fit(x: NDArray[np.float32], k: int, seed: int) -> NDArray[np.float32]:
    """On all cores, as it comes; its bytes may depend on their number."""
    training = faiss.Kmeans(
        x.shape[1],
        k,
        niter=ITERATIONS,
        spherical=True,
        seed=1 + seed,
        min_points_per_centroid=1,
        max_points_per_centroid=len(x),
    )
    training.train(x)
    return training.centroids


def say(took: dict[str, list[float]]) -> None:
    middle = {name: statistics.median(seconds) for name, seconds in took.items()}
    for name, seconds in took.items():
        print(f"  {name:<12}{middle[name]:>8.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")
    for part in ("fit", "assign"):
        print(f"  {part}: {middle[f'our {part}'] / middle[f'raw {part}']:.2f} x raw")
    sides = [
        [a + b for a, b in zip(took[f"{s} fit"], took[f"{s} assign"], strict=True)]
        for s in ("our", "raw")
    ]
    each = [a / b for a, b in zip(*sides, strict=True)]
    print(
        f"  both: {statistics.median(each):.2f} x raw ({min(each):.2f} to {max(each):.2f}), "
        "wanted at most 1.3"
    )


def compare(sample: NDArray, x: NDArray, k: int) -> None:
    """Inertia over all rows, for three seeds of either."""
    ours = [inertia(x, clusters.fit(sample, k, iterations=ITERATIONS, seed=s)) for s in range(3)]
    theirs = [inertia(x, faiss_fit(sample, k, s)) for s in range(3)]
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
