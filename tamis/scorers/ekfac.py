"""EK-FAC influence: how much training on a row lowers the loss of target rows, for a torch module.

Grosse et al. (2023), Studying large language model generalization with influence functions,
sections 2.2-2.3: with g the gradient of a loss and G the Gauss-Newton Hessian, upweighting row z
lowers the loss of q by g(q)' (G + lambda I)^-1 g(z). For each linear layer G is taken as A (x) S,
the second moments of its inputs and of the pseudo-gradients of its outputs, in whose eigenbases

    Lambda_ij = E[((Q_S' dW Q_A)_ij)^2]                          (George et al. 2018, Eq. 14)
    (G + lambda I)^-1 V = Q_S [(Q_S' V Q_A) / (Lambda + lambda)] Q_A',    lambda = 0.1 mean(Lambda)

High = keep: positive rows help the target, negative ones harm it. Only linear layers count, with
their biases; layers are independent. Everything is in float64. Write the result with
`tamis.scorers.recorded.write` and name it in a run file as `recorded`, `keep: high`.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tamis import errors, linalg, seeding

Loss = Literal["cross_entropy", "squared"]
Labels = Literal["sampled", "exact"]
DAMPING = 0.1  # of the mean of Lambda, as in the paper (section 3.1)

Tensor = Any  # of torch, which is no dependency
Floats = NDArray[np.float64]
Gradients = dict[str, Floats]  # of each linear layer: (n, outputs, inputs + 1), the bias last


class Factors(NamedTuple):
    """Curvature of one linear layer.

    Attributes:
      inputs: Q_A, shape (k, k), eigenvectors in columns; the bias counts as an input.
      outputs: Q_S, shape (m, m).
      variance: Lambda, shape (m, k).
    """

    inputs: Floats
    outputs: Floats
    variance: Floats


@dataclasses.dataclass(frozen=True)
class Model:
    """A trained module and the loss it was trained on.

    Attributes:
      module: Maps a batch (n, ...) to outputs (n, ..., c), each row by itself: no dropout and no
        batch norm in training mode.
      loss: Of a row, summed over all but the last axis of its outputs: cross-entropy of class
        numbers, or half the squared distance.
      block: Rows differentiated together; memory O(block x parameters).
    """

    module: Any
    loss: Loss = "cross_entropy"
    block: int = 64

    def gradients(self, x: Tensor, y: Tensor) -> Iterator[Gradients]:
        """Gradient of each row's loss, block by block; costs one forward and backward pass.

        Args:
          x: Shape (n, ...).
          y: Class numbers, or for the squared loss targets of the shape of the outputs.
        """
        for i in range(0, len(x), self.block):
            own = y[i : i + self.block]
            error = functools.partial(self._error, own)
            for found in self._backward(x[i : i + self.block], error):
                yield {name: _outer(calls) for name, calls in found.items()}

    def factors(
        self,
        x: Tensor,
        *,
        labels: Labels = "sampled",
        seed: int = 0,
    ) -> dict[str, Factors]:
        """Curvature of every linear layer on rows of the training set.

        Args:
          x: Shape (n, ...).
          labels: Pseudo-gradients of one label drawn from the prediction, or of all of them, which
            is the expectation itself and costs c backward passes.
          seed: Of the labels drawn.

        Returns:
          By name of the layer. Memory O(m^2 + k^2) a layer, time two passes and its eigenvectors.

        Raises:
          ConfigError: the module has no linear layer.
        """
        a: dict[str, Floats] = {}
        s: dict[str, Floats] = {}
        for found in self._pseudo(x, labels, seed):
            for name, calls in found.items():
                for inputs, slopes in calls:
                    _add(a, name, _second(inputs))
                    _add(s, name, _second(slopes))
        if not a:
            raise errors.ConfigError("the module has no linear layer that was used")
        bases = {name: (np.linalg.eigh(a[name])[1], np.linalg.eigh(s[name])[1]) for name in a}
        variance: dict[str, Floats] = {}
        for found in self._pseudo(x, labels, seed):
            for name, calls in found.items():
                q_a, q_s = bases[name]
                _add(variance, name, np.square(q_s.T @ _outer(calls) @ q_a).sum(0) / len(x))
        return {name: Factors(*bases[name], variance[name]) for name in bases}

    def influence(
        self,
        factors: dict[str, Factors],
        train: tuple[Tensor, Tensor],
        target: tuple[Tensor, Tensor],
        *,
        damping: float = DAMPING,
    ) -> Floats:
        """How much each training row lowers the target's mean loss: shape (n,), higher = keep.

        Up to the factor 1 / n of training rows. The target is preconditioned once, so a training
        row costs one forward and backward pass.

        Args:
          factors: Of `factors`.
          train: Rows and labels.
          target: Rows and labels.
          damping: lambda over the mean of Lambda.
        """
        mean: dict[str, Floats] = {}
        for part in self.gradients(*target):
            for name, g in part.items():
                _add(mean, name, g.sum(0) / len(target[0]))
        wanted = {n: preconditioned(factors[n], v, damping) for n, v in mean.items()}
        found = [
            sum(np.einsum("nmk,mk->n", g, wanted[name]) for name, g in part.items())
            for part in self.gradients(*train)
        ]
        return np.concatenate([np.zeros(0), *found])

    def _pseudo(self, x: Tensor, labels: Labels, seed: int) -> Iterator[dict[str, list]]:
        """Inputs and pseudo-gradients of every layer, for every block and label."""
        rng = seeding.generator(seed, "ekfac")
        for i in range(0, len(x), self.block):
            yield from self._backward(
                x[i : i + self.block],
                functools.partial(_pseudo_errors, loss=self.loss, labels=labels, rng=rng),
            )

    def _error(self, y: Tensor, z: Floats) -> list[Floats]:
        """Derivative of the loss by the outputs."""
        if self.loss == "squared":
            return [z - y.double().cpu().numpy()]
        return [linalg.softmax(z) - np.eye(z.shape[-1])[y.cpu().numpy()]]

    def _backward(
        self,
        x: Tensor,
        slopes: Callable[[Floats], list[Floats]],
    ) -> Iterator[dict[str, list[tuple[Floats, Floats]]]]:
        """Inputs, and derivatives by the outputs, of every call of every linear layer.

        One result for each array of `slopes`, derivatives by the module's own outputs.
        """
        import torch

        calls: list[tuple[str, Floats, Tensor]] = []
        hooks = [
            layer.register_forward_hook(_keeper(name, calls))
            for name, layer in self.module.named_modules()
            if isinstance(layer, torch.nn.Linear) and layer.weight.requires_grad
        ]
        try:
            with torch.enable_grad():
                z = self.module(x)
        finally:
            for hook in hooks:
                hook.remove()
        outputs = [output for _, _, output in calls]
        for slope in slopes(z.detach().double().cpu().numpy()):
            down = torch.tensor(slope, dtype=z.dtype, device=z.device)
            got = torch.autograd.grad(z, outputs, down, retain_graph=True) if outputs else ()
            found: dict[str, list[tuple[Floats, Floats]]] = {}
            for (name, inputs, _), g in zip(calls, got, strict=True):
                found.setdefault(name, []).append((inputs, _rows(g)))
            yield found


def preconditioned(factors: Factors, v: Floats, damping: float = DAMPING) -> Floats:
    """(G + lambda I)^-1 v for one layer, v of shape (..., m, k)."""
    q_a, q_s, variance = factors
    rotated = q_s.T @ v @ q_a
    return q_s @ (rotated / (variance + damping * variance.mean())) @ q_a.T


def _keeper(name: str, calls: list) -> Callable[[Tensor, tuple, Tensor], None]:
    def keep(layer: Tensor, inputs: tuple, output: Tensor) -> None:
        x = _rows(inputs[0].detach())
        # A layer without bias has a constant input of 0, which moves nothing.
        one = np.full((*x.shape[:-1], 1), float(layer.bias is not None))
        calls.append((name, np.concatenate([x, one], axis=-1), output))

    return keep


def _rows(x: Tensor) -> Floats:
    """A tensor (n, ..., d) as (n, t, d) float64: t positions of each row."""
    wide = x.double().cpu().numpy()
    return wide.reshape(len(wide), -1, wide.shape[-1])


def _outer(calls: list[tuple[Floats, Floats]]) -> Floats:
    """Gradient of each row by a layer's weights, summed over positions and calls: (n, m, k)."""
    return np.sum([s.transpose(0, 2, 1) @ a for a, s in calls], axis=0)


def _second(x: Floats) -> Floats:
    flat = x.reshape(-1, x.shape[-1])
    return flat.T @ flat


def _add(sums: dict[str, Floats], name: str, x: Floats) -> None:
    sums[name] = sums[name] + x if name in sums else x


def _pseudo_errors(z: Floats, loss: Loss, labels: Labels, rng: np.random.Generator) -> list[Floats]:
    """Derivatives by the outputs whose mean outer product is the loss's Hessian there."""
    eye = np.eye(z.shape[-1])
    if loss == "squared":
        return [rng.standard_normal(z.shape)] if labels == "sampled" else [e + 0 * z for e in eye]
    p = linalg.softmax(z)
    if labels == "exact":
        return [np.sqrt(p[..., k, None]) * (p - e) for k, e in enumerate(eye)]
    drawn = (p.cumsum(-1) < rng.random((*p.shape[:-1], 1))).sum(-1)
    return [p - eye[np.minimum(drawn, len(eye) - 1)]]
