"""Files and shards: the units of work.

A shard is a contiguous range of rows of one input file. It is also the element of almost every
PCollection, so it is small, frozen and hashable.
"""

import dataclasses
import json
from typing import Literal, NamedTuple

from tamis import errors, storage

Format = Literal["parquet", "jsonl", "csv", "images", "webdataset"]
Compression = Literal["none", "gzip", "zstd"]
Role = Literal["supply", "target"]

SHARD_ROWS = 65_536
BATCH_ROWS = 8_192
BATCH_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Which of a file's columns holds what; an empty name means the source has none.

    Attributes:
      text: Column of strings to embed and to read.
      label: Column of class labels; strings, integers and booleans are taken as strings.
      id: Column with the source's own ids; without one a row is named by its content.
      embedding: Column of precomputed vectors.
      image: Column of encoded images.
    """

    text: str = ""
    label: str = ""
    id: str = ""
    embedding: str = ""
    image: str = ""

    def named(self) -> dict[str, str]:
        """Canonical name to the file's name, of the columns there are, in canonical order."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v}


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """One input file of one source.

    Attributes:
      source: Name of the source.
      role: `supply` is chosen from; `target` is what training should be good at.
      path: Path or URL, as fsspec takes it; of format `images`, of a folder.
      format: How rows are written.
      compression: Of line files and archives; Parquet compresses itself.
      size: Bytes on disk; of a folder, of all its images.
      delimiter: Between cells of a csv file, one character.
      quote: Around cells of a csv file, one character, or empty when none is special.
      header: Names of a csv file's columns when its first line does not give them.
      vectors: Path of an `.npy` file with one embedding per row of this file, or empty.
    """

    source: str
    role: Role
    path: str
    format: Format
    columns: Columns
    compression: Compression = "none"
    size: int = 0
    delimiter: str = ","
    quote: str = '"'
    header: tuple[str, ...] = ()
    vectors: str = ""

    @property
    def seekable(self) -> bool:
        """Whether a shard can be read without reading what stands before it."""
        return self.compression == "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Shard:
    """A contiguous row range of one file.

    Attributes:
      name: `part-<file>-<shard in file>`; the name of the shard's sidecar in every folder.
      file: Where the rows are.
      row: First row, counted in the file from 0, bad rows included.
      rows: How many rows.
      start: First byte of the range in an uncompressed line file or archive; in Parquet the first
        row of the row group where the shard begins; else 0.
      stop: Byte after the range in an uncompressed line file or archive, else 0: to its end.
    """

    name: str
    file: File
    row: int
    rows: int
    start: int = 0
    stop: int = 0

    @property
    def source(self) -> str:
        return self.file.source

    @property
    def number(self) -> int:
        """Of the file among those of the run."""
        return int(self.name.split("-")[1])


def document(shard: Shard) -> dict:
    """A shard as plain JSON values."""
    return dataclasses.asdict(shard)


def parse(document: dict) -> Shard:
    """The shard of `document`."""
    file = dict(document["file"])
    file |= {"columns": Columns(**file["columns"]), "header": tuple(file["header"])}
    return Shard(**{**document, "file": File(**file)})


def read(url: str) -> list[Shard]:
    """The shards that a run has listed.

    Raises:
      ArtifactError: the list is missing or damaged.
    """
    try:
        return [parse(d) for d in json.loads(storage.read_bytes(url))]
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        raise errors.ArtifactError(
            "the list of shards is missing or damaged",
            where=url,
            why=str(error),
            remedy=f"delete {url} and run again: it is cut anew",
        ) from error


class Span(NamedTuple):
    """Shards of one file that one worker reads together, front to back.

    One shard of a seekable file; all of them where the file is a compressed stream, so that it is
    read once and the cost stays linear. Parquet is in between: some of the shards of a row group
    that is larger than a shard.
    """

    shards: tuple[Shard, ...]
