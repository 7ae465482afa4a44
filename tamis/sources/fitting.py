"""Whether a file has the columns its source declares, found before anything runs."""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from tamis import errors
from tamis.schemas import columns as names
from tamis.schemas import shards
from tamis.sources import (
    blocks,
    folders,
    jsonl,
    lines,
    parquet,
    records,
    streams,
    tars,
    vectors,
)

PEEK_ROWS = 1000
PEEK_SAMPLES = 100
_PEEK_BYTES = 256 << 10


def named(file: shards.File, want: Iterable[str]) -> dict[str, str]:
    """Canonical to the file's column name of the wanted columns that the file itself holds.

    Raises:
      SchemaError: the source declares no such column.
    """
    declared = file.columns.named()
    found = {k: declared[k] for k in want if k in declared}
    for k in want:
        if k not in declared and not (k == names.EMBEDDING and file.vectors):
            raise errors.SchemaError(
                f"source {file.source!r} declares no {k} column",
                where=file.path,
                remedy=f"name it under columns: {k}: ...",
            )
    return found


def check(file: shards.File) -> None:
    """Look at a file's columns and types without reading it.

    Raises:
      SchemaError: the file is empty or damaged, or a declared column is missing or holds something
        else. A column of JSON lines is missing if the first 1,000 rows have none.
    """
    if file.format != "images":
        streams.sniff(file)
    if file.vectors:
        vectors.layout(file.vectors)
    _CHECKS[file.format](file)


def column_names(file: shards.File) -> tuple[str, ...]:
    """The file's own column names; of JSON lines, those of the first rows, of tars too."""
    if file.format == "parquet":
        return tuple(parquet.schema(file).names)
    if file.format == "csv":
        return lines.header(file)
    if file.format == "images":
        return tuple(folders.column_names(file.path))
    if file.format == "webdataset":
        first = itertools.islice(tars.samples(file), PEEK_SAMPLES)
        return tuple(dict.fromkeys(name for sample in first for name in tars.column_names(sample)))
    return tuple(
        dict.fromkeys(key for record in _first_records(file) for key in jsonl.keys(record))
    )


def dimension(file: shards.File) -> int:
    """Length of a file's embeddings.

    The fixed size of a Parquet column or an `.npy` array, else the length of the first embedding
    of the file that is finite and not all zeros, or the first with any length if none is. A source
    of several files has one dimension: take that of its first file.

    Returns:
      0 if no row has an embedding.
    """
    if file.vectors:
        return vectors.layout(file.vectors).dimension
    if file.format == "parquet":
        kind = parquet.schema(file).field(file.columns.embedding).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
    fallback = 0
    for column in _embeddings(file):
        for row in column.drop_null():
            x = row.values.to_numpy(zero_copy_only=False)
            if len(x) and np.isfinite(x).all() and x.any():
                return len(x)
            fallback = fallback or len(x)
    return fallback


def _embeddings(file: shards.File) -> Iterator[pa.Array]:
    """The embedding column of a file, batch by batch, as parsed."""
    want = named(file, (names.EMBEDDING,))
    parsed: Iterator[blocks.Parsed]
    if file.format == "parquet":
        everything = shards.Shard("", file, 0, parquet.rows(file))
        parsed = (rows for _, rows in parquet.read((everything,), want))
    else:
        parsed = (jsonl.parse(part, want) for part in _parts(file))
    return (p.columns[names.EMBEDDING] for p in parsed)


def _parts(file: shards.File) -> Iterator[records.Lines]:
    for found in lines.stream(file, _PEEK_BYTES):
        if not found.length:
            yield found


def _check_parquet(file: shards.File) -> None:
    schema = parquet.schema(file)
    _check_present(file, schema.names)
    for k, name in file.columns.named().items():
        kind = schema.field(name).type
        if not parquet.fits(k, kind):
            raise _wrong_type(file, k, name, str(kind))


def _check_csv(file: shards.File) -> None:
    _check_holds(file, "a csv file", embedding=False, image=False)
    header = lines.header(file)
    _check_present(file, header)
    for name in file.columns.named().values():
        if header.count(name) > 1:
            raise errors.SchemaError(f"two columns are named {name!r}", where=file.path)


def _check_images(file: shards.File) -> None:
    _check_holds(file, "a folder of images", embedding=False)
    _check_image_column(file, folders.IMAGE)
    _check_present(file, column_names(file))


def _check_tar(file: shards.File) -> None:
    _check_holds(file, "an archive", embedding=False)
    have = column_names(file)
    for name in file.columns.named().values():
        _check_one(file, name, have, any(part in have for part in name.split(";")))


def _check_holds(
    file: shards.File, what: str, *, embedding: bool = True, image: bool = True
) -> None:
    """Raise where a source declares columns that its format cannot hold."""
    columns = file.columns
    if columns.embedding and not embedding:
        raise errors.SchemaError(
            f"column {columns.embedding!r}: {what} cannot hold embeddings",
            where=file.path,
            remedy="give them as vectors: FILE.npy, or write Parquet or JSON lines",
        )
    if columns.image and not image:
        raise errors.SchemaError(
            f"column {columns.image!r}: {what} cannot hold images",
            where=file.path,
            remedy="write Parquet, a folder (format: images) or WebDataset tars",
        )


def _check_image_column(file: shards.File, name: str) -> None:
    if file.columns.image not in ("", name):
        raise errors.SchemaError(
            f"image is {file.columns.image!r}, but in a folder it is called {name!r}",
            where=file.path,
            remedy=f"image: {name}",
        )


def _check_jsonl(file: shards.File) -> None:
    _check_holds(file, "JSON lines", image=False)
    declared = file.columns.named()
    seen: dict[str, None] = {}
    fit: set[str] = set()
    wrong: dict[str, str] = {}
    for i, record in enumerate(_first_records(file)):
        if i == 0 and record.lstrip().startswith(b"["):
            raise _array(file)
        seen |= dict.fromkeys(jsonl.keys(record))
        for k, name in declared.items():
            value = jsonl.values(record, {k: name})
            if isinstance(value, dict) and value[k] is not None:
                fit.add(k)
            elif isinstance(value, tuple) and value[0] == "wrong_type":
                wrong.setdefault(k, value[1].partition(" holds ")[2])
    if seen:  # else there is not one object, which is for the rows to say
        _check_present(file, tuple(seen))
    for k in wrong.keys() - fit:
        raise _wrong_type(file, k, declared[k], wrong[k])


def _first_records(file: shards.File) -> Iterator[bytes]:
    found = (part.record(i) for part in _parts(file) for i in range(len(part)))
    return itertools.islice(found, PEEK_ROWS)


def _array(file: shards.File) -> errors.SchemaError:
    return errors.SchemaError(
        "holds a JSON array, not one object per line",
        where=file.path,
        remedy="jq -c '.[]' IN.json > OUT.jsonl",
    )


def _check_present(file: shards.File, have: Iterable[str]) -> None:
    have = list(have)
    for name in file.columns.named().values():
        _check_one(file, name, have, name in have)


def _check_one(file: shards.File, name: str, have: Sequence[str], found: bool) -> None:  # noqa: FBT001
    if found:
        return
    near = difflib.get_close_matches(name, have, 1, 0.4)
    raise errors.SchemaError(
        f"column {name!r} not found",
        where=file.path,
        why=f"columns: {', '.join(have[:30])}",
        remedy=f"did you mean {near[0]!r}?" if near else "name one of them under columns:",
    )


def _wrong_type(file: shards.File, k: str, name: str, found: str) -> errors.SchemaError:
    return errors.SchemaError(
        f"column {name!r} is {found}, {k} must be {parquet.EXPECTED[k]}",
        where=file.path,
        remedy=f"name another column as {k}, or convert this one",
    )


_CHECKS = {
    "parquet": _check_parquet,
    "csv": _check_csv,
    "jsonl": _check_jsonl,
    "images": _check_images,
    "webdataset": _check_tar,
}
