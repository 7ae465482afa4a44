"""Tables of any kind to fits: dispatch, the two ways of leaving out, and what is refused."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tamis import errors
from tamis.schemas import measurements
from tamis.selectors import laws
from tamis.selectors.laws import cells as cells_
from tamis.selectors.laws import competition, language, tables

N, D = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(1e9, 1e11, 5)))
UNIQUE = D / np.tile([1, 4, 20, 2], 5)
TRUTH = laws.DataConstrained()
RUNS = {
    "params": N,
    "tokens": D,
    "unique_tokens": UNIQUE,
    "val_loss": TRUTH.predict(params=N, tokens=D, unique=UNIQUE),
}
MIX = laws.Power((0.5, 0.9), 0.3, 0.1)
SHARES = np.tile(np.repeat([[1, 0], [0.5, 0.5], [0, 1]], 3, axis=0), (1, 1))
LENGTHS = np.tile([100, 400, 1600], 3)


def flat(errors_=None):
    y = MIX.predict(SHARES, LENGTHS, [500, 500]) if errors_ is None else errors_
    columns = {"samples": LENGTHS, "error": y}
    for i, name in enumerate(("x", "y")):
        columns |= {f"weight:{name}": SHARES[:, i], f"supply:{name}": np.full(9, 500)}
    return pa.table(columns)


def test_a_law_fits_whatever_table_it_is_about():
    found = laws.fit(RUNS, law=laws.DataConstrained, seed=3)
    want = laws.DataConstrained.fit(tables.known(RUNS), seed=3)
    assert found.parameters == want.parameters
    assert found.interval == want.interval
    assert found.warnings == want.warnings
    mixed = laws.fit(flat(), law=laws.Power)
    assert mixed.law.predict([1, 0], 400, [500, 500]) == pytest.approx(
        MIX.predict([1, 0], 400, [500, 500]), abs=0.01
    )
    assert mixed.interval.keys() == mixed.parameters.keys()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_and_tables_are_one(tmp_path, suffix):
    for table in (flat(), pa.table(RUNS)):
        path = tmp_path / f"runs.{suffix}"
        (pa.csv.write_csv if suffix == "csv" else pq.write_table)(table, path)
        assert laws.read(path).equals(tables.known(table))
    if suffix == "parquet":
        nested = tables.known(flat())
        measurements.write(nested, tmp_path / "nested.parquet")
        assert laws.read(tmp_path / "nested.parquet").equals(nested)


def test_language_laws_compete_on_the_runs_with_most_compute():
    entries = tables.compete(RUNS)
    assert {e.name for e in entries} == {"DataConstrained", "Memorisation", "Chinchilla"}
    assert entries[0].held_out_error < 0.01
    assert entries[-1].name == "Chinchilla"
    flops = N * D
    longest = flops >= np.quantile(flops, 0.8, method="higher")
    blind = laws.Chinchilla.fit(
        {"params": N[~longest], "tokens": D[~longest], "loss": RUNS["val_loss"][~longest]}
    )
    seen = blind.law.predict(params=N[longest], tokens=D[longest])
    want = np.sqrt(np.mean((np.log(seen) - np.log(RUNS["val_loss"][longest])) ** 2))
    assert entries[-1].held_out_error == pytest.approx(want)
    assert laws.compare(RUNS)["law"].to_pylist() == [e.name for e in entries]


def test_columns_that_nothing_reads_are_named():
    runs = {**RUNS, "seed": np.arange(20)}
    runs["uniqe_tokens"] = runs.pop("unique_tokens")
    (entry,) = tables.compete(runs)
    assert entry.fit.warnings[0] == "columns that no law reads: seed, uniqe_tokens (unique_tokens?)"
    assert laws.fit(runs, law=laws.Chinchilla).warnings[0] == entry.fit.warnings[0]
    runs["N_params"] = runs.pop("params")
    with pytest.raises(errors.PlanError, match=r"no law.*none reads.*N_params \(params\?\)"):
        tables.compete(runs)
    with pytest.raises(errors.PlanError, match="none reads so few"):
        tables.compete({"params": N, "loss": RUNS["val_loss"]})


def test_laws_of_shares_alone_take_part_where_there_are_shares():
    table = tables.known({**RUNS, "share": np.full(20, 0.5)})
    assert language.applicable(table) == (laws.MixtureRepetition, laws.MixturePower)


def test_a_share_between_others_is_predicted_without_it():
    """Shares 0 and .6 stay; 0 is no share of the task, and MixturePower has no logarithm for it."""
    rng = np.random.default_rng(0)
    share = np.resize([0.0, 0.1, 0.3, 0.6], 60)
    n, d = 10 ** rng.uniform(8, 9, 60), 10 ** rng.uniform(9, 11, 60)
    truth = laws.MixtureRepetition(1.7, 300, 0.33, 400, 0.05, 0.32, 0.2, 9.5, 0.2)
    loss = truth.predict(params=n, tokens=d, unique=1e8, share=share)
    loss = loss * np.exp(0.01 * rng.standard_normal(60))
    runs = {"params": n, "tokens": d, "unique_tokens": np.full(60, 1e8), "share": share}
    runs["loss"] = loss
    (entry,) = tables.compete(runs)
    assert entry.name == "MixtureRepetition"
    want = []
    for out in (share == 0.1, share == 0.3):
        kept = {name: column[~out] for name, column in runs.items()}
        blind = laws.MixtureRepetition.fit(kept, resamples=0).law
        seen = blind.predict(params=n[out], tokens=d[out], unique=1e8, share=share[out])
        want.extend(np.log(seen / loss[out]))
    assert entry.mixture_error == pytest.approx(np.sqrt(np.mean(np.square(want))))
    assert laws.compare(runs)["mixture_error"].to_pylist() == [entry.mixture_error]


def test_info_law_competes_on_weights_of_buckets():
    rng = np.random.default_rng(0)
    runs = {
        "params": 10 ** rng.uniform(8.4, 9.1, 20),
        "tokens": 10 ** rng.uniform(10, 11.5, 20),
        "unique_tokens": np.full(20, 5e10),
    }
    weights = np.resize(rng.dirichlet([2, 2, 1, 1, 0.5, 0.5], 4), (20, 6))
    takes = {"params": runs["params"], "tokens": runs["tokens"], "unique": 5e10}
    runs["loss"] = laws.InfoLaw().predict(**takes, weights=weights)
    (entry,) = tables.compete({**runs, "weights": pa.array(list(weights))})
    assert (entry.name, entry.left_out.size) == ("InfoLaw", 20)
    assert entry.mixture_error < 1e-3


def test_leaving_a_mixture_out_is_a_fit_without_it():
    noise = 0.004 * np.random.default_rng(0).standard_normal(9)
    table = flat(MIX.predict(SHARES, LENGTHS, [500, 500]) + noise)
    (entry,) = competition.compete(tables.known(table), laws=(laws.Power,))
    cells = cells_.aggregate(tables.known(table))
    missed = np.empty(9)
    for w in np.unique(cells.weights, axis=0):
        out = (cells.weights == w).all(1)
        blind = laws.fit(cells.where(~out), law=laws.Power).law
        missed[out] = blind.predict(w, cells.samples[out], cells.supply[out]) - cells.error[out]
    assert entry.mixture_error == pytest.approx(np.sqrt(np.mean(missed**2)), rel=0.05)
    assert entry.mixture_error > entry.fit.rmse


def test_two_mixtures_leave_nothing_out():
    cells = cells_.aggregate(tables.known(flat()))
    two = cells.where(cells.weights[:, 0] != 0.5)
    assert np.isnan(competition.compete(two, laws=(laws.Power,))[0].mixture_error)


def test_many_mixtures_are_left_out_in_folds(monkeypatch):
    counted = []
    original = competition.fitting.Fit.refitted

    def count(self, cells):
        counted.append(len(cells))
        return original(self, cells)

    monkeypatch.setattr(competition.fitting.Fit, "refitted", count)
    w = np.linspace(0, 1, 60)
    cells = dataclasses.replace(
        cells_.aggregate(tables.known(flat())),
        weights=np.column_stack([w, 1 - w]),
        samples=np.tile([100.0, 400, 1600], 20),
        supply=np.full((60, 2), 500.0),
        error=np.full(60, 0.3),
        seed_noise=np.full(60, 0.01),
        count=np.ones(60),
    )
    competition.compete(cells, laws=(laws.Power,))
    assert len(counted) == 16


W = np.linspace(0, 1, 9)
AT = {100.0: 0.4 + 0.1 * W**2, 400.0: 0.3 + 0.1 * W**2}  # error of each mixture at each length


def lengths(supply=(9, 9)):
    return measurements.table(
        ("x", "y"),
        samples=np.repeat(list(AT), 9),
        errors=np.concatenate(list(AT.values())),
        weights=np.tile(np.c_[W, 1 - W], (2, 1)),
        supply=list(supply),
    )


def test_a_regression_is_of_the_longest_runs():
    found = laws.fit(lengths(), law=laws.MixtureRegression)
    assert found.rmse < 0.002
    assert found.law.predict([0.5, 0.5]) == pytest.approx(0.325, abs=0.002)
    assert found.warnings[-1] == "2 lengths have a regression each: none extrapolates"


def test_every_law_of_mixtures_is_judged_on_both_kinds_of_runs_left_out():
    known = laws.compare(lengths())
    assert set(known["law"].to_pylist()) == {law.name for law in tables.OF_MIXTURES}
    assert np.isfinite(np.c_[known["held_out_error"], known["mixture_error"]]).all()
    row = next(r for r in known.to_pylist() if r["law"] == "MixtureRegression")
    # It takes the level of the shorter runs along: 0.1 too high everywhere.
    assert row["held_out_error"] == pytest.approx(0.1, abs=0.002)
    assert row["fitted_error"] < row["mixture_error"] < 0.02
    one = tables.known(lengths()).slice(9)
    (entry,) = tables.compete(one, laws=(laws.MixtureRegression,))
    assert np.isnan(entry.held_out_error)
    assert entry.mixture_error == pytest.approx(np.sqrt(np.mean(entry.left_out**2)))


def test_a_regression_needs_one_supply_for_each_length():
    torn = lengths([[9, 9]] * 17 + [[9, 8]])
    with pytest.raises(errors.PlanError, match="runs of 400 samples differ in their supply"):
        laws.fit(torn, law=laws.MixtureRegression)
    with pytest.raises(errors.PlanError, match="differ in their supply"):
        tables.compete(torn, laws=(laws.MixtureRegression,))
    assert "MixtureRegression" not in laws.compare(torn)["law"].to_pylist()
    with pytest.raises(errors.PlanError, match="at least four runs"):
        laws.fit(flat(), law=laws.MixtureRegression)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"a": [1.0]}, "no law is about the columns a"),
        ({"params": [1e7], "tokens": [1e9], "loss": [3.0]}, r"1 distinct run\(s\) cannot carry"),
        ({**RUNS, "val_loss": np.full(20, np.nan)}, "loss is nan"),
        ({"samples": [1], "error": ["bad"], "weight:x": [1], "supply:x": [1]}, "not a number"),
        ({"samples": [1], "weight:x": [1], "supply:x": [1]}, "no column 'error'"),
    ],
)
def test_what_cannot_be_fitted_is_told(table, said):
    with pytest.raises(errors.PlanError, match=said):
        tables.compete(table)


def test_a_file_that_is_none_is_told(tmp_path):
    with pytest.raises(errors.PlanError, match="no such file"):
        laws.read(tmp_path / "none.csv")
    (tmp_path / "x.parquet").write_text("x")
    with pytest.raises(errors.PlanError, match="cannot be read"):
        laws.read(tmp_path / "x.parquet")


MIXTURES = {
    "samples": [100, 200, 400, 100, 200, 400],
    "error": [0.8, 0.7, 0.6, 0.85, 0.75, 0.7],
    "weight:a": [1, 1, 1, 0, 0, 0],
    "weight:b": [0, 0, 0, 1, 1, 1],
    "supply:a": [50] * 6,
    "supply:b": [50] * 6,
}
OTHERS = [laws.Chinchilla, laws.DataConstrained, laws.Memorisation, laws.MixturePower]


@pytest.mark.parametrize("law", OTHERS, ids=lambda law: law.name)
def test_a_language_model_law_does_not_compete_on_mixtures(law):
    with pytest.raises(errors.PlanError, match=f"{law.name} does not compete on measurements of m"):
        tables.compete(MIXTURES, laws=(law,))


@pytest.mark.parametrize("law", [laws.SignalNoise, laws.EffectiveData], ids=lambda law: law.name)
def test_a_law_of_mixtures_does_not_compete_on_language_models(law):
    runs = {"params": [1e7, 1e8], "tokens": [1e9, 1e9], "loss": [4.0, 3.5]}
    with pytest.raises(errors.PlanError, match=f"{law.name} does not compete on measurements of l"):
        tables.compete(runs, laws=(law,))


@pytest.mark.parametrize("read", [tables.read, measurements.read])
def test_a_missing_file_is_not_to_be_mended(read, tmp_path):
    with pytest.raises(errors.PlanError) as caught:
        read(tmp_path / "none.csv")
    assert str(caught.value) == f"no such file: {tmp_path / 'none.csv'}"


def test_chance_is_read_and_missed_and_other_columns_are_named():
    said = " ".join(laws.fit({**MIXTURES, "foo": [1] * 6}, law=laws.Power).warnings)
    assert "no law reads: foo" in said
    assert "6 runs are worse than guessing" in said
    known = laws.fit({**MIXTURES, "chance": [0.9] * 6}, law=laws.Power)
    assert known.cells.chance == 0.9
    assert "guessing" not in " ".join(known.warnings)
    with pytest.raises(errors.PlanError, match=r"row 3: chance 0\.8 is not one number"):
        laws.fit({**MIXTURES, "chance": [0.9] * 3 + [0.8] * 3}, law=laws.Power)


def test_an_error_names_the_file_and_the_row(tmp_path):
    path = tmp_path / "runs.csv"
    lines = [
        ",".join(MIXTURES),
        *(",".join(map(str, r)) for r in zip(*MIXTURES.values(), strict=True)),
    ]
    path.write_text("\n".join(lines).replace("0.6", "nan"))
    with pytest.raises(errors.PlanError, match=r"runs\.csv:row 2: error nan is not a finite"):
        tables.read(path)


def test_constants_that_do_not_fit_each_other_are_refused():
    with pytest.raises(errors.ConfigError, match="1 utilities b and 2 half-lives"):
        laws.RepetitionUtility(b=[-0.1], tau=[3, 4], a=0.02, d=0.1)
    with pytest.raises(errors.ConfigError, match="not all positive"):
        laws.EffectiveData(b=[-0.1], tau=[-3], a=0.02, d=0.1)
    with pytest.raises(errors.ConfigError, match="irreducible is 'x'"):
        laws.RepetitionUtility(b=[-0.1], tau=[3], a=0.02, d=0.1, irreducible="x")
