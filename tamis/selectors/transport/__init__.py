"""Optimal transport: how far is a mixture of sources from the target, and which is nearest?

>>> import numpy as np
>>> from tamis.selectors import transport
>>> target = np.array([[0.0], [1.0]])
>>> best = transport.best_mixture([[[0.0]], [[1.0]], [[5.0]]], target, epsilon=0.01)
>>> best.weights.round(2).tolist()
[0.5, 0.5, 0.0]
"""

from tamis.selectors.transport.best import BestMixture, best_mixture
from tamis.selectors.transport.costs import Labelled, points
from tamis.selectors.transport.dispatch import Distance, distance
from tamis.selectors.transport.divergence import Divergence, sinkhorn_divergence
from tamis.selectors.transport.labels import Factors, label_cost
from tamis.selectors.transport.line import line_cost
from tamis.selectors.transport.mixture import Mixture, MixtureCost, mixture, mixture_cost
from tamis.selectors.transport.nearly import Bracket, approximate
from tamis.selectors.transport.newton import sinkhorn_newton
from tamis.selectors.transport.relaxed import Unbalanced, unbalanced
from tamis.selectors.transport.scales import project, project_scales
from tamis.selectors.transport.scaling import sinkhorn
from tamis.selectors.transport.simplex import Exact, exact
from tamis.selectors.transport.solution import Solution
from tamis.selectors.transport.values import calibrated

__all__ = [
    "BestMixture",
    "Bracket",
    "Distance",
    "Divergence",
    "Exact",
    "Factors",
    "Labelled",
    "Mixture",
    "MixtureCost",
    "Solution",
    "Unbalanced",
    "approximate",
    "best_mixture",
    "calibrated",
    "distance",
    "exact",
    "label_cost",
    "line_cost",
    "mixture",
    "mixture_cost",
    "points",
    "project",
    "project_scales",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_newton",
    "unbalanced",
]
