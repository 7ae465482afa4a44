import numpy as np
import pytest

from tamis import errors
from tamis.pilots import design

SUPPLY = (600, 3132, 3687, 3521)
BUDGETS = (500, 2000, 8000, 32_000, 128_000)


def test_every_mixture_is_a_point_of_the_simplex_and_tried_once():
    for k in (1, 2, 3, 12):
        w = design.mixtures(list(range(5, 5 + k)))
        np.testing.assert_allclose(w.sum(1), 1)
        assert (w >= 0).all()
        assert len(np.unique(w, axis=0)) == len(w) <= 3 * k + 2
        assert all((abs(w - row).sum(1) < 1e-9).any() for row in np.eye(k))


def test_no_budget_is_left_without_pilots_and_none_is_too_long():
    lengths = {r.samples for r in design.runs(SUPPLY, BUDGETS)}
    for b in BUDGETS:
        assert {b // 4, b // 8, b // 16} <= lengths
    assert max(lengths) == 32_000


@pytest.mark.parametrize(
    ("supply", "budgets"),
    [
        (SUPPLY, BUDGETS),
        ([600] * 12, BUDGETS),
        ([600] * 30, [10**9]),
        ([10**7] * 12, [10**7, 10**8]),
    ],
)
def test_cost_is_bounded(supply, budgets):
    runs = design.runs(supply, budgets)
    assert sum(r.samples for r in runs) <= 1.1 * design.MAX_COST
    assert len({r.samples for r in runs}) >= 3


def test_runs_are_distinct_and_keep_to_the_supply():
    runs = design.runs(SUPPLY, BUDGETS)
    assert len(set(runs)) == len(runs)
    assert all(c <= m for r in runs for c, m in zip(r.supply, SUPPLY, strict=True))
    assert {r.supply for r in runs} == {SUPPLY, (150, 783, 922, 880)}


def test_cut_supplies_only_where_rows_repeat():
    for run in design.runs(SUPPLY, BUDGETS):
        if run.supply != SUPPLY:
            used = np.array(run.weights) * run.samples
            assert (used > run.supply).any()


def test_short_runs_have_more_replicates():
    runs = design.runs(SUPPLY, BUDGETS)
    most = {n: max(r.seed for r in runs if r.samples == n) for n in (125, 2000, 32_000)}
    assert most[125] > most[2000] > most[32_000] >= 1


def test_too_small_a_budget_is_refused():
    with pytest.raises(errors.PlanError, match=r"no pilot fits budgets \[40\]"):
        design.runs(SUPPLY, [40])


def test_an_empty_stratum_is_refused():
    with pytest.raises(errors.PlanError, match="stratum without rows"):
        design.runs([5, 0], [1000])
