"""A command as a trainer: what it is given, and every way in which it can fail."""

import json
import pathlib
import shlex
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

import tamis
from tamis import errors, sources
from tamis.pilots import command
from tamis.schemas import shards, uids

# Reads the manifest as a trainer would; its error is the share of rows whose number is odd.
TRAINER = """
import json, sys
import tamis
folder, samples, seed, output = sys.argv[1:]
ids = [row["id"] for row in tamis.load(folder, seed=int(seed))]
assert len(ids) == int(samples)
json.dump({"error": sum(int(i) % 2 for i in ids) / len(ids), "seed": int(seed)}, open(output, "w"))
"""
ROOT = pathlib.Path(tamis.__file__).parents[1]
FILL = "{manifest} {samples} {seed} {output}"


@pytest.fixture
def material(tmp_path):
    """Forty rows in two files, as places; and the listing."""
    documents, x = [], []
    for number, name in enumerate(("a", "b")):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"id": str(i), "text": name}) + "\n" for i in range(20)))
        source = sources.Source(name, "supply", (str(path),), shards.Columns(text="text", id="id"))
        (shard,) = sources.shards(*sources.expand(source), number)
        documents.append(shards.document(shard))
        table = sources.lookup(shard, np.arange(20), ("text", "id"))
        (batch,) = table.to_batches()
        uid = sources.uids(shard.file, batch)
        content = sources.contents(shard.file, batch, uid).to_numpy()
        named = uids.from_hex(uid)
        rest = [np.full(20, number), np.arange(20), np.full(20, number), np.zeros(20), content]
        x.append(np.column_stack([named, *(r.astype(np.uint64) for r in rest)]))
    listing = tmp_path / "shards.json"
    listing.write_text(json.dumps({"shards": documents, "strata": ["a", "b"]}))
    return str(listing), np.concatenate(x)


def run(material, code, orders, fill=FILL, **options):
    listing, x = material
    quoted = shlex.quote(code).replace("{", "{{").replace("}", "}}")
    template = f"env PYTHONPATH={ROOT} {shlex.quote(sys.executable)} -c {quoted} {fill}"
    trainer = command.Command(listing, template, **{"retries": 0} | options)
    nothing = (np.zeros((0, 0)), np.zeros(0))
    return trainer.errors((x, np.zeros(40)), np.array(orders), [nothing], seeds=range(len(orders)))


def test_a_command_trains_on_the_rows_of_its_run_as_often_as_they_are_seen(material):
    orders = [[0, 2, 4, 0, 2, 24], [1, 1, 1, 23, 0, 0]]
    found = run(material, TRAINER, orders, parallel=2)
    np.testing.assert_array_equal(found, [[0, 4 / 6]])


def test_its_manifest_is_one_that_any_loader_reads(material, tmp_path):
    listing, x = material
    order = np.array([25, 3, 3, 3, 0])
    command.write_manifest(
        str(tmp_path / "m"), x, order, json.loads(pathlib.Path(listing).read_text())
    )
    rows = [
        r for p in sorted((tmp_path / "m").glob("*.parquet")) for r in pq.read_table(p).to_pylist()
    ]
    assert [(r["source"], r["stratum"], r["row"], r["repeats"]) for r in rows] == [
        ("a", "a", 0, 1),
        ("a", "a", 3, 3),
        ("b", "b", 5, 1),
    ]
    assert sorted(row["id"] for row in tamis.load(str(tmp_path / "m"))) == ["0", "3", "3", "3", "5"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import sys; print('no GPU here', file=sys.stderr); sys.exit(7)",
            "status 7; it said: no GPU here",
        ),
        ("pass", "wrote no 'error' to its output"),
        ("import sys; open(sys.argv[4], 'w').write('[1]')", "wrote no 'error'"),
        ("import sys; open(sys.argv[4], 'w').write('{\"error\": NaN}')", "no finite number"),
        ("import sys; open(sys.argv[4], 'w').write('{\"error\": \"low\"}')", "no finite number"),
        ("import sys; open(sys.argv[4], 'w').write('{\"error\": -1}')", "no finite number"),
    ],
)
def test_a_command_that_fails_says_how(material, code, message):
    with pytest.raises(errors.PlanError, match=message):
        run(material, code, [[0]])


def test_a_command_that_takes_too_long_is_ended_with_its_children(material):
    code = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    started = time.monotonic()
    with pytest.raises(errors.PlanError, match=r"took more than 1 s"):
        run(material, code, [[0]], timeout=1)
    assert time.monotonic() - started < 30


def test_a_run_that_fails_is_tried_again(material, tmp_path):
    code = (
        "import sys, pathlib, json\n"
        f"mark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "if not mark.exists():\n"
        "    mark.touch(); sys.exit(1)\n"
        "json.dump({'error': 0.25}, open(sys.argv[4], 'w'))\n"
    )
    assert run(material, code, [[0]], retries=1) == 0.25


def test_a_command_that_is_not_there_is_told(material):
    listing, x = material
    trainer = command.Command(listing, "no-such-trainer {manifest} {output}", retries=0)
    with pytest.raises(errors.PlanError, match="No such file"):
        trainer.errors((x, np.zeros(40)), np.array([[0]]), [(x, x)], seeds=[0])


@pytest.mark.parametrize("template", ["train {manifest}", "train {manifest} {output} {epochs}", ""])
def test_a_template_must_say_where_what_is(template):
    with pytest.raises(errors.ConfigError, match=r"needs \{manifest\} and \{output\}"):
        command.Command("", template)
