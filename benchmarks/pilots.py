"""Which pilots, when few can be paid? `python -m benchmarks.pilots [--prices N,N] [--repeats R]`.

The demo planned from pilots that cost a given number of samples in all, by the default grid and by
the optimal design at the same price, several times with other seeds. Every choice is trained at the
full budget with many seeds. Printed is its mean error minus that of the best choice of the table,
and below it the mean miss of its prediction. A plan whose budget has no pilot short enough is said
to be none.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

from benchmarks import regret
from tamis import demo, errors, runfile
from tamis.pilots import design, linear_probe, optimal
from tamis.pipelines import chain, strata, trainers
from tamis.schemas import measurements
from tamis.selectors import allocation

DESIGNS = ("grid", "optimal")
COST = 2_000_000  # samples trained to measure each choice
SEEDS = (4, 60)
FIRST_SEED = 5_000


def prepare():
    """Run the demo up to its tiers."""
    demo.fetch(Path("data/vader"))
    document = runfile.load("examples/sentiment.yaml").model_copy(update={"run": "runs/pilots"})
    until = tuple(itertools.takewhile(lambda s: s != "pilot", chain.STAGES))
    with chain.opened(document) as run:
        chain.proceed(run, until)
        return run.config.plan.budgets, strata.find(run).cells, regret.gather(run)


def designed(kind, material, budgets, chance, price):
    if kind == "grid":
        return design.runs(material.supply, budgets, max_cost=price)
    return optimal.planned(material.supply, budgets, chance, max_cost=price)


def planned(kind, material, cells, budgets, price, repeat):
    """Choice and prediction by budget."""
    chance = trainers.guessing(material.target[1])
    runs = designed(kind, material, budgets, chance, price)
    options = {**material.options, "seed": 100 + repeat}
    found = linear_probe.measure(runs, material.pools, material.train, material.target, **options)
    table = measurements.table(
        material.names,
        samples=[r.samples for r in runs],
        errors=found,
        weights=[r.weights for r in runs],
        supply=[r.supply for r in runs],
        seeds=[r.seed for r in runs],
        chance=chance,
    )
    made = {}
    for budget in budgets:
        try:
            (made[budget],) = allocation.plan(table, cells, [budget], seed=repeat).budgets
        except errors.PlanError:
            continue
    return {b: (regret.shares(material.names, p), p.predicted_error) for b, p in made.items()}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prices", default="20000,60000,200000,1000000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most", type=int, default=32_000, help="largest budget of the demo")
    args = parser.parse_args()
    budgets, cells, material = prepare()
    budgets = [b for b in budgets if b <= args.most]
    print(f"| pilots cost | design | {' | '.join(f'{b:,}' for b in budgets)} |")
    print("|" + "---|" * (2 + len(budgets)))
    for price in (int(p) for p in args.prices.split(",")):
        choices = {
            (kind, r): planned(kind, material, cells, budgets, price, r)
            for kind in DESIGNS
            for r in range(args.repeats)
        }
        columns = [compared(material, b, choices, args.repeats) for b in budgets]
        for i, kind in enumerate(DESIGNS):
            print(f"| {price:,} | {kind} | {' | '.join(c[i] for c in columns)} |", flush=True)


def compared(material, budget, choices, repeats):
    """One cell for each design: error above the best choice, and miss of the prediction."""
    there = {key: made[budget] for key, made in choices.items() if budget in made}
    if not there:
        return ["none"] * len(DESIGNS)
    count = int(np.clip(COST // (len(there) * budget), *SEEDS))
    shares = np.array([w for w, _ in there.values()])
    measured = material.errors(shares, budget, count, FIRST_SEED).mean(1)
    value = dict(zip(there, measured, strict=True))
    said = []
    for kind in DESIGNS:
        own = [(value[kind, r], there[kind, r][1]) for r in range(repeats) if (kind, r) in there]
        if not own:
            said.append("none")
            continue
        error, predicted = np.array(own).T
        spread = error.std(ddof=1) / np.sqrt(len(error)) if len(error) > 1 else float("nan")
        miss = abs(predicted - error).mean()
        said.append(f"{error.mean() - measured.min():+.4f} ± {spread:.4f}, {miss:.3f}")
    return said


if __name__ == "__main__":
    main()
