"""Input that means harm: it is named in a typed error, runs nothing, and takes no memory."""

import gzip
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import fuzz
from tamis import errors, runfile, sources
from tamis.schemas import shards

STEP = 7 * 40  # of every kind the same number


@pytest.mark.parametrize("start", range(0, 2 * STEP, STEP))
def test_hurt_inputs_end_in_rows_that_balance_or_in_a_typed_error(tmp_path, start):
    ends = [fuzz.one(tmp_path, n) for n in range(start, start + STEP)]
    assert set(ends) <= set(fuzz.ENDS)
    assert all(end in ends for end in fuzz.ENDS)


@pytest.mark.parametrize("number", [80, 94, 287, 1724, 18_804])
def test_inputs_that_once_broke_a_reader(tmp_path, number):
    """A header of numpy that ends in the middle, a zero byte that json took for UTF-16; of Parquet
    a column's name that is no text, and a row group that pyarrow reads as an empty one.
    """
    assert fuzz.one(tmp_path, number) in fuzz.ENDS


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch {mark}']",
        "!!python/name:os.system",
        "!!python/object/new:os.system ['touch {mark}']",
        "!!binary not-base-64",
        "!nosuch 1",
    ],
)
def test_a_yaml_tag_runs_nothing(tmp_path, value):
    mark = tmp_path / "mark"
    text = fuzz.RUN.replace("seed: 17", "seed: " + value.format(mark=mark))
    with pytest.raises(errors.ConfigError):
        runfile.parse(text, "run.yaml")
    assert not mark.exists()


def test_aliases_that_multiply_are_refused_at_once(tmp_path):
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(errors.ConfigError):
        runfile.parse("\n".join(laughs) + fuzz.RUN, "run.yaml")


@pytest.mark.parametrize(
    "text", ["a: &a [*a]", "a: &a {b: *a}", "[" * 50_000, "a: " + "{b: " * 9_000]
)
def test_a_run_file_without_end_is_refused(text):
    with pytest.raises(errors.ConfigError, match=r"holds itself|too deeply|not YAML"):
        runfile.parse(text, "run.yaml")


@pytest.mark.parametrize("name", ["../out", "a/b", "/etc", "..", "a\\b"])
def test_a_name_of_a_source_or_scorer_is_no_path(name):
    for text in (
        fuzz.RUN.replace("  near:", f"  {name!r}:"),
        fuzz.RUN.replace("score: {prototypes: {}", f"score: {{{name!r}: {{}}"),
    ):
        with pytest.raises(errors.ConfigError):
            runfile.parse(text, "run.yaml")


class Harm:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("how", ["object array", "bare pickle"])
def test_a_pickle_in_the_place_of_vectors_is_never_read(tmp_path, how):
    mark, path = tmp_path / "mark", tmp_path / "x.npy"
    if how == "object array":
        np.save(path, np.array([[Harm(str(mark))]], object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Harm(str(mark))))
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    columns = shards.Columns(text="text")
    source = sources.Source("s", "supply", (str(rows),), columns, vectors=str(path))
    (file,) = sources.expand(source)
    with pytest.raises(errors.SchemaError, match=r"x\.npy: (holds object|not an \.npy file)"):
        sources.check(file)
    assert not mark.exists()


BOMB = """
import resource, sys
from tamis import sources
from tamis.schemas import shards
columns = shards.Columns(text="text")
(file,) = sources.expand(sources.Source("s", "supply", (sys.argv[1],), columns))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sources.check(file)
found = [b for s in sources.spans(sources.shards(file, 0, 100)) for b in sources.read(s, ("text",))]
bad = [r["reason"] for b in found for r in b.rejected.to_pylist()]
print(bad, sum(b.batch.num_rows for b in found))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_line_that_unpacks_to_a_thousand_times_its_size_takes_bounded_memory(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(b'{"text": "before"}\n{"text": "')
        for _ in range(150):
            out.write(b"a" * (1 << 20))
        out.write(b'"}\n{"text": "after"}\n')
    assert path.stat().st_size < 150 * (1 << 20) / 100
    command = [sys.executable, "-c", BOMB, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    said, grown = ran.stdout.splitlines()
    assert said in ("['text_too_long'] 2", "['malformed'] 2")
    assert int(grown) * 1024 < 100 << 20
