"""Every selector against random: test error of a linear probe on what it takes, and its price.

    python -m benchmarks.selectors [--fashion FOLDER] [--kinds a,b] [--price] [--out FILE.json]

Four pools of unit vectors, each drawn anew for every seed; the test set stays:

- `digits`: scikit-learn's, 1,200 rows of 64 pixels;
- `fashion`: Fashion-MNIST, 2,000 rows on 64 principal components;
- `long tail`: the same with classes of 800, 480, 288, ... 8 rows, tested on equal classes;
- `copies`: 400 rows of fashion, of which a tenth has 40 near-copies each, as web data has.

A selector takes 5, 10 and 30 % of the pool; scikit-learn's logistic regression is trained on the
rows, once with equal weights and for selectors that draw with weights once with those. Differences
are to a random sample of the same size from the same pool, in points of error, with the standard
error over seeds. The score is the cosine to the nearest of sqrt(n) centroids, `easy` as it is and
`hard` turned around. `--price` prints seconds and peak memory at two sizes instead.
Fashion-MNIST: `apt-get download dataset-fashion-mnist`, unpacked with `dpkg -x`.
"""

import argparse
import gzip
import json
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn import datasets, linear_model

from tamis import clusters, nearest, seeding
from tamis.schemas import embeddings, uids
from tamis.selectors import protocol, registry

FRACTIONS = (0.05, 0.1, 0.3)
EASY, HARD = {"score": "easy"}, {"score": "hard"}
KINDS: dict[str, tuple[str, dict]] = {
    "top_k, easy": ("top_k", EASY),
    "top_k, hard": ("top_k", HARD),
    "stratified, easy, class floor .5": ("stratified", EASY | {"by": "label"}),
    "stratified, hard, class floor .5": ("stratified", HARD | {"by": "label"}),
    "stratified, easy, class floor 1": ("stratified", EASY | {"by": "label", "floor": 1.0}),
    "stratified, hard, class floor 1": ("stratified", HARD | {"by": "label", "floor": 1.0}),
    "stratified, easy, cluster floor .5": ("stratified", EASY),
    "stratified, easy, cluster floor 1": ("stratified", EASY | {"floor": 1.0}),
    "weighted, easy": ("weighted", EASY | {"temperature": 0.1}),
    "weighted, hard": ("weighted", HARD | {"temperature": 0.1}),
    "hierarchical": ("hierarchical", {}),
    "hierarchical, closest": ("hierarchical", {"leaf": "closest"}),
    "hierarchical, no resampling": ("hierarchical", {"resampling": 0}),
    "k_center": ("k_center", {}),
    "facility_location": ("facility_location", {}),
    "facility_location, sharded": ("facility_location", {"maximiser": "sharded"}),
    "facility_location, stochastic": ("facility_location", {"maximiser": "stochastic"}),
    "saturated_coverage": ("saturated_coverage", {}),
    "graph_cut": ("graph_cut", {}),
    "feature_based": ("feature_based", {}),
    "herding": ("herding", {}),
    "dpp": ("dpp", {}),
    "mmr, easy": ("mmr", EASY),
    "mmr, hard": ("mmr", HARD),
    "leverage": ("leverage", {}),
    "clustering_sensitivity": ("clustering_sensitivity", {}),
    "low_rank_sensitivity": ("low_rank_sensitivity", {}),
    "round_robin, 100 target rows": ("round_robin", {}),
    "semantic_duplicates, any order": ("semantic_duplicates", {"score": "any"}),
    "chain: facility_location of top_k, easy, x 3": (
        "chain",
        {"selectors": [{"top_k": EASY}, {"facility_location": {}}], "times": [3.0]},
    ),
}
WEIGHTED = ("leverage", "clustering_sensitivity", "low_rank_sensitivity")


class Data(NamedTuple):
    """Rows to draw pools from, and the test set; unit vectors."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]


def digits() -> Data:
    x, y = datasets.load_digits(return_X_y=True)
    order = seeding.generator(0, "digits").permutation(len(x))
    x = nearest.unit(x[order]).astype(np.float32)
    return Data(x[:-400], y[order][:-400], x[-400:], y[order][-400:])


def fashion(folder: Path) -> Data:
    where = next(p.parent for p in folder.rglob("train-images-idx3-ubyte.gz"))

    def read(name: str, skip: int) -> NDArray[np.uint8]:
        raw = gzip.decompress((where / f"{name}-ubyte.gz").read_bytes())
        return np.frombuffer(raw, np.uint8, offset=skip)

    x = read("train-images-idx3", 16).reshape(-1, 784).astype(np.float32)
    test = read("t10k-images-idx3", 16).reshape(-1, 784)[:3000].astype(np.float32)
    mean = x[:10_000].mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(x[:10_000].T))
    x, test = (nearest.unit((r - mean) @ axes[:, -64:]).astype(np.float32) for r in (x, test))
    labels = [read(f"{name}-labels-idx1", 8).astype(np.int64) for name in ("train", "t10k")]
    return Data(x, labels[0], test, labels[1][:3000])


def plain(data: Data, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permutation(len(data.x))[:rows]


def long_tail(data: Data, rng: np.random.Generator) -> NDArray[np.int64]:
    sizes = (800 * 0.6 ** np.arange(10)).astype(int)
    return np.concatenate(
        [rng.permutation(np.flatnonzero(data.y == c))[:n] for c, n in enumerate(sizes)]
    )


def copies(data: Data, rng: np.random.Generator) -> tuple[Data, NDArray[np.int64]]:
    rows = plain(data, 400, rng)
    many = np.concatenate([rows, np.repeat(rows[:40], 40)])
    x = data.x[many]
    x[400:] += 0.02 * rng.standard_normal((1600, x.shape[1])).astype(np.float32)
    return Data(nearest.unit(x).astype(np.float32), data.y[many], *data[2:]), np.arange(2000)


def pool(data: Data, rows: NDArray[np.int64], seed: int) -> pa.RecordBatch:
    x = data.x[rows]
    centroids = clusters.fit(x, clusters.default_k(len(x)), seed=seed)
    found = clusters.assign(x, centroids)
    return pa.record_batch(
        {
            "uid": uids.of(f"pool-{seed}", pa.array([str(i) for i in range(len(rows))])),
            "embedding": embeddings.column(x),
            "label": pa.array(data.y[rows]),
            "cluster": pa.array(found.neighbour),
            "easy": pa.array(found.cosine),
            "hard": pa.array(-found.cosine),
            "any": pa.array(seeding.generator(seed, "any").random(len(rows), np.float32)),
        }
    )


def error(
    rows: pa.RecordBatch, picked: NDArray[np.int64], data: Data, weights: NDArray | None = None
) -> float:
    x, y = embeddings.matrix(rows["embedding"])[picked], rows["label"].to_numpy()[picked]
    if len(np.unique(y)) == 1:
        return float(np.mean(data.test_y != y[0]))
    probe = linear_model.LogisticRegression(C=10.0, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        probe.fit(x, y, sample_weight=None if weights is None else weights / weights.mean())
    return 1 - float(probe.score(data.test_x, data.test_y))


def run(
    data: Data, rows: pa.RecordBatch, target: str, seed: int, kinds: dict[str, tuple[str, dict]]
) -> dict[str, list[float]]:
    """Error by selector, one for each fraction."""
    found: dict[str, list[float]] = {"all rows": [error(rows, np.arange(rows.num_rows), data)]}
    for name, (kind, options) in {"random": ("uniform", {}), **kinds}.items():
        selector = registry.build(kind, options, {"target": target})
        for fraction in FRACTIONS:
            budget, rng = round(fraction * rows.num_rows), np.random.default_rng(seed)
            if kind not in WEIGHTED:
                picked = selector.select(rows, budget, rng)
            else:
                picked, weights = selector.draw(rows, budget, rng)
                found.setdefault(f"{name}, with weights", []).append(
                    error(rows, picked, data, weights)
                )
            found.setdefault(name, []).append(error(rows, picked, data))
    return found


def table(title: str, runs: list[dict[str, list[float]]]) -> None:
    whole = np.mean([r["all rows"] for r in runs])
    random = np.array([r["random"] for r in runs])
    print(f"\n### {title}: error of all rows {whole:.3f}\n")
    print("| selector | " + " | ".join(f"{f:.0%}" for f in FRACTIONS) + " |")
    print("|---" * (1 + len(FRACTIONS)) + "|")
    print("| random: error | " + " | ".join(f"{v:.3f}" for v in random.mean(axis=0)) + " |")
    for name in runs[0]:
        if name in ("random", "all rows"):
            continue
        gain = 100 * (np.array([r[name] for r in runs]) - random)
        mean, spread = gain.mean(axis=0), gain.std(axis=0, ddof=1) / np.sqrt(len(runs))
        cells = [
            f"{'**' if m < -2 * s else ''}{m:+.1f} ± {s:.1f}{'**' if m < -2 * s else ''}"
            for m, s in zip(mean, spread, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def price(kinds: dict[str, tuple[str, dict]]) -> None:
    """Processor seconds and peak memory to take a twentieth of the pool, at two sizes."""
    print(
        "| selector | 2,000 rows, s | 8,000 rows, s | growth | peak at 8,000, times the vectors |"
    )
    print("|---|---|---|---|---|")
    rows = {}
    for n in (2_000, 8_000):
        rng = np.random.default_rng(0)
        centres = nearest.unit(rng.standard_normal((200, 128)))
        x = centres[rng.integers(0, 200, n)] + 0.08 * rng.standard_normal((n, 128))
        x = nearest.unit(x).astype(np.float32)
        rows[n] = pool(Data(x, rng.integers(0, 10, n), x, np.zeros(n, int)), np.arange(n), 0)
    with tempfile.TemporaryDirectory() as scratch:
        np.save(f"{scratch}/target.npy", x[:100])
        for name, (kind, options) in {"uniform": ("uniform", {}), **kinds}.items():
            selector = registry.build(kind, options, {"target": f"{scratch}/target.npy"})
            took = [seconds(selector, batch) for batch in rows.values()]
            tracemalloc.start()
            seconds(selector, rows[8_000])
            peak = tracemalloc.get_traced_memory()[1] / (8_000 * 128 * 8)
            tracemalloc.stop()
            times = f"{took[0]:.2f} | {took[1]:.2f} | {took[1] / max(took[0], 1e-9):.1f}"
            print(f"| {name} | {times} | {peak:.1f} |", flush=True)


def seconds(selector: protocol.Selector, rows: pa.RecordBatch) -> float:
    """Processor seconds to take a twentieth."""
    start = time.process_time()
    selector.select(rows, rows.num_rows // 20, np.random.default_rng(0))
    return time.process_time() - start


def worlds(folder: Path | None) -> dict[str, Data]:
    found = {"digits": digits()}
    if folder:
        cloth = fashion(folder)
        found |= {"fashion": cloth, "long tail": cloth, "copies": cloth}
    return found


def measured(
    name: str, world: Data, seed: int, kinds: dict[str, tuple[str, dict]]
) -> dict[str, list[float]]:
    """One pool and its target of 100 rows that are neither in it nor in the test set."""
    data, rng = world, seeding.generator(seed, "pool", name)
    if name == "copies":
        data, rows = copies(world, rng)
    elif name == "long tail":
        rows = long_tail(world, rng)
    else:
        rows = plain(world, 1200 if name == "digits" else 2000, rng)
    outside = np.setdiff1d(np.arange(len(world.x)), rows)[-2000:]
    with tempfile.TemporaryDirectory() as scratch:
        target = f"{scratch}/target.npy"
        np.save(target, world.x[rng.choice(outside, 100, replace=False)])
        return run(data, pool(data, rows, seed), target, seed, kinds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fashion", type=Path, default=None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--price", action="store_true")
    parser.add_argument("--only", default="", help="one of the pools")
    parser.add_argument("--kinds", default="", help="selectors whose rows begin so")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    kinds = {k: v for k, v in KINDS.items() if k.startswith(tuple(options.kinds.split(",")))}
    if options.price:
        price(kinds)
        return
    found: dict[str, list[dict[str, list[float]]]] = {}
    for name, world in worlds(options.fashion).items():
        if options.only in ("", name):
            found[name] = [measured(name, world, seed, kinds) for seed in range(options.seeds)]
            table(name, found[name])
    if options.out:
        options.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
