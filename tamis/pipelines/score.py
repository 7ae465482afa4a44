"""Score: one float32 per row and scorer, each in a folder of its own."""

import dataclasses
import json
from collections.abc import Callable, Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import artifacts, errors, folds, scorers, storage
from tamis.pipelines import engine, folding, guard, keep, session, view
from tamis.schemas import columns, embeddings, index, scores, shards
from tamis.scorers import protocol

VERSION = 1
ARTIFACTS = "artifacts"


def score(run: session.Session) -> None:
    """Write the sidecar of every configured scorer: adding one later adds a folder.

    Raises:
      ConfigError: a scorer is unknown or its options are wrong.
    """
    for name in run.config.score:
        _score(run, name)


def stage(name: str) -> str:
    """The ledger's name for a scorer's stage."""
    return f"score:{name}"


def _score(run: session.Session, name: str) -> None:
    decision = keep.decided(run, run.config.score[name])
    options = {**run.config.score[name], **({keep.OPTION: decision.keep} if decision else {})}
    paths = _paths(run, name)
    scorer = scorers.build(name, options, paths)
    part = [name, options, *_guarded(run, name)]
    inputs = run.digest(stage(name), VERSION, part, _needs(scorer.reads))
    cut = run.cut("supply")

    def apply(spans: beam.PCollection) -> object:
        if name in FITTED and not all(storage.exists(url) for url in paths.values()):
            FITTED[name].fit(run, paths)
        return spans | name >> beam.ParDo(Score(run.view(), inputs, scorer))

    facts = decision._asdict() if decision else {}
    run.per_shard(stage(name), inputs, (scores.folder(name),), apply, cut, lambda _: facts)


def _paths(run: session.Session, name: str) -> dict[str, str]:
    """Where the artifacts of a fitted scorer are, by the field that wants the path."""
    if name not in FITTED:
        return {}
    part = _guarded(run, name) or None
    made = run.digest(name, VERSION, part, ["ingest", "embed"])
    folder = storage.join(run.root, ARTIFACTS, f"{name}-{made[:16]}")
    return {field: storage.join(folder, file) for field, file in FITTED[name].files.items()}


def _guarded(run: session.Session, name: str) -> list[object]:
    """What the guard adds to the digest of a scorer that looks at the target."""
    return guard.part(run) if "target" in (FITTED[name].files if name in FITTED else {}) else []


def _needs(reads: tuple[str, ...]) -> list[str]:
    """Stages that write what a scorer reads."""
    homes = {columns.EMBEDDING: "embed", columns.CLUSTER: "cluster", columns.COSINE: "cluster"}
    return ["ingest", *sorted({homes[c] for c in reads if c in homes})]


def _class_means(run: session.Session, paths: dict[str, str]) -> None:
    """Supervised prototypes: the mean embedding of each class of the supply."""
    fold = folds.ClassMeans()
    reads = (columns.LABEL, columns.EMBEDDING)
    labels, means, _ = folding.fold(run, "class-means", fold, reads, run.cut("supply"))
    artifacts.write(paths["means"], means)
    named = json.dumps([str(label) for label in labels])
    storage.write_atomic(paths["labels"], named.encode())


def _target(run: session.Session, paths: dict[str, str]) -> None:
    """The target's embeddings, in input order."""
    seen = run.view()
    half = guard.halves(run)[0]
    cut = [shard for shard in run.cut("target") if seen.rows(shard.name)]
    if not cut:
        raise errors.ConfigError(
            "score.target_similarity needs a target", remedy="add a `target` to the run file"
        )
    parts = []
    for shard in cut:
        x = embeddings.matrix(seen.table(shard.name, embeddings.FOLDER)[embeddings.EMBEDDING])
        names = seen.table(shard.name, index.FOLDER, [columns.UID])[columns.UID]
        parts.append(x[half.of(names)] if half else x)
    artifacts.write(paths["target"], np.concatenate(parts))


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A scorer that needs artifacts.

    Attributes:
      files: Field that wants a path, and the file's name.
      fit: Writes them, given the paths by field.
    """

    files: dict[str, str]
    fit: Callable[[session.Session, dict[str, str]], None]


FITTED = {
    "supervised_prototypes": Fitted({"means": "means.npy", "labels": "labels.json"}, _class_means),
    "target_similarity": Fitted({"target": "target.npy"}, _target),
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
