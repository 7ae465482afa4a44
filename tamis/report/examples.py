"""A few rows for a person to read: either side of a tier's threshold, or a scorer's best and worst.

Scores are read batch by batch and only the rows nearest to what is asked are kept; texts are then
looked up, one read per shard they are in. A large run is sampled by shard.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import sources
from tamis.pipelines import session, tier
from tamis.report import facts
from tamis.schemas import columns, index, shards

_EACH = 3  # rows per side
_SHARDS = 16  # looked at per source
_GROUPS = 8  # shown at most
_EDGES = 3  # thresholds shown per group
_CHARACTERS = 240
_POOL = "pool"  # the group of all rows, as the tier stage calls it


@dataclasses.dataclass(frozen=True)
class _Place:
    """One row: how near it is to what is asked (0 = nearest), its score, and where it is."""

    away: float
    score: float
    shard: int
    i: int


@dataclasses.dataclass
class _Nearest:
    """The `_EACH` rows on one side of a point.

    Attributes:
      point: A score; infinite for a scorer's best, minus infinite for its worst.
      above: Whether rows at the point or better are wanted.
      kept: Nearest first; ties to the earlier row.
    """

    point: float
    above: bool
    kept: list[_Place] = dataclasses.field(default_factory=list)

    def add(self, scores: NDArray[np.float32], shard: int, start: int) -> None:
        """Look at a batch whose first row is row `start` of the shard."""
        x = scores.astype(np.float64)
        away = self._away(x)
        near = np.argsort(away, kind="stable")[:_EACH]
        found = [
            _Place(float(away[i]), float(x[i]), shard, start + int(i))
            for i in near
            if away[i] < np.inf
        ]
        order = sorted([*self.kept, *found], key=lambda p: (p.away, p.shard, p.i))
        self.kept = order[:_EACH]

    def _away(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        if np.isinf(self.point):
            return -np.sign(self.point) * x  # any order will do: the least is the nearest
        wanted = x >= self.point if self.above else x < self.point
        return np.where(wanted, np.abs(x - self.point), np.inf)


@dataclasses.dataclass(frozen=True)
class _Question:
    """Two sides to show, and the shards they are looked for in."""

    title: str
    sides: tuple[str, str]
    above: _Nearest
    below: _Nearest
    group: str
    rated: tier.Rated


def find(run: session.Session) -> tuple[tuple[facts.Contrast, ...], bool]:
    """Examples, and whether only a part of the shards was looked at."""
    cut = run.cut("supply")
    looked = _spread(cut)
    asked = _thresholds(run, cut) or _ends(run)
    if asked:
        _scan(run, looked, asked)
    text = texts(run, looked, _wanted(asked))
    shown = tuple(_contrast(q, looked, text) for q in asked if q.above.kept and q.below.kept)
    return shown, len(looked) < len(cut)


def _spread(cut: Sequence[shards.Shard]) -> list[shards.Shard]:
    """At most `_SHARDS` shards of every source, evenly spaced."""
    found = []
    for name in dict.fromkeys(s.source for s in cut):
        own = [s for s in cut if s.source == name]
        at = np.unique(np.linspace(0, len(own) - 1, min(len(own), _SHARDS)).astype(int))
        found += [own[i] for i in at]
    return found


def _thresholds(run: session.Session, cut: Sequence[shards.Shard]) -> list[_Question]:
    """A question per threshold of the tiers, where there are any."""
    found_edges = run.entry("tier").get("edges", {})
    order = [g for g in (*run.config.sources, _POOL) if g in found_edges]
    edges = {g: found_edges[g] for g in order if found_edges[g]}
    if not edges:
        return []
    rated = dataclasses.replace(tier.rated(run, list(cut)), groups=())
    asked = []
    for group, found in list(edges.items())[:_GROUPS]:
        for number, edge in list(enumerate(found))[:_EDGES]:
            sides = f"just inside tier {number}", f"just below, in tier {number + 1}"
            title = f"{group}: between tier {number} and tier {number + 1}, at {edge:.3f}"
            asked.append(
                _Question(
                    title,
                    sides,
                    _Nearest(edge, above=True),
                    _Nearest(edge, above=False),
                    group,
                    rated,
                )
            )
    return asked


def _ends(run: session.Session) -> list[_Question]:
    """A question per source and scorer: its best and its worst rows."""
    names = [n for n in run.config.score if f"score:{n}" in run.ledger["stages"]]
    return [
        _Question(
            f"{source}, by {name}",
            ("highest scores", "lowest scores"),
            _Nearest(np.inf, above=True),
            _Nearest(-np.inf, above=False),
            source,
            tier.Rated(((name, 1.0),), (), ()),
        )
        for source in list(run.config.sources)[:_GROUPS]
        for name in names
    ]


def _scan(run: session.Session, looked: Sequence[shards.Shard], asked: list[_Question]) -> None:
    for n, shard in enumerate(looked):
        wanted = [q for q in asked if q.group in (shard.source, _POOL)]
        for rated in dict.fromkeys(q.rated.weights for q in wanted):
            own = [q for q in wanted if q.rated.weights == rated]
            for start, scores in _scores(run, shard, own[0].rated):
                for q in own:
                    q.above.add(scores, n, start)
                    q.below.add(scores, n, start)


def _scores(
    run: session.Session, shard: shards.Shard, rated: tier.Rated
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    start = 0
    for _, batch in run.view().batches(shards.Span((shard,)), rated.reads):
        yield start, rated.scores(batch)
        start += batch.num_rows


def _wanted(asked: list[_Question]) -> dict[int, set[int]]:
    """Rows that are shown, by the shard they are in."""
    wanted: dict[int, set[int]] = {}
    for q in asked:
        for place in (*q.above.kept, *q.below.kept):
            wanted.setdefault(place.shard, set()).add(place.i)
    return wanted


def texts(
    run: session.Session, looked: Sequence[shards.Shard], wanted: dict[int, set[int]]
) -> dict[tuple[int, int], tuple[str, str]]:
    """Uid and text by (place of the shard in `looked`, row of its index)."""
    found = {}
    for n, rows in sorted(wanted.items()):
        at = sorted(rows)
        named = (
            run.view()
            .table(looked[n].name, index.FOLDER, [index.UID, index.ROW])
            .take(pa.array(at))
        )
        text = _read(run, looked[n], named[index.ROW].to_numpy())
        for i, uid, words in zip(at, named[index.UID].to_pylist(), text, strict=True):
            found[n, i] = (uid, words)
    return found


def _read(run: session.Session, shard: shards.Shard, rows: NDArray[np.int64]) -> list[str]:
    if not shard.file.columns.text:
        return [""] * len(rows)
    limit = run.config.ingest.max_text_bytes
    table = sources.lookup(shard, rows, (columns.TEXT,), max_text_bytes=limit)
    return [_brief(t) for t in table[columns.TEXT].to_pylist()]


def _brief(text: str) -> str:
    """The beginning of a text, on one line."""
    words = " ".join(text[: 4 * _CHARACTERS].split())
    return words if len(words) <= _CHARACTERS else words[:_CHARACTERS].rstrip() + "…"


def _contrast(
    q: _Question, looked: Sequence[shards.Shard], text: dict[tuple[int, int], tuple[str, str]]
) -> facts.Contrast:
    def shown(side: _Nearest) -> tuple[facts.Example, ...]:
        best_first = sorted(side.kept, key=lambda p: (-p.score, p.shard, p.i))
        return tuple(
            facts.Example(text[p.shard, p.i][1], p.score, text[p.shard, p.i][0]) for p in best_first
        )

    return facts.Contrast(q.title, *q.sides, shown(q.above), shown(q.below))
