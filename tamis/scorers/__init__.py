"""How good is this row? One file a score; `SCORERS` is the list of them.

A package of its own adds one through the entry-point group `tamis.scorers`; `tamis.testing` has
the laws it must satisfy.
"""

import difflib
import inspect
from importlib import metadata

from tamis import errors
from tamis.scorers import (
    combine,
    lexical,
    protocol,
    prototypes,
    supervised_prototypes,
    target_similarity,
    transport_potential,
)

GROUP = "tamis.scorers"

SCORERS: dict[str, type[protocol.Scorer]] = {
    "combine": combine.Combine,
    "lexical": lexical.Lexical,
    "prototypes": prototypes.SelfSupervisedPrototypes,
    "supervised_prototypes": supervised_prototypes.SupervisedPrototypes,
    "target_similarity": target_similarity.TargetSimilarity,
    "transport_potential": transport_potential.TransportPotential,
}

# Fields that take the path of a fitted artifact, which the pipeline gives.
ARTIFACTS: dict[str, tuple[str, ...]] = {
    "supervised_prototypes": ("means", "labels"),
    "target_similarity": ("target",),
    "transport_potential": ("target", "potential"),
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


def build(name: str, options: dict, paths: dict[str, str] | None = None) -> protocol.Scorer:
    """A scorer from its options in the run file and the paths of its artifacts.

    Args:
      name: In `SCORERS`, or a plug-in's.
      options: Fields of the scorer.
      paths: By field of `ARTIFACTS`; without them the scorer can be checked but not set up.

    Raises:
      ConfigError: naming the scorer or the option, and the nearest valid one.
    """
    kind = find(name)
    given = paths if paths is not None else dict.fromkeys(ARTIFACTS.get(name, ()), "")
    valid = [f for f in inspect.signature(kind).parameters if f not in (*given, "name")]
    for option in options:
        if option not in valid:
            near = difflib.get_close_matches(option, valid, 1)
            raise errors.ConfigError(
                f"unknown option 'score.{name}.{option}'",
                remedy=f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(valid)}",
            )
    try:
        return kind(**options, **given)
    except (TypeError, ValueError) as error:
        raise errors.ConfigError(f"score.{name}: {error}", remedy="see its docstring") from error
