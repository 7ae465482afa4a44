"""Tiers and the best rows of every stratum: tamis, DuckDB, polars and bare numpy on one pool.

    python -m benchmarks.query make FOLDER ROWS
    python -m benchmarks.query {tamis,duckdb,polars,bare} FOLDER

Quartile tiers of a score over the whole pool, then the best `BEST` rows of each of the 32 strata
(source, tier), ties by uid, written to Parquet. `generate` makes the pool, once as 153 files of
(uid, source, score) and once as a run folder holds the same rows: index and scores in files of
their own. tamis works on the latter with its stages `tier` and `select`, on Beam; it orders equal
scores by a keyed hash of the uid, the others by the uid itself.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SHARD = 65_536
SOURCES = tuple(f"s{i}" for i in range(8))
TIERS = 4
BEST = 100_000
SCORER = "lexical"
RUN = """
version: 1
run: {run}
seed: 17
sources:
{sources}
target: {{path: target.parquet, embedding: x, label: y}}
embed: {{backend: precomputed}}
score: {{lexical: {{}}}}
tier: {{by: lexical, tiers: 4, within: pool}}
plan: {{budgets: [{budget}], strata: [source, tier]}}
select: {{order: best}}
"""


def main() -> None:
    """Answer the query one way, and print its seconds and how many rows it chose."""
    how, folder = sys.argv[1], Path(sys.argv[2])
    if how == "make":
        generate(folder, int(sys.argv[3]))
        return
    ways = {"tamis": ours, "duckdb": duckdb, "polars": polars, "bare": bare}
    prepare = {"tamis": prepared}.get(how, lambda folder: folder)
    given = prepare(folder)
    imported(how)
    started, busy = time.perf_counter(), time.process_time()
    parts = ways[how](given)
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - busy}
    print(json.dumps({**took, **parts}))


def imported(how: str) -> None:
    """What is imported before the clock starts."""
    if how in ("duckdb", "polars"):
        __import__(how)


def generate(folder: Path, rows: int) -> None:
    """Write the pool twice: as one table, and as the sidecars of a run."""
    from tamis.pipelines import chain
    from tamis.schemas import scores, shards

    (folder / "pool").mkdir(parents=True)
    made = {"index": "a" * 32, scores.folder(SCORER): "b" * 32, "duplicates": "c" * 32}
    stages = ("ingest", f"score:{SCORER}", "dedup")
    with chain.opened(run_file(folder, rows)) as here:
        cut, counted = [], {s: {"accepted": 0} for s in SOURCES}
        for i, start in enumerate(range(0, rows, SHARD)):
            n, source = min(SHARD, rows - start), SOURCES[i % len(SOURCES)]
            file = shards.File(source, "supply", f"{source}.parquet", "parquet", shards.Columns())
            cut.append(shards.Shard(f"part-{i % len(SOURCES):05}-{i:05}", file, start, n))
            counted[source]["accepted"] += n
            write(folder, here.root, cut[-1], i, made)
        here.save_shards(cut)
        for stage, (place, inputs) in zip(stages, made.items(), strict=True):
            here.commit(stage, inputs, (place,), {"sources": counted} if stage == "ingest" else {})


def write(folder: Path, root: str, shard, number: int, made: dict[str, str]) -> None:
    """One file of the pool, and the same rows as sidecars."""
    from tamis import sidecars
    from tamis.schemas import duplicates, index, scores, uids

    n, rng = shard.rows, np.random.default_rng([7, number])
    named = uids.to_hex(rng.integers(0, 2**64, (n, 2), np.uint64))
    score = pa.array(rng.random(n, np.float32))
    source = pa.array([shard.source] * n).dictionary_encode()
    pool = pa.table([named, source, score], ["uid", "source", "score"])
    pq.write_table(pool, folder / "pool" / f"part-{number:05}.parquet", compression="zstd")
    plain = [
        pa.array(np.arange(shard.row, shard.row + n)),
        pa.array(np.ones(n, np.int32)),
        pa.array(rng.integers(0, 2**64, n, np.uint64)),
        pa.nulls(n, pa.string()),
    ]
    table, none = pa.Table.from_arrays([named, *plain], schema=index.SCHEMA), np.zeros(0, int)
    alone = duplicates.table(np.ones(n), none, (none, none), none.astype(np.float32), ())
    tables = (table, pa.Table.from_arrays([score], schema=scores.SCHEMA), alone)
    digest = sidecars.uid_digest(table)
    for (place, inputs), whole in zip(made.items(), tables, strict=True):
        sidecars.commit(root, place, shard.name, whole, sidecars.Stamp(digest, inputs))


def reset(folder: Path) -> None:
    """Take out what an engine has made, so that the next begins as it did."""
    ledger = folder / "run" / "run.json"
    document = json.loads(ledger.read_text())
    for stage, entry in list(document["stages"].items()):
        if stage in ("tier", "plan", "select"):
            del document["stages"][stage]
            for made in entry["folders"]:
                shutil.rmtree(folder / "run" / made, ignore_errors=True)
    shutil.rmtree(folder / "run" / "manifest", ignore_errors=True)
    ledger.write_text(json.dumps(document))
    for path in folder.glob("*.parquet"):
        path.unlink()


def run_file(folder: Path, rows: int):
    """The run file of the query; the sources' files are never read."""
    from tamis import runfile

    sources = "\n".join(f"  {s}: {{path: {s}.parquet, embedding: x, label: y}}" for s in SOURCES)
    best = min(BEST, rows // 64)
    budget = best * len(SOURCES) * TIERS
    return runfile.parse(RUN.format(run=folder / "run", sources=sources, budget=budget))


def best_of(folder: Path) -> int:
    """Rows wanted of each stratum: fewer than `BEST` in a small pool."""
    rows = sum(pq.read_metadata(p).num_rows for p in (folder / "pool").glob("*.parquet"))
    return min(BEST, rows // 64)


def prepared(folder: Path):
    """The run of the query, with a plan that wants so many rows of every stratum."""
    from tamis.pipelines import chain, select  # noqa: F401 -- imported before the clock starts

    best = best_of(folder)
    rows = sum(pq.read_metadata(p).num_rows for p in (folder / "pool").glob("*.parquet"))
    return folder, run_file(folder, rows), best


def ours(given) -> dict:
    """The stage `tier`, and the thresholds and the manifest of the choice."""
    return stages(given, choice)


def stages(given, choose) -> dict:
    from tamis.pipelines import chain, tier

    _, document, best = given
    with chain.opened(document) as here:
        tier.tier(here)
        tiered = time.process_time()
        plan(here, best)
        planned = time.process_time()
        choose(here, best)
    return {"rows": best * 32, "cpu of the plan": planned - tiered}


def choice(here, best: int) -> None:
    """What `select` does for one of its three kinds of manifest."""
    import apache_beam as beam

    from tamis.pipelines import rank, select, session, strata

    cells, cut = strata.find(here), here.cut("supply")
    order = rank.Order(cells, here.seed, (select.NAME,), f"score:{SCORER}")
    each = np.full((len(cells.names), 1), best)
    kinds = select._quotas(here, [select.Wanted("manifest", order, each, each)], cut)
    write = select.Write(here.view(), "e" * 32, kinds, (best * len(cells.names),))
    here.execute(lambda p: session.spans(p, cut) | "choice" >> beam.ParDo(write))


def plan(here, best: int) -> None:
    """A plan of equal quotas, in the place of the stage that would find them."""
    from tamis import storage
    from tamis.pipelines import plan as planning
    from tamis.pipelines import strata
    from tamis.schemas import plan as schema

    cells = strata.find(here).cells
    shares = [
        schema.Share(stratum=c.name, quota=best, epochs=1, share=1 / len(cells), rows=best)
        for c in cells
    ]
    total = best * len(cells)
    budget = {"samples": total, "amount": total, "spent": total, "strategy": "equal shares"}
    budget |= {"allocation": shares, "predicted_error": 0.1, "interval": (0.1, 0.2)}
    budget |= {"law": "none", "measurements": 0, "largest_pilot": 0, "summary": ""}
    budget |= {"runner_up": None, "runners_up": [], "marginal": []}
    made = schema.Plan.model_construct(
        summary="", mode="mixture", max_epochs=None, max_fraction=1.0, seed=17, chance=0.5,
        strata=list(cells), budgets=[schema.Budget.model_construct(**budget)], crossings=[],
        frontier=[], laws=[], notes=[],
    )  # fmt: skip
    storage.write_atomic(planning.url(here), made.model_dump_json().encode())
    here.commit("plan", "d" * 32, ("plan",), {})


def duckdb(folder: Path) -> dict:
    """One SQL statement over all files."""
    import duckdb as engine

    files, best = folder / "pool" / "*.parquet", best_of(folder)
    connection = engine.connect()
    connection.execute(f"""
        COPY (
          WITH edges AS (
            SELECT quantile_disc(score, [0.25, 0.5, 0.75]) AS q FROM '{files}'
          ), tiered AS (
            SELECT uid, source, score,
              3 - (score > q[1])::INT - (score > q[2])::INT - (score > q[3])::INT AS tier
            FROM '{files}', edges
          )
          SELECT * FROM tiered
          QUALIFY row_number() OVER (PARTITION BY source, tier ORDER BY score DESC, uid) <= {best}
        ) TO '{folder / "duckdb.parquet"}' (COMPRESSION zstd)
    """)
    return {"rows": pq.read_metadata(folder / "duckdb.parquet").num_rows}


def polars(folder: Path) -> dict:
    """One lazy frame over all files."""
    import polars as pl

    best = best_of(folder)
    pool = pl.scan_parquet(folder / "pool" / "*.parquet").with_columns(
        pl.col("source").cast(pl.Categorical)
    )
    edges = pool.select(
        *(pl.col("score").quantile(q, "lower").alias(str(q)) for q in (0.25, 0.5, 0.75))
    ).collect()
    lines = [edges[name][0] for name in edges.columns]
    tier = 3 - sum((pl.col("score") > line).cast(pl.Int8) for line in lines)
    found = (
        pool.with_columns(tier.alias("tier"))
        .sort(["score", "uid"], descending=[True, False])
        .group_by("source", "tier")
        .head(best)
        .collect()
    )
    found.write_parquet(folder / "polars.parquet", compression="zstd")
    return {"rows": len(found)}


def bare(folder: Path) -> dict:
    """The oracle: everything in memory, sorted. Its sum of scores is that of the choice."""
    table = pq.read_table(folder / "pool", columns=["source", "score"])
    score = table["score"].to_numpy()
    source = table["source"].combine_chunks().cast(pa.dictionary(pa.int32(), pa.string()))
    source = source.indices.to_numpy() if hasattr(source, "indices") else source
    best, order = best_of(folder), np.sort(score)[::-1]
    edges = order[[len(score) * i // TIERS - 1 for i in (1, 2, 3)]]
    cell = source * TIERS + np.searchsorted(-edges, -score, side="left")
    total, rows = 0.0, 0
    for c in range(len(SOURCES) * TIERS):
        chosen = np.sort(score[cell == c])[::-1][:best]
        total, rows = total + float(chosen.astype(np.float64).sum()), rows + len(chosen)
    return {"rows": rows, "sum": total}


if __name__ == "__main__":
    main()
