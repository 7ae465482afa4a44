"""Pilot: many cheap trainings on little subsets, to measure what each stratum is worth."""

import json
from collections.abc import Iterable, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, progress, sidecars, storage
from tamis.pilots import design, linear_probe, optimal, protocol
from tamis.pipelines import engine, guard, pool, rank, session, strata, trainers
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
    kind = trainers.kind(run, cells)
    section = run.config.pilot
    target = trainers.target(run, kind, guard.halves(run)[0])
    level = trainers.chance(kind, target[1])
    runs = _designed(section, cells, _lengths(run, cells), level)
    most = max(r.samples for r in runs)
    order = rank.Order(cells, run.seed, ("pilot",))
    counts = np.minimum(cells.supply, most).astype(np.int64)[:, None]
    chosen = rank.cut(run, "pilot-rows", order, counts, run.cut("supply"))
    rows = pool.gather(run, NAME, pool.First(chosen), cells, kind.names, content=kind.content)
    pools = [np.flatnonzero(rows.stratum == i) for i in range(len(cells.cells))]
    outcome.total, outcome.unit = len(runs), "trainings"
    outcome.count = lambda: _trained(run, runs)
    trainers.prepare(run, cells)
    found = _train(run, rows, target, runs, pools, kind.trainer)
    table = measurements.table(
        cells.names,
        samples=[r.samples for r in runs],
        errors=found,
        weights=[r.weights for r in runs],
        supply=[r.supply for r in runs],
        seeds=[r.seed for r in runs],
        chance=level,
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
    limits = {"max_cost": section.cost, "max_fraction": section.max_fraction}
    if section.design == "optimal":
        return optimal.planned(cells.supply, budgets, level, **limits)  # type: ignore[arg-type]
    return design.runs(cells.supply, budgets, most_seeds=section.most_seeds, **limits)  # type: ignore[arg-type]


def _lengths(run: session.Session, cells: strata.Strata) -> list[int]:
    """Samples of every budget: as many as any mixture can have of it."""
    plan = run.config.plan
    found = costs.Costs.of(cells.cells, plan.terms, plan.max_epochs)
    return [found.samples(b) for b in plan.budgets]


def _train(
    run: session.Session,
    rows: pool.Pool,
    target: tuple[NDArray, NDArray[np.int64]],
    runs: Sequence[design.Run],
    pools: Sequence[NDArray[np.int64]],
    trainer: protocol.Trainer,
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
    train = Train(folder, len(pools), run.seed, trainer)
    chunks = [(i, [runs[j] for j in part]) for i, part in enumerate(linear_probe.chunks(runs))]
    run.execute(
        lambda p: (
            p
            | "trainings" >> beam.Create(chunks).with_output_types(tuple[int, list[design.Run]])
            | "spread" >> beam.Reshuffle()
            | "train" >> beam.ParDo(train)
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


class Train(beam.DoFn):
    """A chunk of runs to a file of their errors."""

    def __init__(self, folder: str, pools: int, seed: int, trainer: protocol.Trainer) -> None:
        self._folder, self._pools, self._seed = folder, pools, seed
        self._trainer = trainer

    def setup(self) -> None:
        def read(name: str) -> NDArray:
            return artifacts.read(storage.join(self._folder, f"{name}.npy"))

        self._rows = (read("x"), np.array(read("labels")))
        self._target = (read("target"), read("target_labels"))
        self._groups = [read(f"pool-{i}") for i in range(self._pools)]

    def process(self, chunk: tuple[int, list[design.Run]]) -> Iterable[int]:
        with engine.carried():
            i, runs = chunk  # of one length
            orders = [linear_probe.run_stream(r, self._groups, self._seed) for r in runs]
            seeds = [r.seed for r in runs]
            found = self._trainer.errors(self._rows, np.stack(orders), [self._target], seeds=seeds)[
                0
            ]
            storage.write_atomic(_errors(self._folder, i), json.dumps(found.tolist()).encode())
            yield i
