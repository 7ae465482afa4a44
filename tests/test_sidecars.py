import pathlib

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors, sidecars
from tamis.schemas import shards, uids

STAMP = sidecars.Stamp("rows", "inputs")


def table(n=1000):
    # Not compressible, so that a page has bytes to flip.
    x = np.random.default_rng(3).standard_normal(n)
    return pa.table({"x": pa.array(x), "n": pa.array(np.arange(n))})


@pytest.fixture
def root(tmp_path):
    sidecars.commit(str(tmp_path), "f", "part", table(), STAMP, {"fact": "7"})
    return str(tmp_path)


def path(root):
    return sidecars.url(root, "f", "part")


def rewrite(root, change):
    file = pathlib.Path(path(root))
    file.write_bytes(change(bytearray(file.read_bytes())))


def test_what_is_committed_is_read_back(root):
    assert sidecars.read(root, "f", "part", stamp=STAMP).equals(table())
    assert sidecars.read(root, "f", "part", ["n"]).column_names == ["n"]
    footer = sidecars.footer(root, "f", "part")
    assert (footer["fact"], footer["rows"]) == ("7", "1000")
    assert sidecars.stamp_of(root, "f", "part") == STAMP


def test_the_same_table_gives_the_same_bytes():
    whole = table()
    cut = pa.concat_tables([whole.slice(0, 3), whole.slice(3)])
    assert sidecars.encode(whole, {"k": "v"}) == sidecars.encode(cut, {"k": "v"})


def test_batches_are_cut_alike_in_every_folder(tmp_path):
    n = 2 * shards.BATCH_ROWS + 5
    for folder, columns in (("a", ["x"]), ("b", ["n", "x"])):
        sidecars.commit(str(tmp_path), folder, "p", table(n).select(columns), STAMP)
    cuts = [[b.num_rows for b in sidecars.batches(str(tmp_path), f, "p")] for f in "ab"]
    assert cuts == [[shards.BATCH_ROWS, shards.BATCH_ROWS, 5]] * 2


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        (sidecars.Stamp("others", "inputs"), r"f/part\.parquet: sidecar is misaligned"),
        (
            sidecars.Stamp("rows", "others"),
            r"f/part\.parquet: sidecar is stale .*\n  -> run with --redo",
        ),
    ],
)
def test_another_stamp_is_an_error_that_names_the_sidecar(root, stamp, message):
    for look in (sidecars.read, lambda *a, stamp: list(sidecars.batches(*a, stamp=stamp))):
        with pytest.raises(errors.ArtifactError, match=message):
            look(root, "f", "part", stamp=stamp)
    with pytest.raises(errors.ArtifactError, match=message):
        sidecars.check(root, "f", "part", stamp)


@pytest.mark.parametrize("keep", [0, 3, 12, 500, -1, -9])
def test_a_truncated_sidecar_is_named(root, keep):
    rewrite(root, lambda data: data[:keep])
    with pytest.raises(
        errors.ArtifactError, match=r"part\.parquet: sidecar is truncated or damaged"
    ):
        sidecars.read(root, "f", "part")


def test_a_flipped_bit_in_a_page_is_named(root):
    def flip(data):
        data[2000] ^= 1
        return data

    rewrite(root, flip)
    for look in (sidecars.read, lambda *a: list(sidecars.batches(*a))):
        with pytest.raises(errors.ArtifactError, match=r"damaged \(.*(CRC|checksum)"):
            look(root, "f", "part")


def test_a_missing_sidecar_is_named(tmp_path):
    with pytest.raises(errors.ArtifactError, match=r"f/gone\.parquet: sidecar is missing"):
        sidecars.footer(str(tmp_path), "f", "gone")


def test_the_digest_of_uids_knows_rows_and_order():
    names = uids.of("s", pa.array(["a", "b", "c"]))
    whole = sidecars.uid_digest(pa.table({"uid": names}))
    chunked = pa.table({"uid": pa.chunked_array([names.slice(0, 1), names.slice(1)])})
    assert sidecars.uid_digest(chunked) == whole
    assert sidecars.uid_digest(pa.table({"uid": names.take(pa.array([1, 0, 2]))})) != whole
    assert sidecars.uid_digest(pa.table({"uid": names.slice(1)})) != whole
