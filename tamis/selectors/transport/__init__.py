"""Optimal transport: how far is a mixture of sources from the target, and which is nearest?"""

from tamis.selectors.transport.best import BestMixture, best_mixture
from tamis.selectors.transport.costs import Labelled, points
from tamis.selectors.transport.mixture import Mixture, MixtureCost, mixture, mixture_cost
from tamis.selectors.transport.newton import sinkhorn_newton
from tamis.selectors.transport.scaling import sinkhorn
from tamis.selectors.transport.solution import Solution

__all__ = [
    "BestMixture",
    "Labelled",
    "Mixture",
    "MixtureCost",
    "Solution",
    "best_mixture",
    "mixture",
    "mixture_cost",
    "points",
    "sinkhorn",
    "sinkhorn_newton",
]
