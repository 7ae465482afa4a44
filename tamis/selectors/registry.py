"""The row selectors by name; a package of its own adds one by entry point `tamis.selectors`."""

import difflib
from importlib import metadata

from tamis import errors
from tamis.selectors import protocol, semantic_duplicates, top_k, uniform

GROUP = "tamis.selectors"

SELECTORS: dict[str, type[protocol.Selector]] = {
    "semantic_duplicates": semantic_duplicates.SemanticDuplicates,
    "top_k": top_k.TopK,
    "uniform": uniform.Uniform,
}


def find(name: str) -> type[protocol.Selector]:
    """The selector class of that name, ours first, then a plug-in's.

    Raises:
      ConfigError: there is none; names the nearest.
    """
    if name in SELECTORS:
        return SELECTORS[name]
    plugins = metadata.entry_points(group=GROUP)
    if name in plugins.names:
        return plugins[name].load()
    known = sorted({*SELECTORS, *plugins.names})
    close = difflib.get_close_matches(name, known, n=1)
    raise errors.ConfigError(
        f"there is no selector {name!r}",
        why=f"known are {', '.join(known)}",
        remedy=f"did you mean {close[0]}?" if close else "choose one, or install its package",
    )
