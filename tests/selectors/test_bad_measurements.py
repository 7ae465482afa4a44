"""Measurements as people have them, and fits that must not stay at an end or at a guess unsaid."""

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors
from tamis.schemas import measurements
from tamis.schemas import plan as plan_
from tamis.selectors import allocation, laws
from tamis.selectors.laws import cells, profile

SUPPLY = (400, 3000)
TRUTH = laws.SignalNoise((0.97, 0.45), 0.6, 1.0, 150, 1.0, 250, 0.3)
SHARES = np.array([[1, 0], [0, 1], [0.5, 0.5], [0.8, 0.2]])
LENGTHS = np.array([50, 200, 800, 3200])


def table(change=None, seeds=3, noise=0.003, truth=TRUTH):
    w, n = np.repeat(SHARES, 4 * seeds, axis=0), np.tile(np.repeat(LENGTHS, seeds), 4)
    rows = {
        "samples": n,
        "errors": truth.predict(w, n, SUPPLY)
        + noise * np.random.default_rng(1).standard_normal(len(n)),
        "weights": w,
        "seeds": np.tile(np.arange(seeds), 16),
    }
    for name, (row, value) in (change or {}).items():
        rows[name] = rows[name].astype(float)
        rows[name][row] = value
    return measurements.table(("a", "b"), supply=SUPPLY, **rows)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"errors": (7, np.nan)}, r"row 7: error nan is not a finite number"),
        ({"errors": (7, np.inf)}, r"row 7: error inf is not a finite number"),
        ({"errors": (7, -0.2)}, r"row 7: error -0\.2 is negative"),
        ({"samples": (3, -5)}, r"row 3: samples -5\.0 is not at least 1"),
        ({"seeds": (2, np.nan)}, r"row 2: seed nan is missing or not a number"),
    ],
)
def test_what_cannot_be_a_measurement_is_an_error_that_names_it(change, said):
    with pytest.raises(errors.PlanError, match=said):
        table(change)


def test_a_csv_with_holes_is_an_error_that_names_them(tmp_path):
    file = tmp_path / "runs.csv"
    head = "samples,seed,error,weight:a,supply:a\n"
    file.write_text(f"{head}100,0,0.3,1,400\n200,,0.2,1,400\n")
    with pytest.raises(errors.PlanError, match="row 1: seed nan is missing"):
        laws.read(file)
    file.write_text(f"{head}100,0,0.3,1,400\n200,1,,1,400\n")
    with pytest.raises(errors.PlanError, match="row 1: error nan"):
        laws.read(file)


def test_one_point_is_an_error_whatever_the_law():
    one = table().slice(0, 3)  # three seeds of one setting
    for law in laws.LAWS:
        with pytest.raises(errors.PlanError, match="one point carries no law"):
            laws.fit(one, law=law)


def test_rows_given_twice_count_once_and_are_told():
    twice = pa.concat_tables([table(), table().slice(0, 5)])
    found, plain = cells.aggregate(twice), cells.aggregate(table())
    np.testing.assert_array_equal(found.count, plain.count)
    np.testing.assert_array_equal(found.error, plain.error)
    assert any("5 row(s) repeat another in everything and count once" in w for w in found.warnings)
    assert plain.warnings == ()
    assert laws.fit(twice, law=laws.Power).warnings[0] == found.warnings[0]


def test_rows_without_seeds_are_replicates_and_told():
    rows = {c: table()[c] for c in ("samples", "error", "weights", "supply")}
    w, m = (measurements.matrix(table(), c) for c in ("weights", "supply"))
    bare = measurements.table(
        ("a", "b"), samples=rows["samples"], errors=rows["error"], weights=w, supply=m
    )
    found = cells.aggregate(bare)
    np.testing.assert_array_equal(found.count, cells.aggregate(table()).count)
    assert any("no seeds are given" in w for w in found.warnings)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_runs_that_contradict_each_other_are_told(seeds):
    found = cells.aggregate(table({"errors": (seeds * 4, 0.95)}, seeds=seeds))
    [said] = found.warnings
    assert said.startswith("1 setting(s) have runs that contradict each other: at 50 samples")


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.03])
def test_seed_noise_is_no_contradiction(noise):
    assert cells.aggregate(table(noise=noise, seeds=5)).warnings == ()


def test_short_runs_may_scatter_more():
    w, n = np.repeat(SHARES, 20, axis=0), np.tile([30] * 10 + [3000] * 10, 4)
    error = 0.3 + np.where(n == 30, 0.06, 0.002) * np.random.default_rng(0).standard_normal(80)
    both = measurements.table(
        ("a", "b"), samples=n, errors=error, weights=w, supply=SUPPLY, seeds=np.tile(range(10), 8)
    )
    assert cells.aggregate(both).warnings == ()


def test_a_plan_passes_on_what_is_odd():
    strata = [
        plan_.Stratum(name=s, source=s, tier=-1, supply=m)
        for s, m in zip("ab", SUPPLY, strict=True)
    ]
    odd = pa.concat_tables([table({"errors": (12, 0.95)}), table().slice(0, 2)])
    notes = allocation.plan(odd, strata, [4000]).notes
    assert any("repeat another in everything" in n for n in notes)
    assert sum("contradict each other" in n for n in notes) == 1


def test_a_million_rows_are_the_same_cells_as_a_plain_average():
    n = 1_000_000
    rng = np.random.default_rng(0)
    which, size = rng.integers(4, size=n), LENGTHS[rng.integers(4, size=n)]
    error = TRUTH.predict(SHARES[which], size, SUPPLY) + 0.01 * rng.standard_normal(n)
    many = measurements.table(
        ("a", "b"),
        samples=size,
        errors=error,
        weights=SHARES[which],
        supply=SUPPLY,
        seeds=np.arange(n),
    )
    found = cells.aggregate(many)
    assert len(found) == 16
    for w, s, mean, count in zip(
        found.weights, found.samples, found.error, found.count, strict=True
    ):
        own = (SHARES[which] == w).all(1) & (size == s)
        assert own.sum() == count
        assert mean == pytest.approx(error[own].mean())
    assert laws.fit(found, law=laws.SignalNoise).rmse < 1e-3


def test_a_sweep_of_settings_is_merged_into_few():
    n = 50_000
    rng = np.random.default_rng(0)
    w = rng.dirichlet(np.ones(2), n)
    size = np.exp(rng.uniform(4, 8, n)).astype(int)
    sweep = measurements.table(
        ("a", "b"), samples=size, errors=TRUTH.predict(w, size, SUPPLY), weights=w, supply=SUPPLY
    )
    found = cells.aggregate(sweep)
    assert len(found) <= cells.MOST
    assert any("settings were merged into" in said for said in found.warnings)
    np.testing.assert_allclose(found.weights.sum(1), 1)
    np.testing.assert_allclose(
        TRUTH.predict(found.weights, found.samples, SUPPLY), found.error, atol=2e-3
    )


def test_distinct_rows_are_numpy_s():
    rows = np.random.default_rng(0).integers(0, 3, (200, 4)).astype(float)
    want = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    cell, first = cells._distinct(rows)
    np.testing.assert_array_equal(cell, want[2].reshape(-1))
    np.testing.assert_array_equal(rows[first], want[0])


# No fit returns at an end or at its prior in silence: runs that leave a parameter open, one way or
# another, and the parameter's name among the warnings.


def planted(w=SHARES, n=LENGTHS, supply=SUPPLY, truth=TRUTH):
    w, n = np.repeat(w, len(n), axis=0), np.tile(n, len(w))
    return measurements.table(
        ("a", "b"), samples=n, errors=truth.predict(w, n, supply), weights=w, supply=supply
    )


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (planted(n=LENGTHS[:1]), "only one length of training"),
        (planted(n=LENGTHS[:2], supply=(10**6, 10**6)), "no run repeats a row"),
        (planted(w=SHARES[:1]), "never trained on b"),
    ],
    ids=["one length", "no repeats", "one stratum"],
)
def test_what_a_design_leaves_open_is_told(law, runs, said):
    warnings = " | ".join(laws.fit(runs, law=law).warnings)
    assert said in warnings
    assert "hardly tell" in warnings


@pytest.mark.parametrize(("times", "told"), [((4, 4), True), ((4, 1), False), ((4, 9), False)])
def test_one_repeat_count_is_told(times, told):
    """Of every row of every stratum in every run, however long."""
    w, n = np.repeat(SHARES, len(LENGTHS), axis=0), np.tile(720 * LENGTHS, len(SHARES))
    supply = np.maximum(w * n[:, None] / times, 1)
    runs = measurements.table(
        ("a", "b"), samples=n, errors=TRUTH.predict(w, n, supply), weights=w, supply=supply
    )
    warnings = laws.fit(runs, law=laws.RepetitionUtility).warnings
    assert any("only one repeat count" in w for w in warnings) == told


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("level", [0.0, 0.5, 1.5])
def test_errors_that_never_change_do_not_fit_in_silence(law, level):
    """At 0, at chance and beyond it."""
    n = np.tile(LENGTHS, 4)
    w = np.repeat(SHARES, 4, axis=0)
    flat = measurements.table(
        ("a", "b"), samples=n, errors=np.full(16, level), weights=w, supply=SUPPLY
    )
    found = laws.fit(flat, law=law)
    assert any("no error differs from another" in w for w in found.warnings)
    assert np.isfinite(list(found.parameters.values())).all()


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.name)
def test_a_vector_far_from_what_is_plausible_is_told(law):
    """Errors of 40 times chance: no law can reach them inside its prior."""
    far = planted(truth=laws.Power((20.0, 20.0), 1e-3, 0.0))
    warnings = " | ".join(laws.fit(far, law=law).warnings)
    assert "at an end of what is plausible" in warnings or "misses the measurements" in warnings


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.name)
def test_a_good_design_leaves_little_to_say(law):
    truths = {
        "SignalNoise": TRUTH,
        "RepetitionUtility": laws.RepetitionUtility((-0.3, -0.2), (2.0, 6.0), 3e6, 0.05),
        "EffectiveData": laws.EffectiveData((-0.3, -0.2), (2.0, 6.0), 3e6, 0.05),
        "Power": laws.Power((2.0, 4.0), 0.4, 0.1),
    }
    found = laws.fit(table(truth=truths[law.name]), law=law)
    assert not any("at an end" in w or "misses" in w for w in found.warnings)


def lm(**changes):
    n, d = (x.ravel() for x in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    unique = d / np.tile([1, 4, 20], 3)
    runs = {"params": n, "tokens": d, "unique_tokens": unique, **changes}
    return runs | {
        "loss": changes.get(
            "loss", laws.DataConstrained().predict(params=n, tokens=d, unique=unique)
        )
    }


@pytest.mark.parametrize(
    "law", [laws.Chinchilla, laws.DataConstrained, laws.Memorisation], ids=lambda law: law.name
)
@pytest.mark.parametrize("loss", [3.0, 1e-3])
def test_language_laws_do_not_fit_a_constant_in_silence(law, loss):
    runs = lm(loss=np.full(9, loss))
    if law is laws.Memorisation:
        runs = {k: np.tile(v, 4) * np.repeat([1, 1.5, 2.2, 3], 9) for k, v in runs.items()}
        runs["loss"] = np.full(36, loss)
    assert any("hardly tell" in w for w in law.fit(runs, resamples=0).warnings)


def test_a_floor_of_nothing_is_told():
    n, d = (x.ravel() for x in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11]))
    runs = {"params": n, "tokens": d, "loss": 400 / n**0.34 + 400 / d**0.28}
    assert any("hardly tell E" in w for w in laws.Chinchilla.fit(runs, resamples=0).warnings)


def test_a_search_that_stays_at_its_start_is_told():
    """Two exponents of which the columns show one."""
    x = np.linspace(1, 9, 30)
    problem = profile.Separable(
        ("seen", "unseen"),
        ((0.01, 3.0), (0.01, 3.0)),
        lambda v: np.stack([np.ones(30), x ** -np.exp(v[0])], axis=1),
        2 + 3 * x**-0.7 + 0.01 * np.random.default_rng(0).standard_normal(30),
        ("c", "b"),
    )
    found = profile.fit(problem, np.array([[0.3, 0.5]]))
    assert found.parameters["seen"] == pytest.approx(0.7, abs=0.1)
    assert found.warnings == ("the runs hardly tell unseen",)
