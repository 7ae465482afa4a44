"""The row selectors by name; a package of its own adds one by entry point `tamis.selectors`."""

import functools
from collections.abc import Callable

from tamis import errors, plugins
from tamis.selectors import (
    chain,
    clustering_sensitivity,
    dpp,
    herding,
    hierarchical,
    k_center,
    leverage,
    low_rank_sensitivity,
    mmr,
    protocol,
    round_robin,
    semantic_duplicates,
    stratified,
    submodular,
    top_k,
    uniform,
    weighted,
)

Kind = Callable[..., protocol.Selector]
CHAIN = "chain"

SELECTORS: dict[str, Kind] = {
    CHAIN: chain.Chain,
    "clustering_sensitivity": clustering_sensitivity.ClusteringSensitivity,
    "dpp": dpp.DPP,
    "facility_location": functools.partial(submodular.Submodular, "facility_location"),
    "feature_based": functools.partial(submodular.Submodular, "feature_based"),
    "graph_cut": functools.partial(submodular.Submodular, "graph_cut"),
    "herding": herding.Herding,
    "hierarchical": hierarchical.Hierarchical,
    "k_center": k_center.KCenter,
    "leverage": leverage.Leverage,
    "low_rank_sensitivity": low_rank_sensitivity.LowRankSensitivity,
    "mmr": mmr.MMR,
    "round_robin": round_robin.RoundRobin,
    "saturated_coverage": functools.partial(submodular.Submodular, "saturated_coverage"),
    "stratified": stratified.Stratified,
    "semantic_duplicates": semantic_duplicates.SemanticDuplicates,
    "top_k": top_k.TopK,
    "uniform": uniform.Uniform,
    "weighted": weighted.Weighted,
}

# Fields that take the path of a file which the pipeline gives.
ARTIFACTS: dict[str, tuple[str, ...]] = {"round_robin": ("target",)}


def find(name: str) -> Kind:
    """The selector of that name, ours first, then a plug-in's.

    Raises:
      ConfigError: there is none; names the nearest.
    """
    return plugins.find("selector", SELECTORS, name)


def build(name: str, options: dict, paths: dict[str, str] | None = None) -> protocol.Selector:
    """A selector from its options in the run file and the paths of its artifacts.

    Those of a chain are listed by name, each with its options: `selectors: [{top_k: {}}, ...]`.

    Args:
      name: In `SELECTORS`, or a plug-in's.
      options: Fields of the selector.
      paths: By field of `ARTIFACTS`; without them the selector can be checked but not used.

    Raises:
      ConfigError: naming the selector or the option, and the nearest valid one.
    """
    given = {field: (paths or {}).get(field, "") for field in ARTIFACTS.get(name, ())}
    if name == CHAIN:
        options = {**options, "selectors": _made(options.get("selectors"), paths)}
    return plugins.build(find(name), options, given, f"select.{name}")


def artifacts(name: str, options: dict) -> set[str]:
    """The fields of `ARTIFACTS` that a selector wants, or any selector of a chain."""
    wanted = set(ARTIFACTS.get(name, ()))
    return wanted.union(*(artifacts(*pair) for pair in _steps(name, options)))


def _steps(name: str, options: dict) -> list[tuple[str, dict]]:
    """Name and options of each selector of a chain; none of any other, or of what is no list."""
    named = options.get("selectors") if name == CHAIN else None
    listed = named if isinstance(named, list) else []
    return [pair for step in listed if isinstance(step, dict) for pair in step.items()]


def _made(named: object, paths: dict[str, str] | None) -> tuple[protocol.Selector, ...]:
    pairs = _steps(CHAIN, {"selectors": named})
    if not isinstance(named, list) or len(pairs) != len(named):
        raise errors.ConfigError(
            f"select.chain.selectors is {named!r}",
            remedy="list selectors by name with their options: [{top_k: {}}, {k_center: {}}]",
        )
    return tuple(build(*pair, paths) for pair in pairs)
