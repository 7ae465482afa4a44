"""What the documents say is true: snippets run, commands exist, files and figures are there."""

import contextlib
import doctest
import importlib
import inspect
import io
import json
import pathlib
import pkgutil
import re

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

import tamis
from tamis import cli, runfile, scorers
from tamis.loaders import exports
from tamis.selectors import laws, pruning, registry

ROOT = pathlib.Path(__file__).parents[1]
MODULES = sorted(m.name for m in pkgutil.walk_packages(tamis.__path__, "tamis."))


def blocks(name, language):
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.failed == 0


def test_the_scorer_of_the_contributing_guide_satisfies_the_laws(tmp_path, monkeypatch):
    (snippet,) = blocks("CONTRIBUTING.md", "python")
    (tmp_path / "shouting.py").write_text(snippet)  # a module, as a plug-in's scorer is
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("shouting")


def test_the_run_file_of_the_readme_is_valid():
    whole, terms = blocks("README.md", "yaml")
    assert runfile.parse(whole, "README.md").plan.budgets == [10_000, 1_000_000]
    changed = {**yaml.safe_load(whole), **yaml.safe_load(terms)}
    planned = runfile.parse(yaml.safe_dump(changed), "README.md").plan
    assert planned.terms.shares == {"news": (0.3, 0.3), "forum": (0.0, 0.5)}


def test_every_command_in_the_readme_exists():
    shells = "\n".join(blocks("README.md", "sh"))
    named = set(re.findall(r"\btamis ([a-z]+)", shells))
    assert named >= {"run", "explain", "verify", "inspect", "doctor"}
    for command in named:
        assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0


def test_the_run_file_of_the_page_on_clusters_is_valid():
    (place,) = blocks("docs/cluster.md", "yaml")
    mine, _ = blocks("README.md", "yaml")
    document = yaml.safe_load(mine) | yaml.safe_load(place)
    assert runfile.parse(yaml.safe_dump(document), "docs/cluster.md").runner.kind == "dataflow"


def test_every_name_the_readme_imports_is_there():
    for snippet in blocks("README.md", "python"):
        for line in snippet.splitlines():
            if line.startswith(("from tamis", "import tamis")):
                exec(line, {})


def test_the_snippets_on_loading_run(finished):
    names = {"MANIFEST": str(finished / "manifest" / "samples-400")}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for snippet in blocks("docs/loading.md", "python"):
            exec(snippet, names)
    first, second = said.getvalue().splitlines()
    keys = ["id", "label", "repeats", "source", "stratum", "text", "tier", "uid", "weight"]
    assert first == str(keys)
    assert second == "101 150 149"


def test_every_command_on_loading_exists():
    (commands,) = blocks("docs/loading.md", "sh")
    kinds = re.findall(r"--to (\w+)", commands)
    assert sorted(kinds) == sorted(exports.KINDS)
    for command in ("export", "import", "verify"):
        assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0


def test_every_selector_has_a_row():
    text = (ROOT / "docs/selectors.md").read_text(encoding="utf-8")
    named, measured = text.split("## When it helps, when it hurts")
    rows = re.findall(r"^\| `(\w+)` \|", named, re.MULTILINE)
    assert sorted(rows) == sorted(registry.SELECTORS)
    judged = set(registry.SELECTORS) - {"uniform"}  # the baseline has nothing to be held against
    assert judged <= set(re.findall(r"`(\w+)`", measured))


def test_every_scorer_has_a_row():
    text = (ROOT / "docs/scorers.md").read_text(encoding="utf-8")
    named = {
        n
        for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
        for n in re.findall(r"\w+", row)
    }
    assert set(scorers.SCORERS) - {"combine"} <= named  # of which `tier.by` makes one


def test_every_law_has_a_row_and_the_names_that_stay_are_there():
    named, _ = (ROOT / "docs/laws.md").read_text(encoding="utf-8").split("## What stays")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", named, re.MULTILINE)
    kinds = [getattr(laws, name) for name in laws.__all__ if hasattr(laws, name)]
    whole = {kind.__name__ for kind in kinds if hasattr(kind, "predict")} - {"Law"}
    assert sorted(name for name, _ in rows) == sorted(whole)
    for name, column in rows:
        (call,) = re.findall(r"^`([a-z, ]+)`", column) or ["weights, samples, supply"]
        if name != "MixtureRegression":
            asked = list(inspect.signature(getattr(laws, name).predict).parameters)[1:]
            assert call.split(", ") == asked
    for name, argument in re.findall(r"`(\w+)\.perceptron_error\((.*?)\)`", named):
        assert name == "pruning"
        asked = inspect.signature(pruning.perceptron_error).parameters
        assert [a.partition("=")[0] for a in argument.split(", ")] == list(asked)


def test_the_snippet_of_the_laws_runs():
    (snippet,) = blocks("docs/laws.md", "python")
    known = {}
    exec(snippet, known)
    assert {"SignalNoise", "RepetitionUtility"} <= set(
        known["laws"].compare(known["runs"])["law"].to_pylist()
    )


@pytest.mark.parametrize("page", ["docs/scorers.md", "docs/selectors.md"])
def test_no_row_of_a_registered_name_has_an_empty_column(page):
    nouns = {*scorers.SCORERS, *registry.SELECTORS}
    found = re.findall(r"^\| `(\w+)` \|(.*)\|$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    rows = [(name, cells.split(" | ")) for name, cells in found if name in nouns]
    assert len(rows) >= 20
    # What selectors help and hurt is told for those that were measured to do either.
    least = {"docs/scorers.md": 3, "docs/selectors.md": 5}[page]
    whole = [(name, cells) for name, cells in rows if len(cells) >= least]
    assert not [name for name, cells in whole if not all(c.strip() for c in cells)]
    assert not [name for name, cells in rows if "not run" in cells]


def test_the_exported_schema_is_the_code_s():
    written = json.loads((ROOT / "docs/run.schema.json").read_text(encoding="utf-8"))
    assert written == runfile.json_schema()


@pytest.mark.parametrize("example", sorted(p.name for p in (ROOT / "examples").glob("*.yaml")))
def test_examples_are_valid(example):
    text = (ROOT / "examples" / example).read_text(encoding="utf-8")
    runfile.parse(text, example)
    jsonschema.validate(yaml.safe_load(text), runfile.json_schema())


def test_the_page_on_extending_is_true(finished, tmp_path, monkeypatch, capsys):
    (shell,), (more, whole) = blocks("docs/extending.md", "sh"), blocks("docs/extending.md", "yaml")
    for line in shell.splitlines():
        name, *words = line.partition("#")[0].split()[1:]
        shown = CliRunner().invoke(cli.app, [name, "--help"])
        assert shown.exit_code == 0
        assert all(word in shown.output for word in words if word.startswith("--"))
    (tmp_path / "more.yaml").write_text(more)
    assert runfile.sources(str(tmp_path / "more.yaml"))["letters"].label == "topic"
    assert runfile.parse(whole).removed.sources == ["forum"]
    (snippet,) = blocks("docs/extending.md", "python")
    (tmp_path / "data").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mine").symlink_to(finished)
    (tmp_path / "data/news-2027.jsonl").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    exec(snippet.replace('"news"', '"far"'), {})  # as the run of the tests calls it
    assert capsys.readouterr().out == "runs/mine-2 runs/mine\n"


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/cluster.md",
        "docs/loading.md",
    ],
)
def test_files_that_documents_name_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"`((?:docs|examples|benchmarks|tests|tamis|deploy)/[\w./-]+\.\w+)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing
