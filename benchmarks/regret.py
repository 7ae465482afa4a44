"""The demo planner's regret, by training everything: `python -m benchmarks.regret [--json FILE]`.

Regret is the error of the plan's choice minus that of the best allocation on a grid over the four
sources, step 0.1, all of it really trained at the full budget, for plans whose pilots had at most a
quarter and a sixteenth of the budget. Three passes with seeds of their own, against the winner's
curse: every grid point is trained with few seeds, the best 24 again, and the best of those (over
both passes) is measured beside the choices with fresh seeds, from which the table is made.

What the grid's optimum would be with endless seeds is not known; the one found is unbiased, and may
be a little worse. Target and pilots are those of the demo, so this is regret on that target.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import demo, runfile
from tamis.pilots import design, linear_probe
from tamis.pipelines import chain, plan, pool, rank, session, strata

FRACTIONS = (1 / 4, 1 / 16)
STEP = 0.1
FINALISTS = 24
COSTS = (80_000_000, 40_000_000, 20_000_000)  # samples trained in each pass, per budget
SEEDS = (1, 300)
FIRST_SEED = (1_000, 2_000, 3_000)  # of each pass; pilots' and checks' are smaller

Floats = NDArray[np.float64]


class Material(NamedTuple):
    """What a training needs.

    Attributes:
      names: Of the sources.
      supply: Rows of each.
      pools: Row numbers of each.
      train: Rows and labels.
      target: Rows and labels.
      options: Of `linear_probe.measure`.
    """

    names: tuple[str, ...]
    supply: tuple[int, ...]
    pools: list[NDArray[np.int64]]
    train: tuple[NDArray, NDArray]
    target: tuple[NDArray, NDArray]
    options: dict

    def errors(self, shares: Floats, samples: int, count: int, first: int) -> Floats:
        """Shape (len(shares), count)."""
        runs = [
            design.Run(tuple(w), samples, self.supply, first + s)
            for w in shares.tolist()
            for s in range(count)
        ]
        found = linear_probe.measure(runs, self.pools, self.train, self.target, **self.options)
        return found.reshape(len(shares), count)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    start = time.perf_counter()
    material, choices = prepare()
    print(f"<!-- plans made in {time.perf_counter() - start:.0f} s -->")
    names = [f"1/{round(1 / f)}" for f in FRACTIONS]
    columns = "".join(f" {n} chose | regret |" for n in names)
    print(f"| samples | grid's best | its error |{columns}")
    print("|" + "---|" * (3 + 2 * len(names)))
    table = []
    for samples in sorted(choices):
        row = regret(material, samples, choices[samples])
        table.append(row)
        best = f"{shown(row['best'])} | {row['error']:.4f} ± {row['standard_error']:.4f}"
        chosen = [
            f"{shown(c)} | {r:+.4f} ± {s:.4f}"
            for c, r, s in zip(row["choices"], row["regret"], row["uncertainty"], strict=True)
        ]
        print(f"| {samples:,} | {best} | {' | '.join(chosen)} |", flush=True)
    seconds = time.perf_counter() - start
    print(f"\nShares of {', '.join(material.names)} in percent; {seconds:.0f} s in all.")
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


def prepare() -> tuple[Material, dict[int, Floats]]:
    """Run the demo up to its plan once per fraction; the choices are (fractions, k) by budget."""
    demo.fetch(Path("data/vader"))
    document = runfile.load("examples/sentiment.yaml").model_copy(update={"run": "runs/regret"})
    until = tuple(itertools.takewhile(lambda s: s != "select", chain.STAGES))
    plans = []
    for fraction in FRACTIONS:
        pilot = document.pilot.model_copy(update={"max_fraction": fraction})
        with chain.opened(document.model_copy(update={"pilot": pilot}), redo=True) as run:
            chain.proceed(run, until)
            plans.append(plan.read(run))
            material = gather(run)
    choices = {
        budgets[0].samples: np.array([shares(material.names, b) for b in budgets])
        for budgets in zip(*(p.budgets for p in plans), strict=True)
    }
    return material, choices


def gather(run: session.Session) -> Material:
    """All rows of all sources."""
    cells, names = strata.find(run), pool.classes(run)
    order = rank.Order(cells, run.seed, ("benchmark",))
    everyone = np.array(cells.supply)[:, None]
    cut = rank.cut(run, "benchmark", order, everyone, run.cut("supply"))
    rows = pool.gather(run, "benchmark", pool.First(cut), cells, names)
    pools = [np.flatnonzero(rows.stratum == i) for i in range(len(cells.cells))]
    options = {
        "seed": run.seed,
        "classes": len(names),
        "learning_rate": run.config.pilot.learning_rate,
        "batch": run.config.pilot.batch,
    }
    train, target = (np.array(rows.x), rows.labels), pool.target(run, names)
    return Material(tuple(cells.names), tuple(cells.supply), pools, train, target, options)


def shares(names: Sequence[str], budget) -> list[float]:
    """What the plan gives each source, in their order."""
    quota = {a.stratum: a.quota for a in budget.allocation}
    return [quota.get(name, 0) / budget.samples for name in names]


def simplex(k: int, step: float) -> Floats:
    """Every mixture of k sources in whole steps."""
    n = round(1 / step)
    bars = np.array(list(itertools.combinations(range(n + k - 1), k - 1)))
    edges = np.c_[np.full(len(bars), -1), bars, np.full(len(bars), n + k - 1)]
    return (np.diff(edges) - 1) / n


def regret(material: Material, samples: int, choices: Floats) -> dict:
    """One row of the table."""
    grid = simplex(len(material.names), STEP)
    first = measured(material, grid, samples, 0)
    finalists = np.argsort(first.mean(1), kind="stable")[:FINALISTS]
    second = measured(material, grid[finalists], samples, 1)
    both = np.concatenate([first[finalists], second], axis=1).mean(1)
    best = grid[finalists[both.argmin()]]
    last = measured(material, np.array([best, *choices]), samples, 2)
    means, own = last.mean(1), last.std(1, ddof=1) / np.sqrt(last.shape[1])
    return {
        "samples": samples,
        "best": best.tolist(),
        "error": means[0],
        "standard_error": own[0],
        "choices": choices.tolist(),
        "regret": (means[1:] - means[0]).tolist(),
        "uncertainty": np.hypot(own[1:], own[0]).tolist(),
        "seeds": [first.shape[1], second.shape[1], last.shape[1]],
    }


def measured(material: Material, allocations: Floats, samples: int, stage: int) -> Floats:
    """As many seeds as the pass can pay for."""
    count = int(np.clip(COSTS[stage] // (len(allocations) * samples), *SEEDS))
    return material.errors(allocations, samples, count, FIRST_SEED[stage])


def shown(weights: Sequence[float]) -> str:
    return "/".join(f"{100 * w:.0f}" for w in weights)


if __name__ == "__main__":
    main()
