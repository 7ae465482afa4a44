"""Check: train on the manifests at the full budget, and hold the prediction against it."""

import numpy as np
from numpy.typing import NDArray

from tamis import artifacts, errors, progress, seeding, storage
from tamis.pilots import linear_probe
from tamis.pipelines import guard, pilot, plan, pool, select, session, strata
from tamis.schemas import check as schema

VERSION = 1
NAME = "check"
_SEEN_TOGETHER = 16 << 20  # samples of the runs trained at once


def check(run: session.Session) -> None:
    """Write `check/check.json`: predicted and measured error of every manifest.

    Raises:
      PlanError: there is no target to measure the error on.
    """
    if run.config.target is None:
        raise errors.PlanError("nothing to measure the error on", remedy="add a `target`")
    part = [run.config.check.digested(), run.config.pilot, run.seed, *guard.part(run)]
    inputs = run.digest(NAME, VERSION, part, [select.NAME, plan.NAME, "embed"])
    if run.config.check.guard and not run.done(NAME, inputs):
        guard.require(run)
    run.whole(NAME, inputs, (schema.FOLDER,), lambda outcome: _check(run, outcome))


def read(run: session.Session) -> schema.Check:
    """The check of the run."""
    run.inputs(NAME)
    return artifacts.parse(url(run), schema.Check)


def url(run: session.Session) -> str:
    """Where the check is."""
    return storage.join(run.root, schema.FOLDER, schema.FILE)


def _check(run: session.Session, outcome: progress.Outcome) -> dict:
    made, cells, names = plan.read(run), strata.find(run), pool.classes(run)
    targets = [pool.target(run, names, half) for half in guard.halves(run)]
    keys = [(kind, b.samples) for b in made.budgets for kind in select.KINDS]
    listed = pool.Listed(tuple(select.folder(run.root, *key) for key in keys))
    rows = pool.gather(run, NAME, listed, cells, names)
    measured = [
        _errors(run, key, rows.times[:, j], rows, targets, len(names)) for j, key in enumerate(keys)
    ]
    told = dict(zip(keys, _told(run, measured), strict=True))
    found = [
        _row(b.samples, b.predicted_error, b.interval, [told[k, b.samples] for k in select.KINDS])
        for b in made.budgets
    ]
    storage.remove_tree(run.scratch())
    document = schema.Check(
        seeds=run.config.check.seeds, chance=pilot.chance(targets[0][1]), budgets=found
    )
    storage.write_atomic(url(run), (document.model_dump_json(indent=1) + "\n").encode())
    worst = max(abs(f.predicted_error - f.chosen.error) for f in found)
    outcome.note = f"prediction off by at most {worst:.3f}"
    return {"largest_miss": worst}


def _told(run: session.Session, measured: list[NDArray[np.float64]]) -> list[schema.Measured]:
    """What may be said of trainings: all of it, or what the guard answers.

    Behind a guard the errors of single seeds are those on the fit half, and only the mean is the
    guard's.
    """
    plain = [_measured(errors_of[0]) for errors_of in measured]
    if not run.config.check.guard:
        return plain
    answers = guard.ask(run, [(float(m[0].mean()), float(m[1].mean())) for m in measured])
    return [
        p.model_copy(update={"error": answer}) for p, answer in zip(plain, answers, strict=True)
    ]


def _errors(
    run: session.Session,
    key: tuple[str, int],
    times: NDArray[np.int64],
    rows: pool.Pool,
    targets: list[tuple[NDArray, NDArray[np.int64]]],
    classes: int,
) -> NDArray[np.float64]:
    """Errors on each target of one training per seed, on the manifest of (kind, samples).

    Shape (targets, seeds).
    """
    at = np.flatnonzero(times)
    orders = [
        linear_probe.repeated(
            at, times[at], rows.stratum[at], seeding.generator(run.seed, NAME, *key, seed)
        )
        for seed in range(run.config.check.seeds)
    ]
    together = max(1, _SEEN_TOGETHER // key[1])
    found = []
    for start in range(0, len(orders), together):
        learned = linear_probe.train(
            rows.x,
            rows.labels,
            np.stack(orders[start : start + together]),
            classes=classes,
            learning_rate=run.config.pilot.learning_rate,
            batch=run.config.pilot.batch,
        )
        found.append(np.stack([linear_probe.error(learned, *target) for target in targets]))
    return np.concatenate(found, axis=1)


def _row(
    samples: int,
    predicted: float,
    interval: tuple[float, float],
    measured: list[schema.Measured],
) -> schema.Budget:
    chosen, random, everything = measured
    return schema.Budget(
        samples=samples,
        predicted_error=predicted,
        interval=interval,
        chosen=chosen,
        random=random,
        everything=everything,
        gain=random.error - chosen.error,
    )


def _measured(found: NDArray[np.float64]) -> schema.Measured:
    spread = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None
    return schema.Measured(error=float(found.mean()), standard_error=spread, errors=found.tolist())
