"""How good is this row? One file a score; `SCORERS` is the list of them.

A package of its own adds one through the entry-point group `tamis.scorers`; `tamis.testing` has
the laws it must satisfy.
"""

from tamis import plugins
from tamis.scorers import (
    combine,
    lexical,
    protocol,
    prototypes,
    supervised_prototypes,
    target_similarity,
)

SCORERS: dict[str, type[protocol.Scorer]] = {
    "combine": combine.Combine,
    "lexical": lexical.Lexical,
    "prototypes": prototypes.SelfSupervisedPrototypes,
    "supervised_prototypes": supervised_prototypes.SupervisedPrototypes,
    "target_similarity": target_similarity.TargetSimilarity,
}

# Fields that take the path of a fitted artifact, which the pipeline gives.
ARTIFACTS: dict[str, tuple[str, ...]] = {
    "supervised_prototypes": ("means", "labels"),
    "target_similarity": ("target",),
}


def find(name: str) -> type[protocol.Scorer]:
    """The scorer class of that name, ours first, then a plug-in's.

    Raises:
      ConfigError: there is none; names the nearest.
    """
    return plugins.find("scorer", SCORERS, name)


def build(name: str, options: dict, paths: dict[str, str] | None = None) -> protocol.Scorer:
    """A scorer from its options in the run file and the paths of its artifacts.

    Args:
      name: In `SCORERS`, or a plug-in's.
      options: Fields of the scorer.
      paths: By field of `ARTIFACTS`; without them the scorer can be checked but not set up.

    Raises:
      ConfigError: naming the scorer or the option, and the nearest valid one.
    """
    given = paths if paths is not None else dict.fromkeys(ARTIFACTS.get(name, ()), "")
    return plugins.build(find(name), options, given, f"score.{name}")
