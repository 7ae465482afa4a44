"""Texts without labels from packages: three sources, and the glosses of WordNet as the target.

    mkdir -p data/packages/lists/partial && cd data/packages
    apt-get -o Dir::State::lists=$PWD/lists -o Acquire::Languages=en update
    pip download --no-deps licensedcode-data==32.1.0
    apt-get download wordnet-base && dpkg -x wordnet-base*.deb .
    cd ../.. && python -m examples.unlabelled data/packages data/unlabelled

`descriptions` are those of Debian's packages, `functions` those of the running Python's standard
library, `licences` the texts of licensedcode-data (CC-BY-4.0).
"""

import ast
import json
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np

ROWS = 3_000
LONGEST = 2_000
_DESCRIPTION = re.compile(r"^Description-en: (.*(?:\n .*)*)", re.MULTILINE)


def descriptions(folder):
    """Of packages, from apt's lists, which may be compressed."""
    for path in sorted(folder.glob("lists/*Translation-en*")):
        if path.suffix:
            read = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
            text = subprocess.run(read, capture_output=True, check=True).stdout.decode()
        else:
            text = path.read_text(encoding="utf-8")
        yield from _DESCRIPTION.findall(text)


def functions():
    """Of the standard library, with their comments."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        code = path.read_text(encoding="utf-8", errors="replace")
        lines = code.splitlines()
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef):
                yield "\n".join(lines[node.lineno - 1 : node.end_lineno])


def licences(folder):
    """The texts after each file's front matter."""
    for wheel in folder.glob("licensedcode_data-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith((".RULE", ".LICENSE")):
                    yield archive.read(name).decode().rpartition("\n---\n")[2]


def glosses(folder):
    """Definitions and examples, which stand after the bar in WordNet's data files."""
    for path in sorted(folder.rglob("wordnet/data.*")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                yield line.partition("| ")[2]


def write(path, texts, rows):
    """A sample of the distinct texts as JSON lines."""
    found = sorted({" ".join(text.split())[:LONGEST] for text in texts} - {""})
    if not found:
        raise SystemExit(f"nothing for {path}\n\n{__doc__}")
    order = np.random.default_rng(0).permutation(len(found))[:rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"id": str(i), "text": found[i]}) for i in order.tolist())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(packages, out, rows=ROWS):
    packages, out = Path(packages), Path(out)
    write(out / "descriptions.jsonl", descriptions(packages), rows)
    write(out / "functions.jsonl", functions(), rows)
    write(out / "licences.jsonl", licences(packages), rows)
    write(out / "target.jsonl", glosses(packages), rows // 3)


if __name__ == "__main__":
    main(*sys.argv[1:])
