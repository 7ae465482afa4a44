"""Lists of uids: read, looked up, and what is wrong with them told."""

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies

from tamis import errors, removed
from tamis.schemas import uids

UIDS = strategies.lists(strategies.binary(min_size=16, max_size=16).map(bytes.hex), max_size=20)


def codes(names):
    return uids.sortable(uids.from_hex(pa.array(names, pa.string())))


@hypothesis.given(UIDS, UIDS)
def test_among_is_membership(names, listed):
    found = removed.among(pa.array(names, pa.string()), codes(listed))
    assert found.tolist() == [name in set(listed) for name in names]


def test_ends_of_zeros_tell_uids_apart():
    names = ["ab" + "00" * 15, "ab01" + "00" * 14, "00" * 16]
    for i, name in enumerate(names):
        found = removed.among(pa.array(names), codes([name]))
        assert np.flatnonzero(found).tolist() == [i]


def test_a_list_is_sorted_without_copies_or_blanks(tmp_path):
    a, b = "0f" * 16, "a0" * 16
    (tmp_path / "list.txt").write_text(f"﻿{b.upper()}\r\n\n  {a}\n{b}\n", encoding="utf-8")
    read = removed.read(str(tmp_path / "list.txt"))
    assert read.to_pylist() == [a, b]
    removed.write(str(tmp_path / "again.txt"), read)
    assert removed.read(str(tmp_path / "again.txt")).equals(read)
    assert removed.sortable(str(tmp_path / "list.txt")).tolist() == codes([a, b]).tolist()
    assert removed.sortable("").tolist() == []


def test_what_is_no_uid_is_told_by_its_line(tmp_path):
    (tmp_path / "list.txt").write_text("0f" * 16 + "\nnews/17\n")
    with pytest.raises(errors.ConfigError, match=r"list.txt:2.*'news/17' is no uid"):
        removed.read(str(tmp_path / "list.txt"))
    with pytest.raises(errors.ConfigError, match=r"did you mean .*list\.txt"):
        removed.read(str(tmp_path / "lsit.txt"))


@hypothesis.given(UIDS, strategies.binary(min_size=16, max_size=16).map(bytes.hex))
def test_the_nearest_begins_most_alike(names, uid):
    shared, name = removed.nearest(pa.array(names, pa.string()), uid)

    def begins(other):
        return next(
            (i for i in range(16) if other[2 * i : 2 * i + 2] != uid[2 * i : 2 * i + 2]), 16
        )

    assert shared == max((begins(other) for other in names), default=-1)
    assert name in names or (name, names) == ("", [])
