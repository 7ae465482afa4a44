"""Sources that the run has not, and cuts of the rows that it has not: measures need no training."""

import numpy as np
import pytest
import yaml

from tamis import errors, runfile
from tamis.pipelines import acquire as acquiring
from tamis.pipelines import chain, measures, plan, shown
from tamis.selectors import projektor
from tests.conftest import write_jsonl


@pytest.fixture(scope="module")
def run(finished):
    return chain.reading(str(finished))


@pytest.fixture(scope="module")
def places(run):
    return measures.find(run)


def sample(run, path, **changes):
    return run.config.target.model_copy(update={"path": str(path), **changes})


def test_a_source_has_one_measure_in_the_run_and_outside(run, places, corpus):
    where = shown.placed(run, places, {"again": sample(run, corpus / "far.jsonl")})
    np.testing.assert_array_equal(where.sources["again"].mass, where.sources["far"].mass)
    assert where.sources["near"] is places.geometry.sources["near"]


def test_rows_without_a_name_of_their_own_are_placed_too(run, places, corpus):
    where = shown.placed(run, places, {"again": sample(run, corpus / "far.jsonl", id="")})
    np.testing.assert_allclose(
        where.sources["again"].mass, where.sources["far"].mass, atol=0.5 / 480
    )


def test_a_new_source_is_bought_where_it_is_what_the_target_lacks(run, corpus, tmp_path):
    """The target's own rows are worth more than as many comments, and are bought."""
    offer = {"wanted": 400, "more": 400}
    paths = {"wanted": str(corpus / "target.jsonl"), "more": str(corpus / "far.jsonl")}
    found = acquiring.acquire(run, offer, rows=400, paths=paths)
    assert found.names == ("near", "far", "wanted", "more")
    worth = {o.name: o for o in found.offers}
    assert worth["wanted"].gain > worth["more"].gain >= 0
    low, high = worth["wanted"].interval
    assert low <= worth["wanted"].per_cost <= high
    assert low < high
    assert found.basket.rows[found.names.index("wanted")] == 400
    assert found.basket.shares[found.names.index("wanted")] > 0


def test_a_stranger_like_a_stratum_is_judged_as_the_stratum_is(run, places, corpus):
    """`Coverage` knows a source by its measure alone: the same rows, the same error."""
    amount = plan.read(run).budgets[-1].amount
    where = shown.placed(run, places, {"again": sample(run, corpus / "near.jsonl")})
    only = (projektor.Coverage.over(places.geometry),)
    law = plan.forecast(run, amount, competing=only).blends[0].laws[0]
    near, far = law.strength
    more = law.about(where, {"near": near, "far": far, "again": near})
    supply, shares = np.array([120.0, 480.0, 120.0]), np.array([0.6, 0.4, 0.0])
    moved = np.array([0.0, 0.4, 0.6])
    own = law.predict(shares[:2], 100, supply[:2])
    assert more.predict(shares, 100, supply) == pytest.approx(own, rel=1e-12)
    assert more.predict(moved, 100, supply) == pytest.approx(own, rel=1e-12)


def test_offers_of_the_run_file_say_what_their_columns_are_called(
    configured, copied, paragraphs, tmp_path
):
    rows = [{"said": row["text"]} for row in paragraphs["doc"][200:260]]
    path = write_jsonl(tmp_path / "books.jsonl", rows)
    document = configured(copied, offers={"books": {"path": path, "text": "said"}})
    here = chain.run(document, stages=("plan",))
    found = acquiring.acquire(here, {"books": 500}, money=5, price={"books": 0.01})
    assert found.names[-1] == "books"
    assert [o.rows for o in found.offers] == [500]


def parted(path, folder):
    """A file in two, a third and the rest of the rows."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    cut = len(lines) // 3
    for name, part in (("one", lines[:cut]), ("two", lines[cut:])):
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    return cut / len(lines)


@pytest.fixture(scope="module")
def recut(run, corpus, configured, tmp_path_factory):
    """The rows of `run` in other sources: far in two, and all in one; shares of the old two."""
    folder = tmp_path_factory.mktemp("recut")
    first = parted(corpus / "far.jsonl", folder)
    named = {"text": "text", "label": "label", "id": "id"}
    near, far = str(corpus / "near.jsonl"), str(corpus / "far.jsonl")
    split = {n: {"path": str(folder / f"{n}.jsonl"), **named} for n in ("one", "two")}
    cuts = {
        "split": (
            {"far": None, **split},
            {"near": (1, 0), "one": (0, first), "two": (0, 1 - first)},
        ),
        "merged": ({"near": None, "far": {"path": [near, far], **named}}, {"far": (0.2, 0.8)}),
    }
    made = {}
    for name, (sources, shares) in cuts.items():
        document = configured(folder / name, sources=sources)
        made[name] = chain.run(document, stages=("ingest", "embed")), shares
    return made


@pytest.mark.parametrize("cut", ["split", "merged"])
def test_rows_cut_again_are_predicted_alike_without_training(run, places, recut, cut):
    """The same mixture of rows, named by other strata, is as near and has the same error."""
    here, shares = recut[cut]
    found = measures.find(here, over=places.prototypes)
    assert set(found.names) == set(shares)
    made = plan.read(run)
    only = (projektor.Coverage.over(places.geometry),)
    law = plan.forecast(run, made.budgets[-1].amount, competing=only).blends[0].laws[0]
    law = law.about(places.geometry, {"near": 1.1, "far": 1.1 if cut == "merged" else 0.9})
    worth = {n: law.strength[0 if s[0] else 1] for n, s in shares.items()}
    other = law.about(found.geometry, {n: worth[n] for n in found.names})
    held = np.array([next(s.supply for s in made.strata if s.name == n) for n in law.names])
    into = np.array([shares[n] for n in found.names]).T  # what each new stratum has of the old two
    if cut == "merged":
        mixtures, ours = np.array([[0.2, 0.8]]), np.array([[1.0]])
    else:
        mixtures = np.array([[1.0, 0.0], [0.3, 0.7], [0.0, 1.0]])
        ours = mixtures @ into
    before = places.geometry.distance(law.names, mixtures)[0]
    after = found.geometry.distance(found.names, ours)[0]
    np.testing.assert_allclose(after, before, rtol=1e-6)
    supply = held.sum(keepdims=True) if cut == "merged" else held @ into
    for samples in (100, 400, 4_000):  # the last repeats rows
        np.testing.assert_allclose(
            other.predict(ours, samples, supply), law.predict(mixtures, samples, held), rtol=1e-9
        )


def test_other_tiers_keep_the_measures_of_what_they_hold(places, configured, copied):
    """Tiers cut finer: those of a source, by their rows, are the source as it was."""
    document = configured(copied, tier={"tiers": 3}, plan={"strata": ["source", "tier"]})
    here = chain.run(document, stages=("tier",), redo=True)
    found = measures.find(here, over=places.prototypes).geometry
    for source in ("near", "far"):
        tiers = [m for n, m in found.sources.items() if n.startswith(f"{source}/")]
        assert len(tiers) == 3
        whole = projektor.merged(tiers)
        assert whole.rows == places.geometry.sources[source].rows
        np.testing.assert_allclose(whole.mass, places.geometry.sources[source].mass, atol=1e-12)


BAD = [
    ({"books": 9}, {}, "--shown books=FILE"),
    ({"near": 9}, {"near": "x.jsonl"}, "near is a stratum of the run"),
    ({"near": 9}, {"books": "x.jsonl"}, "books is not on offer"),
    ({"books": 9}, {"books": "/nowhere/x.jsonl"}, "no file matches"),
]


@pytest.mark.parametrize(("offer", "paths", "message"), BAD)
def test_samples_that_make_no_sense_are_refused(run, offer, paths, message):
    with pytest.raises(errors.TamisError, match=message):
        acquiring.acquire(run, offer, rows=5, paths=paths)


def test_samples_that_cannot_be_placed_are_named(run, places, corpus, tmp_path):
    wide = write_jsonl(tmp_path / "wide.jsonl", [{"v": [1.0, 2.0]}])
    empty = write_jsonl(tmp_path / "empty.jsonl", [{"text": "", "id": "1"}])
    for source, message in (
        (sample(run, wide, text="", embedding="v", id=""), "names no `text`"),
        (sample(run, empty), "no good row"),
    ):
        with pytest.raises(errors.TamisError, match=message):
            shown.placed(run, places, {"books": source})


def test_an_offer_may_not_be_called_as_a_source(described, copied):
    text = yaml.safe_dump(described(copied, offers={"near": {"path": "x.jsonl", "text": "text"}}))
    with pytest.raises(errors.ConfigError, match=r"offers are of sources that the run has not"):
        runfile.parse(text)
