"""A run folder to facts. Memory does not grow with rows."""

import numpy as np
import pyarrow as pa
import yaml

from tamis import artifacts, storage
from tamis.pipelines import check, pilot, plan, retract, score, session, verify
from tamis.report import examples, facts, near_copies, transported
from tamis.schemas import config, geometry, measurements
from tamis.schemas import plan as schema

_WHOLE = 0.999  # a share that counts as the stratum alone
_LINES = 2  # per stratum: all of its rows, and the fewest


def gather(run: session.Session) -> facts.Facts:
    """Everything the report says of a run that has at least a plan.

    Raises:
      ArtifactError: there is no plan yet.
      ManifestError: rows do not balance.
    """
    made = plan.read(run)
    shown, sampled = examples.find(run)
    return facts.Facts(
        name=run.root.rstrip("/").rsplit("/", 1)[-1],
        plan=made,
        check=check.read(run) if check.NAME in run.ledger["stages"] else None,
        pilots=_pilots(run, made),
        contrasts=shown,
        sampled=sampled,
        near=near_copies.find(run),
        balance=tuple(verify.balance(run)),
        intake=_intake(run),
        continues=retract.told(run),
        ends=_ends(run),
        transport=transported.find(run, made),
        geometry=_geometry(run),
        seconds=_seconds(run),
        versions=_versions(run),
        seed=run.seed,
        git=run.ledger.get("git", ""),
        config=yaml.safe_dump(
            run.config.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        ),
    )


def _pilots(run: session.Session, made: schema.Plan) -> tuple[facts.Curve, ...]:
    where = run.config.plan.measurements or pilot.url(run)
    if not storage.exists(where):
        return ()
    return curves(measurements.read(where), [s.name for s in made.strata])


def curves(table: pa.Table, order: list[str]) -> tuple[facts.Curve, ...]:
    """Means over seeds of the runs on one stratum alone, in `order`, larger supply first."""
    names = measurements.strata(table)
    weights = measurements.matrix(table, measurements.WEIGHTS)
    supply = measurements.matrix(table, measurements.SUPPLY)
    samples = measurements.vector(table, measurements.SAMPLES)
    error = measurements.vector(table, measurements.ERROR)
    found = []
    for name in order:
        if name not in names:
            continue
        i = names.index(name)
        alone = weights[:, i] >= _WHOLE
        rows = np.unique(supply[alone, i])[::-1]
        for unique in rows if len(rows) <= _LINES else rows[[0, -1]]:
            at = alone & (supply[:, i] == unique)
            seen, group = np.unique(samples[at], return_inverse=True)
            if len(seen) < 2:
                continue
            mean = np.bincount(group, error[at]) / np.bincount(group)
            found.append(facts.Curve(name, int(unique), tuple(seen.tolist()), tuple(mean.tolist())))
    return tuple(found)


def _intake(run: session.Session) -> tuple[facts.Intake, ...]:
    counted = run.entry("ingest")["sources"]
    order = [*run.config.sources, *sorted(set(counted) - set(run.config.sources))]
    return tuple(
        facts.Intake(name, c["rows"], c["accepted"], c["rejected"])
        for name in order
        if (c := counted.get(name)) is not None
    )


def _geometry(run: session.Session) -> geometry.Geometry | None:
    place = run.entry("cluster").get("geometry")
    return artifacts.parse(storage.join(run.root, place), geometry.Geometry) if place else None


def _ends(run: session.Session) -> tuple[tuple[str, str, str], ...]:
    entries = {name: run.entry(score.stage(name)) for name in config.scorers(run.config.tier.by)}
    return tuple((n, e["keep"], e["reason"]) for n, e in entries.items() if "keep" in e)


def _seconds(run: session.Session) -> tuple[tuple[str, float], ...]:
    entries = run.ledger["stages"]
    done = sorted(entries, key=lambda name: entries[name].get("finished", ""))
    return tuple(
        (name, float(entries[name].get("seconds", 0.0))) for name in done if name != "report"
    )


def _versions(run: session.Session) -> tuple[tuple[str, str], ...]:
    known = {"tamis": run.ledger.get("tamis", ""), **run.ledger.get("versions", {})}
    return tuple((name, version) for name, version in known.items() if version)
