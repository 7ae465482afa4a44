"""The samples of a course, read from the inputs, each held against the manifest."""

import functools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tamis import errors, sources
from tamis.loaders import course, manifest, shares, turns
from tamis.schemas import columns, shards
from tamis.schemas import manifest as schema

FEW = ("source", "stratum")  # few values: dictionaries until they are handed over
_ANY_LENGTH = 1 << 62  # what ingest took, whatever its limit was


Prove = Literal["names", "contents", "sizes"]
"""Of rows their uids and contents, or their contents; or of files their sizes alone."""


class Reader:
    """Reads the stages of one manifest.

    Args:
      folder: Of the manifest.
      parts: Of the manifest.
      curriculum: As the stages were made with.
      once: Likewise.
      prove: What is held against the manifest.
    """

    def __init__(
        self,
        folder: str,
        parts: tuple[manifest.Part, ...],
        *,
        curriculum: course.Curriculum | None = None,
        once: bool = False,
        prove: Prove = "contents",
    ) -> None:
        self._folder, self._parts, self._prove = folder, parts, prove
        self._curriculum, self._once = curriculum, once

    def epoch(
        self, stages: tuple[course.Stage, ...], mine: tuple[shares.Runs, ...]
    ) -> Iterator[pa.Table]:
        """The samples at some positions of every stage, as `tables`."""
        for stage, runs in zip(stages, mine, strict=True):
            yield from self.tables(stage, runs)

    def tables(self, stage: course.Stage, runs: shares.Runs) -> Iterator[pa.Table]:
        """The samples at some positions of a stage, in order, at most a window at a time.

        Yields:
          `uid, source, stratum, tier, repeats, weight` and the columns of the sources; source and
          stratum as dictionaries.

        Raises:
          ManifestError: a row of an input is not the one that the manifest lists.

        Memory is a window, and a block of each lane.
        """
        cursors = [_Cursor(self, stage.number, lane) for lane in stage.lanes]
        for start, stop in runs:
            while start < stop:
                window = stage.window(start)
                low, high = (int(b) for b in stage.starts[window : window + 2])
                end = min(high, stop)
                found = [
                    part
                    for cursor, (first, count) in zip(cursors, stage.takes(window), strict=True)
                    for part in cursor.take(first, count)
                ]
                wanted = stage.order(window)[start - low : end - low]
                yield _together(found).take(pa.array(wanted))
                start = end

    def lane(self, number: int, lane: course.Lane, sample: int) -> Iterator[pa.Table]:
        """A lane's samples from one on, block by block."""
        for turn, unit, skip in lane.visits(sample):
            wanted = {}
            for i in unit:
                passed = min(skip, int(lane.counts[i][turn]))
                skip -= passed
                if passed < lane.counts[i][turn]:
                    wanted[self._parts[i].shard] = self._listed(i, number, lane, turn).slice(passed)
            yield from _read(wanted, prove=self._prove)

    def _listed(self, i: int, number: int, lane: course.Lane, turn: int) -> pa.Table:
        """The rows of a part that come in a pass."""
        rows = manifest.rows(self._folder, self._parts[i], few=FEW)
        planned = course.planned(rows, once=self._once)
        asked = rows.cast(schema.SCHEMA) if self._curriculum else rows
        times = np.where(course.numbers(asked, self._curriculum) == number, planned, 0)
        rows = rows.drop_columns(["path"])
        taken = turns.taken(times, lane.turns, turn, lane.phases[i])
        weight = rows["repeats"].to_numpy() if self._once else np.ones(rows.num_rows)
        rows = rows.append_column("weight", pa.array(weight.astype(np.float32)))
        whole = len(taken) == rows.num_rows
        return (rows if whole else rows.take(pa.array(taken))).combine_chunks()


def distinct(folder: str) -> Iterator[pa.Table]:
    """Every row of a manifest once, in input order, block by block, with what its source holds.

    Yields:
      `uid, source, stratum, tier, repeats` and the columns of the source.

    Raises:
      ManifestError: a row of an input is not the one that the manifest lists.
    """
    parts = {part.shard: part for part in manifest.parts(manifest.document(folder))}
    for span in sources.spans(parts):
        listed = {shard: manifest.rows(folder, parts[shard]) for shard in span.shards}
        yield from _read(listed, prove="names")


class _Cursor:
    """Takes a lane's samples in order; jumps where they are not wanted in order."""

    def __init__(self, reader: Reader, number: int, lane: course.Lane) -> None:
        self._open = functools.partial(reader.lane, number, lane)
        self._at = -1
        self._blocks: Iterator[pa.Table] = iter(())
        self._rest: pa.Table | None = None

    def take(self, first: int, count: int) -> Iterator[pa.Table]:
        if count and first != self._at:
            self._blocks, self._rest, self._at = self._open(first), None, first
        while count:
            block = next(self._blocks) if self._rest is None else self._rest
            part = block.slice(0, count)
            self._rest = block.slice(count) if block.num_rows > count else None
            self._at += part.num_rows
            count -= part.num_rows
            yield part


def _together(found: list[pa.Table]) -> pa.Table:
    """One table; a column that a source has not is null in its rows."""
    try:
        return pa.concat_tables(found, promote_options="default")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise errors.SchemaError(
            "the sources' columns do not go together",
            why=str(error).partition("\n")[0],
            remedy="give all sources vectors of one length, or load manifests of each",
        ) from error


def _read(wanted: dict[shards.Shard, pa.Table], *, prove: Prove = "contents") -> Iterator[pa.Table]:
    """Listed rows of shards of one file, with their contents, block by block.

    Raises:
      ManifestError: the file has changed.
    """
    if not wanted:
        return
    span = shards.Span(tuple(wanted))
    file = span.shards[0].file
    named = tuple(file.columns.named())
    extra = (columns.EMBEDDING,) if file.vectors else ()
    want = (*dict.fromkeys((*named, *extra)),)
    size = dimension(file) if columns.EMBEDDING in want else 0
    blocks = sources.read(span, want, dimension=size, max_text_bytes=_ANY_LENGTH)
    left = dict(wanted)
    try:
        for block in blocks:
            rest = left.get(block.shard)
            if rest is None or not rest.num_rows:
                continue
            stop = int(np.searchsorted(rest["row"].to_numpy(), _last(block), "right"))
            if stop:
                yield _joined(file, block.batch, rest.slice(0, stop), prove=prove)
                left[block.shard] = rest.slice(stop)
    except errors.SchemaError as error:
        raise errors.ManifestError(
            error.what, where=error.where, why=error.why, remedy=_REMEDY
        ) from error
    for rest in left.values():
        if rest.num_rows:
            raise _changed(file, rest["row"][0].as_py(), "there are fewer rows now")


_PLACE = ("path", "row", "content")
_REMEDY = "restore the file as it was, or run again"


@functools.lru_cache(maxsize=256)
def dimension(file: shards.File) -> int:
    """Length of a file's embeddings, looked up once."""
    return sources.dimension(file)


def _last(block: sources.Block) -> int:
    """The last row that a block holds, good or bad."""
    rows = [b.column(columns.ROW) for b in (block.batch, block.rejected) if b.num_rows]
    return max(column[-1].as_py() for column in rows) if rows else -1


def _joined(
    file: shards.File, batch: pa.RecordBatch, listed: pa.Table, *, prove: Prove
) -> pa.Table:
    """Listed rows with what stands in the input, which is what the manifest says it is."""
    have, rows = batch.column(columns.ROW).to_numpy(), listed["row"].to_numpy()
    at = np.minimum(np.searchsorted(have, rows), max(0, len(have) - 1))
    good = have[at] == rows if len(have) else np.zeros(len(rows), bool)
    if not good.all():
        raise _changed(file, int(rows[np.argmin(good)]), "the row is a bad one now")
    whole = len(rows) == len(have)
    found = batch if whole else batch.take(pa.array(at))
    if prove != "sizes":
        _prove(file, found, listed, names=prove == "names")
    kept = listed.drop_columns([n for n in _PLACE if n in listed.column_names])
    for name in found.schema.names:
        if name != columns.ROW:
            kept = kept.append_column(name, found.column(name))
    return kept


def _prove(file: shards.File, found: pa.RecordBatch, listed: pa.Table, *, names: bool) -> None:
    """Raise unless rows have the contents that the manifest lists, and the uids if `names`.

    Where the content names the row, or the uid is not asked for, this is one hash a row, half a
    microsecond: the dearest part of reading.
    """
    made = {"uid": sources.uids(file, found)} if names else {}
    made["content"] = sources.contents(file, found, made.get("uid"))
    for name, values in made.items():
        expected = listed[name].combine_chunks()
        if not values.equals(expected):
            same = pc.equal(values, expected).to_numpy(zero_copy_only=False)
            row = int(listed["row"].to_numpy()[np.argmin(same)])
            raise _changed(file, row, f"its {name} is another")


def _changed(file: shards.File, row: int, why: str) -> errors.ManifestError:
    return errors.ManifestError(
        "the input has changed since the manifest was made",
        where=f"{file.path}:{row}",
        why=why,
        remedy=_REMEDY,
    )
