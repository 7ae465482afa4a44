"""Near-copies for a person: what every threshold would merge, and pairs to judge it by."""

import dataclasses

import numpy as np

from tamis.pipelines import near, session
from tamis.report import examples, facts, markup, tables, words
from tamis.schemas import near as schema
from tamis.selectors import duplicate_groups

_LINES = 12  # thresholds in the table
_EACH = 3  # pairs shown at a threshold


def find(run: session.Session) -> facts.NearCopies | None:
    """What the dedup stage found; None where it looked for exact copies only."""
    section = run.config.dedup
    if not section.near or "dedup" not in run.ledger["stages"]:
        return None
    entry = run.entry("dedup")
    rows = sum(run.view().rows(s.name) for s in run.cut("supply"))
    known = facts.NearCopies(section.threshold, rows, entry["near"], 0, (), minhash=section.minhash)
    if section.threshold is None:
        return known
    merged = tuple(zip(entry["thresholds"], entry["merged"], strict=True))
    return dataclasses.replace(known, capped=entry["capped"], merged=merged, pairs=_pairs(run))


def _pairs(run: session.Session) -> tuple[facts.Contrast, ...]:
    """The pairs just above the lowest threshold, the run's, and those half-way to and beyond it."""
    chosen, lowest = run.config.dedup.threshold or 1.0, run.config.dedup.lowest
    asked = np.unique([lowest, (lowest + chosen) / 2, chosen, (1 + chosen) / 2])
    graph = schema.graph(near.read(run))
    found = duplicate_groups.sweep(near.pairs(graph), graph.nodes.num_rows, asked, examples=_EACH)
    place = np.stack(schema.parts(graph.nodes["row"].to_numpy()), axis=1)
    shown = found.example[found.example >= 0]
    ends = place[np.concatenate([graph.a[shown], graph.b[shown]])]
    wanted: dict[int, set[int]] = {}
    for shard, row in ends.tolist():
        wanted.setdefault(shard, set()).add(row)
    text = examples.texts(run, run.cut("supply"), wanted)

    def side(end: np.ndarray, pairs: np.ndarray) -> tuple[facts.Example, ...]:
        named = [text[tuple(place[end[i]].tolist())] for i in pairs]
        return tuple(
            facts.Example(words_, float(graph.cosine[i]), uid)
            for i, (uid, words_) in zip(pairs, named, strict=True)
        )

    kept = [(t, e[e >= 0]) for t, e in zip(found.threshold, found.example, strict=True)]
    return tuple(
        facts.Contrast(
            f"cosine just above {t:.3f}", "one row", "the other", side(graph.a, e), side(graph.b, e)
        )
        for t, e in kept
        if len(e)
    )


def table(known: facts.NearCopies) -> markup.Safe:
    """Rows kept at each cosine; the run's own is marked. Nothing where only texts tell."""
    if not known.merged:
        return markup.Safe()
    columns = [tables.Column(t) for t in ("Cosine", "Rows merged", "Kept")]
    at = np.linspace(0, len(known.merged) - 1, min(len(known.merged), _LINES)).astype(int)
    own = [i for i, (t, _) in enumerate(known.merged) if t == known.threshold]
    lines = []
    for t, merged in (known.merged[i] for i in np.union1d(at, np.array(own, int))):
        name = markup.tag("b", f"{t:.2f}") if t == known.threshold else f"{t:.2f}"
        kept = 1 - merged / max(known.rows, 1)
        lines.append([name, words.count(merged), words.percent(kept)])
    return tables.table(columns, lines)


def note(known: facts.NearCopies) -> str:
    """In words."""
    cosine, share = f"at a cosine of {known.threshold or 0:g}", f"with {known.minhash or 0:.0%}"
    share += " of their word 5-grams in common (MinHash)"
    told = [cosine] * (known.threshold is not None) + [share] * (known.minhash is not None)
    said = (
        f"{words.count(known.near)} rows are near-copies of a better one, {', or '.join(told)}, or "
        "by a chain of such pairs, and are left out."
    )
    if known.merged:
        said += (
            " What other cosines would merge is exact too; with dedup.floor set, another one "
            "compares nothing again."
        )
    if known.capped:
        said += (
            f" {words.count(known.capped)} rows have more neighbouring clusters than dedup.probes "
            "lets them visit; a few of their pairs may be missing."
        )
    return said
