import io

import numpy as np
import pytest

from tamis import errors, sources


def npy(x, **options):
    out = io.BytesIO()
    np.save(out, x, **options)
    return out.getvalue()


JSONL = b'{"text": "a"}\nbad\n{"text": "c"}\n{"text": "d"}\n'
X = np.array([[1, 2], [3, 4], [5, 6], [0, 0]], np.float64)


@pytest.mark.parametrize("where", ["v.npy", "memory://vectors/v.npy"])
@pytest.mark.parametrize("rows", [1, 3, 99])
def test_vectors_belong_to_rows_bad_ones_included(put, one, load, where, rows):
    file = one(put("a.jsonl", JSONL), vectors=put(where, npy(X)))
    sources.check(file)
    assert sources.dimension(file) == 2
    good, bad = load(file, ("text", "embedding"), rows=rows)
    assert good["embedding"].to_pylist() == [[1, 2], [5, 6]]
    assert [(b["row"], b["reason"]) for b in bad] == [(1, "malformed"), (3, "zero_norm")]


def test_vectors_alone_need_nothing_of_the_rows(put, one, load):
    file = one(put("a.jsonl", JSONL), (), vectors=put("v.npy", npy(X)))
    good, bad = load(file, ("embedding",))
    assert good["row"].to_pylist() == [0, 1, 2]
    assert [b["row"] for b in bad] == [3]


def test_another_number_of_vectors_names_both_counts(put, one):
    file = one(put("a.jsonl", JSONL), vectors=put("v.npy", npy(X[:3])))
    with pytest.raises(errors.SchemaError, match=r"v\.npy: 3 vectors for the 4 rows of .*a\.jsonl"):
        sources.shards(file, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(X[0]), r"holds float64 of shape \(2,\)"),
        (npy(np.asfortranarray(X)), "in Fortran order"),
        (npy(X.astype(int)), "holds int64"),
        (npy(np.array([[{}]]), allow_pickle=True), "holds object"),
        (npy(X)[:-8], r"shape \(4, 2\) of float64 takes 192"),
        (b"PK", "not an .npy file"),
    ],
)
def test_what_is_no_matrix_of_floats_is_told(put, one, data, message):
    file = one(put("a.jsonl", JSONL), vectors=put("v.npy", data))
    with pytest.raises(errors.SchemaError, match=message):
        sources.check(file)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_features_of_clip_as_datacomp_ships_them(put, one, load, save):
    out = io.BytesIO()
    save(out, b32_img=X.astype(np.float16), b32_txt=(X + 10).astype(np.float16))
    where = put("v.npz", out.getvalue())
    file = one(put("a.jsonl", JSONL), vectors=f"{where}#b32_img")
    sources.check(file)
    good, bad = load(file, ("text", "embedding"), rows=1)
    assert good["embedding"].to_pylist() == [[1, 2], [5, 6]]
    assert [b["reason"] for b in bad] == ["malformed", "zero_norm"]
    pairs = one(put("a.jsonl", JSONL), vectors=f"{where}#b32_img+b32_txt")
    assert sources.dimension(pairs) == 4
    good, _ = load(pairs, ("text", "embedding"), rows=3)
    assert good["embedding"].to_pylist() == [[1, 2, 11, 12], [5, 6, 15, 16], [0, 0, 10, 10]]
    with pytest.raises(errors.SchemaError, match=r"no array 'l14' \(it holds b32_img, b32_txt\)"):
        sources.check(one(put("a.jsonl", JSONL), vectors=f"{where}#l14"))
