"""Counts and shares of words and lines, a column at a time.

Texts are split into words once; whatever a word alone decides (length, letters, stop word, web
address) is worked out for each distinct word and looked up, which is far fewer than words. All
counts are integers and every share is one division, so a row's numbers do not depend on the batch.
"""

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
_SHORT = 30  # characters; Penedo et al. (2024), as in the authors' code


def statistics(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    """The numbers that `tamis.scorers.lexical` has rules about, each of shape (n,).

    `words`, `stop_words` (distinct) and `boilerplate` are counts; `word_length` is in characters;
    `symbols` is `#` or ellipses per word, whichever is more; the others are shares, 0..1, of
    words, lines or letters, and 0 where a text has none.

    Raises:
      ValueError: a text is null.
    """
    text = grams.checked(text)
    return _of_words(text) | _of_lines(text) | _of_text(text)


def _of_text(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    boilerplate = pc.or_(
        pc.match_substring(text, "lorem ipsum", ignore_case=True), pc.match_substring(text, "{")
    )
    return {"boilerplate": boilerplate.to_numpy(zero_copy_only=False).astype(np.float64)}


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
        "top_bigram": np.minimum(_share(_top_bigram(words, length), letters), 1),
        "repeated_5_grams": _share(_repeated(words, length, 5), letters),
    }


def _stop_words(words: grams.Parts) -> NDArray[np.int64]:
    """How many different stop words each text has, in any case, punctuation around them dropped."""
    bare = pc.utf8_trim(pc.utf8_lower(words.distinct), ".,;:!?\"'()[]“”‘’")
    which = pc.index_in(bare, pa.array(STOP_WORDS, bare.type)).fill_null(-1)
    which = words.looked_up(which).astype(np.int64)
    rows = np.flatnonzero(which >= 0)
    seen = np.zeros((words.texts, len(STOP_WORDS)), np.int64)
    seen[words.of[rows], which[rows]] = 1
    return seen.sum(axis=1)


def _grams(words: grams.Parts, n: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Start positions of the n-grams inside one text, and a 64-bit hash of (text, n-gram)."""
    start = grams.starts(words, n)
    hashed = seeding.mix(words.of[start].astype(np.uint64))
    for i in range(n):
        hashed = seeding.mix(hashed ^ words.code[start + i].astype(np.uint64))
    return start, hashed


def _runs(hashed: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions that put equal hashes together, and where each run of two or more begins and ends.

    Not `np.unique(return_index=True)`: its stable sort takes four times as long.
    """
    order = np.argsort(hashed)
    ordered = hashed[order]
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    return order, spans[np.diff(edges) > 1]


def _top_bigram(words: grams.Parts, length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Letters in the occurrences of each text's commonest 2-gram, if one occurs twice.

    Overlaps ("a a a") count each time, as in Gopher.
    """
    top = np.zeros(words.texts, np.int64)
    start, hashed = _grams(words, 2)
    order, spans = _runs(hashed)
    at = start[order[spans[:, 0]]]  # any occurrence: all have the same text and the same words
    times = spans[:, 1] - spans[:, 0]
    np.maximum.at(top, words.of[at], times * (length[at] + length[at + 1]))
    return top


def _repeated(words: grams.Parts, length: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Letters in words of an n-gram that occurred before in its text, each word counted once."""
    start, hashed = _grams(words, n)
    order, spans = _runs(hashed)
    edges = np.zeros(len(words.of) + 1, np.int64)  # +1 where a repeat starts, -1 after it ends
    inside = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
    position = start[order[_within(spans)]]
    first = np.full(len(spans), len(words.of))
    np.minimum.at(first, inside, position)
    again = position[position != first[inside]]
    np.add.at(edges, again, 1)
    np.add.at(edges, again + n, -1)
    return words.count(np.where(np.cumsum(edges[:-1]) > 0, length, 0))


def _within(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """All positions inside the spans [begin, end), span by span."""
    size = spans[:, 1] - spans[:, 0]
    return np.repeat(spans[:, 0], size) + grams.counted(size)


def _of_lines(text: pa.Array) -> dict[str, NDArray[np.float64]]:
    """Of the lines that are not blank, outer white space dropped."""
    split = pc.split_pattern(text, "\n")
    trimmed = pc.utf8_trim_whitespace(split.flatten())
    lines = grams.cut(pa.LargeListArray.from_arrays(_offsets(split), trimmed))
    count = lines.count(np.ones(len(lines.of), np.int64))

    def share(of_distinct: pa.Array) -> NDArray[np.float64]:
        return _share(lines.count(lines.looked_up(of_distinct)), count)

    return {
        "bullets": share(pc.match_substring_regex(lines.distinct, _BULLETS)),
        "ellipses": share(pc.match_substring_regex(lines.distinct, f"(?:{_ELLIPSIS})$")),
        "closed_lines": share(pc.match_substring_regex(lines.distinct, _CLOSED)),
        "short_lines": share(pc.less_equal(pc.utf8_length(lines.distinct), _SHORT)),
        "repeated_lines": _share(_repeated(lines, np.ones(len(lines.of), np.int64), 1), count),
    }


def _offsets(split: pa.Array) -> pa.Array:
    lengths = pc.list_value_length(split).to_numpy()
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
