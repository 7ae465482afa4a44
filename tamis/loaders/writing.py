"""Write a manifest's documents beside its parts: `manifest.json` and `croissant.json`."""

import json
from collections.abc import Iterable

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
    used = {_place(p["shard"]["file"][key]) for p in parts for key in ("path", "vectors")}
    document = {
        "tamis": __version__,
        "rows": sum(p["rows"] for p in parts),
        "digest": seeding.digest(json.dumps(parts)).hex(),
        "parts": parts,
        "files": [file for path, file in files.items() if path in used],
        **facts,
    }
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    storage.write_atomic(storage.join(folder, manifest.DOCUMENT), text.encode())
    croissant.export(folder, storage.join(folder, croissant.DOCUMENT))
    return {name: document[name] for name in ("samples", "rows", "digest")}


def _place(path: str) -> str:
    """The file, of a file or of arrays in one (`FILE.npz#name`)."""
    return path.partition("#")[0]


def inputs(cut: Iterable[shards.Shard]) -> dict[str, dict]:
    """Path to what a manifest says of an input file: each is read once, for its SHA-256."""
    found: dict[str, dict] = {}
    for file in {shard.file: None for shard in cut}:
        for path, kind in ((file.path, file.format), (_place(file.vectors), "npy")):
            if path and path not in found:
                size, sha256 = finding.size(path), finding.sha256(path)
                named = {"source": file.source, "path": path, "format": kind}
                found[path] = {**named, "size": size, "sha256": sha256}
    return found
