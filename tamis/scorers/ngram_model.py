"""A word n-gram model of the target, made by counting: the cheap perplexity.

    p(w | h) = (c(h w) + N(h) p(w | h')) / (c(h) + N(h))

Witten and Bell (1991) interpolation: c counts, N(h) is how many different words follow h, h' is h
without its first word, and below the empty history every word has 1 / (V + 1) for V known words.
Counts are a fold, so nothing but the text is needed; Kneser-Ney smoothing predicts better (Chen and
Goodman 1999), and a model that KenLM made has it (`perplexity`). CCNet (Wenzek et al. 2020) ranks
web pages so, by a model of Wikipedia.
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, seeding
from tamis.schemas import columns
from tamis.scorers import difficulty, fitted, grams, perplexity

# Log-probabilities in fixed point: sums of integers have no order.
_UNIT = 2.0**32
_START = np.uint64(0x5374617274)  # the word before a text's first


class Counts(NamedTuple):
    """How often each n-gram occurs, of every length up to the model's.

    Attributes:
      gram: Shape (g,) uint64, hashes, ascending.
      history: Shape (g,) uint64, the hash of the gram without its last word.
      times: Shape (g,).
    """

    gram: NDArray[np.uint64]
    history: NDArray[np.uint64]
    times: NDArray[np.int64]


class _Words(NamedTuple):
    """The text of each word (p,), its hash, and the hashes of its histories (order, p)."""

    of: NDArray[np.int64]
    word: NDArray[np.uint64]
    histories: NDArray[np.uint64]


def _words(text: pa.Array, order: int) -> _Words:
    """Every word of each text after up to `order` - 1 words, the start of the text standing in."""
    tokens = grams.tokens(text)
    named = grams.hashes(tokens.distinct)[tokens.code]
    place = np.arange(len(named)) + (order - 1) * (tokens.of + 1)
    padded = np.full(len(named) + (order - 1) * tokens.texts, _START)
    padded[place] = named
    histories = np.empty((order, len(named)), np.uint64)
    for n in range(order):
        hashed = np.full(len(named), n, np.uint64)
        for back in range(n, 0, -1):
            hashed = seeding.mix(hashed ^ padded[place - back])
        histories[n] = hashed
    return _Words(tokens.of, named, histories)


def count(text: pa.Array, order: int) -> Counts:
    """The n-grams of 1 to `order` words of some texts. Time O(w log w), memory O(w order)."""
    found = _words(text, order)
    history = found.histories.ravel()
    gram = seeding.mix(history ^ np.tile(found.word, order))
    return _summed(gram, history, np.ones(len(gram), np.int64))


def _summed(
    gram: NDArray[np.uint64], history: NDArray[np.uint64], counts: NDArray[np.int64]
) -> Counts:
    order = np.argsort(gram)
    gram, counts = gram[order], counts[order]
    first = np.flatnonzero(
        np.concatenate([np.ones(min(len(gram), 1), bool), gram[1:] != gram[:-1]])
    )
    total = np.add.reduceat(counts, first) if len(first) else counts
    return Counts(gram[first], history[order][first], total)


class Model:
    """A `perplexity.LanguageModel` of counts. Memory O(n-grams); about a million words a second."""

    def __init__(self, counts: Counts, order: int) -> None:
        self._counts, self._order = counts, order
        self._history, at, kinds = np.unique(
            counts.history, return_inverse=True, return_counts=True
        )
        self._kinds = kinds
        self._total = np.zeros(len(kinds), np.int64)
        np.add.at(self._total, at, counts.times)

    def __call__(self, text: pa.Array) -> perplexity.Likelihood:
        """Of words and punctuation in lower case; a text without any is one unknown word."""
        found = _words(text, self._order)
        logs = np.rint(np.log(self.probability(found.word, found.histories)) * _UNIT)
        sums = grams.total(found.of, logs.astype(np.int64), len(text)) / _UNIT
        words = np.bincount(found.of, minlength=len(text))
        flat = np.log(self._flat)
        return perplexity.Likelihood(np.where(words > 0, sums, flat), np.maximum(words, 1))

    @property
    def _flat(self) -> float:
        """The probability of a word that nothing is known of."""
        known = _looked_up(self._history, self._kinds, np.zeros(1, np.uint64))[0]
        return 1.0 / (known + 1)

    def probability(
        self, word: NDArray[np.uint64], histories: NDArray[np.uint64]
    ) -> NDArray[np.float64]:
        """The module's equation from the shortest history up: shape (p,), 0..1.

        Args:
          word: Shape (p,), hashes.
          histories: Shape (order, p): hashes of the last 0, 1, ... words before it.
        """
        p = np.full(len(word), self._flat)
        for history in histories:
            c = _looked_up(self._counts.gram, self._counts.times, seeding.mix(history ^ word))
            total = _looked_up(self._history, self._total, history)
            kinds = _looked_up(self._history, self._kinds, history)
            seen = total > 0
            p[seen] = ((c + kinds * p) / np.maximum(total + kinds, 1))[seen]
        return p


def _looked_up(
    keys: NDArray[np.uint64], values: NDArray[np.int64], wanted: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The value of each key, 0 where it is not among the ascending `keys`."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


@dataclasses.dataclass(frozen=True)
class Counting:
    """Fold: `count` of a column of texts. Memory O(distinct n-grams): meant for a target.

    Attributes:
      order: Words of the longest n-gram.
    """

    order: int

    def zero(self) -> Counts:
        return Counts(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.int64))

    def add(self, state: Counts, batch: pa.RecordBatch) -> Counts:
        return self.merge(state, count(batch.column(columns.TEXT), self.order))

    def merge(self, a: Counts, b: Counts) -> Counts:
        return _summed(*(np.concatenate(pair) for pair in zip(a, b, strict=True)))

    def result(self, state: Counts) -> Counts:
        return state


@dataclasses.dataclass(frozen=True)
class NgramModel(fitted.Fitted):
    """Perplexity under a model of the target. Memory O(n-grams of the target) a worker.

    Attributes:
      counts: Path of an `.npz` that holds `Counts`.
      order: Words of the longest n-gram; 3 for targets of up to some million words.
      keep: As for `perplexity`.
      name: Of the sidecar.
    """

    counts: str
    order: int = 3
    keep: difficulty.Keep = "easy"
    name: str = "ngram_model"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)
        if self.order < 1:
            raise errors.ConfigError(f"order is {self.order}", remedy="set it to 1 or more")

    @functools.cached_property
    def _artifact(self) -> Model:
        counts = Counts(*artifacts.read_all(self.counts, Counts._fields))
        return Model(counts, self.order)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        found = perplexity.log_perplexity(self._artifact(batch.column(columns.TEXT)))
        return difficulty.oriented(found, self.keep)
