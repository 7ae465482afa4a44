"""Transport against POT, geomloss and ott-jax: seconds, passes, memory, at equal accuracy.

    python -m benchmarks.transport [--parts exact,entropic,large,mixture] [--limit 480]
        [--sizes 500 1000]

pip install tamis[bench]. Rows are made up: 256-d, unit norm, 50 clusters that source and target
have in different shares. Every case has a fresh process; memory is what the kernel's high-water
mark rises by after imports and data, with the n x m cost among it where a solver needs it. Errors
are L1 of the marginals of the coupling, as the case itself measures them; POT stops at an L2 error
of 1e-9, which is easier than our L1. A process over its limit is stopped and printed as such.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tamis import seeding
from tamis.selectors import transport

D, CLUSTERS, NOISE = 256, 50, 0.7
SIZES = (500, 1_000, 2_000, 4_000)
ENTROPIC = ((500, 1e-2), (500, 1e-3), (1_000, 1e-2), (1_000, 1e-3), (2_000, 1e-2), (2_000, 1e-3))
LARGE = 20_000
SOURCES, ROWS = 20, 5_000
ERROR = 1e-9
# One thread of BLAS, whose threads wait for one another when other processes are at work. It binds
# neither XLA (ott) nor POT's simplex, which get what they ask for.
SINGLE = ("exact", "distance", "highs", "newton", "scaled", "pot", "ott", "geomloss", "simplex")


def rows(n: int, *key: object, shares: NDArray | None = None) -> NDArray[np.float32]:
    """Unit rows of clusters that are the same for every key."""
    centres = seeding.generator(0, "transport", "centres").standard_normal((CLUSTERS, D))
    rng = seeding.generator(0, "transport", *key)
    drawn = rng.dirichlet(np.ones(CLUSTERS)) if shares is None else shares
    x = centres[rng.choice(CLUSTERS, n, p=drawn)] + NOISE * rng.standard_normal((n, D))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def points(n: int, dtype: type = np.float64) -> transport.costs.Points:
    return transport.points(rows(n, "x"), rows(n, "y"), dtype=dtype)


def matrix(n: int) -> tuple[NDArray, NDArray]:
    return np.full(n, 1 / n), points(n).rows(slice(None))


def masses(n: int, spread: float) -> tuple[NDArray, NDArray]:
    """Equal for spread 0."""
    drawn = seeding.generator(0, "transport", "masses", n).random((2, n))
    a, b = 1 + spread * drawn
    return a / a.sum(), b / b.sum()


def simplex(n: int, spread: float = 0) -> dict:
    import ot

    (a, b), (_, cost) = masses(n, spread), matrix(n)
    return timed(lambda: {"value": ot.emd2(a, b, cost, numItermax=10**9)})


def exact(n: int, spread: float = 0) -> dict:
    import ot  # noqa: F401 -- its import takes seconds, and is not what is measured

    (a, b), (_, cost) = masses(n, spread), matrix(n)

    def solve() -> dict:
        found = transport.exact(a, b, cost)
        return {"value": found.value, "note": f"{found.method}, with duals"}

    return timed(solve)


def distance(n: int, spread: float = 0) -> dict:
    """The value alone, which is all that `ot.emd2` tells."""
    import ot  # noqa: F401

    (a, b), (_, cost) = masses(n, spread), matrix(n)

    def solve() -> dict:
        found = transport.distance(a, b, cost)
        return {"value": found.value, "note": found.method}

    return timed(solve)


def highs(n: int, spread: float = 0) -> dict:
    """As `exact` without POT."""
    from tamis.selectors.transport import simplex as solvers

    (a, b), (_, cost) = masses(n, spread), matrix(n)

    def solve() -> dict:
        coupling, _, method = solvers._generated(a, b, cost)
        return {"value": float(coupling.multiply(cost).sum()), "note": method}

    return timed(solve)


def approximate(n: int, tolerance: float = 0.01) -> dict:
    a, known = np.full(n, 1 / n), points(n, np.float32)

    def solve() -> dict:
        found = transport.approximate(a, a, known, tolerance=tolerance)
        note = f"certified in [{found.lower:.6g}, {found.upper:.6g}], {found.rounds} rounds"
        return {"value": found.upper, "note": note}

    return timed(solve)


def newton(n: int, share: float) -> dict:
    a, cost = matrix(n)
    epsilon = share * np.ptp(cost)

    def solve() -> dict:
        found = transport.sinkhorn_newton(a, a, cost, epsilon, tolerance=ERROR)
        return {"value": found.transport, "passes": found.iterations, **errors(found.coupling())}

    return timed(solve)


def scaled(n: int, share: float) -> dict:
    a, cost = matrix(n)
    epsilon = share * np.ptp(cost)

    def solve() -> dict:
        found = transport.sinkhorn(a, a, cost, epsilon, tolerance=ERROR, max_iterations=10_000)
        return {"value": found.transport, "passes": found.iterations, **errors(found.coupling())}

    return timed(solve)


def pot(n: int, share: float) -> dict:
    import ot

    a, cost = matrix(n)
    epsilon = share * np.ptp(cost)

    def solve() -> dict:
        p, log = ot.sinkhorn(
            a, a, cost, epsilon, "sinkhorn_log", numItermax=10**6, stopThr=ERROR, log=True
        )
        return {"value": float((p * cost).sum()), "passes": log["niter"], **errors(p)}

    return timed(solve)


def ott(n: int, share: float) -> dict:
    import jax

    jax.config.update("jax_enable_x64", True)  # noqa: FBT003
    from ott.geometry import geometry
    from ott.solvers import linear

    _, cost = matrix(n)
    epsilon = share * np.ptp(cost)
    space = geometry.Geometry(cost_matrix=jax.numpy.asarray(cost), epsilon=epsilon)

    def solve() -> dict:
        found = linear.solve(space, threshold=ERROR, max_iterations=1_000_000)
        p = np.asarray(found.matrix)
        return {"value": float((p * cost).sum()), "passes": int(found.n_iters), **errors(p)}

    linear.solve(space, threshold=ERROR, max_iterations=10)  # compiles most of it
    return timed(solve)


def geomloss(n: int, share: float) -> dict:
    import geomloss
    import torch

    x, y = (torch.tensor(rows(n, key).astype(np.float64)) for key in "xy")
    _, cost = matrix(n)
    epsilon = share * np.ptp(cost)
    # Its cost is |x - y|^2 / 2 and its epsilon blur^2; scaling near 1 is its only way to accuracy.
    loss = geomloss.SamplesLoss(
        "sinkhorn", p=2, blur=(epsilon / 2) ** 0.5, scaling=0.995, debias=False, potentials=True,
        backend="tensorized",
    )  # fmt: skip

    def solve() -> dict:
        f, g = (2 * z.numpy().ravel() for z in loss(x, y))
        p = np.exp((f[:, None] + g - cost) / epsilon) / n**2
        return {"value": float((p * cost).sum()), "note": "cannot be asked for more", **errors(p)}

    return timed(solve)


def mixture(share: float) -> dict:
    shares = seeding.generator(0, "transport", "shares").dirichlet(np.full(CLUSTERS, 0.2), SOURCES)
    true = seeding.generator(0, "transport", "true").dirichlet(np.full(SOURCES, 0.5))
    sources = [rows(ROWS, "source", i, shares=p) for i, p in enumerate(shares)]
    target = rows(ROWS, "target", shares=true @ shares)
    epsilon = share * 2.0  # of the cost between unrelated unit rows

    def solve() -> dict:
        found = transport.best_mixture(sources, target, epsilon)
        off = float(np.abs(found.weights - true).sum())
        note = f"gap {found.gap / found.value:.1e} of the value, |w - true|_1 {off:.3f}"
        note += f", {peak():.0f} MB at most"
        return {"value": found.value, "passes": found.iterations, "note": note}

    return timed(solve)


def errors(p: NDArray) -> dict:
    n = len(p)
    return {"error": float(sum(np.abs(p.sum(axis=i) - 1 / n).sum() for i in range(2)))}


def timed(solve: Callable[[], dict]) -> dict:
    tiny = np.eye(3)
    for ours in (transport.exact, lambda *p: transport.sinkhorn_newton(*p, 0.1)):
        ours(tiny[0], tiny[0], tiny)  # scipy imports its parts when they are first used
    before, start, cpu = peak(), time.perf_counter(), time.process_time()
    found = solve()
    used = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": used[0], "cpu": used[1], "memory": peak() - before, "peak": peak(), **found}


def peak() -> float:
    """MB, the process's high-water mark."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fresh(name: str, limit: float, **arguments: float) -> dict:
    """The case in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.transport", "--case", name]
    command += ["--arguments", json.dumps(arguments)]
    one = {"OMP_NUM_THREADS": "1"} if name in SINGLE else {}
    options = {"capture_output": True, "text": True, "check": True, "env": os.environ | one}
    try:
        ran = subprocess.run(command, timeout=limit, **options)
    except subprocess.TimeoutExpired:
        return {"seconds": float("inf"), "note": f"stopped after {limit:.0f} s"}
    return json.loads(ran.stdout.splitlines()[-1])


def show(name: str, found: dict, first: float | None = None) -> None:
    def number(key: str, form: str) -> str:
        return format(found[key], form) if key in found else "-"

    ratio = f"{found['seconds'] / first:.2f}" if first else "-"
    print(
        f"| {name} | {number('seconds', '.2f')} | {number('cpu', '.2f')} | {ratio} "
        f"| {number('passes', '.0f')} | {number('error', '.1e')} | {number('memory', '.0f')} "
        f"| {number('value', '.8g')} | {found.get('note', '')} |",
        flush=True,
    )


def head(title: str) -> None:
    print(f"\n{title}\n")
    print("| case | s | cpu s | / first | passes | L1 error | MB more | value | |")
    print("|---|---|---|---|---|---|---|---|---|")


def part_exact(limit: float, sizes: list[int]) -> None:
    head("Exact, n = m, equal masses (spread 0) and unequal; the first is POT's network simplex")
    for n, spread in ((n, spread) for n in SIZES if n in sizes for spread in (0, 1)):
        first = fresh("simplex", limit, n=n, spread=spread)
        show(f"ot.emd2, {n}, {spread}", first, first["seconds"])
        others = (distance, exact, highs) if spread and n < SIZES[-1] else (distance, exact)
        for case in (case.__name__ for case in others):
            show(f"{case}, {n}, {spread}", fresh(case, limit, n=n, spread=spread), first["seconds"])
    for n in (n for n in SIZES if n in sizes):
        show(f"approximate to 1 %, {n}, 0", fresh("approximate", limit, n=n))


def part_entropic(limit: float, sizes: list[int]) -> None:
    head(f"Entropic to a marginal error of {ERROR}; epsilon as a share of the range of the cost")
    for n, share in (case for case in ENTROPIC if case[0] in sizes):
        first = fresh("newton", limit, n=n, share=share)
        show(f"sinkhorn_newton, {n}, {share}", first, first["seconds"])
        for case in (scaled, pot, ott, geomloss):
            found = fresh(case.__name__, limit, n=n, share=share)
            show(f"{case.__name__}, {n}, {share}", found, first["seconds"])


def part_large(limit: float, _: list[int]) -> None:
    head(f"{LARGE} x {LARGE}; the matrix in float64 has {LARGE**2 * 8 / 2**20:.0f} MB")
    first = fresh("approximate", limit, n=LARGE)
    show("approximate to 1 %", first, first["seconds"])
    show("ot.emd2", fresh("simplex", limit, n=LARGE), first["seconds"])


def part_mixture(limit: float, _: list[int]) -> None:
    head(f"{SOURCES} sources of {ROWS} rows against {ROWS}, {D}-d; epsilon as a share of 2")
    for share in (0.05, 0.1, 0.02):  # the first is the default
        show(f"best_mixture, {share}", fresh("mixture", limit, share=share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="exact,entropic,large,mixture")
    parser.add_argument("--limit", type=float, default=480)
    parser.add_argument("--sizes", type=int, nargs="*", help="only these, of exact and entropic")
    parser.add_argument("--case")
    parser.add_argument("--arguments", default="{}")
    options = parser.parse_args()
    if options.case:
        print(json.dumps(globals()[options.case](**json.loads(options.arguments))))
        return
    for part in options.parts.split(","):
        globals()[f"part_{part}"](options.limit, options.sizes or list(SIZES))


if __name__ == "__main__":
    main()
