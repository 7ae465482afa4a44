"""Estimate: memory, disk and time of a run before it starts, from the inputs' footers and sizes."""

import dataclasses
import itertools
import json
import os
import shutil
from pathlib import Path

from tamis import clusters, errors, sketch, sources, storage
from tamis.embedders import pixels
from tamis.pipelines import ingest, near
from tamis.schemas import config, shards
from tamis.selectors import costs
from tamis.sources import tars

# Rows a second on one core of the machine in benchmarks/README.md; a guide, not a promise.
_RATES = {
    "ingest": 250_000,
    "embed static": 14_000,
    "embed pixels": 1_500,
    "embed sentence-transformers": 90,
    "embed precomputed": 150_000,
    "cluster": 60_000,
    "score": 30_000,
    "dedup": 600_000,
    "near": 4_000,
    "minhash": 2_000,  # of texts of a thousand characters; short ones are faster
    "tier": 500_000,
    "select": 200_000,
}
_SAMPLES_PER_SECOND = 800_000  # of the linear probe, all runs of a length together
_SECONDS_PER_STAGE = 0.5  # a pipeline starts, footers are read
_BASE_BYTES = 330 << 20  # the interpreter with Beam, Arrow and faiss loaded
_MODEL_BYTES = {
    "static": 120 << 20,
    "pixels": 60 << 20,
    "sentence-transformers": 900 << 20,
    "precomputed": 0,
}
_PEEK_BYTES = 1 << 20
_PEEK_SAMPLES = 100


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
      rows: Input rows by source; of line files, estimated from their first megabyte.
      dimension: Of the embeddings.
      memory: Peak bytes of one worker process.
      disk: Bytes of the finished run folder.
      seconds: By stage, on `runner.workers` cores.
    """

    rows: dict[str, int]
    dimension: int
    memory: int
    disk: int
    seconds: dict[str, float]

    def check(self, root: str) -> None:
        """Raise CapacityError when this machine has less.

        Raises:
          CapacityError: naming the number and the knob.
        """
        available = available_memory()
        if self.memory > available:
            raise errors.CapacityError(
                f"the run needs {size(self.memory)} of memory, {size(available)} is available",
                where=root,
                remedy="lower ingest.shard_rows, cluster.sample or plan.budgets",
            )
        free = free_disk(root)
        if free is not None and self.disk > free:
            raise errors.CapacityError(
                f"the run needs {size(self.disk)} of disk, {size(free)} is free",
                where=root,
                remedy="choose another run folder, or embed.dtype: float16",
            )


def estimate(document: config.Run) -> Estimate:
    """Look at the inputs, without reading them, and add up.

    Raises:
      SchemaError: an input is missing.
    """
    rows: dict[str, int] = {}
    for file in ingest.files(document):
        rows[file.source] = rows.get(file.source, 0) + _rows(file)
    supply = sum(n for name, n in rows.items() if name != "target")
    d = _dimension(document)
    return Estimate(
        rows, d, _memory(document, supply, d), _disk(document, rows, d), _time(document, rows)
    )


def _rows(file: shards.File) -> int:
    """Rows of a file: exact for Parquet, else size over the mean line of its first megabyte."""
    if file.format == "parquet":
        return sum(s.rows for s in sources.shards(file, 0, shards.SHARD_ROWS))
    if file.format in ("images", "webdataset"):
        return _images(file)
    with storage.open_read(file.path) as stream:
        head = stream.read(_PEEK_BYTES)
    lines = head.count(b"\n") or 1
    if file.compression != "none":
        return int(4 * file.size / 150)  # unknown until read: texts compress about fourfold
    return lines if len(head) >= file.size else int(file.size / (len(head) / lines))


def _images(file: shards.File) -> int:
    """Rows of a folder; of an archive, its size over the mean of its first samples."""
    if file.format == "images":
        return sum(s.rows for s in sources.shards(file, 0, shards.SHARD_ROWS))
    samples = [
        s.offset for s in itertools.islice(tars.samples(file, contents=False), _PEEK_SAMPLES)
    ]
    if len(samples) < _PEEK_SAMPLES:
        return len(samples)
    return int(file.size / (samples[-1] / (len(samples) - 1)))  # images do not compress again


def _dimension(document: config.Run) -> int:
    section = document.embed
    if section.backend in ("static", "pixels"):
        return 256 if section.backend == "static" else pixels.DIMENSION
    if section.backend == "precomputed":
        return sources.dimension(ingest.files(document)[0])
    pooling = Path(section.model).expanduser() / "1_Pooling" / "config.json"
    if pooling.is_file():
        return int(json.loads(pooling.read_text(encoding="utf-8"))["word_embedding_dimension"])
    return 768


def _memory(document: config.Run, supply: int, d: int) -> int:
    """The largest of what the stages hold at a time; a worker holds one shard."""
    bytes_each = 2 if document.embed.dtype == "float16" else 4
    largest = max(min(supply, document.ingest.shard_rows), 1)
    embed = largest * d * (4 + 2 * bytes_each) + 3 * shards.BATCH_BYTES
    k = document.cluster.k or clusters.default_k(supply)
    sample = min(supply, document.cluster.sample or clusters.default_sample(k))
    fit = sample * d * (2 * bytes_each + 12)
    dedup = 5 * sketch.bytes_for(supply)
    if document.dedup.threshold is not None:
        # The local runner holds a round several times over; the launcher an edge a row, at most.
        dedup += min(5 * near.ROUND_BYTES, 40 * supply * d) + 4 * k * k + 100 * supply
    if document.dedup.minhash is not None:
        dedup += sketch.bytes_for(14 * supply) + 100 * supply + largest * 500 * 8  # words of a text
    most = max(_lengths(document, supply))
    train = min(supply, most) * d * 4 + 8 * most * 4
    held = _BASE_BYTES + _MODEL_BYTES[document.embed.backend]
    return held + max(embed, fit, dedup, min(train, 1 << 30))


def _disk(document: config.Run, rows: dict[str, int], d: int) -> int:
    bytes_each = 2 if document.embed.dtype == "float16" else 4
    total, supply = sum(rows.values()), sum(n for name, n in rows.items() if name != "target")
    sidecars = 8 + 1 + 6 + 4 * len(document.score)
    manifests = sum(min(b, supply) for b in _lengths(document, supply)) * 3 * 45
    return total * (60 + d * bytes_each) + supply * sidecars + manifests


def _time(document: config.Run, rows: dict[str, int]) -> dict[str, float]:
    cores = min(document.runner.workers, os.cpu_count() or 1)
    total, supply = sum(rows.values()), sum(n for name, n in rows.items() if name != "target")
    lengths = _lengths(document, supply)
    pilots = document.pilot.cost
    sought = {"near": document.dedup.threshold, "minhash": document.dedup.minhash}
    near_copies = sum(supply / _RATES[how] for how, least in sought.items() if least is not None)
    rates = {
        "ingest": total / _RATES["ingest"],
        "embed": total / _RATES[f"embed {document.embed.backend}"],
        "cluster": supply / _RATES["cluster"],
        "score": len(document.score) * supply / _RATES["score"],
        "dedup": supply / _RATES["dedup"] + near_copies,
        "tier": supply / _RATES["tier"],
        "pilot": 0.0 if document.plan.measurements else pilots / _SAMPLES_PER_SECOND,
        "plan": 5.0,
        "select": supply * len(document.plan.budgets) / _RATES["select"],
        "check": 4 * document.check.seeds * sum(lengths) / _SAMPLES_PER_SECOND,
    }
    return {stage: _SECONDS_PER_STAGE + seconds / cores for stage, seconds in rates.items()}


def _lengths(document: config.Run, supply: int) -> list[int]:
    """About how many samples every budget is."""
    plan = document.plan
    return [costs.about(b, plan.terms, supply, plan.max_epochs) for b in plan.budgets]


def available_memory() -> int:
    """Bytes this machine can still give, or a container's limit where that is less."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) << 10
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text))
    return free


def free_disk(root: str) -> int | None:
    """Free bytes where the run folder will be; None where that cannot be known."""
    if not storage.is_local(root):
        return None
    path = Path(storage.filesystem(root)[1])
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def size(count: float) -> str:
    """Bytes for a person.

    >>> size(1536), size(3 << 30)
    ('1.5 KiB', '3.0 GiB')
    """
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
