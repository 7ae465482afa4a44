"""Contamination: how much of an evaluation text does a row give away?

    overlap(row) = max over evaluation texts e of |grams(row) & grams(e)| / |grams(e)|

Grams are the distinct n-grams of words in lower case without punctuation. Brown et al. (2020,
GPT-3, appendix C) call a text dirty at one shared n-gram, with n the 5th percentile of the
evaluation texts' lengths held within 8..13; Chowdhery et al. (2022, PaLM, §8) at 70 % of 8-grams.
The score is the share itself, negated, so that either rule is a threshold on it: -0.0 is clean.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors
from tamis.schemas import columns
from tamis.scorers import fitted, grams

SHORTEST, LONGEST = 8, 13  # Brown et al. (2020)


class Evaluation(NamedTuple):
    """The grams of a set of evaluation texts.

    Attributes:
      n: Words of a gram, shape ().
      gram: Shape (g,) uint64, ascending; a gram of two texts stands twice.
      text: Shape (g,), whose it is.
      size: Shape (t,), distinct grams of each text; 0 where it has fewer than n words, so that
        nothing can be found of it.
    """

    n: NDArray[np.int64]
    gram: NDArray[np.uint64]
    text: NDArray[np.int64]
    size: NDArray[np.int64]


class Evidence(NamedTuple):
    """What a row shares.

    Attributes:
      overlap: Shape (n,) float32, 0..1.
      text: Shape (n,), the evaluation text it shares most of, the first of equals; -1 for none.
    """

    overlap: NDArray[np.float32]
    text: NDArray[np.int64]


def default_n(text: pa.Array) -> int:
    """The 5th percentile of the texts' words, within 8..13 (Brown et al. 2020, appendix C)."""
    words = grams.bare(text)
    lengths = words.count(np.ones(len(words.of), np.int64))
    return int(np.clip(np.percentile(lengths, 5), SHORTEST, LONGEST)) if len(text) else SHORTEST


def evaluation(text: pa.Array, n: int) -> Evaluation:
    """The grams to look for. Time O(w log w), memory some 100 bytes a word."""
    of, hashed = grams.distinct(*grams.of(grams.bare(text), n))
    order = np.lexsort((of, hashed))
    size = np.bincount(of, minlength=len(text))
    return Evaluation(np.array(n), hashed[order], of[order], size)


def evidence(text: pa.Array, against: Evaluation) -> Evidence:
    """The overlap of each text, and with which evaluation text.

    Time O(w log g) for w words, plus the matches; memory some 100 bytes a word of the batch.
    """
    of, hashed = grams.distinct(*grams.of(grams.bare(text), int(against.n)))
    first = np.searchsorted(against.gram, hashed, "left")
    hits = np.searchsorted(against.gram, hashed, "right") - first
    row, at = np.repeat(of, hits), np.repeat(first, hits) + grams.counted(hits)
    texts = max(len(against.size), 1)
    pair, shared = np.unique(row * texts + against.text[at], return_counts=True)
    row, which = pair // texts, pair % texts
    overlap = shared / against.size[which]
    best = np.lexsort((which, -overlap, row))
    best = best[np.flatnonzero(np.diff(row[best], prepend=-1))]
    found = Evidence(np.zeros(len(text), np.float32), np.full(len(text), -1))
    found.overlap[row[best]], found.text[row[best]] = overlap[best], which[best]
    return found


@dataclasses.dataclass(frozen=True)
class Contamination(fitted.Fitted):
    """Minus the overlap, -1..0. Memory O(evaluation words) a worker.

    Attributes:
      grams: Path of an `.npz` that holds an `Evaluation`.
      against: Path of a file of evaluation texts: Parquet, JSON lines or CSV.
      column: Its column of texts.
      n: Words of a gram; default as in GPT-3.
      name: Of the sidecar.
    """

    grams: str
    against: str
    column: str = "text"
    n: int | None = None
    name: str = "contamination"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 1:
            raise errors.ConfigError(
                f"n is {self.n}", remedy="set n to 1 or more; 8 to 13 is usual"
            )

    @functools.cached_property
    def _artifact(self) -> Evaluation:
        return Evaluation(*artifacts.read_all(self.grams, Evaluation._fields))

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        return -evidence(batch.column(columns.TEXT), self._artifact).overlap
