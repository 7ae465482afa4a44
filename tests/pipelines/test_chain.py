"""The whole chain on a small real corpus, held against plain loops over its files."""

import collections
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import errors, seeding
from tamis.pipelines import chain, check, inspect, plan, verify
from tamis.schemas import embeddings, uids

BUDGETS = (100, 400)
KINDS = ("manifest", "random", "everything")


def column(root, folder, name):
    """A column over the supply's shards, in input order."""
    parts = sorted((root / folder).glob("part-*.parquet"))
    supply = {p.name for p in (root / "tiers").glob("part-*.parquet")}
    return [v for p in parts if p.name in supply for v in pq.read_table(p)[name].to_pylist()]


def rows(root, kind, samples):
    parts = sorted((root / kind / f"samples-{samples}").glob("*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


@pytest.fixture
def opened(finished, configured):
    with chain.opened(configured(finished)) as here:
        yield here


def test_the_plan_document_has_the_promised_keys(finished):
    made = json.loads((finished / "plan" / "plan.json").read_text())
    assert tuple(b["samples"] for b in made["budgets"]) == BUDGETS
    assert isinstance(made["crossings"], list)
    for b in made["budgets"]:
        assert {"samples", "allocation", "predicted_error", "interval", "runner_up"} <= set(b)
        low, high = b["interval"]
        assert 0 <= low <= b["predicted_error"] <= high <= 1
        assert sum(a["quota"] for a in b["allocation"]) == b["samples"]
        for a in b["allocation"]:
            supply = {"near": 120, "far": 480}[a["stratum"]]
            assert {"stratum", "quota", "epochs", "share"} <= set(a)
            assert a["share"] == pytest.approx(a["quota"] / b["samples"])
            assert a["epochs"] == pytest.approx(a["quota"] / min(a["quota"], supply))


@pytest.mark.parametrize("samples", BUDGETS)
def test_the_manifest_is_the_plan(finished, samples):
    made = json.loads((finished / "plan" / "plan.json").read_text())
    (budget,) = [b for b in made["budgets"] if b["samples"] == samples]
    got = collections.Counter()
    for row in rows(finished, "manifest", samples):
        got[row["stratum"]] += row["repeats"]
    assert got == {a["stratum"]: a["quota"] for a in budget["allocation"]}


@pytest.mark.parametrize("samples", BUDGETS)
def test_random_has_as_many_rows_and_samples_and_everything_has_all(finished, samples):
    chosen, random, everything = (rows(finished, kind, samples) for kind in KINDS)
    assert len(random) == len(chosen)
    for part in (chosen, random, everything):
        assert sum(r["repeats"] for r in part) == samples
        assert len({r["uid"] for r in part}) == len(part)
    assert len(everything) == min(samples, 600)


def test_a_uniform_selection_is_the_rows_of_smallest_priority(finished, configured):
    """Of every stratum, by a plain sort."""
    names = column(finished, "index", "uid")
    key = seeding.priority(uids.from_hex(pa.array(names)), 17, "select")
    stratum = ["near"] * 120 + ["far"] * 480
    got = {r["uid"]: r["repeats"] for r in rows(finished, "manifest", 400)}
    for name in ("near", "far"):
        mine = [(k, u) for k, u, s in zip(key, names, stratum, strict=True) if s == name]
        times = [got.get(u, 0) for _, u in sorted(mine)]
        assert times == sorted(times, reverse=True)
        assert times[0] - times[-1] <= 1


def test_embeddings_are_unit_rows_aligned_with_the_index(finished):
    for path in sorted((finished / "embeddings").glob("*.parquet")):
        x = embeddings.matrix(pq.read_table(path)["embedding"])
        assert len(x) == pq.read_metadata(finished / "index" / path.name).num_rows
        assert np.allclose(np.linalg.norm(x, axis=1), 1, atol=2e-3)


def test_every_cluster_is_the_nearest_centroid(finished):
    centroids = np.load(next((finished / "clusters").glob("*centroids.npy")))
    for path in sorted((finished / "clusters").glob("*.parquet")):
        x = embeddings.matrix(pq.read_table(finished / "embeddings" / path.name)["embedding"])
        cosine = x @ centroids.T
        found = pq.read_table(path)
        assert np.allclose(found["cosine"].to_numpy(), cosine.max(axis=1), atol=1e-3)
        chosen = cosine[np.arange(len(x)), found["cluster"].to_numpy()]
        assert np.allclose(chosen, cosine.max(axis=1), atol=1e-4)


def test_rows_balance(opened):
    for b in verify.balance(opened):
        assert (b.rows, b.duplicate, b.rejected) == (600, 0, {})
        assert b.selected == len(rows(pathlib.Path(opened.root), "manifest", b.samples))
        assert b.not_selected == 600 - b.selected


def test_verify_opens_every_folder(opened):
    said = []
    verify.verify(opened, said.append)
    told = " ".join(said)
    for stage in (
        "ingest: 10",
        "embed: 10",
        "cluster: 7",
        "score:lexical: 7",
        "dedup: 7",
        "tier: 7",
    ):
        assert f"{stage} sidecars are whole, fresh and aligned" in told
    assert "manifests of 2 budgets match their digests" in told


def test_the_run_ends_in_five_lines(opened):
    lines = dict(chain.summary(opened))
    assert list(lines) == ["chosen", "predicted", "gain", "manifest", "report"]
    assert lines["chosen"] == plan.read(opened).summary
    assert lines["predicted"].count("at 100") == lines["predicted"].count("at 400") == 1
    assert lines["manifest"].endswith("manifest/samples-{100,400}")
    assert lines["report"].endswith("report.html")


def test_the_check_holds_predictions_against_trainings(opened):
    for b in check.read(opened).budgets:
        assert len(b.chosen.errors) == 2
        assert b.chosen.error == pytest.approx(np.mean(b.chosen.errors))
        assert b.gain == pytest.approx(b.random.error - b.chosen.error)


def test_a_row_has_its_whole_story(opened, paragraphs):
    chosen = rows(pathlib.Path(opened.root), "manifest", 400)[3]
    (story,) = inspect.inspect(opened, chosen["uid"])
    name = "near" if chosen["source"] == "near" else "far"
    original = paragraphs["doc" if name == "near" else "comment"][chosen["row"]]
    assert story["text"] == original["text"]
    assert story["label"] == original["label"]
    assert story["source"] == name
    assert story["repeats"]["400 samples"] == chosen["repeats"]
    assert story["n_units"] == len(original["text"].split())
    assert {"tier", "cluster", "cosine", "score:prototypes", "score:lexical"} <= set(story)


def test_the_beginning_of_a_uid_will_do_where_it_is_the_only_one(opened):
    uid = column(pathlib.Path(opened.root), "index", "uid")[0]
    assert inspect.inspect(opened, uid[:12]) == inspect.inspect(opened, uid)
    with pytest.raises(errors.ManifestError, match=r"rows begin with"):
        inspect.inspect(opened, uid[:1])
    with pytest.raises(errors.ManifestError, match=r"no accepted row is named zz"):
        inspect.inspect(opened, "zz")


def files(root):
    """All but the ledger, which tells that the run was looked at from another place."""
    own = (root / "run.json", root / ".lock", root / "ledger")
    found = (p for p in root.rglob("*") if p.is_file() and not {p, p.parent} & {*own})
    return {p: p.stat() for p in found}


def test_running_again_touches_nothing(copied, configured):
    before = files(copied)
    here = chain.run(configured(copied))
    after = files(copied)
    assert here.reused["embed"] == 10
    assert {p: (s.st_ino, s.st_mtime_ns) for p, s in before.items()} == {
        p: (s.st_ino, s.st_mtime_ns) for p, s in after.items()
    }


def test_a_scorer_added_later_adds_one_folder(copied, configured):
    before = files(copied)
    chain.run(
        configured(copied, score={"prototypes": {}, "lexical": {}, "target_similarity": {}}),
        stages=("ingest", "score"),
    )
    made = {p.relative_to(copied).parts[:2] for p in set(files(copied)) - set(before)}
    assert made == {("scores", "target_similarity"), ("artifacts", made_artifact(copied))}
    assert {p: s.st_mtime_ns for p, s in before.items()}.items() <= {
        p: s.st_mtime_ns for p, s in files(copied).items()
    }.items()


def made_artifact(root):
    (folder,) = (root / "artifacts").glob("target_similarity-*")
    return folder.name
