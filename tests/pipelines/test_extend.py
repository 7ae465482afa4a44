"""A run that continues another is, byte for byte, the run of all rows with the same centroids."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from tamis import cli, errors, ledger, seeding, storage
from tamis.loaders import manifest as loading
from tamis.pipelines import chain, extend, inspect, retract, select, verify
from tamis.schemas import config, intake, uids
from tamis.scorers import recorded
from tests.conftest import write_jsonl

STAGES = tuple(chain.STAGES)[:-1]  # what check measures is not part of the promise
BY_SHARD = ("ingest", "embed", "cluster", "score", "tier")
BUDGETS = (600,)
NAMED = {"text": "text", "label": "label"}  # no ids: what a row says names it
PER_ROW = ("ingest", "embed", "cluster", "score:prototypes", "score:mahalanobis")


@pytest.fixture(scope="module")
def texts(tmp_path_factory, paragraphs):
    """Old files, and such as come later: with copies of old rows, and of one another."""
    folder, doc, comment = (
        tmp_path_factory.mktemp("texts"),
        paragraphs["doc"],
        paragraphs["comment"],
    )
    rows = {
        "near": doc[:80] + comment[:10],  # ten of them are in far
        "far": comment[:260],
        "target": doc[-150:],
        "later": comment[300:350] + comment[10:18] + doc[:2],
        "third": comment[400:440] + comment[12:15],
    }
    for name, listed in rows.items():
        plain = [{key: row[key] for key in ("text", "label")} for row in listed]
        write_jsonl(folder / f"{name}.jsonl", plain)
    return folder, {name: [row["text"] for row in listed] for name, listed in rows.items()}


@pytest.fixture(scope="module")
def document(texts, described):
    """The run file of the old run."""

    def describe(run):
        folder, _ = texts
        path = {n: str(folder / f"{n}.jsonl") for n in ("near", "far", "target")}
        base = described(run)
        changes = {
            "sources": {name: {"path": path[name], **NAMED} for name in ("near", "far")},
            "target": {"path": path["target"], **NAMED},
            "ingest": {"shard_rows": 100},
            "score": {"prototypes": {"keep": "theory"}, "mahalanobis": {}},
            "tier": {"by": {"prototypes": 1, "mahalanobis": 1}, "tiers": 2},
            "plan": {"budgets": list(BUDGETS), "strata": ["source"]},
            "pilot": {"budget": 20_000},
        }
        return config.Run.model_validate({**base, **changes})

    return describe


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def old(runs, document):
    root = str(runs / "demo")
    chain.run(document(root), stages=STAGES)
    return root


def later(old, texts, to):
    return extend.more(chain.reading(old), to, files={"far": [str(texts[0] / "later.jsonl")]})


@pytest.fixture(scope="module")
def extended(old, texts):
    before = contents(old)
    here = chain.run(later(old, texts, extend.beside(old)), stages=STAGES)
    assert contents(old) == before, "the old run was touched"
    return here


@pytest.fixture(scope="module")
def listed(runs, texts):
    """Rows of far: one in near too, one among the later ones and in third, and others."""
    names = named([texts[1]["far"][i] for i in (5, 12, 55, 56, 57)])
    (runs / "gone.txt").write_text("\n".join(names) + "\n\n")
    return str(runs / "gone.txt"), names


@pytest.fixture(scope="module")
def lessened(extended, listed):
    to = extend.beside(extended.root)
    asked = extend.fewer(chain.reading(extended.root), to, sources=["near"], uids=listed[0])
    return chain.run(asked, stages=STAGES)


@pytest.fixture
def damaged(lessened, tmp_path):
    """A copy of it, files and not links, to be changed."""
    return shutil.copytree(lessened.root, tmp_path / "run")


def named(said):
    return uids.of("", pa.array(said, pa.string())).to_pylist()


def contents(root):
    found = (p for p in pathlib.Path(root).rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(root)): (p.read_bytes(), p.stat().st_mtime_ns) for p in found}


def manifests(root):
    parts = [contents(pathlib.Path(root) / kind) for kind in select.KINDS]
    return [{name: data for name, (data, _) in part.items()} for part in parts]


def everything(root):
    """All rows that may be trained on, by the uid: where each is."""
    table = loading.table(select.folder(str(root), "everything", BUDGETS[-1]))
    return dict(zip(table["uid"].to_pylist(), table["path"].to_pylist(), strict=True))


def afresh(here, runs, name):
    """The same run file in another folder, where nothing is taken over but what was fitted."""
    asked = here.config.model_copy(update={"run": str(runs / name)})
    return chain.run(asked, stages=STAGES, adopt=False)


def test_an_extended_run_is_the_run_of_all_rows_with_the_same_centroids(extended, runs):
    fresh = afresh(extended, runs, "afresh")
    assert manifests(extended.root) == manifests(fresh.root)
    # All 4 old shards, and 2 of the target; not the new one.
    assert [extended.reused[stage] for stage in PER_ROW] == [6, 6, 4, 4, 4]
    assert [fresh.reused[stage] for stage in PER_ROW] == [0] * 5
    taken = fresh.entry("pilot")
    assert (taken["taken"], taken["fitted"]) == (True, extended.entry("pilot")["fitted"])


def test_what_was_there_stays_and_new_copies_of_it_are_copies(extended, texts, old):
    folder, said = texts
    rows = {name for part in ("near", "far", "later") for name in named(said[part])}
    found = everything(extended.root)
    assert found.keys() == rows
    new = {uid for uid, path in found.items() if path == str(folder / "later.jsonl")}
    assert new == set(named(said["later"][:50]))
    before = chain.reading(old).entry("tier")["edges"]
    assert extended.entry("tier")["edges"] == before
    assert verify.verify(extended, lambda _: None)[0].rows == 90 + 260 + 60


def test_the_manifest_names_the_one_it_continues(extended, old):
    document = loading.document(select.folder(extended.root, "manifest", 600))
    parent = loading.document(select.folder(old, "manifest", 600))
    assert document["lineage"]["run"] == old
    assert document["lineage"]["manifests"]["600"] == parent["digest"] != document["digest"]
    assert (document["lineage"]["added"], parent["lineage"]) == ({"far": 60}, None)


def test_inputs_are_hashed_once_and_again_if_written_to(extended, runs, texts, monkeypatch):
    listed = loading.document(select.folder(extended.root, "everything", BUDGETS[-1]))["files"]
    for file in listed:
        data = pathlib.Path(file["path"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
    hashed = []
    monkeypatch.setattr(select.writing.finding, "sha256", lambda path: hashed.append(path) or "x")
    asked = later(str(runs / "demo"), texts, str(runs / "hashed"))
    here = chain.run(asked, stages=STAGES)
    assert hashed == [str(texts[0] / "later.jsonl")]
    far = texts[0] / "far.jsonl"
    then = far.stat().st_mtime_ns
    os.utime(far)
    try:
        files = select._inputs(here, here.cut("supply"))
    finally:
        os.utime(far, ns=(then, then))
    changed = {path for path, file in files.items() if file["sha256"] == "x"}
    assert changed == {str(far), str(texts[0] / "later.jsonl")}


def test_a_run_without_rows_is_the_run_that_never_had_them(lessened, runs, texts, listed):
    assert manifests(lessened.root) == manifests(afresh(lessened, runs, "afresh-3").root)
    folder, said = texts
    rows = {name for part in ("far", "later") for name in named(said[part])}
    found = everything(lessened.root)
    assert found.keys() == rows - set(listed[1])
    # Copies of what near had stand for themselves, but for the one on the list.
    assert {found[n] for n in named(said["near"][80:85])} == {str(folder / "far.jsonl")}
    assert {found[n] for n in named(said["near"][:2])} == {str(folder / "later.jsonl")}


def test_what_was_removed_is_counted_and_told(lessened, listed, texts):
    lines = []
    balances = verify.verify(lessened, lines.append)
    # All 90 of near; of far the 5 on the list, one of which has a copy among the later ones.
    assert [(b.rows, b.removed) for b in balances] == [(410, 90 + 6)]
    assert lines[-1] == "removed: 5 uids and 90 rows of near are in no index and no manifest"
    assert retract.told(lessened).endswith("without the 90 of near, without 5 uids")
    told = inspect.inspect(lessened, listed[1][1][:20])
    assert [(row["source"], row["row"], row["removed"]) for row in told] == [
        ("far", 12, "by its uid"),
        ("far", 52, "by its uid"),
    ]
    (story,) = inspect.inspect(lessened, named(texts[1]["near"][7:8])[0])
    assert (story["source"], story["row"], story["removed"]) == ("near", 7, "with its source")
    stays, gone = inspect.inspect(lessened, named(texts[1]["near"][82:83])[0])
    assert (stays["source"], "removed" in stays, gone["source"]) == ("far", False, "near")


def test_nothing_of_a_removed_row_is_in_the_folder(lessened, texts):
    said = [text.encode() for text in texts[1]["far"][55:58]]
    for name, (data, _) in contents(lessened.root).items():
        assert not any(text in data for text in said), name
    rows = {
        p.name: pq.read_metadata(p).num_rows
        for p in (pathlib.Path(lessened.root) / "embeddings").iterdir()
    }
    assert rows["part-00001-00000.parquet"] == 95


@pytest.mark.parametrize(
    ("kind", "column"), [("random", "uid"), ("manifest", "source"), ("everything", "uid")]
)
def test_a_removed_row_that_is_smuggled_back_is_found(damaged, listed, kind, column):
    folder = select.folder(str(damaged), kind, 600)
    described = json.loads(pathlib.Path(folder, "manifest.json").read_text())
    part = described["parts"][-1]
    file = pathlib.Path(folder, part["file"])
    table = pq.read_table(file)
    value = {"uid": listed[1][0], "source": "near"}[column]
    at = table.column_names.index(column)
    changed = pa.array([value, *table[column].to_pylist()[1:]], pa.string())
    pq.write_table(table.set_column(at, table.schema.field(column), changed), file)
    part["digest"] = seeding.digest(file.read_bytes()).hex()
    described["digest"] = seeding.digest(json.dumps(described["parts"])).hex()
    pathlib.Path(folder, "manifest.json").write_text(json.dumps(described))
    with pytest.raises(errors.ManifestError, match=f"{column} {value} was removed, and is there"):
        verify.verify(chain.reading(str(damaged)), lambda _: None)


def test_what_is_removed_stays_removed_when_the_run_is_extended(lessened, texts, listed):
    sources = {"third": intake.Source(path=str(texts[0] / "third.jsonl"), **NAMED)}
    asked = extend.more(chain.reading(lessened.root), extend.beside(lessened.root), sources=sources)
    here = chain.run(asked, stages=(*BY_SHARD, "dedup", "pilot"))
    gone = listed[1][1]
    assert gone in named(texts[1]["third"])
    assert verify.proof(here) == "5 uids and 90 rows of near are in no index and no manifest"
    assert here.entry("ingest")["sources"]["third"]["rejected"] == {"removed": 1}
    # A source of its own is a stratum of its own, which no pilot has tried, and has its own tiers.
    assert "taken" not in here.entry("pilot")
    assert set(here.entry("tier")["edges"]) == {"far", "third"}
    told = inspect.inspect(here, gone)
    assert {(row["source"], row["removed"]) for row in told} == {
        ("far", "by its uid"),
        ("third", "by its uid"),
    }
    again = {"near": intake.Source(path=str(texts[0] / "near.jsonl"), **NAMED)}
    with pytest.raises(errors.ConfigError, match="'near' was removed from this run"):
        extend.more(chain.reading(here.root), here.root + "-x", sources=again)


def test_a_run_needs_the_old_one_no_longer(lessened, damaged, tmp_path):
    asked = lessened.config.model_copy(
        update={"run": str(damaged), "frozen": str(tmp_path / "gone")}
    )
    here = chain.run(asked, stages=STAGES)
    assert manifests(here.root) == manifests(lessened.root)
    assert [here.reused[stage] for stage in PER_ROW] == [6, 6, 4, 4, 4]
    assert verify.verify(here, lambda _: None)


def test_an_adopted_sidecar_is_accepted_for_its_own_shard_alone(damaged):
    folder = damaged / "embeddings"
    shutil.copy(folder / "part-00001-00001.parquet", folder / "part-00001-00002.parquet")
    with pytest.raises(errors.ArtifactError, match="sidecar is misaligned"):
        verify.verify(chain.reading(str(damaged)), lambda _: None)


def test_a_ledger_that_adopts_nothing_accepts_nothing_old(damaged):
    document = ledger.read(str(damaged))
    document["stages"]["embed"]["adopted"] = {}
    ledger.write(str(damaged), document)
    with pytest.raises(errors.ArtifactError, match="sidecar is stale"):
        verify.verify(chain.reading(str(damaged)), lambda _: None)


def test_killed_in_the_middle_it_ends_the_same(extended, old, texts, tmp_path):
    asked = later(old, texts, str(tmp_path / "run"))
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(asked.model_dump(mode="json"), sort_keys=False))
    code = "import sys\nfrom tamis import runfile\nfrom tamis.pipelines import chain\n"
    code += f"chain.run(runfile.load(sys.argv[1]), stages={BY_SHARD})"
    command = [sys.executable, "-c", code, str(file)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    while process.poll() is None and not storage.listing(asked.run + "/clusters"):
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL
    here = chain.run(asked, stages=BY_SHARD)
    assert here.reused["embed"] == 7
    for folder in ("index", "embeddings", "clusters", "scores", "tiers"):
        both = [pathlib.Path(root) / folder for root in (here.root, extended.root)]
        made, whole = ({n: data for n, (data, _) in contents(root).items()} for root in both)
        assert made == whole


def edit(path, change):
    """Change a file in its place, later than it was."""
    path.write_text(change(path.read_text()))
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


CHANGES = {
    "touched": (str, ""),
    "longer": (lambda text: text + text.splitlines()[0] + "\n", "bytes then"),
    "as long": (
        lambda text: text.replace('"text": "', '"text": "X', 1).replace(" ", "", 1),
        "rows 0 to 100",
    ),
}


@pytest.fixture
def own(texts, document, tmp_path):
    """A run up to embed of files of its own."""
    folder = shutil.copytree(texts[0], tmp_path / "texts")
    asked = document(str(tmp_path / "run")).model_dump(mode="json")
    for source in (*asked["sources"].values(), asked["target"]):
        source["path"] = str(folder / pathlib.Path(source["path"]).name)
    chain.run(config.Run.model_validate(asked), stages=BY_SHARD)
    return folder, str(tmp_path / "run")


def test_a_file_that_changed_is_named(own):
    folder, root = own
    for name, (change, said) in CHANGES.items():
        before = (folder / "far.jsonl").read_text()
        edit(folder / "far.jsonl", change)
        asked = later(root, own, f"{root}-{name.replace(' ', '-')}")
        if said:
            with pytest.raises(
                errors.SchemaError, match=f"has changed since.*{said}|{said}"
            ) as told:
                chain.run(asked, stages=("ingest",))
            assert told.value.where == str(folder / "far.jsonl")
        else:  # read again, found to be the same, and no vector is made again
            here = chain.run(asked, stages=("ingest", "embed"))
            assert (here.reused["ingest"], here.reused["embed"]) == (3, 6)
        (folder / "far.jsonl").write_text(before)
    (folder / "far.jsonl").unlink()
    with pytest.raises(errors.SchemaError, match="no file matches"):
        later(root, own, f"{root}-gone")


def test_what_else_a_user_changes_is_seen(texts, document, tmp_path):
    """Vectors under their texts, and recorded scores; new files are found by their patterns."""
    rng, named, root = np.random.default_rng(3), {}, str(tmp_path / "run")

    def write(name, rows):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": text, "label": "a"} for text in rows])
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(len(rows), 8)).astype(np.float32))

    def record(rows):
        known = uids.from_hex(
            pa.array(list(dict.fromkeys(uids.of("", pa.array(rows)).to_pylist())))
        )
        recorded.write(str(tmp_path / "loss.parquet"), known, {"loss": np.arange(len(known))})

    record([*texts[1]["far"][:60], *texts[1]["near"][:60]])
    for name, rows in (("far-1", "far"), ("near-1", "near"), ("target-1", "target")):
        write(name, texts[1][rows][:60])
        pattern = str(tmp_path / name.replace("1", "*"))
        named[rows] = {"path": f"{pattern}.jsonl", "vectors": f"{pattern}.npy", **NAMED}
    changes = {
        "target": named.pop("target"),
        "sources": named,
        "embed": {"backend": "precomputed"},
        "score": {
            "prototypes": {},
            "recorded": {"path": str(tmp_path / "loss.parquet"), "metric": "loss"},
        },
        "tier": {},
    }
    asked = {**document(root).model_dump(mode="json"), **changes}
    chain.run(config.Run.model_validate(asked), stages=BY_SHARD)
    write("far-1", texts[1]["far"][:60])  # the same texts, other vectors
    write("near-2", texts[1]["later"])
    record([*texts[1]["far"][:60], *texts[1]["near"][:60], *texts[1]["later"]])
    more = extend.more(chain.reading(root), extend.beside(root))
    here = chain.run(more, stages=BY_SHARD)
    # Of far the index is compared and all made again; of near-1 and the target nothing is.
    assert [here.reused[stage] for stage in PER_ROW[:4]] == [2, 2, 1, 1]
    assert here.reused["score:recorded"] == 0
    at = [here.view().table(s.name, "embeddings")["embedding"] for s in here.cut("supply")]
    vectors = np.array(at[0].to_pylist(), np.float32)
    wanted = np.load(tmp_path / "far-1.npy")
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, wanted, atol=1e-3)


def test_names_that_are_wrong_are_told_with_the_nearest(old, texts, runs, listed):
    here, file = chain.reading(old), str(texts[0] / "later.jsonl")
    wrong = {
        "did you mean 'far'": {"files": {"fra": [file]}},
        "nothing is new": {},
        "is in the source already": {"files": {"far": [str(texts[0] / "far.jsonl")]}},
        "source 'far' has label: 'label' in the run, '' here": {
            "sources": {"far": intake.Source(path=file, text="text")}
        },
    }
    for said, asked in wrong.items():
        with pytest.raises(errors.ConfigError, match=said):
            extend.more(here, str(runs / "x"), **asked)
    known = named(texts[1]["far"][7:8])[0]
    (runs / "unknown.txt").write_text(
        f"{listed[1][0]}\n{known[:30]}{'00' if known[30:] != '00' else '11'}\n"
    )
    (runs / "no-uid.txt").write_text(f"{known}\n{known[:-1]}\n")
    wrong = {
        "did you mean 'near'": {"sources": ["naer"]},
        "no source would be left": {"sources": ["near", "far"]},
        "nothing to remove": {},
        f"1 of 2 uids name no row.*nearest there is {known}": {"uids": str(runs / "unknown.txt")},
        "no-uid.txt:2": {"uids": str(runs / "no-uid.txt")},
        "no such list of uids.*did you mean .*gone.txt": {"uids": str(runs / "gnoe.txt")},
    }
    for said, asked in wrong.items():
        with pytest.raises(errors.ConfigError, match="(?s)" + said):
            extend.fewer(here, str(runs / "x"), **asked)
    with pytest.raises(errors.ConfigError, match="holds another run"):
        extend.fewer(here, old + "-2", sources=["near"])


def test_a_run_file_that_does_not_fit_the_frozen_run_is_refused(old, document, runs):
    asked = document(str(runs / "other")).model_copy(update={"frozen": old})
    for change in (
        {"seed": 3},
        {"cluster": config.Cluster(k=5)},
        {"score": {**asked.score, "prototypes": {}}},
    ):
        with pytest.raises(errors.ConfigError, match="is not that of the frozen run"):
            chain.run(asked.model_copy(update=change), stages=("ingest",))
    with pytest.raises(errors.ArtifactError, match="not a run folder"):
        chain.run(asked.model_copy(update={"frozen": str(runs / "nowhere")}), stages=("ingest",))


def test_answers_of_a_guarded_target_are_not_given_back(old, texts, tmp_path):
    root = str(shutil.copytree(old, tmp_path / "run"))
    ledger.write(root, {**ledger.read(root), "guard": {"left": 3}})
    here = chain.run(later(root, texts, str(tmp_path / "next")), stages=("ingest",))
    assert ledger.read(here.root)["guard"] == {"left": 3}


def test_the_command_line_extends_and_removes(old, texts, runs, lessened):
    def tamis(*args):
        return CliRunner().invoke(cli.app, list(args))

    more = tamis("extend", old, f"far={texts[0] / 'later.jsonl'}", "--quiet")
    assert more.exit_code == 0, more.output
    assert "60 rows more of far" in more.output
    shown = tamis("verify", lessened.root)
    assert "rows in = selected + not selected + duplicate + rejected + removed" in shown.output
    (runs / "more.yaml").write_text("sources:\n  new: {path: x, txt: text}\n")
    wrong = tamis("extend", old, str(runs / "more.yaml"))
    assert isinstance(wrong.exception, errors.ConfigError)
    assert "more.yaml:2:18: unknown key 'sources.new.txt'" in str(wrong.exception)
