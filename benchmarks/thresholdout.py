"""The experiment of Dwork et al. (2015, Science 349:636): a holdout reused to choose features.

    python -m benchmarks.thresholdout [--rows 10000] [--repeats 4] [--seed 0]

Labels are random signs and so is their relation to every feature, but for `--signal` of them,
shifted by 6 / sqrt(rows) towards the label. An analyst keeps features whose correlation has the
same sign on both sets and is at least 1 / sqrt(rows) on each, takes the k with the largest
correlation on the training set, and votes by sign. Asked plainly, the holdout then flatters the
vote; asked through Thresholdout it does not. As many features as rows, k and signal in proportion
to them: the expected accuracies then depend on k / rows alone (a mean of k selected correlations,
each of order 1 / sqrt(rows), over its deviation of sqrt(k)). 1 GB and half a minute at full size.
"""

import argparse
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis.selectors import thresholdout

_COLUMNS = 500  # generated at a time


class Accuracy(NamedTuple):
    """Of one vote."""

    train: float
    holdout: float
    fresh: float


class Outcome(NamedTuple):
    """Both ways to ask."""

    standard: Accuracy
    guarded: Accuracy
    charged: int


def _features(rng: np.random.Generator, y: NDArray, columns: int, signal: int) -> NDArray:
    x = np.empty((columns, len(y)), np.float32)
    for start in range(0, columns, _COLUMNS):
        part = x[start : start + _COLUMNS]
        part[:] = rng.standard_normal(part.shape, np.float32)
    x[:signal] += np.float32(6 / math.sqrt(len(y))) * y
    return x


def _vote(x: NDArray, y: NDArray, signs: NDArray) -> float:
    return float(np.mean(np.sign(signs @ x) == y))


def trial(rng: np.random.Generator, *, rows: int, k: int, signal: int = 0) -> Outcome:
    """One experiment with as many features as rows."""
    y = rng.choice(np.array([-1, 1], np.float32), (3, rows))
    x = [_features(rng, y[i], rows, signal) for i in range(2)]
    train, holdout = (x[i] @ y[i] / rows for i in range(2))
    terms = thresholdout.practical(rows, budget=2 * rows)  # the published one is never spent
    state, answers = terms.start(rng), np.empty(rows)
    for i in range(rows):
        answers[i], state = terms.answer(state, float(train[i]), float(holdout[i]), rng)
    votes = []
    for seen in (holdout, answers):
        least = 1 / math.sqrt(rows)
        kept = (np.abs(train) >= least) & (np.abs(seen) >= least) & (train * seen > 0)
        order = np.argsort(np.where(kept, -np.abs(train), 0))[: min(k, int(kept.sum()))]
        signs = np.sign(train[order]).astype(np.float32)
        drawn = rng.standard_normal((len(order), rows), np.float32)
        drawn[order < signal] += np.float32(6 / math.sqrt(rows)) * y[2]
        sets = ((x[0][order], y[0]), (x[1][order], y[1]), (drawn, y[2]))
        votes.append(Accuracy(*(_vote(*part, signs) for part in sets)))
    answer, state = terms.answer(state, votes[1].train, votes[1].holdout, rng)
    return Outcome(votes[0], votes[1]._replace(holdout=answer), terms.budget - state.left)


def mean(outcomes: list[Outcome]) -> tuple[NDArray, NDArray]:
    """Mean accuracies (train, holdout, fresh): plain, then guarded."""
    plain, guarded = (np.mean([o[i] for o in outcomes], axis=0) for i in range(2))
    return plain, guarded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    part = args.rows / 10_000
    print(f"{args.rows:,} rows and features, {args.repeats} repeats; train / holdout / fresh")
    for signal, k in ((0, 500), (20, 20), (20, 500)):
        sizes = {"rows": args.rows, "k": round(k * part), "signal": round(signal * part)}
        rngs = [np.random.default_rng([args.seed, signal, k, i]) for i in range(args.repeats)]
        found = [trial(rng, **sizes) for rng in rngs]
        plain, guarded = (" ".join(f"{a:.3f}" for a in m) for m in mean(found))
        charged = np.mean([o.charged for o in found])
        print(
            f"signal {sizes['signal']:>3}, k {sizes['k']:>4}: plain {plain}   "
            f"Thresholdout {guarded}   {charged:.0f} answers charged"
        )


if __name__ == "__main__":
    main()
