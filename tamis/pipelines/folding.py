"""Run a fold over the accepted rows of the run: one CombineFn for all of them."""

import io
import json
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tamis import folds, storage
from tamis.pipelines import coders, engine, session, view
from tamis.schemas import shards

FOLDER = "folds"


def fold(
    run: session.Session,
    name: str,
    what: folds.Fold,
    reads: tuple[str, ...],
    cut: list[shards.Shard],
) -> Any:  # noqa: ANN401 - whatever the fold's result is: a table, a dict or a tuple of arrays
    """The fold of every accepted row of `cut`.

    Batches meet their state on the worker that read them; only states, whose size the fold
    bounds, travel.

    Args:
      run: The session.
      name: Of the step, for progress and error messages.
      what: The fold; it travels to the workers, so it must be small.
      reads: Columns its batches have.
      cut: The shards.
    """
    where = storage.join(run.root, FOLDER, name)
    seen = run.view()

    def build(pipeline: beam.Pipeline) -> object:
        return (
            session.spans(pipeline, cut)
            | "read" >> beam.ParDo(Read(seen, reads)).with_output_types(pa.RecordBatch)
            | name >> beam.CombineGlobally(Combine(what))
            | "keep" >> beam.Map(_save, where)
        )

    run.execute(build)
    result = _load(where)
    storage.remove_tree(where)
    return result


class Read(beam.DoFn):
    """Span to the batches of its accepted rows."""

    def __init__(self, seen: view.View, reads: tuple[str, ...]) -> None:
        self._view, self._reads = seen, reads

    def process(self, span: shards.Span) -> Iterable[pa.RecordBatch]:
        with engine.carried():
            for _, batch in self._view.batches(span, self._reads):
                yield batch


class Combine(beam.CombineFn):
    """A `Fold` as Beam knows it."""

    def __init__(self, what: folds.Fold) -> None:
        self._fold = what

    def create_accumulator(self) -> Any:  # noqa: ANN401
        return self._fold.zero()

    def add_input(self, state: Any, batch: pa.RecordBatch) -> Any:  # noqa: ANN401
        with engine.carried():
            return self._fold.add(state, batch)

    def merge_accumulators(self, states: Iterable[Any]) -> Any:  # noqa: ANN401
        merged = self._fold.zero()
        for state in states:
            merged = self._fold.merge(merged, state)
        return merged

    def extract_output(self, state: Any) -> Any:  # noqa: ANN401
        return self._fold.result(state)


def _save(result: Any, where: str) -> None:  # noqa: ANN401
    """Results come back by file: an arbitrary runner hands nothing else to the launcher."""
    sink = io.BytesIO()
    if isinstance(result, pa.Table):
        sink.write(b"T")
        with pa.ipc.new_stream(sink, result.schema) as writer:
            writer.write_table(result)
    elif isinstance(result, dict):  # counts: a tuple of values to a number, or to several
        sink.write(b"J" + json.dumps([[*k, v] for k, v in result.items()]).encode())
    else:  # an array, or a NamedTuple of arrays
        sink.write(b"A")
        fields = (result,) if isinstance(result, np.ndarray) else result
        np.savez(sink, *(np.asarray(f) for f in fields))
    with engine.carried():
        storage.write_atomic(where, sink.getvalue())


def _load(where: str) -> Any:  # noqa: ANN401
    """A table, a dict, or a tuple of arrays."""
    data = storage.read_bytes(where)
    kind, body = data[:1], data[1:]
    if kind == b"T":
        with pa.ipc.open_stream(body) as reader:
            return reader.read_all()
    if kind == b"J":
        pairs = [(tuple(item[:-1]), item[-1]) for item in json.loads(body)]
        return {k: tuple(v) if isinstance(v, list) else v for k, v in pairs}
    with np.load(io.BytesIO(body), allow_pickle=False) as saved:
        return tuple(saved[name] for name in saved.files)


coders.register()
