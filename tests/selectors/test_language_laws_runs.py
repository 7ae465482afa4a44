"""What bad, scarce or very many runs do to a fit."""

import time

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors
from tamis.selectors.laws.chinchilla import Chinchilla
from tamis.selectors.laws.data_constrained import DataConstrained
from tamis.selectors.laws.memorisation import Memorisation
from tamis.selectors.laws.runs import MOST, Runs

LAWS = (Chinchilla, DataConstrained, Memorisation)
TRUTH = Memorisation(2.29, 1450, 26700, 0.415, 0.477, 17.7, 4.0, 4.8, 1.27)


def table(count=60, seed=0, *, repeats=None, noise=0.003):
    rng = np.random.default_rng(seed)
    n, u = 10 ** rng.uniform(7, 9.5, count), 10 ** rng.uniform(8, 10, count)
    d = u * (10 ** rng.uniform(0, 2, count) if repeats is None else repeats)
    loss = TRUTH.predict(params=n, tokens=d, unique=u) * np.exp(noise * rng.standard_normal(count))
    return {"params": n, "tokens": d, "unique_tokens": u, "loss": loss}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("bad", [np.nan, -1.0, 0.0, np.inf])
@pytest.mark.parametrize("column", ["params", "tokens", "unique_tokens", "loss"])
def test_impossible_values_are_named(law, bad, column):
    runs = table()
    runs[column][7] = bad
    with pytest.raises(errors.PlanError, match=f"run 7: {column} is"):
        law.fit(runs)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_too_few_runs_are_refused(law, rows):
    with pytest.raises(errors.PlanError, match=f"{rows} distinct run"):
        law.fit(table(rows))


@pytest.mark.parametrize("law", LAWS)
def test_one_run_a_hundred_times_is_one_run(law):
    with pytest.raises(errors.PlanError, match="1 distinct run"):
        law.fit({name: np.repeat(column[:1], 100) for name, column in table().items()})


def test_a_missing_column_is_named():
    with pytest.raises(errors.PlanError, match="no column 'loss'"):
        Chinchilla.fit({"params": [1.0], "tokens": [1.0]})


def test_text_is_not_a_number():
    with pytest.raises(errors.PlanError, match="'loss' holds something not a number"):
        Runs.of(pa.table({"params": [1.0], "tokens": [2.0], "loss": ["three"]}))


def test_columns_of_different_length():
    with pytest.raises(errors.PlanError, match="differ in length"):
        Runs.of({"params": [1.0, 2.0], "tokens": [2.0], "loss": [3.0]})


def test_an_arrow_table_and_a_mapping_are_alike():
    runs = table()
    found = Chinchilla.fit(pa.table(runs), resamples=0)
    assert found == Chinchilla.fit(runs, resamples=0)


def test_the_order_of_runs_does_not_matter():
    runs = table()
    order = np.random.default_rng(0).permutation(60)
    found = Memorisation.fit(runs, resamples=0).law
    assert found == Memorisation.fit({k: v[order] for k, v in runs.items()}, resamples=0).law


def test_duplicates_count_once_and_are_said():
    runs = table()
    twice = {name: np.tile(column, 2) for name, column in runs.items()}
    found = Chinchilla.fit(twice, resamples=0)
    assert found.law == Chinchilla.fit(runs, resamples=0).law
    assert any("60 row(s) repeat another" in w for w in found.warnings)


def test_contradictions_are_said():
    runs = table()
    again = {name: np.append(column, column[0]) for name, column in runs.items()}
    again["loss"][-1] *= 2
    assert any("differ by more than 10 %" in w for w in Chinchilla.fit(again).warnings)


@pytest.mark.parametrize("law", [DataConstrained, Memorisation])
def test_one_repeat_count_is_said(law):
    found = law.fit(table(repeats=4.0), resamples=0)
    assert "only one repeat count: half-life unknown" in found.warnings


@pytest.mark.parametrize("law", [DataConstrained, Memorisation])
def test_no_repeats_leave_the_prior(law):
    found = law.fit(table(repeats=1.0), resamples=0)
    assert any("no run repeats a token" in w for w in found.warnings)
    assert any("the prior decides" in w for w in found.warnings)


def test_one_size_or_one_length_is_said():
    runs = table()
    runs["params"] = np.full(60, 1e8)
    assert any("only one model size" in w for w in Chinchilla.fit(runs, resamples=0).warnings)
    runs = table()
    runs["tokens"] = np.full(60, 1e10)
    runs["unique_tokens"] = np.minimum(runs["unique_tokens"], 1e10)
    assert any("only one number of tokens" in w for w in Chinchilla.fit(runs).warnings)


def test_intervals_widen_without_evidence():
    found = Memorisation.fit(table(repeats=1.0), resamples=20)
    low, high = found.interval["lifetime"]
    assert high > 5 * low


def test_a_million_runs_are_merged():
    started = time.perf_counter()
    found = Runs.of(table(1_000_000))
    assert len(found) <= MOST
    assert found.count.sum() == 1_000_000
    assert any("1000000 runs were merged" in w for w in found.warnings)
    law = Chinchilla.fit(found, resamples=0)
    assert law.rmse > 0
    assert time.perf_counter() - started < 30
