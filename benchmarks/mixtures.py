"""Predict the loss of unseen mixtures from few runs: plain rivals and ours on RegMix's runs.

    python -m benchmarks.mixtures [--data ../shared/data] [--subsets 10] [--target pile_cc] [--mean]

Reads the 512 + 256 runs of a 1M-parameter model over 17 domains that Liu et al. (2024) published
(sail-sg/regmix). Prints Spearman on the 256 test mixtures from the first n training runs and, after
the slash, the mean over random subsets of n and its standard error; for the target's loss and, if
asked, for the mean of all losses (ours: one regression per loss, averaged). The plain process is
scikit-learn's on square roots of the weights. LightGBM, an optional import, has RegMix's settings
(gbdt, 1000 rounds at 0.01), with its published early stopping on the test set ("stopped") or none.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn import exceptions, gaussian_process
from sklearn.gaussian_process import kernels

from tamis import seeding
from tamis.selectors.laws import mixture_regression

try:
    import lightgbm
except ImportError:
    lightgbm = None

SIZES = (32, 64, 128, 256, 512)
Floats = NDArray[np.float64]


class Runs(NamedTuple):
    """Of one split.

    Attributes:
      weights: Shape (n, 17).
      losses: Shape (n, 13).
      names: Of the losses.
    """

    weights: Floats
    losses: Floats
    names: list[str]


Predictor = Callable[[Floats, Floats, Runs, list[int]], Floats]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--subsets", type=int, default=10)
    parser.add_argument("--target", default="pile_cc", help="part of the loss's name")
    parser.add_argument("--mean", action="store_true", help="also rank by the mean of all losses")
    args = parser.parse_args()
    train, test = read(args.data, "train"), read(args.data, "test")
    (column,) = [i for i, name in enumerate(train.names) if args.target in name]
    print(f"{'loss':<8} {'predictor':<18}" + "".join(f"{n:>22}" for n in SIZES))
    every = [("mean", list(range(len(train.names))))] if args.mean else []
    for label, pick in [(args.target, [column]), *every]:
        for name, predictor in predictors().items():
            row(f"{label:<8} {name:<18}", predictor, train, test, pick, args.subsets)
        row(f"{label:<8} {'ours':<18}", ours, train, test, pick, args.subsets)
    coverage(train, test)


def read(folder: Path, split: str) -> Runs:
    """One split's runs, in the published order."""
    _, weights = table(folder / f"regmix_{split}_mixture_1m.csv")
    names, losses = table(folder / f"regmix_{split}_loss_1m.csv")
    return Runs(weights, losses, names)


def table(path: Path) -> tuple[list[str], Floats]:
    """Column names and values, without the index."""
    with path.open() as file:
        head, *rows = csv.reader(file)
    return head[1:], np.array(rows, np.float64)[:, 1:]


def predictors() -> dict[str, Predictor]:
    """The rivals; each regresses the (mean of the) losses directly."""
    found: dict[str, Predictor] = {"linear": linear, "plain process": plain}
    if lightgbm is not None:
        found |= {"LightGBM": boosted, "LightGBM stopped": stopped}
    return found


def row(
    label: str, predictor: Callable, train: Runs, test: Runs, pick: list[int], subsets: int
) -> None:
    cells = []
    for n in SIZES:
        sets = [np.arange(n)] + [
            seeding.generator(0, "mixtures", n, s).permutation(SIZES[-1])[:n]
            for s in range(subsets if n < SIZES[-1] else 0)
        ]
        rho = [
            spearman(
                predictor(train.weights[s], train.losses[s][:, pick], test, pick),
                test.losses[:, pick].mean(1),
            )
            for s in sets
        ]
        cells.append(f"{rho[0]:.4f}" + (f" / {_mean(rho[1:])}" if rho[2:] else ""))
    print(label + "".join(f"{c:>22}" for c in cells), flush=True)


def _mean(rho: list[float]) -> str:
    return f"{np.mean(rho):.4f} ±{np.std(rho, ddof=1) / np.sqrt(len(rho)):.4f}"


def spearman(predicted: Floats, loss: Floats) -> float:
    """0 for one value everywhere, as LightGBM's from 32 runs (20 to a leaf, so no split)."""
    return float(stats.spearmanr(predicted, loss)[0]) if np.ptp(predicted) else 0.0


def linear(weights: Floats, losses: Floats, test: Runs, pick: list[int]) -> Floats:
    coefficient, *_ = np.linalg.lstsq(np.c_[np.ones(len(weights)), weights], losses.mean(1))
    return np.c_[np.ones(len(test.weights)), test.weights] @ coefficient


def plain(weights: Floats, losses: Floats, test: Runs, pick: list[int]) -> Floats:
    """Matern 5/2 with a length for each domain and white noise; a domain may have no effect."""
    matern = kernels.Matern(np.ones(weights.shape[1]), (1e-2, 1e3), nu=2.5)
    kernel = kernels.ConstantKernel() * matern + kernels.WhiteKernel(1e-2)
    process = gaussian_process.GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)  # a length at its bound
        process.fit(np.sqrt(weights), losses.mean(1))
    return process.predict(np.sqrt(test.weights))


def boosted(weights: Floats, losses: Floats, test: Runs, pick: list[int]) -> Floats:
    return booster().fit(weights, losses.mean(1)).predict(test.weights)


def stopped(weights: Floats, losses: Floats, test: Runs, pick: list[int]) -> Floats:
    """As published: the test set chooses the number of trees, which flatters it."""
    model = booster().fit(
        weights,
        losses.mean(1),
        eval_set=[(test.weights, test.losses[:, pick].mean(1))],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    return model.predict(test.weights)


def booster():
    return lightgbm.LGBMRegressor(
        boosting_type="gbdt",
        n_estimators=1000,
        learning_rate=0.01,
        random_state=42,
        metric="l2",
        n_jobs=1,
        verbose=-1,
    )


def ours(weights: Floats, losses: Floats, test: Runs, pick: list[int]) -> Floats:
    fits = [mixture_regression.MixtureRegression.fit(weights, loss) for loss in losses.T]
    return np.mean([f.predict(test.weights) for f in fits], axis=0)


def coverage(train: Runs, test: Runs) -> None:
    """Share of all test losses inside 90 % intervals, and processor seconds per fit."""
    for n in SIZES:
        inside, start = [], time.process_time()
        for j in range(len(train.names)):
            fit = mixture_regression.MixtureRegression.fit(train.weights[:n], train.losses[:n, j])
            low, high = fit.interval(test.weights)
            inside.append(((low <= test.losses[:, j]) & (test.losses[:, j] <= high)).mean())
        seconds = (time.process_time() - start) / len(inside)
        print(f"{n:>4} runs: 90 % intervals cover {np.mean(inside):.3f}, {seconds:.2f} s a fit")


if __name__ == "__main__":
    main()
