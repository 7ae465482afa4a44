"""Ingest: read every input once, name its good rows and set its bad ones aside."""

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tamis import errors, isolation, progress, removed, sidecars, sources
from tamis.pipelines import engine, frozen, retract, session
from tamis.schemas import columns, config, index, intake, rejected, shards

VERSION = 3
ORIGIN = "tamis.origin"
REJECTED = "tamis.rejected"
MENDED = "mended"  # in the ledger: path to the sizes of a file before and after it was mended
FOLDERS = (rejected.FOLDER, index.FOLDER)


def ingest(run: session.Session) -> None:
    """Cut the inputs into shards and write the index, one row per accepted row.

    Raises:
      SchemaError: a file is missing, damaged or without a declared column.
      RejectedError: more rows were rejected than `ingest.max_rejected_fraction`.
    """
    found = numbered(run)
    mended = run.ledger["stages"].get("ingest", {}).get(MENDED, {})
    inputs = digest(run, found, mended)
    if run.committed("ingest", inputs, FOLDERS, cheap=False) and run.has_shards():
        shown, dimension = run.cut(), run.entry("ingest")["dimension"]
    else:
        shown, dimension = divide(run, found)
        run.save_shards(shown)
    read(run, inputs, shown, dimension, mended)
    _allow(run)


def digest(
    run: session.Session, found: list[tuple[int, shards.File]], mended: dict[str, list[int]]
) -> str:
    """What the index is made from. A file that `retry` read again counts as it first was."""
    first = [dataclasses.replace(f, size=_first_size(f, mended)) for _, f in found]
    part = {**_shaping(run), "files": [dataclasses.asdict(f) for f in first], **retract.kept(run)}
    if run.earlier:
        part["numbers"] = [number for number, _ in found]
    return run.digest("ingest", VERSION, part)


def _shaping(run: session.Session) -> dict[str, object]:
    """What an index depends on, beside its files."""
    section = run.config.ingest.model_dump(exclude={"max_rejected_fraction", "duplicates"})
    return {"ingest": section, "vectors": _reads_vectors(run.config)}


def _first_size(file: shards.File, mended: dict[str, list[int]]) -> int:
    before, after = mended.get(file.path, (file.size, file.size))
    return before if file.size == after else file.size


def divide(
    run: session.Session, found: list[tuple[int, shards.File]]
) -> tuple[list[shards.Shard], int]:
    """The files as shards, and the dimension of precomputed vectors.

    Raises:
      SchemaError: a file is missing, damaged, empty or without a declared column.
    """
    files = [file for _, file in found]
    for file in files:
        sources.check(file)
    dimension = _dimension(files) if _reads_vectors(run.config) else 0
    shown = [s for i, f in found for s in _shards(run, i, f)]
    _refuse_empty(files, shown)
    return shown, dimension


def read(
    run: session.Session,
    inputs: str,
    shown: list[shards.Shard],
    dimension: int,
    mended: dict[str, list[int]],
) -> None:
    """Write the index of the shards that have none yet."""
    write = Write(run.root, inputs, dimension, run.config.ingest, run.removed)
    written = frozen.modified(dict.fromkeys(s.file for s in shown))
    kept = {MENDED: mended} if mended else {}
    run.per_shard(
        "ingest",
        inputs,
        FOLDERS,
        lambda spans: spans | "ingest" >> beam.ParDo(write),
        shown,
        lambda outcome: {
            "dimension": dimension,
            "modified": written,
            **kept,
            **_count(run, shown, outcome),
            **retract.facts(run, shown, inputs),
        },
        recipe=lambda: run.recipe("ingest", VERSION, [_shaping(run), dimension]),
    )


def files(document: config.Run) -> list[shards.File]:
    """Every input file, in the order of the sources, the target last.

    Raises:
      SchemaError: a pattern matches nothing.
    """
    named = [declared(name, "supply", source) for name, source in document.sources.items()]
    if document.target is not None:
        named.append(declared("target", "target", document.target))
    return [file for source in named for file in sources.expand(source)]


def numbered(run: session.Session) -> list[tuple[int, shards.File]]:
    """Every input file with the number that names its shards.

    Raises:
      SchemaError: as `files`, or a file of the frozen run has changed.
    """
    found = files(run.config)
    if not run.earlier:
        return list(enumerate(found))
    return run.earlier.numbered(found, run.config.removed.sources)


def cut(found: list[shards.File], rows: int) -> list[shards.Shard]:
    """Files to shards of at most `rows`, in order."""
    return [s for i, file in enumerate(found) for s in sources.shards(file, i, rows)]


def declared(name: str, role: shards.Role, source: intake.Source) -> sources.Source:
    """A source of the run file as `sources` knows it."""
    return sources.Source(
        name=name,
        role=role,
        paths=(source.path,) if isinstance(source.path, str) else tuple(source.path),
        columns=source.columns(),
        format=source.format,
        delimiter=source.delimiter,
        quote=source.quote,
        header=tuple(source.header),
        vectors=source.vectors,
    )


def _reads_vectors(document: config.Run) -> bool:
    return document.embed.backend == "precomputed"


def _shards(run: session.Session, number: int, file: shards.File) -> list[shards.Shard]:
    """A file as it was cut before, where it is the same, or cut anew: then a line file is read."""
    rows = run.config.ingest.shard_rows
    known = run.earlier.cut(file, rows) if run.earlier and run.adopt else []
    return known or sources.shards(file, number, rows)


def _refuse_empty(found: list[shards.File], cut: list[shards.Shard]) -> None:
    """Raise for a file without a row: it is a mistake more often than a choice."""
    filled = {shard.file.path for shard in cut}
    for file in found:
        if file.path not in filled:
            raise errors.SchemaError(
                "the file holds no rows",
                where=file.path,
                why=f"source '{file.source}'",
                remedy="take it out of the source's path, or fill it",
            )


def _dimension(found: list[shards.File]) -> int:
    """The one dimension of all precomputed vectors."""
    first, *others = [(file.path, sources.dimension(file)) for file in found]
    for path, d in others:
        if d != first[1]:
            raise errors.SchemaError(
                f"vectors of dimension {d}, but {first[1]} in {first[0]}",
                where=path,
                why="all sources and the target must come from one model",
                remedy="embed them with one model, or leave the embedding to tamis",
            )
    return first[1]


class Write(beam.DoFn):
    """Span to the index and rejected sidecars of its shards."""

    def __init__(
        self, root: str, inputs: str, dimension: int, section: intake.Ingest, listed: str
    ) -> None:
        self._root, self._inputs, self._list = root, inputs, listed
        self._dimension, self._section = dimension, section

    def setup(self) -> None:
        with engine.carried():
            self._removed = removed.sortable(self._list)

    def process(self, span: shards.Span) -> Iterable[str]:
        with engine.carried():
            read = blocks(span, self._dimension, self._section)
            grouped = itertools.groupby(read, key=lambda block: block.shard)
            done = set()
            for shard, group in grouped:
                listed = among(shard.file, self._removed)
                self._commit(shard, list(named(shard.file, group, listed)))
                done.add(shard.name)
                yield shard.name
            for shard in span.shards:  # a shard of blank lines yields no block
                if shard.name not in done:
                    self._commit(shard, [])

    def _commit(
        self,
        shard: shards.Shard,
        parts: list[tuple[pa.RecordBatch, pa.RecordBatch]],
    ) -> None:
        table = pa.Table.from_batches([i for i, _ in parts], index.SCHEMA)
        bad = pa.Table.from_batches([r for _, r in parts], rejected.SCHEMA)
        _balance(shard, table.num_rows, bad.num_rows)
        stamp = sidecars.Stamp(sidecars.uid_digest(table), self._inputs)
        if bad.num_rows:
            sidecars.commit(self._root, rejected.FOLDER, shard.name, bad, stamp)
        reasons = {v["values"]: v["counts"] for v in bad["reason"].value_counts().to_pylist()}
        facts = {
            ORIGIN: json.dumps(_origin(shard)),
            REJECTED: json.dumps(reasons, sort_keys=True),
        }
        sidecars.commit(self._root, index.FOLDER, shard.name, table, stamp, facts)


def among(file: shards.File, listed: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """The removed uids, of which the target knows nothing: it is not trained on."""
    return listed if file.role == "supply" else listed[:0]


def blocks(span: shards.Span, dimension: int, section: intake.Ingest) -> Iterator[sources.Block]:
    """A span's rows with every declared column, and vectors that are given."""
    own = tuple(n for n in span.shards[0].file.columns.named() if n != columns.EMBEDDING)
    return sources.read(
        span,
        (*own, *((columns.EMBEDDING,) if dimension else ())),
        dimension=dimension,
        max_text_bytes=section.max_text_bytes,
        images=isolation.Limits(section.max_pixels, section.image_seconds),
    )


def named(
    file: shards.File, blocks: Iterable[sources.Block], listed: NDArray[np.bytes_]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Blocks to (index rows, rejected rows); rows on the list of removed uids are rejected."""
    for block in blocks:
        batch = block.batch
        has_label = columns.LABEL in batch.schema.names
        label = batch.column(columns.LABEL) if has_label else pa.nulls(batch.num_rows, pa.string())
        named = sources.uids(file, batch)
        arrays = [
            named,
            batch.column(columns.ROW),
            _units(batch),
            sources.contents(file, batch, named),
            label.cast(pa.string()),
        ]
        rows = pa.RecordBatch.from_arrays(arrays, schema=index.SCHEMA)
        gone = removed.among(named, listed)
        if not gone.any():
            yield rows, block.rejected
            continue
        aside = retract.aside(file, block.rejected, rows.filter(pa.array(gone)))
        yield rows.filter(pa.array(~gone)), aside


def _units(batch: pa.RecordBatch) -> pa.Array:
    """Words of the text; 1 for a row without text."""
    if columns.TEXT not in batch.schema.names:
        return pa.array(np.ones(batch.num_rows, np.int32))
    return pc.count_substring_regex(batch.column(columns.TEXT), r"\S+").cast(pa.int32())


def _origin(shard: shards.Shard) -> dict[str, str | int]:
    file = shard.file
    return {
        "path": file.path,
        "source": file.source,
        "role": file.role,
        "size": file.size,
        "row": shard.row,
        "rows": shard.rows,
    }


def _balance(shard: shards.Shard, accepted: int, bad: int) -> None:
    """Every row of the shard is in exactly one of the two."""
    if accepted + bad != shard.rows:
        raise errors.ArtifactError(
            f"rows do not balance: {accepted} accepted + {bad} rejected of {shard.rows}",
            where=f"{shard.file.path}:{shard.row}",
            why="the file changed while it was read, or a reader lost rows",
            remedy="run again; if it stays, please file an issue with the file",
        )


def _count(run: session.Session, cut: list[shards.Shard], outcome: progress.Outcome) -> dict:
    """Rows and rejects by source, from the footers."""
    by_source: dict[str, dict] = {}
    for shard in cut:
        footer = sidecars.footer(run.root, index.FOLDER, shard.name)
        reasons = json.loads(footer[REJECTED])
        entry = by_source.setdefault(shard.source, {"rows": 0, "accepted": 0, "rejected": {}})
        entry["rows"] += shard.rows
        entry["accepted"] += int(footer["rows"])
        for reason, n in reasons.items():
            entry["rejected"][reason] = entry["rejected"].get(reason, 0) + n
    outcome.rejected = sum(sum(e["rejected"].values()) for e in by_source.values())
    return {"sources": by_source}


def _allow(run: session.Session) -> None:
    """Raise when more rows were rejected than the config allows."""
    by_source = run.entry("ingest")["sources"]
    rows = sum(e["rows"] for e in by_source.values())
    bad = {
        name: sum(n for reason, n in e["rejected"].items() if reason != rejected.REMOVED)
        for name, e in by_source.items()
    }
    limit = run.config.ingest.max_rejected_fraction
    if sum(bad.values()) > limit * rows:
        worst = max(bad, key=lambda name: bad[name])
        reasons = by_source[worst]["rejected"]
        listed = ", ".join(f"{n:,} {reason}" for reason, n in sorted(reasons.items()))
        raise errors.RejectedError(
            f"{sum(bad.values()):,} of {rows:,} rows rejected, more than {limit:.2%}",
            where=run.root,
            why=f"most in source '{worst}': {listed}",
            remedy="look in rejected/, mend the inputs, or raise ingest.max_rejected_fraction",
        )
