"""How good is this row? One file a score; `SCORERS` is the list of them.

A package of its own adds one through the entry-point group `tamis.scorers`; `tamis.testing` has
the laws it must satisfy.
"""

import difflib
from importlib import metadata

from tamis import errors
from tamis.scorers import (
    combine,
    lexical,
    protocol,
    prototypes,
    supervised_prototypes,
    target_similarity,
)

GROUP = "tamis.scorers"

SCORERS: dict[str, type[protocol.Scorer]] = {
    "combine": combine.Combine,
    "lexical": lexical.Lexical,
    "prototypes": prototypes.SelfSupervisedPrototypes,
    "supervised_prototypes": supervised_prototypes.SupervisedPrototypes,
    "target_similarity": target_similarity.TargetSimilarity,
}


def find(name: str) -> type[protocol.Scorer]:
    """The scorer class of that name, ours first, then a plug-in's.

    Raises:
      ConfigError: there is none; names the nearest.
    """
    if name in SCORERS:
        return SCORERS[name]
    plugins = metadata.entry_points(group=GROUP)
    if name in plugins.names:
        return plugins[name].load()
    known = sorted({*SCORERS, *plugins.names})
    close = difflib.get_close_matches(name, known, n=1)
    raise errors.ConfigError(
        f"there is no scorer {name!r}",
        why=f"known are {', '.join(known)}",
        remedy=f"did you mean {close[0]}?" if close else "choose one, or install its package",
    )
