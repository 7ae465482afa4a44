"""Which pruning metrics beat random, where? Every metric, both ends, with and without class floor.

    python -m benchmarks.pruning [--seeds 5] [--settings digits,scarce,plentiful] [--json FILE]

Test error of a small network (64 ReLU units) trained from scratch on the kept part of a pool, for
as many samples whatever the part is. Pools: scikit-learn's digits (1,200 rows), and 1,000
(`scarce`) or 5,000 (`plentiful`) images of Fashion-MNIST, projected on 64 principal components. A
seed is another pool, other initial weights and another order; a metric and the mean of three random
choices share them, so that differences are paired. Networks of one pool are trained together.

Metrics are added in `METRICS`: a function of the pool to difficulties by name; `--metrics` takes a
few. Fashion-MNIST comes from its Debian package: `apt-get download dataset-fashion-mnist`,
unpacked by `dpkg-deb -x` to the folder `--data`. `--json` keeps what was measured, so that settings
and metrics can be run one by one; docs/pruning.svg shows the settings of which all is there.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch  # noqa: TID253 -- a benchmark, not the package
from numpy.typing import NDArray
from sklearn import datasets

from benchmarks import scorers
from tamis import clusters, seeding
from tamis.pilots import linear_probe
from tamis.report import markup, scales
from tamis.schemas import embeddings
from tamis.scorers import (
    collector,
    ddd,
    ekfac,
    el2n,
    forgetting,
    grand,
    influence,
    margin,
    memorization,
    prototypes,
    ridge,
    supervised_prototypes,
    uncertainty,
    vog,
)
from tamis.selectors import pruning, stratified

KEEPS = (0.1, 0.2, 0.4, 0.6, 0.8)
FLOORS = (0.0, 0.5)  # share of an equal cut that every class keeps (Sorscher et al. 2022)
ENDS = ("easy", "hard")
HIDDEN, BATCH, RATE, MOMENTUM = 64, 50, 0.1, 0.9
RANDOM = 3  # random choices per seed and fraction
MEMBERS = 4  # networks whose training the collector watches
CLASSES = 10


class Pool(NamedTuple):
    """One pool to prune, and what the pruned training is judged on.

    Attributes:
      x: Shape (n, 64) float32, unit rows.
      y: Shape (n,).
      target: Rows and labels that neither train nor test: the target of `influence`.
      test: Rows and labels.
      samples: That every training sees.
      seed: Of everything.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    target: tuple[NDArray[np.float32], NDArray[np.int64]]
    test: tuple[NDArray[np.float32], NDArray[np.int64]]
    samples: int
    seed: int


class Setting(NamedTuple):
    """A data set and how much of it there is."""

    title: str
    rows: int
    epochs: int
    load: Callable[[Path], tuple[NDArray, NDArray, int]]  # rows, labels, and where the test begins


def digits(_: Path) -> tuple[NDArray, NDArray, int]:
    found = datasets.load_digits()
    order = seeding.generator(0, "digits").permutation(len(found.data))
    return found.data[order] / 16, found.target[order], 1400


def fashion(folder: Path) -> tuple[NDArray, NDArray, int]:
    where, parts = folder / "usr/share/datasets/fashion-mnist", ("train", "t10k")
    x = np.concatenate([idx(where / f"{p}-images-idx3-ubyte.gz", 16) for p in parts])
    y = np.concatenate([idx(where / f"{p}-labels-idx1-ubyte.gz", 8) for p in parts])
    x = x.reshape(-1, 784)
    x = x.astype(np.float32) / 255
    return _projected(x, 60_000), y.astype(np.int64), 60_000


def idx(path: Path, skip: int) -> NDArray[np.uint8]:
    """The bytes of a file of Fashion-MNIST, flat, behind its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)[skip:]


def _projected(x: NDArray[np.float32], fit: int) -> NDArray[np.float32]:
    """The first 64 principal components of the first `fit` rows, of all rows."""
    centred = x - x[:fit].mean(0)
    _, vectors = np.linalg.eigh(centred[:fit].T @ centred[:fit])
    return centred @ vectors[:, : -HIDDEN - 1 : -1]


SETTINGS = {
    "digits": Setting("Digits, 1,200", 1200, 25, digits),
    "scarce": Setting("Fashion-MNIST, 1,000", 1000, 30, fashion),
    "plentiful": Setting("Fashion-MNIST, 5,000", 5000, 10, fashion),
}


def pools(setting: Setting, folder: Path, seeds: int) -> list[Pool]:
    x, y, test = setting.load(folder)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    found = []
    for seed in range(seeds):
        rows = seeding.generator(seed, "pool").permutation(test)
        mine, aside = rows[: setting.rows], rows[setting.rows : setting.rows + 500]
        judge, target = (x[test:], y[test:]), (x[aside], y[aside])
        samples = setting.rows * setting.epochs
        found.append(Pool(x[mine], y[mine], target, judge, samples, seed))
    return found


# --- the student: many small networks at once ---------------------------------------------------


def train(
    pool: Pool,
    kept: list[NDArray[np.int64]],
    seeds: list[int],
    watch: Callable[[NDArray[np.int64], NDArray[np.float32]], None] | None = None,
    weights_at: list[list[torch.Tensor]] | None = None,
) -> list[torch.Tensor]:
    """Train one network on each choice of rows by SGD with momentum and a cosine schedule.

    Args:
      pool: The rows.
      kept: Rows of each network.
      seeds: Of each network's weights and order: equal seeds start alike.
      watch: Sees rows (networks, batch) and their logits before every step.
      weights_at: Gets the weights after every tenth of the steps but the last.

    Returns:
      Weights of the networks, stacked.
    """
    rngs = [seeding.generator(pool.seed, "student", s) for s in seeds]
    shapes = [(64, HIDDEN), (1, HIDDEN), (HIDDEN, CLASSES), (1, CLASSES)]
    scale = [64**-0.5 * 8, 0.0, HIDDEN**-0.5, 0.0]  # unit rows: 8 = sqrt(64) brings them to size 1
    weights = [
        torch.tensor(np.stack([s * r.standard_normal(shape) for r in rngs]), dtype=torch.float32)
        for s, shape in zip(scale, shapes, strict=True)
    ]
    orders = np.stack(
        [k[linear_probe.order(len(k), pool.samples, r)] for k, r in zip(kept, rngs, strict=True)]
    )
    x, y = torch.tensor(pool.x), torch.tensor(pool.y)
    speed = [torch.zeros_like(w) for w in weights]
    steps = pool.samples // BATCH
    for i in range(steps):
        rows = torch.tensor(orders[:, i * BATCH : (i + 1) * BATCH])
        gradients, logits = slopes(weights, x[rows], y[rows])
        if watch is not None:
            watch(rows.numpy(), logits.numpy())
        rate = RATE * 0.5 * (1 + np.cos(np.pi * i / steps))
        for w, v, g in zip(weights, speed, gradients, strict=True):
            w -= rate * v.mul_(MOMENTUM).add_(g)
        if weights_at is not None and (i + 1) % (steps // 10) == 0 and i + 1 < steps:
            weights_at.append([w.clone() for w in weights])
    return weights


def slopes(
    weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Gradients of the mean cross-entropy of each network on its batch, and its logits."""
    first, one, second, two = weights
    hidden = torch.baddbmm(one, x, first).relu_()
    logits = torch.baddbmm(two, hidden, second)
    error = torch.softmax(logits, 2)
    error.scatter_add_(2, y[..., None], torch.full_like(error[..., :1], -1))
    error /= x.shape[1]
    back = torch.bmm(error, second.mT) * (hidden > 0)
    sums = (back.sum(1, keepdim=True), error.sum(1, keepdim=True))
    return [torch.bmm(x.mT, back), sums[0], torch.bmm(hidden.mT, error), sums[1]], logits


def test_error(weights: list[torch.Tensor], test: tuple[NDArray, NDArray]) -> NDArray[np.float64]:
    x, y = torch.tensor(test[0]), torch.tensor(test[1])
    found = [
        float((((x @ a + b).relu_() @ c + d).argmax(1) != y).float().mean())
        for a, b, c, d in zip(*weights, strict=True)
    ]
    return np.array(found)


# --- the metrics: a pool to difficulties by name, higher = harder --------------------------------


def by_clusters(pool: Pool) -> dict[str, NDArray]:
    centroids = clusters.fit(pool.x, clusters.default_k(len(pool.x)), seed=pool.seed)
    cosine = clusters.assign(pool.x, centroids).cosine
    scorer = prototypes.SelfSupervisedPrototypes("hard")
    return {"prototypes": scorer.score(pa.record_batch({"cosine": cosine}))}


def by_class(pool: Pool) -> dict[str, NDArray]:
    means = np.stack([pool.x[pool.y == c].mean(0) for c in range(CLASSES)])
    cosine = supervised_prototypes.class_cosine(pool.x, pool.y, means)
    unit = cosine / np.linalg.norm(means, axis=1)[pool.y]
    return {"supervised prototypes": prototypes.cosine_distance(unit)}


def by_probe(pool: Pool) -> dict[str, NDArray]:
    """Our linear probe's checkpoints, through the scorers themselves."""
    n, rngs = len(pool.x), [seeding.generator(pool.seed, "probe", i) for i in range(5)]
    orders = np.stack([linear_probe.order(n, 10 * n, rng) for rng in rngs])
    weights = linear_probe.checkpoints(pool.x, pool.y, orders, classes=CLASSES, count=10)
    with tempfile.TemporaryDirectory() as folder:
        paths = _saved(folder, weights=weights), _labels(folder)
        kinds = {
            "EL2N, probe": el2n.EL2N,
            "forgetting, probe": forgetting.Forgetting,
            "margin, probe": margin.Margin,
            "DDD, probe": ddd.DichotomousDifficulty,
            "uncertainty, probe": uncertainty.Uncertainty,
        }
        return {k: v(*paths, keep="hard").score(_batch(pool)) for k, v in kinds.items()}


def by_ridge(pool: Pool) -> dict[str, NDArray]:
    fold, batch = ridge.Moments(), _batch(pool)
    inverse, coefficients = ridge.solve(fold.result(fold.add(fold.zero(), batch)))
    with tempfile.TemporaryDirectory() as folder:
        fit = _saved(folder, inverse=inverse), _saved(folder, coefficients=coefficients)
        paths = (*fit, _labels(folder), "hard")
        target = _saved(folder, target=pool.target[0]), _saved(folder, classes=pool.target[1])
        on_target = {"target": target[0], "target_classes": target[1]}
        return {
            "memorization": memorization.Memorization(*paths).score(batch),
            "influence, sum": influence.Influence(*paths, **on_target).score(batch),
            "influence, max": influence.Influence(*paths, over="max", **on_target).score(batch),
        }


def by_network(pool: Pool) -> dict[str, NDArray]:
    """What a collector sees of a few networks trained on the whole pool."""
    watched = [collector.Collector() for _ in range(MEMBERS)]
    uids = _uids(pool)

    def watch(rows: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
        for taken, mine, z in zip(watched, rows, logits, strict=True):
            taken.record(uids[mine], z, pool.y[mine])

    everything = [np.arange(len(pool.x))] * MEMBERS
    train(pool, everything, [1000 + i for i in range(MEMBERS)], watch)
    found = [taken.result() for taken in watched]
    mean = {}
    for name, hard in {"el2n": 1, "forgetting": 1, "area_under_margin": -1, "entropy": 1}.items():
        columns = [np.empty(len(pool.x)) for _ in watched]
        for column, (seen, values) in zip(columns, found, strict=True):
            column[seen[:, 1].astype(np.int64)] = hard * values[name]
        mean[f"{NETWORK[name]}, network"] = np.mean(columns, axis=0)
    return mean


def by_place(pool: Pool) -> dict[str, NDArray]:
    """Density of the pool, and likeness to the target: what most have more of is the easy end."""
    data = scorers.Data(pool.x, pool.y, None, pool.target[0], None, pool.test)
    batch = scorers.batch_of(data, np.arange(len(pool.x)))
    with tempfile.TemporaryDirectory() as folder:
        _, *made = scorers.fitted(folder, batch, data, pool.seed)  # the first are the prototypes
        for scorer in made:
            scorer.setup()
        return {scorer.name.replace("_", " "): -scorer.score(batch) for scorer in made}


def by_module(pool: Pool) -> dict[str, NDArray]:
    """What a module's gradients say: GraNd early, VoG over checkpoints, EK-FAC on the target.

    Means of a few networks trained on the whole pool; the rows that help the target least are the
    hard end of EK-FAC.
    """
    everything, seeds = [np.arange(len(pool.x))] * MEMBERS, [2000 + i for i in range(MEMBERS)]
    kept: list[list[torch.Tensor]] = []
    final = train(pool, everything, seeds, weights_at=kept)
    x, y = torch.tensor(pool.x), torch.tensor(pool.y)
    target = torch.tensor(pool.target[0]), torch.tensor(pool.target[1])
    found: dict[str, list[NDArray]] = {"GraNd": [], "VoG": [], "EK-FAC": []}
    for i in range(MEMBERS):
        modules = [module(w, i) for w in (*kept, final)]
        found["GraNd"].append(grand.of_module(modules[0], x, y))
        found["VoG"].append(vog.vog(modules, x, y))
        model = ekfac.Model(modules[-1], block=256)
        gain = model.influence(model.factors(x, seed=pool.seed), (x, y), target)
        found["EK-FAC"].append(-gain)
    return {f"{name}, network": np.mean(each, axis=0) for name, each in found.items()}


def module(weights: list[torch.Tensor], i: int) -> torch.nn.Module:
    """One of the stacked networks, as a module."""
    made = torch.nn.Sequential(
        torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
    )
    values = [weights[0][i].mT, weights[1][i, 0], weights[2][i].mT, weights[3][i, 0]]
    with torch.no_grad():
        for parameter, value in zip(made.parameters(), values, strict=True):
            parameter.copy_(value)
    return made.eval()


NETWORK = {
    "el2n": "EL2N",
    "forgetting": "forgetting",
    "area_under_margin": "margin",
    "entropy": "uncertainty",
}
METRICS: dict[str, Callable[[Pool], dict[str, NDArray]]] = {
    "clusters": by_clusters,
    "class": by_class,
    "probe": by_probe,
    "network": by_network,
    "ridge": by_ridge,
    "place": by_place,
    "module": by_module,
}


def _uids(pool: Pool) -> NDArray[np.uint64]:
    return np.stack([np.full(len(pool.x), pool.seed), np.arange(len(pool.x))], 1).astype(np.uint64)


def _batch(pool: Pool) -> pa.RecordBatch:
    labels = pa.array([str(y) for y in pool.y])
    return pa.record_batch({"embedding": embeddings.column(pool.x), "label": labels})


def _saved(folder: str, **arrays: NDArray) -> str:
    ((name, x),) = arrays.items()
    np.save(Path(folder) / f"{name}.npy", x)
    return str(Path(folder) / f"{name}.npy")


def _labels(folder: str) -> str:
    path = Path(folder) / "labels.json"
    path.write_text(json.dumps([str(c) for c in range(CLASSES)]))
    return str(path)


# --- the experiment --------------------------------------------------------------------------


class Cell(NamedTuple):
    """One way to prune."""

    metric: str
    end: str
    floor: float
    keep: float


WHOLE = Cell("all", "", 0.0, 1.0)


def random_cell(keep: float) -> Cell:
    return Cell("random", "", 0.0, keep)


def measured(pool: Pool, metrics: list[str]) -> dict[Cell, float]:
    """Test error of every cell of some metrics on one pool."""
    n = len(pool.x)
    difficulty = {k: v for name in metrics for k, v in METRICS[name](pool).items()}
    choices: dict[Cell, list[NDArray[np.int64]]] = {WHOLE: [np.arange(n)] * RANDOM}
    for keep in KEEPS:
        rngs = [seeding.generator(pool.seed, "random", i) for i in range(RANDOM)]
        choices[random_cell(keep)] = [r.permutation(n)[: round(keep * n)] for r in rngs]
        for name, hard in difficulty.items():
            # Ties, of which counts have many, break at random and not by place.
            jitter = np.argsort(seeding.generator(pool.seed, "ties").permutation(n))
            rank = np.argsort(np.lexsort((jitter, hard))).astype(float)
            for end in ENDS:
                for floor in FLOORS:
                    score = rank if end == "hard" else -rank
                    rows = stratified.best_with_floors(score, pool.y, round(keep * n), floor)
                    choices[Cell(name, end, floor, keep)] = [rows]
    flat = [(cell, rows, i) for cell, many in choices.items() for i, rows in enumerate(many)]
    found: dict[Cell, list[float]] = {cell: [] for cell in choices}
    for start in range(0, len(flat), 160):
        part = flat[start : start + 160]
        weights = train(pool, [rows for _, rows, _ in part], [i for *_, i in part])
        for (cell, *_), error in zip(part, test_error(weights, pool.test), strict=True):
            found[cell].append(error)
    return {cell: float(np.mean(values)) for cell, values in found.items()}


def gains(runs: list[dict[Cell, float]]) -> dict[Cell, tuple[float, float]]:
    """Random's error minus the cell's, and its standard error over the seeds, paired."""
    found = {}
    for cell in runs[0]:
        pair = random_cell(cell.keep)
        if cell not in (pair, WHOLE):
            gap = np.array([run[pair] - run[cell] for run in runs])
            found[cell] = (gap.mean(), gap.std(ddof=1) / np.sqrt(len(gap)))
    return found


def table(title: str, runs: list[dict[Cell, float]]) -> None:
    """Errors of random, and what every metric gains on it; 2.8 is Student's t of five seeds."""
    print(f"\n{title}: test error in %, then random minus metric in points (* beyond 2.8 s.e.)")
    print(f"{'':32}" + "".join(f"{keep:>9.0%}" for keep in (*KEEPS, 1)))
    whole = [*map(random_cell, KEEPS), WHOLE]
    print(f"{'random':32}" + "".join(f"{100 * np.mean([r[c] for r in runs]):9.2f}" for c in whole))
    found = gains(runs)
    names = list(dict.fromkeys(cell.metric for cell in found))
    for name in names:
        for end in ENDS:
            for floor in FLOORS:
                cells = [found[Cell(name, end, floor, keep)] for keep in KEEPS]
                text = "".join(
                    f"{100 * gain:+8.2f}{'*' if abs(gain) > 2.8 * spread else ' '}"
                    for gain, spread in cells
                )
                label = f"{name}, {end}{', floor' if floor else ''}"
                print(f"{label:32}{text}")


def crossings(rows: int, runs: list[dict[Cell, float]]) -> None:
    """Where hard beats easy, beside what the theory says of so many examples per dimension."""
    found = {c: float(np.mean([run[c] for run in runs])) for c in runs[0]}
    names = list(dict.fromkeys(c.metric for c in found if c.end))
    said = [pruning.advise(rows / HIDDEN, keep).strategy for keep in KEEPS]
    print(f"\n{'theory, perfect probe':32}" + "".join(f"{s:>9}" for s in said))
    wins = [
        sum(found[Cell(n, "hard", 0.0, keep)] < found[Cell(n, "easy", 0.0, keep)] for n in names)
        for keep in KEEPS
    ]
    print(f"{'metrics whose hard beats easy':32}" + "".join(f"{w:>6}/{len(names)}" for w in wins))
    over = [
        sum(found[Cell(n, "hard", 0.0, keep)] < found[random_cell(keep)] for n in names)
        for keep in KEEPS
    ]
    print(f"{'metrics whose hard beats random':32}" + "".join(f"{w:>6}/{len(names)}" for w in over))


def read(path: Path | None) -> dict[str, list[dict[Cell, float]]]:
    """What an earlier call measured, by setting."""
    if path is None or not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {k: [{Cell(*c): e for *c, e in run} for run in v] for k, v in kept.items()}


# --- the figure --------------------------------------------------------------------------------

SHOWN = (
    "prototypes",
    "supervised prototypes",
    "EL2N, network",
    "forgetting, network",
    "margin, network",
    "uncertainty, probe",
    "memorization",
    "influence, sum",
)
COLOURS = {"": "#444444", "easy": "#0072b2", "hard": "#009e73"}
WIDE, HIGH, LEFT, ABOVE = 142.0, 190.0, 58.0, 66.0


def figure(found: dict[str, list[dict[Cell, float]]]) -> markup.Safe:
    """A row of panels a setting, a column a metric: error against fraction kept."""
    name = (
        "Test error against fraction kept: random, the easiest, the hardest (dashed: class floor)"
    )
    parts = [
        markup.tag("text", name, x=16, y=22, font_size=15, font_weight="bold"),
        *(
            markup.tag("text", text, x=16 + 90 * i, y=42, fill=COLOURS[end], font_weight="bold")
            for i, (text, end) in enumerate((("random", ""), ("easy", "easy"), ("hard", "hard")))
        ),
    ]
    order = [key for key in SETTINGS if {c.metric for c in found.get(key, [{}])[0]} >= {*SHOWN}]
    for i, key in enumerate(order):
        mean = {c: float(np.mean([run[c] for run in found[key]])) for c in found[key][0]}
        for j, metric in enumerate(SHOWN):
            title = SETTINGS[key].title if not j else ""
            drawn = panel(mean, metric, title, first=not j)
            at = f"translate({LEFT + j * WIDE:.0f} {ABOVE + i * HIGH:.0f})"
            parts.append(markup.tag("g", drawn, transform=at))
    width, height = LEFT + WIDE * len(SHOWN) + 8, ABOVE + HIGH * len(order)
    return markup.tag(
        "svg",
        markup.tag("rect", width=width, height=height, fill="#ffffff"),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        font_family="system-ui, sans-serif",
        font_size=11,
        role="img",
        aria_label=name,
    )


def panel(mean: dict[Cell, float], metric: str, title: str, *, first: bool) -> markup.Safe:
    x = scales.Scale(0, 1, 0, WIDE - 14)
    shown = [e for c, e in mean.items() if c.metric in (*SHOWN, "random", "all")]
    y = scales.logarithmic([min(shown) * 0.95, min(max(shown), 0.8)], HIGH - 42, 20)
    parts = [markup.tag("text", title or "", x=0, y=-6, font_weight="bold")]
    parts.append(markup.tag("text", metric, x=2, y=12, fill="#333333"))
    for at in scales.ticks(y):
        parts.append(line([(0.0, y(at)), (x.stop, y(at))], "#e6e6e6", None, 1))
        if first:
            parts.append(markup.tag("text", f"{at:g}", x=-5, y=y(at) + 4, text_anchor="end"))
    below = {"y": HIGH - 28, "text_anchor": "middle"}
    parts += [markup.tag("text", f"{at:.0%}", x=x(at), **below) for at in (0.2, 0.6, 1)]
    for end in ("easy", "hard"):
        for floor, dash in ((0.5, "3 3"), (0.0, None)):
            cells = [Cell(metric, end, floor, keep) for keep in KEEPS]
            parts.append(line(points(mean, cells, x, y), COLOURS[end], dash, 1.5))
    cells = [random_cell(keep) for keep in KEEPS]
    parts.append(line(points(mean, cells, x, y), COLOURS[""], None, 2))
    return markup.tag("g", *parts)


def points(mean, cells, x, y) -> list[tuple[float, float]]:
    return [(x(c.keep), y(min(mean[c], y.high))) for c in (*cells, WHOLE)]


def line(points, colour: str, dash: str | None, width: float) -> markup.Safe:
    return markup.tag(
        "polyline",
        points=" ".join(f"{a:.1f},{b:.1f}" for a, b in points),
        fill="none",
        stroke=colour,
        stroke_width=width,
        stroke_dasharray=dash,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--metrics", default=",".join(METRICS))
    parser.add_argument("--data", type=Path, default=Path("data/fashion-mnist"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pruning.svg"))
    options = parser.parse_args()
    found = read(options.json)
    for name in options.settings.split(","):
        start = time.perf_counter()
        setting = SETTINGS[name]
        runs = [
            measured(pool, options.metrics.split(","))
            for pool in pools(setting, options.data, options.seeds)
        ]
        before = found.get(name, [{}] * len(runs))
        found[name] = [{**old, **new} for old, new in zip(before, runs, strict=True)]
        if options.json:
            kept = {k: [[[*c, e] for c, e in r.items()] for r in v] for k, v in found.items()}
            options.json.write_text(json.dumps(kept), encoding="utf-8")
        table(setting.title, runs)
        crossings(setting.rows, runs)
        trained = sum(len(run) for run in runs)
        print(f"{trained} cells in {time.perf_counter() - start:.0f} s", flush=True)
    options.out.write_text(figure(found) + "\n", encoding="utf-8")
    print(f"\nwrote {options.out}")


if __name__ == "__main__":
    main()
