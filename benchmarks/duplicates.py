"""Semantic duplicates against all pairs, against SemDeDup's way, and against semhash, in one run.

    python -m benchmarks.duplicates --data DIR [--only licences,debian,texts,...]

- **licences**, **debian**, **texts**: 35,640 licence texts, 61,751 Debian descriptions
  (`benchmarks.texts` says how to fetch them), and both together, as WordLlama vectors. Truth is
  every pair at the threshold, by brute force: float32 products of upper-triangle tiles by BLAS,
  compared on two threads.
- **planted**, **sphere**: 100,000 x 256 made-up vectors with near-copies
  (`benchmarks.near_copies`), and as many from the uniform sphere, which no clustering helps.
- **large**: as many, and ten times as many, of the first kind. Recall is over the planted pairs,
  and over all pairs of 2,000 rows with the others, by brute force.
- **labels**: licence texts that share a licence key are variants of one text: how many pairs share
  it, at several cosines and by MinHash.

`tamis` fits its own cells and compares, all on the clock; `tamis, certain` visits every cell whose
border is near, where `tamis` visits the nearest 16 and says which share of the rows had more;
`inside clusters` is the same without visits, which is what SemDeDup implementations compare;
`semhash` gets the same vectors and no embedding to do. Every side runs alone in a process of its
own, with two threads; memory is the peak above the loaded vectors.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent import futures
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import threadpoolctl
from numpy.typing import NDArray

from benchmarks import chain, near_copies, texts
from tamis.selectors import cells, duplicate_groups, near_pairs, text_duplicates

THREADS = 2
_TILE = 1_024
_SAMPLED = 2_000
PARTS = ("licences", "debian", "texts", "planted", "sphere", "large", "labels")


class Side(NamedTuple):
    """What one side found, and what it took; `parts` is what else it has to say."""

    pairs: near_pairs.Pairs
    clock: float
    cpu: float
    memory: int
    parts: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--threshold", type=float, default=0.95)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="of the large part; a tenth elsewhere"
    )
    args = parser.parse_args()
    cores = multiprocessing.cpu_count()
    print(f"commit {chain.commit()}, {cores} cores, load {chain.load():.1f}", flush=True)
    for part in args.only.split(","):
        run(part, args.data, args.threshold, args.rows)


def run(part: str, folder: Path, threshold: float, rows: int) -> None:
    if part == "large":
        for n in (rows // 10, rows):
            large(n, threshold)
    elif part == "labels":
        labels(texts.licences(folder))
    elif part in ("planted", "sphere"):
        made = near_copies.planted(rows // 10, 256, lowest=threshold, flat=part == "sphere")
        compare(part, made.x, threshold, semhash=False)
    else:
        read = {"licences": [texts.licences], "debian": [texts.debian]}
        both = read.get(part, [texts.licences, texts.debian])
        x = texts.vectors([text for known in both for text in known(folder).text])
        compare(part, x, threshold, semhash=len(both) == 1)


def compare(title: str, x: NDArray[np.float32], threshold: float, *, semhash: bool = True) -> None:
    """All sides of one set of vectors."""
    print(f"\n{title}: {len(x):,} x {x.shape[1]}, cosine >= {threshold}", flush=True)
    truth = alone("brute force", x, threshold)
    say("brute force", truth, truth, len(x))
    for name in ("tamis", "tamis, certain", "inside clusters", *(["semhash"] if semhash else [])):
        say(name, alone(name, x, threshold), truth, len(x))


def say(name: str, side: Side, truth: Side, n: int) -> None:
    true, found = (keys(p.pairs, n) for p in (truth, side))
    hit = len(np.intersect1d(true, found, assume_unique=True))
    kept = len(np.unique(duplicate_groups.groups(side.pairs, n, -1.0)))
    print(
        f"  {name:<16}{side.clock:>7.2f} s {truth.clock / side.clock:>6.1f} x"
        f"   cpu {side.cpu:>7.2f} s {truth.cpu / side.cpu:>6.1f} x   {side.memory >> 20:>5} MiB"
        f"   {len(found):>9,} pairs, recall {hit / max(len(true), 1):.4f}, "
        f"precision {hit / max(len(found), 1):.4f}, {kept:,} rows kept"
        + (f"   ({told(side)})" if side.parts else ""),
        flush=True,
    )


def keys(pairs: near_pairs.Pairs, n: int) -> NDArray[np.int64]:
    return np.unique(np.minimum(pairs.a, pairs.b) * n + np.maximum(pairs.a, pairs.b))


def large(n: int, threshold: float) -> None:
    """Time and memory as rows grow, and recall where not all pairs can be had."""
    made = near_copies.planted(n, 256, lowest=threshold)
    cosine = near_pairs.cosine(made.x, made.x, made.row, made.copy)
    near = cosine >= np.float32(threshold)
    planted = np.minimum(made.row, made.copy)[near] * n + np.maximum(made.row, made.copy)[near]
    drawn = np.arange(0, n, n // _SAMPLED)[:_SAMPLED]
    truth = keys(against(made.x, drawn, threshold), n)
    print(f"\n{n:,} x 256 made up, {made.x.nbytes >> 20:,} MiB", flush=True)
    for name in ("tamis", "tamis, certain"):
        side = alone(name, made.x, threshold)
        found = keys(side.pairs, n)
        print(
            f"  {name}: {side.clock:.1f} s, cpu {side.cpu:.1f} s, {side.memory >> 20:,} MiB, "
            f"{len(found):,} pairs; recall of {len(planted):,} planted "
            f"{np.isin(planted, found).mean():.5f}, of all {len(truth):,} with one of "
            f"{len(drawn):,} rows {np.isin(truth, found).mean():.5f} ({told(side)})",
            flush=True,
        )


def told(side: Side) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in side.parts.items())


def against(x: NDArray[np.float32], rows: NDArray[np.int64], threshold: float) -> near_pairs.Pairs:
    """Pairs of some rows with all rows."""
    found = []
    for start in range(0, len(x), 65_536):
        part = x[start : start + 65_536]
        place = np.flatnonzero((x[rows] @ part.T).ravel() >= np.float32(threshold))
        a, b = rows[place // len(part)], place % len(part) + start
        found.append(
            near_pairs.Pairs(a[a != b], b[a != b], np.ones(int((a != b).sum()), np.float32))
        )
    return near_pairs.joined(found)


def labels(known: texts.Texts) -> None:
    """Pairs by licence key. Of the pairs that share one, most are not variants: notices, urls."""
    key = np.unique(known.key, return_inverse=True)[1]
    x, n = texts.vectors(known.text), len(known.text)
    size = np.bincount(key)
    alike = int((size * (size - 1) // 2).sum())
    print(f"\nlicences: {n:,} texts, {len(size):,} keys, {alike:,} pairs share one")
    side = alone("tamis, certain", x, 0.8)
    for t in (0.8, 0.85, 0.9, 0.95, 0.98, 0.99):
        tell(f"cosine >= {t}", side.pairs, key, t)
    started = time.perf_counter()
    found = text_duplicates.minhash_pairs(pa.array(known.text), 0.5, seed=0)
    print(f"  MinHash of 5-grams in {time.perf_counter() - started:.1f} s")
    for t in (0.5, 0.7, 0.8, 0.9):
        tell(f"Jaccard >= {t}", found, key, t)


def tell(name: str, pairs: near_pairs.Pairs, key: NDArray[np.int64], threshold: float) -> None:
    near = pairs.similarity >= np.float32(threshold)
    same = key[pairs.a[near]] == key[pairs.b[near]]
    group = duplicate_groups.groups(pairs, len(key), threshold)
    size = np.bincount(group)
    mixed = len(np.unique(np.stack([group, key]), axis=1).T) - len(size)
    print(
        f"  {name:<16}{len(same):>10,} pairs, {same.mean():.3f} of one key; "
        f"{len(size):,} groups, largest {size.max():,}, {mixed:,} keys joined to another"
    )


def alone(name: str, x: NDArray[np.float32], threshold: float) -> Side:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="tamis-bench-") as folder:
        np.save(f"{folder}/x.npy", x)
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=measure, args=(name, folder, threshold))
        child.start()
        child.join()
        if child.exitcode:
            raise RuntimeError(f"{name} failed with {child.exitcode}")
        took = json.loads(Path(f"{folder}/took.json").read_text())
        with np.load(f"{folder}/pairs.npz") as saved:
            return Side(near_pairs.Pairs(**saved), **took)


def measure(name: str, folder: str, threshold: float) -> None:
    """In the child: run one side."""
    x, side = np.load(f"{folder}/x.npy"), SIDES[name]
    side(x[:2_000], threshold)  # imports and caches
    chain.forget_peak()
    before = chain.peak()
    clock, cpu = time.perf_counter(), time.process_time()
    pairs, parts = side(x, threshold)
    took = {
        "clock": time.perf_counter() - clock,
        "cpu": time.process_time() - cpu,
        "memory": chain.peak() - before,
        "parts": parts,
    }
    np.savez(f"{folder}/pairs.npz", **pairs._asdict())
    Path(f"{folder}/took.json").write_text(json.dumps(took))


def brute_force(
    x: NDArray[np.float32], threshold: float
) -> tuple[near_pairs.Pairs, dict[str, float]]:
    """Every pair of the upper triangle, in tiles that fit the cache."""

    def tile(start: int) -> near_pairs.Pairs:
        found = []
        for other in range(start, len(x), 8 * _TILE):
            left, right = x[start : start + _TILE], x[other : other + 8 * _TILE]
            product = left @ right.T
            place = np.flatnonzero(product.ravel() >= np.float32(threshold))
            a, b = place // len(right) + start, place % len(right) + other
            once = a < b
            found.append(near_pairs.Pairs(a[once], b[once], product.ravel()[place[once]]))
        return near_pairs.joined(found)

    with threadpoolctl.threadpool_limits(1), futures.ThreadPoolExecutor(THREADS) as pool:
        return near_pairs.joined(pool.map(tile, range(0, len(x), _TILE))), {}


def tamis(
    x: NDArray[np.float32], threshold: float, probes: int | None = cells.PROBES
) -> tuple[near_pairs.Pairs, dict[str, float]]:
    """From nothing but the vectors."""
    started = time.process_time()
    where = near_pairs.layout(x)
    fitted = time.process_time()
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        found, capped = near_pairs.near_pairs(
            x, threshold, where=where, probes=probes, workers=THREADS
        )
    return found, {"fit, cpu s": fitted - started, "not certain": float(capped.mean())}


def inside_clusters(
    x: NDArray[np.float32], threshold: float
) -> tuple[near_pairs.Pairs, dict[str, float]]:
    return tamis(x, threshold, probes=0)


def certain(x: NDArray[np.float32], threshold: float) -> tuple[near_pairs.Pairs, dict[str, float]]:
    return tamis(x, threshold, probes=None)


def semhash(x: NDArray[np.float32], threshold: float) -> tuple[near_pairs.Pairs, dict[str, float]]:
    """Its pairs are what it names as duplicates of the records it removes."""
    import semhash

    named = [str(i) for i in range(len(x))]
    index = semhash.SemHash.from_embeddings(x, named, model=None)
    result = index.self_deduplicate(threshold)
    found = [(int(r.record), int(d), s) for r in result.filtered for d, s in r.duplicates]
    a, b, score = zip(*found, strict=True) if found else ((), (), ())
    pairs = near_pairs.Pairs(np.array(a, int), np.array(b, int), np.array(score, np.float32))
    return pairs, {}


SIDES = {
    "brute force": brute_force,
    "tamis": tamis,
    "tamis, certain": certain,
    "inside clusters": inside_clusters,
    "semhash": semhash,
}

if __name__ == "__main__":
    main()
