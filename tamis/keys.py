"""Sort keys as unsigned integers: columns of several types become one lexicographic order.

==========  ================  ========  ===============
column      for               digits    comes first
==========  ================  ========  ===============
float32     a score           2         the highest
uint32      any key           2         the smallest
uint64      a priority        4         the smallest
==========  ================  ========  ===============

A digit has 16 bits, so a key is an array of uint16, most significant digit first.
"""

import numpy as np
from numpy.typing import NDArray

_SIGN = np.uint32(0x80000000)
_ALL = np.uint32(0xFFFFFFFF)
_DIGITS = {np.dtype(np.float32): 2, np.dtype(np.uint32): 2, np.dtype(np.uint64): 4}


def key(score: NDArray[np.float32]) -> NDArray[np.uint32]:
    """An unsigned integer per float, in the floats' order; -0.0 and 0.0 share one.

    Raises:
      ValueError: a score is NaN, which has no place in any order.

    >>> bool(np.all(np.diff(key(np.array([-np.inf, -1, -0.0, 1e-45, 2], np.float32))) > 0))
    True
    """
    missing = np.flatnonzero(np.isnan(score))
    if len(missing):
        raise ValueError(f"score of row {missing[0]} is NaN ({len(missing)} rows)")
    bits = (score.astype(np.float32) + np.float32(0)).view(np.uint32)  # -0.0 + 0.0 is 0.0
    return bits ^ np.where(bits & _SIGN, _ALL, _SIGN)


def score(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The inverse of `key`."""
    return (keys ^ np.where(keys & _SIGN, _SIGN, _ALL)).view(np.float32)


def digits(*columns: NDArray) -> NDArray[np.uint16]:
    """Lexicographic key of some columns, first column first.

    Args:
      columns: Each of shape (n,), float32, uint32 or uint64; see the module's table.

    Returns:
      Shape (n, digits) uint16; 12 bytes a row for a score and a priority.
    """
    return np.concatenate([_column_digits(c) for c in columns], axis=1)


def width(*dtypes: np.dtype) -> int:
    """Digits of a key with columns of these types."""
    return sum(_DIGITS[np.dtype(d)] for d in dtypes)


def _column_digits(column: NDArray) -> NDArray[np.uint16]:
    if column.dtype not in _DIGITS:
        raise ValueError(f"a key column is float32, uint32 or uint64, not {column.dtype}")
    if column.dtype == np.float32:
        column = ~key(column)  # higher = keep, so the highest score comes first
    big = np.ascontiguousarray(column.astype(column.dtype.newbyteorder(">")))
    return big.view(">u2").reshape(len(column), _DIGITS[column.dtype]).astype(np.uint16)


def words(digits: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Four digits to a word, the last word padded with zeros: the same order, fewer columns."""
    padded = np.zeros((len(digits), -(-digits.shape[1] // 4) * 4), ">u2")
    padded[:, : digits.shape[1]] = digits
    return padded.view(">u8").astype(np.uint64)


def greater(words: NDArray[np.uint64], bound: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each row of `words` (n, w) comes after `bound` (w,)."""
    beyond, equal = np.zeros(len(words), bool), np.ones(len(words), bool)
    for w in range(len(bound)):
        beyond |= equal & (words[:, w] > bound[w])
        equal &= words[:, w] == bound[w]
    return beyond
