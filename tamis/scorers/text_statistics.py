"""Counts and shares of words and lines, a column at a time.

Texts are split into words once; whatever a word alone decides (length, letters, stop word, web
address) is worked out for each distinct word and looked up, which is far fewer than words. All
counts are integers and every share is one division, so a row's numbers do not depend on the batch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import seeding
from tamis.scorers import grams

# Rae et al. (2021), §A1.1.
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_BULLETS = r"^[•‣▪◦●○∙*-]"
_URL = r"^(?:https?://|www\.)"
_CLOSED = r"[.!?'\"”’]$"
_ELLIPSIS = r"\.\.\.|…"
_NOTICES = (  # Raffel et al. (2020), §2.2, with the phrases of the authors' code
    r"javascript|terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"
)
_SENTENCE_END = r"[.!?][\s'\"”’)]*(?:\s|$)"
_SHORT = 30  # characters; Penedo et al. (2024), as in the authors' code


def statistics(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    """The numbers that `tamis.scorers.lexical` has rules about, each of shape (n,).

    `words`, `stop_words` (distinct) and `sentences` are counts, `boilerplate` and `notices` 0 or 1;
    `word_length` is in characters; `symbols` is `#` or ellipses per word, whichever is more; the
    others are shares, 0..1, of words, lines, paragraphs or letters, and 0 where a text has none.

    Raises:
      ValueError: a text is null.
    """
    text = grams.checked(text)
    return _of_words(text) | _of_lines(text) | _of_text(text)


def _of_text(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    boilerplate = pc.or_(
        pc.match_substring(text, "lorem ipsum", ignore_case=True), pc.match_substring(text, "{")
    )
    counted = {
        "boilerplate": boilerplate,
        "notices": pc.match_substring_regex(text, _NOTICES, ignore_case=True),
        "sentences": pc.count_substring_regex(text, _SENTENCE_END),
    }
    return {k: v.to_numpy(zero_copy_only=False).astype(np.float64) for k, v in counted.items()}


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)


def _of_words(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    words = grams.split(text)
    count = words.count(np.ones(len(words.of), np.int64))
    length = words.looked_up(pc.utf8_length(words.distinct)).astype(np.int64)
    letters = words.count(length)
    hashes = pc.count_substring(words.distinct, "#")
    ellipses = pc.count_substring_regex(words.distinct, _ELLIPSIS)
    alphabetic = pc.match_substring_regex(words.distinct, r"\pL")
    urls = pc.match_substring_regex(words.distinct, _URL, ignore_case=True)
    return {
        "words": count.astype(np.float64),
        "word_length": _share(letters, count),
        "symbols": np.maximum(
            _share(words.count(words.looked_up(hashes)), count),
            _share(words.count(words.looked_up(ellipses)), count),
        ),
        "alphabetic": _share(words.count(words.looked_up(alphabetic)), count),
        "stop_words": _stop_words(words).astype(np.float64),
        "urls": _share(words.count(words.looked_up(urls)), count),
        **_of_grams(words, length, letters),
    }


def _of_grams(
    words: grams.Parts, length: NDArray[np.int64], letters: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """The commonest 2- to 4-gram and the repeats of 5- to 10-grams, in shares of the letters."""
    shares = {}
    for found in _repeats(words, 10):
        if 2 <= found.n <= 4:
            share = np.minimum(_share(_top(words, length, found), letters), 1)
            shares[f"top_{found.n}_gram"] = share
        elif found.n >= 5:
            shares[f"repeated_{found.n}_grams"] = _share(_repeated(words, length, found), letters)
    return shares


def _stop_words(words: grams.Parts) -> NDArray[np.int64]:
    """How many different stop words each text has, in any case, punctuation around them dropped."""
    bare = pc.utf8_trim(pc.utf8_lower(words.distinct), ".,;:!?\"'()[]“”‘’")
    which = pc.index_in(bare, pa.array(STOP_WORDS, bare.type)).fill_null(-1)
    which = words.looked_up(which).astype(np.int64)
    rows = np.flatnonzero(which >= 0)
    seen = np.zeros((words.texts, len(STOP_WORDS)), np.int64)
    seen[words.of[rows], which[rows]] = 1
    return seen.sum(axis=1)


class _Repeats(NamedTuple):
    """The n-grams that occur twice or more in their text.

    Attributes:
      n: Words.
      position: Shape (g,), where each begins, those of one n-gram together and ascending.
      spans: Shape (r, 2), the part of `position` that holds each n-gram.
    """

    n: int
    position: NDArray[np.int64]
    spans: NDArray[np.int64]


def _repeats(words: grams.Parts, longest: int) -> Iterator[_Repeats]:
    """The repeated n-grams of 1 to `longest` words.

    One that repeats begins with one that repeats and is a word shorter, so each length looks at
    what the last one left: after the first, little of a usual text.
    """
    start = np.arange(len(words.of))
    hashed = seeding.mix(words.of.astype(np.uint64))  # n-grams of two texts are never equal
    last = np.searchsorted(words.of, words.of, "right")  # the end of each word's text
    for n in range(1, longest + 1):
        inside = start + n <= last[start]
        start = start[inside]
        hashed = seeding.mix(hashed[inside] ^ words.code[start + n - 1].astype(np.uint64))
        order, spans = _runs(hashed)
        chosen = order[_within(spans)]
        start, hashed = start[chosen], hashed[chosen]
        size = spans[:, 1] - spans[:, 0]
        end = np.cumsum(size)
        yield _Repeats(n, start, np.stack([end - size, end], axis=1))


def _runs(hashed: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions that put equal hashes together, and where each run of two or more begins and ends.

    Not `np.unique(return_index=True)`: its stable sort takes four times as long.
    """
    order = np.argsort(hashed)
    ordered = hashed[order]
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    return order, spans[np.diff(edges) > 1]


def _top(words: grams.Parts, length: NDArray[np.int64], found: _Repeats) -> NDArray[np.int64]:
    """Letters in the occurrences of each text's commonest n-gram, if one occurs twice.

    Commonest is what takes most letters; overlaps ("a a a") count each time, as in Gopher.
    """
    top = np.zeros(words.texts, np.int64)
    at = found.position[found.spans[:, 0]]  # any occurrence: all have the same words
    times = found.spans[:, 1] - found.spans[:, 0]
    letters = np.sum([length[at + i] for i in range(found.n)], axis=0, dtype=np.int64)
    np.maximum.at(top, words.of[at], times * letters)
    return top


def _repeated(words: grams.Parts, length: NDArray[np.int64], found: _Repeats) -> NDArray[np.int64]:
    """Letters in words of an n-gram that occurred before in its text, each word counted once."""
    edges = np.zeros(len(words.of) + 1, np.int64)  # +1 where a repeat starts, -1 after it ends
    again = np.ones(len(found.position), bool)
    first = found.position[:0]
    if len(found.spans):
        first = np.minimum.reduceat(found.position, found.spans[:, 0])
    again[np.isin(found.position, first)] = False
    np.add.at(edges, found.position[again], 1)
    np.add.at(edges, found.position[again] + found.n, -1)
    return words.count(np.where(np.cumsum(edges[:-1]) > 0, length, 0))


def _within(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """All positions inside the spans [begin, end), span by span."""
    size = spans[:, 1] - spans[:, 0]
    return np.repeat(spans[:, 0], size) + grams.counted(size)


def _of_lines(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    """Of lines and of paragraphs that are not blank, outer white space dropped."""
    lines = _trimmed(pc.split_pattern(text, "\n"))
    paragraphs = _trimmed(pc.split_pattern_regex(text, r"\n\s*\n"))
    count = lines.count(np.ones(len(lines.of), np.int64))

    def share(of_distinct: pa.Array) -> NDArray[np.float64]:
        return _share(lines.count(lines.looked_up(of_distinct)), count)

    return {
        "bullets": share(pc.match_substring_regex(lines.distinct, _BULLETS)),
        "ellipses": share(pc.match_substring_regex(lines.distinct, f"(?:{_ELLIPSIS})$")),
        "closed_lines": share(pc.match_substring_regex(lines.distinct, _CLOSED)),
        "short_lines": share(pc.less_equal(pc.utf8_length(lines.distinct), _SHORT)),
        **_of_repeated(lines, "line"),
        **_of_repeated(paragraphs, "paragraph"),
    }


def _of_repeated(parts: grams.Parts, name: str) -> dict[str, NDArray[np.float64]]:
    """Shares of parts, and of their characters, that repeat an earlier part of their text."""
    length = parts.looked_up(pc.utf8_length(parts.distinct)).astype(np.int64)
    one = np.ones(len(parts.of), np.int64)
    (found,) = _repeats(parts, 1)
    return {
        f"repeated_{name}s": _share(_repeated(parts, one, found), parts.count(one)),
        f"repeated_{name}_letters": _share(_repeated(parts, length, found), parts.count(length)),
    }


def _trimmed(split: pa.Array) -> grams.Parts:
    trimmed = pc.utf8_trim_whitespace(split.flatten())
    return grams.cut(pa.LargeListArray.from_arrays(_offsets(split), trimmed))


def _offsets(split: pa.Array) -> pa.Array:
    lengths = pc.list_value_length(split).to_numpy()
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
