"""A Gaussian process over mixtures in bent coordinates: the engine of `mixture_regression`.

    u = standardised error,   z = (1 - exp(-bend u)) / bend,   z ~ GP(level, k) + noise
    k(w, v) = scale^2 c(x(w), x(v)),  x_i(w) = relevance_i ((w_i + o_i)^p_i - o_i^p_i) / length

with a correlation c of `mixture_kernels`. Level, scale, noise, bend, length, interaction (of ANOVA;
idle in Matern), relevances, exponents p and offsets o have weak normal priors on their logs; they
are those that maximise the posterior (Rasmussen & Williams 2006, Gaussian Processes for Machine
Learning, ch. 5), or are drawn from it. Domains have exponents and offsets of their own, around
common ones: how soon a domain has given what it has to give differs between domains.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from tamis.selectors.laws import hamiltonian
from tamis.selectors.laws.mixture_kernels import Kernel

Floats = NDArray[np.float64]

_NAMES = ("level", "scale", "noise", "exponent", "offset", "bend", "length", "interaction")
_PRIOR = np.array(
    [0, 0, np.log(0.05), np.log(0.35), np.log(1e-3), 0, 0, np.log(0.1)]
)  # of the logs, level aside; .35 is the exponent of tokens in the laws of language models
_SPREAD = np.array([1, 1, 1, 0.3, 1, 0.7, 1, 1])
# Spreads of what domains have of their own, around the common: relevances (a domain may matter 4
# times more than another), exponents, offsets.
_OWN = np.array([0.7, 0.5, 1.2])
_BOUND = 4.0  # spreads from the prior's mean
_JITTER = 1e-6  # in units of the errors' variance


class Parameters(NamedTuple):
    """What the runs decide.

    Attributes:
      level: Mean of z.
      scale: Standard deviation of the process.
      noise: Standard deviation from run to run at one mixture; 1 is that of all errors.
      exponent: p above, shape (k,).
      offset: o above, weights, shape (k,).
      bend: Curvature of error against effective data; 0 is none.
      interaction: Of domains, for kernels that have it.
      relevance: Shape (k,), divided by the length.
    """

    level: float
    scale: float
    noise: float
    exponent: Floats
    offset: Floats
    bend: float
    interaction: float
    relevance: Floats


class Process(NamedTuple):
    """The process given what was run.

    Attributes:
      kernel: Its correlation.
      parameters: Its own.
      runs: Shape (n, k), the mixtures it knows.
      root: Shape (n, n), lower Cholesky factor of their covariance.
      residual: Shape (n,), covariance^-1 (z - level).
    """

    kernel: Kernel
    parameters: Parameters
    runs: Floats
    root: Floats
    residual: Floats


def condition(kernel: Kernel, p: Parameters, weights: Floats, u: Floats) -> Process:
    """The process after runs at `weights`, shape (n, k), with errors u, shape (n,)."""
    covariance = _covariance(kernel, p, weights, weights)
    covariance[np.diag_indices_from(covariance)] = p.scale**2 + p.noise**2 + _JITTER
    root = linalg.cholesky(covariance, lower=True)
    return Process(
        kernel, p, weights, root, linalg.cho_solve((root, True), bent(u, p.bend) - p.level)
    )


def posterior(process: Process, weights: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of z for new runs."""
    p = process.parameters
    cross = _covariance(process.kernel, p, weights, process.runs)
    known = linalg.solve_triangular(process.root, cross.T, lower=True)
    variance = np.maximum(p.scale**2 - (known**2).sum(0), 0) + p.noise**2
    return p.level + cross @ process.residual, np.sqrt(variance)


def bent(u: Floats, bend: float) -> Floats:
    """The process's coordinate z of u."""
    return -np.expm1(-bend * u) / bend


def parameters(v: Floats) -> Parameters:
    """From coordinates in which the prior is standard normal."""
    level, *log = _PRIOR + _SPREAD * v[: _PRIOR.size]
    scale, noise, exponent, offset, bend, length, interaction = np.exp(log)
    relevances, exponents, offsets = np.exp(_OWN[:, None] * v[_PRIOR.size :].reshape(3, -1))
    return Parameters(
        level,
        scale,
        noise,
        exponent * exponents,
        offset * offsets,
        bend,
        interaction,
        relevances / length,
    )


def _features(p: Parameters, weights: Floats) -> Floats:
    return p.relevance * ((weights + p.offset) ** p.exponent - p.offset**p.exponent)


def _covariance(kernel: Kernel, p: Parameters, a: Floats, b: Floats) -> Floats:
    return p.scale**2 * kernel.correlation(_features(p, a), _features(p, b), p.interaction)


def maximise(kernel: Kernel, weights: Floats, u: Floats, start: Floats | None = None) -> Floats:
    """The most probable coordinates, found from `start` or the prior's mean."""
    start = np.zeros(_PRIOR.size + 3 * weights.shape[1]) if start is None else start
    found = optimize.minimize(
        lambda v: objective(kernel, v, weights, u),
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(-_BOUND, _BOUND)] * start.size,
        options={"maxiter": 200},
    )
    return np.asarray(found.x)


def objective(kernel: Kernel, v: Floats, weights: Floats, u: Floats) -> tuple[float, Floats]:
    """Minus the log posterior and its gradient.

    The warp's Jacobian is exp(-bend * sum(u)), constant because u sums to about 0. All derivatives
    through the features come from the one matrix d(objective) / d(features).
    """
    p, f = parameters(v), _features(parameters(v), weights)
    smooth = p.scale**2 * kernel.correlation(f, f, p.interaction)
    root = linalg.cholesky(smooth + (p.noise**2 + _JITTER) * np.eye(u.size), lower=True)
    z = bent(u, p.bend)
    inverse = linalg.cho_solve((root, True), np.eye(u.size))
    a = inverse @ (z - p.level)
    value = 0.5 * (z - p.level) @ a + np.log(np.diag(root)).sum() + p.bend * u.sum()
    by_k = 0.5 * (inverse - np.outer(a, a))
    by_f, by_interaction = kernel.slopes(f, p.interaction, p.scale**2 * by_k)
    by_own = _by_own(p, weights, by_f, f)
    by_bend = p.bend * u.sum() + a @ (u * np.exp(-p.bend * u) - z)
    by_log = np.array(
        [
            -a.sum(),
            2 * (by_k * smooth).sum(),
            2 * p.noise**2 * np.trace(by_k),
            *by_own[1:].sum(1),
            by_bend,
            -by_own[0].sum(),
            by_interaction,
        ]
    )
    gradient = np.concatenate([_SPREAD * by_log, (_OWN[:, None] * by_own).ravel()])
    return float(value + 0.5 * v @ v), gradient + v


def _by_own(p: Parameters, weights: Floats, by_f: Floats, f: Floats) -> Floats:
    """Derivatives along the logs of each domain's relevance, exponent and offset, shape (3, k)."""
    s, o, e = weights + p.offset, p.offset, p.exponent
    exponent = p.relevance * e * (s**e * np.log(s) - o**e * np.log(o))
    offset = p.relevance * o * e * (s ** (e - 1) - o ** (e - 1))
    return np.array([(by_f * g).sum(0) for g in (f, exponent, offset)])


def draws(
    kernel: Kernel, v: Floats, weights: Floats, u: Floats, count: int, rng: np.random.Generator
) -> list[Floats]:
    """Coordinates drawn from the posterior, from the most probable ones `v` on."""
    nowhere = (np.inf, np.zeros_like(v))

    def bounded(v: Floats) -> tuple[float, Floats]:
        try:
            return objective(kernel, v, weights, u) if np.abs(v).max() <= _BOUND else nowhere
        except linalg.LinAlgError:
            return nowhere

    return hamiltonian.draws(bounded, v, count, rng)


def at_bound(v: Floats) -> list[str]:
    """Warnings in words, so that no parameter stays at a bound in silence."""
    stuck = np.abs(v) >= _BOUND - 1e-6
    names = [n for n, s in zip(_NAMES, stuck, strict=False) if s]
    names += [
        f"{name} of domain {i}"
        for name, own in zip(
            ("relevance", "exponent", "offset"), stuck[_PRIOR.size :].reshape(3, -1), strict=True
        )
        for i in np.flatnonzero(own)
    ]
    return [f"{n}: fitted at its bound, the runs disagree with its prior" for n in names]
