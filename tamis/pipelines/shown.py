"""Sources that are no part of a run and show a few rows: where those lie in its terms."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import embedders, errors, folds, linalg, sources
from tamis.pipelines import ingest, measures, session
from tamis.schemas import columns, embeddings, intake, shards
from tamis.selectors import projektor


def placed(
    run: session.Session, found: measures.Places, shown: Mapping[str, intake.Source]
) -> projektor.Geometry:
    """The geometry of a run with further sources in it: over the prototypes it has.

    Args:
      run: With embeddings.
      found: Where the run's own strata lie.
      shown: What the further sources show, by name.

    Raises:
      ConfigError: a sample is not embedded as the run is.
      SchemaError: a sample has no good row, or vectors of another width.
    """
    new = {n: _measure(run, n, source, found.prototypes) for n, source in shown.items()}
    return found.geometry.beside(new)


def _measure(
    run: session.Session, name: str, source: intake.Source, prototypes: projektor.Prototypes
) -> projektor.Measure:
    x, width = _vectors(run, name, source), prototypes.x.shape[1]
    if x.shape[1] != width:
        raise errors.SchemaError(
            f"vectors of dimension {x.shape[1]}, but {width} in the run",
            where=f"sample of {name}",
            remedy="embed the sample with the model that the run was embedded with",
        )
    return projektor.Measure.of(x, prototypes)


def _vectors(run: session.Session, name: str, source: intake.Source) -> NDArray[np.float32]:
    """Of at most as many rows as of a source of the run, as its sidecars would hold them."""
    section = run.config.embed
    given = section.backend == "precomputed"
    content = columns.EMBEDDING if given else columns.TEXT
    _refuse_silent(name, source, given=given)
    unlabelled = source.model_copy(update={"label": ""})
    drawn = _drawn(run, ingest.declared(name, "supply", unlabelled), content)
    if given:
        x = embeddings.matrix(drawn.column(content))
    else:
        x = embedders.load(section)(drawn.column(content).to_pylist())
    return linalg.unit(x).astype(section.dtype).astype(np.float32)


def _refuse_silent(name: str, source: intake.Source, *, given: bool) -> None:
    if not (source.embedding or source.vectors if given else source.text):
        raise errors.ConfigError(
            f"the sample of {name} names no `{'embedding' if given else 'text'}`",
            why=f"the run's embeddings are {'precomputed' if given else 'made from texts'}",
            remedy="name the column in the run file, under `offers`",
        )


def _drawn(run: session.Session, source: sources.Source, content: str) -> pa.Table:
    """The rows with the smallest hash of their uid, of the good ones in all files."""
    fold = folds.BottomK(measures.ROWS, (content,), run.seed, (f"measure-{source.name}",))
    state, longest = fold.zero(), run.config.ingest.max_text_bytes
    for i, file in enumerate(sources.expand(source)):
        sources.check(file)
        dimension = sources.dimension(file) if content == columns.EMBEDDING else 0
        for span in sources.spans(sources.shards(file, i)):
            for block in sources.read(
                span, _wants(file, content), dimension=dimension, max_text_bytes=longest
            ):
                uid = sources.uids(file, block.batch)
                state = fold.add(state, block.batch.append_column(columns.UID, uid))
    drawn = fold.result(state)
    if not drawn.num_rows:
        raise errors.SchemaError(
            "the sample has no good row",
            where=", ".join(source.paths),
            why=f"{source.name} is placed by what it shows",
            remedy="show some of its rows, a hundred or more",
        )
    return drawn


def _wants(file: shards.File, content: str) -> tuple[str, ...]:
    """What names a row, and what it says."""
    return tuple(dict.fromkeys((*sources.naming(file), content)))
