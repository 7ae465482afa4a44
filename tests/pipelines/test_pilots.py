"""Every kind of pilot through plan, select and check, on the small corpus."""

import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

import tamis
from tamis import errors
from tamis.pipelines import chain, check, trainers
from tamis.schemas import config

# A trainer of another framework, as far as tamis can tell: the share of words of the target that
# are in no text of the manifest.
COMMAND = """
import json, sys
import tamis
folder, output, target = sys.argv[1:]
known = {w for row in tamis.load(folder) for w in row["text"].split()}
words = [w for line in open(target) for w in json.loads(line)["text"].split()]
with open(output, "w") as out:
    json.dump({"missed": sum(w not in known for w in words) / len(words)}, out)
"""
UNLABELLED = {"label": None}


@pytest.fixture
def kinds(corpus, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(COMMAND)
    target = corpus / "target.jsonl"
    root = pathlib.Path(tamis.__file__).parents[1]
    command = f"env PYTHONPATH={root} {sys.executable} {script} {{manifest}} {{output}} {target}"
    return {
        "knn": {"kind": "knn", "options": {"k": 5}, "budget": 5_000, "seeds": 4},
        "tiny-lm": {
            "kind": "tiny-lm",
            "options": {"width": 16, "layers": 1, "length": 32},
            "budget": 5_000,
            "seeds": 1,
        },
        "command": {
            "kind": "command",
            "options": {"command": command, "metric": "missed", "parallel": 2, "timeout": 60},
            "budget": 4_000,
            "seeds": 1,
        },
    }


@pytest.mark.parametrize("kind", ["knn", "tiny-lm", "command"])
def test_a_kind_plans_and_is_checked(kind, kinds, configured, described, corpus, tmp_path):
    changes = {"pilot": kinds[kind], "plan": {"budgets": [600]}}
    if kind != "knn":  # there are no labels, and none are needed
        sources = described("x")["sources"]
        changes |= {"sources": dict.fromkeys(sources, UNLABELLED), "target": UNLABELLED}
    here = chain.run(configured(tmp_path / "run", **changes))
    measured = pq.read_table(tmp_path / "run/pilots/measurements.parquet")
    values = measured["error"].to_numpy()
    assert len(values) >= 8
    assert ((values > 0) & (values <= 1.05)).all()
    longest = measured["samples"].to_numpy() == measured["samples"].to_numpy().max()
    assert values[longest].mean() < values[~longest].mean()
    (budget,) = check.read(here).budgets
    for found in (budget.chosen, budget.random, budget.everything, budget.top):
        assert len(found.errors) == 2
        assert 0 < found.error < 1
    assert set(budget.gains) == {"random", "everything", "top"}
    assert budget.gain == pytest.approx(budget.gains["random"].mean)
    if kind == "command":  # on all 600 rows, each once, it tells the plain count
        assert budget.everything.error == pytest.approx(missed(corpus))


def missed(corpus):
    """The share of the target's words that are in no text of the supply."""
    near, far, target = (
        [
            w
            for line in (corpus / f"{name}.jsonl").read_text().splitlines()
            for w in json.loads(line)["text"].split()
        ]
        for name in ("near", "far", "target")
    )
    known = {*near, *far}
    return np.mean([w not in known for w in target])


def test_a_command_that_fails_ends_the_run_with_its_words(kinds, configured, tmp_path):
    broken = {
        "command": f"{sys.executable} -c 'raise SystemExit(\"no GPU\")' {{manifest}} {{output}}"
    }
    with pytest.raises(errors.PlanError, match="status 1; it said: no GPU"):
        chain.run(configured(tmp_path / "run", pilot=kinds["command"] | {"options": broken}))


def test_the_best_tenth_is_the_highest_scores(finished):
    scores = [
        v
        for p in sorted((finished / "tiers").glob("*.parquet"))
        for v in pq.read_table(finished / "scores/prototypes" / p.name)["score"].to_pylist()
    ]
    names = [
        v
        for p in sorted((finished / "tiers").glob("*.parquet"))
        for v in pq.read_table(finished / "index" / p.name)["uid"].to_pylist()
    ]
    rows = [
        r
        for p in (finished / "top/samples-400").glob("*.parquet")
        for r in pq.read_table(p).to_pylist()
    ]
    assert len(rows) == 60  # of 600
    assert sum(r["repeats"] for r in rows) == 400
    assert {r["repeats"] for r in rows} == {6, 7}
    picked = {r["uid"] for r in rows}
    lowest = min(s for s, n in zip(scores, names, strict=True) if n in picked)
    assert lowest >= max(s for s, n in zip(scores, names, strict=True) if n not in picked)


def test_an_interval_is_scipy_s_of_paired_differences():
    a, b = np.random.default_rng(1).random((2, 7))
    theirs = stats.ttest_rel(a, b).confidence_interval(0.95)
    found = check.gain(a.tolist(), b.tolist())
    assert found.mean == pytest.approx((a - b).mean())
    assert found.interval == pytest.approx((theirs.low, theirs.high))
    assert check.gain([0.3], [0.2]).interval is None


def test_bytes_are_the_beginning_of_each_text_whatever_the_slice():
    texts = ["", "abc", "ä" * 9, "end"]
    batch = pa.record_batch({"text": pa.array(["skipped", *texts], pa.large_string())}).slice(1)
    found = trainers.Bytes(4).of(None, batch)
    assert [bytes(row) for row in found] == [t.encode()[:4].ljust(4, b"\0") for t in texts]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "command"}, "needs options"),
        ({"kind": "linear-prob"}, "linear-probe"),
    ],
)
def test_a_pilot_that_cannot_be_is_told_when_the_run_file_is_read(
    configured, tmp_path, section, message
):
    with pytest.raises(errors.ConfigError, match=message):
        configured(tmp_path / "run", pilot=section)


def test_options_of_a_kind_are_told_apart(configured, tmp_path):
    with pytest.raises(errors.ConfigError, match=r"unknown option 'pilot\.knn\.kk'.*\n.*'k'"):
        chain.run(configured(tmp_path / "run", pilot={"kind": "knn", "options": {"kk": 3}}))
    assert config.planning.Pilot(kind="tiny-lm").most_seeds == 2
