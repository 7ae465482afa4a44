"""Score: one float32 per row and scorer, each in a folder of its own."""

import json
from collections.abc import Iterable
from typing import get_args

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import artifacts, errors, folds, scorers, storage
from tamis.pipelines import (
    engine,
    evaluations,
    fits,
    fitted,
    folding,
    guard,
    pool,
    pool_facts,
    potential,
    session,
    view,
)
from tamis.schemas import columns, embeddings, scores, shards
from tamis.scorers import difficulty, protocol
from tamis.selectors import costs, pruning

VERSION = 3
ARTIFACTS = "artifacts"


def score(run: session.Session) -> None:
    """Write the sidecar of every configured scorer: adding one later adds a folder.

    Raises:
      ConfigError: a scorer is unknown or its options are wrong.
    """
    for name in sorted(run.config.score, key=lambda name: _scores_of(run, name) != []):
        _score(run, name)


def stage(name: str) -> str:
    """The ledger's name for a scorer's stage."""
    return f"score:{name}"


def _score(run: session.Session, name: str) -> None:
    options, decision = decided(run, name)
    places = _places(run, name)
    paths = {field: storage.join(run.root, place) for field, place in places.items()}
    scorer = scorers.build(name, options, paths)
    _shown(run, scorer.reads)
    part = [name, options, *_part(run, name)]
    reads = needs(scorer.reads)
    inputs = run.digest(stage(name), VERSION, part, reads)
    cut = run.cut("supply")

    def fit() -> None:
        if name in FITTED and not all(storage.exists(url) for url in paths.values()):
            FITTED[name].fit(run, paths)

    def apply(spans: beam.PCollection) -> object:
        fit()
        return spans | name >> beam.ParDo(Score(run.view(), inputs, scorer))

    def facts(_: object) -> dict:
        files = session.digests(run.root, tuple(places.values()))
        return {**decision, **({"fitted": places, "files": files} if places else {})}

    def recipe() -> str:
        fit()
        return run.recipe(stage(name), VERSION, [name, options], reads, places.values())

    run.per_shard(stage(name), inputs, (scores.folder(name),), apply, cut, facts, recipe=recipe)


def decided(run: session.Session, name: str) -> tuple[dict, dict[str, str]]:
    """The options of a scorer, and which end of its difficulty is kept and why, for the report.

    `keep: theory` is Sorscher et al.'s theory at the largest budget: rows of the supply over
    dimensions of the embedding, and the share of rows the budget could show once.
    """
    options = run.config.score[name]
    before = run.earlier.entry(stage(name)) if run.earlier else {}
    if options.get("keep") == difficulty.THEORY and "keep" in before:
        return {**options, "keep": before["keep"]}, {k: before[k] for k in ("keep", "reason")}
    keep = options.get("keep", "")
    if keep == difficulty.THEORY:
        rows = sum(run.view().rows(s.name) for s in run.cut("supply"))
        plan = run.config.plan
        seen = costs.about(max(plan.budgets), plan.terms, rows, plan.max_epochs)
        share = min(1.0, max(seen, 1) / max(rows, 1))
        advice = pruning.advise(rows / _dimension(run), share)
        keep = "hard" if advice.strategy == "hard" else "easy"
        return {**options, "keep": keep}, {"keep": keep, "reason": advice.reason}
    default = getattr(scorers.find(name), "keep", None)
    if default not in get_args(difficulty.Keep):
        return options, {}
    why = "The run file says so." if keep else "The default; pilots try every tier all the same."
    return options, {"keep": str(keep or default), "reason": why}


def _dimension(run: session.Session) -> int:
    """Of the embeddings."""
    found = int(run.entry("embed")["dimension"])
    if not found:
        raise errors.PlanError("keep: theory needs rows", where=run.root, why="the supply is empty")
    return found


def _places(run: session.Session, name: str) -> dict[str, str]:
    """Where in the run folder a fitted scorer's artifacts are, by the field that wants them."""
    if name not in FITTED:
        return {}
    taken = {} if FITTED[name].given else run.taken(stage(name))
    if taken:
        return taken
    shared = FITTED[name].shared or name
    made = run.digest(shared, VERSION, _part(run, name) or None, FITTED[name].needs)
    folder = storage.join(ARTIFACTS, f"{shared}-{made[:16]}")
    return {field: storage.join(folder, file) for field, file in FITTED[name].files.items()}


def _part(run: session.Session, name: str) -> list[object]:
    """What a scorer's digest depends on beside its options and the rows of the run."""
    if name not in FITTED:
        return []
    entry = FITTED[name]
    looks = guard.part(run) if "target" in entry.files else []
    return [*looks, *(entry.part(run) if entry.part else [])]


def _scores_of(run: session.Session, name: str) -> list[str]:
    """The scorers whose columns a scorer reads; they run before it.

    Raises:
      ConfigError: one of them is not configured.
    """
    reads = scorers.build(name, run.config.score[name]).reads
    found = [column.partition(":")[2] for column in reads if ":" in column]
    for other in found:
        if other not in run.config.score:
            raise errors.ConfigError(
                f"score.{name} reads the score '{other}'", remedy=f"add {other} to `score`"
            )
    return found


def needs(reads: Iterable[str]) -> list[str]:
    """Stages that write what a scorer or selector reads.

    Raises:
      ConfigError: no stage writes one of the columns.
    """
    vectors = (columns.EMBEDDING, *embeddings.PAIR)
    homes = {
        **dict.fromkeys(vectors, "embed"),
        columns.CLUSTER: "cluster",
        columns.COSINE: "cluster",
    }
    strange = [c for c in reads if not view.has(c)]
    if strange:
        raise errors.ConfigError(
            f"a scorer reads the column {strange[0]!r}, which no stage writes",
            remedy="take the scorer out of `score`",
        )
    read = {homes[c] for c in reads if c in homes}
    return ["ingest", *sorted(read | {c for c in reads if c.startswith("score:")})]


def _shown(run: session.Session, reads: Iterable[str]) -> None:
    """Raise unless every source declares the images that a scorer reads."""
    silent = [n for n, s in run.config.sources.items() if not s.columns().image]
    if columns.IMAGE in reads and silent:
        raise errors.ConfigError(
            f"a scorer reads the column {columns.IMAGE!r}, which no stage writes",
            why=f"source {silent[0]!r} declares none",
            remedy="name it in the source, image: ..., or take the scorer out of `score`",
        )


def _class_means(run: session.Session, paths: dict[str, str]) -> None:
    """Supervised prototypes: the mean embedding of each class of the supply."""
    fold = folds.ClassMeans()
    reads = (columns.LABEL, columns.EMBEDDING)
    labels, means, _ = folding.fold(run, "class-means", fold, reads, run.cut("supply"))
    artifacts.write(paths["means"], means)
    named = json.dumps([str(label) for label in labels])
    storage.write_atomic(paths["labels"], named.encode())


def _target(run: session.Session, paths: dict[str, str]) -> None:
    artifacts.write(paths["target"], pool.vectors(run, "score.target_similarity"))


_PROBE = fitted.Fitted(
    {"weights": "weights.npy", "labels": "labels.json"}, fits.probe, fits.seed, "probe"
)
_RIDGE = {
    "inverse": "inverse.npy",
    "coefficients": "coefficients.npy",
    "labels": "labels.json",
}
_TARGET = {"target": "target.npy", "target_classes": "target_classes.npy"}

FITTED = {
    **dict.fromkeys(scorers.PROBES, _PROBE),
    "memorization": fitted.Fitted(_RIDGE, fits.ridge_classifier, shared="ridge"),
    "influence": fitted.Fitted(_RIDGE | _TARGET, fits.influence),
    "recorded": fitted.Fitted(
        {"uid": "uid.npy", "value": "value.npy"}, fits.copied, fits.contents, given=True
    ),
    "supervised_prototypes": fitted.Fitted(
        {"means": "means.npy", "labels": "labels.json"}, _class_means
    ),
    "target_similarity": fitted.Fitted({"target": "target.npy"}, _target),
    "transport_potential": fitted.Fitted(
        {"target": "target.npy", "potential": "potential.npy"}, potential.fit, potential.part
    ),
    **pool_facts.FITTED,
    **evaluations.FITTED,
}


class Score(beam.DoFn):
    """Span to one scorer's sidecars."""

    def __init__(self, seen: view.View, inputs: str, scorer: protocol.Scorer) -> None:
        self._view, self._inputs, self._scorer = seen, inputs, scorer

    def setup(self) -> None:
        with engine.carried():
            self._scorer.setup()

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            parts: dict[str, list[np.ndarray]] = {s.name: [] for s in span.shards}
            reads = (*self._scorer.reads, columns.ROW)
            for shard, batch in self._view.batches(span, reads):
                parts[shard.name].append(self._values(shard, batch))
            for shard in span.shards:
                x = np.concatenate([np.zeros(0, np.float32), *parts[shard.name]])
                table = pa.Table.from_arrays([pa.array(x)], schema=scores.SCHEMA)
                folder = scores.folder(self._scorer.name)
                self._view.commit(folder, shard.name, table, self._inputs)
                yield shard.name

    def _values(self, shard: shards.Shard, batch: pa.RecordBatch) -> np.ndarray:
        x = self._scorer.score(batch)
        bad = np.flatnonzero(~np.isfinite(x))
        if len(bad):
            row = batch.column(columns.ROW)[int(bad[0])].as_py()
            raise errors.ArtifactError(
                f"scorer '{self._scorer.name}' gave {x[bad[0]]}",
                where=f"{shard.file.path}:{row}",
                why="a score must be finite; nothing is repaired",
                remedy="mend the scorer, or take the row out",
            )
        return x
