"""Ranking mixtures of texts that nobody has trained on, from 12 small trainings.

    python -m benchmarks.projektor_vader [--draws 6]

The demo's four domains (VADER, `tamis.demo` fetches them) with WordLlama embeddings. Tweets and
Amazon snippets show 200 rows each, the scarce movie sentences and the editorials all of theirs; the
transport cost sees embeddings only, no labels. Six random mixtures are trained small at two sizes
on what is shown (linear probe, a few seeds each), and 20 other random mixtures of all rows are
ranked at 4 and 16 times the mean size. 60 such mixtures are trained there; a draw ranks 20.
"""

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamis import demo, linalg, seeding
from tamis.embedders import static
from tamis.pilots import design, linear_probe
from tamis.schemas import measurements
from tamis.selectors import laws, projektor
from tamis.selectors.projektor import choice

NAMES = ("movie", "amazon", "tweets", "editorials")
SHOWN = {"amazon": 200, "tweets": 200}
SMALL, FULL = (400, 600), (2_000, 8_000)
MIXTURES, RANKED, POOL = 6, 20, 60
SEEDS = (1, 5, 20)  # of a small training
MEASURED = {2_000: 20, 8_000: 10}  # seeds of a ranked mixture
PROTOTYPES = 100

Floats = NDArray[np.float64]


class Texts(NamedTuple):
    """Embedded rows.

    Attributes:
      x: Shape (n, d), of all sources.
      labels: Shape (n,).
      pools: Row numbers of each source, what it shows first.
      target: Rows and labels.
    """

    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    pools: list[NDArray[np.int64]]
    target: tuple[NDArray[np.float32], NDArray[np.int64]]

    @property
    def shown(self) -> list[NDArray[np.int64]]:
        return [p[: SHOWN.get(n, len(p))] for n, p in zip(NAMES, self.pools, strict=True)]

    def errors(self, weights: Floats, samples: int, seeds: int, *, shown: bool) -> Floats:
        """Probe errors, shape (len(weights), seeds)."""
        pools = self.shown if shown else self.pools
        supply = tuple(map(len, pools))
        runs = [
            design.Run(tuple(w), samples, supply, s) for w in weights.tolist() for s in range(seeds)
        ]
        data = (self.x, self.labels)
        found = linear_probe.measure(runs, pools, data, self.target, seed=0, classes=2)
        return found.reshape(len(weights), seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/vader"))
    parser.add_argument("--draws", type=int, default=6)
    args = parser.parse_args()
    start = time.process_time()
    texts = load(args.data)
    where = geometry(texts)
    pool = seeding.generator(0, "projektor", "vader", "ranked").dirichlet(np.ones(4), POOL)
    truth = {n: measured(texts, pool, n) for n in FULL}
    table: dict[tuple[int, str, int], list[float]] = {}
    for draw in range(args.draws):
        rng = seeding.generator(draw, "projektor", "vader")
        small, chosen = rng.dirichlet(np.ones(4), MIXTURES), rng.choice(POOL, RANKED, replace=False)
        errors = {n: texts.errors(small, n, max(SEEDS), shown=True) for n in SMALL}
        for seeds in SEEDS:
            fits = fitted(texts, where, small, errors, seeds)
            for size, (name, law) in itertools.product(FULL, fits.items()):
                predicted = law(pool[chosen], size)
                rho = stats.spearmanr(predicted, truth[size][chosen]).statistic
                table.setdefault((size, name, seeds), []).append(float(rho))
    print(f"\nSpearman over {args.draws} draws, mean (least); by seeds of a small training\n")
    heads = [f"{size:,}: {seeds}" for size in FULL for seeds in SEEDS]
    print("| predictor | " + " | ".join(heads) + " |\n" + "|---" * (1 + len(heads)) + "|")
    for name in dict.fromkeys(n for _, n, _ in table):
        found = [table[size, name, seeds] for size in FULL for seeds in SEEDS]
        print(f"| {name} | " + " | ".join(f"{np.mean(v):.2f} ({min(v):.2f})" for v in found) + " |")
    print(f"\n{time.process_time() - start:.0f} cpu s")


def measured(texts: Texts, pool: Floats, size: int) -> Floats:
    """Mean error of every mixture of the pool at a size."""
    errors = texts.errors(pool, size, MEASURED[size], shown=False)
    means, noise = errors.mean(1), errors.std(1, ddof=1).mean() / MEASURED[size] ** 0.5
    spread = f"{means.min():.4f} to {means.max():.4f}, noise {noise:.4f}"
    print(f"{POOL} mixtures at {size:,} samples: errors {spread}", flush=True)
    return means


def load(folder: Path) -> Texts:
    """Fetch, embed, and shuffle each source once."""
    demo.fetch(folder)
    model = static.Static()
    rows = {n: _lines(folder / f"{n}.jsonl") for n in (*NAMES, "target")}
    rng = seeding.generator(0, "projektor", "vader", "shown")
    x = {n: linalg.unit(model([r["text"] for r in found])) for n, found in rows.items()}
    y = {n: np.array([r["label"] == "positive" for r in f], np.int64) for n, f in rows.items()}
    ends = np.cumsum([0, *(len(y[n]) for n in NAMES)])
    pools = [a + rng.permutation(b - a) for a, b in itertools.pairwise(ends)]
    return Texts(
        np.concatenate([x[n] for n in NAMES]),
        np.concatenate([y[n] for n in NAMES]),
        pools,
        (x["target"], y["target"]),
    )


def geometry(texts: Texts) -> projektor.Geometry:
    """Label-free: where the shown texts lie."""
    shown = texts.shown
    every = np.concatenate([texts.x[np.concatenate(shown)], texts.target[0]])
    prototypes = projektor.Prototypes.fit(every, PROTOTYPES)
    sources = {
        n: projektor.Measure.of(texts.x[rows], prototypes)
        for n, rows in zip(NAMES, shown, strict=True)
    }
    target = projektor.Measure.of(texts.target[0], prototypes)
    return projektor.Geometry(sources, target, prototypes.cost())


def fitted(
    texts: Texts,
    where: projektor.Geometry,
    small: Floats,
    errors: dict[int, Floats],
    seeds: int,
) -> dict[str, Callable[[Floats, int], Floats]]:
    """Name of each predictor to its errors of mixtures at a size."""
    table = measurements.table(
        NAMES,
        samples=np.repeat(SMALL, len(small) * seeds),
        errors=np.concatenate([errors[n][:, :seeds].ravel() for n in SMALL]),
        weights=np.repeat(np.tile(small, (len(SMALL), 1)), seeds, axis=0),
        supply=[len(p) for p in texts.shown],
        seeds=np.tile(np.arange(seeds), len(SMALL) * len(small)),
    )
    supply = np.array([len(p) for p in texts.pools])
    found = projektor.Predictor.fit(table, where)
    named = {e.name: e.fit.law for e in found.entries}
    best = next(e.fit.law for e in found.entries if e.name not in choice.MEMBERS)
    known = {law.name: laws.fit(table, law=law).law for law in laws.LAWS}
    known |= {"best regression of the paper, with ridge": best, "Rational": named["Rational"]}
    known |= {"Coverage": named["Coverage"], "**ours: average**": found.average}
    out = {n: functools.partial(_predicted, law, supply) for n, law in known.items()}
    return {"transport cost alone": lambda w, _: where.distance(NAMES, w)[0], **out}


def _predicted(law: Any, supply: Floats, weights: Floats, size: int) -> Floats:
    return law.predict(weights, size, supply)


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
