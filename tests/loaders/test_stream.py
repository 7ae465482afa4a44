"""The loader's laws on real files: partition, permutation, resume, elasticity, epochs."""

import collections
import itertools
import json
import pathlib
import pickle
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tamis
from tamis import errors
from tamis.loaders import course, curricula, manifest
from tamis.schemas import manifest as schema
from tests.loaders import listing

ROWS = {"table": 25, "lines": 31, "cells": 7, "packed": 17}
BUFFER = 16  # so that there are many windows


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """141 samples of 80 rows."""
    return listing.make(tmp_path_factory.mktemp("small"), ROWS)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """18 samples."""
    rows = {"table": 6, "lines": 5, "cells": 1, "packed": 0}
    return listing.make(tmp_path_factory.mktemp("tiny"), rows, shard_rows=3)


def uids(samples):
    return [s["uid"] for s in samples]


def load(folder, **options):
    return tamis.load(folder, **{"buffer": BUFFER, **options})


@given(st.integers(0, 9), st.integers(0, 3), st.integers(1, 5), st.integers(1, 200))
@settings(max_examples=15)
def test_ranks_see_every_row_as_often_as_planned(small, seed, epoch, world, buffer):
    options = {"seed": seed, "epoch": epoch, "world_size": world, "buffer": buffer}
    each = [uids(load(small, rank=r, **options)) for r in range(world)]
    assert collections.Counter(itertools.chain.from_iterable(each)) == listing.listed(small)
    assert max(map(len, each)) - min(map(len, each)) <= 1


def test_the_order_is_a_function_of_seed_and_epoch(small):
    first, again, seed, epoch = (
        uids(load(small, **o)) for o in ({}, {}, {"seed": 1}, {"epoch": 1})
    )
    assert first == again
    assert len({tuple(o) for o in (first, seed, epoch)}) == 3
    stream = load(small)
    list(stream)
    stream.set_epoch(1)
    assert uids(stream) == epoch


@pytest.mark.parametrize("world", range(1, 6))
def test_resumed_anywhere_is_as_uninterrupted(tiny, world):
    for r in range(world):
        stream, states, whole = load(tiny, rank=r, world_size=world), [], []
        states.append(json.dumps(stream.state_dict()))
        for sample in stream:
            whole.append(sample["uid"])
            states.append(json.dumps(stream.state_dict()))
        for at, state in enumerate(states):
            fresh = load(tiny, rank=r, world_size=world)
            fresh.load_state_dict(json.loads(state))
            assert len(fresh) == len(whole) - at
            assert uids(fresh) == whole[at:]


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(range(1, 6), 2)))
def test_another_world_size_in_the_middle_sees_the_rest(tiny, before, after):
    expected, step = listing.listed(tiny), (before + after) % 4 + 1
    streams = [load(tiny, rank=r, world_size=before) for r in range(before)]
    seen = [uids(itertools.islice(s, step)) for s in streams]
    whole = [s for s, mine in zip(streams, seen, strict=True) if len(mine) == step]
    (state,) = {json.dumps(s.state_dict()) for s in whole}  # every rank says the same
    resumed = [load(tiny, rank=r, world_size=after) for r in range(after)]
    for stream in resumed:
        stream.load_state_dict(json.loads(state))
        assert stream.position == min(before * step, sum(expected.values()))
    sizes = [len(s) for s in resumed]
    rest = [uids(s) for s in resumed]
    assert sizes == [len(r) for r in rest]
    assert collections.Counter(itertools.chain(*seen, *rest)) == expected


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 12)), min_size=1, max_size=4))
@settings(max_examples=6)
def test_world_sizes_may_change_again_and_again(small, history):
    seen, state = [], None
    for world, steps in [*history, (3, 1000)]:
        streams = [load(small, rank=r, world_size=world) for r in range(world)]
        for stream in streams:
            if state:
                stream.load_state_dict(state)
            seen += uids(itertools.islice(stream, steps))
        state = streams[0].state_dict()
    assert collections.Counter(seen) == listing.listed(small)


def test_tables_have_the_samples_of_the_iterator(small):
    one = list(load(small))
    many = pa.concat_tables(load(small).batches(13), promote_options="default")
    assert many["uid"].to_pylist() == uids(one)
    assert many["text"].to_pylist() == [s["text"] for s in one]
    stream = load(small)
    head = next(stream.batches(50))
    assert head["uid"].to_pylist() + uids(stream) == uids(one)


def test_a_sample_is_what_its_file_says(small):
    root = pathlib.Path(small).parent
    lines = [json.loads(s) for s in (root / "lines.jsonl").read_text("utf-8").splitlines()]
    by_text = {row["text"]: row for row in lines}
    vectors = np.load(root / "cells.npy")
    for s in load(small):
        assert s["weight"] == 1.0
        assert s["stratum"] == s["source"]
        assert s["text"].startswith(f"{s['source']} row ")
        number = int(s["text"].split()[2])
        if s["source"] == "lines":
            assert (s["id"], s["label"]) == (f"l{number}", str(by_text[s["text"]]["label"]))
        if s["source"] == "cells":
            assert np.array_equal(s["embedding"], vectors[number])
        else:
            assert s["embedding"] is None
        assert s["tier"] == number % 3


def test_once_gives_repeats_as_weights(small):
    found = list(load(small, once=True))
    assert {s["uid"]: s["weight"] for s in found} == listing.listed(small)
    assert len(found) == len(listing.listed(small))


def test_every_window_has_the_mixture_of_the_run(small):
    """To one sample of each lane, of which a source has at most `INTERLEAVE`."""
    stream = load(small, buffer=37)
    sources = [s["source"] for s in stream]
    whole = collections.Counter(sources)
    for at in range(4):  # 141 samples in 4 windows
        part = collections.Counter(sources[141 * at // 4 : 141 * (at + 1) // 4])
        for source, n in whole.items():
            assert abs(part[source] - n / 4) <= 2 * course.INTERLEAVE


def test_repeats_of_a_row_are_spread(small):
    """The five repeats of a row of `cells` are a fifth of the epoch from each other, about."""
    at = collections.defaultdict(list)
    for i, s in enumerate(load(small)):
        if s["source"] == "cells":
            at[s["uid"]].append(i)
    gaps = np.concatenate([np.diff(places) for places in at.values()])
    assert abs(gaps.mean() - 141 / 5) < 8


@pytest.mark.parametrize("hook", [curricula.best_first, curricula.best_last])
def test_a_curriculum_is_kept_by_every_rank_and_through_a_resume(small, hook):
    streams = [load(small, rank=r, world_size=3, curriculum=hook) for r in range(3)]
    sign = 1 if hook is curricula.best_first else -1
    seen = [list(itertools.islice(s, 20)) for s in streams]
    resumed = [load(small, rank=r, world_size=2, curriculum=hook) for r in range(2)]
    for stream in resumed:
        stream.load_state_dict(streams[0].state_dict())
    rest = [list(s) for s in resumed]
    order = [listing.side_by_side(each) for each in (seen, rest)]
    tiers = [sign * s["tier"] for s in itertools.chain(*order)]
    assert tiers == sorted(tiers)
    assert collections.Counter(uids(itertools.chain(*order))) == listing.listed(small)


def by_path(rows):
    """Of a user: reads what the loader has no need of, and strings as strings."""
    assert rows.schema.equals(schema.SCHEMA)
    return np.array(["lines" in path for path in rows["path"].to_pylist()], int)


def test_a_curriculum_sees_the_rows_as_the_manifest_has_them(small):
    assert collections.Counter(uids(load(small, curriculum=by_path))) == listing.listed(small)


def test_a_state_of_something_else_is_refused(small, tiny):
    state = load(small).state_dict()
    with pytest.raises(errors.ManifestError, match="manifest is"):
        load(tiny).load_state_dict(state)
    with pytest.raises(errors.ManifestError, match="seed is 0"):
        load(small, seed=1).load_state_dict(state)
    with pytest.raises(errors.ManifestError, match="stages is"):
        load(small, curriculum=curricula.best_first).load_state_dict(state)


@pytest.mark.parametrize("options", [{"rank": 2, "world_size": 2}, {"rank": -1}, {"buffer": 0}])
def test_options_out_of_range_are_refused(small, options):
    with pytest.raises(errors.ConfigError):
        tamis.load(small, **options)


def copy_of(tmp_path):
    return pathlib.Path(listing.make(tmp_path, ROWS))


@pytest.mark.parametrize(
    ("name", "old", "new", "row", "why"),
    [
        ("lines.jsonl", "lines row 12 ", "lines Row 12 ", 12, "its content is another"),
        ("lines.jsonl", '{"id": "l4"', '["id": "l4"', 4, "the row is a bad one now"),
        ("cells.csv", "cells row 3 ", "cells row 9 ", 3, "its content is another"),
    ],
)
def test_a_changed_row_is_named(small, tmp_path, name, old, new, row, why):
    """Of the same size, so that only the row itself tells."""
    copy = copy_of(tmp_path)
    file = tmp_path / name
    file.write_text(file.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(errors.ManifestError, match=rf"{name}:{row}: the input has chang.*{why}"):
        list(load(str(copy)))


def test_without_the_check_only_sizes_tell_and_samples_are_the_same(small, tmp_path):
    assert uids(load(small, check=False)) == uids(load(small))
    copy = copy_of(tmp_path)
    file = tmp_path / "lines.jsonl"
    file.write_text(file.read_text("utf-8").replace("lines row 12 ", "lines Row 12 "), "utf-8")
    assert len(list(load(str(copy), check=False))) == 141
    with pytest.raises(errors.ManifestError, match="content is another"):
        list(load(str(copy)))


def test_a_shortened_and_a_missing_file_are_named(small, tmp_path):
    copy = copy_of(tmp_path)
    file = tmp_path / "lines.jsonl"
    file.write_text(file.read_text("utf-8")[:-40], "utf-8")
    with pytest.raises(errors.ManifestError, match=r"lines\.jsonl: .* bytes, was"):
        list(load(str(copy)))
    file.unlink()
    with pytest.raises(errors.ManifestError, match=r"lines\.jsonl: no such file"):
        list(load(str(copy)))


def test_a_missing_part_is_named(small, tmp_path):
    copy = copy_of(tmp_path)
    part = next(copy.glob("*.parquet"))
    part.unlink()
    with pytest.raises(errors.TamisError, match=rf"{part.name}: .*missing"):
        list(load(str(copy)))


def test_an_empty_manifest_gives_nothing(tmp_path):
    (tmp_path / "manifest.json").write_text('{"parts": [], "digest": ""}')
    assert list(tamis.load(str(tmp_path))) == []
    assert manifest.table(str(tmp_path)).num_rows == 0


def test_a_stream_left_in_the_middle_ends_its_thread(small):
    stream = load(small)
    next(stream)
    del stream
    assert not [t for t in threading.enumerate() if t.name == "tamis-ahead"]


def test_a_stream_pickles_where_it_stands(small):
    stream = load(small)
    uids(itertools.islice(stream, 10))
    assert uids(pickle.loads(pickle.dumps(stream))) == uids(stream)


def test_training_needs_neither_beam_nor_torch_and_importing_tamis_nothing():
    code = "import sys, tamis; assert not {'numpy', 'pyarrow'} & set(sys.modules); tamis.load\n"
    code += "sys.exit(sorted({'apache_beam', 'torch'} & set(sys.modules)) or 0)"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_program_that_ends_in_the_middle_ends_well(small):
    """The thread that reads ahead is inside arrow then."""
    code = f"import tamis; stream = tamis.load({small!r}, buffer=8); next(stream)"
    for _ in range(3):
        ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
        assert (ran.returncode, ran.stderr) == (0, b"")
