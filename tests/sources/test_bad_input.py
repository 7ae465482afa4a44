import gzip
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tamis import errors, sources
from tamis.schemas import rejected


def jsonl(*rows):
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows)


def parquet(table, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def unpaired(data):
    """A string column whose bytes arrow has not looked at."""
    raw = pa.array(data, pa.binary())
    return pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:])


@pytest.mark.parametrize("keep", [3, 8, 200, -1])
def test_truncated_parquet(put, one, keep):
    whole = parquet(pa.table({"text": [f"{i}" * 50 for i in range(100)]}))
    file = one(put("cut.parquet", whole[:keep]))
    message = r"cut\.parquet: cannot be read as Parquet \(.*\)\n  -> the file is truncated or not"
    for look in (sources.check, lambda f: sources.shards(f, 0)):
        with pytest.raises(errors.SchemaError, match=message):
            look(file)


def test_parquet_with_a_damaged_page_is_named_while_reading(put, one, load):
    whole = bytearray(parquet(pa.table({"text": ["abcdefgh" * 9] * 999}), compression="zstd"))
    whole[8:60] = b"\xff" * 52
    with pytest.raises(errors.SchemaError, match=r"bad\.parquet: cannot be read as Parquet"):
        load(one(put("bad.parquet", bytes(whole))))


@pytest.mark.parametrize(
    ("line", "reason", "error"),
    [
        (b'{"text": "a" "b"}', "malformed", "not JSON: Expecting ',' delimiter at column 14"),
        (b"{", "malformed", "not JSON: Expecting property name"),
        (b"[1, 2]", "malformed", "an object is expected, this is a list"),
        (b'{"text": "a"} {"text": "b"}', "malformed", "not JSON: Extra data at column 15"),
        (b'{"x": ' + b"[" * 99_999, "malformed", "nested too deeply"),
        (b'{"text": 3}', "wrong_type", "column 'text' holds the number 3"),
        (b'{"text": {"a": 1}}', "wrong_type", "column 'text' holds an object"),
        (b'{"text": "\xff"}', "invalid_utf8", "byte 10 is 0xff, not UTF-8"),
        (b'{"text": "\\ud800"}', "invalid_utf8", "half of a surrogate pair"),
        (b"{}", "missing_text", "text is null or absent"),
        (b'{"text": null}', "missing_text", "text is null or absent"),
        (b'{"text": ""}', "empty_text", "0 bytes of white space"),
        (b'{"text": " \\n\\u00a0"}', "empty_text", "4 bytes of white space"),
    ],
)
def test_a_bad_json_line_is_rejected_alone(put, one, load, line, reason, error):
    path = put("a.jsonl", jsonl({"text": "a"}, line, {"text": "b"}))
    good, (bad,) = load(one(path))
    assert good.to_pydict() == {"row": [0, 2], "text": ["a", "b"]}
    assert (bad["source"], bad["path"], bad["row"], bad["stage"]) == ("s", path, 1, "ingest")
    assert bad["reason"] == reason
    assert reason in rejected.REASONS
    assert error in bad["error"]
    assert bad["payload"] == line[:512].decode(errors="replace")


def test_labels_and_ids_may_be_of_several_types(put, one, load):
    rows = [{"label": v, "id": i} for i, v in enumerate(["a", 7, True, "7", 2**70])]
    good, bad = load(one(put("a.jsonl", jsonl(*rows)), ("label", "id")))
    assert good["label"].to_pylist() == ["a", "7", "true", "7", str(2**70)]
    assert good["id"].to_pylist() == list("01234")
    assert not bad


@pytest.mark.parametrize("value", [None, "", 1.5, [1]])
def test_a_row_without_label_or_id_is_rejected(put, one, load, value):
    rows = [{"label": "a", "id": "b"}, {"label": value, "id": "b"}, {"label": "a", "id": value}]
    good, bad = load(one(put("a.jsonl", jsonl(*rows)), ("label", "id")))
    assert good.num_rows == 1
    typed = value in (None, "")
    assert [b["reason"] for b in bad] == (
        ["missing_label", "missing_id"] if typed else ["wrong_type"] * 2
    )


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"])
def test_ten_megabytes_of_text(put, one, load, name):
    texts = ["a", "x" * (10 << 20), "b"]
    data = {
        "jsonl": jsonl(*({"text": t} for t in texts)),
        "csv": b"text\n" + "\n".join(texts).encode(),
        "parquet": parquet(pa.table({"text": texts})),
    }
    good, (bad,) = load(one(put(name, data[name.split(".")[1]])))
    assert good.to_pydict() == {"row": [0, 2], "text": ["a", "b"]}
    assert bad["reason"] == "text_too_long"
    assert bad["error"] == "10,485,760 bytes, the limit is 1,048,576"
    assert len(bad["payload"]) <= rejected.PAYLOAD_BYTES


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.csv"])
def test_a_line_too_long_to_hold(put, one, load, name):
    wrap = b"%s" if "csv" in name else b'{"text": "%s"}'
    lines = [wrap % t for t in (b"a", b"x" * (41 << 20), b"b")]
    good, (bad,) = load(one(put(name, b"text\n" * ("csv" in name) + b"\n".join(lines))))
    assert good.to_pydict() == {"row": [0, 2], "text": ["a", "b"]}
    assert bad["reason"] == "text_too_long"
    assert "the limit is 33,554,432" in bad["error"]


@pytest.mark.parametrize(
    ("record", "reason", "error"),
    [
        (b"a", "malformed", "1 cells, the header has 2"),
        (b"a,b,c", "malformed", "3 cells, the header has 2"),
        (b"a,\xff", "invalid_utf8", "byte 2 is 0xff"),
        (b"a\rb,c", "malformed", "a carriage return outside quotes"),
        (b'a," "', "empty_text", "1 bytes of white space"),
        (b"a,", "empty_text", "0 bytes of white space"),
        (b",x", "missing_label", "label is empty"),
    ],
)
def test_a_bad_csv_record_is_rejected_alone(put, one, load, record, reason, error):
    path = put("a.csv", b'label,text\nx,"1\n2"\n%s\n\ny,"a ""b"""\nz,5" disk\n' % record)
    good, (bad,) = load(one(path, ("text", "label")))
    assert good["row"].to_pylist() == [0, 2, 3]
    assert good["text"].to_pylist() == ["1\n2", 'a "b"', '5" disk']
    assert (bad["row"], bad["reason"]) == (1, reason)
    assert error in bad["error"]
    assert bad["payload"] == record.decode(errors="replace")


def test_a_quote_that_never_closes_is_told(put, one, load):
    message = r"a\.csv:1: a quote opens here and never closes"
    with pytest.raises(errors.SchemaError, match=message):
        load(one(put("a.csv", b'text\na\n"b\nc\nd\n')))


def test_a_csv_whose_lines_end_in_returns_alone_is_told(put, one):
    with pytest.raises(errors.SchemaError, match=r"a\.csv: lines end in .*r alone"):
        sources.check(one(put("a.csv", b"text\ra\rb\r")))


def test_a_csv_of_nothing_but_bad_records(put, one, load):
    good, bad = load(one(put("a.csv", b"text,b\n1\n2,3,4\n\xff,1\n")))
    assert good.num_rows == 0
    assert [b["reason"] for b in bad] == ["malformed", "malformed", "invalid_utf8"]


def test_invalid_utf8_in_parquet(put, one, load):
    table = pa.table({"text": unpaired([b"a", b"\xff\xfe", b"b"]), "label": ["x", None, "y"]})
    good, (bad,) = load(one(put("a.parquet", parquet(table)), ("text", "label")))
    assert good.to_pydict() == {"row": [0, 2], "text": ["a", "b"], "label": ["x", "y"]}
    assert (bad["row"], bad["reason"], bad["error"]) == (1, "invalid_utf8", "text is not UTF-8")
    assert bad["payload"] == "text: \ufffd\ufffd; label: null"


VECTORS = [
    ([1.0, 2.0, 3.0], None, ""),
    (None, "missing_embedding", "embedding is null or absent"),
    ([1.0, 2.0], "wrong_dimension", "2 numbers, expected 3"),
    ([], "wrong_dimension", "0 numbers, expected 3"),
    ([1.0, math.nan, 3.0], "not_finite", "holds NaN or infinity"),
    ([1.0, -math.inf, 3.0], "not_finite", "holds NaN or infinity"),
    ([1.0, 1e39, 3.0], "not_finite", "holds NaN or infinity"),
    ([1.0, None, 3.0], "not_finite", "holds NaN or infinity"),
    ([0.0, -0.0, 0.0], "zero_norm", "all numbers are 0"),
    ([4.0, 5.0, 6.0], None, ""),
]


@pytest.mark.parametrize("name", ["a.jsonl", "double.parquet", "large.parquet"])
@pytest.mark.parametrize("rows", [1, 4, 99])
def test_bad_embeddings(put, one, load, name, rows):
    vectors = [v for v, _, _ in VECTORS]
    kind = pa.large_list(pa.float64()) if "large" in name else pa.list_(pa.float64())
    data = (
        jsonl(*({"embedding": v} for v in vectors))
        if "json" in name
        else parquet(pa.table({"embedding": pa.array(vectors, kind)}))
    )
    file = one(put(name, data), ("embedding",))
    assert sources.dimension(file) == 3
    good, bad = load(file, rows=rows)
    assert good["embedding"].to_pylist() == [[1, 2, 3], [4, 5, 6]]
    expected = [(i, r, e) for i, (_, r, e) in enumerate(VECTORS) if r]
    assert [(b["row"], b["reason"], b["error"]) for b in bad] == expected


def test_the_first_usable_embedding_gives_the_dimension(put, one):
    rows = [{"embedding": v} for v in (None, [], [0], [math.nan], [1, 2], [1])]
    assert sources.dimension(one(put("a.jsonl", jsonl(*rows)), ("embedding",))) == 2
    assert sources.dimension(one(put("b.jsonl", jsonl(*rows[:4])), ("embedding",))) == 1


def test_fixed_size_lists_with_nulls(put, one, load):
    kind = pa.list_(pa.float16(), 2)
    table = pa.table({"embedding": pa.array([np.float16([1, 2]), None, np.float16([0, 0])], kind)})
    good, bad = load(one(put("a.parquet", parquet(table)), ("embedding",)))
    assert good["embedding"].to_pylist() == [[1, 2]]
    assert [b["reason"] for b in bad] == ["missing_embedding", "zero_norm"]


def test_a_number_in_a_vector_that_is_none(put, one, load):
    rows = [{"embedding": [1, 2]}, {"embedding": ["1", 2]}, {"embedding": "x"}]
    good, bad = load(one(put("a.jsonl", jsonl(*rows)), ("embedding",)))
    assert good.num_rows == 1
    assert [b["error"] for b in bad] == [
        "column 'embedding' holds a string in its list of numbers",
        "column 'embedding' holds a string",
    ]


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.jsonl.gz", "a.csv"])
def test_an_empty_file_is_an_error(tmp_path, one, name):
    (tmp_path / name).write_bytes(b"")
    file = one(str(tmp_path / name))
    for look in (sources.check, lambda f: sources.shards(f, 0)):
        with pytest.raises(errors.SchemaError, match=f"{name}: the file is empty .*0 bytes"):
            look(file)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.parquet", parquet(pa.table({"text": pa.array([], pa.string())}))),
        ("a.jsonl", b"\n\r\n"),
        ("a.jsonl.gz", b""),
        ("a.csv", b"text\n"),
    ],
)
def test_a_file_of_no_rows_has_no_shards(put, one, name, data):
    file = one(put(name, data))
    sources.check(file)
    assert sources.shards(file, 0) == []


def test_a_csv_without_a_header_line(put, one):
    with pytest.raises(errors.SchemaError, match=r"no header line\n  -> name the columns"):
        sources.check(one(put("a.csv", b"\n\n")))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_a_truncated_stream_is_named(tmp_path, one, name):
    data = jsonl(*({"text": f"row {i * i}"} for i in range(9999)))
    whole = gzip.compress(data) if "gz" in name else zstandard.ZstdCompressor().compress(data)
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    kind = "gzip" if "gz" in name else "zstd"
    with pytest.raises(errors.SchemaError, match=f"{name}: the {kind} stream is damaged or ends"):
        sources.shards(one(str(tmp_path / name)), 0)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (gzip.compress(b"{}\n", mtime=0), "a gzip stream"),
        (parquet(pa.table({"text": ["a"]})), "a Parquet file"),
        ('{"text": "a"}\n'.encode("utf-16"), "UTF-16 text"),
    ],
)
def test_a_file_of_another_kind_than_its_name_says(put, one, data, kind):
    with pytest.raises(errors.SchemaError, match=rf"a\.jsonl: not jsonl but {kind}"):
        sources.check(one(put("a.jsonl", data)))
