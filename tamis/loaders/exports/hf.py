"""Hugging Face `datasets`: a folder with its card that `load_dataset` opens, or a view."""

from typing import Any

import pyarrow as pa
import yaml

from tamis import storage
from tamis.loaders import manifest
from tamis.loaders.exports import croissant, parquet

_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"))


def export(folder: str, out: str) -> None:
    """Write `data/*.parquet`, a dataset card and `croissant.json`; nothing needs `datasets`."""
    parquet.export(folder, storage.join(out, "data"))
    storage.write_atomic(storage.join(out, "README.md"), card(folder).encode())
    croissant.export(folder, storage.join(out, croissant.DOCUMENT))


def card(folder: str) -> str:
    """The dataset card: a README with a YAML header."""
    document = manifest.document(folder)
    head = {
        "configs": [{"config_name": "default", "data_files": "data/*.parquet"}],
        "dataset_info": {"features": _features(folder)},
        "size_categories": [_size(document["rows"])],
        "tags": ["tamis"],
    }
    names = sorted({part.shard.source for part in manifest.parts(document)})
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# {croissant.name(document)}

{document["rows"]:,} rows of {", ".join(names)}, chosen by tamis {document["tamis"]} to train on
{document["samples"]:,} samples. `repeats` is how often a row is to be seen, and their sum is the
number of samples; `tier` is its quality, 0 the best. The manifest is `{document["digest"]}`;
`croissant.json` has the files it comes from and their SHA-256.
"""


def _features(folder: str) -> list[dict]:
    found: list[dict] = []
    for field in parquet.schema_of(folder):
        if not pa.types.is_nested(field.type):
            found.append({"name": field.name, "dtype": str(field.type)})
        else:
            size = getattr(field.type, "list_size", None)
            length = {} if size is None else {"length": size}
            found.append({"name": field.name, "list": "float32", **length})
    return found


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "n>1M")


def view(folder: str, **options: Any) -> Any:  # noqa: ANN401 - options of load; an IterableDataset
    """The manifest as a `datasets.IterableDataset`, with nothing copied; needs `tamis[hf]`.

    Args:
      folder: Of the manifest.
      options: Of `tamis.load`.
    """
    import datasets

    from tamis.loaders import stream

    given = {"path": folder, **options}
    return datasets.IterableDataset.from_generator(stream.load, gen_kwargs=given)
