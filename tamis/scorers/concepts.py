"""Concepts: which of a list of words and phrases a text names, and how often the pool names them.

    P(keep) = 1 - prod over concepts e of a text (1 - p_e),     p_e = t / max(count_e, t)

MetaCLIP's balancing (Xu et al. 2023, Demystifying CLIP data, §3.3 and Algorithm 1): a text is kept
when one of its concepts draws it, and a concept that over t texts name draws each of them less.
A text that names no concept is never kept. `threshold` and `tail_share` are the authors' p_to_t and
t_to_p (MetaCLIP 2, Chuang et al. 2025): the share of mentions that belongs to rare concepts travels
between pools of unlike size, where t does not.

A text names a concept when the concept's words stand in it one after another, in any case, with
punctuation as white space. That is the authors' substring with a space on either side, found by
looking up every n-gram of the text: O(words) for each length that a concept has, whatever the
number of concepts. Forms of one concept stand on one line, `goose | geese`: a text that has any of
them names it. With `lemmas`, text and list are lemmatised first (as Udandarao et al. 2024 do).
"""

import dataclasses
import functools
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import artifacts, errors
from tamis.schemas import columns
from tamis.scorers import difficulty, fitted, grams
from tamis.scorers import lemmas as lemmatised

# Log-probabilities in fixed point: sums of integers have no order.
_UNIT = 2.0**32


class Entries(NamedTuple):
    """Concepts to look for; those with the same words are one.

    Attributes:
      gram: Shape (e,) uint64, hashes, ascending.
      concept: Shape (e,), the line of the list, the first of equals.
      entry: Shape (e,), the place in `gram` that stands for all forms of the concept.
      lengths: Shape (l,), the lengths in words that occur, ascending.
    """

    gram: NDArray[np.uint64]
    concept: NDArray[np.int64]
    entry: NDArray[np.int64]
    lengths: NDArray[np.int64]


def entries(concepts: pa.Array, lemmas: str = "") -> Entries:
    """From a list of words and phrases, shape (c,), each one form or several between bars.

    Args:
      concepts: The list.
      lemmas: Language by whose lemmas words are looked for; empty for the words as they stand.

    Raises:
      ConfigError: a form has no word, or there is no concept.
    """
    forms = pc.split_pattern(concepts, "|")
    line = pc.list_parent_indices(forms).to_numpy()
    words = lemmatised.of(grams.bare(forms.flatten()), lemmas)
    size = words.count(np.ones(len(words.of), np.int64))
    if not len(concepts) or not size.all():
        raise errors.ConfigError(
            f"concept {line[size.argmin()]} has no word" if len(concepts) else "no concepts",
            remedy="give one word or phrase a line, with | between forms of it",
        )
    lengths = np.unique(size)
    found = [grams.of(words, int(n)) for n in lengths]
    whole = [(h[size[o] == n], o[size[o] == n]) for n, (o, h) in zip(lengths, found, strict=True)]
    gram, first = np.unique(np.concatenate([h for h, _ in whole]), return_index=True)
    concept = line[np.concatenate([o for _, o in whole])[first]]
    _, place, same = np.unique(concept, return_index=True, return_inverse=True)
    return Entries(gram, concept, place[same], lengths)


def named(
    text: pa.Array, known: Entries, lemmas: str = ""
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The concepts of each text: its row, and their entry, each once.

    Sorted by row, then entry; both of shape (mentions,). Memory some 100 bytes a word. `lemmas` is
    that of the entries.
    """
    words, rows, places = lemmatised.of(grams.bare(text), lemmas), [], []
    for n in known.lengths:
        of, hashed = grams.of(words, int(n))
        at = np.minimum(np.searchsorted(known.gram, hashed), len(known.gram) - 1)
        hit = known.gram[at] == hashed
        rows.append(of[hit])
        places.append(known.entry[at[hit]])
    return grams.distinct(np.concatenate(rows), np.concatenate(places))


def tail_share(counts: NDArray[np.int64], t: int) -> float:
    """The share of all mentions whose concepts have fewer than t: the authors' t_to_p, 0..1."""
    return float(counts[counts < t].sum() / max(counts.sum(), 1))


def threshold(counts: NDArray[np.int64], share: float) -> int:
    """The t at which rare concepts hold `share` of all mentions: the authors' p_to_t.

    The largest count of which all smaller ones together hold less than `share`; at least 1.

    >>> threshold(np.array([1, 2, 3, 94]), 0.06), tail_share(np.array([1, 2, 3, 94]), 94)
    (3, 0.06)
    """
    ordered = np.sort(counts)
    below = np.cumsum(ordered) - ordered
    held = np.flatnonzero(below < share * ordered.sum())
    return max(int(ordered[held[-1]]), 1) if len(held) else 1


def keep_probability(
    row: NDArray[np.int64], entry: NDArray[np.int64], counts: NDArray[np.int64], t: int, rows: int
) -> NDArray[np.float32]:
    """Shape (rows,), 0..1: the module's equation.

    Args:
      row: Shape (mentions,), ascending.
      entry: Shape (mentions,), distinct within a row.
      counts: Shape (e,), texts that name each entry.
      t: The threshold, at least 1.
      rows: Texts.
    """
    p = t / np.maximum(counts, t)
    certain = p >= 1
    missed = np.rint(np.log1p(-np.where(certain, 0, p)) * _UNIT).astype(np.int64)
    log = grams.total(row, missed[entry], rows) / _UNIT
    always = grams.total(row, certain[entry], rows) > 0
    return np.where(always, 1.0, -np.expm1(log)).astype(np.float32)


def rarest(
    row: NDArray[np.int64], entry: NDArray[np.int64], counts: NDArray[np.int64], rows: int
) -> NDArray[np.float32]:
    """Shape (rows,): the base-10 logarithm of the count of each text's rarest concept.

    A text that names none counts as common: as the most frequent concept does. Udandarao et al.
    (2024, No zero-shot without exponential data) find accuracy on a concept linear in the logarithm
    of its frequency.

    Args:
      row: Shape (mentions,), ascending.
      entry: Shape (mentions,).
      counts: Shape (e,), texts that name each entry.
      rows: Texts.
    """
    found = np.full(rows, max(int(counts.max(initial=1)), 1))
    np.minimum.at(found, row, np.maximum(counts[entry], 1))
    return np.log10(found).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Mentions(fitted.Fitted):
    """Fold: how many texts name each entry, shape (e,). Memory O(e).

    Attributes:
      concepts: Path of an `.npz` that holds `Entries`.
      lemmas: Language of their lemmas; empty for the words as they stand.
    """

    concepts: str
    lemmas: str = ""

    @functools.cached_property
    def _artifact(self) -> Entries:
        return Entries(*artifacts.read_all(self.concepts, Entries._fields))

    def zero(self) -> NDArray[np.int64]:
        return np.zeros(len(self._artifact.gram), np.int64)

    def add(self, state: NDArray[np.int64], batch: pa.RecordBatch) -> NDArray[np.int64]:
        _, entry = named(batch.column(columns.TEXT), self._artifact, self.lemmas)
        return state + np.bincount(entry, minlength=len(state))

    def merge(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        return a + b

    def result(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        return state


class _Counted(NamedTuple):
    entries: Entries
    counts: NDArray[np.int64]


def _counted(entries: str, counts: str) -> _Counted:
    """The artifacts at two paths, which must be of one list."""
    found = Entries(*artifacts.read_all(entries, Entries._fields))
    counted = np.array(artifacts.read(counts))
    if counted.shape != found.gram.shape:
        raise errors.ArtifactError(
            f"{len(counted)} counts of {len(found.gram)} concepts",
            where=counts,
            remedy="delete both and run the stage again",
        )
    return _Counted(found, counted)


@dataclasses.dataclass(frozen=True)
class ConceptBalance(fitted.Fitted):
    """MetaCLIP's probability of keeping a text. Memory O(concepts) a worker.

    Attributes:
      entries: Path of an `.npz` that holds `Entries`.
      counts: Path of an `.npy`, shape (e,): how many texts of the pool name each.
      concepts: Path of the list, a UTF-8 text file with a concept a line, its forms between bars.
      t: The threshold; default the one at which rare concepts hold `tail` of all mentions.
      tail: About what t = 20,000 left to rare concepts in the 400 M set of Xu et al. (2023).
      lemmas: Language, as `en`: text and list by their lemmas. Empty for the words as they stand.
      name: Of the sidecar.
    """

    entries: str
    counts: str
    concepts: str
    t: int | None = None
    tail: float = 0.06
    lemmas: str = ""
    name: str = "concept_balance"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        if (self.t is not None and self.t < 1) or not 0 <= self.tail <= 1:
            raise errors.ConfigError(
                f"t is {self.t} and tail {self.tail}", remedy="set t >= 1, or tail within 0..1"
            )

    @functools.cached_property
    def _artifact(self) -> _Counted:
        return _counted(self.entries, self.counts)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        known, counts = self._artifact
        row, entry = named(batch.column(columns.TEXT), known, self.lemmas)
        t = self.t or threshold(counts, self.tail)
        return keep_probability(row, entry, counts, t, batch.num_rows)


@dataclasses.dataclass(frozen=True)
class ConceptFrequency(fitted.Fitted):
    """How common the rarest concept of a text is. Memory O(concepts) a worker.

    Attributes:
      entries: As for `ConceptBalance`, whose artifacts it shares.
      counts: Likewise.
      concepts: Path of the list.
      keep: `easy` scores texts of common concepts highest, `hard` those that name a rare one.
      lemmas: As for `ConceptBalance`.
      name: Of the sidecar.
    """

    entries: str
    counts: str
    concepts: str
    keep: difficulty.Keep = "hard"
    lemmas: str = ""
    name: str = "concept_frequency"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)

    @functools.cached_property
    def _artifact(self) -> _Counted:
        return _counted(self.entries, self.counts)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        known, counts = self._artifact
        row, entry = named(batch.column(columns.TEXT), known, self.lemmas)
        return difficulty.oriented(-rarest(row, entry, counts, batch.num_rows), self.keep)
