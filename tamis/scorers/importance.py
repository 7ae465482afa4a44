"""How much likelier is a text under the target than under the pool?

    log w(z) = sum_b z_b (log p_b - log q_b)

The importance weight of DSIR (Xie et al. 2023, Data selection for language models via importance
resampling, §3). z counts the hashed unigrams and bigrams of a text in 10,000 buckets; p and q are
the shares of each bucket in target and pool, of words and punctuation in lower case. The paper
resamples with probability proportional to w; taking the top k of log w plus Gumbel noise does that.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors
from tamis.schemas import columns
from tamis.scorers import fitted, grams

# Log ratios in fixed point: sums of integers have no order. |log ratio| stays below 2^6, so a text
# of 2^25 n-grams still fits.
_UNIT = 2.0**32


def buckets(
    text: pa.Array, size: int, longest: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The text and the bucket of every n-gram of 1 to `longest` words, and how many texts.

    Order is by length, then text. Each of the two arrays has shape (g,).
    """
    words = grams.tokens(text)
    found = [grams.of(words, n) for n in range(1, longest + 1)]
    hashed = np.concatenate([h for _, h in found])
    of = np.concatenate([o for o, _ in found])
    return of, (hashed % np.uint64(size)).astype(np.int64), words.texts


def log_ratio(
    target: NDArray[np.int64], pool: NDArray[np.int64], smoothing: float
) -> NDArray[np.int64]:
    """Log-ratio log p - log q of each bucket in units of 2^-32, from counts of shape (b,).

    Additive smoothing (Laplace): the authors' code adds 1e-8 to a share instead, by which one word
    the target has not weighs as much as e^18, whatever the target's size; a count of `smoothing`
    weighs what a sample of that size can tell.
    """
    p, q = target + smoothing, pool + smoothing
    ratio = np.log(p) - np.log(p.sum()) - np.log(q) + np.log(q.sum())
    return np.rint(ratio * _UNIT).astype(np.int64)


def log_weight(
    text: pa.Array, ratio: NDArray[np.int64], *, longest: int, mean: bool = False
) -> NDArray[np.float32]:
    """The log importance weight of each text (n,); 0 for a text without words.

    Time O(words), memory some 100 bytes a word of the batch.

    Args:
      text: (large_)string.
      ratio: Of `log_ratio`.
      longest: Words of the longest n-gram.
      mean: Divide by the number of n-grams, so that length does not matter.
    """
    of, bucket, texts = buckets(text, len(ratio), longest)
    order = np.argsort(of, kind="stable")
    total = grams.total(of[order], ratio[bucket][order], texts)
    weight = total / _UNIT
    if mean:
        weight /= np.maximum(np.bincount(of, minlength=texts), 1)
    return weight.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class BucketCounts:
    """Fold: n-grams in each bucket, shape (size,). Memory O(size).

    Attributes:
      size: Buckets.
      longest: Words of the longest n-gram.
    """

    size: int
    longest: int

    def zero(self) -> NDArray[np.int64]:
        return np.zeros(self.size, np.int64)

    def add(self, state: NDArray[np.int64], batch: pa.RecordBatch) -> NDArray[np.int64]:
        _, bucket, _ = buckets(batch.column(columns.TEXT), self.size, self.longest)
        return state + np.bincount(bucket, minlength=self.size)

    def merge(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        return a + b

    def result(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        return state


@dataclasses.dataclass(frozen=True)
class Importance(fitted.Fitted):
    """Log importance weight of a text for the target. Memory O(buckets) a worker.

    Attributes:
      ratio: Path of an `.npy`, shape (buckets,) int64, of `log_ratio`.
      buckets: As in the paper.
      longest: Words of the longest n-gram; 2 as in the paper.
      smoothing: Added to every count.
      mean: Per n-gram. Off is the paper's weight, a sum, which is largest in size for long texts;
        for a ranking of texts of unlike lengths the mean is the better (`docs/scorers.md`).
      name: Of the sidecar.
    """

    ratio: str
    buckets: int = 10_000
    longest: int = 2
    smoothing: float = 1.0
    mean: bool = False
    name: str = "importance"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        if self.buckets < 1 or self.longest < 1 or not 0 < self.smoothing < np.inf:
            raise errors.ConfigError(
                f"buckets {self.buckets}, longest {self.longest}, smoothing {self.smoothing}",
                remedy="set each above 0",
            )

    @functools.cached_property
    def _artifact(self) -> NDArray[np.int64]:
        ratio = np.array(artifacts.read(self.ratio))
        if ratio.shape != (self.buckets,):
            raise errors.ArtifactError(
                f"log ratios of shape {ratio.shape} for {self.buckets} buckets",
                where=self.ratio,
                remedy="delete it and run the stage again",
            )
        return ratio

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        text = batch.column(columns.TEXT)
        return log_weight(text, self._artifact, longest=self.longest, mean=self.mean)
