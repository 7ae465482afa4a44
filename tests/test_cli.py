"""The command line in this process; `main` is what the console script calls."""

import json
import pathlib
import subprocess
import sys

import jsonschema
import numpy as np
import pytest
import yaml

import tamis as package
from tamis import cli, runfile
from tamis.selectors import laws


@pytest.fixture
def tamis(monkeypatch, capsys):
    """Run a command line: exit code, stdout and stderr."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["tamis", *map(str, args)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        told = capsys.readouterr()
        return stopped.value.code or 0, told.out, told.err

    return call


@pytest.fixture
def written(described, tmp_path):
    """Path of a run file."""

    def write(run=tmp_path / "run", **changes):
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(described(run, **changes), sort_keys=False))
        return path

    return write


def test_the_version_is_the_package_s(tamis):
    assert tamis("--version") == (0, f"{package.__version__}\n", "")


def test_python_runs_the_package_as_the_script():
    ran = subprocess.run(
        [sys.executable, "-m", "tamis", "--version"], capture_output=True, text=True, check=True
    )
    assert package.__version__ in ran.stdout


def test_run_ends_in_five_lines_and_again_reuses_everything(tamis, copied, written):
    file = written(copied)
    code, out, err = tamis("run", file)
    assert code == 0
    lines = [line.split(None, 1) for line in out.strip().splitlines()]
    assert [line[0] for line in lines] == ["chosen", "predicted", "gain", "manifest", "report"]
    assert pathlib.Path(lines[-1][1]).is_file()
    events = [json.loads(line) for line in err.splitlines()]
    starts = {e["stage"]: e["reused_shards"] for e in events if e["event"] == "start"}
    assert starts["embed"] == 10
    code, quiet, err = tamis("run", file, "--quiet")
    assert (code, quiet, err) == (0, out, "")


def test_stages_run_alone_one_after_another(tamis, written, tmp_path):
    file = written(plan={"budgets": [100]}, check={"seeds": 1})
    stages = ("ingest", "embed", "cluster", "score", "dedup", "tier", "pilot")
    for stage in stages:
        assert tamis(stage, file, "--quiet") == (0, "", "")
    code, out, _ = tamis("plan", file, "--quiet")
    assert code == 0
    assert "samples" in out
    for stage in ("select", "check"):
        assert tamis(stage, file, "--quiet") == (0, "", "")
    assert (tmp_path / "run" / "check" / "check.json").is_file()
    code, out, _ = tamis("verify", file)
    assert code == 0
    assert "balanced" in out


def test_a_stage_before_its_turn_says_what_to_run(tamis, written):
    code, _, err = tamis("cluster", written(), "--quiet")
    assert code == 1
    assert "has not been run" in err
    assert "`tamis ingest FILE`" in err


def test_a_run_folder_stands_for_its_file(tamis, finished, copied):
    code, out, _ = tamis("verify", copied)
    assert code == 0
    assert "rows in = selected + not selected + duplicate + rejected: balanced" in out
    assert "600" in out


def test_inspect_tells_a_row_s_story(tamis, copied):
    (first, *_) = json.loads((copied / "shards.json").read_text())
    from pyarrow import parquet

    uid = parquet.read_table(copied / "index" / f"{first['name']}.parquet")["uid"][0].as_py()
    code, out, _ = tamis("inspect", copied, uid)
    story = yaml.safe_load(out)
    assert code == 0
    assert (story["uid"], story["source"], story["row"]) == (uid, "near", 0)
    code, _, err = tamis("inspect", copied, "zz")
    assert code == 1
    assert "no accepted row is named zz" in err


def test_explain_shows_config_stages_and_needs(tamis, copied, written):
    code, out, _ = tamis("explain", written(copied))
    assert code == 0
    document, _, table = out.partition("\n\n")
    assert yaml.safe_load(document)["embed"]["backend"] == "static"
    for word in ("memory", "disk", "time", "near 120", "ingest", "yes"):
        assert word in table


def test_explain_writes_the_jobs_of_dataflow_for_a_run_that_has_the_place(
    tamis, copied, written, tmp_path
):
    place = {"project": "my-project", "region": "europe-west4", "temp_location": "gs://bucket/t"}
    file, jobs = written(copied, runner=place), tmp_path / "jobs.json"
    code, out, _ = tamis("explain", file, "--runner", "dataflow", "--job", jobs)
    assert code == 0
    assert f"jobs     {jobs}" in out
    assert list(json.loads(jobs.read_text())["jobs"]) == ["ingest", "embed"]
    code, _, err = tamis("explain", written(copied), "--runner", "dataflow")
    assert code == 2
    assert "dataflow needs project, region, temp_location" in err
    assert not pathlib.Path("dataflow.json").exists()


def test_what_init_writes_can_be_explained(tamis, corpus, tmp_path):
    file = tmp_path / "starter.yaml"
    code, out, _ = tamis("init", corpus, "--output", file)
    assert code == 0
    assert f"tamis explain {file}" in out
    found = runfile.load(str(file))
    assert set(found.sources) == {"near", "far"}
    assert found.sources["near"].label == "label"
    assert found.target.path.endswith("target.jsonl")
    assert tamis("explain", file)[0] == 0
    code, _, err = tamis("init", corpus, "--output", file)
    assert code == 2
    assert "the file exists" in err


def test_init_of_nothing_is_told(tamis, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = tamis("init", tmp_path / "empty", "--output", tmp_path / "x.yaml")
    assert code in (1, 2)
    assert "empty" in err
    assert not (tmp_path / "x.yaml").exists()


def test_doctor_finds_what_the_tests_need(tamis):
    code, out, _ = tamis("doctor")
    assert code == 0
    for part in ("apache-beam", "faiss-cpu", "[static]", "[embed]", "gpu", "cores"):
        assert part in out


def test_the_schema_takes_the_example(tamis, request):
    code, out, _ = tamis("schema")
    assert code == 0
    example = request.config.rootpath / "examples" / "sentiment.yaml"
    jsonschema.validate(yaml.safe_load(example.read_text(encoding="utf-8")), json.loads(out))


def test_an_unknown_key_is_exit_code_2_with_place_and_neighbour(tamis, written):
    file = written(plan={"budgts": [3]})
    line = file.read_text().splitlines().index("  budgts:") + 1
    code, out, err = tamis("run", file)
    assert (code, out) == (2, "")
    assert f"{file}:{line}:3: unknown key 'plan.budgts'" in err
    assert "did you mean 'budgets'?" in err


def test_a_missing_run_file_is_exit_code_2(tamis, written):
    file = written()
    code, _, err = tamis("run", f"{file}l")
    assert code == 2
    assert "no such run file" in err
    assert f"did you mean {file}?" in err


@pytest.mark.parametrize("args", [["--budget", b] for b in ("many", "-5", ",", "inf")])
def test_a_budget_that_is_no_number_is_exit_code_2(tamis, copied, args):
    code, _, err = tamis("plan", copied, *args)
    assert code == 2
    assert "budget" in err


def files(root):
    return {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name != ".lock"}


def test_what_if_another_budget_changes_nothing(tamis, copied):
    before = files(copied)
    code, out, err = tamis("plan", copied, "--budget", "2e2")
    assert (code, err) == (0, "")
    assert "200" in out
    assert "what if: the run's plan stands; --save replaces it" in out
    assert files(copied) == before


def test_another_budget_is_saved_when_asked(tamis, copied):
    code, out, _ = tamis("plan", copied, "--budget", "2e2", "--save", "--quiet")
    assert code == 0
    assert "what if" not in out
    made = json.loads((copied / "plan" / "plan.json").read_text())
    assert [b["samples"] for b in made["budgets"]] == [200]


def test_what_if_in_tokens_with_prices_and_a_fixed_source(tamis, copied):
    options = ("--unit", "tokens", "--price", "near=0.25", "--fix", "far=0.5", "--max-epochs", "9")
    code, out, _ = tamis("plan", copied, "--budget", "6e3", *options)
    assert code == 0
    for word in ("For 6,000 tokens train", "it costs", "far", "near"):
        assert word in out
    code, out, _ = tamis(
        *("plan", copied, "--budget", "30", "--unit", "money"),
        *("--training-price", "0.1", "--price", "near=0.2"),
    )
    assert code == 0
    assert "30.00 of money" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--price", "near"], "--price near (not a name and a number)"),
        (["--price", "near=dear"], "--price near=dear (not numbers)"),
        (["--price", "naer=1"], "did you mean 'near'?"),
        (["--fix", "near=0.3:0.1"], "give a share from 0 to 1, or its [least, most]"),
        (["--fix", "near=0.6", "--fix", "far=0.7"], "come to more than the whole"),
        (["--unit", "tokens"], "--unit tokens without --budget"),
        (["--unit", "flops", "--budget", "1e9"], "needs `params`"),
        (["--unit", "money", "--budget", "9"], "needs `training_price` or `max_epochs`"),
        (["--max-epochs", "0"], "'plan.max_epochs' may not be 0.0"),
        (["--max-epochs", "-1"], "'plan.max_epochs' may not be -1.0"),
        (["--params", "0"], "'plan.params' may not be 0.0"),
        (["--training-price", "-1"], "'plan.training_price' may not be -1.0"),
        (["--price", "near=-1"], "may not be -1.0"),
        (
            ["--unit", "money", "--budget", "9", "--training-price", "0"],
            "needs `training_price` or `max_epochs`",
        ),
    ],
)
def test_terms_that_cannot_be_read_are_exit_code_2(tamis, copied, options, said):
    code, out, err = tamis("plan", copied, *options)
    assert (code, out) == (2, "")
    assert said in err


def test_a_what_if_needs_a_run(tamis, written):
    code, _, err = tamis("plan", written(), "--budget", "200")
    assert code == 1
    assert "Traceback" not in err


def test_an_unknown_progress_style_is_exit_code_2(tamis, written):
    code, _, err = tamis("ingest", written(), "--progress", "fancy")
    assert code == 2
    assert "one of auto, rich, json, quiet" in err


def test_too_many_rejects_are_exit_code_3(tamis, written, corpus, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes((corpus / "near.jsonl").read_bytes() + b"{\n" * 30)
    code, _, err = tamis("run", written(sources={"near": {"path": str(path)}}), "--quiet")
    assert code == 3
    assert "30 malformed" in err


def test_what_will_not_fit_is_exit_code_4(tamis, written, monkeypatch):
    from tamis.pipelines import estimate

    monkeypatch.setattr(estimate, "available_memory", lambda: 1 << 20)
    code, _, err = tamis("run", written())
    assert code == 4
    assert "1.0 MiB is available" in err
    assert "lower ingest.shard_rows" in err


def test_rich_progress_names_every_stage(tamis, written):
    code, _, err = tamis("ingest", written(), "--progress", "rich")
    assert code == 0
    assert "ingest" in err
    assert "900 rows" in err


def test_the_console_script_exits_with_the_same_codes(tmp_path):
    script = pathlib.Path(sys.executable).with_name("tamis")
    ran = subprocess.run([script, "run", tmp_path], capture_output=True, text=True, check=False)
    assert ran.returncode in (1, 2)
    assert "Traceback" not in ran.stderr
    assert ran.stderr.startswith("error ")


def test_fit_compares_laws_and_tells_parameters(tamis, tmp_path):
    n, d = [1e7, 1e7, 1e7, 1e8, 1e8, 1e8, 1e9, 1e9], [1e9, 1e10, 1e11, 1e9, 1e10, 1e11, 1e9, 1e10]
    loss = laws.Chinchilla().predict(params=n, tokens=d)
    lines = [f"{p},{t},{x}" for p, t, x in zip(n, d, loss, strict=True)]
    file = tmp_path / "runs.csv"
    file.write_text("\n".join(["params,tokens,val_loss", *lines]))
    code, out, _ = tamis("fit", file)
    assert code == 0
    for word in ("Chinchilla", "longest runs", "alpha", "0.34", "low"):
        assert word in out
    code, out, err = tamis("fit", file, "--law", "Memorization")
    assert (code, out) == (2, "")
    assert "did you mean Memorisation?" in err
    code, _, err = tamis("fit", file, "--law", "Memorisation")
    assert code == 1
    assert "no column 'unique_tokens'" in err or "cannot carry Memorisation" in err
    code, _, err = tamis("fit", tmp_path / "none.csv")
    assert code == 1
    assert "no such file" in err
    assert "Traceback" not in err


def test_fit_of_a_run_s_pilots_names_every_law(tamis, copied):
    code, out, _ = tamis("fit", copied / "pilots" / "measurements.parquet", "--law", "Power")
    assert code == 0
    assert "new mixture" in out
    assert "a[" in out
    assert "SignalNoise" not in out


def cells(out):
    """The rows of a printed table, by their first cell."""
    rows = [line.split("│") for line in out.splitlines() if "│" in line]
    return {first.strip(): [c.strip() for c in rest] for _, first, *rest in rows}


def test_mix_tells_distances_and_the_nearest_mixture(tamis, copied):
    code, out, _ = tamis("mix", copied)
    assert code == 0
    rows = cells(out)
    cost = {name: float(row[0]) for name, row in rows.items()}
    assert cost["the target itself"] < cost["nearest mixture"] <= min(cost["near"], cost["far"])
    shares = [float(rows[n][1].rstrip("%")) for n in ("near", "far")]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert "no mixture is nearer than" in out
    assert "nearest mixture: predicted error 0." in out
    assert "plan: predicted error 0." in out
    assert "at 400" in out
    code, small, _ = tamis("mix", copied, "--budget", 100)
    assert code == 0
    assert "at 100" in small
    for unplanned in (123, 0):
        code, _, err = tamis("mix", copied, "--budget", unplanned)
        assert code == 2
        assert f"--budget {unplanned} is not planned" in err


def test_mix_needs_no_pilots(tamis, written):
    file = written()
    for stage in ("ingest", "embed"):
        assert tamis(stage, file, "--quiet") == (0, "", "")
    code, out, _ = tamis("mix", file)
    assert code == 0
    assert "the target itself" in out
    assert "predicted" not in out
    code, _, err = tamis("mix", file, "--budget", 100)
    assert code == 2
    assert "--budget 100: the run has no plan" in err


def test_a_part_of_the_target_without_a_source_is_named(tamis, written, paragraphs, tmp_path):
    from tests.conftest import write_jsonl

    odd = [
        {"id": f"o{i}", "text": f"{a} {b} soup with onions and butter", "label": "network"}
        for i, (a, b) in enumerate((a, b) for a in ("carrot", "leek", "bean") for b in "abcdefgh")
    ]
    target = write_jsonl(tmp_path / "odd.jsonl", paragraphs["doc"][-60:] + odd)
    file = written(target={"path": target})
    for stage in ("ingest", "embed"):
        assert tamis(stage, file, "--quiet") == (0, "", "")
    code, out, _ = tamis("mix", file)
    assert code == 0
    named = [line for line in out.splitlines() if "is served by nobody" in line]
    assert any("soup with onions and butter')" in line for line in named)
    words = {"soup", "onions", "butter"}
    assert any(words & set(line.split("'")[2].split(", ")) for line in named)


def test_acquire_ranks_the_offers_and_fills_the_basket(tamis, copied):
    call = ("acquire", copied, "--quiet", "--offer", "near=600", "--offer", "far=3000")
    code, out, _ = tamis(*call, "--money", 20, "--price", "near=0.1", "--price", "far=0.1")
    assert code == 0
    rows = cells(out)
    assert {"near", "far"} <= set(rows)
    assert rows["near"][0] == "200"
    assert rows["near"][1] == "20"
    assert "buy " in out
    code, out, _ = tamis(*call, "--rows", 50)
    assert code == 0
    rows = cells(out)
    assert rows["far"][0] == "50"
    assert "1,000" in out  # rows, in the heading
    assert "cost" not in out
    code, out, _ = tamis(*call, "--money", 0.01, "--price", "near=1", "--price", "far=2")
    assert code == 0
    assert "buy nothing: the budget buys not one row" in out


def test_acquire_judges_a_source_that_only_shows_itself(tamis, copied, corpus):
    shown = ("--offer", "books=300", "--shown", f"books={corpus / 'target.jsonl'}")
    code, out, _ = tamis("acquire", copied, "--quiet", *shown, "--rows", 300)
    assert code == 0
    assert "books: seen by no pilot" in out
    assert cells(out)["books"][0] == "300"
    assert "buy 300 rows of books" in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--offer", "near=600"), "--money X or --rows N"),
        (("--offer", "near=600", "--money", 3), "no price of near"),
        (("--offer", "nowhere=600", "--rows", 3), "no stratum is called nowhere"),
        (("--offer", "naer=600", "--rows", 3), "did you mean near?"),
        (("--offer", "near", "--rows", 3), "--offer near (not a name and a number)"),
        (("--offer", "=7", "--rows", 3), "--offer =7 (not a name and a number)"),
        (("--offer", "near=nan", "--rows", 3), "--offer near=nan (not a name and a number)"),
        (("--offer", "near=0.5", "--rows", 3), "--offer near=0.5 (not a whole number of rows"),
        (("--offer", "near=-5", "--rows", 3), "--offer near=-5 (not a whole number of rows"),
        (("--offer", "near=inf", "--rows", 3), "--offer near=inf (not a whole number of rows"),
        (("--offer", "near=5", "--offer", "near=6", "--rows", 3), "near is given twice"),
        (("--offer", "near=5", "--rows", 0), "--rows 0 (not a"),
        (("--offer", "near=5", "--money", -2, "--price", "near=1"), "--money -2 (not a number"),
        (("--offer", "near=5", "--money", 2, "--price", "near=-1"), "--price near=-1 (not a"),
        (("--offer", "near=5", "--rows", 2, "--price", "near=1"), "--price near=1 with --rows"),
        (
            ("--offer", "near=5", "--money", 2, "--price", "near=1", "--price", "far=1"),
            "--price far=1: no rows of far are on offer",
        ),
        (("--offer", "near=5", "--rows", 2, "--money", 2), "both are given"),
        (("--offer", "a=5", "--rows", 2, "--shown", "a"), "--shown a (not a name and a file)"),
        (("--offer", "a=5", "--rows", 2, "--shown", "a=b", "--shown", "a=c"), "is given twice"),
        (("--offer", "near=5", "--rows", 2, "--shown", "near=b"), "near is a stratum of the run"),
        (("--offer", "near=5", "--rows", 2, "--budget", 0), "--budget 0 is not planned"),
    ],
)
def test_an_offer_that_makes_no_sense_is_told(tamis, copied, options, told):
    code, _, err = tamis("acquire", copied, "--quiet", *options)
    assert code == 2
    assert told in err


def test_transport_competes_where_the_run_file_says_so(tamis, copied, written):
    file = written(copied, plan={"predictor": "transport"})
    assert tamis("plan", file, "--quiet")[0] == 0
    plan = json.loads((copied / "plan" / "plan.json").read_text())
    assert {"Coverage", "Rational", *(law.name for law in laws.LAWS)} == {
        score["law"] for score in plan["laws"]
    }
    code, out, _ = tamis("acquire", file, "--quiet", "--offer", "far=100", "--rows", 100)
    assert code == 0
    assert "far" in out


def test_the_demo_s_run_file_is_in_the_package(request, tmp_path):
    from tamis import demo

    shipped = runfile.load(str(request.config.rootpath / "examples" / "sentiment.yaml"))
    assert demo.document(pathlib.Path("data/vader")) == shipped
    elsewhere = demo.document(tmp_path)
    assert elsewhere.target.path == str(tmp_path / "target.jsonl")
    assert elsewhere.sources["tweets"].path == str(tmp_path / "tweets.jsonl")
    assert elsewhere.model_copy(update={"sources": {}, "target": None}) == shipped.model_copy(
        update={"sources": {}, "target": None}
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--file", "none.yaml"), "no such run file"), (("--progress", "fancy"), "one of auto")],
)
def test_a_demo_that_cannot_run_fetches_nothing(tamis, tmp_path, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    code, _, err = tamis("demo", *options)
    assert code == 2
    assert told in err
    assert not list(tmp_path.iterdir())


def test_the_demo_is_quiet_when_asked(tamis, copied, written, corpus, tmp_path):
    from tamis import demo

    for name in (*demo.DOMAINS, "target"):  # they are there: nothing is fetched
        (tmp_path / f"{name}.jsonl").write_bytes((corpus / "target.jsonl").read_bytes())
    code, out, err = tamis("demo", "--file", written(copied), "--folder", tmp_path, "--quiet")
    assert (code, err) == (0, "")
    assert out.startswith("chosen")


def test_an_export_and_its_import_are_one_choice(tamis, copied):
    """Through DataComp's list of uids, and back."""
    from tamis.loaders import manifest

    code, out, _ = tamis("export", copied, "--to", "datacomp", "--budget", 400)
    assert (code, out.strip()) == (0, str(copied / "exports/datacomp/samples-400.npy"))
    code, told, _ = tamis("import", copied, out.strip())
    assert code == 0
    assert told.endswith(", 400 samples\n")
    chosen = manifest.table(str(copied / "manifest/samples-400"))
    imported = manifest.table(str(copied / "imported/samples-400"))
    same = ["uid", "path", "row", "tier", "repeats", "content"]
    assert imported.select(same).equals(chosen.select(same))
    assert sum(s["weight"] for s in package.load(str(copied / "imported/samples-400"))) == 400
    code, _, err = tamis("export", copied, "--to", "datacomp")
    assert (code, "--budget, one of 100, 400" in err) == (2, True)


def test_a_list_of_other_uids_is_refused(tamis, copied, tmp_path):
    np.save(tmp_path / "x.npy", np.array([(1, 2)], np.dtype("u8,u8")))
    code, _, err = tamis("import", copied, tmp_path / "x.npy")
    assert (code, "1 of 1 uids are of no row of the run" in err) == (1, True)
    assert f"the first is {1:016x}{2:016x}" in err


def test_verify_hashes_the_inputs_and_reads_the_rows(tamis, copied, corpus, tmp_path):
    code, out, _ = tamis("verify", copied, "--rows")
    assert code == 0
    assert "inputs: 2 files have the SHA-256 that the manifests name" in out
    assert "rows of" in out
    code, out, _ = tamis("verify", copied, "--no-inputs")
    assert (code, "inputs:" in out) == (0, False)
    croissant = json.loads((copied / "manifest/samples-400/croissant.json").read_text())
    assert croissant["conformsTo"].endswith("/1.1")
    where = copied / "manifest/samples-400/manifest.json"
    document = json.loads(where.read_text())
    document["files"][0]["sha256"] = "0" * 64
    where.write_text(json.dumps(document))
    code, _, err = tamis("verify", copied)
    assert (code, "the input has changed since the manifest was made" in err) == (1, True)
    code, out, err = tamis("verify", copied, "--no-inputs")
    assert (code, "inputs:" in out, "it is not what manifest.json says" in err) == (1, False, True)
