"""VoG: how much the input gradient of a row's own logit varies over training, for torch modules.

Agarwal, D'souza & Hooker (2022), Estimating example difficulty using variance of gradients, Eqs.
1-4. High = hard. Scores of different classes are not comparable, so they are standardised within
each class, as in the paper (section 3.2).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Module = Any  # of torch, which is no dependency
Tensor = Any


def vog(
    checkpoints: Sequence[Module],
    x: Tensor,
    labels: Tensor,
    *,
    block: int = 256,
) -> NDArray[np.float64]:
    """Variance of gradients, standardised within each class.

    Args:
      checkpoints: At least two modules (n, ...) to logits (n, c), each row by itself: eval mode.
      x: Tensor of shape (n, ...), floating.
      labels: Tensor of shape (n,).
      block: Rows differentiated together.

    Returns:
      Shape (n,): mean 0 and variance 1 in each class; 0 where a class has no spread. One forward
      and backward pass a checkpoint, memory O(checkpoints x block x inputs).

    Raises:
      ValueError: there are fewer than two checkpoints.
    """
    if len(checkpoints) < 2:
        raise ValueError(f"{len(checkpoints)} checkpoints have no variance")
    found = np.zeros(len(x))
    for i in range(0, len(x), block):
        part = slice(i, i + block)
        slopes = np.stack([_slopes(module, x[part], labels[part]) for module in checkpoints])
        found[part] = slopes.std(axis=0).mean(1)
    return standardised(found, np.asarray(labels))


def standardised(values: NDArray[np.float64], group: NDArray) -> NDArray[np.float64]:
    """Less the mean of the group, over its standard deviation; 0 where that is 0."""
    _, code = np.unique(group, return_inverse=True)
    size = np.maximum(np.bincount(code), 1)
    centred = values - (np.bincount(code, values) / size)[code]
    spread = np.sqrt(np.bincount(code, centred**2) / size)[code]
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)


def _slopes(module: Module, x: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """Gradient of the own logit by the inputs: shape (n, inputs)."""
    import torch

    with torch.enable_grad():
        inputs = x.detach().clone().requires_grad_()
        own = module(inputs).gather(1, labels[:, None]).sum()
        (slope,) = torch.autograd.grad(own, inputs)
    return slope.double().flatten(1).cpu().numpy()
