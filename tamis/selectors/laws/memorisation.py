"""Our law for repeated tokens: what a model memorises is lost to what it predicts."""

import dataclasses
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamis.selectors.laws import huber, search_params
from tamis.selectors.laws.chinchilla import Additive, Optimum
from tamis.selectors.laws.data_constrained import saturated
from tamis.selectors.laws.runs import Runs, Table

VOCABULARY = 50257  # GPT-2's
DENSEST = 30.0  # parameters per distinct token, in the runs that the form was chosen on

_SHARPNESS = 4.0  # of the onset; 3 to 6 fit and predict alike
_NEVER = 1e-300  # probability that keeps the logarithm of none finite
_STEEPNESS = 2.0  # of the capacity curve; free, it comes out at 2.0
_NAMES = ("A", "B", "E", "alpha", "beta", "lifetime", "onset", "strength", "capacity")
# Weak: log terms of the additive part at the average run, log E, log exponents (Hoffmann et al.
# 2022), then log epochs, log epochs, log strength, log parameters per token.
_MEAN = np.array([0.0, 0.0, np.log(1.7), np.log(0.34), np.log(0.34), *np.log([15, 15, 3, 5])])
_SCALE = np.array([1.5, 1.5, 0.5, 0.5, 0.5, 1.5, 1.5, 1.0, 1.0])
_LIVES = (10.0, 50.0)
_ONSETS = (10.0, 30.0)
_CAPACITIES = (3.0, 10.0)


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """A language-model law whose loss can rise with repetition.

    Derivation. Let N be parameters, D tokens seen, U of them distinct, R = D/U - 1 repeats.

    1. What is learned. A repeat teaches less than a new token, with lifetime R*: D' = U (1 + R*
       (1 - exp(-R / R*))), the data term of Muennighoff et al. (2023), and the loss of what is
       learned is Chinchilla's, L_0 = E + A / N^alpha + B / D'^beta.
    2. How long it lasts. One pass over U leaves the surprise B / U^beta that more data would have
       removed (nats per token). Repeats live on it: the more it is, the more passes until the
       tokens' own peculiarities are all that is left to fit, so R* = lifetime B / U^beta epochs.
       Small sets bear more repeats than large ones, as 14M to 2.8B models on 1e8 to 6e10 tokens do.
    3. Memorising. Then the set is being interpolated. Once training data are separable, gradient
       descent only scales the logits, as the logarithm of time, and so grows the loss on new data
       (Soudry et al. 2018, The implicit bias of gradient descent on separable data).
       Here the log-odds of the memorised continuation grow by `s` per e-fold of repeats beyond
       r_0 = onset B / U^beta: a new token is predicted by what was learned with probability

           1 - m = (1 + (R / r_0)^4)^(-s/4)        (R^-s beyond r_0, 1 - O(R^4) before)

       and else like a memorised one, which is wrong, so right by chance, 1 / V of V words.
    4. Capacity. How far a model can separate its set depends on parameters per distinct token
       x = N / U: s = strength x^2 / (x^2 + capacity^2). Small models cannot memorise, so they only
       reach a plateau.

    Hence L = -log((1 - m) exp(-L_0) + m / V).

    Limits. One epoch: R = 0, m = 0, Chinchilla exactly. strength = 0: effective data, Muennighoff's
    D' with R_D* = R* at the given U (without N': an excess of parameters costs through m instead).
    lifetime to infinity besides: repeats are new tokens. D to infinity: log V, that of a model
    which knows nothing; before it is near, loss grows as s log R. At fixed N and D more distinct
    tokens never hurt if beta <= 1 and L_0 < log V: D' grows, x and R / r_0 fall. In N and in D
    loss may rise.

    Assumptions. Training without regularisation other than usual weight decay, learning rates tuned
    for one epoch, one distribution, uniformly repeated. The exponents 4 and 2 are constants, not
    fitted; they, and the form, were chosen on several splits of the published small runs. That R*
    and r_0 fall with U by the exponent beta is an assumption: on the runs of
    `benchmarks/repetition.py` 1.25 beta predicts alike, half of it or none worse. So is the form of
    s beyond x = 30, where there were no runs. Real models can be more wrong than log V; the law
    cannot.

    Attributes:
      E: Irreducible loss, nats per token.
      A: Scale of the parameter term.
      B: Scale of the token term.
      alpha: Exponent of parameters.
      beta: Exponent of tokens.
      lifetime: Repeats per nat that one pass leaves to be learned, until one is worth 1/e.
      onset: Repeats per nat until memorising begins to cost.
      strength: Loss per e-fold of repeats for a model that can memorise everything.
      capacity: Parameters per distinct token at which half the strength is reached.
      vocabulary: V.
    """

    name: ClassVar[str] = "Memorisation"
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    lifetime: float
    onset: float
    strength: float
    capacity: float
    vocabulary: int = VOCABULARY

    def repeats(self, unique: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """R* and r_0 for so many distinct tokens."""
        left = self.B / np.asarray(unique, np.float64) ** self.beta
        return self.lifetime * left, self.onset * left

    def predict(
        self, *, params: ArrayLike, tokens: ArrayLike, unique: ArrayLike
    ) -> NDArray[np.float64]:
        """Loss in nats per token; arguments broadcast."""
        n, d = np.asarray(params, np.float64), np.asarray(tokens, np.float64)
        u = np.minimum(np.asarray(unique, np.float64), d)
        lifetime, onset = self.repeats(u)
        learned = self.E + self.A / n**self.alpha + self.B / saturated(d, u, lifetime) ** self.beta
        odds = kept(n / u / self.capacity, (d / u - 1) / onset, self.strength)
        return diluted(learned, odds, self.vocabulary)

    def optimal(self, *, flops: float, unique: float, densest: float = DENSEST) -> Optimum:
        """The best size and length for 6 N D = flops on `unique` distinct tokens, numerically.

        Args:
          flops: Budget.
          unique: Distinct tokens there are.
          densest: Most parameters per distinct token. Without a limit the law would meet scarce
            data with an enormous model for a few epochs, where it has seen no runs.

        Raises:
          PlanError: no size inside the searched range is best.
        """
        most = densest * unique
        return search_params.best(self.predict, flops=flops, unique=unique, most=most)

    @classmethod
    def fit(
        cls,
        table: Table | Runs,
        *,
        vocabulary: int = VOCABULARY,
        resamples: int = 40,
        seed: int = 0,
    ) -> huber.Fit:
        """Huber on log loss from many starts, with weak priors for what the runs do not show.

        Args:
          table: Columns params, tokens, unique_tokens, loss.
          vocabulary: Of the runs' tokenizer.
          resamples: Of the bootstrap behind the intervals; 0 for none.
          seed: Of the bootstrap.

        Raises:
          PlanError: the runs are unusable.
        """
        runs = Runs.of(table)
        runs.require(len(_NAMES), cls.name)
        form = _Form(Additive.of(runs), vocabulary)
        problem = huber.Problem(_NAMES, form.log_loss, runs, _MEAN, _SCALE, form.values)
        vector = huber.solve(problem, form.starts(runs))
        law = form.law(vector)
        found = huber.summary(problem, vector, law, resamples=resamples, seed=seed)
        gaps = runs.gaps(repetition=True)
        return dataclasses.replace(found, warnings=(*gaps, *found.warnings))


def kept(x: NDArray, r: NDArray, strength: ArrayLike) -> NDArray:
    """Log of 1 - m, the share of a prediction that is not the memorised one; (...,), at most 0.

    Args:
      x: Parameters per distinct token over the capacity.
      r: Repeats over the onset, not negative.
      strength: See `Memorisation`.
    """
    x = x**_STEEPNESS
    return -np.asarray(strength) * x / (1 + x) * np.log1p(r**_SHARPNESS) / _SHARPNESS


def diluted(learned: NDArray, log_kept: NDArray, vocabulary: int) -> NDArray:
    """-log(exp(log_kept - learned) + (1 - exp(log_kept)) / vocabulary), shape (...,)."""
    good = log_kept - learned
    bad = np.log(_NEVER - np.expm1(log_kept)) - np.log(vocabulary)
    top = np.maximum(good.real, bad.real)
    return -top - np.log(np.exp(good - top) + np.exp(bad - top))


@dataclasses.dataclass(frozen=True)
class _Form:
    """The law as a function of a vector: logs of the terms, and of epochs at a reference set.

    Attributes:
      additive: The terms at their reference run.
      vocabulary: V.
    """

    additive: Additive
    vocabulary: int

    def log_loss(self, v: NDArray, runs: Runs) -> NDArray:
        shorter = -np.exp(v[4]) * np.log(runs.unique / self.additive.d)
        d = saturated(runs.tokens, runs.unique, np.exp(v[5] + shorter))
        learned = np.exp(self.additive.log_loss(v, runs.params, d))
        r = (runs.epochs - 1) / np.exp(v[6] + shorter)
        x = runs.params / runs.unique / np.exp(v[8])
        return np.log(diluted(learned, kept(x, r, np.exp(v[7])), self.vocabulary))

    def values(self, v: NDArray[np.float64]) -> NDArray[np.float64]:
        per_nat = np.exp(v[5:7] - v[1])  # the reference set's B / U^beta is exp(v[1])
        return np.concatenate([self.additive.constants(v), per_nat, np.exp(v[7:])])

    def law(self, v: NDArray[np.float64]) -> Memorisation:
        a, b, e, alpha, beta, lifetime, onset, strength, capacity = self.values(v).tolist()
        return Memorisation(
            e, a, b, alpha, beta, lifetime, onset, strength, capacity, self.vocabulary
        )

    def starts(self, runs: Runs) -> NDArray[np.float64]:
        """Grids over the single-epoch exponents, lifetimes, onsets and capacities."""
        tails = [
            np.log([life, onset, 4.0, capacity])
            for life in _LIVES
            for onset in _ONSETS
            for capacity in _CAPACITIES
        ]
        first = self.additive.starts(runs)[:3]
        return np.array([[*a, *tail] for a in first for tail in tails])
