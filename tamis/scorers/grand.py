"""GraNd: the length of a row's gradient of the loss, early in training.

Paul, Ganguli & Dziugaite (2021), Deep learning on a data diet, Definition 2.1. High = hard, as for
EL2N, which is its approximation. In closed form for a linear classifier, and for any torch module
by automatic differentiation of each row's loss.
"""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tamis import nearest
from tamis.scorers import el2n, probe

Module = Any  # of torch, which is no dependency
Tensor = Any


def grand(
    x: NDArray, logits: NDArray, labels: NDArray[np.int64], *, bias: float = 1.0
) -> NDArray[np.float64]:
    """Gradient length of the cross-entropy of a linear classifier.

    The gradient is (softmax - onehot) (x, bias)^T, of rank one, so its length is
    ||softmax - onehot|| sqrt(||x||^2 + bias^2).

    Args:
      x: Shape (n, d).
      logits: Shape (n, ..., c).
      labels: Shape (n,).
      bias: The constant feature the bias is the weight of; 0 where there is none.

    Returns:
      Shape (n, ...).
    """
    wide = x.astype(np.float64)
    length = np.sqrt(nearest.row_dot(wide, wide) + bias**2)
    middle = logits.shape[1:-1]
    error = el2n.el2n(logits, probe.repeat(labels, middle))
    return error * length.reshape(-1, *(1 for _ in middle))


def of_module(
    module: Module,
    x: Tensor,
    labels: Tensor,
    *,
    block: int = 64,
) -> NDArray[np.float64]:
    """Gradient length of each row's cross-entropy over all parameters that require it.

    Args:
      module: Maps a batch to logits (n, c), each row by itself: put batch norm and dropout in eval
        mode.
      x: Tensor of shape (n, ...).
      labels: Tensor of shape (n,), int64.
      block: Rows differentiated together.

    Returns:
      Shape (n,). Memory O(block x parameters); time about two forward and backward passes.
    """
    import torch

    trained = {k: v.detach() for k, v in module.named_parameters() if v.requires_grad}

    def loss(parameters: dict, row: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        logits = torch.func.functional_call(module, parameters, (row[None],))
        return torch.nn.functional.cross_entropy(logits, label[None])

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    found = [np.zeros(0)]
    for i in range(0, len(x), block):
        parts = gradient(trained, x[i : i + block], labels[i : i + block]).values()
        squares = sum(g.double().square().flatten(1).sum(1) for g in parts)
        found.append(squares.sqrt().cpu().numpy())
    return np.concatenate(found)


@dataclasses.dataclass(frozen=True)
class GraNd(probe.Probe):
    """GraNd at the probe's first checkpoint, the mean over its runs.

    Embeddings have unit norm, so that here it ranks as EL2N does, up to their rounding.
    """

    name: str = "grand"
    used: ClassVar[slice] = slice(0, 1)

    def hardness(
        self, x: NDArray, logits: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        feature = x.shape[1] ** -0.5  # what the probe's bias is the weight of
        return grand(x, logits[:, :, 0], classes, bias=feature).mean(1)
