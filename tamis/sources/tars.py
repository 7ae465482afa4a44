"""WebDataset archives: samples, which are members of a tar that share a name up to its first dot.

Nothing is ever extracted: a member is bytes, and its name is only a name. Links, devices and sparse
members carry no data of their own and make their sample bad. An uncompressed archive is entered at
the header of any sample; a compressed one is read front to back.

A column is a member's extension (`jpg`, `txt`, `cls`), several of which the first there is counts
(`jpg;png`), a field of the member `json` (`json.caption`), `image` for any extension of an image,
or `__key__`, the sample's name.
"""

import contextlib
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tamis import decoding, errors
from tamis.schemas import columns as names_
from tamis.schemas import shards
from tamis.sources import blocks, jsonl, streams, utf8

KEY = "__key__"
IMAGE = "image"
JSON = "json"
_MAX_READ = decoding.MAX_BYTES + 1024  # more is asked for by names that lie about their length
_ENTRY = tarfile.BLOCKSIZE


class Sample(NamedTuple):
    """One row.

    Attributes:
      key: Its name.
      offset: Of its first header, in decompressed bytes.
      parts: Contents by extension; empty where only places were asked for.
      problem: Why the row is bad, or "".
    """

    key: str
    offset: int
    parts: dict[str, bytes]
    problem: str


class _Member(NamedTuple):
    key: str
    extension: str
    offset: int
    data: bytes
    problem: str


class _Bounded:
    """A stream that is only read forwards, and never much at a time."""

    def __init__(self, stream: streams.Readable, position: int) -> None:
        self._stream, self._position = stream, position

    def read(self, size: int) -> bytes:
        if size > _MAX_READ:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        data = streams.fully(self._stream, size)
        self._position += len(data)
        return data

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        """Forwards only; by reading, unless the stream itself can."""
        if position < self._position:
            raise tarfile.ReadError("a header points backwards")
        while self._position < position:
            if not self.read(min(_MAX_READ, position - self._position)):
                return


class _Seekable(_Bounded):
    def seek(self, position: int) -> None:
        self._stream.seek(position)  # type: ignore[attr-defined]
        self._position = position


def samples(
    file: shards.File, start: int = 0, stop: int = 0, *, contents: bool = True
) -> Iterator[Sample]:
    """The samples whose headers lie in [start, stop), to the archive's end if stop is 0.

    Args:
      file: The archive.
      start: First byte of a header; a compressed archive is read from its beginning.
      stop: Byte after the last sample.
      contents: Read the members, or only their headers.

    Raises:
      SchemaError: the archive is damaged or ends early.

    A Python step for each member: there is no columnar form of a tar. Memory is one sample.
    """
    current: Sample | None = None
    for member in _members(file, start, stop, contents):
        if current is None or member.key != current.key:
            if current is not None:
                yield current
            current = Sample(member.key, member.offset, {}, "")
        problem = current.problem or member.problem
        if member.extension in current.parts and not problem:
            problem = f"two members are {member.key}.{member.extension}"
        current.parts[member.extension] = member.data
        current = current._replace(problem=problem)
    if current is not None:
        yield current


def _members(file: shards.File, start: int, stop: int, contents: bool) -> Iterator[_Member]:  # noqa: FBT001
    with streams.opened(file, start) as raw, _named(file):
        stream = (_Seekable if file.seekable else _Bounded)(raw, start)
        archive = tarfile.TarFile(
            fileobj=stream,  # type: ignore[arg-type]
            encoding="utf-8",
            errors="replace",
        )
        info = archive.firstmember  # type: ignore[attr-defined]
        while True:
            if info is None:
                info = _next(archive, stream)
            if info is None or (stop and info.offset >= stop):
                return
            place = _place(info.name)
            if place and not info.isdir():
                yield _Member(*place, info.offset, *_content(stream, info, contents))
            info = None


def _next(archive: tarfile.TarFile, stream: _Bounded) -> tarfile.TarInfo | None:
    """The next header; None at the blocks of zeros that end an archive."""
    archive.members.clear()  # type: ignore[attr-defined] # or every member is kept
    stream.seek(archive.offset)
    try:
        return tarfile.TarInfo.fromtarfile(archive)
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        return None
    except tarfile.HeaderError as error:
        raise tarfile.ReadError(f"byte {archive.offset:,}: {error}") from error


def _content(stream: _Bounded, info: tarfile.TarInfo, wanted: bool) -> tuple[bytes, str]:  # noqa: FBT001
    """A member's bytes, and what is wrong with it."""
    if not info.isreg() or info.issparse():
        return b"", f"member {info.name} is a link, a device or sparse"
    if info.size > decoding.MAX_BYTES:
        return b"", f"member {info.name} has {info.size:,} bytes, at most {decoding.MAX_BYTES:,}"
    if not wanted:
        return b"", ""
    stream.seek(info.offset_data)
    data = stream.read(info.size)
    if len(data) < info.size:
        raise tarfile.ReadError(f"member {info.name} ends early")
    return data, ""


def _place(name: str) -> tuple[str, str] | None:
    """Key and extension of a member; None for the hidden files that systems leave.

    >>> _place("./a/007.seg.PNG")
    ('a/007', 'seg.png')
    """
    parts = [p for p in name.split("/") if p not in ("", ".")]
    if not parts or parts[-1].startswith(".") or parts[0] == "__MACOSX":
        return None
    stem, _, extension = parts[-1].partition(".")
    return "/".join([*parts[:-1], stem]), extension.lower()


@contextlib.contextmanager
def _named(file: shards.File) -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        raise errors.SchemaError(
            "the archive is damaged or ends early",
            where=file.path,
            why=str(error),
            remedy="write or download it again",
        ) from error


def read(span: shards.Span, named: dict[str, str]) -> Iterator[tuple[shards.Shard, blocks.Parsed]]:
    """The rows of a span, in batches of at most `BATCH_ROWS` and about `BATCH_BYTES`."""
    first, last = span.shards[0], span.shards[-1]
    start, row = (first.start, first.row) if first.file.seekable else (0, 0)
    pending: list[tuple[int, Sample]] = []
    wanted = list(span.shards)
    size = 0
    for i, sample in enumerate(samples(first.file, start, last.stop), row):
        if pending and (
            not wanted[0].row <= i < wanted[0].row + wanted[0].rows or _full(pending, size)
        ):
            yield wanted[0], _parsed(pending, named)
            pending, size = [], 0
        while wanted and i >= wanted[0].row + wanted[0].rows:
            wanted.pop(0)
        if not wanted:
            return
        if i >= wanted[0].row:
            pending.append((i, sample))
            size += sum(map(len, sample.parts.values()))
    if pending:
        yield wanted[0], _parsed(pending, named)


def _full(pending: list[tuple[int, Sample]], size: int) -> bool:
    return len(pending) >= shards.BATCH_ROWS or size >= shards.BATCH_BYTES


def _parsed(found: list[tuple[int, Sample]], named: dict[str, str]) -> blocks.Parsed:
    rows, cells, bad = [], {k: [] for k in named}, []  # type: ignore[var-annotated]
    raw: list[bytes] = []
    for row, sample in found:
        values = cells_of(sample, named)
        if isinstance(values, tuple):
            bad.append(blocks.Bad(row, *values, sample.key.encode()))
            continue
        rows.append(row)
        raw.append(sample.key.encode())
        for k, value in values.items():
            cells[k].append(value)
    arrays = {k: pa.array(v, blocks.KINDS[k]) for k, v in cells.items()}
    return blocks.Parsed(np.array(rows, np.int64), arrays, bad, raw.__getitem__)


def cells_of(sample: Sample, named: dict[str, str]) -> dict[str, object] | tuple[str, str]:
    """A sample's wanted values by canonical name, or the reason and the error of a bad one."""
    if sample.problem:
        return "malformed", sample.problem
    inside = {k: n.removeprefix(f"{JSON}.") for k, n in named.items() if n.startswith(f"{JSON}.")}
    found: dict[str, object] = {}
    if inside:
        values = jsonl.values(sample.parts.get(JSON, b"{}"), inside)
        if isinstance(values, tuple):
            return values
        found |= values
    for k, name in named.items():
        if k in inside:
            continue
        data = sample.key.encode() if name == KEY else part(sample, name)
        problem = utf8.problem(data) if data is not None and k != names_.IMAGE else ""
        if problem:
            return "invalid_utf8", f"{name}: {problem}"
        is_name = data is not None and k not in (names_.IMAGE, names_.TEXT)
        found[k] = data.strip() if is_name else data  # type: ignore[union-attr]
    return found


def part(sample: Sample, name: str) -> bytes | None:
    """The member that a column's name means, if there is one."""
    if name == IMAGE:
        ends = (e for e in sample.parts if e.rpartition(".")[2] in decoding.EXTENSIONS)
        return sample.parts.get(next(ends, ""))
    return next((sample.parts[n] for n in name.split(";") if n in sample.parts), None)


def column_names(sample: Sample) -> list[str]:
    """The columns a sample has."""
    images = [IMAGE] if part(sample, IMAGE) is not None else []
    fields = [f"{JSON}.{k}" for k in jsonl.keys(sample.parts.get(JSON, b""))]
    return [KEY, *images, *sample.parts, *fields]
