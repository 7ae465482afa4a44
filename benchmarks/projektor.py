"""Performance of any mixture at any size, from a few small trainings: predicted against trained.

    python -m benchmarks.projektor [--data data/fashion] [--draws 8] [--out docs/projektor.svg]

Fashion-MNIST in the three-source construction of Kang et al. (2023); see `benchmarks/fashion.py`
for the data and how to get them. Every cell of the simplex in steps of 0.1 (66) is trained at
1,000 and 1,500 rows that the sources show (5 seeds) and at 10,000 of all rows (3 seeds, medians).
A method sees the small trainings of some random mixtures, each at both sizes, so that 12 trainings
are 6 mixtures, and predicts all 66 cells at 10,000. What it saw is never chosen by the 10,000.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import fashion, projektor_figure
from tamis import linalg, seeding
from tamis.schemas import measurements
from tamis.selectors import laws, projektor, transport
from tamis.selectors.laws import cells as cells_
from tamis.selectors.projektor import choice, regression

NAMES = ("tops", "coats", "shoes")  # classes 0-3, 4-6 and 7-9, more or less
SMALL, FULL = (1_000, 1_500), 10_000
SEEDS = {1_000: range(5), 1_500: range(5), FULL: range(3)}
FRESH = range(100, 105)  # of the choices and of what they are held against
COUNTS = (12, 24, 48)
PROTOTYPES = 100
CHOSEN = 3  # draws whose choice is trained

Floats = NDArray[np.float64]


class Grid(NamedTuple):
    """The trained grid.

    Attributes:
      weights: Shape (66, 3).
      errors: Size to errors, shape (66, seeds).
    """

    weights: Floats
    errors: dict[int, Floats]

    def median(self, size: int) -> Floats:
        return np.median(self.errors[size], axis=1)

    def cells(self, picked: NDArray[np.int64]) -> cells_.Cells:
        """The small trainings of some mixtures, as the planner reads them."""
        rows = [
            (n, self.weights[i], s, e)
            for n in SMALL
            for i in picked
            for s, e in enumerate(self.errors[n][i])
        ]
        n, w, s, e = (np.array(c) for c in zip(*rows, strict=True))
        table = measurements.table(
            NAMES, samples=n, errors=e, weights=w, supply=[fashion.SHOWN] * 3, seeds=s, chance=0.9
        )
        return cells_.aggregate(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/fashion"))
    parser.add_argument("--cache", type=Path, default=Path("data/projektor"))
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("docs/projektor.svg"))
    args = parser.parse_args()
    start = time.process_time()
    data = fashion.load(args.data)
    grid = trained(data, args.cache)
    print(f"<!-- {time.process_time() - start:.0f} cpu s until the grid was there -->")
    geometries = {"labelled": geometry(data, labels=True), "label-free": geometry(data)}
    picks = {count: drawn(args.draws, count // 2) for count in COUNTS}
    predictors = accuracy(grid, geometries, picks)
    print(f"\n<!-- {time.process_time() - start:.0f} cpu s until all was predicted -->\n")
    selection(data, grid, predictors, args.cache)
    args.out.write_text(figure(grid, geometries["labelled"], picks[24][0]) + "\n", encoding="utf-8")
    print(f"\nwrote {args.out}; {time.process_time() - start:.0f} cpu s in all")


def trained(data: fashion.Data, cache: Path) -> Grid:
    """All cells at all sizes, trained once."""
    weights = simplex(10)
    errors = {}
    for size, seeds in SEEDS.items():
        shown = size != FULL
        errors[size], seconds = fashion.cached(
            cache / f"grid-{size}.npz",
            lambda n=size, s=seeds, r=shown: fashion.errors(data, weights, n, s, shown=r),
        )
        noise = errors[size].std(axis=1, ddof=1).mean()
        count = errors[size].size
        print(f"{size:6,} rows: {count} trainings in {seconds:.0f} cpu s, seed noise {noise:.4f}")
    return Grid(weights, errors)


def simplex(steps: int) -> Floats:
    """Every mixture of three sources in whole steps."""
    return (
        np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)])
        / steps
    )


def drawn(draws: int, mixtures: int) -> list[NDArray[np.int64]]:
    """Which cells are trained, at random."""
    cells = len(simplex(10))
    rngs = [seeding.generator(d, "projektor", "cells", mixtures) for d in range(draws)]
    return [rng.choice(cells, mixtures, replace=False) for rng in rngs]


def geometry(data: fashion.Data, *, labels: bool = False) -> projektor.Geometry:
    """Measures of what the sources show, over prototypes of all shown rows."""
    shown = [p[: fashion.SHOWN] for p in data.pools]
    x = np.concatenate([data.x[np.concatenate(shown)], data.target[0]])
    y = np.concatenate([data.labels[np.concatenate(shown)], data.target[1]])
    known = (lambda of: of) if labels else (lambda of: None)
    prototypes = projektor.Prototypes.fit(x, PROTOTYPES, labels=known(y))
    measure = projektor.Measure.of
    return projektor.Geometry(
        {
            name: measure(data.x[rows], prototypes, labels=known(data.labels[rows]))
            for name, rows in zip(NAMES, shown, strict=True)
        },
        measure(data.target[0], prototypes, labels=known(data.target[1])),
        prototypes.cost(between(data.target) if labels else None),
        known(prototypes.label),
    )


def accuracy(grid: Grid, geometries: dict, picks: dict) -> dict:
    """Prints the mean absolute error of every method; returns the predictors of each count."""
    methods = baselines(grid, geometries["labelled"])
    table: dict[str, list[float]] = {}
    predictors: dict[int, list] = {}
    shares: dict[int, list[Floats]] = {}
    for count in COUNTS:
        missed: dict[str, list[float]] = {}
        for picked in picks[count]:
            cells = grid.cells(picked)
            for name, method in methods.items():
                missed.setdefault(name, []).append(off(grid, method(picked, cells)))
            found, rest = ours(grid, geometries, cells)
            predictors.setdefault(count, []).append(found)
            shares.setdefault(count, []).append(found.average.shares)
            for name, predicted in rest.items():
                missed.setdefault(name, []).append(off(grid, predicted))
        for name, values in missed.items():
            table.setdefault(name, []).append(float(np.mean(values)))
    show(table)
    for count in COUNTS:
        print(
            f"{count} trainings: 90 % intervals cover {coverage(grid, predictors[count]):.3f}; "
            f"shares of the average, mean: {np.mean(shares[count], axis=0).round(2).tolist()}"
        )
    return predictors


def baselines(grid: Grid, known: projektor.Geometry) -> dict[str, Callable]:
    """Methods of the literature and our laws without transport: (picked, cells) to predictions."""
    cost, _ = known.distance(NAMES, grid.weights)

    def projected(form: regression.Form) -> Callable:
        columns = regression.design(form, grid.weights, cost)

        def predict(picked, cells):
            fits = [np.linalg.lstsq(columns[picked], grid.median(n)[picked])[0] for n in SMALL]
            return transport.project_scales(*(columns @ f for f in fits), *SMALL, FULL)

        return predict

    def fitted(law: type) -> Callable:
        return lambda picked, cells: full(grid, laws.fit(cells, law=law).law)

    named = {form: projected(form) for form in regression.FORMS}
    return named | {law.name: fitted(law) for law in laws.LAWS}


def ours(grid: Grid, geometries: dict, cells: cells_.Cells) -> tuple:
    """The predictor, and its parts alone."""
    found = projektor.Predictor.fit(cells, geometries["labelled"])
    alone = {e.name: e.fit.law for e in found.entries}
    regressions = [e.fit.law for e in found.entries if e.name not in choice.MEMBERS]
    free = laws.fit(cells, law=projektor.Coverage.over(geometries["label-free"])).law
    parts = {
        "best regression of the paper, with ridge": regressions[0],
        "Rational": alone["Rational"],
        "Coverage without labels": free,
        "Coverage": alone["Coverage"],
        "**ours: average**": found.average,
    }
    return found, {name: full(grid, law) for name, law in parts.items()}


def full(grid: Grid, law) -> Floats:
    return law.predict(grid.weights, FULL, np.full(3, fashion.ROWS))


def off(grid: Grid, predicted: Floats) -> float:
    """Mean absolute error in points."""
    return 100 * float(abs(predicted - grid.median(FULL)).mean())


def coverage(grid: Grid, found: list) -> float:
    """How many single trainings at full size lie in the interval of their mixture."""
    inside = []
    for predictor in found:
        low, high = predictor.interval(grid.weights, FULL, np.full(3, fashion.ROWS))
        errors = grid.errors[FULL]
        inside.append(((errors >= low[:, None]) & (errors <= high[:, None])).mean())
    return float(np.mean(inside))


def show(table: dict[str, list[float]]) -> None:
    print("\n| predictor | " + " | ".join(f"{c} trainings" for c in COUNTS) + " |")
    print("|---" * (1 + len(COUNTS)) + "|")
    for name, values in table.items():
        print(f"| {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    shares = [o / v for o, v in zip(table["**ours: average**"], table["linear"], strict=True)]
    print("| ours over linear | " + " | ".join(f"{s:.2f}" for s in shares) + " |")


def selection(data: fashion.Data, grid: Grid, predictors: dict, cache: Path) -> None:
    """Trains what is chosen at full size, and what it is held against, with fresh seeds."""
    supply = np.full(3, fashion.ROWS)
    best = grid.weights[grid.median(FULL).argmin()]
    named = {"best cell of the grid": best, "uniform": np.full(3, 1 / 3)}
    named["leave-one-out"] = left_out(data, cache)
    for count, draw in itertools.product(COUNTS, range(CHOSEN)):
        one = predictors[count][draw]
        named[f"ours, {count} trainings, draw {draw}"] = one.best_weights(FULL, supply)
    weights = np.array(list(named.values()))
    errors, _ = fashion.cached(
        cache / f"chosen-{seeding.digest(weights.round(6).tolist()).hex()[:8]}.npz",
        lambda: fashion.errors(data, weights, FULL, FRESH, shown=False),
    )
    print(f"| mixture at {FULL:,} | {' / '.join(NAMES)} | error, % | regret, points |")
    print("|---|---|---|---|")
    means, spread = 100 * errors.mean(1), 100 * errors.std(1, ddof=1) / len(FRESH) ** 0.5
    for name, w, e, s in zip(named, weights, means, spread, strict=True):
        shares = " / ".join(f"{100 * v:.0f}" for v in w)
        print(f"| {name} | {shares} | {e:.2f} ± {s:.2f} | {e - means[0]:+.2f} |")
    for i, count in enumerate(COUNTS):
        mine = means[3 + i * CHOSEN : 3 + (i + 1) * CHOSEN].mean()
        print(f"| ours, {count} trainings, mean | | {mine:.2f} | {mine - means[0]:+.2f} |")


def left_out(data: fashion.Data, cache: Path) -> Floats:
    """Weights in proportion to what leaving a source out costs at the larger small size."""
    without = (1 - np.eye(3)) / 2
    errors, _ = fashion.cached(
        cache / "left-out.npz",
        lambda: fashion.errors(
            data, np.array([np.full(3, 1 / 3), *without]), SMALL[1], range(5), shown=True
        ),
    )
    worth = np.maximum(np.median(errors[1:], axis=1) - np.median(errors[0]), 0)
    return worth / worth.sum()


def between(target: tuple[NDArray[np.float32], NDArray[np.int64]]) -> Floats:
    """Squared Wasserstein distances between the target's classes, of unit rows: as published."""
    x, y = linalg.unit(target[0]), target[1]
    return transport.label_cost(x, y, x, y).between


def figure(grid: Grid, known: projektor.Geometry, picked: NDArray[np.int64]) -> str:
    """Of the predictor from one draw of 24 trainings."""
    found = projektor.Predictor.fit(grid.cells(picked), known)
    supply = np.full(3, fashion.ROWS)
    low, high = found.interval(grid.weights, FULL, supply)
    best = found.best_weights(FULL, supply)
    measured = grid.median(FULL)
    return projektor_figure.draw(
        projektor_figure.Surface(
            names=NAMES,
            measured=measured,
            predicted=found.predict(grid.weights, FULL, supply),
            low=low,
            high=high,
            seen=np.isin(np.arange(len(measured)), picked),
            predict=lambda w: found.predict(w, FULL, supply),
            marks={"chosen": best, "best trained": grid.weights[measured.argmin()]},
            title=f"Error at {FULL:,} rows from {2 * len(picked)} trainings of "
            f"{SMALL[0]:,} and {SMALL[1]:,}: Fashion-MNIST in three sources",
        )
    )


if __name__ == "__main__":
    main()
