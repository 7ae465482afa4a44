"""MosaicML's MDS: a stream for each source and number of repeats, for `Stream(repeat=...)`."""

import contextlib
import re
from typing import Any

from tamis import finding, storage
from tamis.loaders import reading, samples
from tamis.schemas import columns

_KINDS = {
    columns.IMAGE: "bytes",
    "tier": "int",
    "repeats": "int",
    columns.EMBEDDING: "ndarray:float32",
}
_FOLDER = re.compile(r"repeats-(\d+)/index\.json$")


def export(folder: str, out: str) -> None:
    """Write streams to `<source>/repeats-00003` and so on, each with its source's columns."""
    from streaming.base import MDSWriter

    writers: dict[tuple[str, int], Any] = {}
    with contextlib.ExitStack() as stack:
        for table in reading.distinct(folder):
            kinds = {name: _KINDS.get(name, "str") for name in table.column_names}
            for sample in samples.samples([table]):
                key = (sample["source"], sample["repeats"])
                if key not in writers:
                    local = storage.join(out, key[0], f"repeats-{key[1]:05d}")
                    writer = MDSWriter(columns=kinds, out=local, hashes=["sha1"])
                    writers[key] = stack.enter_context(writer)
                writers[key].write(sample)


def streams(out: str) -> list[Any]:
    """For `StreamingDataset(streams=...)`: rows come as often as they are to be seen."""
    from streaming.base import Stream

    found = [(path, _FOLDER.search(path)) for path in finding.tree(out)]
    return [
        Stream(local=path.removesuffix("/index.json"), repeat=int(named[1]))
        for path, named in found
        if named
    ]
