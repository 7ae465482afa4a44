"""Bad input through the chain: the message, and nothing lost."""

import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import errors
from tamis.pipelines import chain, verify
from tamis.schemas import rejected

LONG = "sieve " * (10 * 2**20 // 6)  # 10 MB
BAD = {
    b'{"id": "b0", "text": "cut short': "malformed",
    b'{"id": "b1", "text": 7, "label": "tasks"}': "wrong_type",
    b'{"id": "b2", "text": "  ", "label": "tasks"}': "empty_text",
    b'{"id": "b3", "text": null, "label": "tasks"}': "missing_text",
    b'{"id": "b4", "text": "caf\xe9", "label": "tasks"}': "invalid_utf8",
    b'{"id": "b5", "text": "no label"}': "missing_label",
    b'{"text": "no id", "label": "tasks"}': "missing_id",
    json.dumps({"id": "b7", "text": LONG, "label": "tasks"}).encode(): "text_too_long",
}


def listed(root):
    """Every rejected row."""
    parts = sorted((pathlib.Path(root) / "rejected").glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def indexed(root):
    return sum(pq.read_metadata(p).num_rows for p in (pathlib.Path(root) / "index").glob("*"))


def ingested(document):
    chain.run(document, stages=("ingest",))
    return document.run


@pytest.fixture
def web(tmp_path, configured):
    """A run of one source of given bytes, beside the corpus's target."""

    def configure(data, name="web.jsonl", **changes):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else pathlib.Path(data).read_bytes())
        source = {"path": str(path), "text": "text", "label": "label", "id": "id"}
        source |= changes.pop("columns", {})
        ingest = {"max_rejected_fraction": 1} | changes.pop("ingest", {})
        sources = {"near": None, "far": None, "web": {k: v for k, v in source.items() if v}}
        return configured(tmp_path / "run", sources=sources, ingest=ingest, **changes)

    return configure


def test_every_bad_row_is_listed_with_reason_and_origin_and_the_rest_is_trained_on(
    corpus, web, tmp_path
):
    lines = (corpus / "far.jsonl").read_bytes().splitlines()[:200]
    at = {}
    for i, (line, reason) in enumerate(BAD.items()):
        lines.insert(17 * i + 3, line)
        at[17 * i + 3] = reason
    document = web(b"\n".join(lines) + b"\n", plan={"budgets": [400]}, cluster={"k": 4})
    chain.run(document)
    rows = listed(document.run)
    assert {r["row"]: r["reason"] for r in rows} == at
    assert all(r["path"].endswith("web.jsonl") and r["source"] == "web" for r in rows)
    assert all(r["stage"] == "ingest" and r["error"] for r in rows)
    assert all(len(r["payload"].encode()) <= rejected.PAYLOAD_BYTES for r in rows)
    with chain.opened(document) as here:
        (balance,) = verify.verify(here, lambda line: None)
    assert balance.rows == 200 + len(BAD)
    assert balance.selected + balance.not_selected == 200
    assert sum(balance.rejected.values()) == len(BAD)


def test_more_bad_rows_than_allowed_is_exit_code_3_and_they_are_listed(corpus, web):
    lines = (corpus / "far.jsonl").read_bytes() + b"{\n" * 20
    document = web(lines, ingest={"max_rejected_fraction": 0.01})
    message = r"20 of 800 rows rejected, more than 1\.00% \(most in source 'web': 20 malformed\)"
    for _ in range(2):  # also when ingest is committed already
        with pytest.raises(errors.RejectedError, match=message) as raised:
            chain.run(document)
    assert raised.value.exit_code == 3
    assert len(listed(document.run)) == 20
    allowed = web(lines, ingest={"max_rejected_fraction": 0.5})
    assert chain.run(allowed, stages=("ingest",)).reused["ingest"]


def test_everything_rejected_is_an_error_that_says_where_to_look(web):
    document = web(b"{\n" * 30)
    ingested(document)
    assert (indexed(document.run), len(listed(document.run))) == (300, 30)
    with pytest.raises(errors.SchemaError, match=r"nothing to cluster .*no row of any source"):
        chain.run(document)


def test_a_source_without_a_good_row_does_not_stop_the_others(corpus, tmp_path, configured):
    (tmp_path / "none.jsonl").write_text('{"id": "a", "text": "", "label": "tasks"}\n')
    columns = {"text": "text", "label": "label", "id": "id"}
    sources = {"near": None, "none": {"path": str(tmp_path / "none.jsonl"), **columns}}
    document = configured(tmp_path / "run", sources=sources, plan={"budgets": [400]})
    chain.run(document)
    with chain.opened(document) as here:
        (balance,) = verify.balance(here)
    assert (balance.rows, balance.rejected) == (481, {"empty_text": 1})


def test_duplicates_are_trained_on_once_or_each(corpus, web):
    lines = (corpus / "far.jsonl").read_bytes().splitlines()[:60]
    data = b"\n".join([*lines, *lines[:10], *lines[:5]]) + b"\n"
    config = {"plan": {"budgets": [300]}, "cluster": {"k": 4}}
    for kept, copies in (("drop", 15), ("keep", 0)):
        document = web(data, ingest={"duplicates": kept}, **config)
        chain.run(document, redo=True)
        with chain.opened(document) as here:
            (balance,) = verify.balance(here)
        assert (balance.rows, balance.duplicate) == (75, copies)
        folder = pathlib.Path(document.run) / "manifest" / "samples-300"
        parts = [r for p in folder.glob("*.parquet") for r in pq.read_table(p).to_pylist()]
        assert sum(r["repeats"] for r in parts) == 300
        assert len({r["uid"] for r in parts}) == 60
        assert len(parts) == 75 - copies


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "web.jsonl", r"web\.jsonl: .*empty"),
        (b"PAR1 not really", "web.parquet", r"web\.parquet: cannot be read as Parquet"),
        (
            b'{"id": "a", "words": "b", "label": "c"}\n',
            "web.jsonl",
            r"web\.jsonl: column 'text' not found \(columns: id, words",
        ),
        (
            b"id,label\n1,a\n",
            "web.csv",
            r"web\.csv: column 'text' not found \(columns: id, label\)",
        ),
    ],
)
def test_a_bad_file_is_named_before_anything_is_written(web, data, name, message):
    document = web(data, name)
    with pytest.raises(errors.SchemaError, match=message):
        ingested(document)
    assert not (pathlib.Path(document.run) / "index").exists()


def test_a_column_of_another_type_is_named(tmp_path, web):
    path = tmp_path / "in.parquet"
    texts = pa.array([[1.0], [2.0]])
    pq.write_table(pa.table({"id": ["a", "b"], "label": ["x", "y"], "text": texts}), path)
    with pytest.raises(errors.SchemaError, match=r"web\.parquet: column 'text' "):
        ingested(web(path, "web.parquet"))


def test_a_missing_file_names_its_neighbours(corpus, configured, tmp_path):
    wrong = {"near": {"path": str(corpus / "neer.jsonl")}}
    with pytest.raises(errors.SchemaError, match=r"neer\.jsonl.*\n.*near\.jsonl"):
        ingested(configured(tmp_path / "run", sources=wrong))


def vectors(n, d=8, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


@pytest.fixture
def precomputed(tmp_path, configured):
    """A run of two files of vectors."""

    def configure(rows, **changes):
        for name, found in (("web", rows), ("target", list(vectors(40, seed=1)))):
            column = [None if x is None else np.asarray(x).tolist() for x in found]
            table = {"x": pa.array(column, pa.list_(pa.float32()))}
            table |= {"label": ["ab"[i % 2] for i in range(len(column))]}
            pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
        named = {"text": None, "id": None, "label": "label", "embedding": "x"}
        web = {"path": str(tmp_path / "web.parquet"), "label": "label", "embedding": "x"}
        return configured(
            tmp_path / "run",
            sources={"near": None, "far": None, "web": web},
            target={"path": str(tmp_path / "target.parquet"), **named},
            embed={"backend": "precomputed"},
            score={"prototypes": {}},
            ingest={"max_rejected_fraction": 1},
            **changes,
        )

    return configure


def test_bad_vectors_are_rejected_and_the_others_carry_the_chain(precomputed):
    rows = list(vectors(120))
    bad = {5: rows[5] * np.nan, 6: rows[6][:3], 7: rows[7] * 0, 8: None, 9: rows[9] * np.inf}
    for i, x in bad.items():
        rows[i] = x
    document = precomputed(rows, plan={"budgets": [400]}, cluster={"k": 4})
    chain.run(document)
    reasons = ("not_finite", "wrong_dimension", "zero_norm", "missing_embedding", "not_finite")
    assert [r["reason"] for r in listed(document.run)] == list(reasons)
    with chain.opened(document) as here:
        (balance,) = verify.verify(here, lambda line: None)
    assert (balance.rows, sum(balance.rejected.values())) == (120, 5)


def test_vectors_of_two_dimensions_name_both_files(precomputed):
    message = r"target\.parquet: vectors of dimension 8, but 5 in .*web\.parquet"
    with pytest.raises(errors.SchemaError, match=message):
        ingested(precomputed(list(vectors(30, d=5))))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"cluster": {"k": 601}}, errors.TamisError, r"601 .*600"),
        ({"score": {"prototypes": {"keap": "easy"}}}, errors.ConfigError, r"did you mean 'keep'\?"),
        (
            {"score": {"prototypes": {}, "leksical": {}}},
            errors.ConfigError,
            r"leksical.*\n.*lexical",
        ),
        ({"plan": {"budgets": [20]}}, errors.PlanError, r"no pilot fits budgets \[20\]"),
        (
            {"plan": {"budgets": [10_000], "max_epochs": 2, "measurements": "pilots"}},
            errors.PlanError,
            r"10,000.*\n.*max_epochs",
        ),
    ],
    ids=["clusters", "option", "scorer", "small budget", "large budget"],
)
def test_what_cannot_be_is_an_error_that_names_it(copied, configured, changes, kind, message):
    if changes.get("plan", {}).get("measurements"):
        own = str(copied / "pilots" / "measurements.parquet")
        changes = {"plan": {**changes["plan"], "measurements": own}}
    with pytest.raises(kind, match=message):
        chain.run(configured(copied, **changes), redo=True)


def relabelled(corpus, path, name, label):
    rows = [json.loads(line) for line in (corpus / f"{name}.jsonl").read_text().splitlines()]
    path.write_text(
        "".join(json.dumps(r | {"label": label(i, r)}) + "\n" for i, r in enumerate(rows))
    )
    return {"path": str(path)}


def test_a_target_of_one_class_is_an_error(corpus, configured, tmp_path):
    target = relabelled(corpus, tmp_path / "t.jsonl", "target", lambda i, row: "same")
    with pytest.raises(errors.PlanError, match=r"the target has 1 class .*probe cannot be wrong"):
        chain.run(configured(tmp_path / "run", target=target))


def test_a_label_the_target_does_not_know_is_named_by_row(corpus, configured, tmp_path):
    near = relabelled(
        corpus, tmp_path / "n.jsonl", "near", lambda i, r: "odd" if i == 7 else r["label"]
    )
    document = configured(tmp_path / "run", sources={"near": near})
    message = r"n\.jsonl:7: label 'odd' is not among the target's .*network, tasks"
    with pytest.raises(errors.PlanError, match=message):
        chain.run(document)


def test_one_source_alone_is_planned(configured, tmp_path):
    document = configured(tmp_path / "run", sources={"far": None}, plan={"budgets": [400]})
    here = chain.run(document)
    assert here.entry("select")["counts"][0]["samples"] == 400


def test_one_id_for_two_texts_is_an_error_that_names_both_rows(web):
    rows = b"".join(
        b'{"id": "x", "text": "text number %d", "label": "tasks"}\n' % i for i in range(9)
    )
    document = web(rows)
    message = r"web\.jsonl:1: one id names two different rows \(.*web\.jsonl:0 has the same id"
    with pytest.raises(errors.SchemaError, match=message):
        chain.run(document, stages=("ingest", "dedup"))
    kept = web(rows, ingest={"duplicates": "keep"})
    chain.run(kept, stages=("ingest", "dedup"), redo=True)


@pytest.mark.parametrize("data", [b"text,label,id\n", b"\n\n"], ids=["header only", "blank lines"])
def test_a_file_without_rows_is_named(web, data):
    name = "web.csv" if data[:1] == b"t" else "web.jsonl"
    with pytest.raises(errors.SchemaError, match=rf"{name}: the file holds no rows"):
        ingested(web(data, name))


def test_an_expected_error_comes_without_the_engine_s_traceback(web, capfd):
    test = test_one_id_for_two_texts_is_an_error_that_names_both_rows
    test(web)
    assert "Traceback" not in capfd.readouterr().err
