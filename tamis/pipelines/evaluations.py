"""Artifacts of the contamination scorers: evaluation texts from a file of the user's."""

import numpy as np
import pyarrow as pa

from tamis import artifacts, embedders, errors, nearest, sources
from tamis.pipelines import fitted, session
from tamis.schemas import columns, shards
from tamis.scorers import contamination


def write_grams(run: session.Session, paths: dict[str, str]) -> None:
    """The n-grams of the evaluation texts."""
    scorer = fitted.scorer(run, "contamination")
    text = _texts(run, scorer.against, scorer.column)
    found = contamination.evaluation(text, scorer.n or contamination.default_n(text))
    if not found.size.any():
        raise errors.ConfigError(
            f"no evaluation text has {int(found.n)} words, so none can be found",
            where=scorer.against,
            remedy="set a smaller n",
        )
    artifacts.write_all(paths["grams"], **found._asdict())


def write_vectors(run: session.Session, paths: dict[str, str]) -> None:
    """The evaluation texts, embedded as the run embeds."""
    scorer = fitted.scorer(run, "near_contamination")
    if run.config.embed.backend == "precomputed" or run.config.embed.content != "text":
        raise errors.ConfigError(
            "score.near_contamination needs a model to embed the evaluation texts",
            why="embed.backend is precomputed, or it is not texts that are embedded",
            remedy="leave the embedding to tamis, or use score.contamination",
        )
    model = embedders.load(run.config.embed)
    x = model(_texts(run, scorer.against, scorer.column).to_pylist())
    artifacts.write(paths["evaluation"], nearest.unit(x).astype(np.float32))


def _texts(run: session.Session, against: str, column: str) -> pa.Array:
    """The evaluation texts, in the order of their files; rows without a text are left out.

    Raises:
      ConfigError: there is none.
    """
    named = sources.Source("against", "target", (against,), shards.Columns(text=column))
    longest, found = run.config.ingest.max_text_bytes, [pa.array([], pa.large_string())]
    for i, file in enumerate(sources.expand(named)):
        sources.check(file)
        for span in sources.spans(sources.shards(file, i)):
            blocks = sources.read(span, (columns.TEXT,), max_text_bytes=longest)
            found += [b.batch.column(columns.TEXT).cast(pa.large_string()) for b in blocks]
    text = pa.concat_arrays(found)
    if not len(text):
        raise errors.ConfigError("there is no evaluation text", where=against)
    return text


FITTED = {
    "contamination": fitted.Fitted(
        {"grams": "grams.npz"},
        write_grams,
        fitted.part("contamination", "against", "column", "n", reads="against"),
        needs=("ingest",),
        given=True,
    ),
    "near_contamination": fitted.Fitted(
        {"evaluation": "evaluation.npy"},
        write_vectors,
        fitted.part("near_contamination", "against", "column", reads="against"),
        given=True,
    ),
}
