"""What the config says of a source, and the files it stands for."""

import dataclasses

from tamis import errors, finding, storage
from tamis.schemas import shards
from tamis.sources import folders

FORMATS: dict[str, shards.Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".tar": "webdataset",
    ".tgz": "webdataset",
}
COMPRESSIONS: dict[str, shards.Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_TABBED = (".tsv", ".tab")
_TGZ = ".tgz"


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A source as declared.

    Attributes:
      name: Name of the source.
      role: `supply` or `target`.
      paths: Files, folders (all known files in them, at any depth) and glob patterns; of format
        `images`, folders that are each one file of rows.
      columns: Which column holds what.
      format: How rows are written; by the file's extension if None.
      delimiter: Between cells of a csv file; a tab for .tsv and a comma for others if None.
      quote: Around cells of a csv file, "" for none; none for .tsv and `"` for others if None.
      header: Names of a csv file's columns when its first line does not give them.
      vectors: Path or pattern of `.npy` files, one per file of the source in sorted order.
    """

    name: str
    role: shards.Role
    paths: tuple[str, ...]
    columns: shards.Columns
    format: shards.Format | None = None
    delimiter: str | None = None
    quote: str | None = None
    header: tuple[str, ...] = ()
    vectors: str = ""


def expand(source: Source) -> list[shards.File]:
    """The files of a source, sorted by path, each once.

    Raises:
      SchemaError: a pattern matches nothing, an extension is unknown, or there are not as many
        files of vectors as files of rows.
    """
    _check_dialect(source)
    paths = sorted({path for pattern in source.paths for path in _matches(source, pattern)})
    vectors = _vectors(source, paths)
    return [_file(source, path, v) for path, v in zip(paths, vectors, strict=True)]


def _check_dialect(source: Source) -> None:
    for name, value in (("delimiter", source.delimiter), ("quote", source.quote)):
        if value is not None and len(value.encode()) > 1:
            raise errors.SchemaError(
                f"{name} {value!r} is not one ASCII character", where=f"source {source.name!r}"
            )
    if source.delimiter == "":
        raise errors.SchemaError("delimiter is empty", where=f"source {source.name!r}")
    if source.vectors and source.columns.embedding:
        raise errors.SchemaError(
            "both vectors and an embedding column are declared",
            where=f"source {source.name!r}",
            remedy="keep one of them",
        )


def _matches(source: Source, pattern: str) -> list[str]:
    if source.format == "images":
        return [_images(pattern)]
    if storage.is_folder(pattern):
        known = [p for p in finding.tree(pattern) if _format(source, p)]
        if known:
            return known
        raise errors.SchemaError(
            "no file of a known kind in this folder", where=pattern, remedy=f"known are {_known()}"
        )
    return finding.glob(pattern) or _no_match(source, pattern)


def _images(path: str) -> str:
    if not storage.is_folder(path):
        raise errors.SchemaError(
            "format: images is of a folder, and this is none",
            where=path,
            remedy="name the folder; archives and Parquet files need no format",
        )
    return path.rstrip("/")


def _no_match(source: Source, pattern: str) -> list[str]:
    near = finding.nearest(pattern)
    raise errors.SchemaError(
        "no file matches",
        where=pattern,
        why=f"source {source.name!r}",
        remedy=f"the nearest there: {', '.join(near)}"
        if near
        else "the folder is missing or empty",
    )


def _vectors(source: Source, paths: list[str]) -> list[str]:
    if not source.vectors:
        return [""] * len(paths)
    pattern, mark, arrays = source.vectors.partition("#")
    found = [path + mark + arrays for path in finding.glob(pattern)]
    if len(found) != len(paths):
        raise errors.SchemaError(
            f"{len(found)} files of vectors for {len(paths)} files of rows",
            where=source.vectors,
            why=f"source {source.name!r}",
            remedy="give one .npy or .npz per file; both are taken in sorted order",
        )
    return found


def _file(source: Source, path: str, vectors: str) -> shards.File:
    extension, compression = _extensions(path)
    form = _format(source, path)
    if not form:
        raise errors.SchemaError(
            f"unknown extension {extension!r}",
            where=path,
            why=f"source {source.name!r}",
            remedy=f"set its format, or use {_known()}",
        )
    tabbed = extension in _TABBED
    return shards.File(
        source=source.name,
        role=source.role,
        path=path,
        format=form,
        columns=source.columns,
        compression="none" if form in ("parquet", "images") else compression,
        size=folders.listing(path).size if form == "images" else storage.size(path),
        delimiter=("\t" if tabbed else ",") if source.delimiter is None else source.delimiter,
        quote=("" if tabbed else '"') if source.quote is None else source.quote,
        header=source.header,
        vectors=vectors,
    )


def _format(source: Source, path: str) -> shards.Format | None:
    return source.format or FORMATS.get(_extensions(path)[0])


def _extensions(path: str) -> tuple[str, shards.Compression]:
    """The extension that tells the format, and the compression around it.

    >>> _extensions("a/b.JSONL.gz")
    ('.jsonl', 'gzip')
    """
    stem, last = _split(path.rpartition("/")[2].lower())
    if last in COMPRESSIONS:
        return _split(stem)[1], COMPRESSIONS[last]
    if last == _TGZ:
        return last, "gzip"
    return last, "none"


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if stem else (name, "")


def _known() -> str:
    return f"{' '.join(FORMATS)}, with {' '.join(COMPRESSIONS)} after those of lines and .tar"
