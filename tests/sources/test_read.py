import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tamis import errors, sources
from tamis.schemas import shards

ROWS = [
    {"text": f"row {i} é\u2028", "label": i % 3, "id": f"r{i}", "embedding": [i + 1.0, -2.0]}
    for i in range(100)
]
JSONL = "".join(json.dumps(r) + "\n" for r in ROWS).encode()
CSV = "".join(f'"{r["text"]}\n",{r["label"]},{r["id"]}\n' for r in ROWS).encode()
TSV = "".join(f"{r['text']}\t{r['label']}\t{r['id']}\n" for r in ROWS).encode()

lenient = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def parquet(rows=ROWS, **options):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="session")
def files(put, one):
    everything = ("text", "label", "id", "embedding")
    named = {
        "a.parquet": parquet(row_group_size=17),
        "a.jsonl": JSONL,
        "crlf.jsonl": b"\xef\xbb\xbf" + JSONL.replace(b"\n", b"\r\n\r\n")[:-4],
        "a.jsonl.gz": JSONL,
        "a.jsonl.zst": JSONL,
        "a.csv": b"text,label,id\n" + CSV,
        "a.csv.gz": b"\xef\xbb\xbftext,label,id\r\n" + CSV,
        "a.tsv": b"text\tlabel\tid\n" + TSV[:-1],
        "memory://read/a.jsonl": JSONL,
        "memory://read/a.parquet": parquet(),
    }
    paths = {name: put(name, data) for name, data in named.items()}
    return {
        name: one(path, everything[:3] if "sv" in name.replace("jsonl", "") else everything)
        for name, path in paths.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "a.parquet",
        "a.jsonl",
        "crlf.jsonl",
        "a.jsonl.gz",
        "a.jsonl.zst",
        "a.csv",
        "a.csv.gz",
        "a.tsv",
        "memory://read/a.jsonl",
        "memory://read/a.parquet",
    ],
)
@pytest.mark.parametrize("rows", [1, 7, 100, 65_536])
def test_every_format_gives_the_same_rows_for_any_shard_size(files, load, name, rows):
    file = files[name]
    sources.check(file)
    good, bad = load(file, rows=rows)
    assert not bad
    assert good["row"].to_pylist() == list(range(100))
    ending = "\n" if ".csv" in name else ""
    assert good["text"].to_pylist() == [r["text"] + ending for r in ROWS]
    assert good["label"].to_pylist() == [str(r["label"]) for r in ROWS]
    assert good["id"].to_pylist() == [r["id"] for r in ROWS]
    if file.columns.embedding:
        assert good["embedding"].to_pylist() == [r["embedding"] for r in ROWS]
        assert good.schema.field("embedding").type.list_size == 2


def test_types_do_not_depend_on_the_format(files, load):
    def schema(file):
        return [(f.name, str(f.type)) for f in load(file)[0].schema]

    assert schema(files["a.parquet"]) == schema(files["a.jsonl"])
    assert schema(files["a.csv"]) == schema(files["a.parquet"])[:4]


def test_shards_are_named_and_cover_the_file(files):
    found = sources.shards(files["a.jsonl"], 3, 40)
    assert [(s.name, s.row, s.rows) for s in found] == [
        ("part-00003-00000", 0, 40),
        ("part-00003-00001", 40, 40),
        ("part-00003-00002", 80, 20),
    ]
    assert [s.stop for s in found[:-1]] == [s.start for s in found[1:]]
    assert found[-1].stop == files["a.jsonl"].size


def test_a_compressed_file_is_one_span_and_others_one_per_shard(files):
    plain = sources.shards(files["a.jsonl"], 0, 40)
    packed = sources.shards(files["a.jsonl.gz"], 1, 40)
    assert [len(s.shards) for s in sources.spans([*packed, *plain])] == [3, 1, 1, 1]


def test_shards_of_a_large_row_group_share_a_few_spans(put, one):
    file = one(put("a.parquet", parquet(row_group_size=80)))
    found = sources.shards(file, 0, 10)
    assert [s.start for s in found] == [0] * 8 + [80] * 2
    assert [len(s.shards) for s in sources.spans(found)] == [2, 2, 2, 2, 1, 1]

    def rows(spans):
        read = (b for span in spans for b in sources.read(span, ("text",)))
        return [(b.shard.name, b.batch["row"].to_pylist()) for b in read]

    together = rows(sources.spans(found))
    assert together == rows(shards.Span((s,)) for s in found)
    holes = [found[1], found[2], found[9]]
    kept = [r for r in together if r[0] in {s.name for s in holes}]
    assert rows([shards.Span(tuple(holes))]) == kept


def test_a_resumed_span_reads_only_the_shards_that_are_left(files):
    packed = sources.shards(files["a.jsonl.gz"], 1, 30)
    (span,) = sources.spans([packed[1], packed[3]])
    read = list(sources.read(span, ("text",)))
    assert [(b.shard.name, b.batch["row"].to_pylist()) for b in read] == [
        (packed[1].name, list(range(30, 60))),
        (packed[3].name, list(range(90, 100))),
    ]


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.jsonl.gz", "a.csv"])
def test_lookup_takes_rows_in_the_order_asked_for(files, name):
    shard = sources.shards(files[name], 0, 30)[1]
    found = sources.lookup(shard, np.array([45, 31, 45]), ("id",))
    assert found.to_pydict() == {"row": [45, 31, 45], "id": ["r45", "r31", "r45"]}
    with pytest.raises(errors.SchemaError, match="has no good row 99"):
        sources.lookup(shard, np.array([45, 99]), ("id",))


def test_batches_keep_their_limits_and_their_cuts(put, one):
    long = put("long.jsonl", b"".join(b'{"text": "%s"}\n' % (b"x" * 900_000) for _ in range(50)))
    many = put("many.jsonl", b'{"text": "a"}\n' * 20_000)
    wide = put("wide.parquet", parquet([{"text": "x" * 900_000}] * 50))
    for path in (long, many, wide):
        (span,) = sources.spans(sources.shards(one(path), 0))
        sizes = [(b.batch.num_rows, b.batch.nbytes) for b in sources.read(span, ("text",))]
        assert max(n for n, _ in sizes) <= shards.BATCH_ROWS
        assert max(n for _, n in sizes) <= shards.BATCH_BYTES
        again = [b.batch.num_rows for b in sources.read(span, ("text",))]
        assert again == [n for n, _ in sizes]


def test_a_file_changed_since_it_was_cut_is_told(put, one):
    path = put("a.jsonl", JSONL)
    (span,) = sources.spans(sources.shards(one(path), 0))
    with pathlib.Path(path).open("ab") as out:
        out.write(JSONL)
    with pytest.raises(errors.SchemaError, match=r"a\.jsonl: .* bytes, was .*changed since"):
        list(sources.read(span, ("text",)))


def test_a_column_the_source_does_not_declare_cannot_be_read(files):
    (span,) = sources.spans(sources.shards(files["a.csv"], 0))
    with pytest.raises(errors.SchemaError, match="declares no embedding column"):
        list(sources.read(span, ("embedding",)))


json_values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4)
)
json_rows = st.fixed_dictionaries(
    {},
    optional={
        "text": st.one_of(st.text(max_size=5), json_values),
        "label": st.one_of(st.sampled_from(["a", "b", 1, 2, True]), json_values),
        "embedding": st.one_of(
            st.lists(st.floats(width=32), max_size=3),
            st.just([1, 2.5]),
            st.lists(st.one_of(json_values, st.just([])), min_size=2, max_size=2),
            json_values,
        ),
        "other": st.one_of(json_values, st.lists(json_values, max_size=2)),
    },
)
json_lines = st.one_of(
    json_rows.map(lambda r: json.dumps(r).encode()),
    json_rows.map(lambda r: json.dumps(r, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b"",
            b"\r",
            b"   ",
            b"{",
            b"[1]",
            b"{}",
            b'{"text":"a"}{"text":"b"}',
            b'{"text":',
            b'"a"}',
            b'{"text":"\xff"}',
            b'{"text":"\\udc00"}',
            b'{"text":"a","other":Inf}',
            b'{"text":"a","embedding":[1,Inf]}',
            b'{"text":"a","embedding":[1,1e39]}',
            b' {"text":"a"} ',
            b'{"text":"a","text":"b"}',
            b'{"text":"a","embedding":[0.1,16777217]}',
        ]
    ),
    st.binary(max_size=8).map(lambda b: b"~" + b.replace(b"\n", b"")),
)


def told(good, bad):
    """Row number to all that is known of it."""
    rows = {r["row"]: repr({**r, "row": 0}) for r in good.to_pylist()}
    return rows | {b["row"]: (b["reason"], b["error"], b["payload"]) for b in bad}


@lenient
@given(st.lists(json_lines, min_size=1, max_size=12), st.integers(1, 12))
def test_a_json_row_fares_alike_alone_and_among_others(put, one, load, lines, rows):
    data = b"\n".join(lines)
    if not data:
        return
    file = one(put("any.jsonl", data), ("text", "label", "embedding"))
    whole = told(*load(file, dimension=2))
    assert told(*load(file, rows=rows, dimension=2)) == whole
    alone = [line for line in lines if line not in (b"", b"\r")]
    assert len(whole) == len(alone)
    for i, line in enumerate(alone):
        by_itself = one(put("one.jsonl", line + b"\n"), ("text", "label", "embedding"))
        assert told(*load(by_itself, dimension=2)) == {0: whole[i]}


@lenient
@given(st.text(alphabet='aé ",\n\r\x00', max_size=80), st.integers(1, 9), st.booleans())
def test_csv_rows_balance_and_do_not_depend_on_shards(put, one, load, body, rows, broken):
    data = b"text,label\n" + body.encode() + b"\n\xff,b\n" * broken
    file = one(put("any.csv", data), ("text", "label"))
    packed = one(put("any.csv.gz", data), ("text", "label"))
    try:
        whole = told(*load(file))
    except errors.SchemaError:  # a quote that never closes: an error of the whole file
        with pytest.raises(errors.SchemaError, match="never closes"):
            load(packed, rows=rows)
        return
    assert told(*load(file, rows=rows)) == whole
    assert told(*load(packed, rows=rows)) == whole


@lenient
@given(
    st.lists(
        st.fixed_dictionaries({"text": st.one_of(st.none(), st.text(max_size=3))}), min_size=1
    ),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_parquet_rows_do_not_depend_on_shards_or_row_groups(put, one, load, rows, size, group):
    table = pa.Table.from_pylist(rows, schema=pa.schema({"text": pa.string()}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=group)
    file = one(put("any.parquet", sink.getvalue().to_pybytes()))
    good, bad = load(file, rows=size)
    kept = {i: r["text"] for i, r in enumerate(rows) if r["text"] and not r["text"].isspace()}
    assert dict(zip(good["row"].to_pylist(), good["text"].to_pylist(), strict=True)) == kept
    assert {b["reason"] for b in bad} <= {"missing_text", "empty_text"}
