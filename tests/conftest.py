"""A small real corpus, and runs of it: the standard library's docstrings and comments."""

import ast
import json
import pathlib
import re
import shutil
import sysconfig

import hypothesis
import pytest
import yaml

from tamis import runfile
from tamis.pipelines import chain

# The same examples in every run, so that a commit that passes here passes everywhere. To look for
# new ones: pytest --hypothesis-profile=default
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")

# A paragraph's class is what its module is about.
TOPICS = {
    "network": "email http urllib xmlrpc ftplib.py smtplib.py imaplib.py ssl.py html xml",
    "tasks": "asyncio concurrent multiprocessing threading.py queue.py subprocess.py unittest",
}
_COMMENTS = re.compile(r"(?:^ *#[^\n]*\n)+", re.MULTILINE)


def _modules():
    lib = pathlib.Path(sysconfig.get_path("stdlib"))
    for label, names in TOPICS.items():
        for name in names.split():
            for path in [lib / name] if name.endswith(".py") else sorted((lib / name).glob("*.py")):
                yield label, path.read_text(encoding="utf-8", errors="replace")


def _docstrings(code):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, kinds):
            yield from (ast.get_docstring(node) or "").split("\n\n")


def _comments(code):
    for block in _COMMENTS.findall(code):
        yield "\n".join(line.strip().lstrip("#") for line in block.splitlines())


def _rows(paragraphs, kind):
    """Distinct paragraphs, every class spread over the whole list."""
    found = {}
    for label, code in _modules():
        for text in map(" ".join, map(str.split, paragraphs(code))):
            if 20 < len(text) < 400:
                found.setdefault(text, label)
    order = sorted(found, key=lambda text: text[::-1])
    return [{"id": f"{kind}{i}", "text": t, "label": found[t]} for i, t in enumerate(order)]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def paragraphs():
    """Rows of real text: docstrings, which the target is of too, and comments."""
    return {"doc": _rows(_docstrings, "d"), "comment": _rows(_comments, "c")}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory, paragraphs):
    """Folder of near.jsonl, far.jsonl and target.jsonl."""
    folder = tmp_path_factory.mktemp("corpus")
    write_jsonl(folder / "near.jsonl", paragraphs["doc"][:120])
    write_jsonl(folder / "far.jsonl", paragraphs["comment"][:480])
    write_jsonl(folder / "target.jsonl", paragraphs["doc"][-300:])
    return folder


def merged(base, changes):
    """`base` with `changes` laid over it; a key changed to None is left out."""
    out = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return {key: value for key, value in out.items() if value is not None}


@pytest.fixture(scope="session")
def described(corpus):
    """The run file of the corpus as a dict, with changes."""

    def describe(run, **changes):
        named = {"text": "text", "label": "label", "id": "id"}
        source = {n: {"path": str(corpus / f"{n}.jsonl"), **named} for n in ("near", "far")}
        base = {
            "version": 1,
            "run": str(run),
            "seed": 17,
            "sources": source,
            "target": {"path": str(corpus / "target.jsonl"), **named},
            "ingest": {"shard_rows": 100},
            "cluster": {"k": 8, "iterations": 5},
            "plan": {"budgets": [100, 400], "strata": ["source"]},
            "check": {"seeds": 2},
        }
        return merged(base, changes)

    return describe


@pytest.fixture(scope="session")
def configured(described):
    """The same, validated."""

    def configure(run, **changes):
        return runfile.parse(yaml.safe_dump(described(run, **changes), sort_keys=False))

    return configure


@pytest.fixture(scope="session")
def finished(tmp_path_factory, configured):
    """A run folder with every stage done; for reading only."""
    root = tmp_path_factory.mktemp("finished") / "run"
    chain.run(configured(root))
    return root


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of it, to be damaged."""
    return pathlib.Path(shutil.copytree(finished, tmp_path / "run"))
