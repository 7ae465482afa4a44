"""Fitting one pool against the published random grid search: `python -m benchmarks.fit_speed`.

Goyal et al. (2024, code: locuslab/scaling_laws_data_filtering) try 100,000 random points of a grid
of 100 values each of a, b and tau, d given, and keep the least sum of squared misses at 2, 4, 6, 8
and 10 epochs. Written anew here, one combination and one run at a time, numpy over epochs as they
have it, without their progress bar; beside it, the same loop in plain Python floats, which is
faster for so few epochs. Processor seconds, so that a busy machine does not matter.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tamis.selectors import laws
from tamis.selectors.laws import single_pool

POOL = 12_800_000
EPOCHS = np.arange(2, 11, 2)
D = 0.1
A_UPPER = 0.2  # their default
COMBINATIONS = 100_000
TRUTH = laws.RepetitionUtility((-0.131,), (3.0,), 0.022, D, irreducible="inside")

Floats = NDArray[np.float64]
Objective = Callable[[float, tuple[float, float, float], int], float]


def main() -> None:
    """Print times and residuals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--combinations", type=int, default=COMBINATIONS)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.001, 0.003, 0.01])
    args = parser.parse_args()
    samples = POOL * EPOCHS
    print("noise   fit of               seconds        residual   times slower than ours")
    for noise in args.noise:
        rng = np.random.default_rng(0)
        exact = TRUTH.predict([[1.0]], samples, [[POOL]])
        error = exact + noise * rng.standard_normal(len(exact))
        seconds, found = ours(samples, error)
        print(f"{noise:<7} {'ours':<18} {seconds:>9.5f} {found.residual:>15.6e}")
        for name, objective in (("numpy, published", arrays), ("plain floats", floats)):
            start = time.process_time()
            residual = search(samples, error, objective, args.combinations)
            slow = time.process_time() - start
            lost = "" if found.residual <= residual else "   LOWER THAN OURS"
            row = f"{noise:<7} {name:<18} {slow:>9.3f} {residual:>15.6e}"
            print(f"{row} {slow / seconds:>12,.0f}{lost}", flush=True)


def ours(samples: Floats, error: Floats, repeats: int = 100) -> tuple[float, single_pool.Pool]:
    """Mean seconds after a first call, which pays for imports."""
    once = functools.partial(single_pool.fit, samples, error, POOL, d=D)
    found, start = once(), time.process_time()
    for _ in range(repeats):
        once()
    return (time.process_time() - start) / repeats, found


def search(samples: Floats, error: Floats, objective: Objective, count: int) -> float:
    """The least sum of squared misses over random grid points."""
    best = float("inf")
    for point in points(count):
        cost = 0.0
        for n, y in zip(samples, error, strict=True):
            cost += (objective(n, point, POOL) - y) ** 2
        best = min(best, cost)
    return float(best)


def points(count: int) -> Iterator[tuple[float, float, float]]:
    """Distinct points of their grid, in random order."""
    a, b, tau = (
        np.linspace(1e-4, A_UPPER, 100),
        np.linspace(-0.005, -0.5, 100),
        np.linspace(1, 10, 100),
    )
    drawn = np.random.default_rng(0).permutation(10**6)[:count]
    i, j, k = np.unravel_index(drawn, (100, 100, 100))
    return zip(a[i].tolist(), b[j].tolist(), tau[k].tolist(), strict=True)


def arrays(n: float, point: tuple[float, float, float], pool: int) -> float:
    """One prediction, numpy over epochs."""
    a, b, tau = point
    epoch = np.arange(n // pool + 1)
    utility = b * 0.5 ** (epoch / tau)
    seen = np.minimum(pool * (epoch + 1), n) * a / 1e5
    before = pool * epoch * a / 1e5
    error = seen[0] ** utility[0] + D
    if len(seen) > 1:
        error *= ((seen[1:] / before[1:]) ** utility[1:]).prod()
    return error


def floats(n: float, point: tuple[float, float, float], pool: int) -> float:
    """One prediction, plain Python."""
    a, b, tau = point
    decay, utility, whole = 0.5 ** (1 / tau), b, int(n) // pool
    error = (min(pool, n) * a / 1e5) ** b + D
    for epoch, after in itertools.pairwise(range(1, whole + 2)):
        utility *= decay
        error *= (min(after * pool, n) / (epoch * pool)) ** utility
    return error


if __name__ == "__main__":
    main()
