"""What the stages of `chain.py` are held against: the same columns with pyarrow and faiss alone.

No Beam, no stamps, no checks, no atomic writes, one pass in one process, everything in memory that
fits there. Steps read what the chain has just written, so that both see the same bytes.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = 8_192
NAMES = ("ingest", "embed", "cluster", "score:prototypes", "score:lexical", "dedup", "tier")


def steps(folder: str) -> dict[str, Callable[[], None]]:
    """The steps that have a bare form."""
    work = Bare(Path(folder))
    return dict(
        zip(
            NAMES,
            (
                work.ingest,
                work.embed,
                work.cluster,
                work.prototypes,
                work.lexical,
                work.dedup,
                work.tier,
            ),
            strict=True,
        )
    )


class Bare:
    """The steps on one folder."""

    def __init__(self, folder: Path) -> None:
        self._inputs = [folder / f"{name}.parquet" for name in ("near", "far", "target")]
        self._supply = self._inputs[:2]
        self._run, self._out = folder / "run", folder / "bare"
        self._out.mkdir()

    def ingest(self) -> None:
        """Read every column, write id, label and the number of words."""
        batches = self._read(self._inputs, ["id", "text", "label", "x"])
        self._write("index", (index(b) for b in batches))

    def embed(self) -> None:
        """Read the vectors, write unit vectors as float16."""
        self._write("x", (unit(b) for b in self._read(self._inputs, ["x"])))

    def cluster(self) -> None:
        """K-means of faiss on as many rows as it would sample itself, then faiss search alone."""
        rows = sum(pq.read_metadata(path).num_rows for path in self._supply)
        k = math.isqrt(rows)
        x = np.concatenate([matrix(b) for b in self._read([self._out / "x.parquet"], ["x"])])
        means = faiss.Kmeans(x.shape[1], k, niter=20, spherical=True, seed=1)
        means.train(x)
        parts = [means.index.search(x[i : i + ROWS], 1) for i in range(0, len(x), ROWS)]
        columns = [np.concatenate(part).ravel() for part in zip(*parts, strict=True)]
        pq.write_table(pa.table(columns, ["cosine", "cluster"]), self._out / "cluster.parquet")

    def prototypes(self) -> None:
        """Read the cosines, write the distances."""
        cosine = self._sidecars("clusters", ["cosine"])["cosine"].to_numpy()
        pq.write_table(pa.table([1 - cosine], ["score"]), self._out / "score.parquet")

    def lexical(self) -> None:
        """The scorer itself over the texts."""
        from tamis import scorers

        score = scorers.find("lexical")().score
        batches = self._read(self._supply, ["text"])
        found = [pa.RecordBatch.from_arrays([pa.array(score(b))], ["score"]) for b in batches]
        self._write("lexical", iter(found))

    def dedup(self) -> None:
        """All uids in memory, grouped."""
        uids = self._sidecars("index", ["uid"])
        counted = uids.group_by("uid").aggregate([([], "count_all")])
        assert pc.max(counted["count_all"]).as_py()

    def tier(self) -> None:
        """All scores in memory, one quantile."""
        x = self._sidecars("scores/prototypes", ["score"])["score"].to_numpy()
        tiers = np.digitize(x, np.quantile(x, [0.5])).astype(np.int8)
        pq.write_table(pa.table([tiers], ["tier"]), self._out / "tier.parquet")

    def _read(self, paths: list[Path], columns: list[str]) -> Iterator[pa.RecordBatch]:
        for path in paths:
            yield from pq.ParquetFile(path).iter_batches(ROWS, columns=columns)

    def _sidecars(self, folder: str, columns: list[str]) -> pa.Table:
        paths = sorted((self._run / folder).glob("*.parquet"))
        return pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])

    def _write(self, name: str, batches: Iterator[pa.RecordBatch]) -> None:
        first = next(batches)
        sink = self._out / f"{name}.parquet"
        with pq.ParquetWriter(sink, first.schema, compression="zstd") as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)


def index(batch: pa.RecordBatch) -> pa.RecordBatch:
    words = pc.count_substring_regex(batch["text"], r"\S+")
    return pa.RecordBatch.from_arrays(
        [batch["id"], words, batch["label"]], ["id", "n_units", "label"]
    )


def unit(batch: pa.RecordBatch) -> pa.RecordBatch:
    x = matrix(batch)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)
    column = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    return pa.RecordBatch.from_arrays([column], ["x"])


def matrix(batch: pa.RecordBatch) -> np.ndarray:
    x = batch["x"]
    return x.flatten().to_numpy().reshape(len(x), -1).astype(np.float32, copy=False)
