"""One shard as a reader sees it: any mix of input columns and sidecar columns, row for row."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis import errors, sidecars, sources, storage
from tamis.schemas import (
    clusters,
    columns,
    duplicates,
    embeddings,
    index,
    scores,
    shards,
    tiers,
)

_HOME = {
    **dict.fromkeys(index.SCHEMA.names, index.FOLDER),
    embeddings.EMBEDDING: embeddings.FOLDER,
    **embeddings.PAIR,
    **dict.fromkeys(clusters.SCHEMA.names, clusters.FOLDER),
    **dict.fromkeys(duplicates.SCHEMA.names, duplicates.FOLDER),
    **dict.fromkeys(tiers.SCHEMA.names, tiers.FOLDER),
}
# Row groups to a batch without vectors: few numbers a row, where a read costs more than its bytes.
_GROUPS = 8
_ROW_BITS = 40  # of a place: a trillion rows in each of eight million files
# What a reader may ask for, beside `score:<name>`.
_CONTENT = (columns.TEXT, columns.IMAGE)  # read from the input itself
COLUMNS = (*_CONTENT, columns.SOURCE, *_HOME)


def has(column: str) -> bool:
    """Whether readers of a run can ask for a column."""
    return column.startswith("score:") or column in COLUMNS


@dataclasses.dataclass(frozen=True)
class View:
    """A run folder, as of the stages committed so far.

    Attributes:
      root: The run folder.
      made: Folder and the digest its sidecars were made from, for every committed stage.
      max_text_bytes: What ingest accepted.
      dimension: Of precomputed vectors, 0 where there are none.
      adopted: By folder, the digest of every shard whose sidecar was taken over from another run.
    """

    root: str
    made: tuple[tuple[str, str], ...]
    max_text_bytes: int = sources.MAX_TEXT_BYTES
    dimension: int = 0
    adopted: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def having(self, folder: str, inputs: str) -> "View":
        """The same, with a folder that its stage has written and not yet committed."""
        return dataclasses.replace(self, made=(*self.made, (folder, inputs)))

    def stamp(self, folder: str, shard: str) -> sidecars.Stamp:
        """What the sidecar of `shard` in `folder` must have been made from."""
        aligned = _index_of(self.root, shard, storage.identity(self._index(shard)))
        return sidecars.Stamp(aligned, self._inputs(folder, shard))

    def _index(self, shard: str) -> str:
        return sidecars.url(self.root, index.FOLDER, shard)

    def commit(
        self,
        folder: str,
        shard: str,
        table: pa.Table,
        inputs: str,
        facts: dict[str, str] | None = None,
    ) -> None:
        """Write a sidecar aligned with the index.

        Raises:
          ArtifactError: it has another number of rows.
        """
        footer = sidecars.footer(self.root, index.FOLDER, shard)
        if table.num_rows != int(footer["rows"]):
            raise errors.ArtifactError(
                f"{table.num_rows} rows for an index of {footer['rows']}",
                where=sidecars.url(self.root, folder, shard),
                remedy="please file an issue: a stage lost or made up rows",
            )
        stamp = sidecars.Stamp(self.stamp(index.FOLDER, shard).index, inputs)
        sidecars.commit(self.root, folder, shard, table, stamp, facts)

    def rows(self, shard: str) -> int:
        """Accepted rows of a shard."""
        return int(sidecars.footer(self.root, index.FOLDER, shard)["rows"])

    def table(self, shard: str, folder: str, names: list[str] | None = None) -> pa.Table:
        """Columns of one sidecar, checked against its stamp."""
        return sidecars.read(self.root, folder, shard, names, self.stamp(folder, shard))

    def batches(
        self, span: shards.Span, reads: tuple[str, ...]
    ) -> Iterator[tuple[shards.Shard, pa.RecordBatch]]:
        """The accepted rows of `span` in order, in batches of at most `BATCH_ROWS`.

        Args:
          span: Shards of one file.
          reads: Columns: `text` and `image` from the input itself; `source`; `score:<name>`; else
            the column of the sidecar that has it.
        """
        if any(c in reads for c in _CONTENT):
            yield from self._with_content(span, reads)
            return
        for shard in span.shards:
            yield from ((shard, b) for b in self._aligned(shard, reads) if b.num_rows)

    def _inputs(self, folder: str, shard: str) -> str:
        made = dict(self.made)
        if folder not in made:
            raise errors.ArtifactError(
                f"nothing has written '{folder}' yet",
                where=self.root,
                remedy="run the stage that does, or `tamis run`",
            )
        return self.adopted.get(folder, {}).get(shard, made[folder])

    def _aligned(self, shard: shards.Shard, reads: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        wanted = _by_folder(reads) or {index.FOLDER: {index.ROW: index.ROW}}
        streams = [
            sidecars.batches(
                self.root,
                folder,
                shard.name,
                sorted(set(n.values())),
                self.stamp(folder, shard.name),
                groups=1 if embeddings.EMBEDDING in reads else _GROUPS,
            )
            for folder, n in wanted.items()
        ]
        for parts in zip(*streams, strict=True):
            found = {
                name: part.column(stored)
                for part, names in zip(parts, wanted.values(), strict=True)
                for name, stored in names.items()
            }
            if columns.PLACE in found:
                found[columns.PLACE] = _place(shard, found[columns.PLACE])
            yield _batch(found, reads, shard, parts[0].num_rows)

    def _with_content(
        self, span: shards.Span, reads: tuple[str, ...]
    ) -> Iterator[tuple[shards.Shard, pa.RecordBatch]]:
        content = tuple(c for c in _CONTENT if c in reads)
        sidecar_reads = (*dict.fromkeys([*(r for r in reads if r not in content), *_KEYS]),)
        current, held, known = "", pa.table({}), np.zeros(0, np.int64)
        for block in sources.read(
            span, _with_names(span, content), max_text_bytes=self.max_text_bytes
        ):
            if block.shard.name != current:
                current = block.shard.name
                held = _table(self._aligned(block.shard, sidecar_reads))
                known = held.column(index.ROW).to_numpy() if held.num_rows else known[:0]
            if not held.num_rows:
                continue  # no row of the shard is good
            rows = block.batch.column(columns.ROW).to_numpy()
            accepted = np.isin(rows, known)
            if not accepted.any():
                continue
            kept = block.batch.filter(pa.array(accepted))
            start = int(np.searchsorted(known, rows[accepted][0]))
            part = held.slice(start, kept.num_rows).combine_chunks()
            _same(block.shard, kept, part)
            found = {name: _whole(part.column(name)) for name in sidecar_reads}
            found |= {name: kept.column(name) for name in content}
            yield block.shard, _batch(found, reads, block.shard, kept.num_rows)


@functools.lru_cache(1 << 16)
def _index_of(root: str, shard: str, identity: tuple[int, ...]) -> str:
    """Digest of the uids of an index shard, read once for as long as the file is the same."""
    del identity  # part of the key
    return sidecars.stamp_of(root, index.FOLDER, shard).index


_KEYS = (index.UID, index.ROW, index.CONTENT)


def _table(batches: Iterator[pa.RecordBatch]) -> pa.Table:
    found = list(batches)
    return pa.Table.from_batches(found) if found else pa.table({})


def _with_names(span: shards.Span, content: tuple[str, ...]) -> tuple[str, ...]:
    """The input columns that are wanted and that name the row."""
    return tuple(dict.fromkeys([*content, *sources.naming(span.shards[0].file)]))


def _same(shard: shards.Shard, read: pa.RecordBatch, indexed: pa.Table) -> None:
    """Raise unless the rows read are those the index names, with the contents it saw."""
    named = sources.uids(shard.file, read)
    if len(named) != indexed.num_rows:
        raise _changed(f"{shard.file.path}:{shard.row}-{shard.row + shard.rows - 1}")
    seen = sources.contents(shard.file, read, named)
    other = pc.or_(
        pc.not_equal(named, _whole(indexed.column(index.UID))),
        pc.not_equal(seen, _whole(indexed.column(index.CONTENT))),
    )
    if pc.any(other).as_py():
        at = read.column(columns.ROW)[pc.index(other, value=True).as_py()].as_py()
        raise _changed(f"{shard.file.path}:{at}")


def _changed(where: str) -> errors.ArtifactError:
    return errors.ArtifactError(
        "the input has changed since it was ingested",
        where=where,
        why="what stands there is not what the index names",
        remedy="restore the file, or start a new run folder",
    )


def _by_folder(reads: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Folder to {name asked for: column stored}."""
    wanted: dict[str, dict[str, str]] = {}
    for name in reads:
        if name == columns.SOURCE:
            continue
        if name == columns.PLACE:
            wanted.setdefault(index.FOLDER, {})[name] = index.ROW
            continue
        kind, _, scorer = name.partition(":")
        folder, stored = (scores.folder(scorer), scores.SCORE) if scorer else (_HOME[kind], name)
        wanted.setdefault(folder, {})[name] = stored
    return wanted


def _place(shard: shards.Shard, rows: pa.Array) -> pa.Array:
    return pa.array((shard.number << _ROW_BITS) | rows.to_numpy())


def _batch(
    found: dict[str, pa.Array], reads: tuple[str, ...], shard: shards.Shard, rows: int
) -> pa.RecordBatch:
    if columns.SOURCE in reads:
        found = {**found, columns.SOURCE: pa.repeat(pa.scalar(shard.source, pa.string()), rows)}
    return pa.RecordBatch.from_arrays([found[name] for name in reads], list(reads))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A chunked column as one array."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
