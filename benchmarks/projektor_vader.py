"""Ranking mixtures of texts that nobody has trained on, from 12 small trainings.

    python -m benchmarks.projektor_vader [--draws 10]

The demo's four domains (VADER, `tamis.demo` fetches them) with WordLlama embeddings. Tweets and
Amazon snippets show 200 rows each, the scarce movie sentences and the editorials all of theirs; the
transport cost sees embeddings only, no labels. Six random mixtures are trained small at two sizes
on what is shown (linear probe, a few seeds each), and 20 other random mixtures of all rows are
ranked at a size 13 times larger, each then trained with 40 seeds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamis import demo, linalg, seeding
from tamis.embedders import static
from tamis.pilots import design, linear_probe
from tamis.schemas import measurements
from tamis.selectors import laws, projektor

NAMES = ("movie", "amazon", "tweets", "editorials")
SHOWN = {"amazon": 200, "tweets": 200}
SMALL, FULL = (400, 600), 8_000
MIXTURES, RANKED = 6, 20
SEEDS = (1, 5, 20)  # of a small training
MEASURED = 40  # seeds of a ranked mixture
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
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    start = time.process_time()
    texts = load(args.data)
    where = geometry(texts)
    table: dict[tuple[str, int], list[float]] = {}
    for draw in range(args.draws):
        rng = seeding.generator(draw, "projektor", "vader")
        small, ranked = (rng.dirichlet(np.ones(4), n) for n in (MIXTURES, RANKED))
        truth = texts.errors(ranked, FULL, MEASURED, shown=False).mean(1)
        errors = {n: texts.errors(small, n, max(SEEDS), shown=True) for n in SMALL}
        for seeds in SEEDS:
            for name, predicted in predictions(texts, where, small, errors, seeds, ranked).items():
                table.setdefault((name, seeds), []).append(
                    float(stats.spearmanr(predicted, truth).statistic)
                )
    print(f"Spearman over {args.draws} draws, mean (least); seeds of a small training:\n")
    print("| predictor | " + " | ".join(map(str, SEEDS)) + " |\n" + "|---" * (1 + len(SEEDS)) + "|")
    for name in dict.fromkeys(n for n, _ in table):
        cells = [f"{np.mean(v):.3f} ({min(v):.3f})" for v in (table[name, s] for s in SEEDS)]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\n{time.process_time() - start:.0f} cpu s")


def load(folder: Path) -> Texts:
    """Fetch, embed, and shuffle each source once."""
    demo.fetch(folder)
    model = static.Static()
    rows = {n: _lines(folder / f"{n}.jsonl") for n in (*NAMES, "target")}
    rng = seeding.generator(0, "projektor", "vader", "shown")
    x = {n: linalg.unit(model([r["text"] for r in found])) for n, found in rows.items()}
    y = {n: np.array([r["label"] == "positive" for r in f], np.int64) for n, f in rows.items()}
    ends = np.cumsum([0, *(len(y[n]) for n in NAMES)])
    pools = [a + rng.permutation(b - a) for a, b in zip(ends, ends[1:], strict=False)]
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


def predictions(
    texts: Texts,
    where: projektor.Geometry,
    small: Floats,
    errors: dict[int, Floats],
    seeds: int,
    ranked: Floats,
) -> dict[str, Floats]:
    """What each predictor says of the ranked mixtures at full size."""
    weights = np.repeat(np.tile(small, (len(SMALL), 1)), seeds, axis=0)
    table = measurements.table(
        NAMES,
        samples=np.repeat(SMALL, len(small) * seeds),
        errors=np.concatenate([errors[n][:, :seeds].ravel() for n in SMALL]),
        weights=weights,
        supply=[len(p) for p in texts.shown],
        seeds=np.tile(np.arange(seeds), len(SMALL) * len(small)),
    )
    supply = np.array([len(p) for p in texts.pools])
    found = projektor.Predictor.fit(table, where)
    fits = {e.name: e.fit.law for e in found.entries}
    fits |= {law.name: laws.fit(table, law=law).law for law in laws.LAWS}
    out = {name: law.predict(ranked, FULL, supply) for name, law in fits.items()}
    cost = where.distance(NAMES, ranked)[0]
    return {"transport cost alone": cost, **out, "**ours**": found.predict(ranked, FULL, supply)}


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
