"""What to call a group of texts: its label, or the words it has more often than the other groups.

Monroe, Colaresi and Quinn (2008), Fightin' words: lexical feature selection and evaluation for
identifying the content of political conflict, Political Analysis 16(4), section 3.5.1.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_WORDS = 3  # of a name
_TWICE = 2  # rows that have a word, below which it is not typical of a group
_PRIOR = 50.0  # words known of each group before it is read, as many as in a few rows
_MOSTLY = 0.6  # of the labels of a group
_BREAK = r"[^\p{L}\p{M}\p{N}']+"
_Z = 1.645  # a word that chance alone makes so typical one time in twenty is not one


def names(
    texts: Sequence[str | None],
    group: NDArray[np.int64],
    groups: int,
    labels: Sequence[str | None] = (),
) -> tuple[str, ...]:
    """Names such as `soup, onions, butter`, or `sports: league, coach` where a label holds.

    A label names a group if more than 60 % of its labelled rows have it, more than twice as often
    as those of the other groups.

    Args:
      texts: n of them; None counts as empty.
      group: Shape (n,), of each, from 0.
      groups: How many there are.
      labels: As many as texts, or none.

    Returns:
      One each; empty for a group that nothing sets apart. Time and memory O(words + groups v), v
      distinct words.
    """
    words, counts = _counted(texts, group, groups)
    z = log_odds(counts)
    z[(counts < _TWICE) | (z < _Z)] = -np.inf
    best = np.argsort(-z, axis=1, kind="stable")[:, :_WORDS]
    typical = [
        ", ".join(words[i] for i in own if z[g, i] > -np.inf) for g, own in enumerate(best.tolist())
    ]
    titles = _labels(labels, group, groups) if len(labels) else ("",) * groups
    return tuple(": ".join(filter(None, pair)) for pair in zip(titles, typical, strict=True))


def log_odds(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much more often each group has each word than the others do, in standard errors.

    Equations 15, 16, 20 and 22 with the informative prior of section 3.5.1: each side has as many
    words beforehand, in proportion to all of them. Of a word that nobody has, or of one group
    alone, 0.

    Args:
      counts: Shape (g, v), rows of each group that have each word.

    Returns:
      Shape (g, v); positive where a word is typical.
    """
    total = counts.sum(0)
    prior = _PRIOR * total / max(total.sum(), 1)
    own, rest = counts + prior, total - counts + prior
    size, others = own.sum(1, keepdims=True), rest.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.log(own / (size - own)) - np.log(rest / (others - rest))
        z = apart / np.sqrt(1 / own + 1 / rest)
    return np.asarray(np.where(np.isfinite(z), z, 0.0))


def _counted(
    texts: Sequence[str | None], group: NDArray[np.int64], groups: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Words in order, and how many rows of each group have each: a row counts a word once."""
    lower = pc.utf8_lower(pa.array(texts, pa.string()))
    split = pc.split_pattern_regex(pc.fill_null(lower, ""), _BREAK)
    row, word = pc.list_parent_indices(split).to_numpy(), pc.list_flatten(split)
    letters = pc.match_substring_regex(word, r"\p{L}\p{M}*\p{L}").to_numpy(zero_copy_only=False)
    found, number = np.unique(word.to_numpy(zero_copy_only=False)[letters], return_inverse=True)
    pair = np.unique(row[letters].astype(np.int64) * max(len(found), 1) + number)
    at, word_ = np.divmod(pair, max(len(found), 1))
    counts = np.zeros((groups, len(found)), np.int64)
    np.add.at(counts, (group[at], word_), 1)
    return found.tolist(), counts


def _labels(labels: Sequence[str | None], group: NDArray[np.int64], groups: int) -> tuple[str, ...]:
    """The label that names each group, or nothing."""
    coded = pa.array(labels, pa.string()).dictionary_encode()
    known = coded.is_valid().to_numpy(zero_copy_only=False)
    if not known.any():
        return ("",) * groups
    code = coded.indices.drop_null().to_numpy()
    counts = np.zeros((groups, len(coded.dictionary)), np.int64)
    np.add.at(counts, (group[known], code), 1)
    share, rest = (
        c / np.maximum(c.sum(1, keepdims=True), 1) for c in (counts, counts.sum(0) - counts)
    )
    held = (share > _MOSTLY) & (share > 2 * rest)
    titles = coded.dictionary.to_pylist()
    return tuple(titles[int(h.argmax())] if h.any() else "" for h in held)
