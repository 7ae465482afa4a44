"""Rows of JSON lines, and rows that no sentiment classifier learns from."""

import ast
import json
import pathlib
import sysconfig

import numpy as np


def rows(path: pathlib.Path) -> list[tuple[str, bool]]:
    """Text and whether it is positive, of a file that `tamis.demo` fetched."""
    found = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(row["text"], row["label"] == "positive") for row in found]


def docstrings(count: int) -> list[tuple[str, bool]]:
    """Paragraphs of the standard library's docstrings with labels by the toss of a coin."""
    found: dict[str, None] = {}
    for path in sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py")):
        if len(found) >= count:
            break
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8", errors="replace"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = (ast.get_docstring(node) or "").split("\n\n")
                found.update(dict.fromkeys(" ".join(t.split()) for t in text if len(t) > 20))
    labels = np.random.default_rng(0).integers(0, 2, count)
    return [(text, bool(y)) for text, y in zip(list(found)[:count], labels, strict=False)]
