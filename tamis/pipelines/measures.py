"""Where strata and target lie: their measures over prototypes, from hash samples of the rows."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import clusters, errors, nearest
from tamis.pipelines import guard, sample, session, strata
from tamis.schemas import columns, embeddings
from tamis.selectors import projektor, typical_words

ROWS = 4_096  # of the target and of each source: a share of a hundredth is known to a sixth
# Half for the target, half for the supply; as many as the predictor was tested on.
_PROTOTYPES = 100
_CHARACTERS = 90


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """What is known of the strata without training.

    Attributes:
      names: Of the strata, in the run's order.
      geometry: Their measures and the target's.
      prototypes: What both are measured over.
      examples: Beginning of the target's text that is nearest to each prototype; empty where the
        target has no row there, or no text was asked for.
      called: What the target's rows at each prototype have that the others do not: their label or
        their typical words; empty where nothing is, or no text was asked for.
    """

    names: tuple[str, ...]
    geometry: projektor.Geometry
    prototypes: projektor.Prototypes
    examples: tuple[str, ...] = ()
    called: tuple[str, ...] = ()


def find(
    run: session.Session, *, texts: bool = False, over: projektor.Prototypes | None = None
) -> Places:
    """Measure every stratum; before `tier` every source.

    Prototypes are fitted to the target and to the supply apart, so that a part of the target that
    no source has is seen as such and not as the nearest thing a source has. Memory O(4096 d) for
    each source and the target; time two passes over the uids of each.

    Args:
      run: With embeddings.
      texts: Whether to read the target's texts and labels, for `examples` and `called`.
      over: Prototypes of another run or cut of the rows, to compare with it; fitted without.

    Raises:
      ConfigError: there is no target.
      PlanError: no row of a stratum, or of the supply, is in its sample.
    """
    target, said, labels = _target(run, texts=texts)
    cells = strata.find(run) if "tier" in run.ledger["stages"] else None
    parts = list(_parts(run, cells))
    if not parts:
        raise errors.PlanError("no row was accepted from any source", where=run.root)
    prototypes = over or _fitted(run.seed, target, np.concatenate([p.x for p in parts]))
    names = cells.names if cells else tuple(p.source for p in parts)
    sources = _measures(names, parts, prototypes)
    mine = projektor.Measure.of(target, prototypes)
    where = projektor.Geometry(sources, mine, prototypes.cost())
    if not texts:
        return Places(names, where, prototypes)
    at = clusters.assign(target, prototypes.x)
    shown, group = said or [""] * len(target), at.neighbour.astype(np.int64)
    called = typical_words.names(shown, group, len(prototypes), labels)
    return Places(names, where, prototypes, _examples(at, said, len(prototypes)), called)


def _fitted(seed: int, *samples: NDArray[np.float32]) -> projektor.Prototypes:
    each = [projektor.Prototypes.fit(x, _PROTOTYPES // len(samples), seed=seed).x for x in samples]
    x = np.concatenate(each)
    return projektor.Prototypes(x, np.zeros(len(x), np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """The sample of a source.

    Attributes:
      source: Its name.
      x: Shape (n, d).
      stratum: Shape (n,), its number among the names, or -1.
      each: Rows of the source that one of the sample stands for.
    """

    source: str
    x: NDArray[np.float32]
    stratum: NDArray[np.int64]
    each: float


def _parts(run: session.Session, cells: strata.Strata | None) -> Iterator[_Part]:
    reads = (embeddings.EMBEDDING, *(strata.READS if cells else (columns.SOURCE,)))
    counted, number = run.entry("ingest")["sources"], 0
    for source in run.config.sources:
        cut = [s for s in run.cut("supply") if s.source == source]
        drawn = sample.rows(run, f"measure-{source}", ROWS, reads, cut)
        if not drawn.num_rows:
            continue
        (batch,) = drawn.combine_chunks().to_batches()
        stratum = cells.of(batch) if cells else np.full(drawn.num_rows, number)
        x = embeddings.matrix(drawn.column(embeddings.EMBEDDING))
        yield _Part(source, x, stratum, counted[source]["accepted"] / len(x))
        number += 1


def _measures(
    names: tuple[str, ...], parts: list[_Part], prototypes: projektor.Prototypes
) -> dict[str, projektor.Measure]:
    mass, rows = np.zeros((len(names), len(prototypes))), np.zeros(len(names), np.int64)
    for part in parts:
        at = clusters.assign(part.x, prototypes.x).neighbour
        kept = part.stratum >= 0
        np.add.at(mass, (part.stratum[kept], at[kept]), part.each)
        rows += np.bincount(part.stratum[kept], minlength=len(names))
    if not rows.all():
        raise errors.PlanError(
            f"strata {[n for n, m in zip(names, rows, strict=True) if not m]} cannot be placed",
            why=f"none of their rows is among the {ROWS:,} of a source that are looked at",
            remedy="plan with fewer tiers, or without a stratum that is so small",
        )
    shares = mass / mass.sum(1, keepdims=True)
    return {n: projektor.Measure(m, int(r)) for n, m, r in zip(names, shares, rows, strict=True)}


def _target(
    run: session.Session, *, texts: bool
) -> tuple[NDArray[np.float32], list[str], list[str | None]]:
    """Vectors, texts and labels of a sample of the target, of what a guard lets be fitted to."""
    source, cut = run.config.target, run.cut("target")
    if source is None or not cut:
        raise errors.ConfigError(
            "there is no target to be near to", remedy="add a `target` to the run file"
        )
    told = {columns.TEXT: source.text, columns.LABEL: source.label} if texts else {}
    reads = (embeddings.EMBEDDING, *(column for column, named in told.items() if named))
    drawn: pa.Table = sample.rows(run, "measure-target", ROWS, reads, cut)
    half = guard.halves(run)[0]
    if half and drawn.num_rows:
        drawn = drawn.filter(pa.array(half.of(drawn.column(columns.UID))))
    if not drawn.num_rows:
        raise errors.SchemaError("no row of the target was accepted", where=run.root)
    said, labels = (
        drawn.column(c).to_pylist() if c in reads else [] for c in (columns.TEXT, columns.LABEL)
    )
    return embeddings.matrix(drawn.column(embeddings.EMBEDDING)), said, labels


def _examples(at: nearest.Nearest, said: list[str], prototypes: int) -> tuple[str, ...]:
    if not said:
        return ("",) * prototypes
    order = np.lexsort((-at.cosine, at.neighbour))
    first = np.unique(at.neighbour[order], return_index=True)
    found = {int(p): said[order[i]] for p, i in zip(*first, strict=True)}
    return tuple(_brief(found.get(p, "")) for p in range(prototypes))


def _brief(text: str) -> str:
    whole = " ".join(text.split())
    return whole if len(whole) <= _CHARACTERS else f"{whole[:_CHARACTERS]}…"
