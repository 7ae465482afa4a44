"""Init: a commented run file from a folder of data."""

import difflib
from pathlib import Path

from tamis import errors, sources, storage
from tamis.schemas import shards

_LIKELY = {
    "text": ("text", "content", "sentence", "document", "body", "caption", "prompt", "review"),
    "label": ("label", "class", "category", "target", "sentiment", "y"),
    "id": ("id", "uid", "uuid", "key", "doc_id", "url"),
    "embedding": ("embedding", "embeddings", "vector", "emb"),
}

_TEMPLATE = """\
# A tamis run: what to train on, how often, for this budget.
#   tamis explain {name}   what it will do, and what it takes
#   tamis run {name}       do it; again = resume
version: 1
run: runs/{stem}          # everything is written here; inputs are never copied or changed
seed: 0

sources:                  # what may be chosen, by name
{sources}
# A sample of what training should be good at. Pilots measure the error on it.
{target}
embed:
  backend: {backend}         # static (WordLlama, CPU) | sentence-transformers | precomputed
  # model: path/or/hub-id # for sentence-transformers

cluster: {{}}               # k: 1000, iterations: 20

score:                    # higher = keep
  prototypes: {{keep: easy}} # near its k-means centroid (Sorscher et al. 2022); or: hard, theory
{lexical}
tier:
  by: prototypes          # or weights: {{prototypes: 1, lexical: 1}}
  tiers: 1                # or fractions, best first: [0.2, 0.5, 0.3]

pilot:
  max_fraction: 0.25      # a budget is planned from trainings of at most this part of it

plan:
  budgets: [1000, 10000, 100000]  # samples seen in training
  strata: [source, tier]
  # max_epochs: 8
  # measurements: runs.csv        # your own training runs, instead of pilots
"""


def write(folder: str, path: str) -> str:
    """Write a run file for the data in `folder`.

    Args:
      folder: Folder or URL; each subfolder, or else each file, becomes a source.
      path: The run file; it must not exist.

    Returns:
      Its text.

    Raises:
      ConfigError: the file exists.
      SchemaError: there is no readable data.
    """
    file = Path(path)
    if file.exists():
        raise errors.ConfigError(
            "the file exists", where=path, remedy="give another name: --output"
        )
    found = _sources(folder)
    text = _render(found, file)
    file.write_text(text, encoding="utf-8")
    return text


def _sources(folder: str) -> dict[str, tuple[str, shards.Columns]]:
    """Source name to its path and columns."""
    source = sources.Source("data", "supply", (folder,), shards.Columns())
    groups: dict[str, list[shards.File]] = {}
    for file in sources.expand(source):
        below = file.path[len(folder) :].strip("/").split("/")
        groups.setdefault(below[0], []).append(file)
    named = {}
    for group, files in groups.items():
        name = "".join(c if c.isalnum() else "_" for c in group.split(".")[0]).strip("_") or "data"
        named[name if name[0].isalpha() else f"s_{name}"] = (
            storage.join(folder, group),
            _columns(sources.column_names(files[0])),
        )
    return named


def _columns(names: tuple[str, ...]) -> shards.Columns:
    """Which column is what, by name."""
    found = {}
    for role, likely in _LIKELY.items():
        lower = {name.lower(): name for name in names}
        exact = [lower[n] for n in likely if n in lower]
        close = difflib.get_close_matches(likely[0], list(lower), 1, 0.75)
        found[role] = exact[0] if exact else lower[close[0]] if close else ""
    return shards.Columns(**found)


def _render(found: dict[str, tuple[str, shards.Columns]], file: Path) -> str:
    target = next((n for n in found if n.lower() in {"target", "test", "validation", "dev"}), "")
    lines = [f"  {name}: {_spec(*found[name])}" for name in found if name != target]
    has_text = any(columns.text for _, columns in found.values())
    backend = "static" if has_text else "precomputed"
    chosen = (
        f"target: {_spec(*found[target])}\n"
        if target
        else "# target: {path: ..., text: ..., label: ...}\n"
    )
    lexical = "  lexical: {}               # Gopher, C4 and FineWeb rules\n" if has_text else ""
    return _TEMPLATE.format(
        name=file,
        stem=file.stem,
        sources="\n".join(lines) + "\n",
        target=chosen,
        backend=backend,
        lexical=lexical,
    )


def _spec(path: str, columns: shards.Columns) -> str:
    named = columns.named()
    if named.get("text"):
        named.pop("embedding", None)
    cells = [f"path: {path}", *(f"{role}: {name}" for role, name in named.items())]
    return "{" + ", ".join(cells) + "}"
