"""Budgets in tokens and money through the chain: words counted, only bought rows used."""

import collections
import json

import pyarrow.parquet as pq
import pytest

from tamis.pipelines import chain, plan, strata, verify

STAGES = ("plan", "select")


def planned(configured, root, finished, **section):
    own = str(finished / "pilots" / "measurements.parquet")
    document = configured(root, plan={"measurements": own, "strata": ["source"], **section})
    with chain.opened(document) as run:
        chain.proceed(run, STAGES)
    return run, plan.read(run)


def rows(root, kind, samples):
    parts = sorted((root / kind / f"samples-{samples}").glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def test_the_words_of_strata_are_those_of_their_texts(copied, paragraphs):
    found = {c.name: c.words for c in strata.find(chain.reading(str(copied))).cells}
    for name, kind, n in (("near", "doc", 120), ("far", "comment", 480)):
        assert found[name] == sum(len(r["text"].split()) for r in paragraphs[kind][:n])


def test_a_plan_in_tokens_is_selected_within_its_budget(configured, copied, finished):
    run, made = planned(configured, copied, finished, unit="tokens", budgets=[4000, 9000])
    mean = {s.name: s.words / s.supply for s in made.strata}
    for budget in made.budgets:
        got = collections.Counter()
        for row in rows(copied, "manifest", budget.samples):
            got[row["stratum"]] += row["repeats"]
        assert got == {a.stratum: a.quota for a in budget.allocation}
        tokens = sum(mean[s] * q for s, q in got.items()) * made.terms.tokens_per_word
        assert tokens == pytest.approx(budget.spent)
        assert tokens <= budget.amount
    assert len(verify.balance(run)) == 2


def test_a_plan_in_money_uses_only_the_rows_it_buys(configured, copied, finished):
    terms = {"unit": "money", "prices": {"near": 0.5}, "training_price": 0.05}
    _, made = planned(configured, copied, finished, budgets=[20], **terms)
    (budget,) = made.budgets
    manifest = rows(copied, "manifest", budget.samples)
    for share in budget.allocation:
        own = [r["repeats"] for r in manifest if r["stratum"] == share.stratum]
        assert len(own) == share.rows
        assert sum(own) == share.quota
        assert max(own) - min(own) <= 1
    bought = sum(r["stratum"] == "near" for r in manifest)
    assert 0.5 * bought + 0.05 * budget.samples == pytest.approx(budget.cost.total)
    assert budget.cost.total <= 20
    random = rows(copied, "random", budget.samples)
    assert len(random) == len(manifest)
    document = json.loads(
        (copied / "manifest" / f"samples-{budget.samples}" / "manifest.json").read_text()
    )
    assert sum(a["price"] for a in document["allocation"]) == pytest.approx(budget.cost.rows)


def test_pilots_of_a_token_budget_cost_no_more_than_their_part_of_it(configured, tmp_path):
    document = configured(
        tmp_path / "run",
        plan={"unit": "tokens", "budgets": [20_000], "strata": ["source"]},
        pilot={"budget": 30_000, "design": "optimal"},
    )
    stages = ("ingest", "embed", "cluster", "score", "dedup", "tier", "pilot", "plan")
    run = chain.run(document, stages=stages)
    facts = run.entry("pilot")
    assert facts["samples"] <= 30_000
    (budget,) = plan.read(run).budgets
    most = max(s.words / s.supply for s in plan.read(run).strata) * 4 / 3
    assert facts["largest"] * most <= 20_000 / 4
    assert budget.largest_pilot == facts["largest"]
