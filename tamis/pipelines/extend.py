"""The run file of a run that continues another: with more rows, or with fewer.

Nothing of the other is touched. The new one is frozen to it (`pipelines.frozen`), so running it
costs what its new rows cost, and what meets in one place: duplicates, plan, selection.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tamis import errors, ledger, removed, runfile, storage
from tamis.pipelines import ingest, session
from tamis.schemas import config, index, intake


def beside(root: str) -> str:
    """The name of the run after one.

    >>> beside("runs/demo"), beside("runs/demo-2/")
    ('runs/demo-2', 'runs/demo-3')
    """
    name = root.rstrip("/")
    numbered = re.fullmatch(r"(.+)-(\d+)", name)
    return f"{numbered[1]}-{int(numbered[2]) + 1}" if numbered else f"{name}-2"


def more(
    old: session.Session,
    to: str,
    *,
    files: Mapping[str, Sequence[str]] | None = None,
    sources: Mapping[str, intake.Source] | None = None,
) -> config.Run:
    """A run with more files: of sources it has, of new ones, or such as its patterns match by now.

    Args:
      old: The run, for reading.
      to: The new run's folder.
      files: By source, paths to add to it.
      sources: New sources; one of a known name must have its columns, and adds its paths.

    Raises:
      ConfigError: a name or a file is wrong, or nothing is new.
      SchemaError: a file is not there.
    """
    have = dict(old.config.sources)
    for name, paths in (files or {}).items():
        have[name] = _longer(_known(old, name), paths)
    for name, source in (sources or {}).items():
        have[name] = _joined(old, name, source)
    document = _continued(old, to, {"sources": have})
    known = {(s.file.role, s.file.source, s.file.path) for s in old.cut()}
    found = {(f.role, f.source, f.path) for f in ingest.files(document)}
    if found <= known:
        raise errors.ConfigError(
            "nothing is new",
            where=old.root,
            why="every file is in the run already",
            remedy="name a file of new rows; those added to an old file are not seen",
        )
    return _placed(document, _before(old))


def fewer(
    old: session.Session, to: str, *, sources: Iterable[str] = (), uids: str = ""
) -> config.Run:
    """A run without some sources, or without the rows that a list names.

    Args:
      old: The run, for reading.
      to: The new run's folder; it keeps the list, with what was removed before.
      sources: Names.
      uids: Text file of uids, one a line; every copy of them goes, now and in later runs.

    Raises:
      ConfigError: a source or uid is not in the run, or nothing would be left.
    """
    gone = [name for name in dict.fromkeys(sources) if _known(old, name)]
    left = {name: s for name, s in old.config.sources.items() if name not in gone}
    if not left:
        raise errors.ConfigError("no source would be left", where=old.root)
    if not gone and not uids:
        raise errors.ConfigError("nothing to remove", remedy="give --source NAME or --uids FILE")
    listed = _listed(old, uids) if uids else _before(old)
    prices = {n: p for n, p in old.config.plan.prices.items() if n.partition("/")[0] not in gone}
    kept = removed.place(to) if len(listed) else ""
    changes = {
        "sources": left,
        "removed": {"sources": [*old.config.removed.sources, *gone], "uids": kept},
        "plan": old.config.plan.model_copy(update={"prices": prices}),
    }
    return _placed(_continued(old, to, changes), listed)


def _continued(old: session.Session, to: str, changes: dict) -> config.Run:
    kept = removed.place(to) if old.removed else ""
    base = {**old.config.model_dump(), "run": to, "frozen": old.root}
    base["removed"] = {"sources": old.config.removed.sources, "uids": kept}
    return runfile.validated({**base, **changes}, f"the run that continues {old.root}")


def _placed(document: config.Run, listed: pa.Array) -> config.Run:
    """The same, with its list of removed uids in its folder, which is new or holds this run."""
    where = storage.join(document.run, ledger.DOCUMENT)
    asked = document.model_dump(mode="json")
    if storage.exists(where) and ledger.read(document.run)["config"] != asked:
        raise errors.ConfigError(
            "this folder holds another run",
            where=document.run,
            remedy="name the new run's folder with --to",
        )
    if len(listed):
        removed.write(removed.place(document.run), listed)
    return document


def _known(old: session.Session, name: str) -> intake.Source:
    sources = old.config.sources
    if name not in sources:
        near = difflib.get_close_matches(name, sources, 1)
        raise errors.ConfigError(
            f"the run has no source '{name}'",
            where=old.root,
            why="it was removed before" if name in old.config.removed.sources else "",
            remedy=f"did you mean '{near[0]}'?" if near else f"its sources: {', '.join(sources)}",
        )
    return sources[name]


def _longer(source: intake.Source, paths: Sequence[str]) -> intake.Source:
    old = [source.path] if isinstance(source.path, str) else source.path
    twice = [path for path in paths if path in old]
    if twice:
        raise errors.ConfigError(
            f"{twice[0]} is in the source already", remedy="name files that are new"
        )
    return source.model_copy(update={"path": [*old, *paths]})


def _joined(old: session.Session, name: str, source: intake.Source) -> intake.Source:
    if name in old.config.removed.sources:
        raise errors.ConfigError(
            f"source '{name}' was removed from this run",
            where=old.root,
            remedy="give it another name, if it is to come back",
        )
    if name not in old.config.sources:
        return source
    known = old.config.sources[name]
    for key, value in known.model_dump(exclude={"path"}).items():
        if getattr(source, key) != value:
            raise errors.ConfigError(
                f"source '{name}' has {key}: {value!r} in the run, {getattr(source, key)!r} here",
                where=old.root,
                remedy="rows of one source are read alike; give the new ones another name",
            )
    return _longer(known, [source.path] if isinstance(source.path, str) else source.path)


def _before(old: session.Session) -> pa.Array:
    """The uids that a run has removed already."""
    return removed.read(old.removed) if old.removed else pa.array([], pa.string())


def _listed(old: session.Session, url: str) -> pa.Array:
    """A list and what was removed before, if every uid of it is in the run."""
    new, before = removed.read(url), _before(old)
    sought = new.filter(pc.invert(pc.is_in(new, before)))
    if not len(sought):
        raise errors.ConfigError(
            "the list names no uid that is not removed already", where=url, remedy="look in it"
        )
    left = sought
    for names in _names(old):
        left = left.filter(pc.invert(pc.is_in(left, names)))
    if len(left):
        near = max(removed.nearest(names, left[0].as_py()) for names in _names(old))
        raise errors.ConfigError(
            f"{len(left):,} of {len(new):,} uids name no row of the run, the first {left[0]}",
            where=url,
            remedy=f"the nearest there is {near[1]}",
        )
    both = pa.concat_arrays([new, before]).unique()
    return both.take(pc.sort_indices(both))


def _names(old: session.Session) -> Iterator[pa.ChunkedArray]:
    """The uids of a run, shard by shard."""
    for shard in old.cut("supply"):
        yield old.view().table(shard.name, index.FOLDER, [index.UID])[index.UID]
