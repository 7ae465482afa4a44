"""Who may import whom: read from the code itself."""

import ast
import pathlib
import subprocess
import sys

import pytest

import tamis

ROOT = pathlib.Path(tamis.__file__).parent
HEAVY = {"apache_beam", "torch", "sentence_transformers", "wordllama"}
# Lower layers first; a module may import its own layer and those below it.
LAYERS = (
    {"__init__", "errors", "seeding", "storage", "finding", "plugins"},
    {"decoding", "isolation"},
    {"schemas"},
    {
        "linalg",
        "keys",
        "radix",
        "folds",
        "sketch",
        "artifacts",
        "clusters",
        "nearest",
        "tiers",
        "removed",
        "geometry",
    },
    {"sidecars", "ledger", "progress"},
    {"sources", "scorers", "selectors", "embedders"},
    {"pilots", "testing", "loaders", "runfile"},
    {"pipelines"},
    {"report"},
    {
        "__main__",
        "cli",
        "console",
        "continuing",
        "sourcing",
        "terminal",
        "whatif",
        "doctor",
        "demo",
        "starter",
        "runner",
        "exporting",
    },
)


def modules():
    return {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in ROOT.rglob("*.py")}


def imports(path, *, module_level):
    """Dotted names a file imports, `from a import b` as `a.b`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _at_import(tree.body) if module_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _at_import(body):
    """Statements that run when the module is imported."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        for field in ("body", "orelse", "finalbody", "handlers"):
            yield from _at_import(getattr(node, field, []))


def layer(name):
    found = [i for i, names in enumerate(LAYERS) if name.split(".")[0] in names]
    assert len(found) == 1, f"tamis.{name} is in no layer"
    return found[0]


@pytest.mark.parametrize("name", modules())
def test_no_module_imports_a_higher_layer(name):
    used = imports(modules()[name], module_level=False)
    # The command line imports pipelines where a command needs them: still downwards.
    mine = {u.removeprefix("tamis.") for u in used if u.startswith("tamis.")} - {"__version__"}
    too_high = {u for u in mine if layer(u) > layer(name)}
    assert not too_high


@pytest.mark.parametrize("name", modules())
def test_only_pipelines_import_beam_and_nobody_imports_models_when_imported(name):
    used = {u.split(".")[0] for u in imports(modules()[name], module_level=True)}
    allowed = {"apache_beam"} if name.startswith("pipelines") else set()
    assert used & HEAVY <= allowed


def test_beam_is_not_imported_inside_functions_elsewhere():
    for name, path in modules().items():
        if not name.startswith("pipelines"):
            assert not any(u.startswith("apache_beam") for u in imports(path, module_level=False))


@pytest.mark.parametrize("folder", ["loaders", "scorers", "selectors", "pilots", "sources"])
def test_the_pure_folders_import_no_pipelines(folder):
    code = f"import pkgutil, importlib, sys, tamis.{folder} as f\n"
    code += "for m in pkgutil.walk_packages(f.__path__, f.__name__ + '.'):\n"
    code += "    importlib.import_module(m.name)\n"
    code += "heavy = {'apache_beam', 'torch', 'tamis.pipelines'} & set(sys.modules)\n"
    code += "sys.exit(str(heavy) if heavy else 0)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_command_line_starts_without_beam_or_torch():
    code = "import sys, tamis.cli; sys.exit(len({'apache_beam', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_names_say_what_a_module_is():
    banned = {"utils", "util", "helpers", "common", "manager", "misc"}
    assert not {part for name in modules() for part in name.split(".")} & banned


def test_no_module_postpones_its_annotations():
    for path in modules().values():
        assert "__future__.annotations" not in set(imports(path, module_level=True))


def test_modules_stay_short():
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: n for name, n in lengths.items() if n > 350} == {}
