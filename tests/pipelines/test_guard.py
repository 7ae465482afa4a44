"""Guarded reuse of the target: a budget that outlives the process and only falls."""

import json
import shutil

import numpy as np
import pytest
import yaml

from tamis import errors, runfile
from tamis.pipelines import chain, check, guard, pilot, pool

UNTIL = tuple(chain.STAGES)[:-1]
# A threshold of 0 without noise: every answer costs, so that counting is exact.
STRICT = {"seeds": 1, "guard": True, "threshold": 0, "sigma": 0, "budget": 9}
SMALL = {"plan": {"budgets": [100]}}


def entry(root):
    return json.loads((root / "run.json").read_text())["guard"]


def edit(root, change):
    ledger = json.loads((root / "run.json").read_text())
    change(ledger)
    (root / "run.json").write_text(json.dumps(ledger))


@pytest.fixture(scope="module")
def planned(tmp_path_factory, configured):
    """A guarded run up to its selection."""
    root = tmp_path_factory.mktemp("guarded") / "run"
    chain.run(configured(root, **SMALL, check=STRICT), stages=UNTIL)
    return root


@pytest.fixture
def checked(planned, tmp_path):
    """A copy of it, to be checked."""
    root = tmp_path / "run"
    shutil.copytree(planned, root)
    return root


def asking(configured, root, seeds=1, **more):
    """Check with as many seeds: another number is another question."""
    document = configured(root, **SMALL, check=STRICT | {"seeds": seeds} | more)
    return chain.run(document, stages=("check",))


def test_the_halves_partition_the_target_and_pilots_see_one(checked, configured):
    with chain.opened(configured(checked, **SMALL, check=STRICT)) as run:
        names = pool.classes(run)
        fit, held = (pool.target(run, names, half) for half in guard.halves(run))
        everyone = pool.target(run, names)
        assert 100 < len(fit[0]) < 200
        assert len(fit[0]) + len(held[0]) == len(everyone[0]) == 300
        both = np.concatenate([fit[0], held[0]])
        assert sorted(map(bytes, both)) == sorted(map(bytes, everyone[0]))
        assert guard.halves(run)[0].seed == 17


def test_pilots_and_the_scorer_read_only_the_fit_half(configured, tmp_path, monkeypatch):
    seen = []
    real = pool.target

    def spy(run, names, half=None):
        seen.append(half)
        return real(run, names, half)

    monkeypatch.setattr(pool, "target", spy)
    scored = {"score": {"target_similarity": {}}, "tier": {"by": "target_similarity"}}
    here = chain.run(
        configured(tmp_path / "run", **SMALL, **scored, check=STRICT),
        stages=UNTIL[: UNTIL.index("pilot") + 1],
    )
    assert [h.held for h in seen] == [False]
    (artifact,) = (tmp_path / "run/artifacts").glob("target_similarity-*/target.npy")
    fit, _ = real(here, pool.classes(here), guard.halves(here)[0])
    assert np.array_equal(np.load(artifact), fit)


def test_the_budget_falls_across_invocations_until_it_is_spent(checked, configured):
    assert (entry(checked)["left"], entry(checked)["queries"]) == (9, 0)
    left = [9]
    for seeds in (1, 2, 3):
        asking(configured, checked, seeds)
        left.append(entry(checked)["left"])
        assert entry(checked)["queries"] == 3 * seeds
    assert left == [9, 6, 3, 0]
    kept = (checked / "check/check.json").read_bytes()
    with pytest.raises(errors.PlanError, match=r"asked too often(.|\n)*collect fresh target rows"):
        asking(configured, checked, 4)
    assert (checked / "check/check.json").read_bytes() == kept
    asking(configured, checked, 3)  # what was told may be told again, free
    assert (entry(checked)["left"], entry(checked)["queries"]) == (0, 9)


def test_a_budget_spent_half_way_tells_nothing_and_stays_spent(checked, configured):
    edit(checked, lambda d: d["guard"].update(left=2, queries=7))
    for seeds in (1, 2):
        with pytest.raises(errors.PlanError, match="asked too often"):
            asking(configured, checked, seeds)
        assert (entry(checked)["left"], entry(checked)["queries"]) == (0, 9)
        assert not (checked / "check/check.json").exists()


def test_the_answers_are_the_held_out_half_s_where_the_halves_differ(checked, configured):
    here = asking(configured, checked)
    (told,) = check.read(here).budgets
    names = pool.classes(here)
    for one in (told.chosen, told.random, told.everything):
        held = len(pool.target(here, names, guard.halves(here)[1])[1])
        assert one.error * held == pytest.approx(round(one.error * held), abs=1e-3)
        assert one.error != np.mean(one.errors)  # those are of the fit half
    assert told.gain == pytest.approx(told.random.error - told.chosen.error)


def test_a_wide_threshold_tells_the_fit_half_for_nothing(tmp_path, configured):
    wide = STRICT | {"threshold": 1}
    here = chain.run(configured(tmp_path / "run", **SMALL, check=wide))
    assert (entry(tmp_path / "run")["left"], entry(tmp_path / "run")["queries"]) == (9, 3)
    for b in check.read(here).budgets:
        assert b.chosen.error == pytest.approx(np.mean(b.chosen.errors))


def test_a_killed_check_gets_nothing_back(checked, configured, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(check, "_row", die)
        with pytest.raises(Killed):
            asking(configured, checked)
    assert (entry(checked)["left"], entry(checked)["queries"]) == (6, 3)
    asking(configured, checked)
    assert (entry(checked)["left"], entry(checked)["queries"]) == (3, 6)


def test_redo_and_another_seed_move_neither_split_nor_budget(checked, configured):
    asking(configured, checked)
    before = entry(checked)
    document = configured(checked, **SMALL, check=STRICT, seed=18)
    chain.run(document, redo=True)
    after = entry(checked)
    assert after["seed"] == before["seed"] == 17
    assert (after["left"], after["queries"]) == (3, 6)


@pytest.mark.parametrize("stage", ["pilot", "check"])
def test_a_lost_entry_is_an_error(checked, configured, stage):
    asking(configured, checked)
    edit(checked, lambda d: d.pop("guard"))
    for keep in (True, False):  # also when the stages were lost with it
        if not keep:
            edit(checked, lambda d: [d["stages"].pop(s, None) for s in ("check", "pilot")])
        with pytest.raises(errors.PlanError, match="no entry of the guard"):
            chain.run(configured(checked, **SMALL, check=STRICT), stages=(stage,))
        assert "guard" not in json.loads((checked / "run.json").read_text())


@pytest.mark.parametrize(
    "damage",
    [
        {"left": 10},
        {"left": -1},
        {"left": 4},
        {"left": "6"},
        {"left": None},
        {"queries": 0},
        {"noisy_threshold": None},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_damaged_entry_is_an_error(checked, configured, damage):
    edit(checked, lambda d: d["guard"].update(left=6, queries=3))
    edit(checked, lambda d: d["guard"].update(damage))
    with pytest.raises(errors.PlanError, match="entry of the guard is damaged"):
        asking(configured, checked)


def test_another_target_is_an_error(checked, configured):
    edit(checked, lambda d: d["guard"].update(target="0" * 32))
    with pytest.raises(errors.PlanError, match="the target has changed under its guard"):
        asking(configured, checked)


@pytest.mark.parametrize("more", [{"budget": 10}, {"threshold": 0.1}, {"noise": "laplace"}])
def test_terms_do_not_move(checked, configured, more):
    with pytest.raises(errors.PlanError, match=rf"check.{next(iter(more))} is"):
        asking(configured, checked, **more)


def test_a_guard_cannot_be_taken_off(checked, configured):
    asking(configured, checked)
    kept = (checked / "check/check.json").read_bytes()
    for stage in ("pilot", "check"):
        with pytest.raises(errors.PlanError, match="no longer says so"):
            chain.run(configured(checked, **SMALL, check={"seeds": 1}), stages=(stage,))
    assert (checked / "check/check.json").read_bytes() == kept
    assert (checked / "pilots/measurements.parquet").exists()


def test_a_guard_cannot_come_late(copied, configured):
    with pytest.raises(errors.PlanError, match="has already looked at the target"):
        chain.run(configured(copied, check=STRICT), stages=("check",))


def test_a_guard_needs_a_target(described):
    changes = {"target": None, "plan": {"measurements": "own.csv"}, "check": {"guard": True}}
    with pytest.raises(errors.ConfigError, match="needs a `target` to guard"):
        runfile.parse(yaml.safe_dump(described("run", **changes)))


def test_without_a_guard_nothing_changes(finished, configured):
    """Its terms do not stand in the digests, nor its entry in the ledger."""
    ledger = json.loads((finished / "run.json").read_text())
    assert "guard" not in ledger
    with chain.opened(configured(finished, check={"seeds": 2, "budget": 3})) as run:
        assert guard.part(run) == []
        assert run.done("pilot", pilot.inputs(run))
        assert run.config.check.digested() == {"seeds": 2}
