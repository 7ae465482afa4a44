"""Real texts with near-duplicates, from archives a package client fetches; read, never installed.

    pip download --no-deps -d DIR licensedcode-data==32.1.0
    mkdir -p DIR/lists/partial DIR/cache
    apt-get -o Dir::State::lists=DIR/lists -o Dir::Cache=DIR/cache -o Acquire::Languages=en update

- `licences`: 37,158 licence texts and rules (CC-BY-4.0); two with one licence key are variants of
  one text.
- `debian`: the package descriptions of Debian 12, 60,000 and some.
"""

import re
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import nearest
from tamis.embedders import static

_FRONT = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_KEY = re.compile(r"^(?:license_expression|key): *(.+)$", re.MULTILINE)
_DESCRIPTION = re.compile(r"^Description-en: (.*(?:\n .*)*)", re.MULTILINE)
_WORDS = re.compile(r"\s+")


class Texts(NamedTuple):
    """Texts and what each is a variant of; empty where nobody has said."""

    text: list[str]
    key: list[str]


def licences(folder: Path) -> Texts:
    """Distinct licence texts and rules, sorted, whitespace folded."""
    (wheel,) = folder.glob("licensedcode_data-*.whl")
    found: dict[str, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith((".RULE", ".LICENSE"))):
            parts = _FRONT.match(archive.read(name).decode())
            key = _KEY.search(parts[1]) if parts else None
            if parts and key:
                found.setdefault(_folded(parts[2]), key[1].strip())
    found.pop("", None)
    texts = sorted(found)
    return Texts(texts, [found[t] for t in texts])


def debian(folder: Path) -> Texts:
    """Distinct descriptions, sorted, whitespace folded."""
    lists = sorted(folder.glob("lists/*Translation-en"))
    if not lists:
        raise FileNotFoundError(f"no Translation-en list in {folder / 'lists'}")
    found = {
        _folded(d.replace("\n .\n", "\n"))
        for path in lists
        for d in _DESCRIPTION.findall(path.read_text(encoding="utf-8"))
    }
    texts = sorted(found - {""})
    return Texts(texts, [""] * len(texts))


def _folded(text: str) -> str:
    return _WORDS.sub(" ", text).strip()


def vectors(texts: list[str]) -> NDArray[np.float32]:
    """Unit rows of WordLlama; a text without any known token is refused by `nearest.unit`."""
    return nearest.unit(static.Static()(texts)).astype(np.float32)
