"""Pilot: many cheap trainings on little subsets, to measure what each stratum is worth."""

import json
from collections.abc import Iterable, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, progress, sidecars, storage
from tamis.pilots import design, linear_probe, optimal
from tamis.pipelines import engine, guard, pool, rank, session, strata
from tamis.schemas import measurements, planning
from tamis.selectors import costs

VERSION = 1
FOLDER = measurements.FOLDER
NAME = "pilot"
_READS = ("ingest", "embed", "dedup", "tier")


def inputs(run: session.Session) -> str:
    """The digest of the pilots: they see the budgets only through the sizes they allow."""
    return run.digest(NAME, VERSION, _part(run), _READS)


def _part(run: session.Session) -> list[object]:
    """What of the run file they depend on."""
    plan = run.config.plan
    counted = [plan.unit, plan.params, plan.tokens_per_word, plan.training_price, plan.max_epochs]
    return [
        run.config.pilot,
        plan.budgets,
        *(counted if plan.unit != "samples" else []),
        plan.strata,
        run.config.ingest.duplicates,
        run.seed,
        *guard.part(run),
    ]


def pilot(run: session.Session) -> None:
    """Train the configured design and write `pilots/measurements.parquet`.

    Raises:
      PlanError: labels do not fit the target's, or the budgets are too small for any pilot.
    """
    if run.config.plan.measurements:
        return  # the user's own runs stand in
    run.whole(NAME, inputs(run), (FOLDER,), lambda outcome: _measure(run, outcome))


def url(run: session.Session) -> str:
    """Where the measurements are."""
    return storage.join(run.root, FOLDER, measurements.FILE)


def _measure(run: session.Session, outcome: progress.Outcome) -> dict:
    cells = strata.find(run)
    recipe = run.recipe(NAME, VERSION, _part(run))
    found = _taken(run, recipe, cells.names)
    if found is not None:
        storage.write_atomic(url(run), sidecars.encode(found, {}))
        outcome.note = "those of the frozen run"
        return {"trainings": len(found), "taken": True, **_kept(recipe)}
    names = pool.classes(run)
    section = run.config.pilot
    target = pool.target(run, names, guard.halves(run)[0])
    runs = _designed(section, cells, _lengths(run, cells), chance(target[1]))
    most = max(r.samples for r in runs)
    order = rank.Order(cells, run.seed, ("pilot",))
    counts = np.minimum(cells.supply, most).astype(np.int64)[:, None]
    chosen = rank.cut(run, "pilot-rows", order, counts, run.cut("supply"))
    rows = pool.gather(run, NAME, pool.First(chosen), cells, names)
    pools = [np.flatnonzero(rows.stratum == i) for i in range(len(cells.cells))]
    outcome.total, outcome.unit = len(runs), "trainings"
    outcome.count = lambda: _trained(run, runs)
    found = _train(run, rows, target, runs, pools, len(names))
    table = measurements.table(
        cells.names,
        samples=[r.samples for r in runs],
        errors=found,
        weights=[r.weights for r in runs],
        supply=[r.supply for r in runs],
        seeds=[r.seed for r in runs],
        chance=chance(target[1]),
    )
    storage.write_atomic(url(run), sidecars.encode(table, {}))
    storage.remove_tree(run.scratch())
    trained = sum(r.samples for r in runs)
    return {"trainings": len(runs), "samples": trained, "largest": most, **_kept(recipe)}


def _kept(recipe: str) -> dict:
    """What a run that takes this one over must know."""
    place = storage.join(FOLDER, measurements.FILE)
    return {"recipe": recipe, "fitted": {"measurements": place}}


def _taken(run: session.Session, recipe: str, names: Sequence[str]) -> pa.Table | None:
    """The measurements of the frozen run, if they were asked for alike and are of these strata.

    What a stratum is worth is taken to stay as its rows become more or fewer: what changes is how
    many there are, and the planner is told. A stratum more or less makes it another design, and
    what is left of the old one may carry no plan.
    """
    place = run.taken(NAME).get("measurements")
    if not place or not run.earlier or run.earlier.entry(NAME).get("recipe") != recipe:
        return None
    found = measurements.read(storage.join(run.root, place))
    return found if measurements.strata(found) == tuple(names) else None


def _designed(
    section: planning.Pilot, cells: strata.Strata, budgets: list[int], level: float
) -> list[design.Run]:
    limits = {"max_cost": section.budget} if section.budget else {}
    if section.design == "optimal":
        return optimal.planned(
            cells.supply, budgets, level, max_fraction=section.max_fraction, **limits
        )
    return design.runs(cells.supply, budgets, max_fraction=section.max_fraction, **limits)


def _lengths(run: session.Session, cells: strata.Strata) -> list[int]:
    """Samples of every budget: as many as any mixture can have of it."""
    plan = run.config.plan
    found = costs.Costs.of(cells.cells, plan.terms, plan.max_epochs)
    return [found.samples(b) for b in plan.budgets]


def chance(labels: NDArray[np.int64]) -> float:
    """Error of always guessing the commonest class."""
    return float(1 - np.bincount(labels).max() / len(labels))


def _train(
    run: session.Session,
    rows: pool.Pool,
    target: tuple[NDArray, NDArray[np.int64]],
    runs: Sequence[design.Run],
    pools: Sequence[NDArray[np.int64]],
    classes: int,
) -> NDArray[np.float64]:
    """Target error of every run: shape (runs,).

    Trainings are handed to workers in chunks; arrays travel by path.
    """
    folder = run.scratch(NAME)
    data = {"labels": rows.labels, "target": target[0], "target_labels": target[1]}
    data |= {f"pool-{i}": p for i, p in enumerate(pools)}
    for key, value in data.items():
        artifacts.write(storage.join(folder, f"{key}.npy"), value)
    if not storage.exists(storage.join(folder, "x.npy")):
        artifacts.write(storage.join(folder, "x.npy"), rows.x)
    options = (run.config.pilot.learning_rate, run.config.pilot.batch)
    probe = Probe(folder, len(pools), run.seed, classes, options)
    chunks = [(i, [runs[j] for j in part]) for i, part in enumerate(linear_probe.chunks(runs))]
    run.execute(
        lambda p: (
            p
            | "trainings" >> beam.Create(chunks).with_output_types(tuple[int, list[design.Run]])
            | "spread" >> beam.Reshuffle()
            | "train" >> beam.ParDo(probe)
        )
    )
    parts = [storage.read_bytes(_errors(folder, i)) for i, _ in chunks]
    found = np.empty(len(runs))
    for members, part in zip(linear_probe.chunks(runs), parts, strict=True):
        found[members] = json.loads(part)
    return found


def _trained(run: session.Session, runs: Sequence[design.Run]) -> int:
    """Trainings whose errors are written."""
    sizes = [len(members) for members in linear_probe.chunks(runs)]
    folder = run.scratch(NAME)
    done = [n for n in storage.listing(folder, ".json") if n.startswith("errors-")]
    return sum(sizes[int(n.removeprefix("errors-").removesuffix(".json"))] for n in done)


def _errors(folder: str, chunk: int) -> str:
    return storage.join(folder, f"errors-{chunk}.json")


class Probe(beam.DoFn):
    """A chunk of runs to a file of their errors."""

    def __init__(
        self, folder: str, pools: int, seed: int, classes: int, options: tuple[float, int]
    ) -> None:
        self._folder, self._pools, self._seed = folder, pools, seed
        self._classes, self._options = classes, options

    def setup(self) -> None:
        def read(name: str) -> NDArray:
            return artifacts.read(storage.join(self._folder, f"{name}.npy"))

        self._rows = (read("x"), np.array(read("labels")))
        self._target = (read("target"), read("target_labels"))
        self._groups = [read(f"pool-{i}") for i in range(self._pools)]

    def process(self, chunk: tuple[int, list[design.Run]]) -> Iterable[int]:
        with engine.carried():
            i, runs = chunk
            found = linear_probe.measure(
                runs,
                self._groups,
                self._rows,
                self._target,
                seed=self._seed,
                classes=self._classes,
                learning_rate=self._options[0],
                batch=self._options[1],
            )
            storage.write_atomic(_errors(self._folder, i), json.dumps(found.tolist()).encode())
            yield i
