"""A selector of the registry inside the strata of a run, held against itself on their rows."""

import collections
import json
import pathlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import errors, finding, seeding, storage
from tamis.pipelines import chain, guard, pick, session, strata, verify
from tamis.schemas import uids
from tamis.selectors import quotas, registry

BUDGETS = (100, 400)
SUPPLY = {"near": 120, "far": 480}


@pytest.fixture(scope="module")
def picked(finished, configured, tmp_path_factory):
    """Run `select` again in a copy of the finished run; returns the folder."""

    def run(args=(), **select):
        root = tmp_path_factory.mktemp("picked") / "run"
        shutil.copytree(finished, root)
        document = configured(root, select=select)
        chain.run(document, stages=("select",), args=args)
        with chain.opened(document) as here:
            verify.verify(here, lambda line: None)  # the balance law, from the files
        return root

    return run


@pytest.fixture(scope="module")
def centres(picked):
    return picked(selector="k_center")


def manifest(root, samples):
    parts = sorted(root.glob(f"manifest/samples-{samples}/*.parquet"))
    return {row["uid"]: row for part in parts for row in pq.read_table(part).to_pylist()}


def allocation(root, samples):
    made = json.loads((root / "plan" / "plan.json").read_text())
    (budget,) = [b for b in made["budgets"] if b["samples"] == samples]
    return {a["stratum"]: a["quota"] for a in budget["allocation"]}


def table(root, source):
    """The rows of one source that may be chosen, in input order."""
    shards = json.loads((root / "shards.json").read_text())
    names = [p.stem for p in sorted((root / "duplicates").glob("*.parquet"))]
    assert len(names) < len(shards)
    parts = []
    for name in names:
        columns = {}
        for folder, own in (
            ("index", "uid"),
            ("embeddings", "embedding"),
            ("scores/prototypes", "score"),
        ):
            columns[own] = pq.read_table(root / folder / f"{name}.parquet")[own].combine_chunks()
        columns["dup_of"] = pq.read_table(root / "duplicates" / f"{name}.parquet")["dup_of"]
        columns["dup_of"] = columns["dup_of"].combine_chunks()
        origin = pq.read_metadata(root / "index" / f"{name}.parquet").metadata
        if f"{source}.jsonl" in str(origin):
            parts.append(pa.table(columns))
    whole = pa.concat_tables(parts).combine_chunks()
    return whole.filter(whole["dup_of"].is_null())


def expected(root, source, quota, selector, seed=17, blocks=1):
    """Uids of the rows the selector takes of each block of a stratum."""
    rows = table(root, source)
    hashed = seeding.priority(uids.from_hex(rows["uid"]), seed, "blocks") % np.uint64(blocks)
    sizes = np.bincount(hashed.astype(int), minlength=blocks)
    shares = quotas.largest_remainder(sizes, quota, limits=sizes)
    found = set()
    for b, share in enumerate(shares):
        (batch,) = rows.filter(pa.array(hashed == b)).combine_chunks().to_batches()
        rng = seeding.generator(seed, "pick", source, b)
        found |= set(
            batch["uid"].take(pa.array(selector.select(batch, int(share), rng))).to_pylist()
        )
    return found


@pytest.mark.parametrize("samples", BUDGETS)
def test_a_stratum_holds_what_its_selector_takes(centres, samples):
    rows, partly = manifest(centres, samples), 0
    for source, quota in allocation(centres, samples).items():
        mine = {u for u, r in rows.items() if r["stratum"] == source}
        if 0 < quota < SUPPLY[source]:
            partly += 1
            assert mine == expected(centres, source, quota, registry.build("k_center", {}))
    assert partly
    assert sum(r["repeats"] for r in rows.values()) == samples


def test_blocks_share_the_quota_and_choose_alone(picked):
    root = picked(selector="facility_location", block=90)
    selector = registry.build("facility_location", {})
    for source, quota in allocation(root, 100).items():
        mine = {u for u, r in manifest(root, 100).items() if r["stratum"] == source}
        assert len(mine) == quota
        blocks = -(-SUPPLY[source] // 90)
        assert mine == expected(root, source, quota, selector, blocks=blocks)


def test_a_stratum_beyond_one_epoch_is_whole(centres):
    for samples in BUDGETS:
        for source, quota in allocation(centres, samples).items():
            if quota >= SUPPLY[source]:
                rows = [r for r in manifest(centres, samples).values() if r["stratum"] == source]
                assert len(rows) == SUPPLY[source]
                assert max(r["repeats"] for r in rows) - min(r["repeats"] for r in rows) <= 1


def test_the_score_is_the_one_that_tiers_are_made_by(picked):
    root = picked(selector="top_k")
    for source, quota in allocation(root, 100).items():
        mine = {u for u, r in manifest(root, 100).items() if r["stratum"] == source}
        assert mine == expected(root, source, quota, registry.build("top_k", {}))


def test_the_random_baseline_stays(centres, finished):
    for kind in ("random", "everything"):
        for samples in BUDGETS:
            ours, other = (
                collections.Counter(
                    (row["uid"], row["repeats"])
                    for part in (root / kind / f"samples-{samples}").glob("*.parquet")
                    for row in pq.read_table(part).to_pylist()
                )
                for root in (centres, finished)
            )
            if kind == "everything":
                assert ours == other
            assert sum(n for _, n in ours.elements()) == samples


def contents(root):
    urls = [u for kind in ("manifest", "random") for u in finding.tree(f"{root}/{kind}")]
    return {u[len(str(root)) :]: storage.read_bytes(u) for u in urls}


def test_threads_give_the_same_bytes(picked):
    select = {"selector": "mmr", "block": 50}
    args = ("--direct_num_workers=5", "--direct_running_mode=multi_threading")
    assert contents(picked(**select, args=args)) == contents(picked(**select))


def test_two_processes_pick_the_same_rows(finished, configured, tmp_path):
    found = []
    for workers in (1, 2):
        root = tmp_path / str(workers) / "run"
        shutil.copytree(finished, root)
        options = {"selector": "hierarchical", "block": 150}
        document = configured(root, select=options, runner={"workers": workers})
        with chain.opened(document) as run:
            cells = strata.find(run)
            pick.pick(run, cells, np.array([[50, 0], [100, 230]]), run.cut("supply"))
            urls = finding.tree(run.scratch("pick"))
            found.append({u[len(str(root)) :]: storage.read_bytes(u) for u in urls})
    assert len(found[0]) > 8
    assert found[0] == found[1]


def test_nothing_is_left_in_the_scratch_folder(centres):
    assert not list(pathlib.Path(centres).glob("scratch/pick*"))


def test_a_selector_that_looks_at_the_target_gets_it(picked):
    root = picked(selector="round_robin")
    (url,) = (root / "artifacts").glob("pick-*/target.npy")
    selector = registry.build("round_robin", {}, {"target": str(url)})
    for source, quota in allocation(root, 100).items():
        mine = {u for u, r in manifest(root, 100).items() if r["stratum"] == source}
        assert mine == expected(root, source, quota, selector)
    assert json.loads((root / "run.json").read_text())["stages"]["select"]["target"]


def test_a_target_that_a_selection_looked_at_cannot_be_guarded_later(configured, tmp_path):
    document = configured(tmp_path / "run", check={"guard": True})
    looked = session.Session(document, ledger={"stages": {"select": {"target": True}}})
    with pytest.raises(errors.PlanError, match="select"):
        guard._refuse_late(looked)
    guard._refuse_late(session.Session(document, ledger={"stages": {"select": {"target": False}}}))


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({"selector": "mmr", "options": {"score": "score:lexikal"}}, r"reads score:lexikal"),
        ({"selector": "stratified", "options": {"by": "colour"}}, r"'stratified' reads colour"),
        (
            {"selector": "weighted", "options": {"temperature": 0}},
            r"selector 'weighted' cannot choose(?s:.*)weight of row",
        ),
    ],
)
def test_what_a_selector_cannot_read_is_named(picked, select, message):
    with pytest.raises(errors.TamisError, match=message):
        picked(**select)


def test_a_combined_score_is_not_guessed_at(configured, tmp_path):
    tier = {"by": {"prototypes": 1, "lexical": 1}}
    document = configured(tmp_path / "run", select={"selector": "top_k"}, tier=tier)
    with pytest.raises(errors.ConfigError, match=r"tier\.by combines some"):
        chain.run(document)
    assert not (tmp_path / "run" / "index").exists()
