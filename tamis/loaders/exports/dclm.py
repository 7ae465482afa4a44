"""DCLM's dataset reference: the JSON that its tools name a raw dataset by (Li et al. 2024)."""

import json
import uuid

from tamis import seeding, storage
from tamis.loaders import manifest
from tamis.loaders.exports import croissant
from tamis.schemas import manifest as schema


def export(folder: str, out: str) -> None:
    """Write the reference of a manifest, with null where it would be made up.

    Names are the same for the same data: there is no clock in it, and no chance.
    """
    document = manifest.document(folder)
    files = {part.shard.file for part in manifest.parts(document)}
    reference = {
        "uuid": str(uuid.UUID(document["digest"])),
        "name": croissant.name(document),
        "creation_date": None,
        "dataset_url": folder,
        "manifest_url": storage.join(folder, schema.DOCUMENT),
        "sources": [
            {"uuid": str(uuid.UUID(bytes=seeding.digest("source", name))), "name": name}
            for name in sorted({file.source for file in files})
        ],
        "tokenized": False,
        "tokenizer": None,
        "num_tokens": None,
        "size": sum(file.size for file in files),
        "dcnlp_commit_hash": None,
        "dcnlp_diff": None,
        "data_key": ",".join(sorted({file.format for file in files})),
        "sampling_yaml": None,
    }
    storage.write_atomic(out, (json.dumps(reference, indent=1) + "\n").encode())
