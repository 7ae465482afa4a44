"""Write a manifest's documents beside its parts: `manifest.json` and `croissant.json`."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from tamis import __version__, errors, finding, seeding, sidecars, storage
from tamis.loaders.exports import croissant
from tamis.schemas import manifest, shards


def write(folder: str, cut: list[shards.Shard], files: dict[str, dict], facts: dict) -> dict:
    """Write the documents of the parts that are in a folder.

    Args:
      folder: With a part for each shard that some row is listed of.
      cut: All shards, in input order.
      files: Of `inputs`.
      facts: What else `manifest.json` says: at least `kind`, `inputs` and the `samples` wanted.

    Returns:
      Samples, rows and the manifest's digest.

    Raises:
      ManifestError: the parts do not have as many samples as wanted.
    """
    made = document(folder, cut, facts, files)
    croissant.export(folder, storage.join(folder, croissant.DOCUMENT))
    return {name: made[name] for name in ("samples", "rows", "digest")}


def document(
    folder: str, cut: list[shards.Shard], facts: dict, files: dict[str, dict] | None = None
) -> dict:
    """Write `manifest.json` alone, as `write` does, and return it; inputs may stay untold."""
    parts, samples = [], 0
    for shard in cut:
        where = sidecars.url(folder, "", shard.name)
        if not storage.exists(where):
            continue
        table = sidecars.read(folder, "", shard.name)
        samples += int(np.sum(table["repeats"].to_numpy()))
        named = {"file": f"{shard.name}.parquet", "rows": table.num_rows}
        digest = seeding.digest(storage.read_bytes(where)).hex()
        parts.append({**named, "digest": digest, "shard": shards.document(shard)})
    if samples != facts["samples"]:
        raise errors.ManifestError(
            f"{samples:,} samples instead of {facts['samples']:,}",
            where=folder,
            why="two rows share uid and shard, or the supply has changed",
            remedy="please file an issue with the run's run.json",
        )
    used = {path for p in parts for path, _ in _paths(shards.parse(p["shard"]).file)}
    found = {
        "tamis": __version__,
        "rows": sum(p["rows"] for p in parts),
        "digest": seeding.digest(json.dumps(parts)).hex(),
        "parts": parts,
        "files": [file for path, file in (files or {}).items() if path in used],
        **facts,
    }
    text = json.dumps(found, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(storage.join(folder, manifest.DOCUMENT), text.encode())
    return found


def inputs(
    cut: Iterable[shards.Shard], known: Mapping[str, str] = MappingProxyType({})
) -> dict[str, dict]:
    """Path to what a manifest says of an input file.

    Args:
      cut: Shards of the files.
      known: SHA-256 by path; any other file is read once for its own.
    """
    found: dict[str, dict] = {}
    for file in {shard.file: None for shard in cut}:
        for path, kind in _paths(file):
            if path not in found:
                named = {"source": file.source, "path": path, "format": kind}
                size = file.size if kind == "images" else storage.size(path)
                sha256 = known.get(path) or finding.sha256(path)
                found[path] = {**named, "size": size, "sha256": sha256}
    return found


def _paths(file: shards.File) -> list[tuple[str, str]]:
    """What a file's rows are read from, and its format; an array of an archive is the archive."""
    both = ((file.path, file.format), (file.vectors.partition("#")[0], "npy"))
    return [(path, kind) for path, kind in both if path]
