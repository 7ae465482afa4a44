"""Which law predicts larger runs on repeated data? Fit on the cheap ones, predict the dear ones.

    python -m benchmarks.repetition [--data DIR]

Runs: `repetition_runs_small.csv` (huggingface/datablations, Apache-2.0). All laws are fitted to the
same runs by the same code: Huber on log loss, delta = 1e-3, from a grid of starts.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from pyarrow import csv
from scipy import stats

from tamis.selectors.laws import huber
from tamis.selectors.laws.chinchilla import Chinchilla
from tamis.selectors.laws.data_constrained import DataConstrained
from tamis.selectors.laws.info_law import InfoLaw
from tamis.selectors.laws.memorisation import Memorisation
from tamis.selectors.laws.mixture_repetition import MixtureRepetition
from tamis.selectors.laws.runs import Runs

FILE = "repetition_runs_small.csv"
CUTOFF = 3e19  # FLOPs, 6 N D
MANY = 100  # epochs
PUBLISHED, OURS = "published", "Memorisation (ours)"

Predict = Callable[[Runs], NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    runs = load(parser.parse_args().data / FILE)
    print(f"fitted below {CUTOFF:g} FLOPs, tested above\n")
    print(f"{'':24}{'all runs':^18}{f'under {MANY} epochs':^18}")
    print(f"{'law':24}{'log-RMSE':>9}{'Spearman':>9}{'log-RMSE':>9}{'Spearman':>9}{'fit s':>9}")
    for name, law in laws().items():
        started = perf_counter()
        fitted = law(runs.where(runs.flops < CUTOFF))
        seconds = perf_counter() - started
        held = runs.where(runs.flops >= CUTOFF)
        cells = [*scores(fitted, held), *scores(fitted, held.where(held.epochs < MANY))]
        print(f"{name:24}" + "".join(f"{c:9.3f}" for c in cells) + f"{seconds:9.2f}")
    print_splits(runs)


def laws() -> Mapping[str, Callable[[Runs], Predict]]:
    """Each as a function from runs to what predicts runs."""
    published = DataConstrained()
    early = Chinchilla(published.E, published.A, published.B, published.alpha, published.beta)
    return {
        "Chinchilla": _chinchilla,
        "InfoLaw, one bucket": _info_law,
        "Sedova, target only": _sedova,
        "published, R* only": lambda runs: _of(
            DataConstrained.fit(runs, frozen=early, resamples=0)
        ),
        PUBLISHED: lambda runs: _of(DataConstrained.fit(runs, resamples=0)),
        OURS: lambda runs: _of(Memorisation.fit(runs, resamples=0)),
    }


def _of(found: huber.Fit) -> Predict:
    return lambda runs: found.law.predict(
        params=runs.params, tokens=runs.tokens, unique=runs.unique
    )


def _chinchilla(runs: Runs) -> Predict:
    law = Chinchilla.fit(runs, resamples=0).law
    return lambda held: law.predict(params=held.params, tokens=held.tokens)


def _sedova(runs: Runs) -> Predict:
    law = MixtureRepetition.fit(table(runs) | {"share": np.ones(len(runs))}).law
    return lambda held: law.predict(
        params=held.params, tokens=held.tokens, unique=held.unique, share=1.0
    )


def _info_law(runs: Runs) -> Predict:
    weights = np.ones((len(runs), 1))
    law = InfoLaw.fit(table(runs) | {"weights": weights}, shares=(1.0,), unit=1e6).law
    return lambda held: law.predict(
        params=held.params, tokens=held.tokens, unique=held.unique, weights=np.ones((len(held), 1))
    )


def table(runs: Runs) -> dict[str, NDArray[np.float64]]:
    return {
        "params": runs.params,
        "tokens": runs.tokens,
        "unique_tokens": runs.unique,
        "loss": runs.loss,
    }


def splits(runs: Runs) -> dict[str, NDArray[np.bool_]]:
    """What is fitted; the rest, larger in one way or another, is predicted."""
    below = {
        f"below {edge:.2g} {unit}": values < edge
        for unit, values, edges in (
            ("FLOPs", runs.flops, (3e18, 1e19, 2e19, 3e19, 5e19, 1e20, 2e20)),
            ("params", runs.params, (2.5e8, 6e8, 1e9, 1.3e9, 2.5e9)),
            ("tokens", runs.tokens, (5e9, 1e10, 2e10, 5e10, 9e10, 1.7e11)),
            ("epochs", runs.epochs, (20, 40, 80, 160, 400)),
        )
        for edge in edges
    }
    rows = {
        "without U = 4e8": runs.unique != 4e8,
        "U below 1e9": runs.unique < 1e9,
        "U to 4e8, below 3e19": (runs.unique <= 4e8) & (runs.flops < CUTOFF),
        "U above 1e8": runs.unique > 1e8,
        "everything (in sample)": runs.flops > 0,
    }
    return below | rows


def print_splits(runs: Runs) -> None:
    """Log-RMSE of every law on every split, and ours over the published law's."""
    fitters = laws()
    print("\nlog-RMSE of what was held out\n")
    heads = [f"{name.split(', ')[-1][:12]:>14}" for name in fitters]
    print(f"{'fitted on':24}{'runs':>6}{'held':>6}" + "".join(heads) + f"{'ratio':>8}")
    ratios = []
    for name, mask in splits(runs).items():
        held = runs.where(~mask if (~mask).any() else mask)
        errors = {law: scores(fit(runs.where(mask)), held)[0] for law, fit in fitters.items()}
        ratio = errors[OURS] / errors[PUBLISHED]
        if not mask.all():
            ratios.append(ratio)
        line = f"{name:24}{mask.sum():6}{len(held):6}"
        print(line + "".join(f"{e:14.3f}" for e in errors.values()) + f"{ratio:8.2f}", flush=True)
    mean = np.exp(np.mean(np.log(ratios)))
    print(f"ratio of {len(ratios)} splits: geometric mean {mean:.2f}, worst {max(ratios):.2f}")


def scores(predict: Predict, runs: Runs) -> tuple[float, float]:
    """Log-RMSE and Spearman's rank correlation."""
    predicted = predict(runs)
    miss = np.log(np.maximum(predicted, 1e-9) / runs.loss)
    return float(np.sqrt(np.mean(miss**2))), float(stats.spearmanr(predicted, runs.loss)[0])


def load(path: Path) -> Runs:
    table = csv.read_csv(path)
    return Runs.of(table.rename_columns(["params", "tokens", "unique_tokens", "loss"]))


if __name__ == "__main__":
    main()
