"""Mixing in a run: what is predicted is the planner's law, whatever predicts and in what unit."""

import dataclasses
import json

import numpy as np
import pytest

from tamis import errors
from tamis.pipelines import chain, measures, plan
from tamis.pipelines import mix as mixing

TRANSPORT = {"predictor": "transport"}
UNITS = {
    "tokens": {"budgets": [3_000, 8_000], "unit": "tokens"},
    "money": {"budgets": [2, 8], "unit": "money", "training_price": 0.02, "prices": {"far": 1e-3}},
}


def planned(configured, root, **section):
    """A session on a run that is planned again."""
    return chain.run(configured(root, plan=section), stages=("plan",), redo=True)


def plain(found):
    return {
        k: v.tolist() if isinstance(v, np.ndarray) else v
        for k, v in dataclasses.asdict(found).items()
    }


def test_no_mixture_is_nearer_than_the_gap_says(configured, copied):
    here = planned(configured, copied)
    found = mixing.mix(here)
    where = measures.find(here).geometry
    grid = np.stack([np.linspace(0, 1, 21), np.linspace(1, 0, 21)], -1)
    cost = where.distance(found.names, grid)[0]
    assert found.cost - found.gap <= cost.min()
    assert found.cost <= cost.min() * 1.001
    assert found.cost <= found.costs.min()
    assert found.weights.sum() == pytest.approx(1)
    assert found.cost == pytest.approx(where.distance(found.names, found.weights)[0], rel=1e-4)
    assert found.least < found.cost


def test_from_another_folder_the_file_the_reason_and_the_remedy_are_named(
    configured, corpus, tmp_path, monkeypatch
):
    """A run of relative paths, mixed from somewhere else."""
    monkeypatch.chdir(corpus)
    named = {"text": "text", "label": "label", "id": "id"}
    files = {n: {"path": f"{n}.jsonl", **named} for n in ("near", "far", "target")}
    target = files.pop("target")
    document = configured(tmp_path / "run", sources=files, target=target)
    chain.run(document, stages=("ingest", "embed"))
    mixing.mix(chain.reading(str(tmp_path / "run")))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.SchemaError) as caught:
        mixing.mix(chain.reading(str(tmp_path / "run")))
    said = str(caught.value)
    assert said.startswith("target.jsonl: no such file")
    assert f"looked for from {tmp_path}" in said
    assert "start in the folder that the run was started in" in said


@pytest.mark.parametrize("unit", UNITS)
def test_a_plan_by_transport_is_predicted_in_any_unit(configured, copied, unit):
    here = planned(configured, copied, **TRANSPORT, **UNITS[unit])
    made = plan.read(here)
    assert {s.law for s in made.laws} >= {"Coverage", "Rational"}
    for budget in made.budgets:
        found = mixing.mix(here, budget=budget.samples)
        assert found.samples == budget.samples
        assert found.planned.error == budget.predicted_error
        low, high = found.nearest.interval
        assert 0 < low <= found.nearest.error <= high < 1


def test_what_if_by_transport_leaves_the_plan(configured, copied):
    here = planned(configured, copied)
    before = (copied / "plan" / "plan.json").read_bytes()
    asked = configured(copied, plan={**TRANSPORT, "budgets": [200]})
    drafts = [plan.draft(chain.reading(str(copied)), asked.plan) for _ in range(2)]
    assert drafts[0].model_dump_json() == drafts[1].model_dump_json()
    assert {s.law for s in drafts[0].laws} > {s.law for s in plan.read(here).laws}
    assert [b.samples for b in drafts[0].budgets] == [200]
    assert (copied / "plan" / "plan.json").read_bytes() == before


def test_transport_plans_and_mixes_the_same_twice(configured, copied):
    texts, mixes = [], []
    for _ in range(2):
        here = planned(configured, copied, **TRANSPORT)
        texts.append((copied / "plan" / "plan.json").read_bytes())
        mixes.append(json.dumps(plain(mixing.mix(here))))
        planned(configured, copied)  # another plan between
    assert texts[0] == texts[1]
    assert mixes[0] == mixes[1]
