"""Check: train on the manifests at the full budget, and hold the prediction against it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tamis import artifacts, errors, progress, seeding, storage
from tamis.pilots import linear_probe, protocol
from tamis.pipelines import guard, plan, pool, select, session, strata, trainers
from tamis.schemas import check as schema
from tamis.schemas import manifest

VERSION = 2
NAME = "check"
_SURE = 0.95


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
    made, cells = plan.read(run), strata.find(run)
    kind = trainers.kind(run, cells)
    targets = [trainers.target(run, kind, half) for half in guard.halves(run)]
    # An answer of the guard is spent for good: the published rule is not worth one.
    kinds = tuple(k for k in select.KINDS if not (run.config.check.guard and k == select.TOP))
    keys = [(k, b.samples) for b in made.budgets for k in kinds]
    listed = pool.Listed(tuple(select.folder(run.root, *key) for key in keys))
    rows = pool.gather(run, NAME, listed, cells, kind.names, content=kind.content)
    trainers.prepare(run, cells)
    measured = [
        _errors(run, key, rows.times[:, j], rows, targets, kind.trainer)
        for j, key in enumerate(keys)
    ]
    told = dict(zip(keys, _told(run, measured), strict=True))
    found = [
        _row(b.samples, b.predicted_error, b.interval, {k: told[k, b.samples] for k in kinds})
        for b in made.budgets
    ]
    storage.remove_tree(run.scratch())
    document = schema.Check(
        seeds=run.config.check.seeds, chance=trainers.chance(kind, targets[0][1]), budgets=found
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
    targets: list[protocol.Rows],
    trainer: protocol.Trainer,
) -> NDArray[np.float64]:
    """Errors on each target of one training per seed, on the manifest of (kind, samples).

    Shape (targets, seeds).
    """
    at = np.flatnonzero(times)
    seeds = range(run.config.check.seeds)
    orders = [
        linear_probe.repeated(
            at, times[at], rows.stratum[at], seeding.generator(run.seed, NAME, *key, seed)
        )
        for seed in seeds
    ]
    return trainer.errors((rows.x, rows.labels), np.stack(orders), targets, seeds=seeds)


def _row(
    samples: int,
    predicted: float,
    interval: tuple[float, float],
    measured: dict[str, schema.Measured],
) -> schema.Budget:
    others = {kind: found for kind, found in measured.items() if kind != manifest.FOLDER}
    chosen, random = measured[manifest.FOLDER], measured[manifest.RANDOM]
    return schema.Budget(
        samples=samples,
        predicted_error=predicted,
        interval=interval,
        chosen=chosen,
        random=random,
        everything=measured[select.EVERYTHING],
        top=measured.get(select.TOP),
        gains={kind: gain(found.errors, chosen.errors) for kind, found in others.items()},
        gain=random.error - chosen.error,
    )


def gain(others: Sequence[float], chosen: Sequence[float]) -> schema.Gain:
    """Of trainings of the same seeds: the mean difference and its paired interval.

    Raises:
      ValueError: there are not as many of each.
    """
    difference = np.subtract(others, chosen)
    mean, n = float(difference.mean()), len(difference)
    if n < 2:
        return schema.Gain(mean=mean, interval=None)
    reach = float(stats.t.ppf((1 + _SURE) / 2, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return schema.Gain(mean=mean, interval=(mean - reach, mean + reach))


def _measured(found: NDArray[np.float64]) -> schema.Measured:
    spread = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None
    return schema.Measured(error=float(found.mean()), standard_error=spread, errors=found.tolist())
