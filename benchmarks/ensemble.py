"""One law or several? `python -m benchmarks.ensemble [--worlds N] [--measurements FILE ...]`.

Each length of some measurements in turn is the future: laws are fitted to runs of at most a quarter
of it, choose or weigh themselves by what they predicted of the longest of those, and predict every
mixture at the future length with full supply. Printed is the root mean squared error of

  first     the first in the order of `competition.LAWS` that the least does not
            beat by two standard errors (what the planner did before)
  least     the law with the least held-out error
  stacked   weights on the simplex with the least held-out squared error (Breiman 1996)
  akaike    weights exp(-n/2 (mse / least mse - 1)), pseudo-BMA (Yao et al. 2018)
  mixture   the same on left-out mixtures
  both      on held-out lengths and left-out mixtures; /2, /5: with so much less confidence
  equal     the plain mean of the laws that are not clearly beaten
  planner   what `competition.predictors` does

Worlds are simulated: a law with parameters drawn from its prior and supplies log-uniform, or the
mean of two such (which none of the three laws is), with the default pilots and a noise of 0.01.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy import optimize

from tamis import errors, seeding
from tamis.pilots import design
from tamis.schemas import measurements
from tamis.selectors import laws
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import competition

BUDGETS = (1_000, 8_000, 64_000)
NOISE = 0.01
KINDS = (
    (laws.SignalNoise,),
    (laws.RepetitionUtility,),
    (laws.Power,),
    (laws.SignalNoise, laws.RepetitionUtility),
)


def least(entries: list[laws.Entry]) -> np.ndarray:
    return np.eye(len(entries))[np.argmin([e.held_out_error for e in entries])]


def stacked(entries: list[laws.Entry]) -> np.ndarray:
    """Least squares on the simplex: non-negative, with a heavy row for the sum."""
    misses = np.array([e.held_out for e in entries]).T
    heavy = 1e3 * max(abs(misses).max(), 1e-9)
    rows = np.vstack([misses, np.full(misses.shape[1], heavy)])
    found = optimize.nnls(rows, np.append(np.zeros(len(misses)), heavy))[0]
    return found / found.sum()


def akaike(entries: list[laws.Entry], *kinds: str, temper: float = 1.0) -> np.ndarray:
    """Of held-out misses, of left-out mixtures, or of both."""
    penalty = np.zeros(len(entries))
    for kind in kinds:
        mse = np.array([np.mean(getattr(e, kind) ** 2) for e in entries])
        count = min(getattr(entries[0], k).size for k in kinds)
        penalty += temper * count / 2 * (mse / mse.min() - 1)
    w = np.exp(penalty.min() - penalty)
    return w / w.sum()


def equal(entries: list[laws.Entry]) -> np.ndarray:
    best = min(entries, key=lambda e: e.held_out_error)
    w = np.array([not beaten(e, best) for e in entries], float)
    return w / w.sum()


def first(entries: list[laws.Entry]) -> np.ndarray:
    best = min(entries, key=lambda e: e.held_out_error)
    names = [law.name for law in competition.LAWS]
    kept = [i for i, e in enumerate(entries) if not beaten(e, best)]
    return np.eye(len(entries))[min(kept, key=lambda i: names.index(entries[i].name))]


def beaten(entry: laws.Entry, best: laws.Entry) -> bool:
    """By more than two standard errors of the difference of squared misses."""
    worse = entry.held_out**2 - best.held_out**2
    return worse.mean() > 2 * worse.std(ddof=1) / np.sqrt(worse.size)


def planner(entries: list[laws.Entry]) -> np.ndarray:
    weight = {e.name: w for e, w in competition.predictors(entries)}
    return np.array([weight.get(e.name, 0.0) for e in entries])


RULES: dict[str, Callable[[list[laws.Entry]], np.ndarray]] = {
    "first": first,
    "least": least,
    "stacked": stacked,
    "akaike": lambda entries: akaike(entries, "held_out"),
    "mixture": lambda entries: akaike(entries, "left_out"),
    "both": lambda entries: akaike(entries, "held_out", "left_out"),
    "both/2": lambda entries: akaike(entries, "held_out", "left_out", temper=0.5),
    "both/5": lambda entries: akaike(entries, "held_out", "left_out", temper=0.2),
    "equal": equal,
    "planner": planner,
}


def futures(cells: cells_.Cells) -> Iterator[tuple[int, dict[str, float], bool]]:
    """Length, error of each rule, and whether one law clearly won."""
    whole = (cells.supply == cells.supply.max(0)).all(1)
    for length in np.unique(cells.samples).astype(int):
        past = cells.samples <= length / 4
        if len(np.unique(cells.samples[past])) < 3:
            continue
        try:
            entries = laws.compete(cells.where(past))
        except errors.PlanError:
            continue
        if entries[0].held_out.size < 3:
            continue
        seen = cells.where((cells.samples == length) & whole)
        found = [e.fit.law.predict(seen.weights, seen.samples, seen.supply) for e in entries]
        missed = {
            name: float(np.sqrt(np.mean((rule(entries) @ np.array(found) - seen.error) ** 2)))
            for name, rule in RULES.items()
        }
        yield length, missed, equal(entries).max() == 1


def world(number: int, kinds: tuple[type[laws.Law], ...]) -> cells_.Cells:
    """Simulated measurements of three strata."""
    rng = seeding.generator(number, "world", *(k.name for k in kinds))
    supply = np.exp(rng.uniform(np.log(200), np.log(20_000), 3)).astype(int)
    runs = design.runs(supply.tolist(), BUDGETS, max_cost=3_000_000, max_fraction=1.0)
    w, n, m = (np.array([getattr(r, a) for r in runs]) for a in ("weights", "samples", "supply"))
    names, one = ("a", "b", "c"), np.ones(len(n))
    blank = cells_.Cells(names, 0.5, w, n * one, m * 1.0, one, one, one, replicated=True)
    for draw in itertools.count():
        own = seeding.generator(number, "truth", draw)
        truth = np.mean([_drawn(kind, blank, own).predict(w, n, m) for kind in kinds], axis=0)
        if truth.max() < 0.55 and np.ptp(truth) > 0.05:  # else no classifier's errors
            break
    error = np.abs(truth + NOISE * rng.standard_normal(len(n)))
    seeds = [r.seed for r in runs]
    return cells_.aggregate(
        measurements.table(names, samples=n, errors=error, weights=w, supply=m, seeds=seeds)
    )


def _drawn(kind: type[laws.Law], cells: cells_.Cells, rng: np.random.Generator) -> laws.Law:
    prior = kind.prior(cells)
    vector = prior.mean + 0.7 * prior.scale * rng.standard_normal(len(prior.mean))
    return kind.from_vector(vector, cells)


def table(title: str, rows: list[tuple[int, dict[str, float], bool]]) -> None:
    print(f"\n| {title} | {' | '.join(RULES)} | one law wins |")
    print("|" + "---|" * (len(RULES) + 2))
    lengths = sorted({length for length, *_ in rows})
    for length in [*lengths, 0] if len(lengths) > 1 else lengths:
        own = [r for r in rows if length in (0, r[0])]
        means = [np.sqrt(np.mean([m[rule] ** 2 for _, m, _ in own])) for rule in RULES]
        clear = np.mean([c for *_, c in own])
        cells = " | ".join(f"{v:.4f}" for v in means)
        print(f"| {f'{length:,}' if length else 'all'} | {cells} | {clear:.0%} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=12, help="of each kind")
    parser.add_argument("--measurements", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    for path in args.measurements:
        table(path.parts[-3], list(futures(cells_.aggregate(measurements.read(path)))))
    for kinds in KINDS:
        found = [r for i in range(args.worlds) for r in futures(world(i, kinds))]
        table(" and ".join(k.name for k in kinds), found)


if __name__ == "__main__":
    main()
