"""Artifacts of scorers: the probe's checkpoints, the ridge classifier, recorded scores."""

import json

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, seeding, storage
from tamis.pilots import linear_probe
from tamis.pipelines import folding, guard, pool, sample, session
from tamis.schemas import columns, embeddings
from tamis.scorers import labels as labels_
from tamis.scorers import recorded, ridge

SAMPLE = 20_000  # rows the probe is trained on
RUNS = 5  # of the probe; Paul et al. (2021) average 10 networks, whose seeds differ by more
EPOCHS = 10  # of each run, with a checkpoint after each


def probe(run: session.Session, paths: dict[str, str]) -> None:
    """Train the probe on a hash sample of the labelled supply and write its checkpoints.

    Memory is the sample's embeddings and RUNS x EPOCHS weights.

    Raises:
      PlanError: the supply has fewer than two labels.
    """
    reads = (columns.LABEL, columns.EMBEDDING)
    table = sample.rows(run, "probe", SAMPLE, reads, run.cut("supply"))
    table = table.filter(table[columns.LABEL].is_valid()) if table.num_columns else table
    names = sorted(table[columns.LABEL].unique().to_pylist()) if table.num_rows else []
    _require_two(run, names)
    x = embeddings.matrix(table[columns.EMBEDDING])
    known = pa.array(names, pa.string())
    y = labels_.codes(table[columns.LABEL].combine_chunks(), known, run.root)
    orders = np.stack([_order(run.seed, i, len(x)) for i in range(RUNS)])
    count = min(EPOCHS, -(-orders.shape[1] // linear_probe.BATCH))
    weights = linear_probe.checkpoints(x, y, orders, classes=len(names), count=count)
    artifacts.write(paths["weights"], weights)
    _write_labels(paths, names)


def _order(seed: int, i: int, rows: int) -> NDArray[np.int64]:
    return linear_probe.order(rows, EPOCHS * rows, seeding.generator(seed, "probe", i))


def ridge_classifier(run: session.Session, paths: dict[str, str]) -> None:
    """Fit the ridge classifier on every labelled row of the supply.

    Raises:
      PlanError: the supply has fewer than two labels.
    """
    moments = ridge.Result(
        *folding.fold(run, "ridge", ridge.Moments(), ridge.Moments.reads, run.cut("supply"))
    )
    names = [str(label) for label in moments.labels]
    _require_two(run, names)
    inverse, coefficients = ridge.solve(moments)
    artifacts.write(paths["inverse"], inverse)
    artifacts.write(paths["coefficients"], coefficients)
    _write_labels(paths, names)


def influence(run: session.Session, paths: dict[str, str]) -> None:
    """The ridge classifier, and the rows of the target (the fit half of a guarded one).

    Raises:
      ConfigError: there is no target.
      SchemaError: one of its labels is not in the supply.
    """
    if run.config.target is None:
        raise errors.ConfigError(
            "score.influence needs a target", remedy="add a `target` to the run file"
        )
    ridge_classifier(run, paths)
    names = tuple(labels_.read(paths["labels"]).to_pylist())
    x, classes = pool.target(run, names, guard.halves(run)[0])
    if (classes < 0).any():
        raise errors.SchemaError(
            f"labels of {np.count_nonzero(classes < 0)} target rows are not in the supply",
            where=run.root,
            why=f"the supply's are: {', '.join(names[:8])}",
            remedy="map labels to the same classes, or take these rows out of the target",
        )
    artifacts.write(paths["target"], x)
    artifacts.write(paths["target_classes"], classes)


def copied(run: session.Session, paths: dict[str, str]) -> None:
    """Recorded scores, sorted by uid, where every worker can map them."""
    options = run.config.score["recorded"]
    measured = recorded.read(options["path"], options["metric"])
    artifacts.write(paths["uid"], measured.uid)
    artifacts.write(paths["value"], measured.value)


def seed(run: session.Session) -> list[object]:
    """What the probe's digest depends on beside its rows."""
    return [run.seed]


def contents(run: session.Session) -> list[object]:
    """What the digest of recorded scores depends on: the file itself, wherever it is.

    Raises:
      ConfigError: there is none.
    """
    path = run.config.score["recorded"]["path"]
    if not storage.exists(path):
        raise errors.ConfigError(
            f"there is no file {path!r}",
            where="score.recorded.path",
            remedy="train with a collector first, or mend the path",
        )
    return [seeding.digest(storage.read_bytes(path)).hex(), run.config.score["recorded"]["metric"]]


def _write_labels(paths: dict[str, str], names: list[str]) -> None:
    storage.write_atomic(paths["labels"], json.dumps(names).encode())


def _require_two(run: session.Session, names: list[str]) -> None:
    if len(names) < 2:
        raise errors.PlanError(
            f"the supply has {len(names)} label{'' if len(names) == 1 else 's'}",
            where=run.root,
            why="a classifier cannot learn to tell one class apart",
            remedy="name a `label` column in the sources, or take this scorer out of `score`",
        )
