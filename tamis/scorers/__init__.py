"""How good is this row? One file a score; `SCORERS` is the list of them.

A package of its own adds one through the entry-point group `tamis.scorers`; `tamis.testing` has
the laws it must satisfy.
"""

from tamis import plugins
from tamis.scorers import (
    cluster_size,
    combine,
    concepts,
    contamination,
    ddd,
    difficulty,
    el2n,
    forgetting,
    grand,
    image_rules,
    image_text,
    importance,
    influence,
    kernel_density,
    language,
    lexical,
    mahalanobis,
    margin,
    memorization,
    near_contamination,
    nearest_neighbours,
    ngram_model,
    perplexity,
    protocol,
    prototypes,
    quality_classifier,
    race,
    recorded,
    supervised_prototypes,
    target_similarity,
    transport_potential,
    uncertainty,
)

SCORERS: dict[str, type[protocol.Scorer]] = {
    "blend": combine.Blend,
    "cluster_size": cluster_size.ClusterSize,
    "combine": combine.Combine,
    "concept_balance": concepts.ConceptBalance,
    "concept_frequency": concepts.ConceptFrequency,
    "contamination": contamination.Contamination,
    "ddd": ddd.DichotomousDifficulty,
    "el2n": el2n.EL2N,
    "forgetting": forgetting.Forgetting,
    "grand": grand.GraNd,
    "image_rules": image_rules.ImageRules,
    "image_text": image_text.ImageText,
    "importance": importance.Importance,
    "influence": influence.Influence,
    "kernel_density": kernel_density.KernelDensity,
    "language": language.Language,
    "lexical": lexical.Lexical,
    "mahalanobis": mahalanobis.Mahalanobis,
    "margin": margin.Margin,
    "memorization": memorization.Memorization,
    "near_contamination": near_contamination.NearContamination,
    "nearest_neighbours": nearest_neighbours.NearestNeighbours,
    "ngram_model": ngram_model.NgramModel,
    "perplexity": perplexity.Perplexity,
    "prototypes": prototypes.SelfSupervisedPrototypes,
    "quality_classifier": quality_classifier.QualityClassifier,
    "race": race.Race,
    "recorded": recorded.Recorded,
    "supervised_prototypes": supervised_prototypes.SupervisedPrototypes,
    "target_similarity": target_similarity.TargetSimilarity,
    "transport_potential": transport_potential.TransportPotential,
    "uncertainty": uncertainty.Uncertainty,
}

PROBES = ("el2n", "grand", "forgetting", "margin", "ddd", "uncertainty")  # share one artifact
# Fields that take the path of a fitted artifact, which the pipeline gives.
_PROBE = ("weights", "labels")
_RIDGE = ("inverse", "coefficients", "labels")
ARTIFACTS: dict[str, tuple[str, ...]] = {
    "cluster_size": ("sizes",),
    "concept_balance": ("entries", "counts"),
    "concept_frequency": ("entries", "counts"),
    "contamination": ("grams",),
    "importance": ("ratio",),
    **dict.fromkeys(PROBES, _PROBE),
    "memorization": _RIDGE,
    "influence": (*_RIDGE, "target", "target_classes"),
    "kernel_density": ("frequencies", "sketch"),
    "mahalanobis": ("moments",),
    "near_contamination": ("evaluation",),
    "nearest_neighbours": ("reference", "names"),
    "ngram_model": ("counts",),
    "quality_classifier": ("classifier",),
    "race": ("planes", "counts"),
    "recorded": ("uid", "value"),
    "supervised_prototypes": ("means", "labels"),
    "target_similarity": ("target",),
    "transport_potential": ("target", "potential"),
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
    if paths is None and options.get("keep") == difficulty.THEORY:
        options = {**options, "keep": "easy"}  # either end will do for a check
    return plugins.build(find(name), options, given, f"score.{name}")
