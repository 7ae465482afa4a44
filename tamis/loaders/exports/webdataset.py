"""WebDataset: tar shards in a folder for each number of repeats."""

import contextlib
import json
from typing import Any

from tamis import storage
from tamis.loaders import reading, samples
from tamis.schemas import columns

DOCUMENT = "shards.json"
ROWS, BYTES = 10_000, 512 << 20  # of a shard, at most
_BESIDE = ("uid", "source", "stratum", "tier", "repeats", columns.LABEL, columns.ID)


def export(folder: str, out: str) -> None:
    """Write `repeats-00003/000000.tar` and on, and `shards.json` that lists them.

    A sample's key is its uid; `.json` has its small columns, `.txt` the text, `.npy` the vector.
    """
    from webdataset import ShardWriter

    writers: dict[int, Any] = {}
    with contextlib.ExitStack() as stack:
        for table in reading.distinct(folder):
            for sample in samples.samples([table]):
                times = sample["repeats"]
                if times not in writers:
                    writers[times] = stack.enter_context(_writer(ShardWriter, out, times))
                writers[times].write(_members(sample))
    _list(out, writers)


def _writer(kind: Any, out: str, times: int) -> Any:  # noqa: ANN401 - of webdataset
    where = storage.join(out, f"repeats-{times:05d}")
    storage.makedirs(where)
    pattern = storage.filesystem(where)[1] + "/%06d.tar"
    # No clock in what is written: the same manifest gives the same bytes.
    return kind(pattern, maxcount=ROWS, maxsize=BYTES, verbose=0, mtime=0)


def _members(sample: dict[str, Any]) -> dict[str, Any]:
    beside = {name: sample[name] for name in _BESIDE if sample.get(name) is not None}
    found = {"__key__": sample["uid"], "json": json.dumps(beside, ensure_ascii=False).encode()}
    if columns.IMAGE in sample:
        found[_extension(sample[columns.IMAGE])] = sample[columns.IMAGE]
    if columns.TEXT in sample:
        found["txt"] = sample[columns.TEXT].encode()
    if columns.EMBEDDING in sample:
        found["npy"] = sample[columns.EMBEDDING]
    return found


_MAGIC = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


def _extension(image: bytes) -> str:
    """By what an image is, whatever its file was called."""
    return next((kind for magic, kind in _MAGIC.items() if image.startswith(magic)), "img")


def _list(out: str, writers: dict[int, Any]) -> None:
    found = [
        {"shard": f"repeats-{times:05d}/{name}", "repeats": times}
        for times in sorted(writers)
        for name in storage.listing(storage.join(out, f"repeats-{times:05d}"), ".tar")
    ]
    storage.makedirs(out)
    text = json.dumps(found, indent=1) + "\n"
    storage.write_atomic(storage.join(out, DOCUMENT), text.encode())


def urls(out: str) -> list[str]:
    """The shards for `webdataset.WebDataset`, each as often as its rows are to be seen."""
    listed = json.loads(storage.read_bytes(storage.join(out, DOCUMENT)))
    return [storage.join(out, s["shard"]) for s in listed for _ in range(s["repeats"])]
