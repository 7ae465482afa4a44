"""Thresholdout: its budget, its noise, and the experiment that it is known by."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import thresholdout as experiment
from tamis import errors, seeding
from tamis.selectors import thresholdout

fractions = st.floats(0, 1)
questions = st.lists(st.tuples(fractions, fractions), max_size=60)
terms = st.builds(
    thresholdout.Thresholdout,
    threshold=st.floats(0, 0.5),
    sigma=st.floats(0, 0.2),
    budget=st.integers(1, 6),
    noise=st.sampled_from(["laplace", "gaussian"]),
)


def asked(guard, pairs, seed):
    """Answers and states until the pairs or the budget end."""
    rng = seeding.generator(seed, "asked")
    state, told = guard.start(rng), []
    for pair in pairs:
        if not state.left:
            break
        answer, state = guard.answer(state, *pair, rng)
        told.append((answer, state))
    return told


@given(terms, questions, st.integers(0, 99))
def test_the_budget_only_falls_by_one_and_is_never_overdrawn(guard, pairs, seed):
    left = guard.budget
    for i, (_, state) in enumerate(asked(guard, pairs, seed), 1):
        assert left - state.left in (0, 1)
        assert state.left >= 0
        assert state.queries == i
        left = state.left


@given(terms, questions, st.integers(0, 99))
def test_an_answer_is_free_exactly_when_it_is_the_training_set_s(guard, pairs, seed):
    before = guard.budget
    for (train, _), (answer, state) in zip(pairs, asked(guard, pairs, seed), strict=False):
        if state.left == before:
            assert answer == train
        before = state.left


@given(st.floats(0, 0.5), questions, st.integers(0, 99))
def test_without_noise_an_answer_is_off_by_at_most_the_threshold(threshold, pairs, seed):
    guard = thresholdout.Thresholdout(threshold, 0, budget=100)
    for (train, held), (answer, _) in zip(pairs, asked(guard, pairs, seed), strict=True):
        assert answer == (held if abs(held - train) > threshold else train)
        assert abs(answer - held) <= threshold


@given(terms, questions, st.integers(0, 99))
def test_answers_are_deterministic_given_the_generator(guard, pairs, seed):
    assert asked(guard, pairs, seed) == asked(guard, pairs, seed)


@given(terms, fractions, fractions, st.integers(0, 50))
def test_a_spent_budget_refuses_every_question(guard, train, held, queries):
    spent = thresholdout.State(0, guard.threshold, queries)
    rng = seeding.generator(1, "spent")
    with pytest.raises(errors.PlanError, match=r"asked too often(.|\n)*collect fresh target rows"):
        guard.answer(spent, train, held, rng)


@pytest.mark.parametrize(
    "state",
    [
        thresholdout.State(-1, 0.1),
        thresholdout.State(9, 0.1),
        thresholdout.State(1, math.nan),
        thresholdout.State(1, math.inf),
    ],
)
def test_a_state_that_is_none_is_taken_for_spent(state):
    guard = thresholdout.Thresholdout(0.1, 0.1, budget=8)
    with pytest.raises(errors.PlanError, match="not a state of this holdout"):
        guard.answer(state, 0.1, 0.2, seeding.generator(1, "x"))


@pytest.mark.parametrize("pair", [(math.nan, 0.1), (0.1, math.nan), (math.inf, 0.1)])
def test_values_that_are_not_finite_are_refused(pair):
    guard, rng = thresholdout.Thresholdout(0.1, 0.1, budget=8), seeding.generator(1, "x")
    with pytest.raises(errors.PlanError, match="a mean must be finite"):
        guard.answer(guard.start(rng), *pair, rng)


@pytest.mark.parametrize(
    "bad",
    [{"threshold": -1}, {"threshold": math.nan}, {"sigma": -1}, {"budget": 0}, {"noise": "none"}],
)
def test_terms_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        thresholdout.Thresholdout(**{"threshold": 0.1, "sigma": 0.1, "budget": 1} | bad)


@pytest.mark.parametrize(("noise", "deviation"), [("laplace", math.sqrt(2)), ("gaussian", 1)])
def test_the_noise_of_an_answer_has_the_scale_of_its_kind(noise, deviation):
    guard = thresholdout.Thresholdout(0, 0.01, budget=5000, noise=noise)
    told = asked(guard, [(0.0, 1.0)] * 5000, 3)
    answers = np.array([answer for answer, _ in told])
    assert answers.mean() == pytest.approx(1, abs=1e-3)
    assert answers.std() == pytest.approx(0.01 * deviation, rel=0.06)


def test_the_theorem_s_constants():
    got = thresholdout.theorem(tolerance=0.04, queries=100, failure=0.05, budget=8)
    assert got.threshold == pytest.approx(0.03)
    assert got.sigma == pytest.approx(0.04 / (96 * math.log(4 * 100 / 0.05)))
    assert got.noise == "laplace"
    with pytest.raises(ValueError, match="tolerance"):
        thresholdout.theorem(tolerance=0, queries=100, failure=0.05, budget=8)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(0, 99))
def test_the_theorem_holds_for_means_that_were_known_all_along(queries, seed):
    """Sets of exact means: answers stay within the tolerance, as the noise is far below it."""
    guard = thresholdout.theorem(tolerance=0.1, queries=queries, failure=1e-3, budget=queries + 1)
    truths = seeding.generator(seed, "truth").random((queries, 2))
    for (_, held), (answer, _) in zip(truths, asked(guard, truths, seed), strict=True):
        assert abs(answer - held) <= 0.1


# Methods, §14 item 9, at a quarter of the size (2,500 rows and features, k and signal in
# proportion): expected accuracies depend on k / rows alone. `python -m benchmarks.thresholdout` is
# the full size. 8 repeats leave a standard error of 0.004, and of 0.008 for an
# answer, which has noise of 1 / sqrt(rows) of its own.
@pytest.mark.parametrize(
    ("k", "signal", "plain", "told", "fresh"),
    [(125, 0, 0.627, 0.50, 0.50), (5, 5, 0.606, 0.605, 0.61), (125, 5, 0.646, 0.534, 0.525)],
)
def test_the_published_experiment(k, signal, plain, told, fresh):
    rngs = [seeding.generator(4, "thresholdout", k, signal, i) for i in range(8)]
    found = [experiment.trial(rng, rows=2500, k=k, signal=signal) for rng in rngs]
    standard, guarded = experiment.mean(found)
    assert standard[1] == pytest.approx(plain, abs=0.013)
    assert standard[2] == pytest.approx(fresh, abs=0.013)
    assert guarded[1] == pytest.approx(told, abs=0.02)
    assert guarded[2] == pytest.approx(fresh, abs=0.013)
