import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import errors, sources

COLUMNS = {"a": [1], "b": [1.5], "text": ["x"], "e": [[1]], "when": [None]}


def parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink)
    return sink.getvalue().to_pybytes()


FILES = {
    "x.parquet": parquet(COLUMNS),
    "x.jsonl": b'{"a": 1, "b": 1.5, "text": "x", "e": ["y"], "when": null}\n',
    "x.csv": b"a,b,text,e,when\n1,1.5,x,y,\n",
    "x.jsonl.gz": b'{"a": 1, "b": 1.5, "text": "x", "e": ["y"], "when": null}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_a_missing_column_is_named_with_its_neighbours(put, one, name):
    file = one(put(name, FILES[name]), {"text": "txt"})
    with pytest.raises(errors.SchemaError) as caught:
        sources.check(file)
    assert str(caught.value) == (
        f"{file.path}: column 'txt' not found (columns: a, b, text, e, when)"
        "\n  -> did you mean 'text'?"
    )


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("x.parquet", {"text": "a"}, "column 'a' is int64, text must be string"),
        ("x.parquet", {"label": "b"}, "column 'b' is double, label must be string, integer or bo"),
        ("x.parquet", {"embedding": "e"}, "column 'e' is list<.*int64>, embedding must be list of"),
        ("x.parquet", {"embedding": "text"}, "column 'text' is string, embedding must be list of"),
        ("x.jsonl", {"text": "a"}, "column 'a' is the number 1, text must be string"),
        ("x.jsonl", {"label": "b"}, "column 'b' is the number 1.5, label must be string"),
        ("x.jsonl", {"embedding": "e"}, "column 'e' is a string in its list of numbers, embed"),
        ("x.csv", {"embedding": "e"}, "a csv file cannot hold embeddings"),
    ],
)
def test_a_wrong_type_is_named(put, one, name, columns, message):
    with pytest.raises(errors.SchemaError, match=message):
        sources.check(one(put(name, FILES[name]), columns))


@pytest.mark.parametrize(
    "values",
    [
        {"text": pa.array(["a"]).dictionary_encode(), "label": [True], "id": [3]},
        {"text": pa.array(["a"], pa.large_string()), "label": pa.array([3], pa.uint8()), "id": "b"},
        {"text": pa.array(["a"], pa.string_view()), "label": [2], "id": ["b"]},
    ],
)
def test_types_that_can_be_cast_fit(put, one, load, values):
    file = one(put("x.parquet", parquet(values)), ("text", "label", "id"))
    sources.check(file)
    good, bad = load(file)
    assert good["text"].to_pylist() == ["a"]
    assert good["label"].to_pylist() in (["true"], ["3"], ["2"])
    assert not bad


def test_a_column_some_json_rows_lack_is_fine_and_one_that_all_lack_is_not(put, one):
    rows = [{"a": 1}] * 999
    late = b"".join(json.dumps(r).encode() + b"\n" for r in [*rows, {"text": "x"}])
    sources.check(one(put("x.jsonl", late)))
    later = b"".join(json.dumps(r).encode() + b"\n" for r in [*rows, {"a": 1}, {"text": "x"}])
    with pytest.raises(errors.SchemaError, match="column 'text' not found"):
        sources.check(one(put("x.jsonl", later)))


def test_a_type_that_only_some_rows_have_is_for_the_rows_to_say(put, one):
    sources.check(one(put("x.jsonl", b'{"text": 1}\nnot json\n{"text": "a"}\n')))


def test_a_json_array_is_told(put, one):
    with pytest.raises(errors.SchemaError, match=r"holds a JSON array.*\n  -> jq"):
        sources.check(one(put("x.json", b'[\n{"text": "a"}\n]')))


def test_two_columns_of_one_name(put, one):
    with pytest.raises(errors.SchemaError, match="two columns are named 'text'"):
        sources.check(one(put("x.csv", b"text,text\n1,2\n")))


def test_a_header_from_the_config(put, one, load):
    file = one(put("x.csv", b"1;a\n2;b\n"), header=("label", "text"), delimiter=";")
    sources.check(file)
    assert load(file)[0]["text"].to_pylist() == ["a", "b"]
