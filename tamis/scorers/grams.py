"""Texts as words, and words as 64-bit hashes, a column at a time.

Whatever a word alone decides is worked out for each distinct word and looked up, which is far fewer
than words. The hash of a word or of an n-gram depends on its bytes alone, so that artifacts made of
other texts can be looked up by it; two different ones collide as rarely as random numbers (m^2 /
2^65 among m).
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import seeding

# Runs of what is neither letter, digit nor white space stand alone, as in WordPunct tokenisers.
_PUNCTUATION = r"([^\pL\pN\pM_\s]+)"


@dataclasses.dataclass(frozen=True)
class Parts:
    """Texts cut into parts, words or lines.

    Attributes:
      of: Shape (p,), the text of each part, ascending.
      code: Shape (p,), the same number for the same part.
      distinct: The part of each code.
      texts: How many texts.
    """

    of: NDArray[np.int64]
    code: NDArray[np.int64]
    distinct: pa.Array
    texts: int

    def count(self, flags: NDArray) -> NDArray[np.int64]:
        """The sum over each text's parts of a number (p,), integer or boolean."""
        return total(self.of, flags, self.texts)

    def looked_up(self, of_distinct: pa.Array) -> NDArray:
        """A property of each distinct part, for every part."""
        return of_distinct.to_numpy(zero_copy_only=False)[self.code]


def total(of: NDArray[np.int64], values: NDArray, texts: int) -> NDArray[np.int64]:
    """Shape (texts,): the sum of integer or boolean `values` (p,) by text; `of` is ascending."""
    ends = np.searchsorted(of, np.arange(texts + 1))
    return np.diff(np.concatenate([[0], np.cumsum(values, dtype=np.int64)])[ends])


def cut(split: pa.Array) -> Parts:
    """From a list of strings per text; empty parts are left out."""
    flat = split.flatten()
    of = np.repeat(np.arange(len(split)), pc.list_value_length(split).to_numpy())
    full = pc.not_equal(pc.binary_length(flat), 0)
    keep = full.to_numpy(zero_copy_only=False)
    encoded = flat.filter(full).dictionary_encode()
    return Parts(
        of[keep], encoded.indices.to_numpy().astype(np.int64), encoded.dictionary, len(split)
    )


def checked(text: pa.Array) -> pa.Array:
    """The column as `large_string`.

    Raises:
      ValueError: a text is null.
    """
    if text.null_count:
        raise ValueError("a text is null")
    return text.cast(pa.large_string())


def split(text: pa.Array) -> Parts:
    """Words as white space separates them.

    Trimmed first: `utf8_split_whitespace` looks one byte past a buffer that ends in white space
    (apache/arrow#37757), and keeps or drops a blank as it finds that byte.
    """
    return cut(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(text)))


def tokens(text: pa.Array) -> Parts:
    """Lower-case words and runs of punctuation, as the n-gram methods cut them.

    >>> tokens(pa.array(["It's, well: 5!"])).distinct.to_pylist()
    ['it', "'", 's', ',', 'well', ':', '5', '!']
    """
    apart = pc.replace_substring_regex(pc.utf8_lower(checked(text)), _PUNCTUATION, r" \1 ")
    return split(apart)


def bare(text: pa.Array) -> Parts:
    """Lower-case words with punctuation as white space, as decontamination compares them.

    >>> bare(pa.array(["It's, well: 5!"])).distinct.to_pylist()
    ['it', 's', 'well', '5']
    """
    apart = pc.replace_substring_regex(pc.utf8_lower(checked(text)), _PUNCTUATION, " ")
    return split(apart)


def hashes(strings: pa.Array) -> NDArray[np.uint64]:
    """Shape (n,): a 64-bit hash of the bytes of each string.

    Tabulation hashing (Zobrist 1970) with a table that is computed: the sum of a pseudo-random
    number for every (place, byte). Sums wrap around, so they have no order.
    """
    whole = strings.cast(pa.large_string())
    offsets = np.frombuffer(whole.buffers()[1], np.int64)[whole.offset :][: len(whole) + 1]
    if not len(whole) or offsets[0] == offsets[-1]:
        return np.zeros(len(whole), np.uint64)
    data = np.frombuffer(whole.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    place = np.arange(len(data)) - np.repeat(offsets[:-1] - offsets[0], np.diff(offsets))
    drawn = seeding.mix((place.astype(np.uint64) << np.uint64(8)) | data)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(drawn, dtype=np.uint64)])
    return sums[offsets[1:] - offsets[0]] - sums[offsets[:-1] - offsets[0]]


def starts(words: Parts, n: int) -> NDArray[np.int64]:
    """Where the n-grams that lie inside one text begin, ascending."""
    return np.flatnonzero(words.of[n - 1 :] == words.of[: max(len(words.of) - n + 1, 0)])


def of(words: Parts, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The n-grams inside each text, in order: the text of each, ascending, and its hash.

    The hash is of the words alone, so that it can be looked up among those of other texts.
    """
    named = hashes(words.distinct)[words.code]
    start = starts(words, n)
    hashed = np.full(len(start), n, np.uint64)
    for i in range(n):
        hashed = seeding.mix(hashed ^ named[start + i])
    return words.of[start], hashed


def counted(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 to size - 1 for each of some sizes, one after another.

    >>> counted(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def distinct(of: NDArray[np.int64], what: NDArray) -> tuple[NDArray[np.int64], NDArray]:
    """Each (text, thing) once, sorted by text, then thing."""
    order = np.lexsort((what, of))
    of, what = of[order], what[order]
    new = np.ones(len(of), bool)
    new[1:] = (of[1:] != of[:-1]) | (what[1:] != what[:-1])
    return of[new], what[new]
