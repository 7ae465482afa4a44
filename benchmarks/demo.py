"""The demo's question, answered by training everything: `python -m benchmarks.demo`.

Trains the five obvious allocations (each source alone, all in equal shares) at every budget on the
demo's split, and sets the plan's choice beside them. The choice saw only pilots of at most a
quarter of the budget; the five columns are trained at the full budget.
"""

from pathlib import Path

import numpy as np

from tamis import demo, runfile
from tamis.pilots import design, linear_probe
from tamis.pipelines import chain, check, plan, pool, rank, strata

SEEDS = 10


def main() -> None:
    """Print the table."""
    document = runfile.load("examples/sentiment.yaml")
    demo.fetch(Path("data/vader"))
    with chain.opened(document, redo=True) as run:
        chain.proceed(run)
        cells, names = strata.find(run), pool.classes(run)
        order = rank.Order(cells, run.seed, ("benchmark",))
        everyone = np.array(cells.supply)[:, None]
        cut = rank.cut(run, "benchmark", order, everyone, run.cut("supply"))
        rows = pool.gather(run, "benchmark", pool.First(cut), cells, names)
        target = pool.target(run, names)
        made, checked = plan.read(run), check.read(run)
    pools = [np.flatnonzero(rows.stratum == i) for i in range(len(cells.cells))]
    shares = [*np.eye(len(pools)).tolist(), [1 / len(pools)] * len(pools)]
    columns = [*(f"{name} only" for name in cells.names), "equal shares"]
    print(f"| samples | {' | '.join(columns)} | random | **tamis** | predicted |")
    print("|" + "---|" * (len(columns) + 4))
    for budget, trained in zip(made.budgets, checked.budgets, strict=True):
        runs = [
            design.Run(tuple(w), budget.samples, cells.supply, seed)
            for w in shares
            for seed in range(SEEDS)
        ]
        found = linear_probe.measure(
            runs,
            pools,
            (rows.x, rows.labels),
            target,
            seed=run.seed,
            classes=len(names),
            learning_rate=run.config.pilot.learning_rate,
            batch=run.config.pilot.batch,
        ).reshape(len(shares), SEEDS)
        means = found.mean(axis=1)
        cells_ = [f"{m:.3f}" for m in means]
        best = int(means.argmin())
        error = found[best].std(ddof=1) / np.sqrt(SEEDS)
        chosen = trained.chosen
        spread = np.hypot(error, chosen.standard_error or 0)
        low, high = budget.interval
        print(
            f"| {budget.samples:,} | {' | '.join(cells_)} | {trained.random.error:.3f} "
            f"| **{chosen.error:.3f}** | {budget.predicted_error:.3f} [{low:.3f}, {high:.3f}] |"
            f"  <!-- best column {means[best]:.4f}, choice {chosen.error - means[best]:+.4f} "
            f"± {spread:.4f} -->"
        )


if __name__ == "__main__":
    main()
